//! Every case of `amqp10 conform` against this crate's own ends: those for listeners against the broker, those for clients
//! against an ordinary program on the client. Over pipes, and by a clock that jumps.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::conform::{self, Case, Played, RunOptions, Side, Target, Verdict};
use amqp10::memory::{self, MemoryStream};
use amqp10::{Connection, ConnectionOptions, Credentials};
use tokio::sync::{Mutex, mpsc};

#[allow(dead_code)] // its `main`
#[path = "../../examples/ordinary.rs"]
mod ordinary;

/// In no configuration is a case anything but passed or skipped, and each is passed in one of them.
fn assert_passed(configurations: &[Vec<Played>]) {
    let played: Vec<&Played> = configurations.iter().flatten().collect();
    let passed: BTreeSet<&str> = played
        .iter()
        .filter(|played| played.verdict == Verdict::Pass)
        .map(|played| played.case.name)
        .collect();
    let is_wrong = |played: &&&Played| match &played.verdict {
        Verdict::Pass => false,
        Verdict::Skip(_) => !passed.contains(played.case.name),
        Verdict::Fail(_) | Verdict::Remark(_) => true,
    };
    let wrong: String = played
        .iter()
        .filter(is_wrong)
        .map(ToString::to_string)
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(!played.is_empty());
}

/// The cases for one side; with `AMQP10_CASE` set, those that it names.
fn cases(side: Side) -> Vec<&'static Case> {
    let mut options = patient();
    options.only = std::env::var("AMQP10_CASE").ok();
    let cases = conform::cases().filter(|case| case.side == side && options.selects(case));
    cases.collect()
}

/// A clock that jumps waits as long as it takes.
fn patient() -> RunOptions {
    RunOptions::default().case_timeout(Duration::from_secs(1000))
}

async fn play_with_broker(options: BrokerOptions, login: Option<(&str, &str)>) -> Vec<Played> {
    let mut played = Vec::new();
    for case in cases(Side::Listener) {
        let broker = Broker::in_process(options.clone()).await.unwrap();
        let mut target = Target::listener_by(move || std::future::ready(Ok(broker.connect())));
        if let Some((user, password)) = login {
            target = target.login(user, password);
        }
        played.push(conform::play(case, &target, &patient()).await);
    }
    played
}

#[tokio::test(start_paused = true)]
async fn the_broker_passes_every_case() {
    let open = play_with_broker(BrokerOptions::default(), None).await;
    let users = amqp10::broker::read_users("conform:secret").unwrap();
    let options = BrokerOptions::default().sasl(users);
    let private = play_with_broker(options, Some(("conform", "secret"))).await;
    assert_passed(&[open, private]);
}

#[tokio::test(start_paused = true)]
async fn the_client_passes_every_case() {
    let mut configurations = Vec::new();
    for credentials in [Credentials::None, Credentials::Anonymous] {
        let mut played = Vec::new();
        for case in cases(Side::Client) {
            let (streams, incoming) = mpsc::channel(1);
            let program = tokio::spawn(ordinary_program(streams, credentials.clone()));
            let target = clients(incoming);
            played.push(conform::play(case, &target, &patient()).await);
            program.abort();
        }
        configurations.push(played);
    }
    assert_passed(&configurations);
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
        let options = ConnectionOptions::default()
            .credentials(credentials.clone())
            .idle_time_out(Duration::from_secs(20));
        // Whatever a case does to a connection: the next one is made.
        if let Ok(connection) = Connection::open_with_stream(near, options).await {
            let _ = ordinary::work(&connection).await;
        }
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
