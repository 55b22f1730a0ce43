//! AMQP in WebSocket messages, against our listener and against peers of the raw protocol.

use std::time::Duration;

use amqp10::error::{PeerProtocol, Stage, WebSocketError};
use amqp10::memory::{self, MemoryStream};
use amqp10::sasl::SaslMechanism;
use amqp10::websocket::{
    AMQP_SUB_PROTOCOL, AMQPWSB10_SUB_PROTOCOL, HttpResponder, HttpResponse, WebSocketOptions,
    WebSocketServerOptions,
};
use amqp10::{
    ConnectError, Connection, ConnectionError, ConnectionOptions, IncomingConnection, Listener,
    ListenerOptions, SaslServerOptions,
};
use futures_sink::Sink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{carry, link, serve, soon, try_over};
use crate::support::io::{Faults, RoughStream};

const URL: &str = "ws://host/$servicebus/websocket";
const AMQP: &[u8] = b"AMQP\0\x01\0\0";
const SASL: &[u8] = b"AMQP\x03\x01\0\0";
const CLOSE: &[u8] = b"\0\0\0\x0c\x02\0\0\0\0\x53\x18\x45";

/// Whether a message is the frame of a close.
fn is_close(message: &Message) -> bool {
    matches!(message, Message::Binary(octets) if octets.ends_with(&CLOSE[8..]))
}

fn listener_options() -> ListenerOptions {
    ListenerOptions::default().websocket(WebSocketServerOptions::default())
}

fn offering(names: &[&str]) -> ConnectionOptions {
    let options = WebSocketOptions::default().sub_protocols(names.iter().copied());
    ConnectionOptions::default().websocket(options)
}

async fn accept(far: MemoryStream) -> Result<IncomingConnection, ConnectError> {
    Listener::accept_stream(far, &listener_options()).await
}

async fn pair(
    faults: Faults,
) -> (
    Connection,
    Connection,
    std::sync::Arc<crate::support::io::Control>,
) {
    let (near, far) = memory::pipe(64 << 10);
    let (near, control) = RoughStream::new(near, faults);
    let opened = Connection::open_through(near, URL, ConnectionOptions::default());
    let (client, server) = tokio::join!(opened, async {
        accept(far).await.unwrap().accept().await.unwrap()
    });
    (client.unwrap(), server, control)
}

#[tokio::test]
async fn messages_of_any_size_are_carried() {
    let (client, server, _) = pair(Faults::default()).await;
    carry(&client, &server, 100, 10).await;
    carry(&client, &server, 5, 3 << 20).await;
    carry(&server, &client, 5, 3 << 20).await;
    client.close().await.unwrap();
    assert!(matches!(
        server.closed().await,
        ConnectionError::RemoteClosed(None)
    ));
}

