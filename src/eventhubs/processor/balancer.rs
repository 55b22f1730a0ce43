//! Who should own what: a pure function from what the store says to the claims that a processor makes next.
//!
//! Every processor decides for itself, from a view of its own that may be old already; the versions of the records decide
//! who wins. All aim at the same shares, so that they come to rest:
//!
//! ```text
//! 8 partitions, 3 processors: each at least 8 / 3 = 2, and 8 mod 3 = 2 of them one more
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::eventhubs::checkpoint::Ownership;
use crate::random::Random;

/// How fast a processor takes its share of the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadBalancing {
    /// One partition each time it looks at the store: fewer partitions change hands while many processors start or stop
    /// one after another, but the last is taken late.
    Balanced,
    /// All at once.
    #[default]
    Greedy,
}

/// What a processor knows when it decides.
pub(super) struct View<'a> {
    /// Ids of all partitions of the hub.
    pub(super) partitions: &'a [String],
    /// The records of the store. Those of other partitions do not count.
    pub(super) ownerships: &'a [Ownership],
    /// The processor that decides.
    pub(super) owner: &'a str,
    pub(super) now: SystemTime,
    /// A record that is older has no owner.
    pub(super) expiration: Duration,
    /// Partitions that the processor does not take now.
    pub(super) avoided: &'a HashSet<String>,
}

impl View<'_> {
    /// The records that are renewed: all that name the processor, even if they have expired.
    pub(super) fn renewals(&self) -> Vec<Ownership> {
        let named = |record: &&Ownership| record.owner == self.owner;
        let own = self.records().filter(named);
        own.map(|record| record.claimed_by(self.owner)).collect()
    }

    /// The claims on partitions of nobody, and on those of others where some hold more than their share. Each claim counts
    /// as won when the next is chosen.
    pub(super) fn claims(&self, strategy: LoadBalancing, random: &Random) -> Vec<Ownership> {
        let mut shares = self.shares();
        let at_most = match strategy {
            LoadBalancing::Balanced => 1,
            LoadBalancing::Greedy => self.partitions.len(),
        };
        std::iter::from_fn(|| shares.take_next(random))
            .take(at_most)
            .collect()
    }

    /// The record of each partition that has one.
    fn records(&self) -> impl Iterator<Item = &Ownership> {
        let known: HashMap<_, _> = self
            .ownerships
            .iter()
            .map(|record| (record.partition.as_str(), record))
            .collect();
        let records = self.partitions.iter();
        records.filter_map(move |partition| known.get(partition.as_str()).copied())
    }

    fn is_owned(&self, record: &Ownership) -> bool {
        let age = record
            .last_modified
            .and_then(|written| self.now.duration_since(written).ok());
        // A record from the future, by our clock, is fresh.
        !record.owner.is_empty() && age.unwrap_or_default() <= self.expiration
    }

    fn shares(&self) -> Shares {
        let mut free: BTreeMap<_, _> = self
            .partitions
            .iter()
            .map(|partition| (partition, Ownership::new(partition.as_str(), self.owner)))
            .collect();
        let mut others = BTreeMap::<_, Vec<_>>::new();
        let mut own = 0;
        for record in self.records() {
            if record.owner == self.owner {
                free.remove(&record.partition);
                own += 1;
            } else if self.is_owned(record) {
                free.remove(&record.partition);
                others.entry(&record.owner).or_default().push(record);
            } else {
                free.insert(&record.partition, record.claimed_by(self.owner));
            }
        }
        let takeable = |claim: &Ownership| !self.avoided.contains(&claim.partition);
        let claim = |record: &&Ownership| record.claimed_by(self.owner);
        Shares {
            partitions: self.partitions.len(),
            own,
            free: free.into_values().filter(takeable).collect(),
            others: others
                .into_values()
                .map(|held| Holding {
                    count: held.len(),
                    claims: held.iter().map(claim).filter(takeable).collect(),
                })
                .collect(),
        }
    }
}

/// Who holds how much.
struct Shares {
    partitions: usize,
    /// How many the deciding processor holds.
    own: usize,
    /// Claims on partitions of nobody.
    free: Vec<Ownership>,
    others: Vec<Holding>,
}

/// What another processor holds.
struct Holding {
    count: usize,
    /// Claims on it.
    claims: Vec<Ownership>,
}

impl Shares {
    /// The next claim, if the processor should have more.
    fn take_next(&mut self, random: &Random) -> Option<Ownership> {
        let spared = self.spared()?;
        let claim = match self.free.is_empty() {
            false => take_any(&mut self.free, random),
            true => self.steal(spared, random)?,
        };
        self.own += 1;
        Some(claim)
    }

    /// How many partitions another processor keeps when this one takes from it; `None` if this one has enough.
    fn spared(&self) -> Option<usize> {
        let owners = self.others.len() + 1;
        let (least, remainder) = (self.partitions / owners, self.partitions % owners);
        if self.own < least {
            return Some(least);
        }
        let with_more = self.others.iter().filter(|held| held.count > least);
        let may_have_more = with_more.count() < remainder;
        (self.own == least && may_have_more).then_some(least + 1)
    }

    /// A claim on a partition of the one that holds the most, if that is more than it may keep.
    fn steal(&mut self, spared: usize, random: &Random) -> Option<Ownership> {
        let most = self.others.iter().map(|held| held.count).max()?;
        let rich = |held: &&mut Holding| held.count == most && !held.claims.is_empty();
        let mut richest: Vec<_> = self.others.iter_mut().filter(rich).collect();
        if most <= spared || richest.is_empty() {
            return None;
        }
        let victim = take_any(&mut richest, random);
        victim.count -= 1;
        Some(take_any(&mut victim.claims, random))
    }
}

/// Takes one by chance. There must be some.
fn take_any<T>(from: &mut Vec<T>, random: &Random) -> T {
    let choices = from.len() as u64;
    from.swap_remove((random.next() % choices) as usize)
}

#[cfg(test)]
mod tests;
