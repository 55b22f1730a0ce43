//! `send`, `receive` and `bench` against a plain AMQP listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp10::codec::{
    Annotations, ApplicationProperties, Header, Message, MessageId, Properties, Role, Timestamp,
    condition,
};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Body, Connection, Credit, Listener,
    ListenerOptions, Outcome, OutgoingMessage, Receiver, Sender, Symbol,
};
use bytes::Bytes;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::{Ended, lines, run};

/// How the listener treats its clients.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Accepts every message.
    Accept,
    /// Rejects every third message.
    RejectThirds,
    /// Refuses every link.
    RefuseLinks,
    /// Gives no credit.
    Silent,
    /// Accepts ten messages, then closes the connection.
    CloseAfterTen,
    /// Sends all its messages at once, and after them what is no message.
    EndInNoise,
}

/// A listener, what it was sent, and the outcomes of what it sent.
struct Node {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Bytes>>>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

impl Node {
    async fn start(manner: Manner) -> Self {
        Self::start_with(manner, Vec::new()).await
    }

    /// Sends `messages` to whoever attaches a receiver.
    async fn start_with(manner: Manner, messages: Vec<Message>) -> Self {
        let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::default();
        let outcomes = Arc::default();
        let serving = Serving {
            manner,
            messages,
            received: Arc::clone(&received),
            outcomes: Arc::clone(&outcomes),
        };
        tokio::spawn(async move {
            while let Ok(incoming) = listener.accept().await {
                let connection = incoming.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(connection));
            }
        });
        Self {
            address,
            received,
            outcomes,
        }
    }

    fn url(&self) -> String {
        format!("amqp://{}/orders", self.address)
    }

