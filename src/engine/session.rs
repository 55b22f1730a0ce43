//! A session: begin, end, flow, and what the next flush writes for it. Links are in `links.rs`, deliveries in `deliveries.rs`.

use amqp10_codec::{AmqpError, Begin, End, Flow, Outcome, Performative, Role};

use super::effects::Effects;
use super::endpoint::{Endpoint, Half};
use super::incoming::Incoming;
use super::key::{Key, NumberTable, Slab};
use super::link::{Link, LinkEnd};
use super::outgoing::{Outgoing, reached};
use super::violation::{PeerFault, Scope};
use super::wait::Watchers;
use crate::error::{LinkError, SessionError};

/// We send whenever the peer's window allows, so ours says nothing.
const OUTGOING_WINDOW: u32 = i32::MAX as u32;

/// A fault, and the link at which it happened.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) fault: PeerFault,
    pub(crate) link: Option<Key>,
}

impl From<PeerFault> for Fault {
    fn from(fault: PeerFault) -> Self {
        Self { fault, link: None }
    }
}

impl PeerFault {
    pub(crate) fn at(self, link: Key) -> Fault {
        Fault {
            fault: self,
            link: Some(link),
        }
    }
}

#[derive(Debug, Default)]
struct Due {
    begin: bool,
    flow: bool,
    end: Option<End>,
}

/// One session, from the first begin of either side until both have ended and nobody holds it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: Key,
    pub(crate) endpoint: Endpoint,
    pub(crate) outgoing_channel: u16,
    pub(crate) incoming_channel: Option<u16>,
    begin: Begin,
    pub(super) remote_handle_max: u32,
    pub(super) links: Slab<Link>,
    pub(super) output_handles: NumberTable,
    pub(super) input_handles: NumberTable,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    due: Due,
    pub(super) due_links: Vec<Key>,
    is_due: bool,
    pub(crate) ended: Option<SessionError>,
    pub(crate) watchers: Watchers,
    /// Who waits until nothing that was sent is unsettled.
    pub(crate) settled_watchers: Watchers,
    /// Handles hold it; a session that the peer began also lives without.
    pub(crate) holders: usize,
    pub(crate) is_remote_initiated: bool,
}

impl Session {
    /// A session that we begin on `outgoing_channel`.
    pub(crate) fn new(key: Key, outgoing_channel: u16, begin: Begin) -> Self {
        Self {
            key,
            endpoint: Endpoint {
                local: Half::Open,
                remote: Half::Idle,
            },
            outgoing_channel,
            incoming_channel: None,
            remote_handle_max: u32::MAX,
            links: Slab::new(),
            output_handles: NumberTable::default(),
            input_handles: NumberTable::default(),
            outgoing: Outgoing::new(begin.next_outgoing_id),
            incoming: Incoming::new(begin.incoming_window),
            due: Due {
                begin: true,
                ..Due::default()
            },
            due_links: Vec::new(),
            is_due: false,
            ended: None,
            watchers: Watchers::default(),
            settled_watchers: Watchers::default(),
            holders: 0,
            is_remote_initiated: false,
            begin,
        }
    }

    /// The begin of ours for a session, with what the options of the user leave open.
    pub(crate) fn local_begin(
        next_outgoing_id: u32,
        incoming_window: u32,
        handle_max: u32,
    ) -> Begin {
        Begin {
            next_outgoing_id,
            incoming_window,
            outgoing_window: OUTGOING_WINDOW,
            handle_max,
            ..Begin::default()
        }
    }

    pub(super) fn handle_max(&self) -> u32 {
        self.begin.handle_max
    }

    /// Puts the session on the list that the next flush walks.
    pub(super) fn mark(&mut self, effects: &mut Effects) {
        if !self.is_due {
            self.is_due = true;
            effects.due_sessions.push(self.key);
        }
    }

    /// The peer's begin: the answer to ours, or the first word of a session of its own.
    pub(crate) fn on_begin(&mut self, begin: &Begin, channel: u16, effects: &mut Effects) {
        self.endpoint.remote = Half::Open;
        self.incoming_channel = Some(channel);
        self.remote_handle_max = begin.handle_max;
        self.incoming.window.next_incoming_id = begin.next_outgoing_id; // W-003
        self.outgoing.window.on_flow(None, begin.incoming_window);
        if self.is_remote_initiated {
            self.begin.remote_channel = Some(channel); // S-002
        }
        self.watchers.wake_all(&mut effects.wakes);
        self.mark(effects);
    }

    /// Everything else after our end or its cause is dropped unread (S-012).
    pub(crate) fn is_discarding(&self) -> bool {
        self.endpoint.local == Half::Closed || (self.due.end.is_some() && !self.has_partials())
    }

    /// Whether a delivery is under way of which frames are still to be sent.
    pub(crate) fn has_partials(&self) -> bool {
        !self.outgoing.partials.is_empty()
    }

