//! A thousand hostile connections over TCP to one listener, which goes on serving an honest client and stays within a stated
//! amount of memory.
//!
//! The listener and the attackers are programs of their own, so that the listener's peak memory can be read: each is a test of
//! this binary that is ignored otherwise. `cargo test --all-features --test it -- hostile::crowd --nocapture` prints the
//! figures; `AMQP10_CROWD_SECONDS=n` goes on for longer.

mod attackers;
mod listener;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amqp10::{Connection, ConnectionOptions, Outcome, SenderOptions, SessionOptions};
use tokio::time::{Instant, sleep, timeout};

/// What the documentation of `Limits` states, for connections with the limits of `listener.rs`.
const MOST_MEMORY_KIB: u64 = 64 << 10;
/// An honest client opens a connection, sends and gets its outcomes within this time, whatever else goes on.
const PATIENCE: Duration = Duration::from_secs(20);

fn seconds() -> Duration {
    let text = std::env::var("AMQP10_CROWD_SECONDS").unwrap_or_default();
    Duration::from_secs(text.parse().unwrap_or(20))
}

/// A test of this binary as a program, with room for many sockets; ended when it is dropped.
struct Program(Child);

impl Program {
    fn start(test: &str, port: u16) -> Self {
        let binary = std::env::current_exe().expect("this binary");
        let script =
            "ulimit -n 4096 2> /dev/null; exec \"$0\" \"$1\" --exact --ignored --nocapture";
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(binary)
            .arg(format!("hostile::crowd::{test}"))
            .env("AMQP10_CROWD_PORT", port.to_string())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("a shell"))
    }

    /// The number behind this word in the program's output.
    fn number(&mut self, word: &str) -> u16 {
        let output = self.0.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(output).lines();
        let line = lines.find_map(|line| {
            let line = line.expect("text");
            Some(line.split_once(word)?.1.trim().to_owned())
        });
        // Nobody reads the rest; it is short.
        line.expect("the program's first words")
            .parse()
            .expect("a number")
    }

    /// The most memory that was ever resident, in KiB.
    fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).expect("a process of ours");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("a peak").parse().expect("KiB")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A whole visit: a connection, a session, a link, ten messages and their outcomes.
async fn visit(port: u16) {
    let url = format!("amqp://127.0.0.1:{port}");
    let connection = Connection::open(&url, ConnectionOptions::default())
        .await
        .expect("an honest client is let in");
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let sender = session
        .attach_sender("node", SenderOptions::default())
        .await
        .unwrap();
    for _ in 0..10 {
        assert_eq!(sender.send("honest").await.unwrap(), Outcome::Accepted);
    }
    connection.close().await.unwrap();
}

/// A client that stays, and sends a message now and then; says how long the slowest took.
async fn stay(port: u16, until: Instant) -> Duration {
    let url = format!("amqp://127.0.0.1:{port}");
    let connection = Connection::open(&url, ConnectionOptions::default())
        .await
        .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let sender = session
        .attach_sender("node", SenderOptions::default())
        .await
        .unwrap();
    let mut slowest = Duration::ZERO;
    while Instant::now() < until {
        let begun = Instant::now();
        let sent = timeout(PATIENCE, sender.send("still here")).await;
        assert_eq!(sent.expect("an outcome").unwrap(), Outcome::Accepted);
        slowest = slowest.max(begun.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    slowest
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "memory is read from /proc")]
async fn a_listener_under_a_thousand_hostile_connections_serves_an_honest_client() {
    let mut listener = Program::start("serves", 0);
    let port = listener.number("port=");
    visit(port).await;
    let before = listener.peak_memory();
    let staying = tokio::spawn(stay(port, Instant::now() + seconds()));
    let _attackers = Program::start("attacks", port);
    let until = Instant::now() + seconds();
    let (mut visits, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let begun = Instant::now();
        timeout(PATIENCE, visit(port))
            .await
            .expect("a visit in time");
        slowest = slowest.max(begun.elapsed());
        visits += 1;
    }
    let slowest_message = staying.await.unwrap();
    let peak = listener.peak_memory();
    println!(
        "{} hostile connections: {visits} visits, slowest {slowest:?}; messages of one that stayed, slowest \
         {slowest_message:?}; listener {before} KiB at first, {peak} KiB at most",
        attackers::COUNT
    );
    assert!(visits > 3, "{visits} visits");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
}

#[test]
#[ignore = "a program of the test above"]
fn serves() {
    listener::serve();
}

#[test]
#[ignore = "a program of the test above"]
fn attacks() {
    let port = std::env::var("AMQP10_CROWD_PORT").expect("a port");
    attackers::attack(port.parse().expect("a port"));
}
