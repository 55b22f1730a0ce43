//! Qpid Proton for Python.

use super::{Served, of_colour, replies, run};
use crate::interop::program::Program;

fn example(name: &str) -> Option<Program> {
    Program::proton_python_example(name)
}

/// What is printed of the messages of `simple_send` and `tx_send`.
fn sequence(count: usize) -> Vec<String> {
    let line = |number| format!("{{'sequence': {number}}}");
    (1..=count).map(line).collect()
}

#[tokio::test]
async fn helloworld() {
    let Some(helloworld) = example("helloworld") else {
        return;
    };
    let _broker = Served::on_the_default_port().await;
    assert_eq!(run(&helloworld, &[]).await, ["Hello World!"]);
}

#[tokio::test]
async fn helloworld_blocking() {
    let Some(helloworld) = example("helloworld_blocking") else {
        return;
    };
    let _broker = Served::on_the_default_port().await;
    assert_eq!(run(&helloworld, &[]).await, ["Hello World!"]);
}

#[tokio::test]
async fn simple_send_and_recv() {
    let (Some(send), Some(recv)) = (example("simple_send"), example("simple_recv")) else {
        return;
    };
    let broker = Served::start().await;
    let node = broker.node("examples");
    let arguments = ["-a", &node, "-m", "1000"];
    let (sent, received) = tokio::join!(run(&send, &arguments), run(&recv, &arguments));
    assert_eq!(sent, ["all messages confirmed"]);
    assert_eq!(received, sequence(1000));
}

/// Transactions of ten messages each.
#[tokio::test]
async fn tx_send_and_tx_recv() {
    let (Some(send), Some(recv)) = (example("tx_send"), example("tx_recv")) else {
        return;
    };
    let broker = Served::start().await;
    let node = broker.node("examples");
    let sent = run(&send, &["-a", &node, "-m", "200"]).await;
    assert_eq!(sent, ["all messages committed"]);
    let received = run(&recv, &["-a", &node, "-m", "200"]).await;
    assert_eq!(received, sequence(200));
}

/// The selector takes its messages, and leaves the others to the next.
#[tokio::test]
async fn colour_send_and_selected_recv() {
    let (Some(send), Some(selected), Some(recv)) = (
        example("colour_send"),
        example("selected_recv"),
        example("simple_recv"),
    ) else {
        return;
    };
    let broker = Served::start().await;
    let node = broker.node("examples");
    run(&send, &["-a", &node]).await;
    let half = ["-a", &node, "-m", "50"];
    assert_eq!(run(&selected, &half).await, of_colour("green"));
    assert_eq!(run(&recv, &half).await, of_colour("red"));
}

/// A browser takes nothing away. It ends when it has read all that has come at the moment.
#[tokio::test]
async fn queue_browser() {
    let (Some(send), Some(browser), Some(recv)) = (
        example("simple_send"),
        example("queue_browser"),
        example("simple_recv"),
    ) else {
        return;
    };
    let broker = Served::on_the_default_port().await;
    let node = broker.node("examples");
    let arguments = ["-a", &node, "-m", "20"];
    run(&send, &arguments).await;
    let browsed = run(&browser, &[]).await;
    assert!(!browsed.is_empty());
    for (browsed, expected) in browsed.iter().zip(sequence(20)) {
        assert!(browsed.contains(&expected), "{browsed}");
    }
    assert_eq!(run(&recv, &arguments).await, sequence(20));
}

/// Requests of one example, answered by another.
async fn answered(client: &str, server: &str, has_no_options: bool) {
    let (Some(client), Some(server)) = (example(client), example(server)) else {
        return;
    };
    let broker = match has_no_options {
        true => Served::on_the_default_port().await,
        false => Served::start().await,
    };
    let node = broker.node("examples");
    let client_arguments = ["-a", node.as_str()];
    let server_arguments = match has_no_options {
        true => &[][..],
        false => &client_arguments[..],
    };
    let _server = server.start(server_arguments);
    assert_eq!(run(&client, &client_arguments).await, replies());
}

#[tokio::test]
async fn client_and_server() {
    answered("client", "server", false).await;
}

#[tokio::test]
async fn sync_client_and_server() {
    answered("sync_client", "server", false).await;
}

/// The request is retired and the reply is posted in one transaction.
#[tokio::test]
async fn client_and_server_tx() {
    answered("client", "server_tx", true).await;
}

#[tokio::test]
async fn sync_client_and_server_tx() {
    answered("sync_client", "server_tx", true).await;
}
