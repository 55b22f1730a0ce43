//! Transactions, where there is a coordinator [4].

use bytes::{Bytes, BytesMut};

use super::stock::{expect_left, post, receive, stock};
use crate::codec::transaction::{Coordinator, Declare, Discharge};
use crate::codec::{
    Attach, DeliveryState, Disposition, Encode, Outcome, Performative, Rejected, Role, Symbol,
    TargetArchetype, TransactionalState, Transfer, Writer, condition,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, Refusal, covers, frames};

/// What cases here need.
const NEEDS: &[Need] = &[Need::Queue, Need::Transactions];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "x_008_x_010_x_039_declare_is_answered_with_an_id",
        rows: &["X-008", "X-010", "X-039"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "declare over a link to the coordinator",
        expected: "declared with a txn-id of at most 32 octets",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let control = attach_control(peer).await?;
                match declare(peer, &control).await?.len() {
                    0..=32 => Ok(()),
                    other => Err(Stop::fail(format!("a txn-id of {other} octets"))),
                }
            })
        },
    },
    Case {
        name: "x_005_x_006_the_coordinator_tells_what_it_can_do",
        rows: &["X-005", "X-006"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Transactions],
        stimulus: "attach to the coordinator",
        expected: "attach whose coordinator has a capability",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                match attach_control(peer).await?.remote.target {
                    Some(TargetArchetype::Coordinator(coordinator))
                        if !coordinator.capabilities.is_empty() =>
                    {
                        Ok(())
                    }
                    other => Err(Stop::fail(format!("{other:?}"))),
                }
            })
        },
    },
    Case {
        name: "x_014_x_015_an_empty_transaction_is_committed",
        rows: &["X-014", "X-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "declare, and discharge",
        expected: "accepted",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                expect_discharged(peer, &control, &txn_id, false).await
            })
        },
    },
    Case {
        name: "x_016_an_empty_transaction_is_rolled_back",
        rows: &["X-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "declare, and discharge with fail",
        expected: "accepted",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                expect_discharged(peer, &control, &txn_id, true).await
            })
        },
    },
    Case {
        name: "x_017_the_discharge_of_an_unknown_transaction_is_refused",
        rows: &["X-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "discharge with a txn-id that nobody declared",
        expected: "rejected, or detach, with amqp:transaction:unknown-id",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let control = attach_control(peer).await?;
                let id = discharge(peer, &control, b"no such transaction", false).await?;
                expect_refused(peer, id).await
            })
        },
    },
    Case {
        name: "x_017_a_transaction_is_discharged_once",
        rows: &["X-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "declare, discharge, and discharge again",
        expected: "rejected, or detach, with amqp:transaction:unknown-id",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                expect_discharged(peer, &control, &txn_id, false).await?;
                let id = discharge(peer, &control, &txn_id, false).await?;
                expect_refused(peer, id).await
            })
        },
    },
    Case {
        name: "x_019_x_021_what_is_posted_is_there_after_the_commit",
        rows: &["X-019", "X-021"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message posted in a transaction, which is committed",
        expected: "no message on another connection before, and the message after",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                post_in(peer, &txn_id, false).await?;
                peer.open_session().await?;
                receive(peer, "before", 10).await?;
                peer.expect_silence().await?;
                peer.close().await?;
                peer.turn_to(0);
                expect_discharged(peer, &control, &txn_id, false).await?;
                expect_left(peer, &["posted"]).await
            })
        },
    },
    Case {
        name: "x_021_what_is_posted_is_gone_after_the_rollback",
        rows: &["X-021"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message posted in a transaction, which is rolled back",
        expected: "no message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                post_in(peer, &txn_id, false).await?;
                expect_discharged(peer, &control, &txn_id, true).await?;
                expect_left(peer, &[]).await
            })
        },
    },
    Case {
        name: "x_021_x_034_a_settled_posting_is_there_after_the_commit",
        rows: &["X-021", "X-034"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a settled message posted in a transaction, which is committed",
        expected: "the message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                post_in(peer, &txn_id, true).await?;
                expect_discharged(peer, &control, &txn_id, false).await?;
                expect_left(peer, &["posted"]).await
            })
        },
    },
    Case {
        name: "x_022_x_018_the_outcome_of_a_posting_is_told_before_the_discharge_is_accepted",
        rows: &["X-022", "X-018"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message posted in a transaction, which is committed",
        expected: "disposition with a transactional-state of this transaction and an outcome, then accepted",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                let posted = post_in(peer, &txn_id, false).await?;
                let discharged = discharge(peer, &control, &txn_id, false).await?;
                expect_told_before(peer, &txn_id, posted, discharged).await
            })
        },
    },
    Case {
        name: "x_023_posting_in_an_unknown_transaction_is_refused",
        rows: &["X-023"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message posted with a txn-id that nobody declared",
        expected: "rejected, or detach, with amqp:transaction:unknown-id; and no message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                attach_control(peer).await?;
                let id = post_in(peer, b"no such transaction", false).await?;
                expect_refused(peer, id).await
            })
        },
    },
    Case {
        name: "x_003_a_lost_control_link_rolls_back",
        rows: &["X-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message posted in a transaction, and detach with closed of the control link",
        expected: "no message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                post_in(peer, &txn_id, false).await?;
                peer.detach(&control).await?;
                expect_left(peer, &[]).await
            })
        },
    },
    Case {
        name: "x_024_x_026_what_is_retired_is_gone_after_the_commit",
        rows: &["X-024", "X-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "one of two messages accepted in a transaction, which is committed",
        expected: "the other message alone",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &["a", "b"].map(frames::text)).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                let link = receive(peer, "link", 1).await?;
                retire(peer, &txn_id).await?;
                expect_discharged(peer, &control, &txn_id, false).await?;
                peer.detach(&link).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "x_026_x_027_what_was_retired_is_there_after_the_rollback",
        rows: &["X-026", "X-027"],
        side: Side::Listener,
        level: Level::Must,
        needs: NEEDS,
        stimulus: "a message accepted in a transaction, which is rolled back; then released",
        expected: "the message again, over another link",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let (control, txn_id) = begin_transaction(peer).await?;
                receive(peer, "link", 1).await?;
                let id = retire(peer, &txn_id).await?;
                expect_discharged(peer, &control, &txn_id, true).await?;
                peer.send(frames::settle(id, id, Outcome::Released)).await?;
                expect_left(peer, &["a"]).await
            })
        },
    },
    Case {
        name: "x_013_a_global_id_is_refused_by_a_local_coordinator",
        rows: &["X-013"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Transactions],
        stimulus: "declare with a global-id, where distributed transactions are not offered",
        expected: "rejected, or detach, with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let control = attach_control(peer).await?;
                let distributed = Symbol::from_static("amqp:distributed-transactions");
                if let Some(TargetArchetype::Coordinator(coordinator)) = &control.remote.target
                    && coordinator.capabilities.contains(&distributed)
                {
                    return Err(Stop::skip("the listener offers distributed transactions"));
                }
                let declare = Declare {
                    global_id: Some("global".into()),
                };
                let id = post(peer, &control, &encoded(&declare)).await?;
                refusal_of(peer, id).await.map(drop)
            })
        },
    },
    Case {
        name: "x_009_a_settled_declare_ends_the_control_link",
        rows: &["X-009"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Transactions],
        stimulus: "a settled declare",
        expected: "detach with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let control = attach_control(peer).await?;
                peer.expect_credit(&control).await?;
                let settled = Transfer {
                    settled: Some(true),
                    ..peer.next_transfer(&control)?
                };
                peer.send_transfer(settled, &encoded(&Declare::default()))
                    .await?;
                match peer.expect_refusal().await? {
                    Refusal { error: Some(_), .. } => Ok(()),
                    refusal => Err(Stop::fail(refusal.to_string())),
                }
            })
        },
    },
    Case {
        name: "x_007_a_session_has_one_transaction_after_the_other",
        rows: &["X-007"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Transactions],
        stimulus: "declare and discharge, three times over one control link",
        expected: "declared and accepted, each time, with another txn-id while it lives",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let control = attach_control(peer).await?;
                for fail in [false, true, false] {
                    let txn_id = declare(peer, &control).await?;
                    expect_discharged(peer, &control, &txn_id, fail).await?;
                }
                Ok(())
            })
        },
    },
];