    /// Closes what `fault` concerns; hands back what concerns the whole connection.
    pub(crate) fn on_fault(
        &mut self,
        Fault { fault, link }: Fault,
        effects: &mut Effects,
    ) -> Result<(), PeerFault> {
        let violation = fault.violation();
        match (fault.scope_and_condition().0, link) {
            (Scope::Connection, _) => return Err(fault),
            (Scope::Link, Some(link)) => {
                let error = violation.to_amqp_error();
                self.detach_link(
                    link,
                    true,
                    Some(error),
                    LinkError::Violation(violation),
                    effects,
                );
            }
            (Scope::Session | Scope::Link, _) => {
                let error = violation.to_amqp_error();
                self.end(Some(error), SessionError::Violation(violation), effects);
            }
        }
        Ok(())
    }

    /// Ends the session from our side.
    pub(crate) fn end(
        &mut self,
        error: Option<AmqpError>,
        reason: SessionError,
        effects: &mut Effects,
    ) {
        if self.endpoint.local == Half::Open && self.due.end.is_none() {
            self.due.end = Some(End { error });
            self.mark(effects);
        }
        self.fail(reason, effects);
    }

    pub(crate) fn on_end(&mut self, end: End, effects: &mut Effects) {
        self.endpoint.remote = Half::Closed;
        self.end(None, SessionError::RemoteEnded(end.error), effects);
        self.watchers.wake_all(&mut effects.wakes);
    }

    /// Everybody who waits for something in this session learns that it is over. What was accepted for sending is still
    /// sent if the end is the application's own wish: the end waits for it, and the close of the connection bounds that.
    pub(crate) fn fail(&mut self, reason: SessionError, effects: &mut Effects) {
        let error = LinkError::Session(reason.clone());
        if !error.is_users_wish() {
            self.drop_partials(effects);
        }
        if self.ended.is_none() {
            self.ended = Some(reason);
            for (_, link) in self.links.iter_mut() {
                link.ended.get_or_insert_with(|| error.clone());
                link.is_refusal_pending = false;
                link.wake_all(effects);
                if let Some(receiver) = link.receiver_mut() {
                    receiver.discard_partial();
                }
            }
            self.outgoing
                .fail(None, &error, reached(&error, effects), effects);
            self.incoming.forget_all(effects);
            self.incoming.partial_bytes = 0;
        }
        self.watchers.wake_all(&mut effects.wakes);
        self.settled_watchers.wake_all(&mut effects.wakes);
    }

    /// Nothing is left that could still happen to it.
    pub(crate) fn is_over(&self) -> bool {
        self.endpoint.is_closed() && self.holders == 0
    }

