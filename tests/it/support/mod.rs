//! What the tests share.

#[cfg(feature = "emulator")]
pub mod delay;
#[cfg(feature = "emulator")]
pub mod folder;
pub mod log;
pub mod peer;
pub mod reconnecting;
pub mod scene;

use amqp10::memory;
use amqp10::{Connection, ConnectionOptions, Listener, ListenerOptions};
use tokio::io::{AsyncRead, AsyncWrite};

pub mod io;

/// A client's and a listener's end of one connection, in process.
pub struct Pair {
    pub client: Connection,
    pub server: Connection,
}

impl Pair {
    pub async fn new() -> Self {
        Self::with(ConnectionOptions::default(), ListenerOptions::default()).await
    }

    pub async fn with(client: ConnectionOptions, server: ListenerOptions) -> Self {
        let (near, far) = memory::pipe(64 << 10);
        Self::over(near, far, client, server).await
    }

    /// The same over any two ends of a stream.
    pub async fn over<S, T>(
        near: S,
        far: T,
        client: ConnectionOptions,
        server: ListenerOptions,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (client, server) = tokio::join!(Connection::open_with_stream(near, client), async {
            let incoming = Listener::accept_stream(far, &server).await.unwrap();
            incoming.accept().await.unwrap()
        });
        Self {
            client: client.unwrap(),
            server,
        }
    }
}
