//! Futures of the resource that transactions are declared at: no request is lost, and each gets one answer.

use amqp10::codec::condition;
use amqp10::codec::transaction::{Coordinator, capability};
use amqp10::codec::{Source, TargetArchetype};
use amqp10::transaction::{
    ControlLink, TransactionController, TransactionControllerOptions, TransactionError,
    TransactionRequest,
};
use amqp10::{AmqpError, IncomingLink};

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("ControlLink::accept", accepting_does_not_wait),
        ("ControlLink::recv", no_request_is_lost),
        (
            "ControlLink::close_with_error",
            an_end_is_sent_although_nobody_waits,
        ),
        (
            "DeclareRequest::reject",
            a_refusal_is_sent_although_nobody_waits,
        ),
        (
            "DischargeRequest::reject",
            a_refusal_is_sent_although_nobody_waits,
        ),
        ("TransactionController::declare_global", no_request_is_lost),
    ],
};

/// Two ends of a connection, and a session of the client.
async fn scene() -> (Pair, Session) {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    (pair, session)
}

/// The next link, which is one to the coordinator.
async fn control_link(pair: &Pair) -> IncomingLink {
    let link = pair.server.accept_link().await.unwrap();
    assert!(ControlLink::is_wanted_by(&link));
    link
}

async fn accept(link: IncomingLink) -> ControlLink {
    let talents = [
        capability::MULTI_TXNS_PER_SSN,
        capability::DISTRIBUTED_TRANSACTIONS,
    ];
    ControlLink::accept(link, talents).await.unwrap()
}

/// A controller at the client, and the resource's end of its link.
async fn controlled(pair: &Pair, session: &Session) -> (TransactionController, ControlLink) {
    let options = TransactionControllerOptions::default();
    let attaching = TransactionController::attach(session, options);
    let (controller, control) =
        tokio::join!(attaching, async { accept(control_link(pair).await).await });
    (controller.unwrap(), control)
}

/// A link to the coordinator on which the client says what it likes; it takes no refusal as an outcome.
async fn uncontrolled(pair: &Pair, session: &Session) -> (Sender, ControlLink) {
    let source = Source {
        outcomes: vec!["amqp:accepted:list".try_into().unwrap()],
        ..Source::default()
    };
    let options = SenderOptions::default()
        .source(source)
        .target(TargetArchetype::Coordinator(Coordinator::default()));
    let attaching = session.attach_sender("", options);
    let (sender, control) =
        tokio::join!(attaching, async { accept(control_link(pair).await).await });
    (sender.unwrap(), control)
}

#[tokio::test(start_paused = true)]
async fn accepting_does_not_wait() {
    let (pair, session) = scene().await;
    let options = TransactionControllerOptions::default();
    let attaching = TransactionController::attach(&session, options);
    let (controller, control) = tokio::join!(attaching, async {
        let link = control_link(&pair).await;
        poll_times(1, ControlLink::accept(link, [])).await
    });
    control.expect("a link at the first poll").unwrap();
    controller.unwrap();
}

/// The request that a dropped future may have left, or the next.
async fn next(control: &ControlLink, polls: usize) -> TransactionRequest {
    let request = match poll_briefly(polls, control.recv()).await {
        Some(request) => request,
        None => {
            let request = timeout(LONG, control.recv()).await;
            request.expect("no request is lost")
        }
    };
    request.unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_request_is_lost() {
    let (pair, session) = scene().await;
    let (controller, control) = controlled(&pair, &session).await;
    let mut names = 0u32;
    for polls in 0..4 {
        // One that nobody waits for is a request as well, once it is sent.
        let dropped = poll_briefly(polls, controller.declare_global("global")).await;
        assert!(dropped.is_none(), "nobody has answered");
        let (declared, ()) = tokio::join!(controller.declare(), async {
            for _ in 0..if polls == 0 { 1 } else { 2 } {
                let request = next(&control, polls).await;
                let TransactionRequest::Declare(declare) = request else {
                    panic!("{request:?}")
                };
                names += 1;
                declare.declared(names.to_be_bytes().to_vec()).unwrap();
            }
        });
        let (rolled_back, ()) = tokio::join!(declared.unwrap().rollback(), async {
            let request = next(&control, polls).await;
            let TransactionRequest::Discharge(discharge) = request else {
                panic!("{request:?}")
            };
            assert_eq!(discharge.txn_id(), &names.to_be_bytes()[..]);
            discharge.discharged().unwrap();
        });
        rolled_back.unwrap();
    }
}

/// Whoever breaks the rules hears why, even if the resource stops waiting.
#[tokio::test(start_paused = true)]
async fn an_end_is_sent_although_nobody_waits() {
    let (pair, session) = scene().await;
    for polls in 1..5 {
        let (sender, control) = uncontrolled(&pair, &session).await;
        let receipt = sender.send_with_receipt("no request").await.unwrap();
        rest().await;
        drop(poll_times(polls, control.recv()).await);
        let error = timeout(LONG, sender.detached()).await.expect("an end");
        let told = error.remote_error().expect("the reason").condition.clone();
        assert_eq!(told, condition::DECODE_ERROR);
        assert!(receipt.await.is_err());
        assert!(control.recv().await.is_err());

        let (sender, control) = uncontrolled(&pair, &session).await;
        let reason = AmqpError::new(condition::TRANSACTION_ROLLBACK, "enough");
        drop(poll_times(polls, control.close_with_error(reason)).await);
        let error = timeout(LONG, sender.detached()).await.expect("an end");
        let told = error.remote_error().expect("the reason").condition.clone();
        assert_eq!(told, condition::TRANSACTION_ROLLBACK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_sent_although_nobody_waits() {
    let reason = || AmqpError::new(condition::TRANSACTION_TIMEOUT, "later");
    // Never polled, it is a request that was dropped: refused, without the reason.
    let is_refused = |error: &TransactionError, polls| match error {
        TransactionError::Refused(told) => polls == 0 || told.as_ref() == Some(&reason()),
        _ => false,
    };
    let (pair, session) = scene().await;
    let (controller, control) = controlled(&pair, &session).await;
    for polls in 0..3 {
        let (declared, ()) = tokio::join!(controller.declare(), async {
            match control.recv().await.unwrap() {
                TransactionRequest::Declare(declare) => {
                    drop(poll_times(polls, declare.reject(reason())).await);
                }
                other => panic!("{other:?}"),
            }
        });
        let error = declared.unwrap_err();
        assert!(is_refused(&error, polls), "{error}");
        let (declared, ()) = tokio::join!(controller.declare(), async {
            match control.recv().await.unwrap() {
                TransactionRequest::Declare(declare) => declare.declared("t").unwrap(),
                other => panic!("{other:?}"),
            }
        });
        let (committed, ()) = tokio::join!(declared.unwrap().commit(), async {
            match control.recv().await.unwrap() {
                TransactionRequest::Discharge(discharge) => {
                    drop(poll_times(polls, discharge.reject(reason())).await);
                }
                other => panic!("{other:?}"),
            }
        });
        let error = committed.unwrap_err();
        assert!(is_refused(&error, polls), "{error}");
    }
}
