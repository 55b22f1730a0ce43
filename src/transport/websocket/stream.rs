//! Binary messages as a stream of octets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream as _;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::MAX_WRITTEN;
use crate::error::WebSocketError;
use crate::transport::stream::Stream;

/// An open WebSocket. Pings are answered while it is read, by the crate below.
pub(super) struct WebSocketStream {
    socket: tokio_tungstenite::WebSocketStream<Box<dyn Stream>>,
    input: Input,
    /// The longest message that is read, for errors: the crate below sees to it.
    limit: usize,
    is_close_sent: bool,
}

enum Input {
    /// The rest of the last message; more may follow.
    Open(Bytes),
    /// The peer closed.
    Over,
    /// To be told at the next read, behind what came before.
    Broken(io::Error),
}

impl WebSocketStream {
    pub(super) fn new(
        socket: tokio_tungstenite::WebSocketStream<Box<dyn Stream>>,
        limit: usize,
    ) -> Self {
        Self {
            socket,
            input: Input::Open(Bytes::new()),
            limit,
            is_close_sent: false,
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(Message::Binary(octets))) => Input::Open(octets),
            Some(Ok(Message::Text(_))) => {
                self.refuse(WebSocketError::Text, CloseCode::Unsupported, cx)
            }
            Some(Ok(Message::Close(_))) => {
                // The answer is due; whether it gets through is the peer's affair.
                let _ = Pin::new(&mut self.socket).poll_flush(cx);
                Input::Over
            }
            Some(Ok(_)) => Input::Open(Bytes::new()),
            None | Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Input::Over
            }
            Some(Err(Error::Io(error))) => Input::Broken(error),
            Some(Err(Error::Capacity(_))) => {
                let limit = self.limit;
                self.refuse(
                    WebSocketError::MessageTooLarge { limit },
                    CloseCode::Size,
                    cx,
                )
            }
            Some(Err(error)) => {
                let reason = error.to_string();
                self.refuse(WebSocketError::Protocol { reason }, CloseCode::Protocol, cx)
            }
        })
    }

    /// Tells the peer why this ends, as far as that goes without waiting.
    fn refuse(&mut self, error: WebSocketError, code: CloseCode, cx: &mut Context<'_>) -> Input {
        let reason = "".into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        let mut socket = Pin::new(&mut self.socket);
        if let Poll::Ready(Ok(())) = socket.as_mut().poll_ready(cx) {
            let _ = socket.as_mut().start_send(close);
            let _ = socket.poll_flush(cx);
        }
        Input::Broken(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl AsyncRead for WebSocketStream {
    /// Takes as many messages as there are and have room, so that small ones do not cost a turn of the driver each.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let already_there = target.filled().len();
        loop {
            let has_read = target.filled().len() > already_there;
            match &mut socket.input {
                Input::Open(rest) => {
                    let length = rest.len().min(target.remaining());
                    target.put_slice(&rest[..length]);
                    rest.advance(length);
                    if target.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Input::Broken(_) if !has_read => {
                    let input = std::mem::replace(&mut socket.input, Input::Over);
                    let Input::Broken(error) = input else {
                        continue;
                    };
                    return Poll::Ready(Err(error));
                }
                Input::Over | Input::Broken(_) => return Poll::Ready(Ok(())),
            }
            match socket.poll_message(cx) {
                Poll::Ready(input) => socket.input = input,
                Poll::Pending if target.filled().len() > already_there => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for WebSocketStream {
    /// Makes one message of what is written. The one before it has left, so that no more than one is kept.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(to_io_error)?;
        let octets = &octets[..octets.len().min(MAX_WRITTEN)];
        let message = Message::Binary(Bytes::copy_from_slice(octets));
        socket.start_send(message).map_err(to_io_error)?;
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Pin::new(&mut self.socket);
        socket.poll_flush(cx).map_err(to_io_error)
    }

    /// Closes, and waits for the peer's close: whoever cannot wait sets a limit.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.is_close_sent {
            ready!(Pin::new(&mut stream.socket).poll_close(cx)).map_err(to_io_error)?;
            stream.is_close_sent = true;
        }
        while let Input::Open(_) = stream.input {
            stream.input = ready!(stream.poll_message(cx));
        }
        Pin::new(stream.socket.get_mut()).poll_shutdown(cx)
    }
}

fn to_io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::SendAfterClosing) => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(WebSocketError::Protocol {
            reason: other.to_string(),
        }),
    }
}
