//! Polling those who wait, and judging what they are told.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::super::{Inbound, Key, LinkKey, Watcher};
use super::ledger::Ledger;
use super::links::{End, Held};
use super::side::{Side, WANTED};
use super::waits::{Sent, Wait, Want};
use crate::codec::{AmqpError, Attach, Outcome, condition};
use crate::error::{ConnectionError, LinkError, SendError, SessionError};

impl Side {
    /// Polls who was woken, until nobody is.
    pub(super) fn run(&mut self, ledger: &mut Ledger) -> bool {
        let mut has_run = false;
        while let Some(position) = self.waits.iter().position(Wait::is_woken) {
            has_run = true;
            self.poll(position, ledger);
        }
        has_run
    }

    /// Polls everybody who was not woken: an answer means that a wake was lost.
    pub(super) fn check_wakes(&mut self, ledger: &mut Ledger) {
        self.run(ledger);
        for position in (0..self.waits.len()).rev() {
            let want = self.waits[position].want.clone();
            let is_pending = self.poll(position, ledger);
            assert!(is_pending, "{}: no wake for {want:?}", self.name);
        }
    }

    /// Polls one future; true if it has to wait on.
    pub(super) fn poll(&mut self, position: usize, ledger: &mut Ledger) -> bool {
        let mut wait = self.waits.swap_remove(position);
        let waker = wait.waker();
        let mut watcher = Watcher {
            place: &mut wait.place,
            waker: &waker,
        };
        let is_pending = self
            .poll_want(&mut wait.want, &mut watcher, ledger)
            .is_pending();
        if is_pending {
            self.waits.push(wait);
            let last = self.waits.len() - 1;
            self.waits.swap(position, last);
        } else {
            self.forget(wait);
        }
        is_pending
    }

    fn poll_want(
        &mut self,
        want: &mut Want,
        watcher: &mut Watcher<'_>,
        ledger: &mut Ledger,
    ) -> Poll<()> {
        let waker = watcher.waker;
        match want {
            Want::Opened => self
                .call(|engine| engine.poll_opened(watcher))
                .map(|opened| {
                    let _ = opened.map_err(|error| self.check_connection_error(&error));
                }),
            Want::Closed => self
                .call(|engine| engine.poll_closed(watcher))
                .map(|error| self.check_connection_error(&error)),
            Want::Begun(key) => {
                let key = *key;
                self.call(|engine| engine.poll_begun(key, watcher))
                    .map(|begun| self.on_begun(key, begun, ledger))
            }
            Want::SessionEnded(key) => self
                .call(|engine| engine.poll_session_closed(*key, watcher))
                .map(|error| self.check_session_error(&error)),
            Want::IncomingLink => self.poll_incoming(watcher),
            Want::Attached(key) => {
                let key = *key;
                self.call(|engine| engine.poll_attached(key, watcher))
                    .map(|attached| self.on_attached(key, attached, ledger))
            }
            Want::Detached(key) => self
                .call(|engine| engine.poll_detached(*key, watcher))
                .map(|error| self.check_link_error(&error)),
            Want::LinkEnded(key) => self
                .call(|engine| engine.poll_link_ended(*key, watcher))
                .map(|error| {
                    self.check_link_error(&error);
                    self.lose_control_link(*key, ledger);
                }),
            Want::AllSettled => self.call(|engine| engine.poll_all_settled(watcher)),
            Want::Drained(key) => self
                .call(|engine| engine.poll_drained(*key, watcher))
                .map(|drained| self.check_link_result(drained)),
            Want::Confirmed {
                link,
                delivery_id,
                message,
            } => self
                .call(|engine| engine.poll_confirmed(*link, *delivery_id, watcher))
                .map(|confirmed| self.on_confirmed(*link, *message, confirmed)),
            Want::Room { .. } => self.poll_room(want, waker, ledger),
            Want::Outcome {
                link,
                delivery,
                sent,
            } => self.poll_outcome(*link, *delivery, sent, waker, ledger),
            Want::Delivery { link, ticket } => self
                .call(|engine| engine.poll_recv(*link, ticket, waker))
                .map(|received| match received {
                    Ok(inbound) => self.on_delivery(*link, inbound, ledger),
                    Err(error) => {
                        self.check_link_error(&error);
                        self.lose_control_link(*link, ledger);
                    }
                }),
            Want::Batch { link, ticket, max } => {
                let mut batch = Vec::new();
                self.call(|engine| {
                    engine.poll_recv_batch(*link, ticket, *max, false, &mut batch, waker)
                })
                .map(|received| {
                    for inbound in batch {
                        self.on_delivery(*link, inbound, ledger);
                    }
                    self.check_link_result(received);
                })
            }
        }
    }

