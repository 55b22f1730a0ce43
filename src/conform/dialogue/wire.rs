//! One connection: octets out, frames in, all of it recorded; and what must be counted to speak as a session's end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::frames::{self, Link};
use crate::codec::frame::{self, AmqpFrame, RawFrame};
use crate::codec::{Begin, Flow, Open, Performative, ProtocolHeader, SaslFrame, Transfer};
use crate::conform::record::{Direction, Record};
use crate::conform::target::BoxStream;

/// The largest frame that is read: what our open announces.
pub(super) const MAX_FRAME_SIZE: u32 = 1 << 20;

/// One connection of a case.
pub(super) struct Wire {
    stream: BoxStream,
    number: usize,
    input: BytesMut,
    is_ended: bool,
    /// Whether the header of AMQP is still to come: some send it together with their first frame.
    pub(super) is_header_due: bool,
    /// What the peer's open said.
    pub(super) remote_open: Option<Open>,
    /// The channel of the session that verbs are about.
    pub(super) channel: u16,
    pub(super) sessions: Vec<Session>,
    /// The peer's begins, by their channels.
    pub(super) remote_begins: Vec<(u16, Begin)>,
    /// Links that a client attached.
    pub(super) links: Vec<Served>,
    /// The peer's last flow on each link, by its channel and handle.
    flows: Vec<(u16, Flow)>,
    /// Octets of the largest frame that came.
    pub(super) largest_frame: usize,
    /// Whether a frame came with more than the eight octets of a header.
    pub(super) has_extended_headers: bool,
    /// The next handle that this program gives to a link.
    pub(super) next_handle: u32,
}

/// What this program counts for one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Ours.
    pub(super) channel: u16,
    /// The peer's.
    pub(super) remote_channel: u16,
    /// Of the peer's transfers.
    pub(super) next_incoming_id: u32,
    /// Of our own.
    pub(super) next_outgoing_id: u32,
    /// The first that the peer's window has no room for.
    pub(super) window_end: u32,
    /// Of our next delivery.
    pub(super) next_delivery_id: u32,
}

/// What this program counts for one link that a client attached.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) link: Link,
    /// Whether a case has asked for it.
    pub(super) is_taken: bool,
    /// Credit that the client has, if it is the sender.
    pub(super) credit: u32,
    /// Deliveries that came or were sent, counted when they begin.
    pub(super) delivery_count: u32,
    /// Whether more frames of the last one are to come.
    is_midway: bool,
    /// The delivery of which more frames are to come.
    pub(super) delivery_id: Option<u32>,
    /// Whether that one is settled.
    pub(super) is_settled: bool,
}

impl Served {
    pub(super) fn new(link: Link) -> Self {
        let delivery_count = link.remote.initial_delivery_count.unwrap_or(0);
        Self {
            link,
            is_taken: false,
            credit: 0,
            delivery_count,
            is_midway: false,
            delivery_id: None,
            is_settled: false,
        }
    }

    /// Counts a transfer frame of the client.
    fn count(&mut self, transfer: &Transfer) {
        if !self.is_midway {
            self.delivery_count = self.delivery_count.wrapping_add(1);
            self.credit = self.credit.saturating_sub(1);
        }
        self.is_midway = transfer.more && !transfer.aborted;
    }
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    Frame(RawFrame),
    /// The peer ended its direction of the stream, or broke it.
    End,
    /// Nothing in time.
    Nothing,
    /// Octets that are no frame, and why.
    NoFrame(String),
}

impl Wire {
    pub(super) fn new(stream: BoxStream, number: usize) -> Self {
        Self {
            stream,
            number,
            input: BytesMut::new(),
            is_ended: false,
            is_header_due: false,
            remote_open: None,
            channel: frames::CHANNEL,
            sessions: Vec::new(),
            remote_begins: Vec::new(),
            links: Vec::new(),
            flows: Vec::new(),
            largest_frame: 0,
            has_extended_headers: false,
            next_handle: frames::HANDLE,
        }
    }

    pub(super) fn session(&mut self, channel: u16) -> Option<&mut Session> {
        let mut sessions = self.sessions.iter_mut();
        sessions.find(|session| session.channel == channel)
    }

    /// Our channel of the session that the peer has on this one.
    pub(super) fn channel_of(&self, remote_channel: u16) -> Option<u16> {
        let mut sessions = self.sessions.iter();
        let session = sessions.find(|session| session.remote_channel == remote_channel);
        session.map(|session| session.channel)
    }