#[tokio::test]
async fn z_004_streams_that_split_and_pend_carry_all_the_same() {
    for seed in 0..20 {
        let splits = Some(seed);
        let (client, server, _) = pair(Faults {
            splits,
            ..Faults::default()
        })
        .await;
        carry(&client, &server, 20, 3000).await;
        carry(&server, &client, 20, 3000).await;
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn z_001_z_008_one_port_takes_both_protocols_both_names_and_any_path() {
    let listener = serve(listener_options()).await;
    let address = listener.local_addr().unwrap();
    for path in ["", "/", "/$servicebus/websocket", "/any/path/?with=query"] {
        let url = format!("ws://{address}{path}");
        try_over(&listener, &url, offering(&[AMQP_SUB_PROTOCOL])).await;
    }
    let url = format!("ws://{address}");
    try_over(&listener, &url, offering(&[AMQPWSB10_SUB_PROTOCOL])).await;
    try_over(&listener, &url, offering(&["mqtt", "amqp"])).await;
    try_over(&listener, &url, offering(&[])).await;
    let plain = ConnectionOptions::default();
    try_over(&listener, &format!("amqp://{address}"), plain).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn websockets_go_within_tls() {
    let listener = serve(listener_options().tls(super::server_tls())).await;
    let port = listener.local_addr().unwrap().port();
    let options = ConnectionOptions::default().tls(super::client_tls());
    for scheme in ["wss", "amqps"] {
        let url = format!("{scheme}://localhost:{port}");
        try_over(&listener, &url, options.clone()).await;
    }
    let url = format!("ws://localhost:{port}");
    let opened = Connection::open(&url, options);
    let (opened, refused) = tokio::join!(opened, listener.accept());
    assert!(opened.is_err() && refused.is_err(), "TLS is required");
}

#[tokio::test]
async fn a_password_needs_tls_below_the_websocket() {
    let (near, far) = memory::pipe(4096);
    let opened =
        Connection::open_through(near, "ws://user:word@host", ConnectionOptions::default());
    // What would make the password travel.
    let sasl = SaslServerOptions::default().mechanisms([SaslMechanism::Plain]);
    let options = listener_options().sasl(sasl);
    let (opened, _) = tokio::join!(opened, Listener::accept_stream(far, &options));
    let error = opened.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Sasl(amqp10::sasl::SaslError::PlainWithoutTls)
        ),
        "{error}"
    );
}

#[tokio::test]
async fn many_messages_share_a_write() {
    let (client, server, control) = pair(Faults::default()).await;
    let (sender, receiver) = link(&client, &server).await;
    let accepting = tokio::spawn(async move {
        while let Ok(delivery) = receiver.recv().await {
            delivery.accept().unwrap();
        }
    });
    const MESSAGES: usize = 2000;
    let before = control.writes();
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..MESSAGES {
        let sender = sender.clone();
        sends.spawn(async move { sender.send(vec![7; 100]).await.unwrap() });
    }
    soon(sends.join_all()).await;
    let writes = control.writes() - before;
    println!(
        "accepted send by WebSocket: {} writes",
        writes as f64 / MESSAGES as f64
    );
    assert!(writes * 20 <= MESSAGES, "{writes} writes");
    drop((sender, client));
    accepting.await.unwrap();
}

/// A client of the raw protocol, after its handshake.
struct Raw(WebSocketStream<MemoryStream>);

impl Raw {
    async fn connect(near: MemoryStream) -> Raw {
        let request = Request::get(URL)
            .header("Host", "host")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header("Sec-WebSocket-Protocol", "x, AMQPWSB10");
        let request = request.body(()).unwrap();
        let (socket, response) = client_async(request, near).await.unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "AMQPWSB10");
        Raw(socket)
    }

    async fn send(&mut self, message: Message) {
        let mut socket = std::pin::Pin::new(&mut self.0);
        std::future::poll_fn(|cx| socket.as_mut().poll_ready(cx))
            .await
            .unwrap();
        socket.as_mut().start_send(message).unwrap();
        std::future::poll_fn(|cx| socket.as_mut().poll_flush(cx))
            .await
            .unwrap();
    }

    async fn octets(&mut self, octets: &[u8]) {
        self.send(Message::Binary(Bytes::copy_from_slice(octets)))
            .await;
    }

    async fn read(&mut self) -> Message {
        use futures_core::Stream;
        let mut socket = std::pin::Pin::new(&mut self.0);
        soon(std::future::poll_fn(|cx| socket.as_mut().poll_next(cx)))
            .await
            .unwrap()
            .unwrap()
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.read().await {
                return frame.unwrap().code.into();
            }
        }
    }
}

/// What the listener says of a client that opens a WebSocket and then does this.
async fn refusal_of(client: impl AsyncFnOnce(&mut Raw), close_code: u16) -> ConnectError {
    let (near, far) = memory::pipe(64 << 10);
    let options = WebSocketServerOptions::default().max_message_size(1000);
    let options = ListenerOptions::default().websocket(options);
    let accepted = Listener::accept_stream(far, &options);
    let (refused, ()) = tokio::join!(accepted, async {
        let mut raw = Raw::connect(near).await;
        client(&mut raw).await;
        assert_eq!(raw.close_code().await, close_code);
    });
    refused.unwrap_err()
}

