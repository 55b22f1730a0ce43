//! What a peer can make us hold, each with a name and a bound.

/// Bounds on everything that a peer can grow. Reaching one is a typed error at the narrowest scope, never unbounded memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions that a peer may begin, and that we begin, on one connection: our channel-max is at most this less one. Default 256.
    pub max_sessions: u32,
    /// Links in one session, both roles together: our handle-max is this less one. Default 1024.
    pub max_links_per_session: u32,
    /// Incoming links that wait to be accepted, per connection; further ones are refused. Default 128.
    pub max_pending_links: usize,
    /// Unsettled deliveries in each direction of a session. A sender waits at this number; a receiving link that passes it
    /// is detached. Default 262 144, of some 64 octets each.
    pub max_unsettled_deliveries: usize,
    /// Deliveries that a sender may start beyond its credit between two grants; after one more the link is detached. The
    /// standard allows none [2.6.7], but some brokers lose count of a few when credit arrives while they send. Default 256.
    pub max_excess_deliveries: u32,
    /// Sent deliveries whose receipt was dropped and that the peer has not settled. Beyond it the oldest is settled by the
    /// sender, so that a peer that never settles costs bounded memory. Default 8192.
    pub max_abandoned_deliveries: usize,
    /// Octets of deliveries that arrive in several frames and are not complete, in one session together; one delivery is
    /// bounded by its link's max-message-size too. Default 64 MiB.
    pub max_partial_delivery_bytes: usize,
    /// Octets queued in one session and not yet taken by the application; above it the session's incoming window stays
    /// shut, and links of that session wait for each other. Default 16 MiB.
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
            max_excess_deliveries: 256,
            max_abandoned_deliveries: 8192,
            max_partial_delivery_bytes: 64 << 20,
            max_queued_bytes: 16 << 20,
            max_open_frame_size: 512,
            max_output_bytes: 256 << 10,
        }
    }
}