    /// The link that a client means by this handle.
    pub(super) fn served(
        &mut self,
        remote_channel: u16,
        handle: Option<u32>,
    ) -> Option<&mut Served> {
        let channel = self.channel_of(remote_channel)?;
        let mut links = self.links.iter_mut();
        links.find(|served| {
            served.link.channel == channel && Some(served.link.remote.handle) == handle
        })
    }

    /// The peer's last flow on a link, if it grants credit.
    pub(super) fn credit_of(&self, link: &Link) -> Option<Flow> {
        let flow = self.flow_of(link)?;
        flow.link_credit
            .is_some_and(|credit| credit > 0)
            .then(|| flow.clone())
    }

    /// The peer's last flow on a link.
    pub(super) fn flow_of(&self, link: &Link) -> Option<&Flow> {
        let mut sessions = self.sessions.iter();
        let session = sessions.find(|session| session.channel == link.channel)?;
        let mut flows = self.flows.iter();
        let (_, flow) = flows.find(|(channel, flow)| {
            *channel == session.remote_channel && flow.handle == Some(link.remote.handle)
        })?;
        Some(flow)
    }

    /// Writes octets. A peer that does not read any more is not in the way: what it says instead is still to be heard.
    pub(super) async fn write(
        &mut self,
        record: &mut Record,
        what: &str,
        octets: &[u8],
        limit: Duration,
    ) {
        record.add(self.number, Direction::Sent, what, octets);
        self.put(record, octets, limit).await;
    }

    /// The same, without the octets in the record.
    pub(super) async fn write_secretly(
        &mut self,
        record: &mut Record,
        what: &str,
        octets: &[u8],
        limit: Duration,
    ) {
        record.add(self.number, Direction::Sent, what, b"");
        self.put(record, octets, limit).await;
    }

