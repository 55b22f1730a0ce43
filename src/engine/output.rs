//! The octets that wait for the driver.

use bytes::BytesMut;

use crate::codec::{AmqpError, Encode, Fields, Layout, Writer, frame};

/// See [`Output::max_transfer_size`].
pub(crate) const LARGEST_TRANSFER: usize = 128 << 10;

/// A performative that does not fit one frame of the peer's size (F-018).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameTooLarge {
    pub(crate) size: usize,
    pub(crate) limit: usize,
}

/// What is written and not yet handed to the driver, with what bounds it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) buffer: BytesMut,
    pub(crate) layout: Layout,
    /// The peer's limit on one frame; 512 until its open is known (F-013).
    pub(crate) max_frame_size: usize,
    high_water: usize,
    /// Octets handed to the driver before what is in the buffer: positions in the stream stay comparable.
    handed_over: u64,
    /// Deliveries and dispositions since the last swap: tells the driver whether to wait for company.
    pub(crate) messages: usize,
    /// A sender was turned away for lack of room; the next swap wakes senders.
    pub(crate) is_blocked: bool,
}

/// The condition alone, where the whole error does not fit a frame.
pub(crate) fn without_details(error: AmqpError) -> AmqpError {
    AmqpError {
        description: None,
        info: Fields::default(),
        ..error
    }
}

impl Output {
    pub(crate) fn new(layout: Layout, high_water: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            layout,
            max_frame_size: frame::MIN_MAX_FRAME_SIZE as usize,
            high_water,
            handed_over: 0,
            messages: 0,
            is_blocked: false,
        }
    }

    /// Where in the stream the next octet goes.
    pub(crate) fn position(&self) -> u64 {
        self.handed_over + self.buffer.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() < self.high_water
    }

    /// Large deliveries leave half of the room to others, so that they don't starve their neighbours.
    pub(crate) fn has_room_for_partials(&self) -> bool {
        self.buffer.len() < self.high_water / 2
    }

    /// The largest transfer frame that we write: a peer may take 4 GiB in one, but meanwhile nothing else could be sent.
    pub(crate) fn max_transfer_size(&self) -> usize {
        self.max_frame_size.min(LARGEST_TRANSFER)
    }

    /// Writes one frame without payload, or nothing if it does not fit.
    pub(crate) fn write(
        &mut self,
        channel: u16,
        performative: &impl Encode,
    ) -> Result<(), FrameTooLarge> {
        let mark = frame::start(&mut self.buffer, frame::TYPE_AMQP, channel);
        performative.encode(&mut Writer::with_layout(&mut self.buffer, self.layout));
        self.finish(mark)
    }

    /// Writes one frame, or `bare` of it if it does not fit: a bare condition fits the 512 octets that every peer takes.
    pub(crate) fn write_or_bare<P: Encode>(
        &mut self,
        channel: u16,
        performative: P,
        bare: impl FnOnce(P) -> P,
    ) {
        if self.write(channel, &performative).is_err() {
            let _ = self.write(channel, &bare(performative));
        }
    }

    /// Completes the frame begun at `mark`, or takes it back if it is too large.
    pub(crate) fn finish(&mut self, mark: usize) -> Result<(), FrameTooLarge> {
        let size = self.buffer.len() - mark;
        if size > self.max_frame_size {
            self.buffer.truncate(mark);
            return Err(FrameTooLarge {
                size,
                limit: self.max_frame_size,
            });
        }
        frame::finish(&mut self.buffer, mark);
        Ok(())
    }

    pub(crate) fn write_heartbeat(&mut self) {
        frame::encode_empty(&mut self.buffer);
    }

    /// Exchanges the buffer for an empty one; its capacity does not outlive a burst.
    pub(crate) fn swap(&mut self, empty: &mut BytesMut) {
        debug_assert!(empty.is_empty());
        if empty.capacity() > 2 * self.high_water {
            *empty = BytesMut::new();
        }
        self.handed_over += self.buffer.len() as u64;
        self.messages = 0;
        std::mem::swap(&mut self.buffer, empty);
    }
}
