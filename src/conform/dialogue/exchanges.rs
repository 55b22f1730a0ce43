//! Exchanges with a listener: what is said, and its answer, in one verb.

use bytes::Bytes;

use super::hears::{Next, unexpected};
use super::wire::Session;
use super::{Dialogue, Link, frames};
use crate::codec::{Attach, Begin, Detach, End, Outcome, Performative, Role};
use crate::conform::case::Stop;

impl Dialogue {
    /// Begins a session and hears the answer; gives the listener's begin. The dialogue is about this session from now on.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another answer comes, or none in time.
    pub async fn begin(&mut self) -> Result<Begin, Stop> {
        self.begin_with(frames::begin()).await
    }

    /// The same, with this begin.
    ///
    /// # Errors
    ///
    /// As those of [`begin`](Self::begin).
    pub async fn begin_with(&mut self, begin: Begin) -> Result<Begin, Stop> {
        let channel = self.channel()?;
        self.begin_on(channel, begin).await
    }

    /// The same on another channel, where a session is to live beside the first.
    ///
    /// # Errors
    ///
    /// As those of [`begin`](Self::begin).
    pub async fn begin_on(&mut self, channel: u16, begin: Begin) -> Result<Begin, Stop> {
        let next_outgoing_id = begin.next_outgoing_id;
        self.send_on(channel, begin).await?;
        let (remote_channel, answer) = self.expect_begin().await?;
        if answer.remote_channel != Some(channel) {
            let came = format!("begin with remote-channel {:?}", answer.remote_channel);
            return Err(unexpected(
                &format!("begin with remote-channel {channel}"),
                &came,
            ));
        }
        let (wire, _) = self.wire()?;
        wire.channel = channel;
        wire.sessions.retain(|session| session.channel != channel);
        wire.sessions.push(Session {
            channel,
            remote_channel,
            next_incoming_id: answer.next_outgoing_id,
            next_outgoing_id,
            window_end: next_outgoing_id.wrapping_add(answer.incoming_window),
            next_delivery_id: next_outgoing_id,
        });
        Ok(answer)
    }

    /// A new connection, open, and a session in it: where most cases begin.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open) and [`begin`](Self::begin).
    pub async fn open_session(&mut self) -> Result<Begin, Stop> {
        self.open().await?;
        self.begin().await
    }

    /// The attach by which this program sends to the target's node, to be changed by struct update. Each call takes another
    /// handle.
    pub fn sender(&mut self, name: &str) -> Attach {
        let attach = frames::attach_sender(name, &self.target.node);
        self.with_handle(attach)
    }

    /// The attach by which this program receives from the target's node.
    pub fn receiver(&mut self, name: &str) -> Attach {
        let attach = frames::attach_receiver(name, &self.target.node);
        self.with_handle(attach)
    }

    fn with_handle(&mut self, attach: Attach) -> Attach {
        let Some(wire) = self.connections.get_mut(self.current) else {
            return attach;
        };
        let handle = wire.next_handle;
        wire.next_handle += 1;
        Attach { handle, ..attach }
    }

    /// Attaches a link to send over, and hears the answer.
    ///
    /// # Errors
    ///
    /// As those of [`attach`](Self::attach).
    pub async fn attach_sender(&mut self, name: &str) -> Result<Link, Stop> {
        let attach = self.sender(name);
        self.attach(attach).await
    }

    /// Attaches a link to receive over, and hears the answer. No credit is granted.
    ///
    /// # Errors
    ///
    /// As those of [`attach`](Self::attach).
    pub async fn attach_receiver(&mut self, name: &str) -> Result<Link, Stop> {
        let attach = self.receiver(name);
        self.attach(attach).await
    }

    /// Attaches a link, and hears the answer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another answer comes, or none in time; [`Stop::Skip`] if the listener refuses the link, which it may
    /// for reasons of its own.
    pub async fn attach(&mut self, attach: Attach) -> Result<Link, Stop> {
        let channel = self.channel()?;
        let (name, handle, role) = (attach.name.clone(), attach.handle, attach.role);
        self.send(attach).await?;
        let remote = self.expect_attach().await?;
        if remote.name != name || remote.role != role.opposite() {
            let came = format!("attach of {:?} as {:?}", remote.name, remote.role);
            return Err(unexpected(
                &format!("the answer to the attach of {name:?}"),
                &came,
            ));
        }
        let is_refused = match remote.role {
            Role::Sender => remote.source.is_none(),
            Role::Receiver => remote.target.is_none(),
        };
        if is_refused {
            let refusal = self.expect_refusal().await?;
            return Err(Stop::Skip(format!(
                "the listener refuses the link: {refusal}"
            )));
        }
        Ok(Link {
            channel,
            handle,
            remote,
        })
    }

