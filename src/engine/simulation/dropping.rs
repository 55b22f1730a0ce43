//! Handles and futures that are dropped.

use super::super::{Key, LinkKey};
use super::ledger::Ledger;
use super::links::{End, HeldLink};
use super::side::Side;
use super::waits::{Sent, Wait, Want};

impl Side {
    /// Drops one future, as a lost `select!` does.
    pub(super) fn cancel(&mut self, position: usize, ledger: &mut Ledger) {
        let wait = self.waits.swap_remove(position);
        let is_needed = matches!(wait.want, Want::Opened | Want::IncomingLink)
            || wait.want.sent().is_some_and(is_followed)
            || matches!(wait.want, Want::Delivery { link, .. } if self.is_coordinator(link))
            || matches!(wait.want, Want::Attached(link) if self.held_link(link).is_kept)
            || matches!(wait.want, Want::Begun(session) if self.holds_kept(session));
        match is_needed {
            true => self.waits.push(wait), // the run cannot go on without the answer
            false => self.abandon(wait, ledger),
        }
    }

    fn is_coordinator(&self, link: LinkKey) -> bool {
        let is_one = |held: &HeldLink| held.key == link && matches!(held.end, End::Coordinator);
        self.links.iter().any(is_one)
    }

    /// Drops a future, whatever it is.
    fn abandon(&mut self, mut wait: Wait, ledger: &mut Ledger) {
        self.call(|engine| engine.forget_watcher(&mut wait.place));
        match wait.want {
            Want::Begun(key) => self.drop_session(key, ledger),
            Want::Attached(link) => drop(self.drop_link(link, ledger)),
            Want::Room {
                link,
                mut ticket,
                sent,
                ..
            } => {
                self.call(|engine| engine.leave_queue(link, &mut ticket));
                self.on_given_up(&sent, false, ledger);
            }
            Want::Delivery { link, mut ticket }
            | Want::Batch {
                link, mut ticket, ..
            } => self.call(|engine| engine.leave_queue(link, &mut ticket)),
            Want::Outcome {
                link,
                delivery,
                sent,
            } => {
                self.call(|engine| engine.abandon_outcome(link.session, delivery));
                self.on_given_up(&sent, true, ledger);
            }
            Want::Opened
            | Want::IncomingLink
            | Want::Closed
            | Want::SessionEnded(_)
            | Want::Detached(_)
            | Want::LinkEnded(_)
            | Want::AllSettled
            | Want::Drained(_)
            | Want::Confirmed { .. } => {}
        }
    }

    pub(super) fn cancel_receives(&mut self, link: LinkKey) {
        let is_receive = |wait: &Wait| matches!(wait.want, Want::Delivery { link: key, .. } | Want::Batch { link: key, .. } if key == link);
        while let Some(position) = self.waits.iter().position(is_receive) {
            let mut wait = self.waits.swap_remove(position);
            if let Want::Delivery { ticket, .. } | Want::Batch { ticket, .. } = &mut wait.want {
                self.call(|engine| engine.leave_queue(link, ticket));
            }
        }
    }

    /// Drops a link of a random operation: one that is kept is detached instead, since nothing of it may be forgotten.
    pub(super) fn leave_link(&mut self, link: usize, ledger: &mut Ledger) {
        let HeldLink { key, is_kept, .. } = &self.links[link];
        let (key, is_kept) = (*key, *is_kept);
        match is_kept {
            true => self.call(|engine| engine.detach(key, false, None)),
            false => drop(self.drop_link(key, ledger)),
        }
    }

    /// Drops all handles, receipts, deliveries and futures of a link.
    pub(super) fn drop_link(&mut self, key: LinkKey, ledger: &mut Ledger) -> HeldLink {
        let is_of_link = |wait: &Wait| wait.want.link() == Some(key);
        while let Some(position) = self.waits.iter().position(is_of_link) {
            let wait = self.waits.swap_remove(position);
            match wait.want {
                Want::Attached(_) => self.forget(wait),
                _ => self.abandon(wait, ledger),
            }
        }
        self.lose_control_link(key, ledger);
        let position = self.links.iter().position(|link| link.key == key);
        let link = self
            .links
            .swap_remove(position.expect("a link that is held"));
        self.call(|engine| engine.release_link(key, true));
        if link.holds_session {
            self.call(|engine| engine.release_session(key.session));
        }
        link
    }

    fn holds_kept(&self, session: Key) -> bool {
        let is_one = |link: &HeldLink| link.key.session == session && link.is_kept;
        self.links.iter().any(is_one)
    }

    /// Drops or ends a session of a random operation.
    pub(super) fn leave_session(&mut self, key: Key, ledger: &mut Ledger) {
        match self.holds_kept(key) {
            true => self.call(|engine| engine.end(key, None)),
            false => self.drop_session(key, ledger),
        }
    }

    pub(super) fn drop_session(&mut self, key: Key, ledger: &mut Ledger) {
        let is_dropped = |link: &&HeldLink| link.key.session == key && !link.holds_session;
        while let Some(link) = self.links.iter().find(is_dropped) {
            let (link, name, is_kept) = (link.key, link.name.clone(), link.is_kept);
            if !is_kept || !self.collect(&name, ledger) {
                drop(self.drop_link(link, ledger));
            }
        }
        let is_of_session =
            |wait: &Wait| matches!(wait.want, Want::Begun(k) | Want::SessionEnded(k) if k == key);
        while let Some(position) = self.waits.iter().position(is_of_session) {
            let wait = self.waits.swap_remove(position);
            self.forget(wait);
        }
        self.sessions.retain(|session| session.key != key);
        self.call(|engine| engine.release_session(key));
    }
}

/// Whether the application that sent it keeps account of it.
fn is_followed(sent: &Sent) -> bool {
    !matches!(sent, Sent::Message(_) | Sent::Posted { .. })
}
