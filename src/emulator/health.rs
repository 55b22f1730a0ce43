//! Whether the emulator is well, for whoever asks over HTTP: containers and test harnesses wait for it.
//!
//! Not a web server: one request a connection, its first line is looked at, and everything is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::namespace::Namespace;
use crate::websocket::{HttpResponder, HttpResponse};

const PATH: &str = "/health";
const HEALTHY: &str = r#"{"status":"healthy","message":"Service is healthy."}"#;
const UNHEALTHY: &str =
    r#"{"status":"unhealthy","message":"A partition cannot be written to its folder."}"#;

/// Octets of a request that are read before it is refused.
const MAX_REQUEST: usize = 8 * 1024;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Requests that are served at once; others wait in the system's backlog.
const MAX_CONNECTIONS: usize = 32;

/// Answers requests until it is dropped.
pub(crate) async fn serve(listener: TcpListener, namespace: Arc<Namespace>) {
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            biased; // no chance: runs of one seed are alike
            accepted = listener.accept(), if requests.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let is_healthy = namespace.is_healthy();
                    requests.spawn(tokio::time::timeout(DEADLINE, answer(stream, is_healthy)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the system gave no connection to the health port");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = requests.join_next(), if !requests.is_empty() => {}
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    is_healthy: bool,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    // To the end of the headers: a peer whose request is not read may not see the answer.
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        request.extend_from_slice(&chunk[..read]);
        if read == 0 || request.len() > MAX_REQUEST {
            break;
        }
    }
    stream
        .write_all(response(&request, is_healthy).as_bytes())
        .await?;
    stream.shutdown().await
}

fn response(request: &[u8], is_healthy: bool) -> String {
    let (status, body) = match requested(request) {
        None => ("400 Bad Request", ""),
        Some(("GET" | "HEAD", PATH)) if is_healthy => ("200 OK", HEALTHY),
        Some(("GET" | "HEAD", PATH)) => ("503 Service Unavailable", UNHEALTHY),
        Some((_, PATH)) => ("405 Method Not Allowed", ""),
        Some(_) => ("404 Not Found", ""),
    };
    let shown = match requested(request) {
        Some(("HEAD", _)) => "",
        _ => body,
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{shown}"
    )
}

/// Answers the same on the port for AMQP, where WebSockets are taken.
pub(crate) fn responder(namespace: &Arc<Namespace>) -> HttpResponder {
    let namespace = Arc::downgrade(namespace);
    HttpResponder::new(move |request| {
        let is_healthy = namespace
            .upgrade()
            .is_some_and(|namespace| namespace.is_healthy());
        let (status, body) = match request.path() {
            PATH if is_healthy => (200, HEALTHY),
            PATH => (503, UNHEALTHY),
            _ => return HttpResponse::new(404),
        };
        HttpResponse::new(status)
            .body(body)
            .content_type("application/json")
    })
}

/// Method and path of a request.
fn requested(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|octet| *octet == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let path = target.split('?').next()?;
    (version.starts_with("HTTP/1.") && words.next().is_none()).then_some((method, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    #[test]
    fn only_health_is_told() {
        let table = [
            ("GET /health HTTP/1.1\r\n\r\n", true, "HTTP/1.1 200"),
            ("GET /health?x=y HTTP/1.0\r\n\r\n", true, "HTTP/1.1 200"),
            ("GET /health HTTP/1.1\r\n\r\n", false, "HTTP/1.1 503"),
            ("POST /health HTTP/1.1\r\n\r\n", true, "HTTP/1.1 405"),
            ("GET / HTTP/1.1\r\n\r\n", true, "HTTP/1.1 404"),
            ("AMQP\x00\x01\x00\x00", true, "HTTP/1.1 400"),
            ("", true, "HTTP/1.1 400"),
        ];
        for (request, is_healthy, start) in table {
            let response = response(request.as_bytes(), is_healthy);
            assert!(response.starts_with(start), "{request:?}: {response}");
        }
        let head = response(b"HEAD /health HTTP/1.1\r\n\r\n", true);
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[tokio::test]
    async fn an_endless_request_is_answered_and_over() {
        let (mut client, server) = memory::pipe(64 * 1024);
        let answering = tokio::spawn(answer(server, true));
        client.write_all(&[b'x'; MAX_REQUEST + 1]).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
        answering.await.unwrap().unwrap();
    }
}
