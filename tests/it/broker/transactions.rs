//! The broker as a resource of transactions.

use amqp10::codec::transaction::{Coordinator, Declare, Discharge};
use amqp10::codec::{
    Attach, Disposition, Encode, Flow, Message, Outcome, Performative, Properties,
    ReceiverSettleMode, Role, Source, Target, TransactionalState, Transfer, Value, Writer,
};
use amqp10::transaction::{
    Transaction, TransactionController, TransactionControllerOptions, TransactionError, capability,
};
use amqp10::{DeliveryState, Symbol, TargetArchetype, condition};
use bytes::{Bytes, BytesMut};

use super::wire::scripted;
use super::*;
use crate::support::peer::{self, HANDLE, Peer};

async fn declare(session: &Session) -> (TransactionController, Transaction) {
    let controller =
        TransactionController::attach(session, TransactionControllerOptions::default())
            .await
            .unwrap();
    let transaction = controller.declare().await.unwrap();
    (controller, transaction)
}

fn condition_of(error: &TransactionError) -> Symbol {
    error.remote_error().expect("no reason").condition.clone()
}

#[tokio::test(start_paused = true)]
async fn x_005_x_006_the_coordinator_says_what_it_can() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (controller, _transaction) = declare(&session).await;
    for capability in [
        capability::LOCAL_TRANSACTIONS,
        capability::MULTI_SSNS_PER_TXN,
        capability::MULTI_TXNS_PER_SSN,
    ] {
        assert!(controller.capabilities().contains(&capability));
    }
}

#[tokio::test(start_paused = true)]
async fn x_021_x_022_x_036_what_is_posted_is_seen_after_the_commit() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let sender = sender(&session, "orders").await;
    let outcome = transaction.send(&sender, "a").await.unwrap();
    assert_eq!(outcome, Outcome::Accepted);
    transaction.send_settled(&sender, "b").await.unwrap();
    let receiver = receiver(&session, "orders").await;
    expect_nothing(&receiver).await;
    transaction.commit().await.unwrap();
    assert_eq!(taken(&receiver).await, "a");
    assert_eq!(taken(&receiver).await, "b");
}

#[tokio::test(start_paused = true)]
async fn x_021_what_is_posted_is_gone_after_a_rollback() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let sender = sender(&session, "orders").await;
    let outcome = transaction.send(&sender, "a").await.unwrap();
    assert_eq!(outcome, Outcome::Accepted);
    transaction.rollback().await.unwrap();
    expect_nothing(&receiver(&session, "orders").await).await;
    assert!(sender.send("b").await.unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn x_024_x_026_a_commit_retires() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for text in ["a", "b"] {
        assert!(sender.send(text).await.unwrap().is_accepted());
    }
    let receiver = receiver(&session, "orders").await;
    let (_controller, transaction) = declare(&session).await;
    transaction.accept(next(&receiver).await).unwrap();
    let second = next(&receiver).await;
    transaction
        .retire(second, Outcome::Rejected(Default::default()))
        .unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(2));
    transaction.commit().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(0));
    assert_eq!(broker.depth("dead-letters"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_026_x_027_after_a_rollback_deliveries_are_still_acquired() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let mine = receiver(&session, "orders").await;
    let (controller, transaction) = declare(&session).await;
    transaction.accept(next(&mine).await).unwrap();
    let mut deliveries = transaction.rollback().await.unwrap();
    let other = receiver(&session, "orders").await;
    expect_nothing(&other).await;
    let again = controller.declare().await.unwrap();
    again.accept(deliveries.pop().unwrap()).unwrap();
    again.commit().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn x_026_a_delivery_whose_link_was_closed_is_still_retired() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let receiver = receiver(&session, "orders").await;
    let (_controller, transaction) = declare(&session).await;
    transaction.accept(next(&receiver).await).unwrap();
    receiver.close().await.unwrap();
    transaction.commit().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders").unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn x_028_x_030_x_033_messages_are_acquired_for_a_transaction() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    assert!(sender.send("a").await.unwrap().is_accepted());
    for is_committed in [false, true] {
        let receiver = receiver_with(&session, "orders", manual()).await;
        let (_controller, transaction) = declare(&session).await;
        transaction.acquire(&receiver).unwrap();
        receiver.add_credit(10).unwrap();
        let delivery = next(&receiver).await;
        let Some(DeliveryState::Transactional(state)) = delivery.state() else {
            panic!("{delivery:?}")
        };
        assert_eq!(state.txn_id, transaction.id());
        transaction.accept(delivery).unwrap();
        match is_committed {
            true => transaction.commit().await.unwrap(),
            false => drop(transaction.rollback().await.unwrap()),
        }
        receiver.close().await.unwrap();
        settle_down().await;
        let left = broker.depth("orders");
        assert_eq!(left, Some(if is_committed { 0 } else { 1 }));
    }
}

#[tokio::test(start_paused = true)]
async fn x_003_the_end_of_the_control_link_rolls_back() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let (controller, transaction) = declare(&session).await;
    let sender = sender(&session, "orders").await;
    transaction.send_settled(&sender, "b").await.unwrap();
    controller.close().await.unwrap();
    let receiver = receiver(&session, "orders").await;
    assert_eq!(taken(&receiver).await, "a");
    expect_nothing(&receiver).await;
    let posted = transaction.send(&sender, "c").await;
    assert!(!matches!(posted, Ok(Outcome::Accepted)), "{posted:?}");
}

