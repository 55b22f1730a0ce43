//! What was published and what was processed, and whether the two agree.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use amqp10::eventhubs::checkpoint::{CheckpointStore, ConsumerGroupId, FileCheckpointStore};
use tokio::time::{Instant, sleep};

use super::consume::EXPIRATION;
use super::crew::Crew;
use super::{HUB, PARTITIONS};

#[derive(Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Each event that was published, and how often it was processed.
    events: HashMap<String, usize>,
    acknowledged: u64,
    processed: usize,
    /// Lines that name no event.
    unknown: usize,
}

impl Ledger {
    pub fn published(&self, ids: &[String]) {
        let mut books = self.books();
        books.events.extend(ids.iter().map(|id| (id.clone(), 0)));
    }

    pub fn acknowledged(&self, count: u64) {
        self.books().acknowledged += count;
    }

    pub fn processed(&self, id: &str) {
        let mut books = self.books();
        match books.events.get_mut(id) {
            Some(times) => *times += 1,
            None => books.unknown += 1,
        }
        books.processed += 1;
    }

    fn missing(&self) -> usize {
        let books = self.books();
        books.events.values().filter(|times| **times == 0).count()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no holder panics")
    }
}

/// Waits until all is processed and owned, then says what is. `false` if it is not what it should be.
pub async fn wait(
    ledger: &Ledger,
    folder: &Path,
    crew: &mut Crew,
    patience: Duration,
) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let deadline = Instant::now() + patience;
    let mut owned = 0;
    while Instant::now() < deadline {
        owned = owned_by(&crew.names(), folder).await?;
        if owned == PARTITIONS as usize && ledger.missing() == 0 {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    let missing = ledger.missing();
    let books = ledger.books();
    let (published, processed) = (books.events.len(), books.processed);
    let duplicates: usize = books
        .events
        .values()
        .map(|times| times.saturating_sub(1))
        .sum();
    println!(
        "published={published} acknowledged={} processed={processed} missing={missing} duplicates={duplicates} \
         owned={owned}/{PARTITIONS}",
        books.acknowledged,
    );
    Ok(books.acknowledged == published as u64
        && processed >= published
        && books.unknown == 0
        && missing == 0
        && owned == PARTITIONS as usize)
}

/// How many partitions have an owner who is alive and has renewed in time, if the shares are fair; otherwise none.
async fn owned_by(names: &[&str], folder: &Path) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let store = FileCheckpointStore::new(folder);
    // The emulator's host, as the client calls it.
    let group = ConsumerGroupId::new("localhost", HUB, "$Default");
    let records = store.list_ownerships(&group).await?;
    let fresh = SystemTime::now() - EXPIRATION;
    let share = |name: &&str| {
        let held = records
            .iter()
            .filter(|record| record.owner == *name && record.last_modified > Some(fresh));
        held.count()
    };
    let shares: Vec<_> = names.iter().map(share).collect();
    let fair = shares.iter().max().zip(shares.iter().min());
    Ok(match fair {
        Some((most, least)) if most - least <= 1 => shares.iter().sum(),
        _ => 0,
    })
}
