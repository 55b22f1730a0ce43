//! A connection between its handshake and its opens, for both roles.

use std::sync::Arc;

use crate::codec::{Open, Symbol};
use crate::connection::Connection;
use crate::engine::Engine;
use crate::error::{ConnectError, ConnectionError, Stage};
use crate::options::ConnectionOptions;
use crate::transport::clock;
use crate::transport::deadline::Deadline;
use crate::transport::driver::Driver;
use crate::transport::handshake::Handshaken;
use crate::transport::shared::Shared;

/// The property of an open that announces a close with the reason (C-043).
pub(crate) const ESTABLISHMENT_FAILED: Symbol =
    Symbol::from_static("amqp:connection-establishment-failed");

/// A connection that is driven already, and closed if its opening is given up.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) shared: Shared,
    is_kept: bool,
}

impl Opening {
    pub(crate) fn new(handshaken: Handshaken, options: &ConnectionOptions) -> Self {
        Self {
            shared: Driver::start(handshaken, options),
            is_kept: false,
        }
    }

    /// Waits for the peer's open.
    pub(crate) async fn remote_open(&self, deadline: Deadline) -> Result<Arc<Open>, ConnectError> {
        let opened = self.shared.wait(Engine::poll_opened);
        deadline.within(Stage::Open, opened).await?.map_err(refused)
    }

    /// A server that must refuse after its open says so by a property of it; the reason is in the close that follows
    /// (C-043).
    pub(crate) async fn check_refusal(
        &self,
        open: &Open,
        deadline: Deadline,
    ) -> Result<(), ConnectError> {
        if open.properties.get(ESTABLISHMENT_FAILED.as_str()).is_none() {
            return Ok(());
        }
        let ended = self.shared.wait(Engine::poll_ended);
        Err(refused(deadline.within(Stage::Open, ended).await?))
    }

    pub(crate) fn keep(mut self, options: ConnectionOptions, remote_open: Arc<Open>) -> Connection {
        self.is_kept = true;
        Connection::new(self.shared.clone(), options, remote_open)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.is_kept {
            self.shared.with(|engine| engine.close(None, clock::now()));
        }
    }
}

/// Why there is no connection, when it ended before it was open.
pub(crate) fn refused(error: ConnectionError) -> ConnectError {
    match error {
        ConnectionError::RemoteClosed(Some(error)) => ConnectError::Refused(error),
        error => ConnectError::Open(error),
    }
}
