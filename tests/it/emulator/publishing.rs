//! Publishing: single events, batches, refusals.

use amqp10::codec::{Annotations, Outcome, ReceiverSettleMode, condition};
use amqp10::{ReceiverOptions, SendError};

use super::*;

#[tokio::test]
async fn z_104_a_batch_is_stored_as_its_events_in_order() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    let events: Vec<Message> = (0..1000)
        .map(|index| Message::data(format!("event {index}")))
        .collect();
    assert_eq!(
        sender.send(batch(&events)).await.unwrap(),
        Outcome::Accepted
    );

    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    for index in 0..1000 {
        let delivery = soon(receiver.recv()).await.unwrap();
        delivery.accept().unwrap();
        assert_eq!(delivery.message_format(), 0);
        let message = delivery.message().unwrap();
        assert_eq!(text_of(&message), format!("event {index}"));
        let annotations = message.message_annotations.unwrap();
        assert_eq!(
            annotations.get("x-opt-sequence-number"),
            Some(&Value::Long(index))
        );
        assert!(matches!(
            annotations.get("x-opt-offset"),
            Some(Value::String(_))
        ));
        assert!(matches!(
            annotations.get("x-opt-enqueued-time"),
            Some(Value::Timestamp(_))
        ));
    }
}

#[tokio::test]
async fn events_of_one_key_come_back_from_one_partition_with_their_key() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders", SenderOptions::default())
        .await
        .unwrap();
    let key = Symbol::from_static("x-opt-partition-key");
    for index in 0..10 {
        // 7 hashes to partition 1 of 2.
        let annotations = Annotations::new().with(key.clone(), "7");
        let event = Message {
            message_annotations: Some(annotations),
            ..Message::data(index.to_string())
        };
        assert!(sender.send(event).await.unwrap().is_accepted());
    }
    let receiver = session
        .attach_receiver(reader_address(1), ReceiverOptions::default())
        .await
        .unwrap();
    for index in 0..10 {
        let message = soon(receiver.recv()).await.unwrap().message().unwrap();
        assert_eq!(text_of(&message), index.to_string());
        assert_eq!(
            message
                .message_annotations
                .unwrap()
                .get("x-opt-partition-key"),
            Some(&"7".into())
        );
    }
}

#[tokio::test]
async fn z_104_the_attach_says_what_clients_look_for() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let options = SenderOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let sender = session.attach_sender("orders", options).await.unwrap();
    let attach = sender.remote_attach();
    assert_eq!(attach.max_message_size, Some(1_048_576));
    assert_eq!(
        attach.rcv_settle_mode,
        ReceiverSettleMode::First,
        "such senders never settle"
    );
    assert!(attach.source.as_ref().unwrap().address.is_some());
    assert!(attach.target.is_some());
    assert!(
        soon(sender.send(Message::data("settled at once")))
            .await
            .unwrap()
            .is_accepted()
    );
}

#[tokio::test]
async fn an_event_of_almost_the_limit_passes_and_a_larger_one_is_refused() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    let almost = 1_048_576 - 100;
    assert_eq!(
        soon(sender.send(Message::data(vec![b'x'; almost])))
            .await
            .unwrap(),
        Outcome::Accepted
    );
    match soon(sender.send(Message::data(vec![b'x'; 1_048_577]))).await {
        Err(SendError::MessageTooLarge {
            limit: 1_048_576, ..
        }) => {}
        other => panic!("{other:?}"),
    }
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(
        soon(receiver.recv())
            .await
            .unwrap()
            .message()
            .unwrap()
            .body_len(),
        almost
    );
}

#[tokio::test]
async fn a_malformed_event_is_rejected_and_the_link_lives_on() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    for format in [0, BATCH_FORMAT] {
        let rubbish = OutgoingMessage::encoded(format, vec![0xff; 10]);
        match soon(sender.send(rubbish)).await.unwrap() {
            Outcome::Rejected(rejected) => {
                assert_eq!(rejected.error.unwrap().condition, condition::DECODE_ERROR)
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        soon(sender.send(Message::data("good"))).await.unwrap(),
        Outcome::Accepted
    );
}

#[tokio::test]
async fn addresses_are_taken_in_every_spelling_and_wrong_ones_refused_in_known_words() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    for address in [
        "ORDERS",
        "/orders/partitions/1",
        "amqps://localhost:15672/orders/Publishers/device-1",
    ] {
        let sender = session
            .attach_sender(address, SenderOptions::default())
            .await
            .unwrap();
        assert!(
            soon(sender.send(Message::data("x")))
                .await
                .unwrap()
                .is_accepted()
        );
    }
    let table = [
        (
            "missing",
            "amqp:not-found",
            "The messaging entity 'missing' could not be found",
        ),
        (
            "orders/Partitions/2",
            "com.microsoft:argument-out-of-range",
            "The specified partition is invalid",
        ),
        (
            "orders/ConsumerGroups/$Default/Partitions/0",
            "amqp:not-allowed",
            "takes no messages",
        ),
        ("a/b/c/d/e/f", "amqp:not-found", "not an Event Hubs address"),
    ];
    for (address, condition, words) in table {
        let error = refusal(
            session
                .attach_sender(address, SenderOptions::default())
                .await,
        );
        assert_eq!(error.condition, condition, "{address}");
        assert!(
            description(&error).contains(words),
            "{}",
            description(&error)
        );
    }
}
