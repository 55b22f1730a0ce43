//! Frames that no client of ours would send.

use amqp10::codec::{Attach, Performative, Source, Target};
use amqp10::{Credentials, condition};

use super::*;
use crate::support::peer::{self, HANDLE, Peer};

/// A scripted peer with a session at the broker.
pub async fn scripted(broker: &Broker) -> Peer {
    let mut peer = Peer::new(broker.connect());
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.expect_open().await;
    peer.begin_session().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn a_002_a_dynamic_terminus_with_an_address_is_refused() {
    let broker = broker().await;
    let mut peer = scripted(&broker).await;
    let source = Source {
        dynamic: true,
        ..Source::new("orders")
    };
    let asked = Attach {
        source: Some(source),
        ..peer::attach_receiver("receiver")
    };
    peer.send(asked).await;
    assert_eq!(peer.expect_attach().await.source, None);
    peer.expect_detach_with(condition::INVALID_FIELD).await;
    peer.send(peer::detach()).await;

    let target = Target {
        dynamic: true,
        ..Target::new("orders")
    };
    let asked = Attach {
        target: Some(target.into()),
        ..peer::attach_sender("sender")
    };
    peer.send(asked).await;
    assert_eq!(peer.expect_attach().await.target, None);
    peer.expect_detach_with(condition::INVALID_FIELD).await;
}

#[tokio::test(start_paused = true)]
async fn l_013_a_refusal_has_a_null_terminus() {
    let broker = broker().await;
    let mut peer = scripted(&broker).await;
    let asked = Attach {
        source: Some(Source::new("no-such")),
        ..peer::attach_receiver("receiver")
    };
    peer.send(asked).await;
    let answer = peer.expect_attach().await;
    assert_eq!(answer.source, None);
    let detach = peer.expect_detach_with(condition::NOT_FOUND).await;
    assert!(detach.closed);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_rejected() {
    let broker = broker().await;
    let mut peer = scripted(&broker).await;
    peer.send(peer::attach_sender("sender")).await;
    peer.expect_attach().await;
    let flow = peer.expect_flow().await;
    assert_eq!(flow.link_credit, Some(300));
    peer.send_transfer(peer::transfer(0), b"\xff\xff").await;
    let answer = peer.expect_disposition().await;
    let Some(amqp10::DeliveryState::Outcome(amqp10::Outcome::Rejected(rejected))) = answer.state
    else {
        panic!("{answer:?}")
    };
    assert_eq!(rejected.error.unwrap().condition, condition::DECODE_ERROR);
}

#[tokio::test(start_paused = true)]
async fn k_013_credit_and_drain_in_one_flow_get_what_is_there() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "node", "a").await;
    for _ in 0..10 {
        let mut peer = scripted(&broker).await;
        peer.send(peer::attach_receiver("receiver")).await;
        let flow = amqp10::codec::Flow {
            handle: Some(HANDLE),
            link_credit: Some(10),
            drain: true,
            ..peer.flow()
        };
        peer.send(flow).await;
        peer.expect_attach().await;
        let mut has_come = false;
        let drained = loop {
            match peer.expect().await.1 {
                Performative::Transfer(_) => has_come = true,
                Performative::Flow(flow) if flow.link_credit == Some(0) => break flow,
                Performative::Flow(_) => {} // not yet
                other => panic!("{other:?}"),
            }
        };
        assert!(has_come);
        assert_eq!(drained.delivery_count, Some(10));
        assert_eq!((drained.link_credit, drained.drain), (Some(0), true));
        peer.hang_up();
        settle_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_users_a_client_needs_no_sasl() {
    let broker = broker().await;
    let options = ConnectionOptions::default().credentials(Credentials::None);
    Connection::open_with_stream(broker.connect(), options)
        .await
        .unwrap();
}
