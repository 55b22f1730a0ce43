//! Futures that make connections, on either side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amqp10::{AmqpError, ConnectError, Listener, codec::condition, memory};
use tokio::net::TcpStream;

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Connection::open_with_stream", open_and_its_acceptance),
        ("Connection::open_through", open_through_a_tunnel),
        ("Connection::open", open_by_an_address),
        ("Listener::bind", binding),
        ("Listener::accept", listener_accept),
        ("Listener::accept_socket", listener_accept_socket),
        ("Listener::accept_stream", acceptance_of_a_stream),
        ("IncomingConnection::refuse", a_refusal_is_sent_in_any_case),
    ],
};

#[tokio::test]
async fn open_and_its_acceptance() {
    open_at_each_poll(|near| Connection::open_with_stream(near, ConnectionOptions::default()))
        .await;
}

#[tokio::test]
async fn open_through_a_tunnel() {
    let options = ConnectionOptions::default;
    open_at_each_poll(|near| Connection::open_through(near, "amqp://localhost", options())).await;
}

/// Whenever an open is dropped, the server sees the end of the connection.
async fn open_at_each_poll<F>(open: impl Fn(memory::MemoryStream) -> F)
where
    F: Future<Output = Result<Connection, ConnectError>>,
{
    for polls in 0..MANY {
        let (near, far) = memory::pipe(1000);
        let server = tokio::spawn(async move {
            let incoming = Listener::accept_stream(far, &ListenerOptions::default())
                .await
                .ok()?;
            let connection = incoming.accept().await.ok()?;
            Some(connection.closed().await)
        });
        let opened = poll_times(polls, open(near)).await;
        let is_over = opened.is_some();
        drop(opened.map(Result::unwrap));
        timeout(LONG, server)
            .await
            .expect("the server's end too")
            .unwrap();
        if is_over {
            assert!(polls > 2, "nothing was dropped in the middle");
            return;
        }
    }
    panic!("never open");
}

#[tokio::test]
async fn open_by_an_address() {
    let server = TcpServer::start().await;
    let polls = after_each_poll(async |polls| {
        let opening = Connection::open(&server.url, ConnectionOptions::default());
        let opened = poll_times(polls, opening).await;
        let is_over = opened.is_some();
        drop(opened.map(Result::unwrap));
        server.all_ended().await;
        is_over
    });
    assert!(polls.await > 2, "nothing was dropped in the middle");
}

/// A server with a socket, that serves every connection.
pub(super) struct TcpServer {
    pub(super) url: String,
    connections: Arc<AtomicUsize>,
}

impl TcpServer {
    pub(super) async fn start() -> Self {
        let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default());
        let listener = listener.await.unwrap();
        let url = format!("amqp://{}", listener.local_addr().unwrap());
        let connections = Arc::<AtomicUsize>::default();
        let counted = connections.clone();
        tokio::spawn(async move {
            loop {
                // Peers that are gone before they are connected are none.
                let Ok(incoming) = listener.accept().await else {
                    continue;
                };
                if let Ok(server) = incoming.accept().await {
                    let counted = counted.clone();
                    counted.fetch_add(1, Ordering::Relaxed);
                    serve(&server);
                    tokio::spawn(async move {
                        server.closed().await;
                        counted.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }
        });
        Self { url, connections }
    }

    /// Waits until no connection is left.
    pub(super) async fn all_ended(&self) {
        let all_ended = async {
            while self.connections.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, all_ended)
            .await
            .expect("the server's end too");
    }
}

#[tokio::test]
async fn binding() {
    let bind = |address: SocketAddr| Listener::bind(address, ListenerOptions::default());
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    after_each_poll(async |polls| {
        let bound = poll_times(polls, bind(address)).await;
        let is_over = bound.is_some();
        drop(bound.map(Result::unwrap));
        drop(bind(address).await.expect("nobody else listens"));
        is_over
    })
    .await;
}

#[tokio::test]
async fn acceptance_of_a_stream() {
    for polls in 0..MANY {
        let (near, far) = memory::pipe(1000);
        let client = tokio::spawn(Connection::open_with_stream(
            near,
            ConnectionOptions::default(),
        ));
        let options = ListenerOptions::default();
        let accepted = poll_times(polls, Listener::accept_stream(far, &options)).await;
        let Some(incoming) = accepted else {
            let opened = timeout(LONG, client).await.expect("the client's end too");
            assert!(opened.unwrap().is_err());
            continue;
        };
        let connection = incoming.unwrap().accept().await.unwrap();
        drop(client.await.unwrap().unwrap());
        connection.closed().await;
        return;
    }
    panic!("never accepted");
}

#[tokio::test]
async fn listener_accept() {
    let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default())
        .await
        .unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    for polls in 0..MANY {
        let opening = tokio::spawn({
            let url = url.clone();
            async move { Connection::open(&url, ConnectionOptions::default()).await }
        });
        let accepted = match poll_times(polls, listener.accept()).await {
            Some(accepted) => accepted,
            None => timeout(LONG, listener.accept())
                .await
                .expect("the next call goes on"),
        };
        let server = accepted.unwrap().accept().await.unwrap();
        drop(opening.await.unwrap().unwrap());
        server.closed().await;
        if polls > 12 {
            return;
        }
    }
}

#[tokio::test]
async fn listener_accept_socket() {
    let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    assert!(poll_times(1, listener.accept_socket()).await.is_none());
    let client = TcpStream::connect(address).await.unwrap();
    let (_stream, peer) = timeout(LONG, listener.accept_socket())
        .await
        .expect("what the first call did not take")
        .unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[tokio::test]
async fn a_refusal_is_sent_in_any_case() {
    for polls in 0..4 {
        let (near, far) = memory::pipe(1000);
        let opening = tokio::spawn(Connection::open_with_stream(
            near,
            ConnectionOptions::default(),
        ));
        let options = ListenerOptions::default();
        let incoming = Listener::accept_stream(far, &options).await.unwrap();
        let denied = AmqpError::new(condition::UNAUTHORIZED_ACCESS, "not you");
        drop(poll_times(polls, incoming.refuse(denied)).await);
        let opened = timeout(LONG, opening).await.expect("an answer").unwrap();
        // Never polled, it is an incoming connection that was dropped: closed, without the reason.
        if polls > 0 {
            let error = opened.expect_err("a refusal");
            assert_eq!(
                error.remote_error().expect("the reason").condition,
                condition::UNAUTHORIZED_ACCESS
            );
        }
    }
}
