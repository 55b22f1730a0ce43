//! Reading: positions, filters, owner levels, settlement.

use amqp10::codec::{Fields, ReceiverSettleMode, SenderSettleMode, condition};
use amqp10::{Credit, ReceiverOptions, RecvError};

use super::*;

fn epoch(level: i64, name: &str) -> ReceiverOptions {
    let properties = Fields::new()
        .with(Symbol::from_static("com.microsoft:epoch"), level)
        .with(Symbol::from_static("com.microsoft:receiver-name"), name);
    ReceiverOptions::default().properties(properties)
}

#[tokio::test]
async fn readers_start_where_their_selector_says() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1", "2", "3"]).await;
    let table = [
        ("amqp.annotation.x-opt-offset > '-1'", "0"),
        ("amqp.annotation.x-opt-offset > '0'", "1"),
        ("amqp.annotation.x-opt-offset >='0'", "0"),
        ("amqp.annotation.x-opt-sequence-number > '1'", "2"),
        ("amqp.annotation.x-opt-sequence-number >= '3'", "3"),
        ("amqp.annotation.x-opt-enqueued-time > '0'", "0"),
        ("amqp.annotation.x-opt-offset > '@latest'", "new"),
        ("amqp.annotation.x-opt-sequence-number > '3'", "new"),
        (
            "amqp.annotation.x-opt-enqueued-time > '99999999999999'",
            "new",
        ),
    ];
    let mut readers = Vec::new();
    for (expression, first) in table {
        let receiver = session
            .attach_receiver(reader_address(0), selector(expression))
            .await
            .unwrap();
        match first {
            // Readers of what is to come stay attached; there may be five.
            "new" => readers.push(receiver),
            _ => {
                assert_eq!(texts(&receiver, 1).await, [first], "{expression}");
                receiver.close().await.unwrap();
            }
        }
    }
    publish(&session, &["new"]).await;
    for receiver in readers {
        assert_eq!(texts(&receiver, 1).await, ["new"]);
    }
}

#[tokio::test]
async fn the_selector_is_echoed_as_it_came_with_each_descriptor() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    for descriptor in [
        Value::Ulong(0x0000_468C_0000_0004),
        Value::Ulong(0x0000_0137_0000_000A),
        Value::Symbol(Symbol::from_static("apache.org:selector-filter:string")),
    ] {
        let options = selector_with(descriptor, "amqp.annotation.x-opt-offset > -1");
        let asked = options.filter.clone();
        let receiver = session
            .attach_receiver(reader_address(0), options)
            .await
            .unwrap();
        let attach = receiver.remote_attach();
        assert_eq!(attach.source.as_ref().unwrap().filter, asked);
        assert!(attach.target.is_some());
        receiver.close().await.unwrap();
    }
}

#[tokio::test]
async fn bad_selectors_and_positions_behind_the_end_are_refused() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1"]).await;
    let behind = "The supplied sequence number '5' is invalid. The last sequence number in the system is '1'";
    let table = [
        ("amqp.annotation.x-opt-sequence-number > '5'", behind),
        (
            "amqp.annotation.x-opt-offset > '99999999'",
            "The supplied offset '99999999' is invalid",
        ),
        ("colour = 'red'", "not understood"),
    ];
    for (expression, words) in table {
        let error = refusal(
            session
                .attach_receiver(reader_address(0), selector(expression))
                .await,
        );
        assert_eq!(error.condition, "com.microsoft:argument-error");
        assert!(
            description(&error).contains(words),
            "{}",
            description(&error)
        );
    }
    let options = selector_with(Value::Ulong(1), "amqp.annotation.x-opt-offset > '-1'");
    let error = refusal(session.attach_receiver(reader_address(0), options).await);
    assert_eq!(error.condition, condition::INVALID_FIELD);
}

#[tokio::test]
async fn a_lenient_emulator_reads_old_positions_as_latest() {
    let emulator = Emulator::start(options().lenient_positions(true))
        .await
        .unwrap();
    let (_connection, session) = root(&emulator).await;
    let options = selector("amqp.annotation.x-opt-offset > '99999999'");
    let receiver = session
        .attach_receiver(reader_address(0), options)
        .await
        .unwrap();
    publish(&session, &["new"]).await;
    assert_eq!(texts(&receiver, 1).await, ["new"]);
}

#[tokio::test]
async fn groups_and_readers_are_independent_and_unknown_ones_refused() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["a", "b"]).await;
    for address in [
        "orders/ConsumerGroups/$default/Partitions/0",
        "orders/consumergroups/ANALYTICS/partitions/0",
    ] {
        let receiver = session
            .attach_receiver(address, ReceiverOptions::default())
            .await
            .unwrap();
        assert_eq!(texts(&receiver, 2).await, ["a", "b"]);
    }
    let table = [
        (
            "orders/ConsumerGroups/missing/Partitions/0",
            "amqp:not-found",
        ),
        (
            "orders/ConsumerGroups/$Default/Partitions/9",
            "com.microsoft:argument-out-of-range",
        ),
        ("orders", "amqp:not-allowed"),
    ];
    for (address, condition) in table {
        let error = refusal(
            session
                .attach_receiver(address, ReceiverOptions::default())
                .await,
        );
        assert_eq!(error.condition, condition, "{address}");
    }
}

