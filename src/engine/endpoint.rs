//! The small open/close machine that connections, sessions and links share: one half for each side.

/// One side's half of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Half {
    /// Neither opened nor closed yet.
    #[default]
    Idle,
    Open,
    Closed,
}

/// Both halves of a connection, a session or a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) local: Half,
    pub(crate) remote: Half,
}

impl Endpoint {
    /// Both sides have opened and neither has closed.
    pub(crate) fn is_open(self) -> bool {
        self.local == Half::Open && self.remote == Half::Open
    }

    /// Both sides have closed: the number that named it may be used again (S-011, L-009).
    pub(crate) fn is_closed(self) -> bool {
        self.local == Half::Closed && self.remote == Half::Closed
    }
}
