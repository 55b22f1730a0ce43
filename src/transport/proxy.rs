//! A tunnel through an HTTP proxy (`CONNECT`): behind its answer, the stream is the host's.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;

use super::deadline::Deadline;
use super::http::{self, Head, HeadError};
use super::stream::{Replayed, Stream};
use super::tcp;
use crate::error::{ConnectError, ProxyError, Stage};
use crate::options::Proxy;
use crate::url::host_and_port;

const LONGEST_STATUS_LINE: usize = 256;

/// Connects to the proxy and asks it for a tunnel to the host.
pub(crate) async fn connect(
    proxy: &Proxy,
    host: &str,
    port: u16,
    keep_alive: Option<Duration>,
    deadline: Deadline,
) -> Result<Box<dyn Stream>, ConnectError> {
    let stream = tcp::connect(proxy.host(), proxy.port(), keep_alive, deadline).await?;
    let target = host_and_port(host, port);
    let tunnel = ask(Box::new(stream), proxy, &target);
    let stream = deadline.within(Stage::Proxy, tunnel).await??;
    tracing::debug!(proxy = proxy.authority(), target, "the proxy gave a tunnel");
    Ok(stream)
}

async fn ask(
    mut stream: Box<dyn Stream>,
    proxy: &Proxy,
    target: &str,
) -> Result<Box<dyn Stream>, ConnectError> {
    let broken = |error| ConnectError::Io {
        stage: Stage::Proxy,
        error: Arc::new(error),
    };
    let failed = |error| ConnectError::Proxy {
        proxy: proxy.authority(),
        target: target.to_owned(),
        error,
    };
    let request = request(proxy, target);
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut buffer = BytesMut::new();
    let (head, length) = match http::read_head(&mut stream, &mut buffer, b"HTTP/1.").await {
        Ok(found) => found,
        Err(HeadError::Io(error)) => return Err(broken(error)),
        Err(HeadError::Eof) => {
            return Err(ConnectError::Eof {
                stage: Stage::Proxy,
            });
        }
        Err(HeadError::Malformed(reason)) => {
            let reason = reason.to_owned();
            return Err(failed(ProxyError::Malformed { reason }));
        }
    };
    judge(&head).map_err(failed)?;
    buffer.advance(length);
    Ok(Replayed::before(stream, buffer))
}

/// Made of parsed parts, none of which can hold the end of a line.
fn request(proxy: &Proxy, target: &str) -> String {
    let login = match proxy.login() {
        Some((username, password)) => {
            let login = STANDARD.encode(format!("{username}:{password}"));
            format!("Proxy-Authorization: Basic {login}\r\n")
        }
        None => String::new(),
    };
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n")
}

fn judge(head: &Head) -> Result<(), ProxyError> {
    let status = head.first_line.split(' ').nth(1).unwrap_or_default();
    let status: u16 = status.parse().map_err(|_| ProxyError::Malformed {
        reason: "it has no status".to_owned(),
    })?;
    let first_line = head.first_line.chars().take(LONGEST_STATUS_LINE);
    let status_line = first_line.filter(|c| !c.is_control()).collect();
    match status {
        200..=299 => Ok(()),
        407 => {
            let offers = head.values("Proxy-Authenticate");
            let scheme = |offer: &str| offer.split(' ').next().unwrap_or_default().to_owned();
            Err(ProxyError::Authentication {
                status_line,
                offers: offers.map(scheme).collect(),
            })
        }
        _ => Err(ProxyError::Refused {
            status,
            status_line,
        }),
    }
}
