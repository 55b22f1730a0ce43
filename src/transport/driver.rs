//! The one task of a connection: it moves octets between the stream and the engine.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep, timeout};

use super::clock;
use super::handshake::Handshaken;
use super::logging;
use super::shared::Shared;
use super::stream::Stream;
use crate::codec::DecodeError;
use crate::codec::frame::{self, AmqpFrame, FrameError, MIN_MAX_FRAME_SIZE, RawFrame};
use crate::engine::{ConnectionSettings, Engine};
use crate::error::ConnectionError;
use crate::options::ConnectionOptions;

const SMALLEST_READ: usize = 4 << 10;
const LARGEST_READ: usize = 64 << 10;
/// Reads between two looks at the engine, so that a fast peer does not keep writes waiting.
const READS_PER_TURN: usize = 4;
/// Turns between two returns to the runtime, so that a busy connection does not keep other tasks waiting.
const TURNS_PER_POLL: usize = 16;
/// Frames applied per lock, so that handles get their turn.
const FRAMES_PER_LOCK: usize = 64;
/// Octets that a connection without work moves between two deadlines: some empty frames in each direction.
const HEARTBEATS: usize = 64;
/// How long the end of a stream may take to be written (a TLS close_notify); nothing depends on it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Frame sizes that we accept: the first frame is an open, and has a limit of its own (F-013).
#[derive(Clone, Copy, Debug)]
struct FrameLimits {
    open: u32,
    others: u32,
}

/// Moves the octets of one connection until it is over.
pub(crate) struct Driver {
    shared: Shared,
    stream: Box<dyn Stream>,
    input: BytesMut,
    /// How much the next read makes room for: grows with use, shrinks without.
    read_size: usize,
    limits: FrameLimits,
    frames: VecDeque<AmqpFrame>,
    /// The input holds no frames any more: it is read to its end and dropped, so that our close is not lost in a reset.
    is_draining: bool,
    /// The peer has sent its close and ended its side of the stream: there is nothing left to read.
    is_input_over: bool,
    output: BytesMut,
    /// Octets of the output that the stream has taken.
    sent: usize,
    /// Octets were written that the stream may still hold back.
    needs_flush: bool,
    /// Octets read and written since a deadline last passed.
    moved: usize,
    /// Octets handed to the stream that the engine has not been told of.
    written: usize,
    /// The last write carried two messages or more: it is worth waiting once for company.
    had_company: bool,
    has_waited: bool,
    /// Others were let run before the last look at the engine: what they wrote goes out first.
    has_given_way: bool,
    sleep: Pin<Box<Sleep>>,
}

/// Why no more input will come that could be used.
enum Ending {
    /// The peer will send no more. It may still read.
    Eof,
    Cut(ConnectionError),
    NoFrame(FrameError),
    Undecodable(DecodeError),
}

/// What the driver does after it has looked at the engine.
enum Next {
    Again,
    /// Nothing to do until somebody wakes us, or until then.
    Rest(Option<Instant>),
    /// Others that are ready may have more to write.
    WaitForCompany,
    Over,
}

/// Ends the connection for everybody when the driver goes, however it goes: even before it has run.
impl Drop for Driver {
    fn drop(&mut self) {
        let written = self.written;
        self.shared.with(|engine| {
            engine.handle_written(written);
            if !engine.is_over() {
                engine.handle_cut(ConnectionError::DriverGone);
            }
        });
    }
}

impl Driver {
    /// Starts the task that drives a connection over a stream that has shaken hands.
    pub(crate) fn start(handshaken: Handshaken, options: &ConnectionOptions) -> Shared {
        let settings = ConnectionSettings {
            open: options.to_open(),
            incoming_begin: options.incoming_sessions.to_begin(),
            idle_time_out: options.idle_time_out,
            operation_timeout: options.operation_timeout,
        };
        let limits = FrameLimits {
            open: options.limits.max_open_frame_size.max(MIN_MAX_FRAME_SIZE),
            others: options.max_frame_size.max(MIN_MAX_FRAME_SIZE), // F-016
        };
        let engine = Engine::new(settings, options.limits, options.layout, clock::now());
        let shared = Shared::new(engine);
        let Handshaken {
            stream, read_ahead, ..
        } = handshaken;
        tokio::spawn(Self::new(shared.clone(), stream, read_ahead, limits).run());
        shared
    }