/// A link to the coordinator, if there is one.
async fn attach_control(peer: &mut Dialogue) -> Result<Link, Stop> {
    let attach = Attach {
        target: Some(Coordinator::default().into()),
        ..peer.sender("control")
    };
    let link = match peer.attach(attach).await {
        // A listener without one may end more than the link.
        Err(Stop::Fail(came)) if !came.starts_with("transfer") => {
            return Err(no_coordinator(&came));
        }
        other => other?,
    };
    match link.remote.target {
        Some(TargetArchetype::Coordinator(_)) => Ok(link),
        ref other => Err(no_coordinator(&format!("{other:?}"))),
    }
}

fn no_coordinator(came: &str) -> Stop {
    Stop::skip(format!("the listener has no coordinator: {came}"))
}

/// A transaction, and its control link. That none is declared is another case's failure.
async fn begin_transaction(peer: &mut Dialogue) -> Result<(Link, Bytes), Stop> {
    let control = attach_control(peer).await?;
    match declare(peer, &control).await {
        Ok(txn_id) => Ok((control, txn_id)),
        Err(Stop::Fail(came)) => Err(no_coordinator(&came)),
        Err(other) => Err(other),
    }
}

async fn declare(peer: &mut Dialogue, control: &Link) -> Result<Bytes, Stop> {
    let id = post(peer, control, &encoded(&Declare::default())).await?;
    match peer.expect_outcome_of(id).await? {
        Outcome::Declared(declared) => Ok(declared.txn_id),
        other => Err(Stop::fail(format!("{other:?} in place of declared"))),
    }
}