    fn received(&self) -> Vec<Bytes> {
        self.received.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct Serving {
    manner: Manner,
    messages: Vec<Message>,
    received: Arc<Mutex<Vec<Bytes>>>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

impl Serving {
    async fn serve(self, connection: Connection) {
        while let Ok(link) = connection.accept_link().await {
            if self.manner == Manner::RefuseLinks {
                let error = AmqpError::new(condition::NOT_FOUND, "no node called orders");
                link.refuse(error);
                continue;
            }
            let credit = match self.manner {
                Manner::Silent => Credit::Manual,
                _ => Credit::Auto(100),
            };
            assert_eq!(
                link.attach().role == Role::Receiver,
                !self.messages.is_empty()
            );
            let serving = self.clone();
            let connection = connection.clone();
            match link
                .accept(AcceptLinkOptions::default().credit(credit))
                .await
                .unwrap()
            {
                AcceptedLink::Receiver(receiver) => {
                    tokio::spawn(serving.receive(receiver, connection))
                }
                AcceptedLink::Sender(sender) => tokio::spawn(serving.send(sender)),
            };
        }
    }

    async fn receive(self, receiver: Receiver, connection: Connection) {
        while let Ok(delivery) = receiver.recv().await {
            let Body::Data(body) = delivery.message().unwrap().body else {
                panic!("a line is one data section");
            };
            let count = {
                let mut received = self.received.lock().unwrap();
                received.push(body);
                received.len()
            };
            match self.manner {
                Manner::RejectThirds if count.is_multiple_of(3) => {
                    let error = AmqpError::new(condition::PRECONDITION_FAILED, "not this one");
                    delivery.reject(Some(error)).unwrap();
                }
                _ => delivery.accept().unwrap(),
            }
            if self.manner == Manner::CloseAfterTen && count == 10 {
                let error = AmqpError::new(condition::CONNECTION_FORCED, "maintenance");
                let _ = connection.close_with_error(error).await;
            }
        }
    }

    async fn send(self, sender: Sender) {
        if self.manner == Manner::EndInNoise {
            return self.send_and_end_in_noise(sender).await;
        }
        for message in self.messages {
            let Ok(outcome) = sender.send(message).await else {
                return;
            };
            self.outcomes.lock().unwrap().push(outcome);
        }
        sender.detached().await;
    }

    async fn send_and_end_in_noise(self, sender: Sender) {
        let mut receipts = Vec::new();
        for message in self.messages {
            receipts.push(sender.send_with_receipt(message).await.unwrap());
        }
        let noise = OutgoingMessage::encoded(0, Bytes::from_static(b"noise"));
        receipts.push(sender.send_with_receipt(noise).await.unwrap());
        for receipt in receipts {
            let outcome = receipt.await.unwrap();
            self.outcomes.lock().unwrap().push(outcome);
        }
    }
}

fn texts(count: usize) -> Vec<Message> {
    (0..count)
        .map(|number| Message::data(format!("line {number}")))
        .collect()
}

#[tokio::test]
async fn each_line_is_a_message_in_its_order() {
    let node = Node::start(Manner::Accept).await;
    let ended = run(&["send", &node.url()], b"one\n\ntwo\r\nth\xFFree").await;
    ended.assert_success();
    assert!(ended.stdout.contains("4 accepted"), "{ended:?}");
    assert_eq!(node.received(), [&b"one"[..], b"", b"two\r", b"th\xFFree"]);
}

#[tokio::test]
async fn the_summary_has_the_outcomes_and_the_status_says_whether_all_were_accepted() {
    let node = Node::start(Manner::Accept).await;
    let ended = run(
        &["send", &node.url(), "--json", "--window", "7"],
        lines(2000).as_bytes(),
    )
    .await;
    let mut summary = ended.assert_success().json();
    assert!(summary["seconds"].as_f64().unwrap() > 0.0);
    summary["seconds"] = json!(0);
    let expected = json!({
        "sent": 2000, "accepted": 2000, "rejected": 0, "released": 0, "modified": 0, "seconds": 0
    });
    assert_eq!(summary, expected);

    let node = Node::start(Manner::RejectThirds).await;
    let ended = run(&["send", &node.url(), "--json"], lines(10).as_bytes()).await;
    ended.assert_failure(&[
        "3 of 10",
        "3 rejected",
        "amqp:precondition-failed",
        "not this one",
    ]);
    assert_eq!(ended.json()["accepted"], 7);
    assert_eq!(ended.json()["rejected"], 3);
}

#[tokio::test]
async fn rejections_are_a_failure_though_nobody_reads_the_summary() {
    let node = Node::start(Manner::RejectThirds).await;
    let mut child = super::command(&["send", &node.url(), "--count", "3", "--size", "1"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    super::end_of(child).await.assert_failure(&["1 rejected"]);
}

#[tokio::test]
async fn settled_messages_have_no_outcome() {
    let node = Node::start(Manner::Accept).await;
    let arguments = [
        "send",
        &node.url(),
        "--settled",
        "--json",
        "--count",
        "500",
        "--size",
        "10",
    ];
    let ended = run(&arguments, b"").await;
    let summary = ended.assert_success().json();
    assert_eq!(summary["sent"], 500);
    assert_eq!(summary["accepted"], json!(null));
    assert_eq!(
        node.received(),
        vec![Bytes::from_static(b"xxxxxxxxxx"); 500]
    );
}

#[tokio::test]
async fn an_address_given_apart_replaces_that_of_the_url() {
    let node = Node::start(Manner::RefuseLinks).await;
    let ended = run(&["send", &node.url(), "--address", "elsewhere"], b"").await;
    ended.assert_failure(&["\"elsewhere\"", "amqp:not-found", "no node called orders"]);
}

#[tokio::test]
async fn a_refused_link_is_told_with_the_peers_words() {
    let node = Node::start(Manner::RefuseLinks).await;
    for command in ["send", "receive"] {
        let ended = run(&[command, &node.url()], b"x\n").await;
        ended.assert_failure(&["\"orders\"", "amqp:not-found", "no node called orders"]);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    for command in ["send", "receive"] {
        let ended = run(
            &[command, &format!("amqp://user:s3cr3t@{address}/orders")],
            b"",
        )
        .await;
        ended.assert_failure(&[&address.to_string(), "refused"]);
        assert!(!ended.stderr.contains("s3cr3t"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_not_waited_for_for_ever() {
    let node = Node::start(Manner::Silent).await;
    let ended = run(&["send", &node.url(), "--timeout", "0.5"], b"x\n").await;
    ended.assert_failure(&["credit", "0.5 s", "--timeout"]);

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}/orders", mute.local_addr().unwrap());
    let ended = run(&["receive", &url, "--timeout", "0.5"], b"").await;
    ended.assert_failure(&["timed out"]);
}

#[tokio::test]
async fn a_broker_that_closes_in_the_middle_leaves_a_summary() {
    let node = Node::start(Manner::CloseAfterTen).await;
    let ended = run(&["send", &node.url(), "--json"], lines(5000).as_bytes()).await;
    ended.assert_failure(&["amqp:connection:forced", "maintenance"]);
    let summary = ended.json();
    assert!(
        summary["accepted"].as_u64() <= summary["sent"].as_u64(),
        "{ended:?}"
    );
    assert!(summary["sent"].as_u64() < Some(5000), "{ended:?}");
}

#[tokio::test]
async fn a_broker_that_vanishes_in_the_middle_leaves_a_summary() {
    let node = Node::start(Manner::Accept).await;
    let (address, received) = (node.address, Arc::clone(&node.received));
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}/orders", proxy.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut server = TcpStream::connect(address).await.unwrap();
        let enough_came = async {
            while received.lock().unwrap().len() < 1000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = enough_came => {}
        }
    });
    let arguments = [
        "send", &url, "--json", "--count", "10000000", "--size", "10",
    ];
    let ended = run(&arguments, b"").await;
    ended.assert_failure(&["the connection was lost"]);
    assert!(ended.json()["accepted"].as_u64() > Some(0), "{ended:?}");
}

#[tokio::test]
async fn received_bodies_are_lines_and_are_accepted() {
    let node = Node::start_with(Manner::Accept, texts(1000)).await;
    let ended = run(&["receive", &node.url(), "--idle", "0.5"], b"").await;
    ended.assert_success();
    assert_eq!(ended.stdout, lines(1000));
    let outcomes = node.outcomes.lock().unwrap();
    assert_eq!(*outcomes, vec![Outcome::Accepted; 1000]);
}

#[tokio::test]
async fn what_was_written_before_a_failure_is_accepted() {
    let node = Node::start_with(Manner::EndInNoise, texts(3)).await;
    let ended = run(&["receive", &node.url()], b"").await;
    ended.assert_failure(&["a message cannot be read"]);
    assert_eq!(ended.stdout, lines(3));
    let all_settled = async {
        while node.outcomes.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_settled)
        .await
        .expect("every message has an outcome");
    let outcomes = node.outcomes.lock().unwrap();
    assert_eq!(outcomes[..3], [const { Outcome::Accepted }; 3]);
    assert!(matches!(outcomes[3], Outcome::Rejected(_)), "{outcomes:?}");
}

#[tokio::test]
async fn no_more_is_taken_than_is_wanted() {
    let node = Node::start_with(Manner::Accept, texts(50)).await;
    let ended = run(&["receive", &node.url(), "--count", "7"], b"").await;
    ended.assert_success();
    assert_eq!(ended.stdout, lines(7));
    assert_eq!(node.outcomes.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn fewer_than_wanted_are_a_failure() {
    let node = Node::start_with(Manner::Accept, texts(3)).await;
    let ended = run(
        &["receive", &node.url(), "--count", "5", "--idle", "0.3"],
        b"",
    )
    .await;
    ended.assert_failure(&["3 of 5", "0.3 s"]);
    assert_eq!(ended.stdout, lines(3));
}

#[tokio::test]
async fn a_message_is_shown_with_all_its_sections() {
    let message = Message {
        header: Some(Header {
            durable: true,
            ..Header::default()
        }),
        message_annotations: Some(Annotations::new().with(Symbol::from_static("x-opt-note"), 7)),
        properties: Some(Properties {
            message_id: Some(MessageId::Ulong(42)),
            subject: Some("greeting".into()),
            creation_time: Some(Timestamp(0)),
            ..Properties::default()
        }),
        application_properties: Some(ApplicationProperties::new().with("sensor", "s1")),
        ..Message::data("hello")
    };
    let octets = Message::data(&b"\xFF\xFE"[..]);
    let node = Node::start_with(Manner::Accept, vec![message, octets]).await;
    let ended = run(&["receive", &node.url(), "--count", "2", "--json"], b"").await;
    let shown: Vec<serde_json::Value> = ended
        .assert_success()
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = json!({
        "header": {"durable": true, "priority": 4, "ttl": null, "first_acquirer": false, "delivery_count": 0},
        "delivery_annotations": null,
        "message_annotations": {"x-opt-note": 7},
        "properties": {"message_id": 42, "subject": "greeting", "creation_time": "1970-01-01T00:00:00.000Z"},
        "application_properties": {"sensor": "s1"},
        "footer": null,
        "body": "hello",
    });
    assert_eq!(shown[0], expected);
    assert_eq!(shown[1]["body_base64"], "//4=");
    assert_eq!(shown[1].get("body"), None);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let node = Node::start_with(Manner::Accept, texts(20_000)).await;
    let mut child = super::command(&["receive", &node.url(), "--idle", "10"])
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).await.unwrap();
    drop(stdout);
    assert_eq!(first, "line 0\n");
    super::end_of(child).await.assert_success();
}

#[tokio::test]
async fn bench_measures_itself() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap().to_string();
    drop(unused);
    let receiver = super::command(&["bench", "recv", &address, "2000", "100", "50"])
        .spawn()
        .unwrap();
    let send = ["bench", "send", &address, "2000", "100", "50"];
    let sent: Ended = loop {
        let ended = run(&send, b"").await;
        if ended.status == Some(0) || !ended.stderr.contains("refused") {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let line = sent.assert_success().json();
    assert_eq!(line["peer"], "amqp10");
    assert_eq!(line["count"], 2000);
    assert!(line["msgs_per_s"].as_u64() > Some(0));
    super::end_of(receiver).await.assert_success();
}
