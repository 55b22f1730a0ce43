//! A stream that breaks where a fault wants it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fault::Direction;
use crate::lock::lock;

/// The stream of one connection, with a pair of scissors.
#[derive(Debug)]
pub(crate) struct FaultyStream<S> {
    stream: S,
    wire: Arc<Wire>,
}

/// The scissors: whoever holds them decides when the stream breaks.
#[derive(Debug, Default)]
pub(crate) struct Wire(Mutex<WireState>);

#[derive(Debug, Default)]
struct WireState {
    /// How many octets still pass, where there is an end.
    to_client: Option<u64>,
    to_emulator: Option<u64>,
    is_cut: bool,
    /// Who waits to read. Whoever waits to write is woken by it, too: one task does both.
    waiting: Option<Waker>,
}

impl Wire {
    /// Breaks the stream after so many more octets; an earlier break that was decided before stands.
    pub(super) fn cut_after(&self, octets: u64, direction: Direction) {
        let mut state = lock(&self.0);
        let left = state.left(direction);
        *left = Some(left.map_or(octets, |earlier| earlier.min(octets)));
        if *left == Some(0) {
            state.cut();
        }
    }

    /// Takes back what was decided, if it has not happened.
    pub(super) fn mend(&self) {
        let mut state = lock(&self.0);
        state.to_client = None;
        state.to_emulator = None;
    }

    /// How many octets may pass; an error once the stream is broken.
    fn allowance(&self, direction: Direction) -> io::Result<usize> {
        let mut state = lock(&self.0);
        if state.is_cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let left = state.left(direction).unwrap_or(u64::MAX);
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// So many octets have passed.
    fn spend(&self, octets: usize, direction: Direction) {
        let mut state = lock(&self.0);
        let Some(left) = state.left(direction) else {
            return;
        };
        *left = left.saturating_sub(octets as u64);
        if *left == 0 {
            state.cut();
        }
    }

    fn wait(&self, waker: &Waker) {
        let mut state = lock(&self.0);
        match &mut state.waiting {
            Some(waiting) => waiting.clone_from(waker),
            waiting => *waiting = Some(waker.clone()),
        }
    }
}

impl WireState {
    fn left(&mut self, direction: Direction) -> &mut Option<u64> {
        match direction {
            Direction::ToClient => &mut self.to_client,
            Direction::ToEmulator => &mut self.to_emulator,
        }
    }

    fn cut(&mut self) {
        self.is_cut = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

impl<S> FaultyStream<S> {
    pub(crate) fn new(stream: S, wire: Arc<Wire>) -> FaultyStream<S> {
        FaultyStream { stream, wire }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Before the look at the state: a cut in between finds somebody to wake.
        self.wire.wait(cx.waker());
        let allowed = self.wire.allowance(Direction::ToEmulator)?;
        let before = target.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, target);
        let octets = target.filled().len() - before;
        // What comes after the cut is lost.
        target.set_filled(before + octets.min(allowed));
        self.wire.spend(octets, Direction::ToEmulator);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultyStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = self.wire.allowance(Direction::ToClient)?;
        let octets = &octets[..octets.len().min(allowed)];
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        if let Poll::Ready(Ok(count)) = written {
            self.wire.spend(count, Direction::ToClient);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.allowance(Direction::ToClient)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn pair() -> (DuplexStream, FaultyStream<DuplexStream>, Arc<Wire>) {
        let (client, emulator) = tokio::io::duplex(64);
        let wire = Arc::new(Wire::default());
        (client, FaultyStream::new(emulator, wire.clone()), wire)
    }

    #[tokio::test]
    async fn octets_to_the_client_pass_until_the_cut() {
        let (mut client, mut emulator, wire) = pair();
        emulator.write_all(b"ab").await.unwrap();
        wire.cut_after(3, Direction::ToClient);
        assert!(emulator.write_all(b"cdefg").await.is_err());
        drop(emulator);
        let mut read = String::new();
        client.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abcde");
    }

    #[tokio::test]
    async fn octets_to_the_emulator_pass_until_the_cut() {
        let (mut client, mut emulator, wire) = pair();
        wire.cut_after(3, Direction::ToEmulator);
        client.write_all(b"abcde").await.unwrap();
        let mut read = Vec::new();
        let error = emulator.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(read, b"abc");
    }

    #[tokio::test]
    async fn who_waits_to_read_hears_of_the_cut() {
        let (_client, mut emulator, wire) = pair();
        let waiting = tokio::spawn(async move { emulator.read_u8().await });
        tokio::task::yield_now().await;
        wire.cut_after(0, Direction::ToClient);
        assert!(waiting.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_earlier_of_two_cuts_stands_and_both_can_be_taken_back() {
        let (mut client, mut emulator, wire) = pair();
        wire.cut_after(1, Direction::ToClient);
        wire.cut_after(5, Direction::ToClient);
        wire.mend();
        emulator.write_all(b"abc").await.unwrap();
        wire.cut_after(2, Direction::ToClient);
        wire.cut_after(9, Direction::ToClient);
        assert!(emulator.write_all(b"defgh").await.is_err());
        drop(emulator);
        let mut read = String::new();
        client.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abcde");
    }
}
