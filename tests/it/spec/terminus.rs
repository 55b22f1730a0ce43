//! Sources and targets [3.5], and where a peer sends us instead.

use amqp10::codec::{Close, Fields, Map, condition};
use amqp10::filter::{self, Filter};
use amqp10::{
    ANONYMOUS_RELAY, AcceptLinkOptions, AmqpError, Attach, ConnectError, Connection,
    ConnectionError, LifetimePolicy, LinkError, Message, Open, Outcome, Properties,
    ReceiverOptions, SenderOptions, SessionOptions, Source, Str, Symbol, Target, TargetArchetype,
    Value,
};
use tokio::net::TcpListener;

use crate::support::Pair;
use crate::support::peer::{self, Peer};
use crate::support::scene;

const POLICY: LifetimePolicy = LifetimePolicy::DeleteOnClose;

#[tokio::test(start_paused = true)]
async fn a_002_a_005_a_request_for_a_node_has_properties_and_no_address() {
    let (mut peer, session) = scene::session().await;
    let source = Source {
        address: Some("mine".into()),
        ..Source::dynamic(POLICY)
    };
    let options = ReceiverOptions::default().source(source);
    let (receiver, ()) = tokio::join!(session.attach_receiver("node", options), async {
        let asked = peer.expect_attach().await;
        let source = asked.source.clone().unwrap();
        assert_eq!((source.address, source.dynamic), (None, true));
        let policy = source.dynamic_node_properties.get("lifetime-policy");
        assert_eq!(LifetimePolicy::from_value(policy.unwrap()), Some(POLICY));
        let made = Source {
            address: Some("made".into()),
            ..Source::dynamic(POLICY)
        };
        peer.send(Attach {
            source: Some(made),
            ..peer::answer_to(&asked)
        })
        .await;
        peer.expect_flow().await;
    });
    assert_eq!(receiver.unwrap().address(), Some("made"));
}

#[tokio::test(start_paused = true)]
async fn a_005_a_node_that_is_there_is_given_no_properties() {
    let (mut peer, session) = scene::session().await;
    let target = Target {
        dynamic: false,
        ..Target::dynamic(POLICY)
    };
    let options = SenderOptions::default().target(target);
    let (sender, asked) =
        tokio::join!(session.attach_sender("node", options), peer.answer_attach());
    sender.unwrap();
    let Some(TargetArchetype::Target(target)) = asked.target else {
        panic!("no target")
    };
    assert_eq!(target, Target::new("node"));
}

#[tokio::test(start_paused = true)]
async fn a_003_an_answer_without_the_nodes_address_is_no_node() {
    let (mut peer, session) = scene::session().await;
    let receiver = ReceiverOptions::default().source(Source::dynamic(POLICY));
    let (receiver, _) = tokio::join!(session.attach_receiver("", receiver), peer.answer_attach());
    let error = receiver.unwrap_err();
    assert!(matches!(error, LinkError::NoDynamicNode), "{error}");
    peer.expect_flow().await;
    assert!(peer.expect_detach().await.closed);
}

#[tokio::test(start_paused = true)]
async fn a_002_an_address_for_a_node_to_be_made_is_refused() {
    let both = |attach: Attach| Attach {
        source: Some(Source {
            address: Some("mine".into()),
            ..Source::dynamic(POLICY)
        }),
        target: Some(
            Target {
                address: Some("mine".into()),
                ..Target::dynamic(POLICY)
            }
            .into(),
        ),
        ..attach
    };
    for attach in [peer::attach_receiver("x"), peer::attach_sender("x")] {
        let (mut peer, connection) = scene::incoming_session().await;
        peer.send(both(attach)).await;
        let link = connection.accept_link().await.unwrap();
        let accepted = link.accept(AcceptLinkOptions::default()).await;
        let error = accepted.unwrap_err();
        assert!(matches!(error, LinkError::Violation(_)), "{error}");
        peer.expect_attach().await;
        peer.expect_detach_with(condition::INVALID_FIELD).await;
    }
}

