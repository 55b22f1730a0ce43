//! Transactions [4], as controller and as resource.

use amqp10::codec::transaction::{Coordinator, Declare, Declared, Discharge};
use amqp10::codec::{
    Attach, Close, Decode, Disposition, Encode, End, Flow, Message, Performative, Reader, Role,
    TransactionalState, Transfer, Value, Writer, condition,
};
use amqp10::transaction::{
    ControlLink, Transaction, TransactionController, TransactionControllerOptions,
    TransactionError, TransactionRequest, capability,
};
use amqp10::{
    AcceptLinkOptions, AmqpError, Connection, Credit, Delivery, DeliveryState, LinkError, Outcome,
    Receiver, ReceiverOptions, Rejected, Sender, SenderOptions, Session, Symbol, TargetArchetype,
};
use bytes::{Bytes, BytesMut};

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

/// The handle of the peer's second link, after the control link.
const WORK: u32 = HANDLE + 1;

const TXN: Bytes = Bytes::from_static(b"txn-1");

fn in_transaction(outcome: Option<Outcome>) -> DeliveryState {
    DeliveryState::Transactional(Box::new(TransactionalState {
        txn_id: TXN,
        outcome,
    }))
}

fn several() -> Vec<Symbol> {
    vec![
        capability::LOCAL_TRANSACTIONS,
        capability::MULTI_TXNS_PER_SSN,
        capability::MULTI_SSNS_PER_TXN,
    ]
}

fn encoded(request: &impl Encode) -> Bytes {
    let mut octets = BytesMut::from(&b"\x00\x53\x77"[..]);
    let mut writer = Writer::new(&mut octets);
    request.encode(&mut writer);
    writer.finish().unwrap();
    octets.freeze()
}

fn decoded<T: Decode>(payload: &Bytes) -> T {
    assert_eq!(&payload[..3], b"\x00\x53\x77", "one amqp-value section");
    T::decode(&mut Reader::new(payload.slice(3..))).unwrap()
}

/// The peer answers the attach of the control link with these capabilities, and gives credit.
async fn answer_control_link(peer: &mut Peer, capabilities: Vec<Symbol>) -> Attach {
    let asked = peer.expect_attach().await;
    let answer = Attach {
        target: Some(TargetArchetype::Coordinator(Coordinator { capabilities })),
        ..peer::answer_to(&asked)
    };
    peer.send(answer).await;
    peer.grant(0, 100).await;
    asked
}

async fn controller_with(
    options: TransactionControllerOptions,
    capabilities: Vec<Symbol>,
) -> (
    Peer,
    Session,
    Result<TransactionController, TransactionError>,
) {
    let (mut peer, session) = scene::session().await;
    let (controller, _) = tokio::join!(
        TransactionController::attach(&session, options),
        answer_control_link(&mut peer, capabilities)
    );
    (peer, session, controller)
}

async fn controller() -> (Peer, Session, TransactionController) {
    let (peer, session, controller) =
        controller_with(TransactionControllerOptions::default(), several()).await;
    (peer, session, controller.unwrap())
}

/// A controller that may make so many requests.
async fn controller_with_credit(credit: u32) -> (Peer, Session, TransactionController) {
    let (mut peer, session) = scene::session().await;
    let attaching =
        TransactionController::attach(&session, TransactionControllerOptions::default());
    let (controller, ()) = tokio::join!(attaching, async {
        let asked = peer.expect_attach().await;
        let target = Coordinator {
            capabilities: several(),
        };
        peer.send(Attach {
            target: Some(TargetArchetype::Coordinator(target)),
            ..peer::answer_to(&asked)
        })
        .await;
        peer.grant(0, credit).await;
    });
    (peer, session, controller.unwrap())
}

/// The peer takes a request and gives it this outcome.
async fn answer_request(peer: &mut Peer, outcome: Outcome) -> Bytes {
    let (transfer, payload) = peer.expect_transfer().await;
    let id = transfer.delivery_id.unwrap();
    peer.send(peer::settle(id, id, outcome)).await;
    payload
}

