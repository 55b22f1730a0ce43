//! Starting, stopping, closing; TCP.

use amqp10::codec::frame::ProtocolHeader;
use amqp10::codec::sasl::{SaslFrame, SaslInit};
use amqp10::codec::{Fields, Open, Performative, condition};
use amqp10::emulator::EmulatorError;
use amqp10::{ConnectionError, ReceiverOptions};
#[cfg(feature = "tls")]
use amqp10::{TlsConfig, TlsServerConfig};

use super::*;
use crate::support::peer::{self, Peer};

#[tokio::test]
async fn it_is_reached_over_tcp_by_what_its_connection_string_says() {
    let emulator = emulator().await;
    let port = emulator.local_addr().unwrap().port();
    let expected = format!(
        "Endpoint=sb://localhost:{port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY};UseDevelopmentEmulator=true;"
    );
    assert_eq!(emulator.connection_string(), expected);
    assert_eq!(
        emulator.connection_string_for("orders"),
        format!("{expected}EntityPath=orders;")
    );

    let connection = Connection::open(
        &format!("amqp://localhost:{port}"),
        ConnectionOptions::default(),
    )
    .await
    .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    authorize(&session, "sb://localhost/orders").await;
    publish(&session, &["over tcp"]).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 1).await, ["over tcp"]);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn with_a_certificate_tcp_is_tls_and_its_connection_string_says_so() {
    let certificate = include_bytes!("../../data/server.pem");
    let server =
        TlsServerConfig::from_pem(certificate, include_bytes!("../../data/server-key.pem"));
    let emulator = Emulator::start(options().tls(server.unwrap()))
        .await
        .unwrap();
    assert!(
        !emulator
            .connection_string()
            .contains("UseDevelopmentEmulator")
    );

    let roots = TlsConfig::with_root_certificates(include_bytes!("../../data/ca.pem")).unwrap();
    let url = format!(
        "amqps://localhost:{}",
        emulator.local_addr().unwrap().port()
    );
    let connection = Connection::open(&url, ConnectionOptions::default().tls(roots))
        .await
        .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    authorize(&session, "sb://localhost/orders").await;
    publish(&session, &["over tls"]).await;
    // Within the process there is nobody to hide from.
    let (_connection, session) = root(&emulator).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 1).await, ["over tls"]);
}

#[tokio::test]
async fn its_open_is_like_the_services() {
    let emulator = emulator().await;
    let options = ConnectionOptions::default().hostname("any.servicebus.windows.net");
    let connection = Connection::open_with_stream(emulator.connect(), options)
        .await
        .unwrap();
    let open = connection.remote_open();
    assert!(open.container_id.as_str().ends_with("_G1"));
    assert_eq!(
        (open.max_frame_size, open.idle_time_out),
        (65_536, Some(240_000))
    );
    assert_eq!(open.channel_max, 4999);
}

#[tokio::test]
async fn it_takes_the_long_opens_of_official_clients() {
    let emulator = emulator().await;
    let mut client = Peer::new(emulator.connect());
    client.send_bytes(&ProtocolHeader::SASL.to_bytes()).await;
    client.expect_header(ProtocolHeader::SASL).await;
    assert!(matches!(
        client.expect_sasl().await,
        SaslFrame::Mechanisms(_)
    ));
    let init = SaslInit {
        mechanism: Symbol::from_static("ANONYMOUS"),
        initial_response: None,
        hostname: None,
    };
    client.send_sasl(&SaslFrame::Init(init)).await;
    assert!(matches!(client.expect_sasl().await, SaslFrame::Outcome(_)));
    client.exchange_headers().await;
    let open = Open {
        properties: Fields::new().with(Symbol::from_static("user-agent"), "x".repeat(2000)),
        ..peer::open()
    };
    client.send_on(0, open).await;
    let (_, performative, _) = client.expect().await;
    assert!(matches!(performative, Performative::Open(_)));
    // A close would follow at once.
    client.send(peer::begin()).await;
    let (_, performative, _) = client.expect().await;
    assert!(
        matches!(performative, Performative::Begin(_)),
        "{performative:?}"
    );
}