#[tokio::test(start_paused = true)]
async fn x_034_a_settled_posting_that_goes_nowhere_fails_the_commit() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let anywhere = sender(&session, "").await;
    let to = |address: &str| {
        Message::from("a").with_properties(Properties {
            to: Some(address.into()),
            ..Properties::default()
        })
    };
    for address in ["orders", "no-such"] {
        let sent = transaction.send_settled(&anywhere, to(address)).await;
        sent.unwrap();
    }
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(condition_of(&error), condition::TRANSACTION_ROLLBACK);
    expect_nothing(&receiver(&session, "orders").await).await;
}

#[tokio::test(start_paused = true)]
async fn x_035_what_cannot_be_applied_any_more_fails_the_commit() {
    let broker = broker_with(BrokerOptions::default().max_queue_messages(1)).await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let sender = sender(&session, "orders").await;
    let outcome = transaction.send(&sender, "a").await.unwrap();
    assert_eq!(outcome, Outcome::Accepted);
    assert!(sender.send("faster").await.unwrap().is_accepted());
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(condition_of(&error), condition::TRANSACTION_ROLLBACK);
    assert_eq!(broker.depth("orders"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_022_a_posting_that_cannot_be_done_says_so_and_the_rest_commits() {
    let broker = broker_with(BrokerOptions::default().max_transaction_bytes(5000)).await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let sender = sender(&session, "orders").await;
    let large = || Message::data(vec![0; 3000]);
    let first = transaction.send(&sender, large()).await.unwrap();
    assert_eq!(first, Outcome::Accepted);
    let second = transaction.send(&sender, large()).await.unwrap();
    assert!(matches!(second, Outcome::Rejected(_)));
    transaction.commit().await.unwrap();
    assert_eq!(broker.depth("orders"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_035_a_queue_needs_room_for_its_own_postings_only() {
    let broker = broker_with(BrokerOptions::default().max_queue_messages(2)).await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    for queue in ["orders", "bills"] {
        let sender = sender(&session, queue).await;
        for _ in 0..2 {
            let outcome = transaction.send(&sender, "x").await.unwrap();
            assert_eq!(outcome, Outcome::Accepted);
        }
        let outcome = transaction.send(&sender, "too many").await.unwrap();
        assert!(matches!(outcome, Outcome::Rejected(_)));
    }
    transaction.commit().await.unwrap();
    assert_eq!(broker.depth("orders"), Some(2));
    assert_eq!(broker.depth("bills"), Some(2));
}

#[tokio::test(start_paused = true)]
async fn x_035_all_postings_together_need_room_in_the_broker() {
    let broker = broker_with(BrokerOptions::default().max_bytes(5000)).await;
    let session = session(&broker).await;
    let (_controller, transaction) = declare(&session).await;
    let (orders, bills) = (
        sender(&session, "orders").await,
        sender(&session, "bills").await,
    );
    let large = || Message::data(vec![0; 3000]);
    let first = transaction.send(&orders, large()).await.unwrap();
    assert_eq!(first, Outcome::Accepted);
    let second = transaction.send(&bills, large()).await.unwrap();
    assert!(matches!(second, Outcome::Rejected(_)));
    transaction.commit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_016_a_rollback_always_succeeds() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (controller, transaction) = declare(&session).await;
    let anywhere = sender(&session, "").await;
    // It could not be committed any more.
    transaction
        .send_settled(&anywhere, "nowhere")
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    controller.declare().await.unwrap().commit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_024_a_delivery_that_came_settled_cannot_be_retired() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let options = ReceiverOptions::default().snd_settle_mode(amqp10::SenderSettleMode::Settled);
    let receiver = receiver_with(&session, "orders", options).await;
    let (_controller, transaction) = declare(&session).await;
    let error = transaction.accept(next(&receiver).await).unwrap_err();
    assert!(matches!(error, TransactionError::AlreadySettled), "{error}");
    transaction.commit().await.unwrap();
}

// ---- frames that no controller of ours would send

const WORK: u32 = HANDLE + 1;

fn encoded(request: &impl Encode) -> Bytes {
    let mut octets = BytesMut::from(&b"\x00\x53\x77"[..]);
    let mut writer = Writer::new(&mut octets);
    request.encode(&mut writer);
    writer.finish().unwrap();
    octets.freeze()
}

/// A peer with a control link, and a transaction that it has declared. Its next delivery-id is 1.
async fn scripted_transaction(broker: &Broker) -> (Peer, Bytes) {
    let mut peer = scripted(broker).await;
    let asked = Attach {
        target: Some(TargetArchetype::Coordinator(Coordinator::default())),
        ..peer::attach_sender("control")
    };
    peer.send(asked).await;
    peer.expect_attach().await;
    peer.expect_flow().await;
    let id = declared(&mut peer, 0).await;
    (peer, id)
}

async fn declared(peer: &mut Peer, delivery_id: u32) -> Bytes {
    peer.send_transfer(peer::transfer(delivery_id), &encoded(&Declare::default()))
        .await;
    match peer.expect_disposition().await.state {
        Some(DeliveryState::Outcome(Outcome::Declared(declared))) => declared.txn_id,
        other => panic!("{other:?}"),
    }
}

async fn discharge(peer: &mut Peer, delivery_id: u32, txn_id: &Bytes, fail: bool) {
    let discharge = Discharge {
        txn_id: txn_id.clone(),
        fail,
    };
    peer.send_transfer(peer::transfer(delivery_id), &encoded(&discharge))
        .await;
}

async fn attach_work(peer: &mut Peer, role: Role) {
    let attach = match role {
        Role::Sender => peer::attach_sender("work"),
        Role::Receiver => peer::attach_receiver("work"),
    };
    attach_as(peer, attach).await;
}

/// Attaches the second link as a sender, such that the broker settles in this mode.
async fn attach_posting(peer: &mut Peer, rcv_settle_mode: ReceiverSettleMode) {
    let attach = Attach {
        rcv_settle_mode,
        ..peer::attach_sender("work")
    };
    attach_as(peer, attach).await;
}

async fn attach_as(peer: &mut Peer, attach: Attach) {
    let role = attach.role;
    peer.send(Attach {
        handle: WORK,
        source: Some(Source::new("orders")),
        target: Some(Target::new("orders").into()),
        ..attach
    })
    .await;
    peer.expect_attach().await;
    if role == Role::Sender {
        peer.expect_flow().await;
    }
}

/// Grants credit on the second link.
fn grant(peer: &Peer, link_credit: u32) -> Flow {
    Flow {
        handle: Some(WORK),
        delivery_count: Some(0),
        link_credit: Some(link_credit),
        ..peer.flow()
    }
}

fn in_transaction(txn_id: &Bytes, outcome: Option<Outcome>) -> DeliveryState {
    DeliveryState::Transactional(Box::new(TransactionalState {
        txn_id: txn_id.clone(),
        outcome,
    }))
}

fn posting(delivery_id: u32, txn_id: &Bytes) -> Transfer {
    Transfer {
        handle: WORK,
        state: Some(in_transaction(txn_id, None)),
        ..peer::transfer(delivery_id)
    }
}

fn rejected_with(state: Option<DeliveryState>) -> Symbol {
    match state {
        Some(DeliveryState::Outcome(Outcome::Rejected(rejected))) => {
            rejected.error.unwrap().condition
        }
        other => panic!("{other:?}"),
    }
}

fn message() -> Bytes {
    Message::from("a").to_bytes().unwrap()
}

#[tokio::test(start_paused = true)]
async fn x_022_the_outcome_is_stated_before_the_discharge_is_accepted() {
    let broker = broker().await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Sender).await;
    // Both at once: the peer does not wait for the first answer.
    peer.send_transfer(posting(1, &txn_id), &message()).await;
    discharge(&mut peer, 2, &txn_id, false).await;
    // In mode first that settles it, and a controller that waits for it discharges.
    let stated = peer.expect_disposition().await;
    assert_eq!((stated.first, stated.settled), (1, true));
    let accepted = in_transaction(&txn_id, Some(Outcome::Accepted));
    assert_eq!(stated.state, Some(accepted));
    let discharged = peer.expect_disposition().await;
    assert_eq!((discharged.first, discharged.settled), (2, true));
    assert_eq!(discharged.state, Some(Outcome::Accepted.into()));
    assert_eq!(broker.depth("orders"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_022_x_036_in_mode_second_a_posting_is_settled_after_the_discharge() {
    let broker = broker().await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_posting(&mut peer, ReceiverSettleMode::Second).await;
    peer.send_transfer(posting(1, &txn_id), &message()).await;
    let stated = peer.expect_disposition().await;
    assert_eq!((stated.first, stated.settled), (1, false));
    let accepted = in_transaction(&txn_id, Some(Outcome::Accepted));
    assert_eq!(stated.state, Some(accepted));
    discharge(&mut peer, 2, &txn_id, false).await;
    let applied = peer.expect_disposition().await;
    assert_eq!((applied.first, applied.settled), (1, false));
    assert_eq!(applied.state, Some(Outcome::Accepted.into()));
    assert_eq!(broker.depth("orders"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_017_x_023_x_039_an_unknown_id_is_refused() {
    let broker = broker().await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    assert!(txn_id.len() <= 32);
    attach_work(&mut peer, Role::Sender).await;
    let unknown = Bytes::from_static(b"unknown");
    let expected = condition::TRANSACTION_UNKNOWN_ID;
    peer.send_transfer(posting(1, &unknown), &message()).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(rejected_with(answer.state), expected);
    discharge(&mut peer, 2, &unknown, false).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(rejected_with(answer.state), expected);
    // A discharge counts once.
    discharge(&mut peer, 3, &txn_id, false).await;
    peer.expect_disposition().await;
    discharge(&mut peer, 4, &txn_id, false).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(rejected_with(answer.state), expected);
}

#[tokio::test(start_paused = true)]
async fn x_016_a_rollback_of_an_unknown_id_is_refused() {
    let broker = broker().await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    discharge(&mut peer, 1, &txn_id, true).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(answer.state, Some(Outcome::Accepted.into()));
    for (delivery_id, txn_id) in [(2, &txn_id), (3, &Bytes::from_static(b"unknown"))] {
        discharge(&mut peer, delivery_id, txn_id, true).await;
        let answer = peer.expect_disposition().await;
        assert_eq!(
            rejected_with(answer.state),
            condition::TRANSACTION_UNKNOWN_ID
        );
    }
}

#[tokio::test(start_paused = true)]
async fn x_022_a_posting_that_is_not_kept_has_its_outcome_at_once() {
    let broker = broker_with(BrokerOptions::default().max_transaction_bytes(5000)).await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Sender).await;
    let large = Message::data(vec![0; 6000]).to_bytes().unwrap();
    peer.send_transfer(posting(1, &txn_id), &large).await;
    let answer = peer.expect_disposition().await;
    assert!(answer.settled);
    let limit = condition::RESOURCE_LIMIT_EXCEEDED;
    assert_eq!(rejected_with(answer.state), limit);
    // Settled, there is nobody to tell: the transaction has failed.
    let settled = Transfer {
        settled: Some(true),
        ..posting(2, &txn_id)
    };
    peer.send_transfer(settled, &large).await;
    discharge(&mut peer, 3, &txn_id, false).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(rejected_with(answer.state), condition::TRANSACTION_ROLLBACK);
}

#[tokio::test(start_paused = true)]
async fn x_032_a_rollback_aborts_what_is_half_sent_before_it_is_answered() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", Message::data(vec![0; 200_000])).await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Receiver).await;
    let id = Value::Binary(txn_id.clone());
    let one_frame = Flow {
        incoming_window: 1,
        properties: amqp10::Fields::new().with(Symbol::from_static("txn-id"), id),
        ..grant(&peer, 1)
    };
    peer.send(one_frame).await;
    let (first, _) = peer.expect_transfer().await;
    assert!(first.more);
    discharge(&mut peer, 1, &txn_id, true).await;
    // There is no room yet to say that the delivery is aborted.
    peer.expect_nothing().await;
    let room = peer.flow();
    peer.send(room).await;
    let (last, payload) = peer.expect_transfer().await;
    assert_eq!((last.aborted, last.more, payload.len()), (true, false, 0));
    let answer = peer.expect_disposition().await;
    assert_eq!((answer.role, answer.first), (Role::Receiver, 1));
    assert_eq!(answer.state, Some(Outcome::Accepted.into()));
    let receiver = receiver(&session, "orders").await;
    assert_eq!(next(&receiver).await.message().unwrap().body_len(), 200_000);
}

#[tokio::test(start_paused = true)]
async fn x_020_a_discharge_over_half_a_message_ends_the_control_link() {
    let broker = broker().await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Sender).await;
    let first = Transfer {
        more: true,
        ..posting(1, &txn_id)
    };
    peer.send_transfer(first, &message()).await;
    discharge(&mut peer, 2, &txn_id, false).await;
    peer.expect_detach_with(condition::TRANSACTION_ROLLBACK)
        .await;
    assert_eq!(broker.depth("orders"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn x_025_one_delivery_in_two_transactions_ends_the_control_link() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let (mut peer, first) = scripted_transaction(&broker).await;
    let second = declared(&mut peer, 1).await;
    attach_work(&mut peer, Role::Receiver).await;
    let flow = grant(&peer, 10);
    peer.send(flow).await;
    let (transfer, _) = peer.expect_transfer().await;
    for txn_id in [&first, &second] {
        peer.send(Disposition {
            settled: false,
            state: Some(in_transaction(txn_id, Some(Outcome::Accepted))),
            ..peer::accept_one(transfer.delivery_id.unwrap())
        })
        .await;
        settle_down().await;
    }
    peer.expect_detach_with(condition::TRANSACTION_ROLLBACK)
        .await;
    assert_eq!(broker.depth("orders"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn x_037_settled_at_once_and_rolled_back_gets_the_default_outcome() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let (mut peer, txn_id) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Receiver).await;
    let flow = grant(&peer, 1);
    peer.send(flow).await;
    let (transfer, _) = peer.expect_transfer().await;
    peer.send(Disposition {
        settled: true,
        state: Some(in_transaction(&txn_id, Some(Outcome::Accepted))),
        ..peer::accept_one(transfer.delivery_id.unwrap())
    })
    .await;
    discharge(&mut peer, 1, &txn_id, true).await;
    let answer = peer.expect_disposition().await;
    assert_eq!(answer.state, Some(Outcome::Accepted.into()));
    let receiver = receiver(&session, "orders").await;
    assert_eq!(taken(&receiver).await, "a");
}

#[tokio::test(start_paused = true)]
async fn x_028_acquisition_for_an_unknown_transaction_ends_the_link() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let (mut peer, _) = scripted_transaction(&broker).await;
    attach_work(&mut peer, Role::Receiver).await;
    let unknown = Value::Binary(Bytes::from_static(b"unknown"));
    let flow = Flow {
        properties: amqp10::Fields::new().with(Symbol::from_static("txn-id"), unknown),
        ..grant(&peer, 1)
    };
    peer.send(flow).await;
    loop {
        match peer.expect().await {
            (_, Performative::Detach(detach), _) => {
                let condition = detach.error.unwrap().condition;
                assert_eq!(condition, condition::TRANSACTION_UNKNOWN_ID);
                break;
            }
            (_, Performative::Flow(_), _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(broker.depth("orders"), Some(1));
}