fn declared() -> Outcome {
    Outcome::Declared(Declared { txn_id: TXN })
}

async fn declare(peer: &mut Peer, controller: &TransactionController) -> Transaction {
    let (transaction, _) = tokio::join!(controller.declare(), answer_request(peer, declared()));
    transaction.unwrap()
}

/// A sender of ours on the peer's second handle, with credit.
async fn work_sender(peer: &mut Peer, session: &Session) -> Sender {
    let (sender, ()) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: WORK,
                ..peer::answer_to(&asked)
            })
            .await;
            let flow = Flow {
                handle: Some(WORK),
                delivery_count: Some(0),
                link_credit: Some(100),
                ..peer.flow()
            };
            peer.send(flow).await;
        }
    );
    sender.unwrap()
}

/// A receiver of ours on the peer's second handle.
async fn work_receiver(peer: &mut Peer, session: &Session, options: ReceiverOptions) -> Receiver {
    let (receiver, ()) = tokio::join!(session.attach_receiver("node", options), async {
        let asked = peer.expect_attach().await;
        peer.send(Attach {
            handle: WORK,
            ..peer::answer_to(&asked)
        })
        .await;
        peer.expect_flow().await;
    });
    receiver.unwrap()
}

/// A delivery of the peer's on the second handle.
async fn delivered(peer: &mut Peer, receiver: &Receiver, id: u32) -> Delivery {
    let transfer = Transfer {
        handle: WORK,
        ..peer::transfer(id)
    };
    peer.send_transfer(transfer, &Message::data("x").to_bytes().unwrap())
        .await;
    receiver.recv().await.unwrap()
}

/// The peer's disposition as the receiver of what we sent, unsettled.
fn provisional(id: u32, outcome: Outcome) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: id,
        last: None,
        settled: false,
        state: Some(in_transaction(Some(outcome))),
        batchable: false,
    }
}

// ---- the controller

#[tokio::test(start_paused = true)]
async fn x_001_x_012_the_control_link_leads_to_a_coordinator_and_takes_rejected() {
    let (mut peer, session) = scene::session().await;
    let options = TransactionControllerOptions::default();
    let (controller, asked) = tokio::join!(
        TransactionController::attach(&session, options),
        answer_control_link(&mut peer, several())
    );
    let wished = match asked.target.unwrap() {
        TargetArchetype::Coordinator(coordinator) => coordinator.capabilities,
        other => panic!("{other:?}"),
    };
    assert!(wished.contains(&capability::LOCAL_TRANSACTIONS));
    let outcomes = asked.source.unwrap().outcomes;
    for outcome in ["amqp:accepted:list", "amqp:rejected:list"] {
        assert!(outcomes.iter().any(|listed| listed.as_str() == outcome));
    }
    assert_eq!(controller.unwrap().capabilities(), several());
}

#[tokio::test(start_paused = true)]
async fn x_005_a_required_capability_is_verified() {
    let options = TransactionControllerOptions::default()
        .required_capabilities([capability::DISTRIBUTED_TRANSACTIONS]);
    let (mut peer, _session, controller) = controller_with(options, several()).await;
    match controller {
        Err(TransactionError::MissingCapability(missing)) => {
            assert_eq!(missing, capability::DISTRIBUTED_TRANSACTIONS)
        }
        other => panic!("{other:?}"),
    }
    peer.expect_detach().await;
}

