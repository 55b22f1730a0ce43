//! Polling those who wait, and judging what they are told.

use std::task::{Poll, Waker};

use super::super::{Inbound, Key, LinkKey, Watcher};
use super::ledger::Ledger;
use super::side::{End, Held, Side, WANTED};
use super::waits::{Wait, Want};
use crate::codec::{AmqpError, Outcome};
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
                    .map(|begun| self.on_begun(key, begun))
            }
            Want::SessionEnded(key) => self
                .call(|engine| engine.poll_session_closed(*key, watcher))
                .map(|error| self.check_session_error(&error)),
            Want::IncomingLink => self.poll_incoming(watcher),
            Want::Attached(key) => {
                let key = *key;
                self.call(|engine| engine.poll_attached(key, watcher))
                    .map(|attached| self.on_attached(key, attached.map(drop)))
            }
            Want::Detached(key) => self
                .call(|engine| engine.poll_detached(*key, watcher))
                .map(|error| self.check_link_error(&error)),
            Want::LinkEnded(key) => self
                .call(|engine| engine.poll_link_ended(*key, watcher))
                .map(|error| self.check_link_error(&error)),
            Want::AllSettled => self.call(|engine| engine.poll_all_settled(watcher)),
            Want::Drained(key) => self
                .call(|engine| engine.poll_drained(*key, watcher))
                .map(|drained| self.check_link_result(drained)),
            Want::Confirmed(key, delivery_id) => self
                .call(|engine| engine.poll_confirmed(*key, *delivery_id, watcher))
                .map(|confirmed| self.check_link_result(confirmed)),
            Want::Room { .. } => self.poll_room(want, waker, ledger),
            Want::Outcome {
                link,
                delivery,
                message,
            } => self
                .call(|engine| engine.poll_outcome(link.session, *delivery, waker))
                .map(|outcome| ledger.resolve(*message, outcome.expect("asked for once"))),
            Want::Delivery { link, ticket } => self
                .call(|engine| engine.poll_recv(*link, ticket, waker))
                .map(|received| match received {
                    Ok(inbound) => self.on_delivery(*link, inbound, ledger),
                    Err(error) => self.check_link_error(&error),
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

    fn on_begun(&mut self, key: Key, begun: Result<(), SessionError>) {
        match begun {
            Ok(()) => {
                let session = self.sessions.iter_mut().find(|session| session.key == key);
                session.expect("a session that is held").is_begun = true;
            }
            Err(error) => {
                self.check_session_error(&error);
                self.drop_session(key);
            }
        }
    }

    fn on_attached(&mut self, key: LinkKey, attached: Result<(), LinkError>) {
        match attached {
            Ok(()) => {
                let link = self.links.iter_mut().find(|link| link.key == key);
                link.expect("a link that is held").is_attached = true;
            }
            Err(error) => {
                self.check_link_error(&error);
                self.drop_link(key);
            }
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
            message,
        } = want
        else {
            return Poll::Ready(());
        };
        let (link, message) = (*link, *message);
        let sent =
            self.call(|engine| engine.poll_transfer(link, ticket, outbound, *settled, waker));
        sent.map(|sent| match sent {
            Ok(delivery) => {
                ledger.commit(message);
                if let Some(delivery) = delivery {
                    self.wait(Want::Outcome {
                        link,
                        delivery,
                        message,
                    });
                }
            }
            Err(SendError::NotSent(error)) => self.check_link_error(&error),
            Err(error) => panic!("{}: {error}", self.name),
        })
    }

    fn on_delivery(&mut self, key: LinkKey, inbound: Inbound, ledger: &mut Ledger) {
        let (message, sender) = ledger.receive(&inbound.payload);
        let link = self.links.iter_mut().find(|link| link.key == key);
        let End::Receiver {
            held,
            from,
            received,
            auto_accept,
        } = &mut link.expect("a link that is held").end
        else {
            panic!("{}: a delivery on a sending link", self.name);
        };
        assert_eq!(
            *from.get_or_insert(sender),
            sender,
            "{}: messages of two links on one",
            self.name
        );
        assert!(
            received.last() < Some(&message),
            "{}: {message} after {:?}",
            self.name,
            received.last()
        );
        received.push(message);
        if *auto_accept && !inbound.settled {
            ledger.give(message, Outcome::Accepted);
        } else if !inbound.settled {
            held.push(Held {
                message,
                delivery_id: inbound.delivery_id,
            });
        }
    }

    // ---- errors that two sound engines may give each other

    pub(super) fn check_link_result(&self, result: Result<(), LinkError>) {
        let _ = result.map_err(|error| self.check_link_error(&error));
    }

    pub(super) fn check_remote(&self, error: &AmqpError) {
        let is_expected =
            error.condition == WANTED || error.condition.as_str() == "amqp:not-allowed";
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
        assert!(
            !matches!(
                error,
                ConnectionError::Violation(_) | ConnectionError::IdleTimeout(_)
            ),
            "{}: {error}",
            self.name
        );
        error
            .remote_error()
            .into_iter()
            .for_each(|error| self.check_remote(error));
    }
}