#[tokio::test]
async fn closed_connections_are_told_why_and_events_survive_them() {
    let emulator = emulator().await;
    let (connection, session) = root(&emulator).await;
    publish(&session, &["kept"]).await;
    emulator.close_connections();
    let error = soon(connection.closed()).await;
    assert_eq!(
        error.remote_error().unwrap().condition,
        condition::CONNECTION_FORCED
    );

    let (_connection, session) = root(&emulator).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 1).await, ["kept"]);
}

#[tokio::test]
async fn a_shutdown_closes_connections_and_frees_the_port() {
    let emulator = emulator().await;
    let address = emulator.local_addr().unwrap();
    let (connection, _session) = root(&emulator).await;
    soon(emulator.shutdown()).await;
    assert!(matches!(
        soon(connection.closed()).await,
        ConnectionError::RemoteClosed(Some(_))
    ));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let emulator = emulator().await;
    let (connection, _session) = root(&emulator).await;
    drop(emulator);
    soon(connection.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn in_process_it_needs_no_port_and_no_time() {
    let emulator = Emulator::in_process(options()).await.unwrap();
    assert_eq!(emulator.local_addr(), None);
    assert!(
        emulator
            .connection_string()
            .starts_with("Endpoint=sb://localhost;")
    );
    let (connection, session) = root(&emulator).await;
    publish(&session, &["hello"]).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 1).await, ["hello"]);
    // Days pass in no time: heartbeats keep the connection.
    tokio::time::sleep(Duration::from_secs(3 * 24 * 3600)).await;
    publish(&session, &["later"]).await;
    assert_eq!(texts(&receiver, 1).await, ["later"]);
    emulator.shutdown().await;
    soon(connection.closed()).await;
}

