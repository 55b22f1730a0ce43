//! The public handles, client against listener in process.

use std::time::Duration;

use amqp10::transaction::{
    ControlLink, Transaction, TransactionController, TransactionControllerOptions,
    TransactionError, TransactionRequest, capability,
};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Body, ConnectionOptions, Credit, ListenerOptions, Message,
    Outcome, OutgoingMessage, Receiver, ReceiverOptions, Sender, SenderOptions, Session,
    SessionOptions, Symbol,
};

use crate::support::Pair;

/// A sender at the client whose link the listener accepted as a receiver.
pub async fn sender_and_receiver(pair: &Pair) -> (Sender, Receiver) {
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let (sender, accepted) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(AcceptLinkOptions::default()).await.unwrap()
        }
    );
    let AcceptedLink::Receiver(receiver) = accepted else {
        panic!("a receiver")
    };
    (sender.unwrap(), receiver)
}

/// 50 MiB come whole though no frame is larger than 512 octets, to a receiver that takes no longer message.
#[tokio::test]
async fn b_007_fifty_mebibytes_in_frames_of_512_octets() {
    let small_frames = || ConnectionOptions::default().max_frame_size(512);
    let listener = ListenerOptions::default().connection(small_frames());
    let pair = Pair::with(small_frames(), listener).await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let body: Vec<u8> = (0..50 << 20)
        .map(|position| (position % 251) as u8)
        .collect();
    let message = Message::data(body.clone());
    let (outcome, ()) = tokio::join!(sender.send(message), async {
        let delivery = receiver.recv().await.unwrap();
        let Body::Data(octets) = delivery.message().unwrap().body else {
            panic!("octets")
        };
        assert!(octets == body);
        delivery.accept().unwrap();
    });
    assert!(outcome.unwrap().is_accepted());
}

#[tokio::test]
async fn a_message_goes_through_and_its_outcome_comes_back() {
    let pair = Pair::new().await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let receipt = sender.send_with_receipt("hello").await.unwrap();
    let delivery = receiver.recv().await.unwrap();
    assert_eq!(delivery.message().unwrap(), Message::from("hello"));
    delivery.accept().unwrap();
    assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    pair.client.close().await.unwrap();
}

#[tokio::test]
async fn a_delivery_of_a_link_that_has_ended_is_not_settled_by_trying_again() {
    let pair = Pair::new().await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let _receipt = sender.send_with_receipt("hello").await.unwrap();
    let delivery = receiver.recv().await.unwrap();
    receiver.close().await.unwrap();
    for _ in 0..2 {
        delivery.accept().unwrap_err();
        assert!(!delivery.is_settled());
    }
}

#[tokio::test]
async fn a_message_of_many_frames_arrives_whole() {
    let pair = Pair::new().await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let body: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let (outcome, ()) = tokio::join!(sender.send(body.clone()), async {
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(
            delivery.message().unwrap().body,
            Body::Data(body.clone().into())
        );
        delivery.release().unwrap();
    });
    assert_eq!(outcome.unwrap(), Outcome::Released);
    pair.client.close().await.unwrap();
}

#[tokio::test]
async fn thousands_in_flight_arrive_once_and_in_order() {
    let pair = Pair::new().await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let sending = tokio::spawn(async move {
        let mut receipts = Vec::new();
        for n in 0..5000u32 {
            receipts.push(
                sender
                    .send_with_receipt(n.to_be_bytes().to_vec())
                    .await
                    .unwrap(),
            );
        }
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        }
    });
    for n in 0..5000u32 {
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(
            delivery.message().unwrap().body,
            Body::Data(n.to_be_bytes().to_vec().into())
        );
        delivery.accept().unwrap();
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn the_other_direction_works_too() {
    let pair = Pair::new().await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let (receiver, accepted) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(AcceptLinkOptions::default()).await.unwrap()
        }
    );
    let (receiver, AcceptedLink::Sender(sender)) = (receiver.unwrap(), accepted) else {
        panic!("a sender")
    };
    for n in 0..10 {
        sender.send_settled(format!("{n}")).await.unwrap();
    }
    let batch = receiver
        .recv_batch(10, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(batch.len(), 10);
    assert!(batch.iter().all(amqp10::Delivery::is_settled));
    assert!(
        receiver
            .recv_batch(10, Duration::from_millis(20))
            .await
            .unwrap()
            .is_empty()
    );
    receiver.drain().await.unwrap();
    receiver.close().await.unwrap();
}

#[tokio::test]
async fn a_listener_too_says_how_many_octets_may_wait_and_what_it_would_use() {
    let pair = Pair::new().await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let extension = Symbol::from_static("example:extension");
    let options = AcceptLinkOptions::default()
        .prefetch_bytes(64 * 1024)
        .desired_capabilities([extension.clone()]);
    let (sender, _receiver) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(options).await.unwrap()
        }
    );
    let sender = sender.unwrap();
    assert_eq!(sender.remote_attach().desired_capabilities, [extension]);
    drop(sender.reserve().await.unwrap());
    assert_eq!(sender.credit(), 1, "no delivery has shown its size");
}

#[tokio::test]
async fn a_batch_waits_for_all_that_is_granted() {
    let pair = Pair::new().await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let options = ReceiverOptions::default().credit(Credit::Manual);
    let (receiver, accepted) = tokio::join!(session.attach_receiver("node", options), async {
        let link = pair.server.accept_link().await.unwrap();
        link.accept(AcceptLinkOptions::default()).await.unwrap()
    });
    let (receiver, AcceptedLink::Sender(sender)) = (receiver.unwrap(), accepted) else {
        panic!("a sender")
    };
    receiver.add_credit(2).unwrap();
    let sending = async {
        sender.send_settled("first").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        sender.send_settled("second").await.unwrap();
    };
    let long = Duration::from_secs(60);
    let (batch, ()) = tokio::join!(receiver.recv_batch(10, long), sending);
    assert_eq!(batch.unwrap().len(), 2);
}

