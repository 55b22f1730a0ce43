//! What a peer can make grow, and how far.

/// Bounds on everything that a peer can make this side keep. Reaching one is a typed error of the scope it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions of one connection, both sides' together. Default 256.
    pub max_sessions: usize,
    /// Links of one session, both sides' together. Default 1024.
    pub max_links_per_session: usize,
    /// Deliveries of one session that are not settled yet, for each direction. Default 65 536.
    pub max_unsettled_deliveries: usize,
    /// Octets of one delivery whose transfers are still arriving. Default 128 MiB.
    pub max_partial_delivery_bytes: usize,
    /// Octets received in one session that the application has not taken yet; above it the session's window stays shut.
    /// Default 16 MiB.
    pub max_queued_bytes: usize,
    /// Octets written by the engine that the stream has not taken yet; above it a send waits. Default 256 KiB.
    pub max_output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_sessions: 256,
            max_links_per_session: 1024,
            max_unsettled_deliveries: 65_536,
            max_partial_delivery_bytes: 128 << 20,
            max_queued_bytes: 16 << 20,
            max_output_bytes: 256 << 10,
        }
    }
}
