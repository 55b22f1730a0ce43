//! One type for every kind of stream, and one that gives back what was read too early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything that bytes can be read from and written to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Stream for S {}

/// A stream of which some octets were already read: they come first again.
pub(crate) struct Replayed {
    octets: BytesMut,
    stream: Box<dyn Stream>,
}

impl Replayed {
    /// The stream itself if there is nothing to give back.
    pub(crate) fn before(stream: Box<dyn Stream>, octets: BytesMut) -> Box<dyn Stream> {
        if octets.is_empty() {
            stream
        } else {
            Box::new(Replayed { octets, stream })
        }
    }
}

impl AsyncRead for Replayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.octets.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, target);
        }
        let length = self.octets.len().min(target.remaining());
        target.put_slice(&self.octets[..length]);
        self.octets.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn replayed_octets_come_first() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"world").await.unwrap();
        far.shutdown().await.unwrap();
        let mut stream = Replayed::before(Box::new(near), BytesMut::from("hello "));
        let mut read = [0; 3];
        stream.read_exact(&mut read).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&read[..], rest.as_str()), (&b"hel"[..], "lo world"));
    }
}
