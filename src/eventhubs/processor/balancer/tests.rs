//! The balancer among others of its kind: processors that join, leave, stall and lose claims, in any order.

use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);
const EXPIRATION: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|id| id.to_string()).collect()
}

/// A record that is so many seconds old at second 1000.
fn record(partition: usize, owner: &str, age: u64) -> Ownership {
    Ownership {
        etag: Some(format!("v{partition}")),
        last_modified: Some(at(1000 - age)),
        ..Ownership::new(partition.to_string(), owner)
    }
}

fn claimed(partitions: usize, ownerships: &[Ownership], strategy: LoadBalancing) -> Vec<Ownership> {
    let view = View {
        partitions: &ids(partitions),
        ownerships,
        owner: "me",
        now: at(1000),
        expiration: EXPIRATION,
        unchanged: &HashMap::new(),
        avoided: &HashSet::new(),
    };
    view.claims(strategy, &Random::new(Some(1)))
}

/// Records of the owners, each with so many partitions.
fn held(counts: &[(&str, usize)]) -> Vec<Ownership> {
    let owners = counts
        .iter()
        .flat_map(|(owner, count)| std::iter::repeat_n(*owner, *count));
    (0..)
        .zip(owners)
        .map(|(id, owner)| record(id, owner, 1))
        .collect()
}

#[test]
fn how_many_are_taken_follows_from_the_shares() {
    // partitions, who holds how many, taken at once
    type Row = (usize, &'static [(&'static str, usize)], usize);
    let table: &[Row] = &[
        (4, &[], 4),
        (4, &[("me", 4)], 0),
        (4, &[("a", 4)], 2),
        (5, &[("a", 5)], 2),
        (5, &[("a", 3), ("me", 2)], 0),
        (5, &[("a", 2), ("me", 2)], 1),
        (5, &[("a", 2)], 3),
        (5, &[("a", 3)], 2),
        (5, &[("a", 4), ("me", 1)], 1),
        (8, &[("a", 4), ("b", 4)], 2),
        (8, &[("a", 3), ("b", 3), ("me", 2)], 0),
        // The third has one too many, and another should have it.
        (8, &[("a", 4), ("b", 3), ("me", 1)], 1),
        (5, &[("a", 3), ("b", 1), ("me", 1)], 1),
        (2, &[("a", 1), ("b", 1)], 0),
        (1, &[("a", 1)], 0),
        (0, &[], 0),
    ];
    for (partitions, counts, taken) in table {
        let greedy = claimed(*partitions, &held(counts), LoadBalancing::Greedy);
        assert_eq!(greedy.len(), *taken, "{partitions} {counts:?}: {greedy:?}");
        let balanced = claimed(*partitions, &held(counts), LoadBalancing::Balanced);
        assert_eq!(balanced.len(), 1.min(*taken), "{partitions} {counts:?}");
    }
}

#[test]
fn given_up_and_expired_records_are_free_at_once_and_claimed_by_their_version() {
    let records = [
        record(0, "", 1),
        record(1, "gone", 61),
        record(2, "alive", 60),
        // Its clock is ahead of ours.
        Ownership {
            last_modified: Some(at(9999)),
            ..record(3, "ahead", 0)
        },
    ];
    let mut claims = claimed(4, &records, LoadBalancing::Greedy);
    claims.sort_by(|a, b| a.partition.cmp(&b.partition));
    let expected = [records[0].claimed_by("me"), records[1].claimed_by("me")];
    assert_eq!(claims[..1], expected[..1]);
    // Three owners are alive, so one of the two is enough; no record of the living is touched.
    assert!(
        claims.iter().all(|claim| expected.contains(claim)),
        "{claims:?}"
    );
}

#[test]
fn a_record_that_stays_unchanged_expires_whatever_its_time_says() {
    let ahead = |last_modified| Ownership {
        last_modified,
        ..record(0, "ahead", 0)
    };
    for (last_modified, seconds, taken) in [
        (Some(at(9999)), 60, 0),
        (Some(at(9999)), 61, 1),
        (None, 60, 0),
        (None, 61, 1),
        (Some(at(1000)), 61, 1),
    ] {
        let unchanged = HashMap::from([("0".to_owned(), Duration::from_secs(seconds))]);
        let view = View {
            partitions: &ids(1),
            ownerships: &[ahead(last_modified)],
            owner: "me",
            now: at(1000),
            expiration: EXPIRATION,
            unchanged: &unchanged,
            avoided: &HashSet::new(),
        };
        let claims = view.claims(LoadBalancing::Greedy, &Random::new(Some(1)));
        assert_eq!(claims.len(), taken, "{last_modified:?} {seconds}");
    }
}

