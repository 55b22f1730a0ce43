//! The sending end of a link: credit, drain, and deliveries too large for one frame.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::credit::SenderCredit;
use super::effects::Effects;
use super::violation::PeerFault;
use super::wait::WaitQueue;
use crate::codec::{
    DeliveryState, DeliveryTag, Encode, Flow, Message, SenderSettleMode, Symbol, Transfer, Value,
    Writer, frame,
};
use crate::error::{LinkError, SendError, SettleModeMismatch};

/// The property of a flow that names the transaction for which deliveries are acquired [4.4.3].
pub(super) const TXN_ID: Symbol = Symbol::from_static("txn-id");

/// What is to be sent in one delivery.
#[derive(Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for every message"
)]
pub(crate) enum Payload {
    /// Encoded straight behind the performative.
    Message(Message),
    /// Sections that are encoded already, or another message format.
    Encoded(Pieces),
}

/// Shows how much there is, not what it says.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => write!(f, "message, {} octets of data", message.body_len()),
            Self::Encoded(pieces) => write!(f, "encoded, {} octets", pieces.len),
        }
    }
}

/// Octets in one piece or several, so that the body of a large message need not be copied to what stands around it.
#[derive(Clone, PartialEq)]
pub(crate) struct Pieces {
    /// Empty only if all are.
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Of all together.
    len: usize,
}

impl Pieces {
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let first = pieces.next().unwrap_or_default();
        let rest: VecDeque<Bytes> = pieces.collect();
        let len = first.len() + rest.iter().map(Bytes::len).sum::<usize>();
        Self { first, rest, len }
    }

    fn write_all(&self, buffer: &mut BytesMut) {
        buffer.extend_from_slice(&self.first);
        for piece in &self.rest {
            buffer.extend_from_slice(piece);
        }
    }

    /// Moves as many octets as there is room for to the end of `buffer`, and pieces that are used up to `garbage`.
    fn write(&mut self, mut room: usize, buffer: &mut BytesMut, garbage: &mut Vec<Bytes>) {
        while room > 0 && !self.first.is_empty() {
            let chunk = self.first.split_to(room.min(self.first.len()));
            buffer.extend_from_slice(&chunk);
            room -= chunk.len();
            self.len -= chunk.len();
            if self.first.is_empty() {
                self.first = self.rest.pop_front().unwrap_or_default();
                garbage.push(chunk);
            }
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(octets: Bytes) -> Self {
        Self::new([octets])
    }
}

/// Shows how much there is, not what it says.
impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.len)
    }
}

/// One delivery as the application hands it over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outbound {
    pub(crate) payload: Payload,
    pub(crate) message_format: u32,
    /// None: the engine numbers it.
    pub(crate) delivery_tag: Option<DeliveryTag>,
    pub(crate) state: Option<DeliveryState>,
    /// Whether a delivery of an earlier attachment of the link goes on.
    pub(crate) resume: bool,
    /// The delivery is given up.
    pub(crate) aborted: bool,
}

/// What is left of a delivery that spans several frames.
#[derive(Debug)]
pub(crate) struct PartialSend {
    /// The performative of the next frame; only the first carries id, tag, format and state.
    transfer: Transfer,
    rest: Pieces,
    delivery_id: Option<u32>,
}

/// The sending end of a link.
#[derive(Debug)]
pub(crate) struct SenderEnd {
    pub(crate) credit: SenderCredit,
    /// The receiver asked to use up its credit and has not been answered.
    pub(crate) is_draining: bool,
    pub(crate) snd_settle_mode: SenderSettleMode,
    /// The peer's limit on a message; None is no limit.
    pub(crate) max_message_size: Option<u64>,
    pub(crate) waiters: WaitQueue,
    pub(crate) partial: Option<PartialSend>,
    /// Whether this end can send on behalf of the receiver's transactions.
    pub(crate) offers_acquisition: bool,
    /// The receiver could not state all that it has unsettled: nothing new may be sent (L-038).
    pub(crate) takes_resumed_only: bool,
    /// The transaction for which the receiver acquires what is sent.
    pub(crate) acquired_by: Option<Bytes>,
    /// Messages that the application has and does not send for want of credit, if it ever said so; else they are those that
    /// wait to be sent.
    pub(crate) available: Option<u32>,
    next_tag: u64,
}