    fn on_begun(&mut self, key: Key, begun: Result<(), SessionError>, ledger: &mut Ledger) {
        match begun {
            Ok(()) => {
                let session = self.sessions.iter_mut().find(|session| session.key == key);
                session.expect("a session that is held").is_begun = true;
            }
            Err(error) => {
                self.check_session_error(&error);
                self.drop_session(key, ledger);
            }
        }
    }

    fn on_attached(
        &mut self,
        key: LinkKey,
        attached: Result<Arc<Attach>, LinkError>,
        ledger: &mut Ledger,
    ) {
        let remote = match attached {
            Ok(remote) => remote,
            Err(error) => {
                self.check_link_error(&error);
                return drop(self.drop_link(key, ledger));
            }
        };
        let link = self.links.iter_mut().find(|link| link.key == key);
        let link = link.expect("a link that is held");
        link.is_attached = true;
        match link.end {
            End::Controller => self.wait(Want::LinkEnded(key)),
            End::Sender { .. } if link.is_kept => {
                self.replay(key, remote.unsettled.as_ref(), ledger);
            }
            End::Receiver { .. } if link.is_kept => {
                self.prune(&remote.name, remote.unsettled.as_ref());
            }
            _ => {}
        }
    }

    fn on_confirmed(&mut self, link: LinkKey, message: u64, confirmed: Result<(), LinkError>) {
        match confirmed {
            Ok(()) => {
                let name = self.held_link(link).name.clone();
                self.take_from_terminus(&name, message);
            }
            Err(error) => self.check_link_error(&error),
        }
    }