    async fn put(&mut self, record: &mut Record, octets: &[u8], limit: Duration) {
        let writing = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        let why = match tokio::time::timeout(limit, writing).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("not sent: {error}"),
            Err(_) => "not read by the peer".to_owned(),
        };
        record.add(self.number, Direction::Sent, why, b"");
    }

    /// Counts a transfer frame that was sent.
    pub(super) fn count_sent(&mut self, channel: u16, performative: &Performative) {
        if let (Performative::Transfer(transfer), Some(session)) =
            (performative, self.session(channel))
        {
            session.next_outgoing_id = session.next_outgoing_id.wrapping_add(1);
            if let Some(id) = transfer.delivery_id {
                session.next_delivery_id = id.wrapping_add(1);
            }
        }
    }

    fn count_received(&mut self, frame: &AmqpFrame) {
        let channel = frame.channel;
        match &frame.performative {
            Some(Performative::Flow(flow)) => self.count_flow(channel, flow),
            Some(Performative::Transfer(transfer)) => self.count_transfer(channel, transfer),
            Some(Performative::Begin(begin)) => {
                self.remote_begins.retain(|(on, _)| *on != channel);
                self.remote_begins.push((channel, Begin::clone(begin)));
            }
            _ => {}
        }
    }

    fn count_flow(&mut self, channel: u16, flow: &Flow) {
        let mut sessions = self.sessions.iter_mut();
        let session = sessions.find(|session| session.remote_channel == channel);
        if let (Some(session), Some(next)) = (session, flow.next_incoming_id) {
            session.window_end = next.wrapping_add(flow.incoming_window);
        }
        if flow.handle.is_some() {
            let is_known =
                |(on, known): &(u16, Flow)| *on == channel && known.handle == flow.handle;
            self.flows.retain(|known| !is_known(known));
            self.flows.push((channel, flow.clone()));
        }
    }

    fn count_transfer(&mut self, channel: u16, transfer: &Transfer) {
        if let Some(served) = self.served(channel, Some(transfer.handle)) {
            served.count(transfer);
        }
        let mut sessions = self.sessions.iter_mut();
        if let Some(session) = sessions.find(|session| session.remote_channel == channel) {
            session.next_incoming_id = session.next_incoming_id.wrapping_add(1);
        }
    }

    /// This many octets, or fewer if the stream ends or the time is up before.
    pub(super) async fn read_octets(
        &mut self,
        record: &mut Record,
        count: usize,
        deadline: Instant,
    ) -> Bytes {
        while self.input.len() < count && !self.is_ended {
            if !self.fill(deadline).await {
                break;
            }
        }
        let octets = self.input.split_to(count.min(self.input.len())).freeze();
        let what = match octets.len() {
            8 if octets.starts_with(b"AMQP") => "header",
            0 if self.is_ended => "the end of the stream",
            0 => return octets,
            _ => "octets",
        };
        record.add(self.number, Direction::Received, what, &octets);
        octets
    }

    /// The next frame of any type.
    pub(super) async fn hear(&mut self, record: &mut Record, deadline: Instant) -> Heard {
        if self.is_header_due
            && let Some(heard) = self.hear_header(record, deadline).await
        {
            return heard;
        }
        loop {
            let octets = first_frame(&self.input);
            match frame::split(&mut self.input, MAX_FRAME_SIZE) {
                Ok(Some(raw)) => return self.heard(record, raw, &octets),
                Ok(None) => {}
                Err(error) => return Heard::NoFrame(error.to_string()),
            }
            if self.is_ended {
                record.add(
                    self.number,
                    Direction::Received,
                    "the end of the stream",
                    b"",
                );
                return Heard::End;
            }
            if !self.fill(deadline).await {
                return Heard::Nothing;
            }
        }
    }

    /// The header of AMQP; what came instead, if it is not that.
    async fn hear_header(&mut self, record: &mut Record, deadline: Instant) -> Option<Heard> {
        while self.input.len() < 8 && !self.is_ended {
            if !self.fill(deadline).await {
                return Some(Heard::Nothing);
            }
        }
        let octets = self.read_octets(record, 8, deadline).await;
        self.is_header_due = false;
        match octets[..] == ProtocolHeader::AMQP.to_bytes() {
            true => None,
            false if octets.is_empty() => Some(Heard::End),
            false => Some(Heard::NoFrame("not the header of AMQP".to_owned())),
        }
    }

    fn heard(&mut self, record: &mut Record, raw: RawFrame, octets: &[u8]) -> Heard {
        self.largest_frame = self.largest_frame.max(octets.len());
        self.has_extended_headers |= octets.len() > raw.body.len() + frame::HEADER_LEN;
        if raw.frame_type == frame::TYPE_SASL {
            let (what, is_secret) = name_of_sasl(&raw);
            let octets = if is_secret { b"".as_slice() } else { octets };
            record.add(self.number, Direction::Received, what, octets);
            return Heard::Frame(raw);
        }
        let what = match frame::decode_amqp(raw.clone()) {
            Ok(frame) => {
                self.count_received(&frame);
                name_of(&frame)
            }
            Err(error) => format!("frame that does not decode ({error})"),
        };
        record.add(self.number, Direction::Received, what, octets);
        Heard::Frame(raw)
    }

    /// Reads once; false when the time is up.
    async fn fill(&mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.stream.read_buf(&mut self.input)).await {
            Ok(Ok(1..)) => true,
            Ok(Ok(0) | Err(_)) => {
                self.is_ended = true;
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Drops the stream: both directions end.
    pub(super) fn hang_up(&mut self) {
        self.is_ended = true;
        self.stream = Box::new(tokio::io::empty());
    }

    /// Ends the stream in this direction.
    pub(super) async fn half_close(&mut self, record: &mut Record) {
        record.add(self.number, Direction::Sent, "the end of the stream", b"");
        // A peer that is gone already has no need of it.
        let _ = self.stream.shutdown().await;
    }

    /// Octets that came and that no verb asked for belong to the record too.
    pub(super) fn record_the_unread(&self, record: &mut Record) {
        if !self.input.is_empty() {
            record.add(
                self.number,
                Direction::Received,
                "octets not read",
                &self.input,
            );
        }
    }
}

/// The octets of the first frame, if all of it is there.
fn first_frame(input: &BytesMut) -> Bytes {
    let size = input.first_chunk().map(|size| u32::from_be_bytes(*size));
    let octets = size.and_then(|size| input.get(..size as usize));
    octets.map(Bytes::copy_from_slice).unwrap_or_default()
}

/// What a SASL frame is called in the record, and whether it may hold a password.
fn name_of_sasl(raw: &RawFrame) -> (String, bool) {
    match frame::decode_sasl(raw.clone()) {
        Ok(frame) => {
            let is_secret = matches!(frame, SaslFrame::Init(_) | SaslFrame::Response(_));
            (frame.name().to_owned(), is_secret)
        }
        Err(error) => (format!("SASL frame that does not decode ({error})"), true),
    }
}

/// What a frame is called in the record.
fn name_of(frame: &AmqpFrame) -> String {
    match &frame.performative {
        Some(performative) => format!("{} on channel {}", performative.name(), frame.channel),
        None => format!("empty frame on channel {}", frame.channel),
    }
}
