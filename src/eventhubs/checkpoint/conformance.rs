//! What every [`CheckpointStore`] must do, as a test that any store can run: in memory, in files, in a database of yours.
//!
//! ```
//! use std::sync::Arc;
//! use amqp10::eventhubs::checkpoint::{MemoryCheckpointStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = Arc::new(MemoryCheckpointStore::new());
//! if let Err(failures) = conformance::check(store).await {
//!     panic!("the store is not fit for processors:\n{failures}");
//! }
//! # }
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Checkpoint, CheckpointStore, ConsumerGroupId, Ownership, StoreError};

/// How many claim the same record at once.
const RIVALS: usize = 16;

/// How many partitions the largest group of the test has.
const MANY: usize = 100;

/// A case that a store failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What was tried, as a sentence that is true of a good store.
    pub case: &'static str,
    /// What a good store does.
    pub expected: String,
    /// What this one did.
    pub found: String,
}

/// All cases that a store failed; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// The cases one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Failure> {
        self.0.iter()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            expected,
            found,
        } = self;
        write!(f, "{case}: expected {expected}, found {found}")
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failure) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{failure}")?;
        }
        Ok(())
    }
}

impl Error for Failures {}

/// Runs all cases against a store, each in a group with a name that was never used before: the store may hold other records,
/// and those of the test stay in it, some three hundred.
///
/// Rivals claim from tasks of their own; on a runtime of several threads they meet for real.
///
/// # Errors
///
/// The cases that failed, each with what was expected and what was found.
///
/// # Cancel safety
///
/// Dropped, the rest is not run. Nothing but records is left behind.
pub async fn check(store: Arc<dyn CheckpointStore>) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for (case, run) in CASES {
        let unused = uuid::Uuid::new_v4().simple();
        let trial = Trial {
            group: ConsumerGroupId::new("conformance.example", format!("Hub-{unused}"), "$Default"),
            store: store.clone(),
        };
        if let Err(Mismatch { expected, found }) = run(trial).await {
            failures.push(Failure {
                case,
                expected,
                found,
            });
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Failures(failures)),
    }
}

type Outcome = Result<(), Mismatch>;
type Run = fn(Trial) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The cases, each true of a good store.
const CASES: [(&str, Run); 16] = [
    ("an unknown group has no records", |trial| {
        Box::pin(unknown_group(trial))
    }),
    ("no claims change nothing", |trial| {
        Box::pin(no_claims(trial))
    }),
    ("a claim without version makes the first record", |trial| {
        Box::pin(first_claim(trial))
    }),
    ("a claim without version loses against a record", |trial| {
        Box::pin(claim_of_the_owned(trial))
    }),
    (
        "a claim on the stored version takes the partition",
        |trial| Box::pin(steal(trial)),
    ),
    ("a claim on an older version is left out", |trial| {
        Box::pin(stale_claim(trial))
    }),
    ("a claim on a version that never was is left out", |trial| {
        Box::pin(claim_of_nothing(trial))
    }),
    (
        "every write gives a version that was never there",
        |trial| Box::pin(versions(trial)),
    ),
    ("each claim of a call is decided by itself", |trial| {
        Box::pin(mixed_claims(trial))
    }),
    ("an empty owner gives the partition up", |trial| {
        Box::pin(release(trial))
    }),
    ("of rivals for a new partition one wins", |trial| {
        Box::pin(race_for_the_new(trial))
    }),
    ("of rivals for a version one wins", |trial| {
        Box::pin(race_for_the_owned(trial))
    }),
    ("the last writer of a checkpoint wins", |trial| {
        Box::pin(last_checkpoint(trial))
    }),
    ("checkpoints and ownerships do not touch", |trial| {
        Box::pin(records_apart(trial))
    }),
    ("groups are told apart, but not by case", |trial| {
        Box::pin(names(trial))
    }),
    ("all records of a large group are listed", |trial| {
        Box::pin(many(trial))
    }),
];

/// A store, and a group that nobody has used yet.
struct Trial {
    store: Arc<dyn CheckpointStore>,
    group: ConsumerGroupId,
}

/// What a case found in place of what it expected.
struct Mismatch {
    expected: String,
    found: String,
}

impl From<StoreError> for Mismatch {
    fn from(error: StoreError) -> Self {
        Self {
            expected: "no error".into(),
            found: error.to_string(),
        }
    }
}

fn expect<T: PartialEq + fmt::Debug>(found: T, expected: T) -> Outcome {
    expect_that(found == expected, &format!("{expected:?}"), found)
}

fn expect_that(holds: bool, expected: &str, found: impl fmt::Debug) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(Mismatch {
            expected: expected.to_owned(),
            found: format!("{found:?}"),
        }),
    }
}

