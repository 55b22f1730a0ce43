//! What a peer can make us hold, each with a name and a bound.

/// Bounds on everything that a peer can grow. Reaching one is a typed error at the narrowest scope, never unbounded memory.
///
/// # What they cost
///
/// At most, in octets of the allocator on a 64-bit machine; `cargo test --all-features --test it -- hostile::memory --nocapture`
/// measures it and fails above these figures.
///
/// | limit | default | for each | costs at most | by default |
/// |---|---|---|---|---|
/// | [`max_sessions`](Self::max_sessions) | 256 | connection | 2 KiB each | 512 KiB |
/// | [`max_links_per_session`](Self::max_links_per_session) | 1024 | session | 4 KiB each, and the names and properties that the peer gave | 4 MiB |
/// | [`max_pending_links`](Self::max_pending_links) | 128 | connection | a link each | 512 KiB |
/// | [`max_unsettled_deliveries`](Self::max_unsettled_deliveries) | 262 144 | connection | 128 octets each, of twice as many, received | 64 MiB |
/// | | | session | 192 octets each sent | 48 MiB |
/// | [`max_excess_deliveries`](Self::max_excess_deliveries) | 4096 | link | nothing: they are queued like others | |
/// | [`max_abandoned_deliveries`](Self::max_abandoned_deliveries) | 8192 | session | 192 octets each, of those for unsettled ones | 1.5 MiB |
/// | [`max_partial_delivery_bytes`](Self::max_partial_delivery_bytes) | 64 MiB | connection | twice that for one session: a buffer that grows is copied; four times for many | 128 MiB to 256 MiB |
/// | [`max_queued_bytes`](Self::max_queued_bytes) | 16 MiB | connection | twice that for one session, four times for many, and the frames of the incoming windows | 32 MiB to 64 MiB |
/// | [`max_open_frame_size`](Self::max_open_frame_size) | 512 | connection | once | 512 |
/// | [`max_output_bytes`](Self::max_output_bytes) | 256 KiB | connection | three times that | 768 KiB |
///
/// # What sessions share
///
/// What arrives is counted for the connection, all sessions together: a peer gets nothing more by beginning many. Of each of these
/// limits an equal share, its [`max_sessions`](Self::max_sessions)th part, is every session's own. A session that holds less
/// goes on whatever others hold, so that one which the application does not read, or never settles, does not keep others
/// from working; together they hold at most twice the limit. Where a session holds more:
///
/// - A transfer that exceeds [`max_partial_delivery_bytes`](Self::max_partial_delivery_bytes) or
///   [`max_unsettled_deliveries`](Self::max_unsettled_deliveries) detaches its link with `amqp:resource-limit-exceeded`.
/// - For [`max_queued_bytes`](Self::max_queued_bytes) its incoming window stays shut until the connection holds less than the
///   limit or the session less than its share. Links of one session, and sessions that hold more than their share, wait for
///   each other so; a [`recv_batch`](crate::Receiver::recv_batch) that asks for more than a share may get less.
/// - A delivery that is larger than a share comes in nevertheless. Only when what is queued and what is incomplete reach both
///   limits together does it wait for others to be read.
///
/// The incoming windows that the peer has when a limit is reached come on top. In sessions that it begins they are shares,
/// too, of four times [`max_queued_bytes`](Self::max_queued_bytes), as
/// [`SessionOptions::incoming_window`](crate::SessionOptions::incoming_window) says: 64 MiB by default for one session, 200 MiB for
/// 12, 392 MiB for 256. In sessions that we begin they are what the application asks for, 64 MiB by default for each.
///
/// Sent deliveries are counted for each session: the application decides how many it sends before it has their outcomes.
/// Links are, too: it decides which ones it accepts.
///
/// A connection itself costs some 20 KiB, and a read buffer of 4 KiB that grows with use to 64 KiB or its
/// [`max_frame_size`](crate::ConnectionOptions::max_frame_size). The defaults are for peers that have logged in. For a port that
/// anybody can reach choose smaller ones:
///
/// ```
/// use amqp10::{ConnectionOptions, Limits, ListenerOptions};
///
/// let limits = Limits::default()
///     .max_sessions(4)
///     .max_links_per_session(16)
///     .max_pending_links(8)
///     .max_unsettled_deliveries(256)
///     .max_partial_delivery_bytes(64 << 10)
///     .max_queued_bytes(64 << 10)
///     .max_output_bytes(16 << 10);
/// let connection = ConnectionOptions::default().max_frame_size(8 << 10).limits(limits);
/// let options = ListenerOptions::default().connection(connection);
/// ```
///
/// With these a listener under 1000 hostile clients (silent, trickling, opening and closing, sending one delivery without end,
/// SASL frames without end, never reading) that come back whenever they are thrown out goes on serving an honest one, and its
/// whole process stays below 64 MiB of resident memory:
/// `cargo test --all-features --test it -- hostile::crowd --nocapture`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions that a peer may begin, and that we begin, on one connection: our channel-max is at most this less one. Default 256.
    pub max_sessions: u32,
    /// Links in one session, both roles together: our handle-max is this less one. Default 1024.
    pub max_links_per_session: u32,
    /// Incoming links that wait to be accepted, per connection; further ones are refused. Default 128.
    pub max_pending_links: usize,
    /// Unsettled deliveries: received ones of a connection, where the link that passes this number is detached, and sent ones of
    /// each session, where a sender waits at this number. Default 262 144.
    pub max_unsettled_deliveries: usize,
    /// Deliveries that a sender may start beyond its credit between two grants; after one more the link is detached. The
    /// standard allows none [2.6.7], but some brokers (RabbitMQ 3) don't count what is under way inside them when credit
    /// arrives, up to as many deliveries as they had credit for: choose no less than the links' credit. Default 4096.
    pub max_excess_deliveries: u32,
    /// Sent deliveries whose receipt was dropped and that the peer has not settled. Beyond it the oldest is settled by the
    /// sender, so that a peer that never settles costs bounded memory. Default 8192.
    pub max_abandoned_deliveries: usize,
    /// Octets of deliveries that arrive in several frames and are not complete, on one connection together; the link that
    /// passes this number is detached. One delivery is bounded by it and by its link's max-message-size. Default 64 MiB.
    pub max_partial_delivery_bytes: usize,
    /// Octets queued on one connection and not yet taken by the application; above it incoming windows stay shut, but for
    /// sessions that hold less than their share. Default 16 MiB.
    pub max_queued_bytes: usize,
    /// Octets of the peer's first frame, its open. The standard allows 512 before max-frame-size is known [2.4.1], which is
    /// the default; some peers send longer ones.
    pub max_open_frame_size: u32,
    /// Octets waiting to be written; above it senders wait. Default 256 KiB, and at least two frames.
    pub max_output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 256,
            max_links_per_session: 1024,
            max_pending_links: 128,
            max_unsettled_deliveries: 262_144,
            max_excess_deliveries: 4096,
            max_abandoned_deliveries: 8192,
            max_partial_delivery_bytes: 64 << 20,
            max_queued_bytes: 16 << 20,
            max_open_frame_size: 512,
            max_output_bytes: 256 << 10,
        }
    }
}