#[tokio::test]
async fn the_newest_owner_takes_the_partition_and_the_old_one_hears_why() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let old = session
        .attach_receiver(reader_address(0), epoch(1, "old"))
        .await
        .unwrap();
    let new = session
        .attach_receiver(reader_address(0), epoch(1, "new"))
        .await
        .unwrap();
    let RecvError::Link(error) = soon(old.recv()).await.unwrap_err() else {
        panic!("not the link")
    };
    let error = error.remote_error().unwrap().clone();
    assert_eq!(error.condition, condition::STOLEN);
    let words = "New receiver 'new' with higher epoch of '1' is created hence current receiver 'old' with epoch '1' \
                 is getting disconnected.";
    assert!(
        description(&error).starts_with(words),
        "{}",
        description(&error)
    );

    let lower = session
        .attach_receiver(reader_address(0), epoch(0, "lower"))
        .await;
    assert_eq!(refusal(lower).condition, condition::STOLEN);
    let without = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await;
    assert_eq!(refusal(without).condition, condition::STOLEN);
    publish(&session, &["for the owner"]).await;
    assert_eq!(texts(&new, 1).await, ["for the owner"]);
}

#[tokio::test]
async fn five_readers_without_owner_level_share_a_partition() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(
            session
                .attach_receiver(reader_address(0), ReceiverOptions::default())
                .await
                .unwrap(),
        );
    }
    let sixth = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await;
    assert_eq!(refusal(sixth).condition, condition::RESOURCE_LIMIT_EXCEEDED);
    publish(&session, &["for all"]).await;
    for reader in &readers {
        assert_eq!(texts(reader, 1).await, ["for all"]);
    }
    // An owner level throws them all out.
    session
        .attach_receiver(reader_address(0), epoch(0, "owner"))
        .await
        .unwrap();
    for reader in &readers {
        let RecvError::Link(error) = soon(reader.recv()).await.unwrap_err() else {
            panic!("not the link")
        };
        assert_eq!(error.remote_error().unwrap().condition, condition::STOLEN);
    }
}

#[tokio::test]
async fn a_reader_that_never_settles_gets_everything() {
    const EVENTS: usize = 6000;
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    let events: Vec<Message> = (0..EVENTS)
        .map(|index| Message::data(index.to_string()))
        .collect();
    assert!(sender.send(batch(&events)).await.unwrap().is_accepted());
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    // Kept, so that nothing is settled by dropping it either.
    let mut deliveries = Vec::new();
    while deliveries.len() < EVENTS {
        deliveries.push(soon(receiver.recv()).await.unwrap());
    }
    assert!(deliveries.iter().all(|delivery| !delivery.is_settled()));
    assert_eq!(text(&deliveries[EVENTS - 1]), (EVENTS - 1).to_string());
}

#[tokio::test]
async fn settled_deliveries_come_settled_and_other_modes_are_served() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1"]).await;
    let settled = ReceiverOptions::default().snd_settle_mode(SenderSettleMode::Settled);
    let receiver = session
        .attach_receiver(reader_address(0), settled)
        .await
        .unwrap();
    assert!(soon(receiver.recv()).await.unwrap().is_settled());
    let second = ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let receiver = session
        .attach_receiver(reader_address(0), second)
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 2).await, ["0", "1"]);
}

#[tokio::test]
async fn released_or_rejected_events_are_not_sent_again() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1", "2"]).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    soon(receiver.recv()).await.unwrap().release().unwrap();
    soon(receiver.recv()).await.unwrap().reject(None).unwrap();
    assert_eq!(texts(&receiver, 1).await, ["2"]);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), receiver.recv())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn events_are_sent_at_the_pace_of_credit_and_a_drain_ends_it() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1", "2"]).await;
    let manual = ReceiverOptions::default().credit(Credit::Manual);
    let receiver = session
        .attach_receiver(reader_address(0), manual)
        .await
        .unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(50), receiver.recv())
            .await
            .is_err()
    );
    receiver.add_credit(2).unwrap();
    assert_eq!(texts(&receiver, 2).await, ["0", "1"]);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), receiver.recv())
            .await
            .is_err()
    );
    receiver.add_credit(10).unwrap();
    assert_eq!(texts(&receiver, 1).await, ["2"]);
    soon(receiver.drain()).await.unwrap();
    assert_eq!(receiver.credit(), 0);
}

#[tokio::test]
async fn the_end_of_the_partition_is_told_to_those_who_asked() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["0", "1", "2"]).await;
    let capability = Symbol::from_static("com.microsoft:enable-receiver-runtime-metric");
    let options = ReceiverOptions::default().desired_capabilities([capability.clone()]);
    let receiver = session
        .attach_receiver(reader_address(0), options)
        .await
        .unwrap();
    assert_eq!(receiver.remote_attach().offered_capabilities, [capability]);
    let annotations = soon(receiver.recv())
        .await
        .unwrap()
        .message()
        .unwrap()
        .delivery_annotations
        .unwrap();
    assert_eq!(
        annotations.get("last_enqueued_sequence_number"),
        Some(&Value::Long(2))
    );
    assert!(matches!(
        annotations.get("last_enqueued_offset"),
        Some(Value::String(_))
    ));
    assert!(matches!(
        annotations.get("last_enqueued_time_utc"),
        Some(Value::Timestamp(_))
    ));
    assert!(matches!(
        annotations.get("runtime_info_retrieval_time_utc"),
        Some(Value::Timestamp(_))
    ));

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
            .delivery_annotations,
        None
    );
}
