//! HTTP proxies, scripted: those that give a tunnel, and those that do not.

use std::time::Duration;

use amqp10::error::{ProxyError, Stage};
use amqp10::{ConnectError, Connection, ConnectionOptions, ListenerOptions, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{serve, soon, try_over};

/// Reads a request to its end.
async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// A proxy that gives a tunnel to the port of this host that it is asked for, whatever the name. Yields the first request.
async fn tunnel() -> (Proxy, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://alice:s%20e:t@{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let request = request(&mut near).await;
        let target = request.split(' ').nth(1).unwrap();
        let port: u16 = target.rsplit_once(':').unwrap().1.parse().unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let answer = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
        near.write_all(answer).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        request
    });
    (Proxy::http(&url).unwrap(), serving)
}

#[tokio::test]
async fn z_009_amqp_goes_through_a_tunnel_with_a_login() {
    let listener = serve(ListenerOptions::default()).await;
    let port = listener.local_addr().unwrap().port();
    let (proxy, serving) = tunnel().await;
    let options = ConnectionOptions::default().proxy(proxy);
    let url = format!("amqp://broker.example.com:{port}");
    try_over(&listener, &url, options).await;
    let target = format!("broker.example.com:{port}");
    assert_eq!(soon(serving).await.unwrap(), request_for(&target));
}

/// What the proxy must have been asked, whatever goes through the tunnel then: the host, and the login with it.
fn request_for(target: &str) -> String {
    format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic YWxpY2U6cyBlOnQ=\r\n\r\n"
    )
}

/// The certificate is for `localhost`, not for the proxy's address.
#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_with_the_host_behind_the_tunnel() {
    let options = ListenerOptions::default().tls(super::server_tls());
    let options = options.websocket(amqp10::websocket::WebSocketServerOptions::default());
    let listener = serve(options).await;
    let port = listener.local_addr().unwrap().port();
    let mut schemes = vec!["amqps"];
    if cfg!(feature = "websocket") {
        schemes.push("wss");
    }
    for scheme in schemes {
        let (proxy, serving) = tunnel().await;
        let options = ConnectionOptions::default()
            .proxy(proxy)
            .tls(super::client_tls());
        let target = format!("localhost:{port}");
        try_over(&listener, &format!("{scheme}://{target}"), options).await;
        assert_eq!(
            soon(serving).await.unwrap(),
            request_for(&target),
            "{scheme}"
        );
    }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn z_009_websocket_in_the_clear_goes_through_a_tunnel_with_a_login() {
    let options = ListenerOptions::default();
    let options = options.websocket(amqp10::websocket::WebSocketServerOptions::default());
    let listener = serve(options).await;
    let port = listener.local_addr().unwrap().port();
    let (proxy, serving) = tunnel().await;
    let options = ConnectionOptions::default().proxy(proxy);
    let target = format!("broker.example.com:{port}");
    try_over(&listener, &format!("ws://{target}"), options).await;
    assert_eq!(soon(serving).await.unwrap(), request_for(&target));
}

/// The namespace's name is resolved by the proxy alone.
#[cfg(feature = "emulator")]
#[tokio::test]
async fn events_go_through_a_tunnel_with_a_login() {
    use amqp10::emulator::{Emulator, EmulatorOptions};
    use amqp10::eventhubs::{
        Client, ClientOptions, ConsumerOptions, Position, ProducerOptions, Route, Transport,
    };

    let mut transports = vec![Transport::Amqp];
    if cfg!(feature = "websocket") {
        transports.push(Transport::WebSocket);
    }
    for transport in transports {
        let emulator = Emulator::start(EmulatorOptions::default().hub("orders", 1)).await;
        let emulator = emulator.unwrap();
        let port = emulator.local_addr().unwrap().port();
        let target = format!("ns.example.com:{port}");
        let (proxy, serving) = tunnel().await;
        let scheme = match transport {
            Transport::WebSocket => "ws",
            _ => "amqp",
        };
        let options = ClientOptions::default()
            .hub("orders")
            .transport(transport)
            .endpoint(format!("{scheme}://{target}").parse().unwrap())
            .proxy(proxy);
        let connection_string = emulator.connection_string();
        let client = Client::connect(&connection_string, options);
        let client = soon(client).await.unwrap();
        let producer = client.producer(ProducerOptions::default());
        let sent = producer.send_to(Route::partition("0"), "an event");
        soon(sent).await.unwrap();
        let options = ConsumerOptions::default().position(Position::earliest());
        let mut consumer = soon(client.consumer("0", options)).await.unwrap();
        let event = soon(consumer.recv()).await.unwrap();
        assert_eq!(event.body(), b"an event");
        soon(client.close()).await.unwrap();
        assert_eq!(soon(serving).await.unwrap(), request_for(&target));
    }
}

