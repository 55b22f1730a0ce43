//! What both sides must agree on when nothing is under way.

use std::collections::HashMap;

use super::super::link::{Link, LinkEnd};
use super::super::session::Session;
use super::super::{Engine, LinkKey};
use super::ledger::Ledger;
use super::links::{End, HeldLink};
use super::side::Side;
use crate::codec::Role;

pub(super) fn link_of(engine: &Engine, key: LinkKey) -> Option<&Link> {
    engine.sessions.get(key.session)?.links.get(key.link)
}

pub(super) fn queued(engine: &Engine, key: LinkKey) -> usize {
    match link_of(engine, key).map(|link| &link.end) {
        Some(LinkEnd::Receiver(receiver)) => receiver.queue.len(),
        _ => 0,
    }
}

/// Nothing is on its way: both sides of every session and link have the same view, and no question is open.
pub(super) fn check_views(sides: &[Side; 2]) {
    let [client, server] = sides;
    if client.engine.ended().is_some() || server.engine.ended().is_some() {
        return;
    }
    for (_, session) in client.engine.sessions.iter() {
        let Some(channel) = session.incoming_channel else {
            continue;
        };
        let is_far = |far: &Session| {
            far.outgoing_channel == channel
                && far.incoming_channel == Some(session.outgoing_channel)
                && far.endpoint.is_open()
        };
        let mut sessions = server.engine.sessions.iter().map(|(_, far)| far);
        if let Some(far) = sessions.find(|far| is_far(far) && session.endpoint.is_open()) {
            check_sessions(session, far);
            check_sessions(far, session);
        }
    }
    for side in sides {
        // A session that has ended and only sends the rest answers nothing any more.
        if side
            .engine
            .sessions
            .iter()
            .all(|(_, session)| session.ended.is_none())
        {
            side.referee.check_rest();
        }
    }
}

/// What is counted for the connection is what its sessions hold, and no more than they may hold together.
pub(crate) fn check_quotas(
    Engine {
        sessions, effects, ..
    }: &Engine,
) {
    let mut sums = (0, 0, 0);
    for (_, Session { incoming, .. }) in sessions.iter() {
        sums.0 += incoming.queued_bytes;
        sums.1 += incoming.partial_bytes;
        sums.2 += incoming.unsettled();
    }
    let quotas = &effects.quotas;
    let counts = (
        quotas.queued.held,
        quotas.partial.held,
        quotas.unsettled.held,
    );
    assert_eq!(counts, sums, "queued, partial, unsettled");
    for quota in [quotas.partial, quotas.unsettled] {
        assert!(quota.held <= 2 * quota.limit + sessions.len(), "{quota:?}");
    }
}

/// What `near` knows of its sending half is what `far` knows of its receiving half.
fn check_sessions(near: &Session, far: &Session) {
    if near.ended.is_some() || far.ended.is_some() {
        return;
    }
    assert_eq!(
        near.outgoing.unsettled_ids(),
        far.incoming.unsettled_ids(),
        "unsettled at the sender and at the receiver"
    );
    assert_eq!(
        near.outgoing.window.next_outgoing_id, far.incoming.window.next_incoming_id,
        "transfer-id"
    );
    assert_eq!(
        near.outgoing.window.remote_incoming_window, far.incoming.window.remaining,
        "window"
    );
    for (_, link) in near.links.iter().filter(|(_, link)| link.is_attached()) {
        let LinkEnd::Sender(sender) = &link.end else {
            continue;
        };
        let name = &link.attach.name;
        let mut ends = far
            .links
            .iter()
            .filter(|(_, far)| far.is_named(name, Role::Receiver) && far.is_attached());
        let Some((_, Link { end, .. })) = ends.next() else {
            panic!("{name} has no far end");
        };
        let LinkEnd::Receiver(receiver) = end else {
            panic!("{name} receives");
        };
        assert_eq!(
            (sender.credit.delivery_count, sender.credit.link_credit),
            (receiver.credit.delivery_count, receiver.credit.link_credit),
            "credit of {name}"
        );
    }
}

/// Everything that was sent has been received and settled: nothing is left of it in either engine, and what was sent on a
/// link that lives was received from it.
pub(super) fn check_complete(sides: &[Side; 2], ledger: &Ledger) {
    for side in sides {
        for (_, session) in side.engine.sessions.iter() {
            let counts = (session.outgoing.unsettled(), session.incoming.unsettled());
            assert_eq!(counts, (0, 0), "{}: unsettled", side.name);
            assert_eq!(session.incoming.queued_bytes, 0, "{}: queued", side.name);
        }
        let lasting = side.waits.iter().map(|wait| &wait.want);
        let lasting: Vec<_> = lasting.filter(|want| !want.may_last()).collect();
        assert!(lasting.is_empty(), "{}: {lasting:?}", side.name);
    }
    let received: HashMap<u64, &Vec<u64>> = sides
        .iter()
        .flat_map(|side| &side.links)
        .filter_map(|link| match &link.end {
            End::Receiver { from, received, .. } => Some(((*from)?, received)),
            _ => None,
        })
        .collect();
    for side in sides {
        for HeldLink { key, end, .. } in &side.links {
            let End::Sender { id, .. } = end else {
                continue;
            };
            let is_alive = link_of(&side.engine, *key).is_some_and(Link::is_attached);
            let Some(received) = received.get(id).filter(|_| is_alive) else {
                continue;
            };
            let committed = ledger.committed_by(*id);
            assert_eq!(**received, committed, "{}: received and sent", side.name);
        }
    }
}
