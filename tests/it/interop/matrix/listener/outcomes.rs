//! Who settles, when, and with which outcome.

use amqp10::codec::ReceiverSettleMode;
use amqp10::{Message, Outcome};

use super::{Connecting, NODE, Scene};
use crate::interop::pattern;

/// The peer learns our outcomes, and we learn its.
pub async fn outcomes<C: Connecting>() -> Option<()> {
    let scene = Scene::start::<C>().await?;
    let Scene { server, client } = &scene;
    let ours = [
        (NODE, "accepted"),
        ("reject", "rejected"),
        ("release", "released"),
        ("modify", "modified"),
    ];
    for (node, outcome) in ours {
        client.send(node, &["--count", "5"], outcome, 5).await;
    }
    for outcome in ["accepted", "rejected", "released", "modified"] {
        for number in 0..3 {
            server.put(outcome, Message::data(pattern(number, 20)));
        }
        let arguments = ["3", "--outcome", outcome];
        assert_eq!(client.call("receive", outcome, &arguments).await.len(), 3);
        let seen = server.outcomes(outcome, 3).await;
        let as_said = |seen: &Outcome| name(seen) == outcome;
        assert!(seen.len() == 3 && seen.iter().all(as_said), "{seen:?}");
    }
    scene.close().await;
    Some(())
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::Released => "released",
        Outcome::Modified(_) => "modified",
        other => panic!("no outcome of a message: {other:?}"),
    }
}

/// Messages that nobody answers, in both directions.
pub async fn presettled<C: Connecting>() -> Option<()> {
    let scene = Scene::start::<C>().await?;
    let Scene { server, client } = &scene;
    let arguments = ["--count", "1000", "--size", "100", "--settled"];
    client.send(NODE, &arguments, "settled", 1000).await;
    server.await_messages(NODE, 1000).await;
    client.receive_numbered(1000, 100, &["--settled"]).await;
    assert!(server.outcomes(NODE, 0).await.is_empty());
    scene.close().await;
    Some(())
}

/// Both directions unsettled; the receivers settle at once.
pub async fn settled_first<C: Connecting>() -> Option<()> {
    settled::<C>(ReceiverSettleMode::First, &[]).await
}

/// Both directions unsettled; the receivers settle when the senders have.
pub async fn settled_second<C: Connecting>() -> Option<()> {
    settled::<C>(ReceiverSettleMode::Second, &["--second"]).await
}

async fn settled<C: Connecting>(mode: ReceiverSettleMode, arguments: &[&str]) -> Option<()> {
    let scene = Scene::start::<C>().await?;
    let Scene { server, client } = &scene;
    let numbered = ["--count", "100", "--size", "100"];
    let sent = [&numbered, arguments].concat();
    client.send(NODE, &sent, "accepted", 100).await;
    client.receive_numbered(100, 100, arguments).await;
    assert_eq!(
        server.outcomes(NODE, 100).await,
        vec![Outcome::Accepted; 100]
    );
    for attach in server.attaches() {
        assert_eq!(attach.rcv_settle_mode, mode, "{}", attach.name);
    }
    scene.close().await;
    Some(())
}
