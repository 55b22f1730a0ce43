//! A network that is far away: a TCP proxy that hands on what it reads after a delay, in both directions.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The most that is read at once, in octets.
const CHUNK: usize = 64 * 1024;

/// The proxy, while it lives.
pub struct DelayProxy {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl DelayProxy {
    /// Listens on loopback and forwards to `target`. What was read is written `delay` later: the bandwidth has no limit.
    pub async fn start(target: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // A target that is gone ends the connection, which its client sees.
                if let Ok(far) = TcpStream::connect(target).await {
                    forward(near, far, delay);
                }
            }
        });
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn forward(near: TcpStream, far: TcpStream, delay: Duration) {
    // Without it the kernel would add delays of its own.
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::spawn(one_way(near_read, far_write, delay));
    tokio::spawn(one_way(far_read, near_write, delay));
}

async fn one_way(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut under_way) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let mut chunk = vec![0; CHUNK];
        while let Ok(octets @ 1..) = from.read(&mut chunk).await {
            let due = Instant::now() + delay;
            if sender.send((due, chunk[..octets].to_vec())).is_err() {
                break;
            }
        }
    });
    while let Some((due, octets)) = under_way.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&octets).await.is_err() {
            break;
        }
    }
    // The end of one direction ends the other half of this one.
    let _ = to.shutdown().await;
    reading.abort();
}
