//! An in-process pipe: a connection without a network, for tests and for programs that carry both ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// One end of an in-process pipe.
#[derive(Debug)]
pub struct MemoryStream {
    duplex: DuplexStream,
}

/// Two ends that are connected: what is written to one is read from the other.
///
/// `capacity` is the number of octets that each direction holds before a write waits; at least 1.
pub fn pipe(capacity: usize) -> (MemoryStream, MemoryStream) {
    let (one, other) = tokio::io::duplex(capacity.max(1));
    (MemoryStream { duplex: one }, MemoryStream { duplex: other })
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_read(cx, target)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.duplex).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.duplex).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.duplex.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_written_is_read_until_shutdown() {
        let (mut one, mut other) = pipe(4);
        let written = tokio::spawn(async move {
            one.write_all(b"more than four octets").await.unwrap();
            one.shutdown().await.unwrap();
            one
        });
        let mut read = String::new();
        other.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "more than four octets");
        drop(written.await.unwrap());
        assert!(other.write_all(b"x").await.is_err());
    }
}