    fn poll_incoming(&mut self, watcher: &mut Watcher<'_>) -> Poll<()> {
        loop {
            match self.call(|engine| engine.poll_incoming_link(watcher)) {
                Poll::Ready(Ok(incoming)) => self.undecided.push(incoming),
                Poll::Ready(Err(error)) => {
                    self.check_connection_error(&error);
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_room(&mut self, want: &mut Want, waker: &Waker, ledger: &mut Ledger) -> Poll<()> {
        let Want::Room {
            link,
            ticket,
            outbound,
            settled,
            sent,
        } = want
        else {
            return Poll::Ready(());
        };
        let (link, sent) = (*link, sent.clone());
        let polled =
            self.call(|engine| engine.poll_transfer(link, ticket, outbound, *settled, waker));
        polled.map(|polled| match polled {
            Ok(delivery) => {
                if let Some(message) = sent.message() {
                    ledger.commit(message, outbound.aborted);
                }
                if let Some(delivery) = delivery {
                    self.wait(Want::Outcome {
                        link,
                        delivery,
                        sent,
                    });
                }
            }
            Err(SendError::NotSent(error)) => {
                self.check_link_error(&error);
                match sent {
                    Sent::Kept {
                        message,
                        again: true,
                    } => self.in_doubt(link, message),
                    sent => self.on_given_up(&sent, false, ledger),
                }
            }
            Err(error) => panic!("{}: {error}", self.name),
        })
    }

    /// The outcome of a delivery, and before that the transactions that it is tied to.
    fn poll_outcome(
        &mut self,
        link: LinkKey,
        delivery: Key,
        sent: &Sent,
        waker: &Waker,
        ledger: &mut Ledger,
    ) -> Poll<()> {
        while let Poll::Ready(Some(state)) =
            self.call(|engine| engine.poll_transactional(link.session, delivery, waker))
        {
            self.on_tied(link, delivery, sent, state, ledger);
        }
        self.call(|engine| engine.poll_outcome(link.session, delivery, waker))
            .map(|outcome| self.on_outcome(link, sent, outcome.expect("asked for once"), ledger))
    }

    fn on_outcome(
        &mut self,
        link: LinkKey,
        sent: &Sent,
        result: Result<Outcome, SendError>,
        ledger: &mut Ledger,
    ) {
        match sent {
            Sent::Message(message) => ledger.resolve(*message, result),
            Sent::Posted { message, .. } => {
                self.on_given_up(sent, true, ledger);
                ledger.resolve(*message, result);
            }
            Sent::Kept { message, again } => {
                self.on_kept_outcome(link, *message, *again, result, ledger);
            }
            Sent::Conclusion => {}
            Sent::Declare | Sent::Discharge { .. } => self.on_answer(link, sent, result, ledger),
        }
    }

    pub(super) fn on_delivery(&mut self, key: LinkKey, inbound: Inbound, ledger: &mut Ledger) {
        let side = self.name;
        if matches!(self.held_link(key).end, End::Coordinator) {
            self.wait(Want::Delivery {
                link: key,
                ticket: None,
            });
            return self.on_request(key, &inbound, ledger);
        }
        let (message, sender) = ledger.receive(&inbound.payload, inbound.resumed);
        if inbound.resumed {
            let name = self.held_link(key).name.clone();
            let is_known = self.take_from_terminus(&name, message);
            assert!(
                is_known,
                "{side}: {message} is resumed, and nobody asked for it"
            );
        }
        let link = self.links.iter_mut().find(|link| link.key == key);
        let End::Receiver {
            from,
            received,
            auto_accept,
            ..
        } = &mut link.expect("a link that is held").end
        else {
            panic!("{side}: a delivery on a sending link");
        };
        let auto_accept = *auto_accept;
        assert_eq!(
            *from.get_or_insert(sender),
            sender,
            "{side}: messages of two links on one"
        );
        if !inbound.resumed {
            let last = received.last();
            assert!(last < Some(&message), "{side}: {message} after {last:?}");
            received.push(message);
        }
        if inbound.settled {
            return;
        }
        if auto_accept {
            return ledger.give(message, Outcome::Accepted);
        }
        if !self.on_posted(key, &inbound, message, ledger) {
            let delivery_id = inbound.delivery_id;
            let held = Held {
                message,
                delivery_id,
            };
            self.hold(key, held);
        }
    }

    // ---- errors that two sound engines may give each other

    pub(super) fn check_link_result(&self, result: Result<(), LinkError>) {
        let _ = result.map_err(|error| self.check_link_error(&error));
    }

    pub(super) fn check_remote(&self, error: &AmqpError) {
        let expected = [WANTED, condition::NOT_ALLOWED, condition::STOLEN];
        let is_expected = expected.contains(&error.condition);
        assert!(is_expected, "{}: the peer said {error:?}", self.name);
    }

    pub(super) fn check_link_error(&self, error: &LinkError) {
        match error {
            LinkError::Session(error) => self.check_session_error(error),
            LinkError::Refused(error) | LinkError::RemoteDetached { error, .. } => {
                error.iter().for_each(|error| self.check_remote(error));
            }
            LinkError::LocalDetached => {}
            error => panic!("{}: {error}", self.name),
        }
    }

    pub(super) fn check_session_error(&self, error: &SessionError) {
        match error {
            SessionError::Connection(error) => self.check_connection_error(error),
            SessionError::RemoteEnded(error) => {
                error.iter().for_each(|error| self.check_remote(error))
            }
            SessionError::LocalEnded | SessionError::TooManySessions { .. } => {}
            error => panic!("{}: {error}", self.name),
        }
    }

    pub(super) fn check_connection_error(&self, error: &ConnectionError) {
        assert!(self.may_end, "{}: {error}", self.name);
        match error {
            ConnectionError::Violation(_) => panic!("{}: {error}", self.name),
            ConnectionError::IdleTimeout(_) if self.hears_nothing => {}
            ConnectionError::IdleTimeout(_) => panic!("{}: {error}", self.name),
            _ => {}
        }
        error
            .remote_error()
            .into_iter()
            .for_each(|error| self.check_remote(error));
    }
}
