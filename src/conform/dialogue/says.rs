//! What a dialogue says.

use super::{Dialogue, Link, frames};
use crate::codec::sasl::SaslFrame;
use crate::codec::{Flow, Performative, Transfer};
use crate::conform::case::Stop;
use crate::conform::record::Direction;

impl Dialogue {
    /// Sends octets as they are. That the peer does not read them any more is no error here: its answer tells more.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_bytes(&mut self, octets: &[u8]) -> Result<(), Stop> {
        let limit = self.waits.patience;
        let (wire, record) = self.wire()?;
        wire.write(record, "octets", octets, limit).await;
        Ok(())
    }

    /// Sends one performative in the session that the dialogue is about.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send(&mut self, performative: impl Into<Performative>) -> Result<(), Stop> {
        let channel = self.channel()?;
        self.send_on(channel, performative).await
    }

    /// Sends one performative on any channel.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_on(
        &mut self,
        channel: u16,
        performative: impl Into<Performative>,
    ) -> Result<(), Stop> {
        self.send_frame(channel, performative.into(), b"").await
    }

    /// Sends one transfer frame in the session that the dialogue is about.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_transfer(&mut self, transfer: Transfer, payload: &[u8]) -> Result<(), Stop> {
        let channel = self.channel()?;
        self.send_frame(channel, transfer.into(), payload).await
    }

    async fn send_frame(
        &mut self,
        channel: u16,
        performative: Performative,
        payload: &[u8],
    ) -> Result<(), Stop> {
        let limit = self.waits.patience;
        let what = format!("{} on channel {channel}", performative.name());
        let (wire, record) = self.wire()?;
        wire.count_sent(channel, &performative);
        let octets = frames::encode(channel, performative, payload);
        wire.write(record, &what, &octets, limit).await;
        Ok(())
    }

    /// Sends one SASL frame; of those that may hold a password the record keeps the name alone.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_sasl(&mut self, sasl: &SaslFrame) -> Result<(), Stop> {
        let octets = frames::encode_sasl(sasl);
        if matches!(sasl, SaslFrame::Init(_) | SaslFrame::Response(_)) {
            return self.send_secretly(sasl.name(), &octets).await;
        }
        let limit = self.waits.patience;
        let (wire, record) = self.wire()?;
        wire.write(record, sasl.name(), &octets, limit).await;
        Ok(())
    }

    /// Sends octets that may hold a password: the record keeps this name alone.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_secretly(&mut self, name: &str, octets: &[u8]) -> Result<(), Stop> {
        let limit = self.waits.patience;
        let (wire, record) = self.wire()?;
        wire.write_secretly(record, name, octets, limit).await;
        Ok(())
    }

    /// Sends an empty frame, which keeps the connection alive.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_empty(&mut self) -> Result<(), Stop> {
        self.send_bytes(&[0, 0, 0, 8, 2, 0, 0, 0]).await
    }

    /// The state of the session that the dialogue is about, for a flow of this program.
    pub fn flow(&self) -> Flow {
        let wire = self.connections.get(self.current);
        let session = wire.and_then(|wire| {
            let mut sessions = wire.sessions.iter();
            sessions.find(|session| session.channel == wire.channel)
        });
        Flow {
            next_incoming_id: session.map(|session| session.next_incoming_id),
            incoming_window: frames::WINDOW,
            next_outgoing_id: session.map_or(0, |session| session.next_outgoing_id),
            outgoing_window: frames::WINDOW,
            ..Flow::default()
        }
    }

    /// Grants credit on a link of which the peer is the sender. `delivery_count` is the number of its deliveries so far, from
    /// its initial delivery-count on.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn grant(
        &mut self,
        link: &Link,
        delivery_count: u32,
        link_credit: u32,
    ) -> Result<(), Stop> {
        let flow = Flow {
            handle: Some(link.handle),
            delivery_count: Some(delivery_count),
            link_credit: Some(link_credit),
            ..self.flow()
        };
        self.send_on(link.channel, flow).await
    }

    /// Ends the stream in this direction: this program says no more, and still reads.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn half_close(&mut self) -> Result<(), Stop> {
        let (wire, record) = self.wire()?;
        wire.half_close(record).await;
        Ok(())
    }

    /// Breaks the connection without a word.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn hang_up(&mut self) -> Result<(), Stop> {
        let (wire, record) = self.wire()?;
        record.add(
            wire.number(),
            Direction::Sent,
            "the end of the connection",
            b"",
        );
        wire.hang_up();
        Ok(())
    }

    /// The channel of the session that the dialogue is about.
    pub(super) fn channel(&mut self) -> Result<u16, Stop> {
        Ok(self.wire()?.0.channel)
    }
}
