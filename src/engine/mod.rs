//! The protocol as plain data: frames, commands and the time go in; octets, wakers and a deadline come out.
//!
//! There is no socket, clock, task, lock or `async` in here. Methods are told apart by their prefix:
//!
//! - `handle_*(.., now)`: something happened outside. Handlers change state and mark work; they write nothing.
//! - commands, named as the protocol names them: `begin`, `attach`, `poll_transfer`, `settle`, `detach`, `end`, `close`.
//! - `poll_*`: what comes out, or is waited for. The engine keeps wakers and hands the due ones to whoever holds the
//!   lock; it never calls one, and drops no foreign memory.
//! - `flush(now)`: writes what is due into the output: flows, merged dispositions, the rest of large deliveries, heartbeats.
//!
//! ```text
//! Engine ── mod.rs        what happened outside, what comes out
//!    │      commands.rs   what the handles ask for
//!    │      connection.rs open, close, idle time-out, channels       timer.rs
//!    │
//! Session ── session.rs   begin, end, disposition, flush
//!    │       flows.rs     windows, credit, drain
//!    │       sending.rs   turns, transfers, outcomes    ── outgoing.rs  ids, the peer's window, unsettled deliveries
//!    │       receiving.rs transfers, queues, settlement ── incoming.rs  ids, our window, deliveries to be settled
//!    │       attaching.rs names, handles                   window.rs, unsettled.rs, disposition.rs: what both halves use
//!    │       detaching.rs
//!    │
//!  Link ──── link.rs      what both ends have in common
//!            sender.rs    drain, tags, splitting
//!            receiver.rs  top-up, reassembly, queue
//!            credit.rs    the arithmetic of both
//!
//! Everywhere: effects.rs, output.rs and quota.rs (what is written to), wait.rs (who waits), endpoint.rs (open and closed halves),
//! key.rs (slabs), serial.rs (numbers that wrap), violation.rs (faults of the peer and their conditions), limits.rs.
//! ```

mod attaching;
mod budget;
mod channels;
mod commands;
mod connection;
mod credit;
mod detaching;
mod disposition;
mod effects;
mod endpoint;
mod flows;
mod incoming;
mod key;
mod limits;
mod link;
mod outgoing;
mod output;
mod quota;
mod receiver;
mod receiving;
mod resumption;
mod sender;
mod sending;
mod serial;
mod session;
#[cfg(any(test, fuzzing))]
pub(crate) mod simulation;
mod timer;
mod unsettled;
mod violation;
mod wait;
mod window;

pub use limits::Limits;
pub use receiver::Credit;

pub(crate) use connection::ConnectionSettings;
pub(crate) use effects::LinkKey;
pub(crate) use key::Key;
pub(crate) use link::{EndSettings, Refusal};
pub(crate) use receiver::Inbound;
pub(crate) use sender::{Outbound, Payload, Pieces};
pub(crate) use wait::{Ticket, WatchPlace, Watcher};

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::codec::frame::{AmqpFrame, FrameError, MIN_MAX_FRAME_SIZE};
use crate::codec::{AmqpError, Begin, DecodeError, Layout, Performative, condition};
use crate::error::{ConnectionError, SessionError, Violation};
use connection::ConnectionEnd;
use effects::Effects;
use endpoint::Half;
use key::Slab;
use output::Output;
use quota::Quotas;
use session::{OUTGOING_WINDOW, Session};
use timer::Timer;
use violation::PeerFault;
use wait::{Wakes, Watchers};

/// What may be on its way in all sessions that the peer begins, as so many times the limit of what may be queued.
const WINDOWS_WORTH: usize = 4;

/// One connection with all its sessions, links and deliveries.
#[derive(Debug)]
pub(crate) struct Engine {
    connection: ConnectionEnd,
    sessions: Slab<Session>,
    effects: Effects,
    /// Which session is told of new room first.
    next_turn: usize,
}