#[tokio::test]
async fn wrong_options_and_taken_ports_are_errors() {
    let error = Emulator::start(EmulatorOptions::default().hub("a/b", 1))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, EmulatorError::Options(text) if text.contains("a/b")),
        "{error}"
    );
    let first = emulator().await;
    let error = Emulator::start(options().address(first.local_addr().unwrap()))
        .await
        .unwrap_err();
    assert!(matches!(error, EmulatorError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn idle_links_and_connections_are_closed_if_the_options_say_so() {
    let idle = Duration::from_millis(100);
    let emulator = Emulator::start(options().idle_link(idle).idle_connection(idle))
        .await
        .unwrap();
    let (connection, session) = root(&emulator).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    let error = soon(receiver.detached()).await;
    let error = error.remote_error().unwrap();
    assert_eq!(error.condition, condition::DETACH_FORCED);
    assert!(description(error).starts_with("Idle link tracker, link"));
    let error = soon(connection.closed()).await;
    assert_eq!(
        error.remote_error().unwrap().condition,
        condition::CONNECTION_FORCED
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    let emulator = Emulator::start(options().max_connections(1)).await.unwrap();
    let url = format!("amqp://localhost:{}", emulator.local_addr().unwrap().port());
    let first = Connection::open(&url, ConnectionOptions::default())
        .await
        .unwrap();
    let error = soon(Connection::open(&url, ConnectionOptions::default()))
        .await
        .map(drop);
    let refused = match error {
        Err(error) => error.remote_error().cloned(),
        // The open may arrive before the close.
        Ok(()) => None,
    };
    assert!(refused.is_none_or(|error| error.condition == condition::RESOURCE_LIMIT_EXCEEDED));
    assert!(!first.is_closed());
}

#[tokio::test]
async fn hubs_come_and_go_while_it_runs() {
    use amqp10::emulator::HubOptions;

    let emulator = emulator().await;
    let hub = HubOptions::new("Audit", 1).consumer_group("g");
    emulator.create_hub(hub.clone()).await.unwrap();
    assert_eq!(emulator.hubs()[0], hub);
    let error = emulator
        .create_hub(HubOptions::new("AUDIT", 1))
        .await
        .unwrap_err();
    assert!(matches!(error, EmulatorError::HubExists(name) if name == "AUDIT"));

    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("audit/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    assert!(sender.send(Message::data("x")).await.unwrap().is_accepted());
    let receiver = session
        .attach_receiver(
            "audit/ConsumerGroups/g/Partitions/0",
            ReceiverOptions::default(),
        )
        .await
        .unwrap();
    let other = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();

    emulator.delete_hub("audit").await.unwrap();
    let words = "The messaging entity 'Audit' could not be found";
    for ended in [
        soon(sender.detached()).await,
        soon(receiver.detached()).await,
    ] {
        let error = ended.remote_error().unwrap();
        assert_eq!(error.condition, condition::NOT_FOUND);
        assert!(description(error).contains(words), "{error:?}");
    }
    assert!(!other.is_detached());
    let error = emulator.delete_hub("audit").await.unwrap_err();
    assert!(matches!(error, EmulatorError::HubMissing(_)), "{error}");

    emulator
        .create_hub(HubOptions::new("audit", 2))
        .await
        .unwrap();
    assert!(emulator.stored("audit", "0").is_empty());
}

#[tokio::test]
async fn who_publishes_too_much_is_told_that_the_service_is_busy() {
    use amqp10::Outcome;
    use amqp10::emulator::Throughput;

    let throughput = Throughput::default().events(5);
    let emulator = Emulator::start(options().throughput(throughput))
        .await
        .unwrap();
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders", SenderOptions::default())
        .await
        .unwrap();
    let mut busy = 0;
    for _ in 0..50 {
        if let Outcome::Rejected(rejected) = sender.send(Message::data("x")).await.unwrap() {
            let condition = rejected.error.unwrap().condition;
            assert_eq!(condition.as_str(), "com.microsoft:server-busy");
            busy += 1;
        }
    }
    assert!((30..=45).contains(&busy), "{busy} of 50");
}

#[tokio::test]
async fn receivers_of_a_group_can_be_limited_over_all_partitions() {
    let emulator = Emulator::start(options().max_receivers_per_group(1))
        .await
        .unwrap();
    let (_connection, session) = root(&emulator).await;
    let attach = |address: String| session.attach_receiver(address, ReceiverOptions::default());
    let _first = attach(reader_address(0)).await.unwrap();
    let error = match attach(reader_address(1)).await {
        Err(error) => error,
        Ok(receiver) => soon(receiver.detached()).await,
    };
    let error = error.remote_error().unwrap();
    assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
    let analytics = "orders/ConsumerGroups/analytics/Partitions/1";
    let receiver = attach(analytics.to_owned()).await.unwrap();
    assert!(!receiver.is_detached());
}

#[tokio::test]
async fn a_connection_that_never_had_a_link_is_closed_sooner() {
    let emulator = Emulator::start(
        options()
            .idle_new_connection(Duration::from_millis(50))
            .idle_connection(Duration::from_secs(60)),
    )
    .await
    .unwrap();
    let (idle, _session) = root(&emulator).await;
    let (used, session) = root(&emulator).await;
    publish(&session, &["x"]).await;
    let error = soon(idle.closed()).await;
    let error = error.remote_error().unwrap();
    assert_eq!(error.condition, condition::CONNECTION_FORCED);
    assert!(description(error).contains("50 milliseconds"), "{error:?}");
    assert!(!used.is_closed());
}

#[tokio::test]
async fn it_tells_its_health_over_http() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let any = ([127, 0, 0, 1], 0).into();
    let emulator = Emulator::start(options().health_address(any))
        .await
        .unwrap();
    let address = emulator.health_addr().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let body = r#"{"status":"healthy","message":"Service is healthy."}"#;
    assert!(response.ends_with(body), "{response}");
}

#[cfg(feature = "emulator-tls")]
#[tokio::test]
async fn it_makes_a_certificate_for_itself_and_says_what_to_trust() {
    let emulator = Emulator::start(options().tls_generated()).await.unwrap();
    let port = emulator.local_addr().unwrap().port();
    let roots = TlsConfig::with_root_certificates(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let options = ConnectionOptions::default().tls(roots.clone());
        let url = format!("amqps://{host}:{port}");
        let connection = soon(Connection::open(&url, options)).await.unwrap();
        connection.close().await.unwrap();
    }
    let untrusting = ConnectionOptions::default();
    let url = format!("amqps://localhost:{port}");
    assert!(soon(Connection::open(&url, untrusting)).await.is_err());
    assert!(
        !emulator
            .connection_string()
            .contains("UseDevelopmentEmulator")
    );
}
