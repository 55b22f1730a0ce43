//! The connection's own part of the protocol: open, close, idle time-out, and the channels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channels::OutgoingChannels;
use super::effects::Effects;
use super::endpoint::{Endpoint, Half};
use super::key::{Key, NumberTable};
use super::output::without_details;
use super::timer::{Timer, Timers};
use super::violation::PeerFault;
use super::wait::Watchers;
use crate::codec::frame::MIN_MAX_FRAME_SIZE;
use crate::codec::{AmqpError, Begin, Close, Open};
use crate::error::{ConnectionError, SessionError};

/// Idle time-outs below this cannot be honoured: the heartbeat would be the traffic (C-015).
const SHORTEST_IDLE_TIME_OUT: u32 = 20;

/// What the connection's user decides.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    /// Our open, complete. Its idle-time-out is half of `idle_time_out`, as it should be (C-012).
    pub(crate) open: Open,
    /// What we say where the peer begins a session.
    pub(crate) incoming_begin: Begin,
    /// How long we tolerate silence.
    pub(crate) idle_time_out: Option<Duration>,
    /// How long a closing waits for the peer's close, and an incoming link for being accepted.
    pub(crate) operation_timeout: Duration,
}

/// The connection endpoint.
#[derive(Debug)]
pub(crate) struct ConnectionEnd {
    pub(crate) settings: ConnectionSettings,
    pub(crate) endpoint: Endpoint,
    pub(crate) remote_open: Option<Arc<Open>>,
    pub(crate) timers: Timers,
    due_open: bool,
    due_close: Option<Close>,
    /// Our close is due, but deliveries under way come first.
    is_finishing: bool,
    /// Why it ended, from the moment that is known.
    pub(crate) ended: Option<ConnectionError>,
    /// The stream is gone: nothing can be read or written any more.
    pub(crate) is_cut: bool,
    pub(crate) watchers: Watchers,
    pub(crate) outgoing_channels: OutgoingChannels,
    pub(crate) incoming_channels: NumberTable,
    heartbeat_interval: Option<Duration>,
    last_write: Instant,
    last_position: u64,
}

impl ConnectionEnd {
    pub(crate) fn new(settings: ConnectionSettings, now: Instant) -> Self {
        let mut connection = Self {
            settings,
            endpoint: Endpoint::default(),
            remote_open: None,
            timers: Timers::default(),
            due_open: false,
            due_close: None,
            is_finishing: false,
            ended: None,
            is_cut: false,
            watchers: Watchers::default(),
            outgoing_channels: OutgoingChannels::default(),
            incoming_channels: NumberTable::default(),
            heartbeat_interval: None,
            last_write: now,
            last_position: 0,
        };
        connection.on_activity(now);
        connection
    }

    /// Starts our half: the open goes out with the next flush.
    pub(crate) fn open(&mut self) {
        if self.endpoint.local == Half::Idle {
            self.endpoint.local = Half::Open;
            self.due_open = true;
        }
    }

    pub(crate) fn has_open_due(&self) -> bool {
        self.due_open
    }

    /// Nothing but a close is of interest any more (C-032).
    pub(crate) fn is_discarding(&self) -> bool {
        (self.due_close.is_some() && !self.is_finishing) || self.endpoint.local == Half::Closed
    }

    /// A close of the application's waits until what was accepted for sending has been written.
    pub(crate) fn is_close_due(&self) -> bool {
        self.due_close.is_some()
    }

    /// A close that tells the peer of a fault, or answers its close, waits for nothing.
    pub(crate) fn is_finishing(&self) -> bool {
        self.is_finishing
    }

    /// Closes from our side; the reason is what everybody who waits learns.
    pub(crate) fn close(
        &mut self,
        error: Option<AmqpError>,
        reason: ConnectionError,
        now: Instant,
        effects: &mut Effects,
    ) {
        let is_wish = matches!(reason, ConnectionError::LocalClosed);
        self.ended.get_or_insert(reason);
        if let Some(due) = &mut self.due_close {
            // The peer closes, or breaks the rules, while ours waits for what is under way: it waits no longer.
            self.is_finishing &= is_wish;
            due.error = due.error.take().or(error);
            return;
        }
        if self.endpoint.local == Half::Closed {
            return;
        }
        self.open(); // C-002: an open of ours precedes our close
        self.is_finishing = matches!(self.ended, Some(ConnectionError::LocalClosed));
        self.due_close = Some(Close { error });
        // It bounds all that follows, until the driver is done: what is still being sent, the peer's close, a stuck stream.
        self.timers.set(
            Timer::Close,
            now.checked_add(self.settings.operation_timeout),
        );
        self.timers.set(Timer::IdleIn, None);
        self.watchers.wake_all(&mut effects.wakes);
    }