impl Trial {
    async fn claim(&self, claims: Vec<Ownership>) -> Result<Vec<Ownership>, StoreError> {
        self.store.claim_ownerships(&self.group, claims).await
    }

    /// A claim that must succeed.
    async fn win(&self, claim: Ownership) -> Result<Ownership, Mismatch> {
        let (partition, owner) = (claim.partition.clone(), claim.owner.clone());
        let mut won = self.claim(vec![claim]).await?;
        let complete = won.iter().all(|record| {
            (&record.partition, &record.owner) == (&partition, &owner)
                && record.etag.is_some()
                && record.last_modified.is_some()
        });
        match won.pop() {
            Some(record) if won.is_empty() && complete => Ok(record),
            last => Err(Mismatch {
                expected: format!("a record of {owner:?} with version and time"),
                found: format!("{won:?} {last:?}"),
            }),
        }
    }

    /// A claim that must be left out.
    async fn lose(&self, claim: Ownership) -> Outcome {
        expect(self.claim(vec![claim]).await?, vec![])
    }

    async fn ownerships(&self) -> Result<Vec<Ownership>, StoreError> {
        let mut records = self.store.list_ownerships(&self.group).await?;
        records.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(records)
    }

    /// The one ownership of the group.
    async fn ownership(&self) -> Result<Ownership, Mismatch> {
        match <[Ownership; 1]>::try_from(self.ownerships().await?) {
            Ok([record]) => Ok(record),
            Err(records) => Err(Mismatch {
                expected: "one ownership".into(),
                found: format!("{records:?}"),
            }),
        }
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let mut records = self.store.list_checkpoints(&self.group).await?;
        records.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(records)
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let group = &self.group;
        self.store.update_checkpoint(group, checkpoint).await
    }

    /// The same store, another group.
    fn sibling(&self, change: impl FnOnce(&mut ConsumerGroupId)) -> Self {
        let mut group = self.group.clone();
        change(&mut group);
        Self {
            store: self.store.clone(),
            group,
        }
    }

    /// Lets rivals make this claim at the same time. One must win, and the store must hold what the winner was given.
    async fn race(&self, claim: impl Fn(String) -> Ownership) -> Outcome {
        let mut rivals = JoinSet::new();
        for rival in 0..RIVALS {
            let (store, group) = (self.store.clone(), self.group.clone());
            let claim = claim(format!("rival-{rival}"));
            rivals.spawn(async move { store.claim_ownerships(&group, vec![claim]).await });
        }
        let mut winners = Vec::new();
        while let Some(ended) = rivals.join_next().await {
            let won = ended.map_err(|panicked| Mismatch {
                expected: "no panic".into(),
                found: panicked.to_string(),
            })?;
            winners.extend(won?);
        }
        expect_that(winners.len() == 1, "one winner", &winners)?;
        expect(winners, self.ownerships().await?)
    }
}

async fn unknown_group(trial: Trial) -> Outcome {
    expect(trial.ownerships().await?, vec![])?;
    expect(trial.checkpoints().await?, vec![])
}

async fn no_claims(trial: Trial) -> Outcome {
    expect(trial.claim(vec![]).await?, vec![])?;
    expect(trial.ownerships().await?, vec![])
}

async fn first_claim(trial: Trial) -> Outcome {
    let won = trial.win(Ownership::new("0", "a1b2-C3/x:y")).await?;
    expect(trial.ownership().await?, won)
}

async fn claim_of_the_owned(trial: Trial) -> Outcome {
    let first = trial.win(Ownership::new("0", "first")).await?;
    trial.lose(Ownership::new("0", "second")).await?;
    trial.lose(Ownership::new("0", "first")).await?;
    expect(trial.ownership().await?, first)
}

async fn steal(trial: Trial) -> Outcome {
    let first = trial.win(Ownership::new("0", "first")).await?;
    let second = trial.win(first.claimed_by("second")).await?;
    expect(trial.ownership().await?, second)
}

async fn stale_claim(trial: Trial) -> Outcome {
    let first = trial.win(Ownership::new("0", "first")).await?;
    let renewed = trial.win(first.claimed_by("first")).await?;
    trial.lose(first.claimed_by("second")).await?;
    trial.lose(first.claimed_by("first")).await?;
    trial.lose(first.claimed_by("")).await?;
    expect(trial.ownership().await?, renewed)
}

async fn claim_of_nothing(trial: Trial) -> Outcome {
    let elsewhere = trial.sibling(|group| group.consumer_group = "elsewhere".into());
    let mut record = elsewhere.win(Ownership::new("0", "first")).await?;
    trial.lose(record.claimed_by("second")).await?;
    expect(trial.ownerships().await?, vec![])?;
    record.partition = "1".into();
    elsewhere.lose(record.claimed_by("second")).await
}

