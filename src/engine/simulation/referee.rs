//! Judges what one engine writes by what it has heard: its own count of windows, credit, numbers and settlements.
//!
//! It shares nothing with the engine but the frames, and looks at each at the moment at which it is written or handled.
//! So what the other side's tolerance would forgive, and what crosses on the wire, is judged exactly.

mod link;
mod session;

use std::collections::{HashMap, HashSet};

use bytes::{Bytes, BytesMut};

use crate::codec::frame::{AmqpFrame, MIN_MAX_FRAME_SIZE, decode_amqp, split};
use crate::codec::{Begin, DeliveryState, Performative};
use session::SessionView;

use super::transactions::discharged;

/// One side of a connection, as a listener on the wire sees it.
#[derive(Default)]
pub(super) struct Referee {
    name: &'static str,
    /// Prints every frame.
    pub(super) tells: bool,
    /// The stream is given up: nobody reads what is still written.
    pub(super) is_given_up: bool,
    is_opened: bool,
    is_closed: bool,
    /// The largest frame that the other side takes.
    max_frame_size: usize,
    /// Sessions by the channel that this side writes on.
    sessions: HashMap<u16, SessionView>,
    /// Which of them the other side's channel is.
    incoming_channels: HashMap<u16, u16>,
    /// Sessions that the other side has begun and this one has not answered, by the other's channel.
    unanswered: HashMap<u16, SessionView>,
    /// Transactions of this side whose discharge it has written.
    discharged: HashSet<Bytes>,
}

impl Referee {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            max_frame_size: MIN_MAX_FRAME_SIZE as usize,
            ..Self::default()
        }
    }

    fn tell(&self, direction: &str, frame: &AmqpFrame) {
        if !self.tells {
            return;
        }
        let AmqpFrame {
            channel,
            performative,
            payload,
        } = frame;
        match performative {
            Some(performative) => println!(
                "  {} {direction} {channel} {performative:?} + {} octets",
                self.name,
                payload.len()
            ),
            None => println!("  {} {direction} heartbeat", self.name),
        }
    }

    /// This side has written these octets: whole frames.
    pub(super) fn on_written(&mut self, octets: &[u8]) {
        let mut octets = BytesMut::from(octets);
        while let Some(raw) = split(&mut octets, u32::MAX).expect("frames of a sound engine") {
            let size = raw.body.len() + 8;
            assert!(size <= self.max_frame_size, "{}: {size} octets", self.name);
            let frame = decode_amqp(raw).expect("a performative of a sound engine");
            self.tell("->", &frame);
            self.on_frame_written(&frame);
        }
        assert!(octets.is_empty(), "{}: half a frame", self.name);
    }

    fn on_frame_written(&mut self, frame: &AmqpFrame) {
        let name = self.name;
        assert!(!self.is_closed, "{name}: {frame:?} after close");
        if self.is_given_up {
            return;
        }
        let Some(performative) = &frame.performative else {
            return;
        };
        let channel = frame.channel;
        if !matches!(performative, Performative::Open(_)) {
            assert!(self.is_opened, "{name}: {performative:?} before open");
        }
        if let Performative::Disposition(disposition) = performative
            && let Some(DeliveryState::Transactional(state)) = &disposition.state
        {
            let is_late = self.discharged.contains(&state.txn_id);
            assert!(!is_late, "{name}: {disposition:?} after the discharge");
        }
        match performative {
            Performative::Open(_) => {
                assert!(!self.is_opened, "{name}: a second open");
                self.is_opened = true;
            }
            Performative::Close(_) => self.is_closed = true,
            Performative::Begin(begin) => self.on_begin_written(channel, begin),
            performative => {
                let session = self.sessions.get_mut(&channel);
                let session = session.filter(|session| !session.has_ended);
                session
                    .unwrap_or_else(|| panic!("{name}: {performative:?} without a session"))
                    .on_written(performative);
                if let Performative::Transfer(transfer) = performative
                    && self.sessions[&channel].is_control(transfer.handle)
                    && let Some(txn_id) = discharged(&frame.payload)
                {
                    self.discharged.insert(txn_id);
                }
                self.forget_ended(channel);
            }
        }
    }

    fn on_begin_written(&mut self, channel: u16, begin: &Begin) {
        let mut session = match begin.remote_channel {
            Some(far) => {
                let heard = self.unanswered.remove(&far);
                let session = heard.expect("an answer to a begin");
                if !session.has_heard_end {
                    self.incoming_channels.insert(far, channel);
                }
                session
            }
            None => SessionView::new(self.name),
        };
        session.on_begin_written(begin);
        let before = self.sessions.insert(channel, session);
        assert!(before.is_none(), "{}: {channel} is in use", self.name);
    }

    /// This side handles a frame of the other.
    pub(super) fn on_heard(&mut self, frame: &AmqpFrame) {
        self.tell("<-", frame);
        let far = frame.channel;
        match &frame.performative {
            Some(Performative::Open(open)) => {
                self.max_frame_size = open.max_frame_size.max(MIN_MAX_FRAME_SIZE) as usize;
            }
            Some(Performative::Begin(begin)) => {
                let session = match begin.remote_channel {
                    Some(channel) => {
                        self.incoming_channels.insert(far, channel);
                        self.sessions.get_mut(&channel).expect("a begin of ours")
                    }
                    None => {
                        let session = SessionView::new(self.name);
                        self.unanswered.entry(far).insert_entry(session).into_mut()
                    }
                };
                session.on_begin_heard(begin);
            }
            Some(performative) => {
                let channel = self.incoming_channels.get(&far).copied();
                let session = match channel {
                    Some(channel) => self.sessions.get_mut(&channel),
                    None => self.unanswered.get_mut(&far),
                };
                if let Some(session) = session {
                    session.on_heard(performative);
                }
                if let (Performative::End(_), Some(channel)) = (performative, channel) {
                    self.incoming_channels.remove(&far);
                    self.forget_ended(channel);
                }
            }
            None => {}
        }
    }

    fn forget_ended(&mut self, channel: u16) {
        self.sessions
            .retain(|number, session| *number != channel || !session.is_over());
    }

    /// The connection is to end.
    pub(super) fn on_ending(&mut self) {
        self.sessions
            .values_mut()
            .for_each(|session| session.is_ending = true);
    }

    /// Nothing is under way: what was asked for has been answered.
    pub(super) fn check_rest(&self) {
        if !self.is_closed {
            self.sessions.values().for_each(SessionView::check_rest);
        }
    }
}