impl Engine {
    pub(crate) fn new(
        settings: ConnectionSettings,
        limits: Limits,
        layout: Layout,
        now: Instant,
    ) -> Self {
        let high_water = limits
            .max_output_bytes
            .max(2 * settings.open.max_frame_size.min(1 << 20) as usize);
        Self {
            connection: ConnectionEnd::new(settings, now),
            sessions: Slab::new(),
            effects: Effects {
                output: Output::new(layout, high_water),
                wakes: Wakes::default(),
                garbage: Vec::new(),
                due_sessions: Vec::new(),
                pending_links: VecDeque::new(),
                pending_watchers: Watchers::default(),
                settled_watchers: Watchers::default(),
                has_retirements: false,
                violations: Vec::new(),
                written: 0,
                quotas: Quotas::new(&limits),
                limits,
                pass: 0,
                gives_way: false,
                now,
            },
            next_turn: 0,
        }
    }

    // ---- what happened outside

    /// Octets arrived, though perhaps no whole frame.
    pub(crate) fn handle_activity(&mut self, now: Instant) {
        self.effects.pass = self.effects.pass.wrapping_add(1);
        self.effects.now = now;
        self.connection.on_activity(now);
    }

    pub(crate) fn handle_frame(&mut self, frame: AmqpFrame, now: Instant) {
        if let Err(fault) = self.on_frame(frame, now) {
            self.close_for(&fault, now);
        }
    }

    /// The stream holds what is no frame (F-002, F-015).
    pub(crate) fn handle_frame_error(&mut self, error: FrameError, now: Instant) {
        self.close_for(&PeerFault::Frame(error), now);
    }

    /// A frame's body cannot be decoded.
    pub(crate) fn handle_decode_error(&mut self, error: DecodeError, now: Instant) {
        self.close_for(&PeerFault::Decode(error), now);
    }

    /// The stream ended or broke, or its driver is gone.
    pub(crate) fn handle_cut(&mut self, reason: ConnectionError) {
        self.connection.cut(reason, &mut self.effects);
        self.fail_all();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.connection.timers.take_due(now) {
            match timer {
                Timer::IdleIn => self.on_idle(now),
                Timer::IdleOut => {} // flush writes the heartbeat
                Timer::Close => self.on_unanswered_close(),
                Timer::PendingLink => self.refuse_forgotten_links(now),
            }
        }
    }

    /// `octets` more have been handed to the stream.
    pub(crate) fn handle_written(&mut self, octets: usize) {
        self.effects.written += octets as u64;
    }

    fn on_idle(&mut self, now: Instant) {
        let tolerated = self.connection.settings.idle_time_out.unwrap_or_default();
        let error = AmqpError::new(
            condition::RESOURCE_LIMIT_EXCEEDED,
            "nothing arrived within the idle-time-out",
        );
        self.connection.close(
            Some(error),
            ConnectionError::IdleTimeout(tolerated),
            now,
            &mut self.effects,
        ); // C-014
        self.fail_all();
    }

    /// The peer did not answer our close (C-027). Who closed for no other reason learns that.
    fn on_unanswered_close(&mut self) {
        if self.connection.endpoint.is_closed() {
            return self.handle_cut(ConnectionError::eof()); // all is said; only the stream is stuck
        }
        self.connection
            .ended
            .take_if(|reason| matches!(reason, ConnectionError::LocalClosed));
        self.handle_cut(ConnectionError::Timeout {
            operation: "close",
            after: self.connection.settings.operation_timeout,
        });
    }

    fn close_for(&mut self, fault: &PeerFault, now: Instant) {
        if self.connection.is_discarding() {
            return;
        }
        let violation = self.effects.blame(fault);
        self.connection.close(
            Some(violation.to_amqp_error()),
            ConnectionError::Violation(violation),
            now,
            &mut self.effects,
        );
        self.fail_all();
    }

