//! TCP: try every address of a name, set the socket's options.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::deadline::Deadline;
use crate::error::{ConnectError, Stage};

/// The least time that an address gets, however many there are.
const MIN_SHARE: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers, IPv6 and IPv4 in turn.
///
/// Each address gets an equal share of the time left, so that one that swallows packets does not use up all of it.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    keep_alive: Option<Duration>,
    deadline: Deadline,
) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(host, port, deadline).await?;
    connect_first(host, port, addresses, keep_alive, deadline).await
}

async fn connect_first(
    host: &str,
    port: u16,
    addresses: Vec<SocketAddr>,
    keep_alive: Option<Duration>,
    deadline: Deadline,
) -> Result<TcpStream, ConnectError> {
    let mut failures = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        let remaining = deadline.at.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            break;
        }
        let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = (remaining / untried).max(MIN_SHARE).min(remaining);
        let attempt = async {
            let stream = TcpStream::connect(address).await?;
            prepare(&stream, keep_alive)?;
            Ok(stream)
        };
        let result = timeout(share, attempt).await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {} ms", share.as_millis()),
            ))
        });
        match result {
            Ok(stream) => {
                tracing::debug!(%address, "TCP connected");
                return Ok(stream);
            }
            Err(error) => {
                tracing::debug!(%address, %error, "TCP connection failed");
                failures.push((address, Arc::new(error)));
            }
        }
    }
    if failures.is_empty() {
        return Err(deadline.missed(Stage::Tcp));
    }
    Err(ConnectError::Tcp {
        host: host.to_owned(),
        port,
        addresses: failures,
    })
}

async fn resolve(
    host: &str,
    port: u16,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |error| ConnectError::Resolve {
        host: host.to_owned(),
        error: Arc::new(error),
    };
    let found = timeout_at(deadline.at, lookup_host((host, port)))
        .await
        .map_err(|_| deadline.missed(Stage::Resolve))?
        .map_err(failed)?;
    let addresses = alternate(found);
    if addresses.is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    Ok(addresses)
}

/// Orders by family in turn, beginning with the family that the resolver put first: a broken family costs one attempt.
fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.peekable();
    let v6_is_first = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.partition(|address| address.is_ipv6() == v6_is_first);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return ordered,
            (one, other) => ordered.extend(one.into_iter().chain(other)),
        }
    }
}

/// Sets the options of a socket, dialled or accepted: frames must not wait for each other (TCP_NODELAY).
pub(crate) fn prepare(stream: &TcpStream, keep_alive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match keep_alive {
        Some(idle) => SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
        None => Ok(()),
    }
}

/// Binds a listening socket; a port that a program just left can be used at once (SO_REUSEADDR on Unix).
pub(crate) async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    TcpListener::bind(address).await // sets the option, where it does not also allow to steal a port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(5))
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = bind("127.0.0.1:0").await.unwrap().local_addr().unwrap(); // dropped at once
        let keep_alive = Some(Duration::from_secs(30));
        let stream = connect_first("x", 1, vec![closed, open], keep_alive, deadline())
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn every_failed_address_is_named() {
        let closed = bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = connect("127.0.0.1", closed.port(), None, deadline())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&closed.to_string()), "{error}");
        assert!(matches!(&error, ConnectError::Tcp { addresses, .. } if addresses.len() == 1));
        assert!(error.is_retryable());
    }

    #[tokio::test]
    async fn an_unknown_name_is_a_resolve_error() {
        let error = connect("no-such-host.invalid", 5672, None, deadline())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ConnectError::Resolve { host, .. } if host == "no-such-host.invalid"),
            "{error}"
        );
    }

    #[test]
    fn families_alternate() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        assert_eq!(
            alternate(found.into_iter()),
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address)
        );
    }
}