#[tokio::test]
async fn exceptions_are_reached_without_the_proxy() {
    let listener = serve(ListenerOptions::default()).await;
    let proxy = Proxy::http("http://no-such-host.invalid").unwrap();
    let options = ConnectionOptions::default().proxy(proxy.except("127.0.0.1"));
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    try_over(&listener, &url, options).await;
}

/// What a client says of a proxy that answers this, and says no more.
async fn verdict_on(answer: &[u8]) -> ConnectError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://alice:secret@{}", listener.local_addr().unwrap());
    let answer = answer.to_vec();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        // The client may hang up before all is written.
        let _ = stream.write_all(&answer).await;
        let _ = stream.read(&mut [0]).await;
    });
    let options = ConnectionOptions::default()
        .proxy(Proxy::http(&url).unwrap())
        .connect_timeout(Duration::from_secs(1));
    let opened = Connection::open("amqp://host", options);
    let error = soon(opened).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    error
}

fn proxy_error(error: ConnectError) -> ProxyError {
    match error {
        ConnectError::Proxy { target, error, .. } => {
            assert_eq!(target, "host:5672");
            error
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_login_that_is_missing_or_wrong_is_typed() {
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\
        Proxy-Authenticate: Negotiate\r\nproxy-authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nno!";
    let error = verdict_on(answer.as_bytes()).await;
    assert!(!error.is_retryable());
    let shown = error.to_string();
    assert!(
        shown.contains("407 Proxy Authentication Required"),
        "{shown}"
    );
    let ProxyError::Authentication { offers, .. } = proxy_error(error) else {
        panic!("{shown}")
    };
    assert_eq!(offers, ["Negotiate", "Basic"]);
}

#[tokio::test]
async fn refusals_carry_the_status_line() {
    let forbidden = verdict_on(b"HTTP/1.0 403 Filtered\x07 here\r\n\r\n").await;
    assert!(!forbidden.is_retryable());
    assert_eq!(
        proxy_error(forbidden),
        ProxyError::Refused {
            status: 403,
            status_line: "HTTP/1.0 403 Filtered here".to_owned()
        }
    );
    assert!(
        verdict_on(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            .await
            .is_retryable()
    );
}

#[tokio::test]
async fn garbage_is_refused_at_once() {
    let long = [&b"HTTP/1.1 200 OK\r\na: "[..], &[b'x'; 20_000]].concat();
    for garbage in [
        &b"AMQP\x03\x01\0\0"[..],
        b"\x15\x03\x01\0\x02",
        b"HTTP/1.1 yes\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\xff\xfe\r\n\r\n",
        &long,
    ] {
        let error = proxy_error(verdict_on(garbage).await);
        assert!(matches!(error, ProxyError::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_silent_proxy_costs_no_more_than_the_deadline() {
    for silence in [&b""[..], b"HTTP/1.1 200 OK\r\n"] {
        let error = verdict_on(silence).await;
        let stage = Stage::Proxy;
        assert!(
            matches!(&error, ConnectError::Timeout { stage: at, .. } if *at == stage),
            "{error}"
        );
    }
}
