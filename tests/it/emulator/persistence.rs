//! What is in the folder survives the emulator, however it ends.

use std::path::PathBuf;
use std::process::Stdio;

use amqp10::emulator::Persistence;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::*;
use crate::support::folder::Folder;

const FOLDER: &str = "AMQP10_TEST_EMULATOR_FOLDER";

fn kept(folder: impl Into<PathBuf>) -> EmulatorOptions {
    options().persistence(Persistence::new(folder).file_bytes(64 * 1024))
}

#[tokio::test]
async fn events_hubs_and_groups_are_there_again_after_a_restart() {
    let folder = Folder::new();
    let emulator = Emulator::start(kept(&folder.0)).await.unwrap();
    emulator
        .create_hub(amqp10::emulator::HubOptions::new("audit", 1))
        .await
        .unwrap();
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["first", "second"]).await;
    soon(emulator.shutdown()).await;

    let emulator = Emulator::start(kept(&folder.0)).await.unwrap();
    let names: Vec<_> = emulator.hubs().into_iter().map(|hub| hub.name).collect();
    assert_eq!(names, ["audit", "orders"]);
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["third"]).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(texts(&receiver, 3).await, ["first", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn with_a_paused_clock_writing_takes_no_time() {
    let folder = Folder::new();
    let emulator = Emulator::in_process(kept(&folder.0)).await.unwrap();
    let (_connection, session) = root(&emulator).await;
    let before = tokio::time::Instant::now();
    publish(&session, &["a"; 20]).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    emulator.shutdown().await;
}

/// Not a test by itself: the process that is killed.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn serve_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let emulator = Emulator::start(kept(folder)).await.unwrap();
    println!("port={}", emulator.local_addr().unwrap().port());
    std::future::pending::<()>().await;
}

struct Process {
    child: Child,
    port: u16,
}

impl Process {
    async fn start(folder: &Folder) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "emulator::persistence::serve_until_killed"])
            .args(["--ignored", "--nocapture"])
            .env(FOLDER, &folder.0)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = soon(lines.next_line()).await.unwrap();
            let line = line.expect("the process ended instead of listening");
            // The test harness writes into the same line.
            if let Some((_, port)) = line.split_once("port=") {
                break port.parse().unwrap();
            }
        };
        // Whatever else it writes must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Process { child, port }
    }

    async fn session(&self) -> (Connection, Session) {
        let options = ConnectionOptions::default()
            .credentials(Credentials::plain(KEY_NAME, KEY))
            .allow_plain_without_tls(true);
        let url = format!("amqp://localhost:{}", self.port);
        let connection = soon(Connection::open(&url, options)).await.unwrap();
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        (connection, session)
    }

    /// All that partition 0 holds.
    async fn stored(&self) -> Vec<u32> {
        let (connection, session) = self.session().await;
        publish(&session, &["end"]).await;
        let receiver = session
            .attach_receiver(reader_address(0), ReceiverOptions::default())
            .await
            .unwrap();
        let mut stored = Vec::new();
        loop {
            let delivery = soon(receiver.recv()).await.unwrap();
            delivery.accept().unwrap();
            match text(&delivery).parse() {
                Ok(number) => stored.push(number),
                Err(_) => break,
            }
        }
        connection.close().await.unwrap();
        stored
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_at_any_moment_in_order_and_once() {
    const ROUNDS: u64 = 12;
    let folder = Folder::new();
    let mut next = 0_u32;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut process = Process::start(&folder).await;
        let (_connection, session) = process.session().await;
        let sender = session
            .attach_sender("orders/Partitions/0", SenderOptions::default())
            .await
            .unwrap();
        let publishing = tokio::spawn(async move {
            let mut receipts = Vec::new();
            loop {
                let event = Message::data(next.to_string());
                let Ok(receipt) = sender.send_with_receipt(event).await else {
                    break;
                };
                let number = next;
                receipts.push(tokio::spawn(async move {
                    let outcome = receipt.await;
                    outcome
                        .is_ok_and(|outcome| outcome.is_accepted())
                        .then_some(number)
                }));
                next += 1;
            }
            (next, receipts)
        });
        tokio::time::sleep(Duration::from_millis(20 + 37 * round % 200)).await;
        process.child.kill().await.unwrap();
        let (sent, receipts) = soon(publishing).await.unwrap();
        next = sent;
        for receipt in receipts {
            acknowledged.extend(soon(receipt).await.unwrap());
        }
    }
    let mut process = Process::start(&folder).await;
    let stored = process.stored().await;
    process.child.kill().await.unwrap();

    assert!(acknowledged.len() > 100, "only {}", acknowledged.len());
    assert!(stored.is_sorted_by(|a, b| a < b), "in order, each once");
    let missing = acknowledged
        .iter()
        .filter(|number| stored.binary_search(number).is_err());
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&u32>::new());
    println!(
        "acknowledged={} stored={} kills={ROUNDS}",
        acknowledged.len(),
        stored.len()
    );
}