#[test]
fn avoided_partitions_and_those_of_other_hubs_are_left() {
    let records = [record(0, "a", 1), record(7, "b", 1), record(1, "", 1)];
    let avoided = HashSet::from(["1".to_owned(), "2".to_owned()]);
    let view = View {
        partitions: &ids(4),
        ownerships: &records,
        owner: "me",
        now: at(1000),
        expiration: EXPIRATION,
        unchanged: &HashMap::new(),
        avoided: &avoided,
    };
    let claims = view.claims(LoadBalancing::Greedy, &Random::new(Some(1)));
    assert_eq!(claims, [Ownership::new("3", "me")]);
}

#[test]
fn all_records_with_the_own_name_are_renewed() {
    let records = [record(0, "me", 1), record(1, "me", 999), record(2, "a", 1)];
    let view = View {
        partitions: &ids(3),
        ownerships: &records,
        owner: "me",
        now: at(1000),
        expiration: EXPIRATION,
        unchanged: &HashMap::new(),
        avoided: &HashSet::from(["0".to_owned()]),
    };
    let expected = [records[0].claimed_by("me"), records[1].claimed_by("me")];
    assert_eq!(view.renewals(), expected);
}

/// What a run of processors over one store does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    /// Gives up all it owns, and is gone.
    Leave(usize),
    /// Is gone, and its records stay.
    Die(usize),
    /// Looks at the store and decides, but does not act yet.
    Look(usize),
    /// Claims what it decided on, however old that is.
    Claim(usize),
    /// Its claims are lost on their way to the store.
    LoseClaims(usize),
    /// Looks and claims without anything in between.
    Cycle(usize),
    /// Time passes, in which all stall that do nothing.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..6_usize;
    let step = prop_oneof![
        2 => Just(Step::Join),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Die),
        4 => who.clone().prop_map(Step::Look),
        4 => who.clone().prop_map(Step::Claim),
        1 => who.clone().prop_map(Step::LoseClaims),
        6 => who.prop_map(Step::Cycle),
        2 => (1..40_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

struct World {
    partitions: Vec<String>,
    strategy: LoadBalancing,
    random: Random,
    seconds: u64,
    store: BTreeMap<String, Ownership>,
    versions: u64,
    /// The living, with what they decided on.
    alive: Vec<(String, Vec<Ownership>)>,
    joined: usize,
    /// Partitions that were taken from a living owner.
    stolen: usize,
}

impl World {
    fn new(partitions: usize, strategy: LoadBalancing, seed: u64) -> Self {
        Self {
            partitions: ids(partitions),
            strategy,
            random: Random::new(Some(seed)),
            seconds: 0,
            store: BTreeMap::new(),
            versions: 0,
            alive: Vec::new(),
            joined: 0,
            stolen: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join if self.alive.len() < 6 => {
                self.alive.push((format!("p{}", self.joined), vec![]));
                self.joined += 1;
            }
            Step::Leave(index) if index < self.alive.len() => {
                let (owner, _) = self.alive.swap_remove(index);
                let held = self.store.values().filter(|record| record.owner == owner);
                let released = held.map(|record| record.claimed_by("")).collect();
                self.write(released);
            }
            Step::Die(index) if index < self.alive.len() => {
                self.alive.swap_remove(index);
            }
            Step::Look(index) if index < self.alive.len() => {
                let owner = self.alive[index].0.clone();
                self.alive[index].1 = self.decide(&owner);
            }
            Step::Claim(index) if index < self.alive.len() => {
                let claims = std::mem::take(&mut self.alive[index].1);
                self.write(claims);
            }
            Step::LoseClaims(index) if index < self.alive.len() => self.alive[index].1.clear(),
            Step::Cycle(index) => {
                self.take(Step::Look(index));
                self.take(Step::Claim(index));
            }
            Step::Wait(seconds) => self.seconds += seconds,
            _ => {}
        }
    }

    fn decide(&self, owner: &str) -> Vec<Ownership> {
        let ownerships: Vec<_> = self.store.values().cloned().collect();
        let view = View {
            partitions: &self.partitions,
            ownerships: &ownerships,
            owner,
            now: at(self.seconds),
            expiration: EXPIRATION,
            unchanged: &HashMap::new(),
            avoided: &HashSet::new(),
        };
        let mut claims = view.renewals();
        claims.extend(view.claims(self.strategy, &self.random));
        let unique: HashSet<_> = claims.iter().map(|claim| &claim.partition).collect();
        assert_eq!(unique.len(), claims.len(), "claimed twice: {claims:?}");
        claims
    }

    fn write(&mut self, claims: Vec<Ownership>) {
        for claim in claims {
            let stored = self.store.get(&claim.partition);
            if claim.etag != stored.and_then(|record| record.etag.clone()) {
                continue;
            }
            let before = stored.map(|record| record.owner.as_str());
            let robbed = |(owner, _): &(String, _)| Some(owner.as_str()) == before;
            if before != Some(&claim.owner) && self.alive.iter().any(robbed) {
                self.stolen += 1;
            }
            self.versions += 1;
            let record = Ownership {
                etag: Some(self.versions.to_string()),
                last_modified: Some(at(self.seconds)),
                ..claim
            };
            self.store.insert(record.partition.clone(), record);
        }
    }

    /// All cycle once in each interval, in any order: one after the other, or all looking before the first one acts.
    fn cycle_all(&mut self, rounds: usize, at_once: bool) {
        for _ in 0..rounds {
            self.seconds += INTERVAL.as_secs();
            if at_once {
                (0..self.alive.len()).for_each(|index| self.take(Step::Look(index)));
            }
            let mut waiting = (0..self.alive.len()).collect();
            while !Vec::is_empty(&waiting) {
                let index = take_any(&mut waiting, &self.random);
                self.take(match at_once {
                    true => Step::Claim(index),
                    false => Step::Cycle(index),
                });
            }
        }
    }

    /// How many partitions each of the living has.
    fn counts(&self) -> Vec<usize> {
        let owned_by = |owner: &str| {
            self.store
                .values()
                .filter(|record| record.owner == owner)
                .count()
        };
        self.alive
            .iter()
            .map(|(owner, _)| owned_by(owner))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happened, once it is over: every partition has one owner, who is alive; the shares differ by one at most; few
    /// partitions change hands on the way; and then there is rest.
    #[test]
    fn processors_come_to_rest_with_fair_shares(
        partitions in 0..24_usize,
        greedy in any::<bool>(),
        at_once in any::<bool>(),
        seed in any::<u64>(),
        steps in steps(),
    ) {
        let strategy = if greedy { LoadBalancing::Greedy } else { LoadBalancing::Balanced };
        let mut world = World::new(partitions, strategy, seed);
        world.take(Step::Join);
        steps.into_iter().for_each(|step| world.take(step));
        if world.alive.is_empty() {
            world.take(Step::Join);
        }
        world.alive.iter_mut().for_each(|(_, decided)| decided.clear());

        world.stolen = 0;
        let expiry = (EXPIRATION.as_secs() / INTERVAL.as_secs()) as usize + 1;
        let rounds = if greedy { 10 } else { partitions + 10 };
        world.cycle_all(expiry + rounds, at_once);

        let counts = world.counts();
        prop_assert_eq!(counts.iter().sum::<usize>(), partitions, "{:?}", counts);
        let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
        prop_assert!(spread <= 1, "{:?}", counts);
        // Those who all decide from one view take from each other what each alone would not have taken.
        let moves = if at_once { 4 } else { 3 };
        prop_assert!(world.stolen <= moves * partitions, "{} stolen", world.stolen);

        world.stolen = 0;
        world.cycle_all(20, at_once);
        prop_assert_eq!(world.stolen, 0);
        prop_assert_eq!(world.counts(), counts);
    }

    /// One that joins those at rest takes its share and nothing more; when it leaves, the others share it.
    #[test]
    fn a_newcomer_moves_no_more_than_its_share(
        partitions in 1..24_usize,
        others in 1..6_usize,
        greedy in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let strategy = if greedy { LoadBalancing::Greedy } else { LoadBalancing::Balanced };
        let mut world = World::new(partitions, strategy, seed);
        (0..others).for_each(|_| world.take(Step::Join));
        world.cycle_all(2 * partitions + 10, false);

        world.stolen = 0;
        let newcomer = world.alive.len();
        world.alive.push(("newcomer".into(), vec![]));
        world.cycle_all(partitions + 1, false);
        let share = world.counts()[newcomer];
        prop_assert!(share == partitions / (others + 1), "{:?}", world.counts());
        prop_assert_eq!(world.stolen, share);

        world.stolen = 0;
        world.take(Step::Leave(newcomer));
        world.cycle_all(partitions + 1, false);
        prop_assert_eq!(world.stolen, 0);
        prop_assert_eq!(world.counts().iter().sum::<usize>(), partitions);
    }
}