    /// `read_ahead` was read together with the protocol headers (V-012).
    fn new(
        shared: Shared,
        stream: Box<dyn Stream>,
        read_ahead: BytesMut,
        limits: FrameLimits,
    ) -> Self {
        Self {
            shared,
            stream,
            input: read_ahead,
            read_size: SMALLEST_READ,
            limits,
            frames: VecDeque::new(),
            is_draining: false,
            is_input_over: false,
            output: BytesMut::new(),
            sent: 0,
            needs_flush: false,
            moved: 0,
            written: 0,
            had_company: false,
            has_waited: false,
            has_given_way: false,
            sleep: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Runs until the connection is over.
    async fn run(mut self) {
        let ending = self.decode();
        self.apply(std::task::Waker::noop(), ending);
        std::future::poll_fn(|cx| self.poll(cx)).await;
        let _ = timeout(SHUTDOWN_TIMEOUT, self.stream.shutdown()).await;
        logging::end(self.shared.with(|engine| engine.ended().cloned()));
    }

    /// Reads, applies what came, writes, and looks whether more is due: in this order, and reading goes on while a write
    /// waits, because two peers that both only wrote would wait for each other.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_elapsed() {
            self.give_back_memory();
        }
        for _ in 0..TURNS_PER_POLL {
            let (has_input, ending) = self.poll_input(cx);
            let is_quiet = !has_input && ending.is_none();
            if !is_quiet {
                self.apply(cx.waker(), ending);
            }
            let is_blocked = match self.poll_output(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => {
                    self.apply(
                        cx.waker(),
                        Some(Ending::Cut(ConnectionError::Lost(Arc::new(error)))),
                    );
                    false
                }
                Poll::Pending => true,
            };
            match self.advance(cx, is_quiet, is_blocked) {
                Next::Again => {}
                Next::Rest(deadline) => ready!(self.poll_sleep(cx, deadline)),
                Next::WaitForCompany => break,
                Next::Over => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One look at the engine: what fell due is written into its output, which is taken over if ours is empty.
    fn advance(&mut self, cx: &Context<'_>, is_quiet: bool, is_blocked: bool) -> Next {
        let now = clock::now();
        let written = std::mem::take(&mut self.written);
        let Self {
            shared,
            output,
            had_company,
            has_waited,
            has_given_way,
            ..
        } = self;
        shared.with_driver(cx.waker(), |engine| {
            engine.handle_written(written);
            engine.handle_timeout(now);
            engine.flush(now);
            let gives_way = engine.take_gives_way();
            let next = if engine.is_cut() {
                Next::Over
            } else if is_blocked {
                Next::Rest(engine.poll_timeout())
            } else if gives_way && !std::mem::replace(has_given_way, true) {
                Next::WaitForCompany
            } else if engine.has_output() {
                take_output(engine, output, had_company, has_waited)
            } else if engine.is_over() {
                Next::Over
            } else if engine.has_due_work() {
                Next::Again
            } else {
                Next::Rest(engine.poll_timeout())
            };
            *has_given_way &= gives_way;
            match next {
                Next::Rest(_) if !is_quiet => (Next::Again, false),
                Next::Rest(deadline) => (Next::Rest(deadline), true),
                next => (next, false),
            }
        })
    }

    /// Applies decoded frames, some at a time, and then what ended the input.
    fn apply(&mut self, waker: &std::task::Waker, ending: Option<Ending>) {
        let now = clock::now();
        let written = std::mem::take(&mut self.written);
        let Self { shared, frames, .. } = self;
        shared.with_driver(waker, |engine| {
            engine.handle_written(written); // before a cut: what was handed over is not "not sent"
            engine.handle_activity(now);
            ((), false)
        });
        while !frames.is_empty() {
            let violations = shared.with_driver(waker, |engine| {
                let count = frames.len().min(FRAMES_PER_LOCK);
                frames
                    .drain(..count)
                    .for_each(|frame| engine.handle_frame(frame, now));
                (engine.take_violations(), false)
            });
            logging::violations(violations);
        }
        let ending = match ending {
            None => return,
            Some(Ending::Eof) => {
                // C-028: a peer that closes and then half-closes the stream waits for our close.
                self.is_input_over =
                    shared.with_driver(waker, |engine| (engine.is_answering_close(), false));
                if self.is_input_over {
                    return;
                }
                Ending::Cut(ConnectionError::eof())
            }
            Some(ending) => ending,
        };
        self.is_draining |= matches!(ending, Ending::NoFrame(_));
        if let Ending::Cut(_) = ending {
            // What was not handed over is reported as not sent, so it must not be.
            self.output.clear();
            self.sent = 0;
            self.needs_flush = false;
        }
        let violations = shared.with_driver(waker, |engine| {
            match ending {
                Ending::Eof => {} // seen to above
                Ending::Cut(reason) => engine.handle_cut(reason),
                Ending::NoFrame(error) => engine.handle_frame_error(error, now),
                Ending::Undecodable(error) => engine.handle_decode_error(error, now),
            }
            (engine.take_violations(), false)
        });
        logging::violations(violations);
    }

    /// Reads what is there, a few chunks at most, and decodes it. True if anything came.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> (bool, Option<Ending>) {
        let mut has_input = false;
        if self.is_input_over {
            return (false, None);
        }
        for _ in 0..READS_PER_TURN {
            self.make_room();
            let room = self.input.capacity() - self.input.len();
            match pin!(self.stream.read_buf(&mut self.input)).poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    return (has_input, Some(Ending::Eof));
                }
                Poll::Ready(Err(error)) => {
                    return (
                        has_input,
                        Some(Ending::Cut(ConnectionError::Lost(Arc::new(error)))),
                    );
                }
                Poll::Ready(Ok(octets)) => {
                    has_input = true;
                    self.moved += octets;
                    if let Some(ending) = self.decode() {
                        return (true, Some(ending));
                    }
                    self.adapt(octets, room);
                    if octets < room {
                        break; // the stream had no more
                    }
                }
            }
        }
        (has_input, None)
    }

