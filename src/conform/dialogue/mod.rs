//! The verbs that cases are written in.
//!
//! ```text
//! open begin attach_sender accept_sender ...  greeting, exchanges,    several frames, and their answers
//!                                             obliging
//! hold_session hold_link take ...             holding                 a client, in the hands of the case
//! send send_transfer send_bytes ...           says                    one frame or some octets
//! expect_begin expect_transfer ...            hears                   the next frame that matters
//! expect_close_with expect_eof ...            refusal, ending         how the peer ends something
//!                                             wire                    one connection, recorded
//! ```

mod ending;
mod exchanges;
pub mod frames;
mod greeting;
mod hears;
mod holding;
mod obliging;
mod refusal;
mod says;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use self::frames::Link;
pub use self::greeting::plain;
pub(in crate::conform) use self::holding::covers;
pub use self::refusal::{Refusal, Scope};
use self::wire::Wire;
use super::case::{Side, Stop};
use super::record::Record;
use super::target::Target;

/// How long a listener has to answer the close at the end of a case.
const LEAVE: Duration = Duration::from_millis(500);

/// How long a dialogue waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For an answer.
    pub(super) patience: Duration,
    /// For what must not come.
    pub(super) silence: Duration,
    /// For the end of the case.
    pub(super) deadline: Duration,
}

/// A conversation with the peer that is tested, over one connection or several.
///
/// A verb that hears something that a conforming peer would not say ends the case, by the `?` behind it. Verbs that wait for
/// a frame pass over what a conforming peer may say at any time: empty frames, flows and dispositions, unless it is these
/// that are waited for. Every octet is recorded, and every wait has an end.
///
/// # Cancel safety
///
/// A verb that is dropped before it resolves may have said a part of what it says; a dialogue is of no use after that.
pub struct Dialogue {
    target: Arc<Target>,
    waits: Waits,
    record: Record,
    remarks: Vec<String>,
    connections: Vec<Wire>,
    /// The connection that verbs are about.
    current: usize,
}

impl Dialogue {
    pub(super) fn new(target: Arc<Target>, waits: Waits) -> Self {
        Self {
            target,
            waits,
            record: Record::new(),
            remarks: Vec::new(),
            connections: Vec::new(),
            current: 0,
        }
    }

    /// What was said, and what was remarked.
    pub(super) fn report(&mut self) -> (Record, Vec<String>) {
        let mut record = self.record.clone();
        for wire in &self.connections {
            wire.record_the_unread(&mut record);
        }
        (record, std::mem::take(&mut self.remarks))
    }

    /// Closes what is still open towards a listener: it would go on serving links that nobody is at the end of.
    pub(super) async fn take_leave(&mut self) {
        self.waits.patience = LEAVE;
        for connection in 0..self.connections.len() {
            self.current = connection;
            if self.target.side == Side::Listener && self.connections[connection].is_open() {
                // A listener that does not answer is left all the same.
                let _ = self.send_on(0, frames::close()).await;
                let _ = self.half_close().await;
                let _ = self.expect_eof().await;
            }
        }
    }

    /// The address of the node that links are attached to.
    pub fn node(&self) -> &str {
        &self.target.node
    }

    /// Makes a new connection, and turns to it: connects to a listener, or waits for a client. Nothing is said yet.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if the listener cannot be reached; [`Stop::Skip`] if no client comes.
    pub async fn connect(&mut self) -> Result<(), Stop> {
        let connecting = tokio::time::timeout(self.waits.patience, self.target.connect());
        let stream = match (connecting.await, self.target.side) {
            (Ok(Ok(stream)), _) => stream,
            (Ok(Err(error)), _) => return Err(Stop::Fail(format!("no connection: {error}"))),
            (Err(_), Side::Listener) => return Err(Stop::fail("no connection in time")),
            (Err(_), Side::Client) => return Err(Stop::Skip("no client connects".to_owned())),
        };
        self.current = self.connections.len();
        self.connections.push(Wire::new(stream, self.current + 1));
        Ok(())
    }

    /// The same as [`connect`](Self::connect), as a case for clients says it.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if no client comes.
    pub async fn accept(&mut self) -> Result<(), Stop> {
        self.connect().await
    }

    /// Turns to another connection of this case, counted from 0.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn turn_to(&mut self, connection: usize) {
        assert!(connection < self.connections.len());
        self.current = connection;
    }

    /// Notes what a peer had better not do; the case goes on, and passes as a remark.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Lets time pass.
    pub async fn pause(&mut self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// How long this dialogue waits for an answer.
    pub fn patience(&self) -> Duration {
        self.waits.patience
    }

    /// Time since the case began.
    pub fn elapsed(&self) -> Duration {
        self.record.elapsed()
    }

    /// Time until the case is ended, at its end or not.
    pub fn time_left(&self) -> Duration {
        self.waits.deadline.saturating_sub(self.elapsed())
    }

    /// Turns to another session of this connection, by this program's channel.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub fn turn_to_session(&mut self, channel: u16) -> Result<(), Stop> {
        self.wire()?.0.channel = channel;
        Ok(())
    }

    /// Octets of the largest frame that the peer sent on this connection.
    pub fn largest_frame(&self) -> usize {
        let wire = self.connections.get(self.current);
        wire.map_or(0, |wire| wire.largest_frame)
    }

    /// Whether a frame of the peer on this connection had an extended header.
    pub fn heard_extended_headers(&self) -> bool {
        let wire = self.connections.get(self.current);
        wire.is_some_and(|wire| wire.has_extended_headers)
    }

    fn wire(&mut self) -> Result<(&mut Wire, &mut Record), Stop> {
        match self.connections.get_mut(self.current) {
            Some(wire) => Ok((wire, &mut self.record)),
            None => Err(Stop::fail("the case has no connection")),
        }
    }
}