    /// The connection is over: whoever waits for anything on it learns why.
    fn fail_all(&mut self) {
        let Some(error) = self.connection.ended.clone() else {
            return;
        };
        for (_, session) in self.sessions.iter_mut() {
            session.fail(SessionError::Connection(error.clone()), &mut self.effects);
        }
        self.effects
            .pending_watchers
            .wake_all(&mut self.effects.wakes);
    }

    fn on_frame(&mut self, frame: AmqpFrame, now: Instant) -> Result<(), PeerFault> {
        let AmqpFrame {
            channel,
            performative,
            payload,
        } = frame;
        if self.connection.is_discarding() {
            if let Some(Performative::Close(close)) = performative {
                self.connection.on_close(close, now, &mut self.effects);
            }
            return Ok(());
        }
        match performative {
            Some(Performative::Open(open)) => {
                self.connection
                    .on_open(*open, channel, now, &mut self.effects)
            }
            _ if self.connection.endpoint.remote == Half::Idle => Err(PeerFault::FirstFrameNotOpen), // C-001
            None => Ok(()),
            Some(Performative::Close(close)) => {
                self.connection.on_close(close, now, &mut self.effects);
                self.fail_all();
                Ok(())
            }
            Some(Performative::Begin(begin)) => self.on_begin(channel, &begin),
            Some(performative) => self.on_session_frame(channel, performative, payload),
        }
    }

