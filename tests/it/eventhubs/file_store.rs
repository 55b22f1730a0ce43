//! The store of checkpoints in files, shared by processes that are killed at any point.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, FileCheckpointStore, Ownership,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::folder::Folder;

const FOLDER: &str = "AMQP10_TEST_STORE_FOLDER";
const NAME: &str = "AMQP10_TEST_STORE_WRITER";
const KILLS: u64 = 30;

/// The partition that all writers fight for.
const SHARED: &str = "shared";

fn group() -> ConsumerGroupId {
    ConsumerGroupId::new("ns.example", "hub", "$Default")
}

/// Not a test by itself: what the processes of the next one do until they are killed. Each write is told of once it is
/// acknowledged.
#[tokio::test]
#[ignore = "run as a process by the test below"]
async fn writer() {
    let (Ok(folder), Ok(name)) = (std::env::var(FOLDER), std::env::var(NAME)) else {
        return;
    };
    let (store, group) = (FileCheckpointStore::new(folder), group());
    let first = checkpointed(&store, &name).await + 1;
    for number in first.. {
        let checkpoint = Checkpoint::new(name.as_str(), number.to_string(), number);
        store.update_checkpoint(&group, checkpoint).await.unwrap();
        println!("checkpoint {number}");
        let claim = next_claim(&store).await;
        let won = store.claim_ownerships(&group, vec![claim]).await.unwrap();
        for record in won {
            println!("won {}", record.owner);
        }
    }
}

/// A claim whose owner is the number of the claim.
async fn next_claim(store: &FileCheckpointStore) -> Ownership {
    match store.list_ownerships(&group()).await.unwrap().pop() {
        Some(record) => record.claimed_by(format!("{}", number(&record.owner) + 1)),
        None => Ownership::new(SHARED, "1"),
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

async fn checkpointed(store: &FileCheckpointStore, name: &str) -> i64 {
    let all = store.list_checkpoints(&group()).await.unwrap();
    let ours = all.iter().find(|checkpoint| checkpoint.partition == name);
    ours.map_or(0, |checkpoint| {
        let number = checkpoint.sequence_number.unwrap();
        assert_eq!(checkpoint.offset, Some(number.to_string()));
        number
    })
}

/// A process that writes, and what it has told.
struct Writer {
    name: &'static str,
    process: Child,
    told: BufReader<ChildStdout>,
}

impl Writer {
    fn start(folder: &Path, name: &'static str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["eventhubs::file_store::writer", "--exact", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(NAME, name)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stdout.take().unwrap());
        Self {
            name,
            process,
            told,
        }
    }

    async fn first_acknowledgement(&mut self) -> String {
        let mut line = String::new();
        while !line.starts_with("checkpoint") {
            line.clear();
            let read = self.told.read_line(&mut line).await.unwrap();
            assert_ne!(read, 0, "the writer ended by itself");
        }
        line
    }

    /// Kills it, and returns all it had told before.
    async fn kill(mut self, after: Duration) -> Vec<(String, i64)> {
        let mut told = self.first_acknowledgement().await;
        tokio::time::sleep(after).await;
        self.process.kill().await.unwrap();
        self.told.read_to_string(&mut told).await.unwrap();
        let whole = told
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let words = whole.filter_map(|line| line.trim_end().split_once(' '));
        let acknowledged = words.filter(|(what, _)| ["checkpoint", "won"].contains(what));
        acknowledged
            .map(|(what, value)| (what.to_owned(), number(value)))
            .collect()
    }
}

#[tokio::test]
async fn a_kill_at_any_point_loses_nothing_that_was_acknowledged() {
    let folder = Folder::new();
    let store = FileCheckpointStore::new(&folder.0);
    let mut claims_won = HashSet::new();
    let mut checkpoints = HashMap::new();
    for kill in 0..KILLS {
        // Multiplied, the pauses look as if by chance, and are the same each time.
        let pause = |factor| Duration::from_micros(kill * factor % 17_000);
        let (one, other) = (
            Writer::start(&folder.0, "one"),
            Writer::start(&folder.0, "other"),
        );
        let names = [one.name, other.name];
        let told = tokio::join!(one.kill(pause(7919)), other.kill(pause(104_729)));
        for (name, told) in names.into_iter().zip([told.0, told.1]) {
            let last = checkpoints.entry(name).or_insert(0);
            for (what, number) in told {
                match what.as_str() {
                    "checkpoint" => *last = number,
                    _ => assert!(claims_won.insert(number), "two won claim {number}"),
                }
            }
            // What is stored may be one further: written, but not told of.
            let stored = checkpointed(&store, name).await;
            assert!(
                (*last..=*last + 1).contains(&stored),
                "{name}: {stored} after {last}"
            );
        }
        let owner = number(&next_claim(&store).await.owner) - 1;
        let acknowledged = claims_won.iter().max().copied().unwrap_or(0);
        assert!(owner >= acknowledged, "{owner} after {acknowledged}");
    }
    assert!(claims_won.len() as u64 > KILLS / 2, "{}", claims_won.len());
}
