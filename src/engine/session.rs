//! A session: begin, end, settlement, and what the next flush writes for it. Its links, deliveries and flows are in files of
//! their own.

use std::task::Poll;

use super::effects::Effects;
use super::endpoint::{Endpoint, Half};
use super::incoming::Incoming;
use super::key::{Key, NumberTable, Slab};
use super::link::Link;
use super::outgoing::{Outgoing, reached};
use super::output::without_details;
use super::violation::{PeerFault, Scope};
use super::wait::{Watcher, Watchers};
use crate::codec::{
    AmqpError, Begin, DeliveryState, Disposition, End, Fields, Flow, Modified, Outcome,
    Performative, Rejected, Role,
};
use crate::error::{LinkError, SessionError};

/// We send whenever the peer's window allows, so ours says nothing.
pub(crate) const OUTGOING_WINDOW: u32 = i32::MAX as u32;

/// A fault, and the link at which it happened.
#[derive(Debug)]
pub(crate) struct LocatedFault {
    pub(crate) fault: PeerFault,
    pub(crate) link: Option<Key>,
}

impl From<PeerFault> for LocatedFault {
    fn from(fault: PeerFault) -> Self {
        Self { fault, link: None }
    }
}

impl PeerFault {
    pub(crate) fn at(self, link: Key) -> LocatedFault {
        LocatedFault {
            fault: self,
            link: Some(link),
        }
    }
}

/// What the next flush has to write for the session itself.
#[derive(Debug, Default)]
pub(super) struct Due {
    begin: bool,
    pub(super) flow: bool,
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
    pub(super) due: Due,
    pub(super) due_links: Vec<Key>,
    is_due: bool,
    pub(crate) ended: Option<SessionError>,
    pub(crate) watchers: Watchers,
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
            holders: 0,
            is_remote_initiated: false,
            begin,
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

    /// Closes what `fault` concerns; hands back what concerns the whole connection.
    pub(crate) fn on_fault(
        &mut self,
        LocatedFault { fault, link }: LocatedFault,
        effects: &mut Effects,
    ) -> Result<(), PeerFault> {
        match (fault.scope_and_condition().0, link) {
            (Scope::Connection, _) => return Err(fault),
            (Scope::Link, Some(link)) => {
                let violation = effects.blame(&fault);
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
                let violation = effects.blame(&fault);
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
                    let octets = receiver.discard_partial();
                    self.incoming.replace_partial(octets, 0, effects);
                }
            }
            self.outgoing
                .fail(None, &error, reached(&error, effects), effects);
            self.forget_held(None, effects);
        }
        self.mark(effects); // an end, or a close, that waited for what was under way may be due, and its deadline is new
        self.watchers.wake_all(&mut effects.wakes);
        effects.settled_watchers.wake_all(&mut effects.wakes);
    }

    pub(crate) fn poll_ended(
        &mut self,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<SessionError> {
        self.poll_end(self.ended.is_some(), watcher, effects)
    }

    pub(crate) fn poll_closed(
        &mut self,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<SessionError> {
        self.poll_end(self.endpoint.is_closed(), watcher, effects)
    }

    fn poll_end(
        &mut self,
        is_reached: bool,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<SessionError> {
        match &self.ended {
            Some(error) if is_reached => Poll::Ready(error.clone()),
            _ => {
                self.watchers.register(watcher, &mut effects.wakes);
                Poll::Pending
            }
        }
    }

    /// Nothing is left that could still happen to it.
    pub(crate) fn is_over(&self) -> bool {
        self.endpoint.is_closed() && self.holders == 0
    }

    pub(super) fn link_mut(&mut self, key: Key) -> Result<&mut Link, LinkError> {
        let ended = self.ended.clone();
        self.links
            .get_mut(key)
            .ok_or_else(|| ended.map_or(LinkError::LocalDetached, LinkError::Session))
    }

    pub(super) fn mark_link(&mut self, key: Key, effects: &mut Effects) {
        if let Some(link) = self.links.get_mut(key)
            && !link.is_due
        {
            link.is_due = true;
            self.due_links.push(key);
        }
        self.mark(effects);
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
            Performative::Transfer(_) => {
                self.incoming.window.on_transfer(); // W-003: a flow of ours would state a number that has passed
                Ok(())
            }
            _ => Ok(()),
        };
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

    pub(crate) fn on_disposition(
        &mut self,
        disposition: &Disposition,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
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
                    |link| links.get(link)?.default_outcome(),
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
        if !self.is_discarding() {
            self.flush_flows(effects); // after the end of the session they would state numbers that are not counted any more
        }
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
        effects
            .output
            .write_or_bare(self.outgoing_channel, end, |end| End {
                error: end.error.map(without_details),
            });
    }

    pub(super) fn flush_dispositions(&mut self, effects: &mut Effects) {
        if self.endpoint.local != Half::Open {
            return;
        }
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
            // A state larger than a frame of the peer's: settle with its bare outcome rather than not at all.
            effects
                .output
                .write_or_bare(*outgoing_channel, disposition, |disposition| Disposition {
                    state: disposition.state.map(bare_state),
                    ..disposition
                });
        }
    }
}

/// The outcome without what the application adds to it.
fn bare_state(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Outcome(Outcome::Rejected(Rejected { error })) => {
            Outcome::Rejected(Rejected {
                error: error.map(|error| Box::new(without_details(*error))),
            })
            .into()
        }
        DeliveryState::Outcome(Outcome::Modified(modified)) => Outcome::Modified(Modified {
            message_annotations: Fields::default(),
            ..modified
        })
        .into(),
        other => other,
    }
}
