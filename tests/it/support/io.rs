//! A stream that misbehaves as streams may: it splits, pends, stalls, counts and breaks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use amqp10::memory::MemoryStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes wrong, and when. The default is a sound stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Reads and writes are split, and pend now and then, as this seed says.
    pub splits: Option<u64>,
    /// Writes fail once this many octets were written.
    pub write_breaks_at: Option<usize>,
    /// The stream ends for the reader after this many octets; what is written still arrives.
    pub read_ends_at: Option<usize>,
}

/// What the test sees and steers while the stream is in use.
#[derive(Debug, Default)]
pub struct Control {
    writes: AtomicUsize,
    stalled: Mutex<Option<Vec<Waker>>>,
}

impl Control {
    /// Calls of `poll_write` that wrote something.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// From now on no write gets anywhere.
    pub fn stall(&self) {
        self.stalled.lock().unwrap().get_or_insert_default();
    }

    fn is_stalled(&self, cx: &Context<'_>) -> bool {
        match &mut *self.stalled.lock().unwrap() {
            Some(wakers) => {
                wakers.push(cx.waker().clone());
                true
            }
            None => false,
        }
    }
}

/// One end of a pipe with [`Faults`].
pub struct RoughStream {
    stream: MemoryStream,
    faults: Faults,
    control: Arc<Control>,
    random: u64,
    octets_written: usize,
    octets_read: usize,
}

impl RoughStream {
    pub fn new(stream: MemoryStream, faults: Faults) -> (Self, Arc<Control>) {
        let control = Arc::new(Control::default());
        let rough = Self {
            stream,
            faults,
            control: control.clone(),
            random: faults.splits.unwrap_or(0).wrapping_mul(2) + 1,
            octets_written: 0,
            octets_read: 0,
        };
        (rough, control)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    /// How many of `octets` this call may move; None: not now.
    fn portion(&mut self, octets: usize, cx: &Context<'_>) -> Option<usize> {
        if self.faults.splits.is_none() {
            return Some(octets);
        }
        if self.below(4) == 0 {
            cx.waker().wake_by_ref();
            return None;
        }
        let most = [1, 3, 20, 300, 5000][self.below(5)];
        Some(octets.min(1 + self.below(most)))
    }
}

impl AsyncRead for RoughStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut portion) = self.portion(target.remaining(), cx) else {
            return Poll::Pending;
        };
        if let Some(end) = self.faults.read_ends_at {
            portion = portion.min(end.saturating_sub(self.octets_read));
            if portion == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let mut limited = ReadBuf::new(target.initialize_unfilled_to(portion));
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut limited);
        let octets = limited.filled().len();
        target.advance(octets);
        self.octets_read += octets;
        polled
    }
}

impl AsyncWrite for RoughStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.control.is_stalled(cx) {
            return Poll::Pending;
        }
        let Some(mut portion) = self.portion(octets.len(), cx) else {
            return Poll::Pending;
        };
        if let Some(end) = self.faults.write_breaks_at {
            portion = portion.min(end.saturating_sub(self.octets_written));
            if portion == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, &octets[..portion]);
        if let Poll::Ready(Ok(written)) = polled {
            self.octets_written += written;
            self.control.writes.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