async fn versions(trial: Trial) -> Outcome {
    let mut record = trial.win(Ownership::new("0", "owner-0")).await?;
    let mut seen = vec![record.etag.clone()];
    for write in 1..6 {
        // Twice by each, and once given up.
        let owner = match write {
            3 => String::new(),
            _ => format!("owner-{}", write / 2),
        };
        let before = record.last_modified;
        record = trial.win(record.claimed_by(owner)).await?;
        let fresh = !seen.contains(&record.etag);
        expect_that(fresh, &format!("a version other than {seen:?}"), &record)?;
        let later = record.last_modified >= before;
        expect_that(later, &format!("a time not before {before:?}"), &record)?;
        seen.push(record.etag.clone());
    }
    Ok(())
}

async fn mixed_claims(trial: Trial) -> Outcome {
    let stale = trial.win(Ownership::new("0", "first")).await?;
    let kept = trial.win(stale.claimed_by("first")).await?;
    let stolen = trial.win(Ownership::new("1", "first")).await?;
    let claims = vec![
        stale.claimed_by("second"),
        stolen.claimed_by("second"),
        Ownership::new("2", "second"),
    ];
    let mut won = trial.claim(claims).await?;
    won.sort_by(|a, b| a.partition.cmp(&b.partition));
    let partitions: Vec<_> = won.iter().map(|record| record.partition.as_str()).collect();
    expect(partitions, vec!["1", "2"])?;
    won.insert(0, kept);
    expect(trial.ownerships().await?, won)
}

async fn release(trial: Trial) -> Outcome {
    let owned = trial.win(Ownership::new("0", "first")).await?;
    let free = trial.win(owned.claimed_by("")).await?;
    expect(trial.ownership().await?, free.clone())?;
    trial.lose(Ownership::new("0", "second")).await?;
    trial.lose(owned.claimed_by("second")).await?;
    let taken = trial.win(free.claimed_by("second")).await?;
    expect(trial.ownership().await?, taken)
}

async fn race_for_the_new(trial: Trial) -> Outcome {
    trial.race(|rival| Ownership::new("0", rival)).await
}

async fn race_for_the_owned(trial: Trial) -> Outcome {
    let owned = trial.win(Ownership::new("0", "first")).await?;
    for _ in 0..4 {
        let version = trial.ownership().await?;
        trial.race(|rival| version.claimed_by(rival)).await?;
    }
    let version = trial.ownership().await?;
    expect_that(version.etag != owned.etag, "another version", version)
}

async fn last_checkpoint(trial: Trial) -> Outcome {
    // Backwards too: a reader may be told to start over.
    for (offset, number) in [("100", 1), ("3:900:9000", 90), ("200", 2)] {
        let checkpoint = Checkpoint::new("0", offset, number);
        trial.checkpoint(checkpoint.clone()).await?;
        expect(trial.checkpoints().await?, vec![checkpoint])?;
    }
    let last = Checkpoint::new("0", "300", i64::MAX);
    trial.checkpoint(last.clone()).await?;
    trial.checkpoint(last.clone()).await?;
    expect(trial.checkpoints().await?, vec![last])
}

async fn records_apart(trial: Trial) -> Outcome {
    let checkpoint = Checkpoint::new("0", "100", 1);
    trial.checkpoint(checkpoint.clone()).await?;
    expect(trial.ownerships().await?, vec![])?;
    let owned = trial.win(Ownership::new("0", "first")).await?;
    expect(trial.checkpoints().await?, vec![checkpoint])?;
    let moved = Checkpoint::new("0", "200", 2);
    trial.checkpoint(moved.clone()).await?;
    expect(trial.ownership().await?, owned.clone())?;
    trial.win(owned.claimed_by("first")).await?;
    expect(trial.checkpoints().await?, vec![moved])
}

async fn names(trial: Trial) -> Outcome {
    let base = trial.group.clone();
    let groups = [
        trial.sibling(|group| group.hub.push_str("-a.b")),
        trial.sibling(|group| group.hub.push_str("-a_b")),
        trial.sibling(|group| group.consumer_group = "a.b-c_d".into()),
        trial.sibling(|group| group.namespace = "other.example".into()),
    ];
    for (number, group) in (0..).zip(&groups) {
        group.win(Ownership::new("0", number.to_string())).await?;
        group
            .checkpoint(Checkpoint::new("0", "100", number))
            .await?;
    }
    for (number, group) in (0..).zip(&groups) {
        expect(group.ownership().await?.owner, number.to_string())?;
        let checkpoint = Checkpoint::new("0", "100", number);
        expect(group.checkpoints().await?, vec![checkpoint])?;
    }
    // The service does not tell names by case, and clients spell `$Default` in several ways.
    let upper = trial.sibling(|group| {
        group.namespace = base.namespace.to_uppercase();
        group.hub = base.hub.to_uppercase();
        group.consumer_group = base.consumer_group.to_uppercase();
    });
    let lower = trial.sibling(|group| {
        group.hub = base.hub.to_lowercase();
        group.consumer_group = base.consumer_group.to_lowercase();
    });
    let owned = upper.win(Ownership::new("0", "Owner")).await?;
    let checkpoint = Checkpoint::new("0", "100", 1);
    lower.checkpoint(checkpoint.clone()).await?;
    for spelling in [&trial, &upper, &lower] {
        expect(spelling.ownership().await?, owned.clone())?;
        expect(spelling.checkpoints().await?, vec![checkpoint.clone()])?;
    }
    lower.win(owned.claimed_by("second")).await?;
    Ok(())
}

