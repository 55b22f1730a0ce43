//! Qpid Proton C++.

use std::time::Duration;

use super::{Served, next_lines, of_colour, replies, run};
use crate::interop::program::Program;

fn example(name: &str) -> Option<Program> {
    Program::proton_cpp_example(name)
}

/// What is printed of the messages of `simple_send`.
fn sequence(count: usize) -> Vec<String> {
    let line = |number| format!("{{\"sequence\"={number}}}");
    (1..=count).map(line).collect()
}

#[tokio::test]
async fn helloworld() {
    let Some(helloworld) = example("helloworld") else {
        return;
    };
    let broker = Served::start().await;
    let url = format!("//{}", broker.address);
    assert_eq!(
        run(&helloworld, &[&url, "examples"]).await,
        ["Hello World!"]
    );
}

#[tokio::test]
async fn simple_send_and_recv() {
    let (Some(send), Some(recv)) = (example("simple_send"), example("simple_recv")) else {
        return;
    };
    let broker = Served::start().await;
    let node = broker.node("examples");
    let arguments = ["-a", &node, "-m", "1000"];
    for _ in 0..2 {
        let (sent, received) = tokio::join!(run(&send, &arguments), run(&recv, &arguments));
        assert_eq!(sent, ["all messages confirmed"]);
        assert_eq!(received, sequence(1000));
    }
}

/// Requests and replies by a queue that the client has made for itself.
#[tokio::test]
async fn client_and_server() {
    let (Some(client), Some(server)) = (example("client"), example("server")) else {
        return;
    };
    let broker = Served::start().await;
    let url = format!("//{}", broker.address);
    let mut server = server.start(&[&url, "examples"]);
    next_lines(&mut server, 1).await;
    let node = broker.node("examples");
    assert_eq!(run(&client, &["-a", &node]).await, replies());
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
    let (url, node) = (format!("//{}", broker.address), broker.node("examples"));
    run(&send, &["-a", &node]).await;
    let mut selected = selected.start(&[&url, "examples"]);
    assert_eq!(next_lines(&mut selected, 50).await, of_colour("green"));
    let left = run(&recv, &["-a", &node, "-m", "50"]).await;
    assert_eq!(left, of_colour("red"));
}

/// A browser takes nothing away.
#[tokio::test]
async fn queue_browser() {
    let (Some(send), Some(browser), Some(recv)) = (
        example("simple_send"),
        example("queue_browser"),
        example("simple_recv"),
    ) else {
        return;
    };
    let broker = Served::start().await;
    let (url, node) = (format!("//{}", broker.address), broker.node("examples"));
    let arguments = ["-a", &node, "-m", "20"];
    run(&send, &arguments).await;
    for _ in 0..2 {
        let mut browsing = browser.start(&[&url, "examples"]);
        assert_eq!(next_lines(&mut browsing, 20).await, sequence(20));
    }
    assert_eq!(run(&recv, &arguments).await, sequence(20));
}

#[tokio::test]
async fn scheduled_send() {
    let (Some(send), Some(recv)) = (example("scheduled_send"), example("simple_recv")) else {
        return;
    };
    let broker = Served::start().await;
    let node = broker.node("examples");
    let sent = run(&send, &["-a", &node, "-i", "0.1", "-t", "1"]).await;
    assert!(sent.len() > 1, "{sent:?}");
    let count = sent.len().to_string();
    let received = run(&recv, &["-a", &node, "-m", &count]).await;
    assert_eq!(received, vec!["ping"; sent.len()]);
}

#[tokio::test]
async fn multithreaded_client() {
    let Some(client) = example("multithreaded_client") else {
        return;
    };
    let broker = Served::start().await;
    let url = format!("amqp://{}", broker.address);
    let printed = run(&client, &[&url, "examples", "500"]).await;
    assert_eq!(printed.last().unwrap(), "500 messages sent and received");
}

#[tokio::test]
async fn multithreaded_client_flow_control() {
    let Some(client) = example("multithreaded_client_flow_control") else {
        return;
    };
    let broker = Served::start().await;
    let url = format!("amqp://{}", broker.address);
    let printed = run(&client, &[&url, "examples", "500", "4"]).await;
    assert_eq!(printed.last().unwrap(), "2000 messages sent and received");
}

/// It starts at a port where nobody listens, and goes to the next broker when one is gone.
#[tokio::test]
async fn reconnect_client() {
    let Some(client) = example("reconnect_client") else {
        return;
    };
    let (first, second) = (Served::start().await, Served::start().await);
    let [first_url, second_url] =
        [&first, &second].map(|broker| format!("amqp://{}", broker.address));
    let arguments = [
        "amqp://127.0.0.1:1",
        "examples",
        "2000",
        &first_url,
        &second_url,
    ];
    let mut client = client.start(&arguments);
    let mut received = Vec::new();
    let mut first = Some(first);
    while let Some(line) = client.line().await {
        if line.starts_with('{') {
            received.push(line);
        }
        if received.len() == 100 {
            drop(first.take());
        }
    }
    client.end().await.unwrap();
    assert!(first.is_none());
    assert_eq!(received, sequence(2000));
}

/// SASL PLAIN, with a file of users.
#[tokio::test]
async fn simple_connect() {
    let Some(connect) = example("simple_connect") else {
        return;
    };
    let users = std::env::temp_dir().join(format!("amqp10-users-{}", uuid::Uuid::new_v4()));
    std::fs::write(&users, "tim:secret\n").unwrap();
    let broker = Served::with(&["--port", "0", "--users", users.to_str().unwrap()]).await;
    std::fs::remove_file(users).unwrap();
    let by_password = |password| {
        let node = broker.node("examples");
        let connect = connect.clone();
        async move {
            let login = ["-u", "tim", "-p", password, "-m", "PLAIN", "-i"];
            let arguments = [&["-a", node.as_str()], &login[..]].concat();
            connect.run(&arguments).await
        }
    };
    by_password("secret").await.unwrap();
    let refusal = by_password("guess").await.unwrap_err();
    assert!(refusal.contains("amqp:unauthorized-access"), "{refusal}");
}

/// What our open says.
#[tokio::test]
async fn connection_options() {
    let Some(options) = example("connection_options") else {
        return;
    };
    let broker = Served::start().await;
    let printed = run(&options, &[&broker.node("examples")]).await;
    let halved = Duration::from_secs(60) / 2;
    let expected = format!(
        "connection max_frame_size: 65536, idle timeout: {}",
        halved.as_millis()
    );
    assert_eq!(printed.last(), Some(&expected));
}
