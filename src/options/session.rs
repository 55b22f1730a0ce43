//! What a session begins with.

use crate::codec::Fields;

/// Options of [`Connection::begin`](crate::Connection::begin).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Transfer frames that the peer may have on their way to us [2.5.6]. Together with `max_frame_size` it bounds what a
    /// session can queue beyond [`Limits::max_queued_bytes`](crate::Limits::max_queued_bytes). Default 1024.
    pub incoming_window: u32,
    /// The first transfer-id and delivery-id that we send; anything will do [2.8.8]. Default 0.
    pub next_outgoing_id: u32,
    /// Properties of the begin.
    pub properties: Fields,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            incoming_window: 1024,
            next_outgoing_id: 0,
            properties: Fields::default(),
        }
    }
}

impl SessionOptions {
    /// Sets [`incoming_window`](Self::incoming_window).
    pub fn incoming_window(mut self, frames: u32) -> Self {
        self.incoming_window = frames;
        self
    }

    /// Sets [`next_outgoing_id`](Self::next_outgoing_id).
    pub fn next_outgoing_id(mut self, id: u32) -> Self {
        self.next_outgoing_id = id;
        self
    }

    /// Sets [`properties`](Self::properties).
    pub fn properties(mut self, properties: Fields) -> Self {
        self.properties = properties;
        self
    }
}