fn websocket_error(error: ConnectError) -> WebSocketError {
    match error {
        ConnectError::WebSocket { error, .. } => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn z_003_text_is_refused() {
    let error = refusal_of(async |raw| raw.send(Message::text("AMQP")).await, 1003).await;
    assert_eq!(websocket_error(error), WebSocketError::Text);
}

#[tokio::test]
async fn messages_beyond_the_limit_are_refused() {
    let error = refusal_of(async |raw| raw.octets(&[0; 1001]).await, 1009).await;
    assert_eq!(
        websocket_error(error),
        WebSocketError::MessageTooLarge { limit: 1000 }
    );
}

/// A client of the raw protocol whose connection with our listener is open.
async fn opened_raw(connection: ConnectionOptions) -> (Raw, Connection) {
    let (near, far) = memory::pipe(64 << 10);
    let sasl = SaslServerOptions::default().mechanisms([]);
    let options = listener_options().connection(connection).sasl(sasl);
    let accepted = tokio::spawn(async move { Listener::accept_stream(far, &options).await });
    let mut raw = Raw::connect(near).await;
    raw.octets(AMQP).await;
    let open = b"\0\0\0\x13\x02\0\0\0\0\x53\x10\xc0\x06\x01\xa1\x03raw";
    raw.octets(open).await;
    let server = accepted.await.unwrap().unwrap().accept().await.unwrap();
    (raw, server)
}

#[tokio::test]
async fn z_003_text_on_an_open_connection_ends_it_with_a_typed_error() {
    let (mut raw, server) = opened_raw(ConnectionOptions::default()).await;
    raw.send(Message::text("x")).await;
    let ConnectionError::Lost(error) = soon(server.closed()).await else {
        panic!("text is no AMQP")
    };
    assert_eq!(WebSocketError::of(&error), Some(&WebSocketError::Text));
    assert_eq!(raw.close_code().await, 1003);
}

#[tokio::test]
async fn z_006_the_socket_closes_behind_amqp_close() {
    let (mut raw, server) = opened_raw(ConnectionOptions::default()).await;
    let closing = tokio::spawn(async move { server.close().await });
    while !is_close(&raw.read().await) {}
    raw.octets(CLOSE).await;
    soon(closing).await.unwrap().unwrap();
    assert!(matches!(raw.read().await, Message::Close(_)));
}

#[tokio::test]
async fn z_006_a_socket_closed_without_amqp_close_is_a_lost_connection() {
    let (mut raw, server) = opened_raw(ConnectionOptions::default()).await;
    raw.send(Message::Close(None)).await;
    let error = soon(server.closed()).await;
    assert!(
        matches!(error, ConnectionError::Lost(_)) && error.is_retryable(),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn z_007_pings_do_not_count_as_frames() {
    let options = ConnectionOptions::default().idle_time_out(Duration::from_secs(10));
    let (mut raw, server) = opened_raw(options).await;
    let pinging = async {
        loop {
            raw.send(Message::Ping(Bytes::new())).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let error = tokio::select! {
        error = server.closed() => error,
        () = pinging => unreachable!("pings without end"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("pings kept it open"),
    };
    assert!(
        matches!(error, ConnectionError::IdleTimeout { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn z_009_requests_carry_the_headers_asked_for() {
    let (near, mut far) = memory::pipe(64 << 10);
    let headers = WebSocketOptions::default().header("X-Gateway-Key", "secret");
    assert!(!format!("{headers:?}").contains("secret"));
    let options = ConnectionOptions::default().websocket(headers);
    let opening = tokio::spawn(Connection::open_through(near, URL, options));
    let mut request = vec![0; 4096];
    let read = soon(far.read(&mut request)).await.unwrap();
    let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
    assert!(
        request.contains("\r\nx-gateway-key: secret\r\n"),
        "{request}"
    );
    drop(far);
    opening.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn headers_that_make_no_request_are_refused() {
    for name in ["Host", "sec-websocket-key", "no name"] {
        let (near, _far) = memory::pipe(4096);
        let headers = WebSocketOptions::default().header(name, "x");
        let options = ConnectionOptions::default().websocket(headers);
        let opened = soon(Connection::open_through(near, URL, options)).await;
        let error = websocket_error(opened.unwrap_err());
        assert!(
            matches!(error, WebSocketError::Configuration { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn z_002_z_004_borders_of_messages_mean_nothing_and_pings_are_answered() {
    let (near, far) = memory::pipe(64 << 10);
    let accepted = tokio::spawn(accept(far));
    let mut raw = Raw::connect(near).await;
    for octet in &SASL[..7] {
        raw.octets(&[*octet]).await;
        raw.octets(&[]).await;
    }
    raw.send(Message::Ping(Bytes::from_static(b"there?"))).await;
    assert_eq!(
        raw.read().await,
        Message::Pong(Bytes::from_static(b"there?"))
    );
    raw.octets(&SASL[7..]).await;
    assert_eq!(raw.read().await, Message::Binary(SASL.into()));
    raw.send(Message::Close(None)).await;
    let mut message = raw.read().await;
    while matches!(message, Message::Binary(_)) {
        message = raw.read().await; // the mechanisms
    }
    assert!(matches!(message, Message::Close(_)), "{message:?}");
    let error = soon(accepted).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, ConnectError::Eof { stage: Stage::Sasl }),
        "{error}"
    );
}

/// What is answered to a request, and what the listener makes of it.
async fn answer(request: &str, options: WebSocketServerOptions) -> (String, WebSocketError) {
    let (mut near, far) = memory::pipe(64 << 10);
    let options = ListenerOptions::default().websocket(options);
    let accepted = Listener::accept_stream(far, &options);
    let (refused, answer) = tokio::join!(accepted, async {
        near.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        answer
    });
    (answer, websocket_error(refused.unwrap_err()))
}

#[tokio::test]
async fn other_requests_are_answered_by_the_responder() {
    let health = HttpResponder::new(|request| match request.path() {
        "/health" => {
            assert_eq!(request.header("HOST"), Some("here"));
            HttpResponse::new(200).body("fine")
        }
        _ => HttpResponse::new(404),
    });
    let options = WebSocketServerOptions::default().responder(health);
    let request = "GET /health?deep=1 HTTP/1.1\r\nHost: here\r\n\r\n";
    let (shown, error) = answer(request, options.clone()).await;
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n"), "{shown}");
    assert!(shown.ends_with("\r\n\r\nfine"), "{shown}");
    let (target, status) = ("/health".to_owned(), 200);
    assert_eq!(error, WebSocketError::Http { target, status });
    let (shown, _) = answer("GET /x HTTP/1.1\r\n\r\n", options).await;
    assert!(shown.starts_with("HTTP/1.1 404 "), "{shown}");
}

#[tokio::test]
async fn requests_for_nothing_that_is_there_are_answered() {
    let at_path = WebSocketServerOptions::default().path("/here");
    let (shown, _) = answer("GET /here/ HTTP/1.1\r\n\r\n", at_path.clone()).await;
    assert!(shown.starts_with("HTTP/1.1 426 "), "{shown}");
    let request = "GET /there HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let (shown, _) = answer(request, at_path).await;
    assert!(shown.starts_with("HTTP/1.1 404 "), "{shown}");
    let request =
        "GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Protocol: mqtt, stomp\r\n\r\n";
    let (shown, error) = answer(request, WebSocketServerOptions::default()).await;
    assert!(shown.starts_with("HTTP/1.1 400 "), "{shown}");
    assert!(
        matches!(&error, WebSocketError::SubProtocol { offered, .. } if offered == &["mqtt", "stomp"]),
        "{error}"
    );
}

#[tokio::test]
async fn a_listener_without_websocket_refuses_http() {
    let (mut near, far) = memory::pipe(64 << 10);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let options = ListenerOptions::default();
    let refused = Listener::accept_stream(far, &options);
    let (refused, _) = tokio::join!(refused, async {
        let _ = near.read_to_end(&mut Vec::new()).await;
        drop(near);
    });
    let error = refused.unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::ProtocolMismatch {
                theirs: PeerProtocol::Http,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_is_bounded_in_size_and_time() {
    let (mut near, far) = memory::pipe(64 << 10);
    let accepted = tokio::spawn(accept(far));
    near.write_all(b"GET / HTTP/1.1\r\na: ").await.unwrap();
    near.write_all(&[b'x'; 20_000]).await.unwrap();
    let error = websocket_error(accepted.await.unwrap().unwrap_err());
    assert!(matches!(&error, WebSocketError::Protocol { .. }), "{error}");

    for begun in [&b"G"[..], b"GET / HTTP/1.1\r\nHost: x\r\n"] {
        let (mut near, far) = memory::pipe(64 << 10);
        near.write_all(begun).await.unwrap();
        let error = accept(far).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Timeout { .. }), "{error}");
    }
}

/// What a client says of a server that answers its request with this.
async fn verdict_on(response: &str) -> ConnectError {
    let (near, mut far) = memory::pipe(64 << 10);
    let options = ConnectionOptions::default();
    let options = options.connect_timeout(Duration::from_millis(300));
    let opened = Connection::open_through(near, URL, options);
    let (opened, ()) = tokio::join!(opened, async {
        let mut request = vec![0; 4096];
        let length = far.read(&mut request).await.unwrap();
        let request = std::str::from_utf8(&request[..length]).unwrap();
        assert!(
            request.starts_with("GET /$servicebus/websocket HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\nHost: host\r\n"), "{request}");
        far.write_all(response.as_bytes()).await.unwrap();
        if !response.is_empty() {
            far.shutdown().await.unwrap();
        } else {
            let _ = far.read(&mut [0]).await;
        }
    });
    opened.unwrap_err()
}

#[tokio::test]
async fn answers_that_are_no_websocket_are_typed() {
    let refused = verdict_on("HTTP/1.1 401 Unauthorized\r\n\r\n").await;
    assert!(!refused.is_retryable());
    let error = websocket_error(refused);
    assert!(
        matches!(&error, WebSocketError::Refused { status: 401, .. }),
        "{error}"
    );
    let busy = verdict_on("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
    assert!(busy.is_retryable());
    let error = websocket_error(verdict_on("SSH-2.0-server\r\n\r\n").await);
    assert!(matches!(&error, WebSocketError::Protocol { .. }), "{error}");
    let endless = format!("HTTP/1.1 101 x\r\na: {}", "x".repeat(70_000));
    let error = websocket_error(verdict_on(&endless).await);
    assert!(matches!(&error, WebSocketError::Protocol { .. }), "{error}");
    let eof = verdict_on("HTTP/1.1 101 Switching").await;
    let stage = Stage::WebSocket;
    assert!(
        matches!(
            &eof,
            ConnectError::Eof {
                stage: Stage::WebSocket
            }
        ),
        "{eof}"
    );
    let silent = verdict_on("").await;
    assert!(
        matches!(&silent, ConnectError::Timeout { stage: at, .. } if *at == stage),
        "{silent}"
    );
}

#[tokio::test]
async fn z_001_a_server_must_choose_a_sub_protocol() {
    let (near, far) = memory::pipe(64 << 10);
    let opened = Connection::open_through(near, URL, ConnectionOptions::default());
    let accepted = tokio_tungstenite::accept_async(far);
    let (opened, _server) = tokio::join!(opened, accepted);
    let error = websocket_error(opened.unwrap_err());
    assert!(
        matches!(&error, WebSocketError::SubProtocol { offered, .. } if offered == &["amqp"]),
        "{error}"
    );
}