async fn many(trial: Trial) -> Outcome {
    let ids: Vec<_> = (0..MANY).map(|id| id.to_string()).collect();
    let claims = ids.iter().map(|id| Ownership::new(id.as_str(), "me"));
    let won = trial.claim(claims.collect()).await?;
    expect_that(won.len() == MANY, "all claims won", won.len())?;
    for id in &ids {
        let checkpoint = Checkpoint::new(id.as_str(), "100", 1);
        trial.checkpoint(checkpoint).await?;
    }
    let mut sorted = ids;
    sorted.sort();
    let owned = trial.ownerships().await?.into_iter();
    expect(
        owned.map(|record| record.partition).collect(),
        sorted.clone(),
    )?;
    let checkpoints = trial.checkpoints().await?.into_iter();
    expect(checkpoints.map(|record| record.partition).collect(), sorted)
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryCheckpointStore, StoreFuture};
    use super::*;

    /// A store that spoils what a good one does.
    struct Spoiled {
        good: MemoryCheckpointStore,
        spoil_claims: fn(Vec<Ownership>, Vec<Ownership>) -> Vec<Ownership>,
        keep_case: bool,
    }

    impl Spoiled {
        fn group(&self, group: &ConsumerGroupId) -> ConsumerGroupId {
            let mut group = group.clone();
            if self.keep_case && group.hub.contains('H') {
                group.hub.push_str("-upper");
            }
            group
        }
    }

    impl CheckpointStore for Spoiled {
        fn list_ownerships<'a>(
            &'a self,
            group: &'a ConsumerGroupId,
        ) -> StoreFuture<'a, Vec<Ownership>> {
            Box::pin(async move { self.good.list_ownerships(&self.group(group)).await })
        }

        fn claim_ownerships<'a>(
            &'a self,
            group: &'a ConsumerGroupId,
            claims: Vec<Ownership>,
        ) -> StoreFuture<'a, Vec<Ownership>> {
            Box::pin(async move {
                let stored = self.list_ownerships(group).await?;
                let claims = (self.spoil_claims)(claims, stored);
                self.good.claim_ownerships(&self.group(group), claims).await
            })
        }

        fn list_checkpoints<'a>(
            &'a self,
            group: &'a ConsumerGroupId,
        ) -> StoreFuture<'a, Vec<Checkpoint>> {
            Box::pin(async move { self.good.list_checkpoints(&self.group(group)).await })
        }

        fn update_checkpoint<'a>(
            &'a self,
            group: &'a ConsumerGroupId,
            checkpoint: Checkpoint,
        ) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.good
                    .update_checkpoint(&self.group(group), checkpoint)
                    .await
            })
        }
    }

    async fn failed_cases(store: Spoiled) -> Vec<&'static str> {
        let failures = check(Arc::new(store)).await.unwrap_err();
        assert!(failures.to_string().contains("expected"), "{failures}");
        failures.iter().map(|failure| failure.case).collect()
    }

    #[tokio::test]
    async fn a_store_that_ignores_versions_is_found_out() {
        let failed = failed_cases(Spoiled {
            good: MemoryCheckpointStore::new(),
            spoil_claims: |claims, stored| {
                let now = |claim: &Ownership| {
                    let same = |record: &&Ownership| record.partition == claim.partition;
                    stored.iter().find(same)?.etag.clone()
                };
                let current = |claim: Ownership| Ownership {
                    etag: now(&claim),
                    ..claim
                };
                claims.into_iter().map(current).collect()
            },
            keep_case: false,
        });
        let failed = failed.await;
        for case in [
            "a claim without version loses against a record",
            "a claim on an older version is left out",
            "each claim of a call is decided by itself",
            "of rivals for a version one wins",
        ] {
            assert!(failed.contains(&case), "{case}: {failed:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_tells_names_by_case_is_found_out() {
        let failed = failed_cases(Spoiled {
            good: MemoryCheckpointStore::new(),
            spoil_claims: |claims, _| claims,
            keep_case: true,
        });
        assert_eq!(failed.await, ["groups are told apart, but not by case"]);
    }
}