    /// Room for the next read: the rest of a frame that has begun, or as much as reads brought lately.
    fn make_room(&mut self) {
        let frame_size = self.input.first_chunk().map_or(0, |size| {
            u32::from_be_bytes(*size).min(self.limits.open) as usize
        });
        let missing = frame_size
            .min(self.limits.others as usize)
            .saturating_sub(self.input.len());
        let room = self.input.capacity() - self.input.len();
        // A frame that fits where it began is not moved to a new chunk.
        if missing == 0 || room < missing {
            self.input.reserve(missing.max(self.read_size));
        }
    }

    fn adapt(&mut self, octets: usize, room: usize) {
        if octets == room {
            self.read_size = (self.read_size * 2)
                .min(LARGEST_READ.max(self.limits.others.min(1 << 20) as usize));
        } else if octets < self.read_size / 8 {
            self.read_size = (self.read_size / 2).max(SMALLEST_READ);
        }
    }

    /// Decodes every whole frame of the input.
    fn decode(&mut self) -> Option<Ending> {
        if self.is_draining {
            self.input.clear();
            return None;
        }
        loop {
            match frame::split(&mut self.input, self.limits.open) {
                Ok(None) => return None,
                Ok(Some(RawFrame { frame_type, .. })) if frame_type != frame::TYPE_AMQP => {
                    return Some(Ending::NoFrame(FrameError::UnknownType { frame_type })); // Y-012
                }
                Ok(Some(raw)) => match frame::decode_amqp(raw) {
                    Ok(frame) => {
                        logging::reported(&frame);
                        self.frames.push_back(frame);
                    }
                    Err(error) => return Some(Ending::Undecodable(error)),
                },
                Err(error) => return Some(Ending::NoFrame(error)),
            }
            self.limits.open = self.limits.others;
        }
    }

    /// Writes our output and flushes the stream behind the last of it.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            let unsent = &self.output[self.sent..];
            let octets = ready!(Pin::new(&mut self.stream).poll_write(cx, unsent))?;
            if octets == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += octets;
            self.written += octets;
            self.moved += octets;
            self.needs_flush = true;
        }
        self.discard_output();
        if self.needs_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn discard_output(&mut self) {
        self.output.clear();
        self.sent = 0;
    }

    /// A deadline has passed. If no more than heartbeats came and went since the one before, what a burst made the buffers
    /// grow to is given back: a process may have many connections, and most of them idle.
    fn give_back_memory(&mut self) {
        if std::mem::take(&mut self.moved) > HEARTBEATS {
            return;
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.read_size = SMALLEST_READ;
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        self.shared.with(Engine::give_back_memory);
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// A write as soon as one message is there costs a system call each when many tasks send: so wait once for the others
/// that are ready, if the last write showed that there are others.
fn take_output(
    engine: &mut Engine,
    output: &mut BytesMut,
    had_company: &mut bool,
    has_waited: &mut bool,
) -> Next {
    if *had_company && !*has_waited && engine.messages_waiting() > 0 {
        *has_waited = true;
        return Next::WaitForCompany;
    }
    *had_company = engine.messages_waiting() >= 2;
    *has_waited = false;
    engine.take_output(output);
    Next::Again
}
