//! What a session begins with.

use crate::codec::{Begin, Fields};

/// Options of the sessions that we begin, with [`Connection::begin`](crate::Connection::begin), and of those that the peer begins:
/// [`ConnectionOptions::incoming_sessions`](crate::ConnectionOptions::incoming_sessions). How many links a session takes is one of
/// the [`Limits`](crate::Limits::max_links_per_session).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Transfer frames that the peer may have on their way to us [2.5.6]. Together with `max_frame_size` it bounds what a
    /// session can queue beyond [`Limits::max_queued_bytes`](crate::Limits::max_queued_bytes). Default 1024.
    ///
    /// The sessions that the peer begins share what that limit allows: each gets no more than as many frames of `max_frame_size` as
    /// make up four times `max_queued_bytes`, divided by the number of sessions that there are when it begins, itself included;
    /// but one frame at least. By default these are 1024 for the first one, 512 for the second, and 4 for the 256th.
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
    /// The begin that these options make, as far as they decide it.
    pub(crate) fn to_begin(&self) -> Begin {
        Begin {
            next_outgoing_id: self.next_outgoing_id,
            incoming_window: self.incoming_window,
            properties: self.properties.clone(),
            ..Begin::default()
        }
    }

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