impl SenderEnd {
    pub(crate) fn new(initial_delivery_count: u32, snd_settle_mode: SenderSettleMode) -> Self {
        Self {
            credit: SenderCredit::new(initial_delivery_count),
            is_draining: false,
            snd_settle_mode,
            max_message_size: None,
            waiters: WaitQueue::new(),
            partial: None,
            offers_acquisition: false,
            takes_resumed_only: false,
            acquired_by: None,
            available: None,
            next_tag: 0,
        }
    }

    /// D-016, D-017: a link that was negotiated for one way of settling keeps to it.
    pub(crate) fn check_settled(&self, settled: bool) -> Result<(), SendError> {
        match (self.snd_settle_mode, settled) {
            (SenderSettleMode::Settled, false) => Err(SettleModeMismatch::LinkIsSettled.into()),
            (SenderSettleMode::Unsettled, true) => Err(SettleModeMismatch::LinkIsUnsettled.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_size(&self, size: usize) -> Result<(), SendError> {
        match self.max_message_size {
            Some(limit) if size as u64 > limit => Err(SendError::MessageTooLarge {
                size: size as u64,
                limit,
            }),
            _ => Ok(()),
        }
    }

    /// Deliveries that could start now as far as this link is concerned (K-006, D-010).
    pub(crate) fn startable(&self) -> usize {
        if self.partial.is_some() {
            0
        } else {
            self.credit.link_credit as usize
        }
    }

    /// Applies a receiver's flow for this link.
    pub(crate) fn on_flow(&mut self, flow: &Flow) -> Result<(), PeerFault> {
        let acquired_by = acquiring_transaction(flow)?;
        if acquired_by.is_some() && !self.offers_acquisition {
            return Err(PeerFault::AcquisitionNotOffered);
        }
        if flow.link_credit.is_some() {
            self.acquired_by = acquired_by;
        }
        if let Some(link_credit) = flow.link_credit {
            self.credit.on_flow(flow.delivery_count, link_credit);
        }
        self.is_draining = flow.drain;
        Ok(())
    }

    /// Whether a drain can be answered: nobody has anything left to send for this credit (K-013).
    pub(crate) fn can_finish_drain(&self) -> bool {
        self.is_draining
            && self.partial.is_none()
            && ((self.waiters.is_empty() && self.available.unwrap_or(0) == 0)
                || self.credit.link_credit == 0)
    }

    /// Our state as a flow; answers a drain if that can be done now.
    pub(crate) fn flow(&mut self) -> Flow {
        let is_drained = self.can_finish_drain();
        if is_drained {
            self.credit.drain(); // K-012
        }
        let flow = Flow {
            delivery_count: Some(self.credit.delivery_count),
            link_credit: Some(self.credit.link_credit),
            available: self.available.or(Some(self.waiters.len() as u32)),
            drain: self.is_draining,
            ..Flow::default()
        };
        self.is_draining &= !is_drained;
        flow
    }

    /// The next delivery-tag: a counter in as few octets as it needs (D-001).
    fn next_tag(&mut self) -> DeliveryTag {
        let number = self.next_tag;
        self.next_tag = number.wrapping_add(1);
        let unused = (number.leading_zeros() as usize / 8).min(7);
        // Eight octets are below the limit of 32, so the conversion cannot fail.
        DeliveryTag::try_from(&number.to_be_bytes()[unused..]).unwrap_or(DeliveryTag::EMPTY)
    }

    pub(crate) fn first_transfer(
        &mut self,
        handle: u32,
        delivery_id: u32,
        outbound: &Outbound,
        settled: bool,
    ) -> Transfer {
        Transfer {
            handle,
            delivery_id: Some(delivery_id),
            delivery_tag: Some(outbound.delivery_tag.unwrap_or_else(|| self.next_tag())),
            message_format: Some(outbound.message_format),
            settled: settled.then_some(true),
            state: outbound.state.clone(),
            resume: outbound.resume,
            aborted: outbound.aborted,
            ..Transfer::default()
        }
    }
}

/// The transaction that a flow acquires deliveries for [4.4.3].
fn acquiring_transaction(flow: &Flow) -> Result<Option<Bytes>, PeerFault> {
    match flow.properties.get(&TXN_ID) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Binary(txn_id)) => Ok(Some(txn_id.clone())),
        Some(_) => Err(PeerFault::TransactionIdNotBinary),
    }
}

/// How the encoding of a delivery in one frame ended.
pub(crate) enum OneFrame {
    /// It stands at the end of the output.
    Written,
    /// Nothing was written: this is the encoded payload.
    TooLarge(Pieces),
}

/// Writes performative and payload at the end of the output, or takes them back if they don't fit one frame or `sender`'s
/// peer does not take a message of that size.
pub(crate) fn write_in_one_frame(
    channel: u16,
    transfer: &Transfer,
    payload: &Payload,
    sender: &SenderEnd,
    effects: &mut Effects,
) -> Result<OneFrame, SendError> {
    let output = &mut effects.output;
    let mark = frame::start(&mut output.buffer, frame::TYPE_AMQP, channel);
    transfer.encode(&mut Writer::with_layout(&mut output.buffer, output.layout));
    let start = output.buffer.len();
    let (size, limit) = (start - mark, output.max_transfer_size());
    if size >= limit {
        output.buffer.truncate(mark);
        return Err(SendError::NotSent(LinkError::FrameTooLarge { size, limit })); // F-018: a state of that size
    }
    if let Payload::Encoded(pieces) = payload
        && size + pieces.len > limit
    {
        output.buffer.truncate(mark);
        sender.check_size(pieces.len)?;
        return Ok(OneFrame::TooLarge(pieces.clone()));
    }
    let written = write_payload(payload, &mut output.buffer)
        .and_then(|()| sender.check_size(output.buffer.len() - start));
    if let Err(error) = written {
        output.buffer.truncate(mark);
        return Err(error);
    }
    if output.buffer.len() - mark <= limit {
        frame::finish(&mut output.buffer, mark);
        return Ok(OneFrame::Written);
    }
    let encoded = Bytes::copy_from_slice(&output.buffer[start..]);
    output.buffer.truncate(mark);
    Ok(OneFrame::TooLarge(encoded.into()))
}

fn write_payload(payload: &Payload, buffer: &mut BytesMut) -> Result<(), SendError> {
    match payload {
        Payload::Encoded(pieces) => pieces.write_all(buffer),
        Payload::Message(message) => {
            let mut writer = Writer::new(buffer);
            message.encode(&mut writer);
            writer.finish()?;
        }
    }
    Ok(())
}

/// Writes the next frame of a partial delivery, as large as the peer takes. True if it was the last one.
pub(crate) fn write_partial(
    channel: u16,
    partial: &mut PartialSend,
    effects: &mut Effects,
) -> bool {
    let output = &mut effects.output;
    let mark = frame::start(&mut output.buffer, frame::TYPE_AMQP, channel);
    partial
        .transfer
        .encode(&mut Writer::with_layout(&mut output.buffer, output.layout));
    let header = output.buffer.len() - mark;
    // That the performative fits was seen before the delivery was taken on.
    let room = output.max_transfer_size().saturating_sub(header).max(1);
    let is_last = partial.rest.len <= room;
    if is_last {
        // The same performative with more=false: never longer than before.
        output.buffer.truncate(mark);
        frame::start(&mut output.buffer, frame::TYPE_AMQP, channel);
        partial.transfer.more = false;
        partial
            .transfer
            .encode(&mut Writer::with_layout(&mut output.buffer, output.layout));
    }
    partial
        .rest
        .write(room, &mut output.buffer, &mut effects.garbage);
    frame::finish(&mut output.buffer, mark);
    let transfer = &mut partial.transfer;
    *transfer = Transfer {
        handle: transfer.handle,
        more: true,
        ..Transfer::default()
    };
    is_last
}

impl PartialSend {
    /// The whole of a delivery, of which nothing has been written.
    pub(crate) fn new(transfer: Transfer, payload: Pieces) -> Self {
        Self {
            delivery_id: transfer.delivery_id,
            transfer: Transfer {
                more: true,
                ..transfer
            },
            rest: payload,
        }
    }

    pub(crate) fn is_of(&self, delivery_id: u32) -> bool {
        self.delivery_id == Some(delivery_id)
    }

    /// Gives the delivery up: the next frame says so and is the last (D-012).
    pub(crate) fn abort(&mut self, garbage: &mut Vec<Bytes>) {
        let given_up = std::mem::replace(&mut self.rest, Pieces::new([]));
        garbage.push(given_up.first);
        garbage.extend(given_up.rest);
        self.transfer.aborted = true;
    }

    /// The delivery that is given up, if it is.
    pub(crate) fn aborted(&self) -> Option<u32> {
        self.delivery_id.filter(|_| self.transfer.aborted)
    }

    /// What was not sent of it.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.rest.first).chain(self.rest.rest)
    }
}
