//! What a dialogue hears.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::wire::Heard;
use super::{Dialogue, Refusal, Scope, frames};
use crate::codec::frame::{self, AmqpFrame};
use crate::codec::sasl::SaslFrame;
use crate::codec::{
    Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Outcome, Performative,
    ProtocolHeader, Symbol, Transfer,
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

    /// A close of the peer. What it said before on its links and sessions is passed over, other than a second open.
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

    /// The answer to this program's close, on channel 0. All that the peer said before it knew of the close is passed over.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it does not come in time.
    pub async fn expect_answer_to_close(&mut self) -> Result<Close, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = match self.frame_within(left).await? {
                Next::Frame(frame) => frame,
                Next::End => return Err(unexpected("close", "the end of the stream")),
                Next::Nothing => return Err(unexpected("close", "nothing")),
            };
            match (frame.channel, frame.performative) {
                (0, Some(Performative::Close(close))) => return Ok(close),
                (channel, Some(Performative::Close(_))) => {
                    return Err(unexpected(
                        "close on channel 0",
                        &format!("close on channel {channel}"),
                    ));
                }
                _ => {}
            }
        }
    }

    /// A detach with one of these conditions; another condition is remarked. The handle must be handed back by it.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, nothing in time, or a detach without an error.
    pub async fn expect_detach_with(&mut self, conditions: &[Symbol]) -> Result<Detach, Stop> {
        let detach = self.expect_detach().await?;
        let error = detach.error.as_ref();
        let came = error.map(|error| &error.condition);
        self.check_condition("detach", came, conditions)?;
        Ok(detach)
    }

    /// An end with one of these conditions; another condition is remarked.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, nothing in time, or an end without an error.
    pub async fn expect_end_with(&mut self, conditions: &[Symbol]) -> Result<(), Stop> {
        let error = self.expect_end().await?.error;
        let came = error.as_ref().map(|error| &error.condition);
        self.check_condition("end", came, conditions)
    }

    /// A close with one of these conditions, and after this program's answer the end of the stream. Another condition is
    /// remarked, and so is a stream that ends without a close: the peer has refused, but the other side does not learn why.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_close_with(&mut self, conditions: &[Symbol]) -> Result<(), Stop> {
        let refusal = self.expect_refusal().await?;
        match (refusal.scope, refusal.is_said) {
            (Scope::Connection, false) => {
                self.remark("the stream ended without a close");
                return Ok(());
            }
            (Scope::Connection, true) => {}
            _ => return Err(unexpected("close", &refusal.to_string())),
        }
        let came = refusal.error.as_ref().map(|error| &error.condition);
        self.check_condition("close", came, conditions)?;
        self.send_on(0, frames::close()).await?;
        self.half_close().await?;
        self.expect_eof_or_remark().await
    }

    /// The peer refuses, whatever it says before: by a detach, end or close, or by the end of the stream. A peer that ends in
    /// another scope than one expects is not wrong by that alone.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if none comes in time.
    pub async fn expect_refusal(&mut self) -> Result<Refusal, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = match self.frame_within(left).await? {
                Next::Frame(frame) => frame,
                Next::End => return Ok(Refusal::SILENT),
                Next::Nothing => return Err(unexpected("a refusal", "nothing")),
            };
            if let Some(refusal) = frame.performative.as_ref().and_then(Refusal::of) {
                return Ok(refusal);
            }
        }
    }

    fn check_condition(
        &mut self,
        by: &str,
        came: Option<&Symbol>,
        conditions: &[Symbol],
    ) -> Result<(), Stop> {
        let Some(came) = came else {
            let wanted = format!("{by} with an error");
            return Err(unexpected(&wanted, &format!("{by} without an error")));
        };
        if !conditions.contains(came) {
            let names: Vec<&str> = conditions.iter().map(Symbol::as_str).collect();
            self.remark(format!(
                "{by} with {came} in place of {}",
                names.join(" or ")
            ));
        }
        Ok(())
    }

    /// The stream ends; what the peer still says before is passed over.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it does not end in time.
    pub async fn expect_eof(&mut self) -> Result<(), Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (wire, record) = self.wire()?;
            match wire.hear(record, deadline).await {
                Heard::End => return Ok(()),
                Heard::Frame(_) if !left.is_zero() => {}
                Heard::NoFrame(why) => {
                    return Err(unexpected("the end of the stream", &why));
                }
                Heard::Frame(_) | Heard::Nothing => {
                    return Err(unexpected("the end of the stream", "nothing"));
                }
            }
        }
    }

    /// The stream ends, and the listener did not open: what it says before is passed over, save for that. That the stream
    /// does not end is remarked.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it opens.
    pub async fn expect_no_open(&mut self) -> Result<(), Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let (wire, record) = self.wire()?;
            match wire.hear(record, deadline).await {
                Heard::End => return Ok(()),
                Heard::Frame(raw) => {
                    let decoded = frame::decode_amqp(raw).ok();
                    let performative = decoded.and_then(|frame| frame.performative);
                    if matches!(performative, Some(Performative::Open(_))) {
                        return Err(unexpected("the end of the stream", "open"));
                    }
                }
                Heard::NoFrame(why) => return Err(unexpected("the end of the stream", &why)),
                Heard::Nothing => {
                    self.remark("the stream does not end");
                    return Ok(());
                }
            }
        }
    }

    /// The stream ends. That it does not is remarked: once both have closed, the standard leaves it to the peer when to let go.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn expect_eof_or_remark(&mut self) -> Result<(), Stop> {
        self.wire()?;
        if self.expect_eof().await.is_err() {
            self.remark("the stream did not end after both had closed");
        }
        Ok(())
    }

    /// Nothing is said for a while besides empty frames and flows, and the connection stays up.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something is said, or the stream ends.
    pub async fn expect_silence(&mut self) -> Result<(), Stop> {
        let deadline = Instant::now() + self.waits.silence;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = match self.frame_within(left).await? {
                Next::Frame(frame) => frame,
                Next::End => return Err(unexpected("silence", "the end of the stream")),
                Next::Nothing => return Ok(()),
            };
            match frame.performative {
                None | Some(Performative::Flow(_)) => {}
                Some(other) if self.is_prelude(&other) => {
                    self.answer_prelude(frame.channel, other).await?;
                }
                Some(other) => return Err(unexpected("silence", &describe(&other))),
            }
        }
    }

    /// Nothing more is said at all, not even an empty frame; gives whether the stream goes on.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something is said.
    pub async fn expect_last_word(&mut self) -> Result<bool, Stop> {
        match self.frame_within(self.waits.silence).await? {
            Next::Nothing => Ok(true),
            Next::End => Ok(false),
            Next::Frame(frame) => {
                let came = frame.performative.as_ref().map(describe);
                let came = came.unwrap_or_else(|| "an empty frame".to_owned());
                Err(unexpected("nothing more", &came))
            }
        }
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

    /// These eight octets.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if others come, or fewer in time.
    pub async fn expect_header(&mut self, header: ProtocolHeader) -> Result<(), Stop> {
        let came = self.next_header().await?;
        match came == header {
            true => Ok(()),
            false => Err(unexpected(&header.to_string(), &came.to_string())),
        }
    }

    /// The next eight octets, which must be a protocol header, of whatever protocol and version.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if they are none, or do not come in time.
    pub async fn next_header(&mut self) -> Result<ProtocolHeader, Stop> {
        let octets = self.read_octets(8).await?;
        let header = octets.first_chunk().and_then(ProtocolHeader::parse);
        header.ok_or_else(|| match octets.is_empty() {
            true => unexpected("a protocol header", "nothing"),
            false => unexpected("a protocol header", &format!("{octets:?}")),
        })
    }

    /// So many octets, whatever they are; fewer if the stream ends or the time is up before.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn read_octets(&mut self, count: usize) -> Result<Bytes, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        let (wire, record) = self.wire()?;
        Ok(wire.read_octets(record, count, deadline).await)
    }

    /// The next SASL frame.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_sasl(&mut self) -> Result<SaslFrame, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        let (wire, record) = self.wire()?;
        let came = match wire.hear(record, deadline).await {
            Heard::Frame(raw) => match frame::decode_sasl(raw) {
                Ok(sasl) => return Ok(sasl),
                Err(error) => format!("a frame that does not decode as such: {error}"),
            },
            Heard::End => "the end of the stream".to_owned(),
            Heard::Nothing => "nothing".to_owned(),
            Heard::NoFrame(why) => why,
        };
        Err(unexpected("a SASL frame", &came))
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