#[tokio::test]
async fn debug_shows_neither_tokens_nor_payloads() {
    const SECRET: &str = "SharedAccessSignature-sr-sig";
    let pair = Pair::new().await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let message = OutgoingMessage::from(SECRET);
    let shown = format!("{message:?}");
    let receipts = [
        sender.send_with_receipt(message).await.unwrap(),
        sender.send_with_receipt(SECRET).await.unwrap(),
    ];
    let delivery = receiver.recv().await.unwrap(); // the second one stays in the queue
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let handles = format!(
        "{:?} {:?} {sender:?} {receiver:?} {delivery:?} {receipts:?} {session:?} {:?}",
        pair.client,
        pair.server,
        receiver.stream(),
    );
    for shown in [shown, handles] {
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.contains("SharedAccess"), "{shown}");
        assert!(shown.len() < 2000, "{shown}");
    }
}

#[tokio::test]
async fn watching_for_the_end_at_each_turn_keeps_nothing() {
    let pair = Pair::new().await;
    let (sender, _receiver) = sender_and_receiver(&pair).await;
    for _ in 0..100 {
        let (connection, sender) = (pair.client.clone(), sender.clone());
        let turn = tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = connection.closed() => panic!("the connection lives"),
                _ = sender.detached() => panic!("the link lives"),
                () = tokio::task::yield_now() => {}
            }
        });
        turn.await.unwrap();
    }
    assert!(!sender.is_detached());
    assert!(!pair.client.is_closed());
    pair.client.close().await.unwrap();
    assert!(sender.is_detached());
}

/// A receiver of the client's on `session`, and the sender that feeds it.
async fn fed_receiver(pair: &Pair, session: &Session) -> (Receiver, Sender) {
    let (receiver, accepted) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(AcceptLinkOptions::default()).await.unwrap()
        }
    );
    let AcceptedLink::Sender(sender) = accepted else {
        panic!("a sender")
    };
    (receiver.unwrap(), sender)
}

#[tokio::test]
async fn a_large_delivery_leaves_frames_of_a_small_window_to_others() {
    let client = ConnectionOptions::default().max_frame_size(512);
    let pair = Pair::with(client, ListenerOptions::default()).await;
    let options = SessionOptions::default().incoming_window(4);
    let session = pair.client.begin(options).await.unwrap();
    let (large_receiver, large) = fed_receiver(&pair, &session).await;
    let (small_receiver, small) = fed_receiver(&pair, &session).await;
    let huge = tokio::spawn(async move { large.send(vec![7; 4 << 20]).await });
    tokio::spawn(async move { large_receiver.recv().await.unwrap().accept() });
    tokio::spawn(async move {
        while let Ok(delivery) = small_receiver.recv().await {
            let _ = delivery.accept();
        }
    });
    // In a task of its own: tokio polls the test's future less often than tasks.
    let small_ones = tokio::spawn(async move {
        for n in 0..100 {
            let _ = small.send(format!("{n}")).await.unwrap();
        }
    });
    small_ones.await.unwrap();
    assert!(
        !huge.is_finished(),
        "the small ones waited for the large one"
    );
    assert_eq!(huge.await.unwrap().unwrap(), Outcome::Accepted);
}

/// A sender of the client, a receiver of the listener, and one delivery between them.
async fn delivered(pair: &Pair) -> (Sender, Receiver, amqp10::Delivery) {
    let (sender, receiver) = sender_and_receiver(pair).await;
    drop(sender.send_with_receipt("x").await.unwrap());
    let delivery = receiver.recv().await.unwrap();
    (sender, receiver, delivery)
}

/// A transaction that the listener declares, on a session that the client began, with a coordinator of few talents.
async fn declared_by_listener(pair: &Pair, session: &Session) -> (ControlLink, Transaction) {
    let options = TransactionControllerOptions::default();
    let (controller, control) =
        tokio::join!(TransactionController::attach(session, options), async {
            let link = pair.client.accept_link().await.unwrap();
            let local = [capability::LOCAL_TRANSACTIONS];
            ControlLink::accept(link, local).await.unwrap()
        });
    let controller = controller.unwrap();
    let (transaction, ()) = tokio::join!(controller.declare(), async {
        match control.recv().await.unwrap() {
            TransactionRequest::Declare(declare) => declare.declared("t").unwrap(),
            other => panic!("{other:?}"),
        }
    });
    (control, transaction.unwrap())
}

#[tokio::test]
async fn x_007_a_transaction_is_good_in_its_session_whoever_began_that() {
    let pair = Pair::new().await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let (client, (link_session, server)) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            let session = link.session().clone();
            let accepted = link.accept(AcceptLinkOptions::default()).await.unwrap();
            (session, accepted)
        }
    );
    let (_client, AcceptedLink::Sender(sender)) = (client.unwrap(), server) else {
        panic!("a sender")
    };
    let (_control, transaction) = declared_by_listener(&pair, &link_session).await;
    transaction.send_settled(&sender, "x").await.unwrap();

    let (_sender, receiver, delivery) = delivered(&pair).await;
    let refused = [
        transaction.acquire(&receiver).unwrap_err(),
        transaction.accept(delivery).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, TransactionError::AnotherSession), "{error}");
    }
}
