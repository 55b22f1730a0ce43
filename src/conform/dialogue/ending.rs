//! Hearing that nothing more is said, or that the stream ends.

use tokio::time::Instant;

use super::Dialogue;
use super::hears::{Next, describe, unexpected};
use super::wire::Heard;
use crate::codec::frame;
use crate::codec::{Close, Performative};
use crate::conform::case::Stop;

impl Dialogue {
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
}