impl Limits {
    /// Sets [`max_sessions`](Self::max_sessions).
    pub fn max_sessions(mut self, limit: u32) -> Self {
        self.max_sessions = limit;
        self
    }

    /// Sets [`max_links_per_session`](Self::max_links_per_session).
    pub fn max_links_per_session(mut self, limit: u32) -> Self {
        self.max_links_per_session = limit;
        self
    }

    /// Sets [`max_pending_links`](Self::max_pending_links).
    pub fn max_pending_links(mut self, limit: usize) -> Self {
        self.max_pending_links = limit;
        self
    }

    /// Sets [`max_unsettled_deliveries`](Self::max_unsettled_deliveries).
    pub fn max_unsettled_deliveries(mut self, limit: usize) -> Self {
        self.max_unsettled_deliveries = limit;
        self
    }

    /// Sets [`max_excess_deliveries`](Self::max_excess_deliveries).
    pub fn max_excess_deliveries(mut self, limit: u32) -> Self {
        self.max_excess_deliveries = limit;
        self
    }

    /// Sets [`max_abandoned_deliveries`](Self::max_abandoned_deliveries).
    pub fn max_abandoned_deliveries(mut self, limit: usize) -> Self {
        self.max_abandoned_deliveries = limit;
        self
    }

    /// Sets [`max_partial_delivery_bytes`](Self::max_partial_delivery_bytes).
    pub fn max_partial_delivery_bytes(mut self, limit: usize) -> Self {
        self.max_partial_delivery_bytes = limit;
        self
    }

    /// Sets [`max_queued_bytes`](Self::max_queued_bytes).
    pub fn max_queued_bytes(mut self, limit: usize) -> Self {
        self.max_queued_bytes = limit;
        self
    }

    /// Sets [`max_open_frame_size`](Self::max_open_frame_size).
    pub fn max_open_frame_size(mut self, limit: u32) -> Self {
        self.max_open_frame_size = limit;
        self
    }

    /// Sets [`max_output_bytes`](Self::max_output_bytes).
    pub fn max_output_bytes(mut self, limit: usize) -> Self {
        self.max_output_bytes = limit;
        self
    }
}