    /// Closes a link, and hears the answer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another answer comes, or none in time.
    pub async fn detach(&mut self, link: &Link) -> Result<Detach, Stop> {
        self.send_on(link.channel, frames::detach(link)).await?;
        self.expect_detach().await
    }

    /// Ends the session that the dialogue is about, and hears the answer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another answer comes, or none in time.
    pub async fn end(&mut self) -> Result<End, Stop> {
        self.send(End::default()).await?;
        self.expect_end().await
    }

    /// Closes the connection: the listener answers, and the stream ends.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another answer comes, or none in time.
    pub async fn close(&mut self) -> Result<(), Stop> {
        self.send_on(0, frames::close()).await?;
        self.expect_close().await?;
        self.expect_eof_or_remark().await
    }

    /// Shows that the listener still serves this connection: it begins and ends another session.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it does not.
    pub async fn expect_service(&mut self) -> Result<(), Stop> {
        let before = self.channel()?;
        let beside = if before == 0 { 1 } else { before - 1 };
        self.begin_on(beside, frames::begin()).await?;
        self.end().await?;
        let (wire, _) = self.wire()?;
        wire.sessions.retain(|session| session.channel != beside);
        wire.channel = before;
        Ok(())
    }

    /// Puts messages into the node, over a link of its own, which is closed again: each in one frame, and each accepted.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the listener does not take them; [`Stop::Fail`] if it answers otherwise.
    pub async fn put(&mut self, messages: &[Bytes]) -> Result<(), Stop> {
        let link = self.attach_sender("put").await?;
        for message in messages {
            self.expect_credit(&link).await?;
            let delivery_id = self.flow().next_outgoing_id;
            let transfer = frames::transfer(&link, delivery_id);
            self.send_transfer(transfer, message).await?;
            self.expect_accepted(delivery_id).await?;
        }
        self.detach(&link).await.map(drop)
    }

    /// Takes every message that the node holds, over a link of its own, which is closed again.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the listener refuses the link; [`Stop::Fail`] if it says something else.
    pub async fn empty_node(&mut self) -> Result<(), Stop> {
        let link = self.attach_receiver("empty").await?;
        let from = link.remote.initial_delivery_count.unwrap_or(0);
        self.grant(&link, from, frames::WINDOW).await?;
        while let Next::Frame(frame) = self.frame_within(self.waits.silence).await? {
            let Some(Performative::Transfer(transfer)) = frame.performative else {
                continue;
            };
            if let (Some(id), false) = (transfer.delivery_id, transfer.settled == Some(true)) {
                let accepted = frames::settle(id, id, Outcome::Accepted);
                self.send_on(link.channel, accepted).await?;
            }
        }
        self.detach(&link).await.map(drop)
    }

    /// The peer's word that it accepts a delivery of this program.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the outcome is another one; [`Stop::Fail`] if there is none in time.
    pub async fn expect_accepted(&mut self, delivery_id: u32) -> Result<(), Stop> {
        match self.expect_outcome_of(delivery_id).await? {
            Outcome::Accepted => Ok(()),
            other => Err(Stop::Skip(format!(
                "the listener does not accept the message: {other:?}"
            ))),
        }
    }

    /// A listener's flow that grants credit on a link, and how much.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if it grants none in time, as it may.
    pub async fn expect_credit(&mut self, link: &Link) -> Result<u32, Stop> {
        let handle = link.remote.handle;
        if let Some(flow) = self.wire()?.0.credit_of(link) {
            return Ok(flow.link_credit.unwrap_or(0));
        }
        let granted = self.expect_flow_that("credit", |flow| {
            flow.handle == Some(handle) && flow.link_credit.is_some_and(|credit| credit > 0)
        });
        match granted.await {
            Ok(flow) => Ok(flow.link_credit.unwrap_or(0)),
            Err(Stop::Fail(came)) => {
                Err(Stop::Skip(format!("the listener grants no credit: {came}")))
            }
            Err(other) => Err(other),
        }
    }
}