/// Asks for the end of a transaction; gives the delivery-id of the request.
async fn discharge(
    peer: &mut Dialogue,
    control: &Link,
    txn_id: &[u8],
    fail: bool,
) -> Result<u32, Stop> {
    let discharge = Discharge {
        txn_id: Bytes::copy_from_slice(txn_id),
        fail,
    };
    post(peer, control, &encoded(&discharge)).await
}

async fn expect_discharged(
    peer: &mut Dialogue,
    control: &Link,
    txn_id: &[u8],
    fail: bool,
) -> Result<(), Stop> {
    let id = discharge(peer, control, txn_id, fail).await?;
    match peer.expect_outcome_of(id).await? {
        Outcome::Accepted => Ok(()),
        other => Err(Stop::fail(format!("{other:?} in place of accepted"))),
    }
}

/// Posts a message in a transaction, over a link of its own; gives its delivery-id.
async fn post_in(peer: &mut Dialogue, txn_id: &[u8], is_settled: bool) -> Result<u32, Stop> {
    let link = peer.attach_sender("posting").await?;
    peer.expect_credit(&link).await?;
    let posting = Transfer {
        settled: Some(is_settled),
        state: Some(state(txn_id, None)),
        ..peer.next_transfer(&link)?
    };
    let id = posting.delivery_id.unwrap_or(0);
    peer.send_transfer(posting, &frames::text("posted")).await?;
    Ok(id)
}

/// Accepts the next delivery, in a transaction; gives its id.
async fn retire(peer: &mut Dialogue, txn_id: &[u8]) -> Result<u32, Stop> {
    let (delivery, _) = peer.expect_delivery().await?;
    let id = delivery.delivery_id.unwrap_or(0);
    if delivery.settled == Some(true) {
        return Err(Stop::skip("the listener sends settled"));
    }
    let retired = Disposition {
        settled: false,
        state: Some(state(txn_id, Some(Outcome::Accepted))),
        ..frames::settle(id, id, Outcome::Accepted)
    };
    peer.send(retired).await?;
    Ok(id)
}

fn state(txn_id: &[u8], outcome: Option<Outcome>) -> DeliveryState {
    let txn_id = Bytes::copy_from_slice(txn_id);
    TransactionalState { txn_id, outcome }.into()
}

/// A request to the coordinator, as the value of a message.
fn encoded(request: &impl Encode) -> Bytes {
    let mut octets = BytesMut::from(&b"\x00\x53\x77"[..]);
    request.encode(&mut Writer::new(&mut octets));
    octets.freeze()
}

/// The presumptive outcome of a posting comes before the end of its transaction.
async fn expect_told_before(
    peer: &mut Dialogue,
    txn_id: &[u8],
    posted: u32,
    discharged: u32,
) -> Result<(), Stop> {
    let mut is_told = false;
    loop {
        let said = peer.expect_disposition().await?;
        if said.role != Role::Receiver {
            continue;
        }
        is_told |= covers(&said, posted)
            && matches!(&said.state, Some(DeliveryState::Transactional(state))
                if state.txn_id == txn_id && state.outcome.is_some());
        if covers(&said, discharged) {
            return match is_told {
                true => Ok(()),
                false => Err(Stop::fail("accepted before the outcome of the posting")),
            };
        }
    }
}

/// A delivery is rejected, or its link detached, because nobody knows the transaction; another condition is remarked.
async fn expect_refused(peer: &mut Dialogue, delivery_id: u32) -> Result<(), Stop> {
    match refusal_of(peer, delivery_id).await? {
        Some(error) if error == condition::TRANSACTION_UNKNOWN_ID => Ok(()),
        other => {
            peer.remark(format!("refused with {other:?}"));
            Ok(())
        }
    }
}

/// The condition with which a delivery is rejected, or with which its link, session or connection ends.
async fn refusal_of(peer: &mut Dialogue, delivery_id: u32) -> Result<Option<Symbol>, Stop> {
    loop {
        let Some(frame) = peer.next_frame().await? else {
            return Err(Stop::fail("the end of the stream in place of a refusal"));
        };
        let Some(performative) = frame.performative else {
            continue;
        };
        if let Some(refusal) = Refusal::of(&performative) {
            return Ok(refusal.error.map(|error| error.condition));
        }
        let Performative::Disposition(said) = performative else {
            continue;
        };
        if !covers(&said, delivery_id) {
            continue;
        }
        let outcome = match &said.state {
            Some(DeliveryState::Outcome(outcome)) => Some(outcome),
            Some(DeliveryState::Transactional(state)) => state.outcome.as_ref(),
            _ => None,
        };
        return match outcome {
            Some(Outcome::Rejected(Rejected { error })) => {
                Ok(error.as_ref().map(|error| error.condition.clone()))
            }
            other => Err(Stop::fail(format!("{other:?} in place of rejected"))),
        };
    }
}
