//! Flows of a session and of its links: windows, credit, drain.

use std::task::Poll;

use bytes::Bytes;

use super::effects::Effects;
use super::endpoint::Half;
use super::incoming::Incoming;
use super::key::Key;
use super::link::{Link, LinkEnd};
use super::session::{LocatedFault, OUTGOING_WINDOW, Session};
use super::violation::PeerFault;
use super::wait::Watcher;
use crate::codec::{DeliveryState, Flow};
use crate::error::LinkError;

impl Session {
    pub(crate) fn on_flow(
        &mut self,
        flow: Flow,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
        if !self.incoming.window.on_flow(flow.next_outgoing_id) {
            return Err(PeerFault::NextOutgoingIdWentBack(flow.next_outgoing_id).into());
        }
        let was_shut = self.outgoing.window.remote_incoming_window == 0;
        self.outgoing
            .window
            .on_flow(flow.next_incoming_id, flow.incoming_window);
        match flow.handle {
            Some(handle) => self.on_link_flow(handle, &flow, effects)?,
            None if flow.echo => self.due.flow = true, // W-020
            None => {}
        }
        self.mark(effects);
        if was_shut {
            self.wake_senders(effects);
        }
        Ok(())
    }

    fn on_link_flow(
        &mut self,
        handle: u32,
        flow: &Flow,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
        let key = self.input_link(handle, "flow")?;
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let mut is_flow_due = flow.echo;
        match &mut link.end {
            LinkEnd::Sender(sender) => {
                sender.on_flow(flow).map_err(|fault| fault.at(key))?;
                // K-016; a flow before that is legal, and taken for an error by some.
                is_flow_due |= sender.can_finish_drain();
            }
            LinkEnd::Receiver(receiver) => {
                receiver.on_flow(flow);
                receiver.wake_waiters(&mut effects.wakes);
                let has_drained = receiver.finish_drain();
                is_flow_due |= receiver.top_up().is_some(); // the sender gave credit back
                if has_drained {
                    receiver.waiters.wake_all(&mut effects.wakes);
                    link.watchers.wake_all(&mut effects.wakes);
                }
            }
        }
        if is_flow_due {
            self.mark_flow(key, effects);
        }
        self.wake_sender(key, effects);
        Ok(())
    }

    pub(super) fn mark_flow(&mut self, key: Key, effects: &mut Effects) {
        if let Some(link) = self.links.get_mut(key) {
            link.due.flow = true;
        }
        self.mark_link(key, effects);
    }

    /// Deliveries that may still be started (sender) or may still come (receiver).
    pub(crate) fn link_credit(&self, key: Key) -> u32 {
        match self.links.get(key).map(|link| &link.end) {
            Some(LinkEnd::Sender(sender)) => sender.credit.link_credit,
            Some(LinkEnd::Receiver(receiver)) => receiver.credit.link_credit,
            None => 0,
        }
    }

    /// Grants `additional` deliveries more, beside what the peer still has.
    pub(crate) fn add_credit(
        &mut self,
        key: Key,
        additional: u32,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        receiver
            .credit
            .grant(receiver.credit.link_credit.saturating_add(additional));
        self.mark_flow(key, effects);
        Ok(())
    }

    /// Ties what comes on a link from the next flow on to a transaction of ours, or to none.
    pub(crate) fn set_acquisition(
        &mut self,
        key: Key,
        txn_id: Option<Bytes>,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        link.receiver_mut()
            .ok_or(LinkError::WrongRole)?
            .acquires_for = txn_id;
        self.mark_flow(key, effects);
        Ok(())
    }

    /// The transaction for which the peer acquires what is sent on a link.
    pub(crate) fn acquired_by(&self, key: Key) -> Option<Bytes> {
        match &self.links.get(key)?.end {
            LinkEnd::Sender(sender) => sender.acquired_by.clone(),
            LinkEnd::Receiver(_) => None,
        }
    }

