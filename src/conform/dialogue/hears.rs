//! What a dialogue hears.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::wire::Heard;
use super::{Dialogue, Refusal, frames};
use crate::codec::frame::{self, AmqpFrame};
use crate::codec::{
    Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Outcome, Performative, Transfer,
};
use crate::conform::case::Stop;

impl Dialogue {
    /// The next frame, empty ones included; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if nothing comes in time, or what comes is no AMQP frame.
    pub async fn next_frame(&mut self) -> Result<Option<AmqpFrame>, Stop> {
        let patience = self.waits.patience;
        match self.frame_within(patience).await? {
            Next::Frame(frame) => Ok(Some(frame)),
            Next::End => Ok(None),
            Next::Nothing => Err(Stop::Fail(format!("nothing within {patience:?}"))),
        }
    }

    /// The next frame that says something, within `limit`.
    pub(super) async fn frame_within(&mut self, limit: Duration) -> Result<Next, Stop> {
        let deadline = Instant::now() + limit;
        let (wire, record) = self.wire()?;
        match wire.hear(record, deadline).await {
            Heard::Frame(raw) => {
                let decoded = frame::decode_amqp(raw).map_err(|error| {
                    Stop::Fail(format!("a frame that does not decode: {error}"))
                })?;
                Ok(Next::Frame(decoded))
            }
            Heard::End => Ok(Next::End),
            Heard::Nothing => Ok(Next::Nothing),
            Heard::NoFrame(why) => Err(Stop::Fail(format!("octets that are no frame: {why}"))),
        }
    }

    /// Reads on until `take` wants what came. What a conforming peer may say at any time is passed over.
    async fn expect<T>(
        &mut self,
        wanted: &str,
        mut take: impl FnMut(u16, Performative, Bytes) -> Result<T, Performative>,
    ) -> Result<T, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let came = match self.frame_within(left).await? {
                Next::Frame(frame) => frame,
                Next::End => return Err(unexpected(wanted, "the end of the stream")),
                Next::Nothing => return Err(unexpected(wanted, "nothing")),
            };
            let Some(performative) = came.performative else {
                continue;
            };
            match take(came.channel, performative, came.payload) {
                Ok(taken) => return Ok(taken),
                Err(Performative::Flow(_) | Performative::Disposition(_)) => {}
                Err(other) if self.is_prelude(&other) => {
                    self.answer_prelude(came.channel, other).await?;
                }
                Err(other) => return Err(unexpected(wanted, &describe(&other))),
            }
        }
    }

    /// The peer's open, which must come on channel 0.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_open(&mut self) -> Result<Open, Stop> {
        let open = self.expect("open", |channel, performative, _| match performative {
            Performative::Open(open) => Ok((channel, *open)),
            other => Err(other),
        });
        let (channel, open) = open.await?;
        if channel != 0 {
            return Err(unexpected(
                "open on channel 0",
                &format!("open on channel {channel}"),
            ));
        }
        let (wire, _) = self.wire()?;
        wire.channel = frames::CHANNEL.min(open.channel_max);
        wire.remote_open = Some(open.clone());
        Ok(open)
    }

    /// A begin of the peer, with the channel that it came on.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_begin(&mut self) -> Result<(u16, Begin), Stop> {
        let begin = self.expect("begin", |channel, performative, _| match performative {
            Performative::Begin(begin) => Ok((channel, *begin)),
            other => Err(other),
        });
        begin.await
    }

    /// An attach of the peer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_attach(&mut self) -> Result<Attach, Stop> {
        let attach = self.expect("attach", |_, performative, _| match performative {
            Performative::Attach(attach) => Ok(*attach),
            other => Err(other),
        });
        attach.await
    }

    /// The next flow.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_flow(&mut self) -> Result<Flow, Stop> {
        self.expect_flow_that("flow", |_| true).await
    }

    /// The next flow of which `is_wanted` says so; `wanted` names it in a report.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or none in time.
    pub async fn expect_flow_that(
        &mut self,
        wanted: &str,
        mut is_wanted: impl FnMut(&Flow) -> bool,
    ) -> Result<Flow, Stop> {
        let flow = self.expect(wanted, |_, performative, _| match performative {
            Performative::Flow(flow) if is_wanted(&flow) => Ok(flow),
            other => Err(other),
        });
        flow.await
    }

    /// The next transfer frame, with its payload.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_transfer(&mut self) -> Result<(Transfer, Bytes), Stop> {
        let transfer = self.expect("transfer", |_, performative, payload| match performative {
            Performative::Transfer(transfer) => Ok((transfer, payload)),
            other => Err(other),
        });
        transfer.await
    }

    /// The next disposition.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_disposition(&mut self) -> Result<Disposition, Stop> {
        self.expect_disposition_that("disposition", |_| true).await
    }

    /// The next disposition of which `is_wanted` says so; `wanted` names it in a report.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or none in time.
    pub async fn expect_disposition_that(
        &mut self,
        wanted: &str,
        mut is_wanted: impl FnMut(&Disposition) -> bool,
    ) -> Result<Disposition, Stop> {
        let disposition = self.expect(wanted, |_, performative, _| match performative {
            Performative::Disposition(disposition) if is_wanted(&disposition) => Ok(disposition),
            other => Err(other),
        });
        disposition.await
    }

    /// A detach of the peer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_detach(&mut self) -> Result<Detach, Stop> {
        let detach = self.expect("detach", |_, performative, _| match performative {
            Performative::Detach(detach) => Ok(detach),
            other => Err(other),
        });
        detach.await
    }

    /// An end of the peer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_end(&mut self) -> Result<End, Stop> {
        let end = self.expect("end", |_, performative, _| match performative {
            Performative::End(end) => Ok(end),
            other => Err(other),
        });
        end.await
    }

    /// A close of the peer.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_close(&mut self) -> Result<Close, Stop> {
        let close = self.expect("close", |_, performative, _| match performative {
            Performative::Close(close) => Ok(close),
            other => Err(other),
        });
        close.await
    }

    /// All frames of the next delivery: its first transfer, and the payload of all of them.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_delivery(&mut self) -> Result<(Transfer, Bytes), Stop> {
        let (first, mut payload) = self.expect_transfer().await?;
        let mut more = first.more;
        while more {
            let (next, part) = self.expect_transfer().await?;
            payload = [payload, part].concat().into();
            more = next.more;
        }
        Ok((first, payload))
    }

    /// The same, and this program's word that it is accepted, if it was not sent settled.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn accept_delivery(&mut self) -> Result<(Transfer, Bytes), Stop> {
        let (first, payload) = self.expect_delivery().await?;
        if let (Some(id), false) = (first.delivery_id, first.settled == Some(true)) {
            self.send(frames::settle(id, id, Outcome::Accepted)).await?;
        }
        Ok((first, payload))
    }
}

/// What comes next.
pub(super) enum Next {
    Frame(AmqpFrame),
    End,
    Nothing,
}

/// The failure that says what came in place of what was wanted.
pub(super) fn unexpected(wanted: &str, came: &str) -> Stop {
    Stop::Fail(format!("{came} in place of {wanted}"))
}

/// A frame in a sentence.
pub(super) fn describe(performative: &Performative) -> String {
    match Refusal::of(performative) {
        Some(refusal) => refusal.to_string(),
        None => performative.name().to_owned(),
    }
}