/// Both sides ours: the listener makes a node and says what it is.
#[tokio::test(start_paused = true)]
async fn a_003_a_004_a_025_z_050_the_listener_makes_a_node() {
    let queue = || Symbol::from_static("queue");
    let pair = Pair::new().await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let wanted = Target {
        capabilities: vec![queue()],
        ..Target::dynamic(POLICY)
    };
    let options = SenderOptions::default().name("x").target(wanted);
    let (sender, accepted) = tokio::join!(session.attach_sender("", options), async {
        let link = pair.server.accept_link().await.unwrap();
        let Some(TargetArchetype::Target(wanted)) = link.attach().target.clone() else {
            panic!("no target")
        };
        assert_eq!(wanted.capabilities, [queue()]);
        let container = link.connection().remote_open().container_id.clone();
        let made = Target {
            address: Some(format!("{container}/{}", link.attach().name).into()),
            capabilities: vec![queue(), Symbol::from_static("shared")],
            ..wanted
        };
        link.accept(AcceptLinkOptions::default().target(made)).await
    });
    let (sender, _accepted) = (sender.unwrap(), accepted.unwrap());
    let address = sender.address().unwrap();
    assert!(address.ends_with("/x"), "{address}");
    let Some(TargetArchetype::Target(target)) = sender.remote_attach().target.clone() else {
        panic!("no target")
    };
    assert!(target.dynamic);
    assert_eq!(
        target.capabilities,
        [queue(), Symbol::from_static("shared")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_020_z_076_a_filter_that_the_peer_ignores_can_end_the_link() {
    let both = [Filter::selector("a = 1"), Filter::no_local()];
    let of_source = Source {
        filter: Filter::selector("a = 1").into(),
        ..Source::default()
    };
    let beside_source = ReceiverOptions::default()
        .source(of_source)
        .filter(Filter::no_local());
    let asking = [ReceiverOptions::default().filters(both), beside_source];
    for (options, is_required) in asking
        .into_iter()
        .flat_map(|o| [(o.clone(), true), (o, false)])
    {
        let (mut peer, session) = scene::session().await;
        let options = options.require_filters(is_required);
        let (receiver, ()) = tokio::join!(session.attach_receiver("node", options), async {
            let asked = peer.expect_attach().await;
            let mut answer = peer::answer_to(&asked);
            let source = answer.source.as_mut().unwrap();
            source.filter = Filter::selector("a = 1").into();
            source.capabilities = vec![filter::capability::SELECTOR];
            peer.send(answer).await;
            peer.expect_flow().await;
        });
        match receiver {
            Ok(_) => assert!(!is_required),
            Err(LinkError::FilterIgnored(name)) => {
                assert!(is_required && name.contains("no-local"), "{name}");
                assert!(peer.expect_detach().await.closed);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Our side as the owner of the node: what it does not know is not in its answer.
#[tokio::test(start_paused = true)]
async fn a_020_a_021_a_022_a_025_an_answer_says_what_is_in_force() {
    let accepted = || Symbol::from_static("amqp:accepted:list");
    let (mut peer, connection) = scene::incoming_session().await;
    let wanted = Source {
        filter: [Filter::selector("a = 1"), Filter::no_local()]
            .into_iter()
            .collect(),
        default_outcome: Some(Outcome::Released),
        outcomes: vec![accepted(), Symbol::from_static("amqp:released:list")],
        ..Source::new("node")
    };
    peer.send(Attach {
        source: Some(wanted.clone()),
        ..peer::attach_receiver("x")
    })
    .await;
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().source.as_ref(), Some(&wanted));
    let in_force = Source {
        filter: Filter::selector("a = 1").into(),
        default_outcome: Some(Outcome::Accepted),
        outcomes: vec![accepted()],
        capabilities: vec![filter::capability::SELECTOR],
        ..Source::new("node")
    };
    let options = AcceptLinkOptions::default().source(in_force.clone());
    let _sender = link.accept(options).await.unwrap();
    assert_eq!(peer.expect_attach().await.source, Some(in_force));
}

#[tokio::test(start_paused = true)]
async fn a_024_the_side_without_a_node_has_a_minimal_terminus() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(Attach {
        source: Some(Source::default()),
        ..peer::attach_sender("x")
    })
    .await;
    let link = connection.accept_link().await.unwrap();
    let _receiver = link.accept(AcceptLinkOptions::default()).await.unwrap();
    assert_eq!(peer.expect_attach().await.source, Some(Source::default()));

    let (mut peer, session) = scene::session().await;
    let options = SenderOptions::default();
    let (sender, asked) =
        tokio::join!(session.attach_sender("node", options), peer.answer_attach());
    sender.unwrap();
    assert_eq!(asked.source, Some(Source::default()));
}

#[tokio::test(start_paused = true)]
async fn z_010_z_011_an_anonymous_sender_has_a_target_without_an_address() {
    let open = Open {
        offered_capabilities: vec![ANONYMOUS_RELAY],
        ..peer::open()
    };
    let (peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let options = SessionOptions::default();
    let (mut peer, session) = scene::begin(peer, connection, options, peer::begin()).await;
    let attaching = session.attach_anonymous_sender(SenderOptions::default());
    let (sender, asked) = tokio::join!(attaching, peer.answer_attach());
    assert_eq!(asked.target, Some(Target::default().into()));
    peer.grant(0, 1).await;
    let properties = Properties {
        to: Some("somewhere".into()),
        ..Properties::default()
    };
    let message = Message::from("x").with_properties(properties);
    let _receipt = sender.unwrap().send_with_receipt(message).await.unwrap();
    let (_, payload) = peer.expect_transfer().await;
    let sent = Message::decode(payload).unwrap();
    assert_eq!(sent.properties.unwrap().to.as_deref(), Some("somewhere"));
}

#[tokio::test(start_paused = true)]
async fn z_010_z_015_without_the_capability_nothing_is_sent() {
    let (mut peer, session) = scene::session().await;
    let attached = session
        .attach_anonymous_sender(SenderOptions::default())
        .await;
    let error = attached.unwrap_err();
    assert!(matches!(&error, LinkError::MissingCapability(name) if *name == ANONYMOUS_RELAY));
    peer.expect_nothing().await;
}

/// What a redirecting peer tells.
fn redirect(condition: Symbol, host: &str, port: u16) -> AmqpError {
    AmqpError {
        info: Fields::default()
            .with(Symbol::from_static("hostname"), "other.example")
            .with(Symbol::from_static("network-host"), host)
            .with(Symbol::from_static("port"), port)
            .with(Symbol::from_static("address"), "node-2"),
        ..AmqpError::new(condition, "moved")
    }
}

#[tokio::test(start_paused = true)]
async fn l_044_a_link_that_is_sent_elsewhere_says_where() {
    let (mut peer, session) = scene::session().await;
    let options = SenderOptions::default();
    let (sender, ()) = tokio::join!(session.attach_sender("node", options), async {
        let asked = peer.expect_attach().await;
        peer.send(Attach {
            target: None,
            ..peer::answer_to(&asked)
        })
        .await;
        let error = redirect(condition::LINK_REDIRECT, "10.0.0.2", 5673);
        peer.send(peer::detach_with(error)).await;
    });
    let redirect = sender.unwrap_err().redirect().unwrap();
    assert_eq!(redirect.host(), Some("10.0.0.2"));
    assert_eq!(redirect.port, Some(5673));
    assert_eq!(redirect.address.as_deref(), Some("node-2"));
}

#[tokio::test(start_paused = true)]
async fn e_015_conditions_of_the_connection_are_told_apart() {
    for (given, is_retryable) in [
        (condition::CONNECTION_FORCED, true),
        (condition::FRAMING_ERROR, false),
        (condition::CONNECTION_REDIRECT, false),
    ] {
        let (mut peer, connection) =
            Peer::opened_client(peer::client_options(), peer::open()).await;
        peer.send(Close {
            error: Some(redirect(given.clone(), "10.0.0.2", 5673)),
        })
        .await;
        let ended = connection.closed().await;
        let ConnectionError::RemoteClosed(Some(error)) = &ended else {
            panic!("{ended}")
        };
        assert_eq!(error.condition, given);
        assert_eq!(ended.is_retryable(), is_retryable, "{given}");
        let is_redirect = given == condition::CONNECTION_REDIRECT;
        assert_eq!(ended.redirect().is_some(), is_redirect, "{given}");
    }
}

/// A server that opens, and closes at once with this error if there is one.
async fn serve_open(listener: TcpListener, error: Option<AmqpError>) -> Open {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (near, far) = amqp10::memory::pipe(64 << 10);
    let mut peer = Peer::new(near);
    let mut far = far;
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut far).await });
    peer.exchange_headers().await;
    let opened = peer.expect_open().await;
    let mut open = peer::open();
    if error.is_some() {
        let name = Symbol::from_static("amqp:connection-establishment-failed");
        open.properties = Fields::default().with(name, true);
    }
    peer.send_on(0, open).await;
    if error.is_some() {
        peer.send_on(0, Close { error }).await;
    }
    peer.expect_close().await;
    opened
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn c_041_redirects_are_followed_only_if_asked_for() {
    for hops in [0, 1] {
        let ((first, first_port), (second, second_port)) = (listen().await, listen().await);
        let error = redirect(condition::CONNECTION_REDIRECT, "127.0.0.1", second_port);
        let first = tokio::spawn(serve_open(first, Some(error)));
        let second = tokio::spawn(serve_open(second, None));
        let url = format!("amqp://127.0.0.1:{first_port}");
        let options = peer::client_options().follow_redirects(hops);
        let opened = Connection::open(&url, options).await;
        assert_eq!(first.await.unwrap().hostname.as_deref(), Some("127.0.0.1"));
        match opened {
            Ok(connection) => {
                assert_eq!(hops, 1);
                let closed = tokio::join!(connection.close(), second);
                let hostname: Option<Str> = closed.1.unwrap().hostname;
                assert_eq!(hostname.as_deref(), Some("other.example"));
            }
            Err(error) => {
                assert_eq!(hops, 0, "{error}");
                assert!(matches!(error, ConnectError::Refused(_)), "{error}");
                assert_eq!(error.redirect().unwrap().port, Some(second_port));
                second.abort();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn z_059_an_open_names_servers_to_fail_over_to() {
    let server = Map::default().with(Symbol::from_static("network-host"), "10.0.0.3");
    let list = Value::List(vec![Value::Map(server)]);
    let name = Symbol::from_static("failover-server-list");
    let open = Open {
        properties: Fields::default().with(name, list),
        ..peer::open()
    };
    let (_peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let servers = amqp10::error::Redirect::failover_servers(&connection.remote_open().properties);
    assert_eq!(servers[0].host(), Some("10.0.0.3"));
}
