//! Two of their processors divide the partitions; when one stops, the other goes on from its checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use super::events::number;
use super::*;
use crate::interop::blob_store;

const PROCESSED_PARTITIONS: u32 = 4;

/// What two processors, `a` and `b`, have printed.
#[derive(Default)]
struct Report {
    /// From partition to who read the latest event of it, or claimed it.
    owners: BTreeMap<String, String>,
    /// From event to how many times it was read.
    numbers: BTreeMap<u64, u32>,
}

impl Report {
    fn add(&mut self, line: &Json) {
        let instance = line["instance"].as_str().unwrap().to_owned();
        if let Some(partition) = line["claimed"].as_str() {
            self.owners.insert(partition.to_owned(), instance);
        } else if let Some(partition) = line["event"]["partition"].as_str() {
            self.owners.insert(partition.to_owned(), instance);
            *self.numbers.entry(number(&line["event"])).or_default() += 1;
        }
    }

    /// How many partitions each has.
    fn shares(&self) -> Vec<usize> {
        let names: BTreeSet<_> = self.owners.values().collect();
        let share = |name| self.owners.values().filter(|owner| *owner == name).count();
        names.into_iter().map(share).collect()
    }

    /// Reads on until what is wanted is there.
    async fn read_until(&mut self, theirs: &mut Running, wanted: impl Fn(&Report) -> bool) {
        while !wanted(self) {
            let line = theirs.next().await.expect("a line of the processors");
            self.add(&line);
        }
    }
}

async fn send_to_all(peers: &Peers, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let partition = (number % PROCESSED_PARTITIONS).to_string();
        peers.send_ours(&partition, number..number + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processors_divide_the_partitions_and_one_takes_over() {
    let Some(azurite) = blob_store::connection_string() else {
        return;
    };
    with_some(&Kind::ALL, PROCESSED_PARTITIONS, move |peers| {
        let azurite = azurite.clone();
        async move {
            let container = blob_store::container(&azurite).await;
            let mut process = vec!["process", "a", "b"];
            // Microsoft's Rust client comes with a store in memory alone.
            if peers.kind != Kind::Rust {
                process.extend(["--blobs", &azurite, "--container", &container]);
            }
            send_to_all(&peers, 0..40).await;
            let mut theirs = peers.start_theirs(&process);
            let mut report = Report::default();
            let divided = |report: &Report| report.shares() == [2, 2] && report.numbers.len() == 40;
            report.read_until(&mut theirs, divided).await;

            theirs.tell("a").await;
            send_to_all(&peers, 40..80).await;
            let taken_over = |report: &Report| report.shares() == [4] && report.numbers.len() == 80;
            report.read_until(&mut theirs, taken_over).await;
            assert!(report.owners.values().all(|owner| owner == "b"));
            // At least once: again only what was read while a partition changed hands.
            let again = report.numbers.values().filter(|count| **count > 1).count();
            assert!(again <= 20, "{again} of 80 were read more than once");
            theirs.end().await.unwrap();
        }
    })
    .await;
}