    /// The state of a delivery of which frames are still to come.
    pub(crate) fn incomplete_state(&self, key: Key) -> Option<DeliveryState> {
        match &self.links.get(key)?.end {
            LinkEnd::Sender(_) => None,
            LinkEnd::Receiver(receiver) => receiver.incomplete_state().cloned(),
        }
    }

    /// The peer's transaction is over.
    pub(crate) fn clear_acquisition(&mut self, key: Key) {
        if let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut) {
            sender.acquired_by = None;
        }
    }

    /// Asks the sender to use up its credit or give it back (K-014).
    pub(crate) fn start_drain(&mut self, key: Key, effects: &mut Effects) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        if receiver.credit.link_credit > 0 || receiver.has_partial() {
            receiver.is_draining = true;
            self.mark_flow(key, effects);
        }
        Ok(())
    }

    pub(crate) fn poll_drained(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<Result<(), LinkError>> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if !link
            .receiver_mut()
            .is_some_and(|receiver| receiver.is_draining)
        {
            return Poll::Ready(Ok(()));
        }
        link.watchers.register(watcher, &mut effects.wakes);
        Poll::Pending
    }

    /// A session flow is due if asked for, or if the window is low and there is room behind it.
    fn is_window_due(&self, effects: &mut Effects) -> bool {
        self.incoming.window.is_low() && self.may_open_window(effects)
    }

    pub(super) fn may_open_window(&self, effects: &mut Effects) -> bool {
        let Incoming {
            queued_bytes,
            partial_bytes,
            ..
        } = self.incoming;
        effects.quotas.may_open_window(queued_bytes, partial_bytes)
    }

    /// Opens the window again if it is low and there is room behind it.
    pub(crate) fn open_window(&mut self, effects: &mut Effects) {
        if self.is_window_due(effects) {
            self.mark(effects);
        }
    }

    pub(super) fn flush_flows(&mut self, effects: &mut Effects) {
        let mut wrote_one = false;
        for position in 0..self.due_links.len() {
            wrote_one |= self.flush_link_flow(self.due_links[position], effects);
        }
        // A window that stays shut must be known to, whatever else makes a flow due.
        let is_window_due = self.is_window_due(effects);
        if (std::mem::take(&mut self.due.flow) || is_window_due) && !wrote_one {
            let flow = self.flow(effects);
            let _ = effects.output.write(self.outgoing_channel, &flow); // at most some 40 octets: it always fits
        }
    }

    /// Writes the flow that a link owes: a top-up, a drain or its answer, an echo. True if one was written.
    pub(super) fn flush_link_flow(&mut self, key: Key, effects: &mut Effects) -> bool {
        let Some(link) = self
            .links
            .get_mut(key)
            .filter(|link| link.due.flow && link.can_say_flow())
        else {
            return false;
        };
        link.due.flow = false;
        let handle = link.output_handle;
        let state = match &mut link.end {
            LinkEnd::Sender(sender) => sender.flow(),
            LinkEnd::Receiver(receiver) => receiver.flow(),
        };
        let flow = Flow {
            handle,
            delivery_count: state.delivery_count,
            link_credit: state.link_credit,
            available: state.available,
            drain: state.drain,
            properties: state.properties,
            ..self.flow(effects)
        };
        let _ = effects.output.write(self.outgoing_channel, &flow); // at most some 120 octets: it always fits
        true
    }

    /// The session's state as a flow; the window opens in full where memory allows.
    pub(super) fn flow(&mut self, effects: &mut Effects) -> Flow {
        if self.may_open_window(effects) {
            self.incoming.window.replenish();
        }
        let has_remote_begin = self.endpoint.remote != Half::Idle;
        Flow {
            next_incoming_id: has_remote_begin.then_some(self.incoming.window.next_incoming_id), // W-016
            incoming_window: self.incoming.window.remaining,
            next_outgoing_id: self.outgoing.window.next_outgoing_id,
            outgoing_window: OUTGOING_WINDOW,
            ..Flow::default()
        }
    }
}