#[tokio::test(start_paused = true)]
async fn x_042_a_peer_without_coordinator_is_a_clear_error() {
    let (mut peer, session) = scene::session().await;
    let (controller, ()) = tokio::join!(
        TransactionController::attach(&session, TransactionControllerOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                target: None,
                ..peer::answer_to(&asked)
            })
            .await;
            let error = AmqpError::new(condition::NOT_IMPLEMENTED, "no transactions here");
            peer.send(peer::detach_with(error)).await;
        }
    );
    match controller {
        Err(TransactionError::ControlLink(LinkError::Refused(Some(error)))) => {
            assert_eq!(error.condition, condition::NOT_IMPLEMENTED)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn x_008_x_009_declare_is_sent_unsettled_and_names_the_transaction() {
    let (mut peer, _session, controller) = controller().await;
    let (transaction, ()) = tokio::join!(controller.declare(), async {
        let (transfer, payload) = peer.expect_transfer().await;
        assert_ne!(transfer.settled, Some(true));
        assert_eq!(decoded::<Declare>(&payload), Declare::default());
        peer.send(peer::settle(0, 0, declared())).await;
    });
    assert_eq!(transaction.as_ref().unwrap().id(), &TXN);
}

#[tokio::test(start_paused = true)]
async fn x_011_a_refused_declare_is_an_error_with_its_condition() {
    let (mut peer, _session, controller) = controller().await;
    let refused = Rejected::new(AmqpError::new(condition::TRANSACTION_TIMEOUT, "too slow"));
    let (transaction, _) = tokio::join!(
        controller.declare(),
        answer_request(&mut peer, refused.into())
    );
    let error = transaction.unwrap_err();
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::TRANSACTION_TIMEOUT);
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn x_007_without_the_capability_one_transaction_lives_at_a_time() {
    let local = vec![capability::LOCAL_TRANSACTIONS];
    let (mut peer, _session, controller) =
        controller_with(TransactionControllerOptions::default(), local).await;
    let controller = controller.unwrap();
    let first = declare(&mut peer, &controller).await;
    let second = controller.declare().await;
    assert!(matches!(
        second,
        Err(TransactionError::AnotherTransactionLives)
    ));
    let (committed, _) = tokio::join!(first.commit(), answer_request(&mut peer, Outcome::Accepted));
    committed.unwrap();
    declare(&mut peer, &controller).await;
}

#[tokio::test(start_paused = true)]
async fn x_007_without_the_capability_an_id_is_good_in_its_session_only() {
    let local = vec![capability::LOCAL_TRANSACTIONS];
    let (mut peer, session, controller) =
        controller_with(TransactionControllerOptions::default(), local).await;
    let controller = controller.unwrap();
    let transaction = declare(&mut peer, &controller).await;
    let connection: Connection = session.connection().clone();
    let (other, ()) = tokio::join!(connection.begin(Default::default()), async {
        let (channel, _) = peer.expect_begin().await;
        peer.send_on(
            peer::CHANNEL + 1,
            amqp10::codec::Begin {
                remote_channel: Some(channel),
                ..peer::begin()
            },
        )
        .await;
    });
    let (other, attached) = (other.unwrap(), async {
        let asked = peer.expect_attach().await;
        peer.send_on(peer::CHANNEL + 1, peer::answer_to(&asked))
            .await;
    });
    let (sender, ()) = tokio::join!(
        other.attach_sender("node", SenderOptions::default()),
        attached
    );
    let error = transaction.send(&sender.unwrap(), "x").await.unwrap_err();
    assert!(matches!(error, TransactionError::AnotherSession), "{error}");
}

#[tokio::test(start_paused = true)]
async fn x_013_a_global_id_needs_distributed_transactions() {
    let (mut peer, _session, controller) = controller().await;
    let error = controller.declare_global(7_u32).await.unwrap_err();
    assert!(matches!(error, TransactionError::MissingCapability(_)));
    peer.expect_nothing().await;

    let distributed = vec![capability::DISTRIBUTED_TRANSACTIONS];
    let (mut peer, _session, controller) =
        controller_with(TransactionControllerOptions::default(), distributed).await;
    let controller = controller.unwrap();
    let (transaction, payload) = tokio::join!(
        controller.declare_global(7_u32),
        answer_request(&mut peer, declared())
    );
    transaction.unwrap();
    let global_id = Some(Value::Uint(7));
    assert_eq!(decoded::<Declare>(&payload), Declare { global_id });
}

#[tokio::test(start_paused = true)]
async fn x_014_commit_and_rollback_are_told_apart() {
    for (fail, commit) in [(false, true), (true, false)] {
        let (mut peer, _session, controller) = controller().await;
        let transaction = declare(&mut peer, &controller).await;
        let ending = async {
            match commit {
                true => transaction.commit().await.map(drop),
                false => transaction.rollback().await.map(drop),
            }
        };
        let (ended, payload) = tokio::join!(ending, answer_request(&mut peer, Outcome::Accepted));
        ended.unwrap();
        let discharge = Discharge { txn_id: TXN, fail };
        assert_eq!(decoded::<Discharge>(&payload), discharge);
    }
}

#[tokio::test(start_paused = true)]
async fn x_015_a_commit_that_was_rolled_back_says_why() {
    let (mut peer, _session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let refused = Rejected::new(AmqpError::new(condition::TRANSACTION_ROLLBACK, "conflict"));
    let (committed, _) = tokio::join!(
        transaction.commit(),
        answer_request(&mut peer, refused.into())
    );
    let error = committed.unwrap_err();
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::TRANSACTION_ROLLBACK);
    peer.expect_nothing().await; // it is over: nothing is left to roll back
}

#[tokio::test(start_paused = true)]
async fn x_015_x_020_a_detach_in_answer_to_a_discharge_is_its_refusal() {
    let (mut peer, _session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let (committed, ()) = tokio::join!(transaction.commit(), async {
        peer.expect_transfer().await;
        let error = AmqpError::new(condition::TRANSACTION_ROLLBACK, "a posting is incomplete");
        peer.send(peer::detach_with(error)).await;
    });
    match committed.unwrap_err() {
        TransactionError::Refused(Some(error)) => {
            assert_eq!(error.condition, condition::TRANSACTION_ROLLBACK)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn x_003_a_commit_without_an_answer_is_unknown() {
    let (mut peer, _session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let (committed, ()) = tokio::join!(transaction.commit(), async {
        peer.expect_transfer().await;
        peer.hang_up();
    });
    let error = committed.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn x_015_only_the_end_of_the_control_link_answers_a_discharge() {
    for ends_connection in [true, false] {
        let (mut peer, _session, controller) = controller().await;
        let transaction = declare(&mut peer, &controller).await;
        let (committed, ()) = tokio::join!(transaction.commit(), async {
            peer.expect_transfer().await;
            // The broker shuts down: it says nothing of what it did about the discharge.
            let error = Some(AmqpError::new(condition::CONNECTION_FORCED, "maintenance"));
            match ends_connection {
                true => peer.send(Close { error }).await,
                false => peer.send(End { error }).await,
            }
        });
        let error = committed.unwrap_err();
        assert!(matches!(error, TransactionError::Unknown(_)), "{error:?}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn x_018_x_019_x_022_a_posting_carries_the_transaction_and_ends_with_it() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let sender = work_sender(&mut peer, &session).await;
    let (posted, ()) = tokio::join!(transaction.send(&sender, "x"), async {
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!(transfer.state, Some(in_transaction(None)));
        let id = transfer.delivery_id.unwrap();
        peer.send(provisional(id, Outcome::Accepted)).await;
    });
    assert_eq!(posted.unwrap(), Outcome::Accepted);
    peer.expect_nothing().await; // nothing is settled before the discharge
    let (committed, _) = tokio::join!(
        transaction.commit(),
        answer_request(&mut peer, Outcome::Accepted)
    );
    committed.unwrap();
    let settled = peer.expect_disposition().await;
    assert_eq!((settled.role, settled.settled), (Role::Sender, true));
    assert_eq!(settled.state, Some(Outcome::Accepted.into()));
}

#[tokio::test(start_paused = true)]
async fn x_019_every_frame_of_a_split_posting_is_of_one_delivery_in_the_transaction() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let sender = work_sender(&mut peer, &session).await;
    let large = Message::data(vec![7; 300_000]);
    let (posted, ()) = tokio::join!(transaction.send(&sender, large), async {
        let (first, _) = peer.expect_transfer().await;
        assert!(first.more);
        assert_eq!(first.state, Some(in_transaction(None)));
        loop {
            let (next, _) = peer.expect_transfer().await;
            assert!(next.state.is_none_or(|state| state == in_transaction(None)));
            if !next.more {
                break;
            }
        }
        let id = first.delivery_id.unwrap();
        peer.send(provisional(id, Outcome::Accepted)).await;
    });
    assert_eq!(posted.unwrap(), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn x_023_a_posting_with_an_unknown_id_is_not_accepted() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let sender = work_sender(&mut peer, &session).await;
    let unknown = Rejected::new(AmqpError::new(condition::TRANSACTION_UNKNOWN_ID, "who?"));
    let (posted, _) = tokio::join!(
        transaction.send(&sender, "x"),
        answer_request(&mut peer, unknown.clone().into())
    );
    assert_eq!(posted.unwrap(), unknown.into());
}

#[tokio::test(start_paused = true)]
async fn x_024_x_026_a_retirement_is_provisional_until_the_commit() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let receiver = work_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    let delivery = delivered(&mut peer, &receiver, 0).await;
    transaction.accept(delivery).unwrap();
    let stated = peer.expect_disposition().await;
    assert_eq!((stated.role, stated.settled), (Role::Receiver, false));
    assert_eq!(stated.state, Some(in_transaction(Some(Outcome::Accepted))));
    let (committed, _) = tokio::join!(
        transaction.commit(),
        answer_request(&mut peer, Outcome::Accepted)
    );
    committed.unwrap();
    let settled = peer.expect_disposition().await;
    assert!(settled.settled);
    assert_eq!(settled.state, Some(Outcome::Accepted.into()));
}

#[tokio::test(start_paused = true)]
async fn x_024_what_is_retired_goes_before_the_discharge_that_follows_at_once() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let receiver = work_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    let delivery = delivered(&mut peer, &receiver, 0).await;
    transaction.accept(delivery).unwrap();
    let (committed, ()) = tokio::join!(transaction.commit(), async {
        let stated = peer.expect_disposition().await;
        assert_eq!(stated.state, Some(in_transaction(Some(Outcome::Accepted))));
        answer_request(&mut peer, Outcome::Accepted).await;
    });
    committed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_026_x_027_after_a_rollback_a_delivery_can_be_disposed_of_again() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let receiver = work_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    let delivery = delivered(&mut peer, &receiver, 0).await;
    transaction.accept(delivery).unwrap();
    peer.expect_disposition().await;
    let (rolled_back, _) = tokio::join!(
        transaction.rollback(),
        answer_request(&mut peer, Outcome::Accepted)
    );
    let mut deliveries = rolled_back.unwrap();
    peer.expect_nothing().await;
    deliveries.pop().unwrap().release().unwrap();
    let settled = peer.expect_disposition().await;
    assert!(settled.settled);
    assert_eq!(settled.state, Some(Outcome::Released.into()));
}

#[tokio::test(start_paused = true)]
async fn x_028_x_031_x_033_x_038_acquisition_names_the_transaction_and_is_drained_before_the_end() {
    let (mut peer, session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let options = ReceiverOptions::default().credit(Credit::Auto(10));
    let receiver = work_receiver(&mut peer, &session, options).await;
    transaction.acquire(&receiver).unwrap();
    let flow = peer.expect_flow().await;
    assert_eq!(flow.properties.get("txn-id"), Some(&Value::Binary(TXN)));
    let transfer = Transfer {
        handle: WORK,
        state: Some(in_transaction(None)),
        ..peer::transfer(0)
    };
    peer.send_transfer(transfer, &Message::data("x").to_bytes().unwrap())
        .await;
    let delivery = receiver.recv().await.unwrap();
    assert_eq!(delivery.state(), Some(&in_transaction(None)));
    transaction.accept(delivery).unwrap(); // with the same id
    let stated = peer.expect_disposition().await;
    assert_eq!(stated.state, Some(in_transaction(Some(Outcome::Accepted))));

    let (committed, ()) = tokio::join!(transaction.commit(), async {
        let drain = peer.expect_flow().await;
        assert!(drain.drain);
        peer.send(Flow {
            handle: Some(WORK),
            delivery_count: Some(10),
            link_credit: Some(0),
            drain: true,
            ..peer.flow()
        })
        .await;
        // The flow that no longer names the transaction, and the discharge, in the order in which they are written.
        loop {
            match peer.expect().await {
                (_, Performative::Flow(flow), _) => assert!(flow.properties.is_empty()),
                (_, Performative::Transfer(transfer), payload) => {
                    assert_eq!(decoded::<Discharge>(&payload).txn_id, TXN);
                    let id = transfer.delivery_id.unwrap();
                    peer.send(peer::settle(id, id, Outcome::Accepted)).await;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    });
    committed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_041_a_dropped_transaction_is_rolled_back() {
    let (mut peer, _session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    drop(transaction);
    let payload = answer_request(&mut peer, Outcome::Accepted).await;
    let expected = Discharge {
        txn_id: TXN,
        fail: true,
    };
    assert_eq!(decoded::<Discharge>(&payload), expected);
}

#[tokio::test(start_paused = true)]
async fn x_041_a_rollback_that_has_no_credit_goes_before_the_next_request() {
    let (mut peer, _session, controller) = controller_with_credit(1).await;
    drop(declare(&mut peer, &controller).await);
    peer.expect_nothing().await;
    let (second, ()) = tokio::join!(controller.declare(), async {
        peer.grant(1, 10).await;
        let payload = answer_request(&mut peer, Outcome::Accepted).await;
        assert!(decoded::<Discharge>(&payload).fail);
        let payload = answer_request(&mut peer, declared()).await;
        assert_eq!(decoded::<Declare>(&payload), Declare::default());
    });
    second.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_041_a_commit_that_nobody_waits_for_is_not_followed_by_a_rollback() {
    let (mut peer, _session, controller) = controller().await;
    let transaction = declare(&mut peer, &controller).await;
    let mut committing = Box::pin(transaction.commit());
    tokio::select! {
        committed = &mut committing => panic!("{committed:?}"),
        (_, payload) = peer.expect_transfer() => assert!(!decoded::<Discharge>(&payload).fail),
    }
    drop(committing);
    peer.expect_nothing().await; // the id means nothing to the coordinator any more
}

#[tokio::test(start_paused = true)]
async fn x_041_a_rollback_that_was_put_off_is_sent_once() {
    let (mut peer, _session, controller) = controller_with_credit(1).await;
    drop(declare(&mut peer, &controller).await);
    let (first, second, ()) = tokio::join!(controller.declare(), controller.declare(), async {
        peer.grant(1, 10).await;
        let payload = answer_request(&mut peer, Outcome::Accepted).await;
        assert!(decoded::<Discharge>(&payload).fail);
        for _ in 0..2 {
            let payload = answer_request(&mut peer, declared()).await;
            assert_eq!(decoded::<Declare>(&payload), Declare::default());
        }
    });
    first.unwrap();
    second.unwrap();
}

// ---- the resource

/// A control link that the peer attached to our listener, and that accepts requests.
async fn control_link(takes_rejected: bool) -> (Peer, Connection, ControlLink) {
    let (mut peer, connection) = scene::incoming_session().await;
    let mut attach = peer::attach_sender("control");
    attach.target = Some(TargetArchetype::Coordinator(Coordinator::default()));
    if !takes_rejected {
        let source = attach.source.get_or_insert_default();
        source.outcomes = vec![Symbol::from_static("amqp:accepted:list")];
    }
    peer.send(attach).await;
    let link = connection.accept_link().await.unwrap();
    assert!(ControlLink::is_wanted_by(&link));
    let control = ControlLink::accept(link, several()).await.unwrap();
    let answer = peer.expect_attach().await;
    let expected = Coordinator {
        capabilities: several(),
    };
    assert_eq!(answer.target, Some(TargetArchetype::Coordinator(expected)));
    peer.expect_flow().await;
    (peer, connection, control)
}

#[tokio::test(start_paused = true)]
async fn x_010_x_039_declare_is_answered_with_the_resources_id() {
    let (mut peer, _connection, control) = control_link(true).await;
    peer.send_transfer(peer::transfer(0), &encoded(&Declare::default()))
        .await;
    match control.recv().await.unwrap() {
        TransactionRequest::Declare(declare) => declare.declared(TXN).unwrap(),
        other => panic!("{other:?}"),
    }
    let answer = peer.expect_disposition().await;
    assert!(answer.settled);
    assert_eq!(answer.state, Some(declared().into()));
}

#[tokio::test(start_paused = true)]
async fn x_011_a_refusal_is_an_outcome_or_the_end_of_the_link() {
    let error = || AmqpError::new(condition::TRANSACTION_TIMEOUT, "later");
    let (mut peer, _connection, control) = control_link(true).await;
    peer.send_transfer(peer::transfer(0), &encoded(&Declare::default()))
        .await;
    let TransactionRequest::Declare(declare) = control.recv().await.unwrap() else {
        panic!("not declare");
    };
    declare.reject(error()).await.unwrap();
    let answer = peer.expect_disposition().await;
    assert_eq!(
        answer.state,
        Some(Outcome::from(Rejected::new(error())).into())
    );

    let (mut peer, _connection, control) = control_link(false).await;
    peer.send_transfer(peer::transfer(0), &encoded(&Declare::default()))
        .await;
    let TransactionRequest::Declare(declare) = control.recv().await.unwrap() else {
        panic!("not declare");
    };
    let (rejected, ()) = tokio::join!(declare.reject(error()), async {
        peer.expect_detach_with(condition::TRANSACTION_TIMEOUT)
            .await;
        peer.send(peer::detach()).await;
    });
    rejected.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x_002_x_009_what_breaks_the_rules_of_the_control_link_ends_it() {
    let settled = Transfer {
        settled: Some(true),
        ..peer::transfer(0)
    };
    let transactional = Transfer {
        state: Some(in_transaction(None)),
        ..peer::transfer(0)
    };
    let declare = encoded(&Declare::default());
    let data = Message::data("x").to_bytes().unwrap();
    for (transfer, payload, expected) in [
        (settled, &declare, condition::NOT_ALLOWED),
        (transactional, &declare, condition::NOT_ALLOWED),
        (peer::transfer(0), &data, condition::DECODE_ERROR),
    ] {
        let (mut peer, _connection, control) = control_link(true).await;
        peer.send_transfer(transfer, payload).await;
        let (received, ()) = tokio::join!(control.recv(), async {
            peer.expect_detach_with(expected).await;
            peer.send(peer::detach()).await;
        });
        assert!(received.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn x_014_x_015_x_017_a_discharge_is_done_or_refused() {
    let (mut peer, _connection, control) = control_link(true).await;
    let discharge = Discharge {
        txn_id: TXN,
        fail: true,
    };
    for id in 0..2 {
        peer.send_transfer(peer::transfer(id), &encoded(&discharge))
            .await;
        let TransactionRequest::Discharge(request) = control.recv().await.unwrap() else {
            panic!("not discharge");
        };
        assert_eq!(request.txn_id(), &TXN);
        assert!(request.is_rollback());
        let answer = match id {
            0 => {
                request.discharged().unwrap();
                Outcome::Accepted
            }
            _ => {
                let error = AmqpError::new(condition::TRANSACTION_UNKNOWN_ID, "done before");
                request.reject(error.clone()).await.unwrap();
                Rejected::new(error).into()
            }
        };
        assert_eq!(peer.expect_disposition().await.state, Some(answer.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn x_022_x_036_a_resource_states_the_presumptive_outcome_and_settles_later() {
    let (mut peer, receiver) = scene::accepted_receiver(AcceptLinkOptions::default()).await;
    let posting = Transfer {
        state: Some(in_transaction(None)),
        ..peer::transfer(0)
    };
    peer.send_transfer(posting, &Message::data("x").to_bytes().unwrap())
        .await;
    let delivery = receiver.recv().await.unwrap();
    delivery
        .update(in_transaction(Some(Outcome::Accepted)))
        .unwrap();
    let stated = peer.expect_disposition().await;
    assert!(!stated.settled);
    assert_eq!(stated.state, Some(in_transaction(Some(Outcome::Accepted))));
    delivery.accept().unwrap();
    let settled = peer.expect_disposition().await;
    assert!(settled.settled);
    assert_eq!(settled.state, Some(Outcome::Accepted.into()));
}

#[tokio::test(start_paused = true)]
async fn x_024_x_026_a_resource_sees_a_retirement_and_settles_when_it_is_discharged() {
    let (mut peer, sender) = scene::accepted_sender(AcceptLinkOptions::default()).await;
    peer.grant(0, 10).await;
    let mut receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    peer.send(provisional(0, Outcome::Accepted)).await;
    let state = receipt.transactional_state().await.unwrap();
    assert_eq!(state.txn_id, TXN);
    assert_eq!(state.outcome, Some(Outcome::Accepted));
    // Rolled back, and retired anew in another transaction: still the same delivery.
    let released = provisional(0, Outcome::Released);
    peer.send(released).await;
    let state = receipt.transactional_state().await.unwrap();
    assert_eq!(state.outcome, Some(Outcome::Released));
    receipt.settle(Outcome::Released);
    let settled = peer.expect_disposition().await;
    assert_eq!((settled.role, settled.settled), (Role::Sender, true));
}

#[tokio::test(start_paused = true)]
async fn x_037_a_retirement_that_is_settled_at_once_shows_the_transaction_too() {
    let (mut peer, sender) = scene::accepted_sender(AcceptLinkOptions::default()).await;
    peer.grant(0, 10).await;
    let mut receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    peer.send(Disposition {
        settled: true,
        ..provisional(0, Outcome::Accepted)
    })
    .await;
    assert_eq!(receipt.transactional_state().await.unwrap().txn_id, TXN);
    assert_eq!(receipt.transactional_state().await, None);
    assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn x_029_acquisition_on_a_link_that_does_not_offer_it_ends_the_link() {
    let (mut peer, sender) = scene::accepted_sender(AcceptLinkOptions::default()).await;
    peer.send(acquiring(&peer)).await;
    peer.expect_detach_with(condition::NOT_IMPLEMENTED).await;
    assert_eq!(sender.acquired_by(), None);
}

#[tokio::test(start_paused = true)]
async fn x_029_the_same_when_it_was_asked_for_before_the_answer() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_receiver("link")).await;
    let flow = acquiring(&peer);
    peer.send(flow).await;
    let link = connection.accept_link().await.unwrap();
    tokio::task::yield_now().await;
    let _accepted = link.accept(AcceptLinkOptions::default()).await.unwrap();
    peer.expect_attach().await;
    peer.expect_detach_with(condition::NOT_IMPLEMENTED).await;
}

#[tokio::test(start_paused = true)]
async fn x_030_acquisition_is_seen_and_cleared_and_credit_stays() {
    let options = AcceptLinkOptions::default().transactional_acquisition(true);
    let (mut peer, sender) = scene::accepted_sender(options).await;
    peer.send(acquiring(&peer)).await;
    peer.expect_nothing().await;
    assert_eq!(sender.acquired_by(), Some(TXN));
    sender.clear_acquisition();
    assert_eq!(sender.acquired_by(), None);
    assert_eq!(sender.credit(), 10);
}

/// A flow that acquires ten deliveries for the transaction.
fn acquiring(peer: &Peer) -> Flow {
    Flow {
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(10),
        properties: amqp10::Fields::new().with(Symbol::from_static("txn-id"), Value::Binary(TXN)),
        ..peer.flow()
    }
}