    fn on_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), PeerFault> {
        self.connection.check_begin(channel)?;
        let key = match begin.remote_channel {
            Some(ours) => {
                let waiting = self.connection.outgoing_channels.get(u32::from(ours));
                let key = waiting.ok_or(PeerFault::UnexpectedRemoteChannel(ours))?;
                let is_waiting = self
                    .sessions
                    .get(key)
                    .is_some_and(|session| session.endpoint.remote == Half::Idle);
                if !is_waiting {
                    return Err(PeerFault::UnexpectedRemoteChannel(ours)); // S-004
                }
                key
            }
            None => self.incoming_session()?,
        };
        self.connection
            .incoming_channels
            .set(u32::from(channel), key);
        if let Some(session) = self.sessions.get_mut(key) {
            session.on_begin(begin, channel, &mut self.effects);
        }
        Ok(())
    }

    /// A session that the peer begins is answered at once.
    fn incoming_session(&mut self) -> Result<Key, PeerFault> {
        let asked = &self.connection.settings.incoming_begin;
        let begin = Begin {
            incoming_window: asked.incoming_window.min(self.window_share()),
            ..asked.clone()
        };
        let key = self
            .new_session(begin, self.effects.now)
            .map_err(PeerFault::TooManySessions)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.is_remote_initiated = true;
        }
        Ok(key)
    }

    /// Frames that may be on their way in one more session of the peer's: it cannot make us hold more by beginning many.
    fn window_share(&self) -> u32 {
        let octets = self.effects.limits.max_queued_bytes;
        let frame = self.connection.settings.open.max_frame_size as usize;
        let frames = octets.saturating_mul(WINDOWS_WORTH) / frame.max(MIN_MAX_FRAME_SIZE as usize);
        let share = frames / (self.sessions.len() + 1);
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }

    /// Makes a session on a free channel; the limit if there is none. What `begin` cannot know is filled in.
    fn new_session(&mut self, begin: Begin, now: Instant) -> Result<Key, u32> {
        let begin = Begin {
            outgoing_window: OUTGOING_WINDOW,
            handle_max: self.effects.limits.max_links_per_session.saturating_sub(1),
            ..begin
        };
        let highest = self.connection.highest_outgoing_channel();
        let channels = &mut self.connection.outgoing_channels;
        let mut channel = None;
        let key = self.sessions.insert_with(|key| {
            channel = channels.allocate(key, highest, now);
            Session::new(key, channel.unwrap_or(0) as u16, begin)
        });
        if channel.is_none() {
            self.sessions.remove(key);
            return Err(highest + 1);
        }
        Ok(key)
    }

    fn on_session_frame(
        &mut self,
        channel: u16,
        performative: Performative,
        payload: Bytes,
    ) -> Result<(), PeerFault> {
        let key = self.connection.session_of(channel)?;
        let Some(session) = self.sessions.get_mut(key) else {
            return Ok(());
        };
        let effects = &mut self.effects;
        if let Performative::End(end) = performative {
            session.on_end(end, effects);
            self.connection.incoming_channels.clear(u32::from(channel));
            self.reap_session(key);
            return Ok(());
        }
        if session.is_discarding() {
            return Ok(());
        }
        if session.ended.is_some() {
            session.on_late_frame(performative, effects);
            return Ok(());
        }
        let handled = match performative {
            Performative::Transfer(transfer) => session.on_transfer(transfer, payload, effects),
            Performative::Disposition(disposition) => session.on_disposition(&disposition, effects),
            Performative::Flow(flow) => session.on_flow(flow, effects),
            Performative::Attach(attach) => {
                let handled = session.on_attach(*attach, effects);
                let handled = self.answer_fault(key, handled);
                self.watch_pending_links();
                return handled;
            }
            Performative::Detach(detach) => session.on_detach(detach, effects),
            Performative::Open(_)
            | Performative::Begin(_)
            | Performative::End(_)
            | Performative::Close(_) => Ok(()), // handled before
        };
        self.answer_fault(key, handled)
    }

    fn answer_fault(
        &mut self,
        key: Key,
        handled: Result<(), session::LocatedFault>,
    ) -> Result<(), PeerFault> {
        match (handled, self.sessions.get_mut(key)) {
            (Err(fault), Some(session)) => session.on_fault(fault, &mut self.effects),
            _ => Ok(()),
        }
    }

    /// Frees the numbers and the memory of a session that is over (S-011).
    fn reap_session(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.endpoint.is_closed() {
            let channel = u32::from(session.outgoing_channel);
            if self.connection.outgoing_channels.get(channel) == Some(key) {
                let now = self.effects.now;
                self.connection.outgoing_channels.clear(channel, now);
            }
            session.watchers.wake_all(&mut self.effects.wakes);
        }
        if session.is_over()
            && let Some(session) = self.sessions.remove(key)
        {
            session.incoming.give_back(&mut self.effects);
        }
    }

    // ---- what comes out

    /// Writes what is due, up to the high-water mark.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.connection.is_cut {
            return;
        }
        if let Err(error) = self.connection.flush_start(now, &mut self.effects) {
            return self.handle_cut(error);
        }
        self.open_windows();
        if self.can_flush_sessions() {
            self.flush_sessions();
        }
        let is_ready = self.is_ready_to_close();
        self.connection.flush_end(is_ready, now, &mut self.effects);
    }

    /// Sessions whose windows stayed shut because of what others held look again.
    fn open_windows(&mut self) {
        if !self.effects.quotas.take_new_room() {
            return;
        }
        for (_, session) in self.sessions.iter_mut() {
            session.open_window(&mut self.effects);
        }
    }

    /// Sessions write between the opens of both sides and our close.
    fn can_flush_sessions(&self) -> bool {
        !self.effects.due_sessions.is_empty()
            && self.connection.endpoint.local == Half::Open
            && self.connection.endpoint.remote != Half::Idle
    }

    /// Whether all is written that was accepted before our close: deliveries under way, settlements.
    fn is_ready_to_close(&self) -> bool {
        let is_sending = |session: &Session| session.has_partials();
        !self.connection.is_close_due()
            || !self.connection.is_finishing()
            || (!self.can_flush_sessions()
                && !self.sessions.iter().any(|(_, session)| is_sending(session)))
    }

    fn flush_sessions(&mut self) {
        let mut position = 0;
        // What becomes due meanwhile is for the next flush: others may have to run first.
        let count = self.effects.due_sessions.len();
        while position < count && self.effects.output.has_room() {
            let key = self.effects.due_sessions[position];
            position += 1;
            if let Some(session) = self.sessions.get_mut(key) {
                session.flush(&mut self.effects);
            }
            self.reap_session(key);
        }
        self.effects.due_sessions.drain(..position);
    }

    /// Writes what was retired in transactions, because what is sent next may be the discharge of one (X-024).
    fn flush_retirements(&mut self) {
        if !self.can_flush_sessions() || !std::mem::take(&mut self.effects.has_retirements) {
            return;
        }
        for (_, session) in self.sessions.iter_mut() {
            session.flush_dispositions(&mut self.effects);
        }
    }

    /// Whether a flush would write something.
    pub(crate) fn has_due_work(&self) -> bool {
        let is_close_due = self.connection.is_close_due() && self.is_ready_to_close();
        !self.connection.is_cut
            && (self.connection.has_open_due()
                || is_close_due
                || self.can_flush_sessions()
                || self.effects.quotas.has_new_room()
                || self.has_output())
    }

    /// Whether tasks that were woken should run before the next flush.
    pub(crate) fn take_gives_way(&mut self) -> bool {
        std::mem::take(&mut self.effects.gives_way)
    }

    /// Whether octets wait to be written.
    pub(crate) fn has_output(&self) -> bool {
        !self.effects.output.buffer.is_empty()
    }

    /// Deliveries and dispositions that the waiting octets hold.
    pub(crate) fn messages_waiting(&self) -> usize {
        self.effects.output.messages
    }

    /// Exchanges the output for an empty buffer. Senders that waited for room are told.
    pub(crate) fn take_output(&mut self, empty: &mut BytesMut) {
        self.effects.output.swap(empty);
        if std::mem::take(&mut self.effects.output.is_blocked) {
            self.share_room();
        }
    }

    /// Gives back what the output has grown to, if it is empty.
    pub(crate) fn give_back_memory(&mut self) {
        if !self.has_output() {
            self.effects.output.buffer = BytesMut::new();
        }
    }

    /// Tells the senders of all sessions of new room. Each time another session comes first: the first may take it all.
    fn share_room(&mut self) {
        let positions = self.sessions.positions();
        self.next_turn = self.next_turn.wrapping_add(1);
        for turn in 0..positions {
            let position = self.next_turn.wrapping_add(turn) % positions;
            if let Some(session) = self
                .sessions
                .key_at(position)
                .and_then(|key| self.sessions.get_mut(key))
            {
                session.wake_senders(&mut self.effects);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.connection.timers.next()
    }

    /// Nothing is left to read or write: the driver may end.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_over() && (self.connection.is_cut || !self.has_output())
    }

    /// The peer has closed: all that is left is our answer.
    pub(crate) fn is_answering_close(&self) -> bool {
        self.connection.endpoint.remote == Half::Closed && !self.connection.is_cut
    }

    /// The stream is gone, or was given up: nothing may be written any more.
    pub(crate) fn is_cut(&self) -> bool {
        self.connection.is_cut
    }

    pub(crate) fn has_wakers(&self) -> bool {
        !self.effects.wakes.is_empty()
    }

    /// Wakers that nobody waits behind any more; dropped once the lock is released.
    pub(crate) fn take_discarded_wakers(&mut self) -> Vec<Waker> {
        self.effects.wakes.take_discarded()
    }

    /// The waker that is due first; called once the lock is released.
    pub(crate) fn pop_waker(&mut self) -> Option<Waker> {
        self.effects.wakes.pop()
    }

    /// What the peer did wrong since this was last asked.
    pub(crate) fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.effects.violations)
    }

    /// Payloads that are due to be dropped, once the lock is released.
    pub(crate) fn take_garbage(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.effects.garbage)
    }
}