    pub(crate) fn on_flow(&mut self, flow: Flow, effects: &mut Effects) -> Result<(), Fault> {
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

    /// A session that has ended and finishes what it sends needs room for that, and to know which links are gone. Nothing
    /// else concerns it, and nothing is a fault any more.
    pub(crate) fn on_late_frame(&mut self, performative: Performative, effects: &mut Effects) {
        let _ = match performative {
            Performative::Flow(flow) => self.on_flow(
                Flow {
                    handle: None,
                    echo: false,
                    ..flow
                },
                effects,
            ),
            Performative::Detach(detach) => self.on_detach(detach, effects),
            _ => Ok(()),
        };
    }

    fn on_link_flow(
        &mut self,
        handle: u32,
        flow: &Flow,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let key = self.input_link(handle, "flow")?;
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let mut is_flow_due = flow.echo;
        match &mut link.end {
            LinkEnd::Sender(sender) => {
                sender.on_flow(flow);
                is_flow_due |= sender.is_draining; // K-016
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

    /// The link that the peer names by its own handle.
    pub(super) fn input_link(
        &self,
        handle: u32,
        performative: &'static str,
    ) -> Result<Key, PeerFault> {
        if handle > self.handle_max() {
            return Err(PeerFault::HandleAboveMax {
                handle,
                handle_max: self.handle_max(),
            });
        }
        self.input_handles
            .get(handle)
            .ok_or(PeerFault::UnattachedHandle {
                performative,
                handle,
            })
    }

    /// Room has come up: tells senders that wait for it, and goes on with deliveries under way.
    pub(crate) fn wake_senders(&mut self, effects: &mut Effects) {
        for position in 0..self.links.positions() {
            let Some(key) = self.links.key_at(position) else {
                continue;
            };
            self.wake_sender(key, effects);
        }
        if !self.outgoing.partials.is_empty() {
            self.mark(effects);
        }
    }

    /// The default outcome of the source of `link`.
    fn default_outcome(links: &Slab<Link>, link: Key) -> Option<Outcome> {
        links.get(link)?.default_outcome()
    }

    /// Tells who waits for the outcomes of all deliveries, once that is so.
    pub(super) fn check_settled(&mut self, effects: &mut Effects) {
        if self.outgoing.unsettled() == 0 && !self.has_partials() {
            self.settled_watchers.wake_all(&mut effects.wakes);
        }
    }

    pub(crate) fn on_disposition(
        &mut self,
        disposition: &amqp10_codec::Disposition,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let last = disposition.last.unwrap_or(disposition.first);
        if super::serial::is_before(last, disposition.first) {
            return Err(PeerFault::InvertedRange {
                first: disposition.first,
                last,
            }
            .into()); // P-004
        }
        match disposition.role {
            Role::Receiver => {
                let links = &self.links;
                let was_full = self.outgoing.unsettled() >= effects.limits.max_unsettled_deliveries;
                self.outgoing.on_disposition(
                    disposition,
                    |link| Self::default_outcome(links, link),
                    effects,
                );
                self.check_settled(effects);
                if was_full {
                    self.wake_senders(effects);
                }
                self.mark(effects);
            }
            Role::Sender => self.incoming.on_disposition(disposition, effects),
        }
        Ok(())
    }

    /// Writes what is due. Only deliveries of several frames stop at the high-water mark: all else is bounded by our own
    /// state.
    pub(crate) fn flush(&mut self, effects: &mut Effects) {
        self.is_due = false;
        if self.due.begin {
            self.flush_begin(effects);
        }
        if self.endpoint.local != Half::Open {
            self.due_links.clear();
            return;
        }
        self.flush_attaches(effects);
        self.flush_partials(effects);
        self.flush_flows(effects);
        self.flush_dispositions(effects);
        self.flush_detaches(effects);
        let is_sending = self.has_partials();
        if let Some(end) = self.due.end.take_if(|_| !is_sending) {
            self.flush_end(end, effects);
        }
    }

    fn flush_begin(&mut self, effects: &mut Effects) {
        self.due.begin = false;
        if let Err(too_large) = effects.output.write(self.outgoing_channel, &self.begin) {
            self.endpoint.local = Half::Closed;
            self.endpoint.remote = Half::Closed;
            self.fail(
                SessionError::FrameTooLarge {
                    size: too_large.size,
                    limit: too_large.limit,
                },
                effects,
            );
        }
    }

    fn flush_end(&mut self, end: End, effects: &mut Effects) {
        self.endpoint.local = Half::Closed;
        if effects.output.write(self.outgoing_channel, &end).is_err() {
            let bare = End {
                error: end.error.map(without_details),
            };
            // A bare condition fits the 512 octets that every peer takes.
            let _ = effects.output.write(self.outgoing_channel, &bare);
        }
    }

    fn flush_dispositions(&mut self, effects: &mut Effects) {
        let Self {
            outgoing,
            incoming,
            outgoing_channel,
            ..
        } = self;
        for disposition in incoming
            .dispositions
            .drain()
            .chain(outgoing.dispositions.drain())
        {
            effects.output.messages += 1;
            if effects
                .output
                .write(*outgoing_channel, &disposition)
                .is_err()
            {
                // The state is larger than a frame of the peer's: settle with its bare outcome rather than not at all.
                let bare = amqp10_codec::Disposition {
                    state: disposition.state.map(bare_state),
                    ..disposition
                };
                let _ = effects.output.write(*outgoing_channel, &bare);
            }
        }
    }

    /// A session flow is due if asked for, or if the window is low and there is room behind it.
    pub(super) fn is_window_due(&self, effects: &Effects) -> bool {
        self.incoming.window.is_low()
            && self.incoming.queued_bytes < effects.limits.max_queued_bytes
    }

    fn flush_flows(&mut self, effects: &mut Effects) {
        let mut wrote_one = false;
        for position in 0..self.due_links.len() {
            wrote_one |= self.flush_link_flow(self.due_links[position], effects);
        }
        if (std::mem::take(&mut self.due.flow) || self.is_window_due(effects)) && !wrote_one {
            let flow = self.flow(effects);
            let _ = effects.output.write(self.outgoing_channel, &flow); // at most some 40 octets: it always fits
        }
    }

    /// The session's state as a flow; the window opens in full where memory allows.
    pub(super) fn flow(&mut self, effects: &Effects) -> Flow {
        if self.incoming.queued_bytes < effects.limits.max_queued_bytes {
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

    pub(crate) fn set_properties(&mut self, properties: amqp10_codec::Fields) {
        self.begin.properties = properties;
    }
}

/// The condition alone, where the whole error does not fit a frame.
pub(super) fn without_details(error: AmqpError) -> AmqpError {
    AmqpError {
        description: None,
        info: amqp10_codec::Fields::default(),
        ..error
    }
}

fn bare_state(state: amqp10_codec::DeliveryState) -> amqp10_codec::DeliveryState {
    use amqp10_codec::{DeliveryState, Modified, Rejected};
    match state {
        DeliveryState::Outcome(Outcome::Rejected(Rejected { error })) => {
            Outcome::Rejected(Rejected {
                error: error.map(|error| Box::new(without_details(*error))),
            })
            .into()
        }
        DeliveryState::Outcome(Outcome::Modified(modified)) => Outcome::Modified(Modified {
            message_annotations: amqp10_codec::Fields::default(),
            ..modified
        })
        .into(),
        other => other,
    }
}
