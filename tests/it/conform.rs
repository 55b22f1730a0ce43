//! Every case of `amqp10 conform` against this crate's own ends: those for listeners against the broker, those for clients
//! against an ordinary program on the client. Over pipes, and by a clock that jumps.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::conform::{self, Case, Played, RunOptions, Side, Target, Verdict};
use amqp10::memory::{self, MemoryStream};
use amqp10::{
    Connection, ConnectionOptions, Credentials, Receiver, ReceiverOptions, Sender, SenderOptions,
    SessionOptions,
};
use tokio::sync::{Mutex, mpsc};

/// Cases that may be skipped, by the configuration that has not what they need.
fn assert_played(played: Vec<Played>, may_skip: &[&str]) {
    let mut wrong = String::new();
    for played in &played {
        let is_right = match &played.verdict {
            Verdict::Pass => true,
            Verdict::Skip(_) => may_skip.contains(&played.case.name),
            Verdict::Fail(_) | Verdict::Remark(_) => false,
        };
        if !is_right {
            wrong.push_str(&played.to_string());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(!played.is_empty());
}

/// The cases for one side; with `AMQP10_CASE` set, those that it names.
fn cases(side: Side) -> Vec<&'static Case> {
    let mut options = options();
    options.only = std::env::var("AMQP10_CASE").ok();
    let cases = conform::cases().filter(|case| case.side == side && options.selects(case));
    cases.collect()
}

/// A clock that jumps waits as long as it takes.
fn options() -> RunOptions {
    RunOptions::default().case_deadline(Duration::from_secs(1000))
}

async fn play_with_broker(options: BrokerOptions, login: Option<(&str, &str)>) -> Vec<Played> {
    let mut played = Vec::new();
    for case in cases(Side::Listener) {
        let broker = Broker::in_process(options.clone()).await.unwrap();
        let mut target = Target::listener_by(move || std::future::ready(Ok(broker.connect())));
        if let Some((user, password)) = login {
            target = target.login(user, password);
        }
        played.push(conform::play(case, &target, &options()).await);
    }
    played
}

#[tokio::test(start_paused = true)]
async fn the_broker_passes_every_case() {
    let played = play_with_broker(BrokerOptions::new(), None).await;
    assert_played(played, &[]);
}

#[tokio::test(start_paused = true)]
async fn the_broker_passes_every_case_behind_a_login() {
    let users = amqp10::broker::read_users("conform:secret").unwrap();
    let options = BrokerOptions::new().users(users);
    let played = play_with_broker(options, Some(("conform", "secret"))).await;
    assert_played(played, &[]);
}

#[tokio::test(start_paused = true)]
async fn the_client_passes_every_case() {
    for credentials in [Credentials::None, Credentials::Anonymous] {
        let mut played = Vec::new();
        for case in cases(Side::Client) {
            let (streams, incoming) = mpsc::channel(1);
            let program = tokio::spawn(ordinary_program(streams, credentials.clone()));
            let target = clients(incoming);
            played.push(conform::play(case, &target, &options()).await);
            program.abort();
        }
        assert_played(played, &[]);
    }
}

/// Clients that are at the other ends of these streams.
fn clients(incoming: mpsc::Receiver<MemoryStream>) -> Target {
    let incoming = Arc::new(Mutex::new(incoming));
    Target::clients_by(move || {
        let incoming = Arc::clone(&incoming);
        async move {
            let stream = incoming.lock().await.recv().await;
            stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
        }
    })
}

/// What the documentation of `amqp10::conform` asks of a client: it works until nobody takes its connections any more.
async fn ordinary_program(streams: mpsc::Sender<MemoryStream>, credentials: Credentials) {
    loop {
        let (near, far) = memory::pipe(1 << 20);
        if streams.send(far).await.is_err() {
            return;
        }
        let options = ConnectionOptions::default().credentials(credentials.clone());
        // Whatever a case does to a connection: the next one is made.
        let _ = work(near, options).await;
    }
}

async fn work(
    stream: MemoryStream,
    options: ConnectionOptions,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let connection = Connection::open_with_stream(stream, options).await?;
    let session = connection.begin(SessionOptions::default()).await?;
    let sender = session.attach_sender("conform", SenderOptions::default());
    let sender = sender.await?;
    let receiver = session.attach_receiver("conform", ReceiverOptions::default());
    let receiver = receiver.await?;
    let receiving = tokio::spawn(receive(receiver.clone()));
    send(&sender).await?;
    receiver.drain().await?;
    receiving.abort();
    sender.close().await?;
    receiver.close().await?;
    session.end().await?;
    connection.close().await?;
    Ok(())
}

async fn send(sender: &Sender) -> Result<(), amqp10::SendError> {
    for number in 0..10 {
        let body = vec![number; if number % 3 == 0 { 3000 } else { 10 }];
        let _outcome = sender.send(body).await?;
    }
    Ok(())
}

async fn receive(receiver: Receiver) {
    while let Ok(delivery) = receiver.recv().await {
        // A link that is gone takes no outcome, and the next wait says so.
        let _ = delivery.accept();
    }
}

#[test]
fn a_case_is_named_by_its_rows() {
    let mut names = BTreeSet::new();
    for case in conform::cases() {
        assert!(names.insert(case.name), "{} is there twice", case.name);
        let ids: Vec<String> = case
            .rows
            .iter()
            .map(|row| row.to_lowercase().replace('-', "_"))
            .collect();
        let prefix = format!("{}_", ids.join("_"));
        assert!(
            case.name.starts_with(&prefix),
            "{} does not begin with {prefix}",
            case.name
        );
    }
}