    pub(crate) fn on_open(
        &mut self,
        open: Open,
        channel: u16,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<(), PeerFault> {
        if self.remote_open.is_some() {
            return Err(PeerFault::SecondOpen); // C-003
        }
        if channel != 0 {
            return Err(PeerFault::OpenOnChannel(channel)); // C-002
        }
        self.endpoint.remote = Half::Open;
        if open.max_frame_size < crate::codec::frame::MIN_MAX_FRAME_SIZE {
            return Err(PeerFault::MaxFrameSizeTooSmall(open.max_frame_size)); // F-017
        }
        let idle_time_out = open.idle_time_out.filter(|milliseconds| *milliseconds > 0); // C-010
        if let Some(too_short) =
            idle_time_out.filter(|milliseconds| *milliseconds < SHORTEST_IDLE_TIME_OUT)
        {
            return Err(PeerFault::IdleTimeOutTooShort(too_short)); // C-015
        }
        effects.output.max_frame_size = open.max_frame_size as usize;
        self.heartbeat_interval =
            idle_time_out.map(|milliseconds| Duration::from_millis(u64::from(milliseconds)) / 2); // C-013
        self.last_write = now;
        self.schedule_heartbeat();
        self.remote_open = Some(Arc::new(open));
        self.watchers.wake_all(&mut effects.wakes);
        Ok(())
    }

    /// Octets arrived: the peer lives (C-017, C-019).
    pub(crate) fn on_activity(&mut self, now: Instant) {
        if !self.is_discarding() {
            self.timers.set(
                Timer::IdleIn,
                tolerated(&self.settings).and_then(|tolerated| now.checked_add(tolerated)),
            );
        }
    }

    fn schedule_heartbeat(&mut self) {
        let deadline = self
            .heartbeat_interval
            .map(|interval| self.last_write + interval);
        self.timers.set(Timer::IdleOut, deadline);
    }

    /// Writes open, and a heartbeat if nothing else has gone out for long enough (C-011).
    pub(crate) fn flush_start(
        &mut self,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<(), ConnectionError> {
        if std::mem::take(&mut self.due_open) {
            let limit = std::mem::replace(
                &mut effects.output.max_frame_size,
                MIN_MAX_FRAME_SIZE as usize,
            ); // F-013
            let written = effects.output.write(0, &self.settings.open);
            effects.output.max_frame_size = limit;
            written.map_err(|too_large| ConnectionError::OpenTooLarge {
                size: too_large.size,
                limit: too_large.limit,
            })?;
        }
        self.note_writes(now, effects);
        if self
            .heartbeat_interval
            .is_some_and(|interval| self.last_write + interval <= now)
            && self.can_write_frames()
        {
            // What waits for a peer that doesn't read is sign of life enough, and must not grow.
            if effects.output.is_empty() {
                effects.output.write_heartbeat();
            }
            self.last_write = now;
            self.schedule_heartbeat();
        }
        Ok(())
    }

    /// Empty frames go between our open and our close only (C-018).
    fn can_write_frames(&self) -> bool {
        self.endpoint.local == Half::Open && !self.due_open
    }

    fn note_writes(&mut self, now: Instant, effects: &Effects) {
        if effects.output.position() != self.last_position {
            self.last_position = effects.output.position();
            self.last_write = now;
            self.schedule_heartbeat();
        }
    }

    /// Writes close as the last frame ever (C-026), once everything `is_ready` for it.
    pub(crate) fn flush_end(&mut self, is_ready: bool, now: Instant, effects: &mut Effects) {
        if let Some(close) = self.due_close.take_if(|_| is_ready) {
            self.endpoint.local = Half::Closed;
            effects.output.write_or_bare(0, close, |close| Close {
                error: close.error.map(without_details),
            });
            self.timers.set(Timer::IdleOut, None);
            self.heartbeat_interval = None;
            self.watchers.wake_all(&mut effects.wakes); // the exchange may be complete with this
        }
        self.note_writes(now, effects);
    }

    pub(crate) fn on_close(&mut self, close: Close, now: Instant, effects: &mut Effects) {
        self.endpoint.remote = Half::Closed;
        if close.error.is_some() && matches!(self.ended, Some(ConnectionError::LocalClosed)) {
            self.ended = Some(ConnectionError::RemoteClosed(close.error.clone())); // C-031
        }
        self.close(
            None,
            ConnectionError::RemoteClosed(close.error),
            now,
            effects,
        ); // C-028
        self.watchers.wake_all(&mut effects.wakes);
    }

    /// The stream is gone.
    pub(crate) fn cut(&mut self, reason: ConnectionError, effects: &mut Effects) {
        self.is_cut = true;
        self.ended.get_or_insert(reason);
        self.due_open = false;
        self.due_close = None;
        self.timers = Timers::default();
        self.heartbeat_interval = None;
        self.watchers.wake_all(&mut effects.wakes);
    }

    /// Nothing is left to read or write.
    pub(crate) fn is_over(&self) -> bool {
        self.is_cut || self.endpoint.is_closed()
    }

    /// What a handle learns whose session is not there any more.
    pub(crate) fn why_session_is_gone(&self) -> SessionError {
        let ended = self.ended.clone();
        ended.map_or(SessionError::LocalEnded, SessionError::Connection)
    }

    /// Channels that both sides allow, and our own limit.
    pub(crate) fn highest_outgoing_channel(&self) -> u32 {
        let remote = self
            .remote_open
            .as_ref()
            .map_or(0, |open| u32::from(open.channel_max));
        remote.min(u32::from(self.settings.open.channel_max))
    }

    /// The session that a frame on `channel` belongs to.
    pub(crate) fn session_of(&self, channel: u16) -> Result<Key, PeerFault> {
        let channel_max = self.settings.open.channel_max;
        if channel > channel_max {
            return Err(PeerFault::ChannelAboveMax {
                channel,
                channel_max,
            }); // C-009
        }
        self.incoming_channels
            .get(u32::from(channel))
            .ok_or(PeerFault::UnmappedChannel(channel)) // C-039
    }

    /// A begin may come on a channel that is free and allowed.
    pub(crate) fn check_begin(&self, channel: u16) -> Result<(), PeerFault> {
        match self.session_of(channel) {
            Ok(_) => Err(PeerFault::ChannelInUse(channel)),
            Err(PeerFault::UnmappedChannel(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// How long we tolerate silence; zero is for ever, as it is on the wire (C-010).
fn tolerated(settings: &ConnectionSettings) -> Option<Duration> {
    settings
        .idle_time_out
        .filter(|tolerated| !tolerated.is_zero())
}
