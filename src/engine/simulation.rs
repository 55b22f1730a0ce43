//! Two engines, a clock and a seed: random operations on both sides of a stream that is cut into random pieces.
//!
//! Nothing is checked against what the standard says frame by frame: two sound engines must never find fault with each
//! other, every message must arrive at most once, in order, with the outcome that it was given; every wait must end, and no
//! wake be lost. `AMQP10_SEED=n` replays one run, `AMQP10_SEEDS=n` makes n runs.

mod ledger;
mod poll;
mod random;
mod side;
mod waits;

use std::collections::HashMap;
#[cfg(test)]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::Engine;
use super::key::Key;
use super::link::{Link, LinkEnd};
use super::session::Session;
use crate::codec::{Role, Str};
use ledger::Ledger;
use random::Random;
use side::{End, Side};
use waits::Want;

#[cfg(test)]
const RUNS: u64 = 800;
#[cfg(test)]
const OPERATIONS: usize = 250;
/// Every tenth run goes on for longer.
#[cfg(test)]
const MANY_OPERATIONS: usize = 1500;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Everything is sent, received and settled, then every handle is dropped: both engines must be empty.
    Rest,
    /// One side or both close in the middle of it.
    Close,
    /// The stream breaks at any octet.
    Cut,
}

struct World {
    random: Random,
    ledger: Ledger,
    now: Instant,
    sides: [Side; 2],
}

impl World {
    fn new(mut random: Random) -> Self {
        let now = Instant::now();
        let sides = [
            Side::new("client", &mut random, now),
            Side::new("server", &mut random, now),
        ];
        Self {
            random,
            ledger: Ledger::default(),
            now,
            sides,
        }
    }

    #[cfg(test)]
    fn run(&mut self, ending: Ending) {
        self.settle_down();
        let operations = match self.random.chance(10) {
            true => MANY_OPERATIONS,
            false => OPERATIONS,
        };
        for _ in 0..operations {
            self.step();
        }
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Rest => self.rest(),
            Ending::Close => self.close(),
            Ending::Cut => self.cut(),
        }
    }

    /// One random operation of one side, or a move of some octets.
    fn step(&mut self) {
        let Self {
            random,
            ledger,
            sides,
            ..
        } = self;
        let side = random.pick(&[0, 1]);
        let this = &mut sides[side];
        match random.below(100) {
            0..30 => self.transport(side),
            30..45 => {
                if let Some(position) = random.position(this.waits.len())
                    && this.waits[position].is_woken()
                {
                    this.poll(position, ledger);
                }
            }
            45..50 => drop(this.run(ledger)),
            50..53 => {
                if this.sessions.len() < 3 {
                    this.begin(random);
                }
            }
            53..58 => {
                if let Some(session) = random.position(this.sessions.len())
                    && this.links.len() < 6
                {
                    this.attach(this.sessions[session].key, ledger, random);
                }
            }
            58..63 => {
                if let Some(position) = random.position(this.undecided.len()) {
                    this.answer(position, ledger, random);
                }
            }
            63..94 => self.use_link(side),
            94..97 => {
                if let Some(position) = random.position(this.waits.len()) {
                    this.cancel(position);
                }
            }
            97 => {
                if let Some(session) = random.position(this.sessions.len())
                    && random.chance(30)
                {
                    this.end_session(session, random);
                }
            }
            98 => {
                if let Some(session) = random.position(this.sessions.len())
                    && random.chance(30)
                {
                    this.drop_session(this.sessions[session].key);
                }
            }
            _ => self.jump(),
        }
    }

    /// A session and a link from each side.
    #[cfg(fuzzing)]
    fn establish(&mut self) {
        let Self {
            random,
            ledger,
            sides,
            ..
        } = self;
        for side in sides.iter_mut() {
            side.begin(random);
            let session = side.sessions[0].key;
            side.attach(session, ledger, random);
        }
        self.settle_down();
        for side in 0..2 {
            self.serve(side);
        }
        self.settle_down();
    }

    fn use_link(&mut self, side: usize) {
        let Self {
            random,
            ledger,
            sides,
            ..
        } = self;
        let this = &mut sides[side];
        let Some(link) = random.position(this.links.len()) else {
            return;
        };
        if !this.links[link].is_attached {
            return;
        }
        match random.below(100) {
            0..40 => (0..=random.below(4)).for_each(|_| this.send(link, ledger, random)),
            40..65 => this.receive(link, random),
            65..85 => drop(this.settle(link, ledger, random)),
            85..93 => this.add_credit(link, random),
            93..96 => this.drain(link),
            96 => this.detach(link, random),
            97 => this.watch(link, random),
            _ => {
                let key = this.links[link].key;
                this.drop_link(key);
            }
        }
    }

    /// Some octets go out, and some of what went out arrives.
    fn transport(&mut self, side: usize) {
        let Self {
            random, sides, now, ..
        } = self;
        let octets = random.pick(&[0, 1, 7, 100, 1000, usize::MAX]);
        sides[side].write(octets, *now);
        let octets = random.pick(&[0, 1, 7, 100, 1000, usize::MAX]);
        let [client, server] = sides;
        match side {
            0 => server.read(&mut client.wire, octets, *now),
            _ => client.read(&mut server.wire, octets, *now),
        };
    }

    /// Time passes, less than either side's patience with silence.
    fn jump(&mut self) {
        self.now += Duration::from_millis(self.random.below(9000) as u64);
        self.settle_down();
    }

    /// Moves everything until nothing moves any more.
    fn settle_down(&mut self) {
        for turn in 0.. {
            assert!(
                turn < 10_000,
                "the engines never come to rest: {:?}",
                self.sides.each_ref().map(|side| side.engine.has_due_work())
            );
            let [client, server] = &mut self.sides;
            let mut moved = client.write(usize::MAX, self.now);
            moved |= server.write(usize::MAX, self.now);
            moved |= server.read(&mut client.wire, usize::MAX, self.now);
            moved |= client.read(&mut server.wire, usize::MAX, self.now);
            moved |= client.run(&mut self.ledger);
            moved |= server.run(&mut self.ledger);
            if !moved || (client.is_idle() && server.is_idle()) {
                break;
            }
        }
        for side in &mut self.sides {
            side.check_wakes(&mut self.ledger);
        }
    }

    /// Receives, settles and grants until nothing is under way.
    fn drain_all(&mut self) {
        for _ in 0..2000 {
            self.settle_down();
            let mut is_busy = false;
            for side in 0..2 {
                is_busy |= self.serve(side);
            }
            if !is_busy {
                return;
            }
        }
        panic!("messages are under way for ever");
    }

    /// Answers, receives, settles and grants on all links of one side; false if there was nothing to do.
    fn serve(&mut self, side: usize) -> bool {
        let Self {
            random,
            ledger,
            sides,
            ..
        } = self;
        let mut is_busy = false;
        let is_wanted = sides
            .iter()
            .flat_map(|side| &side.waits)
            .any(|wait| matches!(wait.want, Want::Room { .. }));
        let this = &mut sides[side];
        while !this.undecided.is_empty() {
            this.answer(0, ledger, random);
            is_busy = true;
        }
        for link in 0..this.links.len() {
            if !this.links[link].is_attached
                || !matches!(this.links[link].end, End::Receiver { .. })
            {
                continue;
            }
            while this.settle(link, ledger, random) {
                is_busy = true;
            }
            let key = this.links[link].key;
            if queued(&this.engine, key.session, key.link) > 0 {
                this.cancel_receives(key); // a batch may wait for more than will come
                this.wait(Want::Delivery {
                    link: key,
                    ticket: None,
                });
                is_busy = true;
            }
            if is_wanted && this.engine.link_credit(key) == 0 {
                is_busy |= this.grant(link);
            }
        }
        is_busy
    }

    fn rest(&mut self) {
        self.drain_all();
        self.check_agreement();
        for side in &mut self.sides {
            while let Some(link) = side.links.first() {
                let key = link.key;
                side.drop_link(key);
            }
            while let Some(session) = side.sessions.first() {
                let key = session.key;
                side.drop_session(key);
            }
        }
        self.drain_all();
        for side in &self.sides {
            let sessions: Vec<_> = side.engine.sessions.iter().collect();
            assert!(sessions.is_empty(), "{}: {sessions:#?}", side.name);
        }
    }

    fn close(&mut self) {
        let both = self.random.chance(30);
        let first = self.random.pick(&[0, 1]);
        self.sides.iter_mut().for_each(|side| side.may_end = true);
        self.sides[first].close(self.now);
        for _ in 0..self.random.below(10) {
            let side = self.random.pick(&[0, 1]);
            self.transport(side);
        }
        if both {
            self.sides[1 - first].close(self.now);
        }
        self.settle_down();
        // A close waits for deliveries under way, and the peer's application may take none: that is bounded.
        self.now += Duration::from_secs(10);
        self.settle_down();
        if !self.sides.iter().all(|side| side.engine.is_over()) {
            // A delivery under way, for which the other side makes no room: the deadline of the close ends that.
            self.now += Duration::from_secs(10);
            self.settle_down();
            if self.sides.iter().any(|side| side.engine.is_cut()) {
                self.sides.iter_mut().for_each(Side::cut);
            }
        }
        for side in &self.sides {
            assert!(side.engine.is_over(), "{} is not over", side.name);
        }
        self.check_all_ended();
    }

    fn cut(&mut self) {
        let [client, server] = &mut self.sides;
        let some = [0, 1, 50, 600, usize::MAX];
        client.write(self.random.pick(&some), self.now);
        server.write(self.random.pick(&some), self.now);
        server.read(&mut client.wire, self.random.pick(&some), self.now);
        client.read(&mut server.wire, self.random.pick(&some), self.now);
        client.cut();
        server.cut();
        self.check_all_ended();
    }

    /// After the end nobody waits, and everybody who did was told.
    fn check_all_ended(&mut self) {
        for side in &mut self.sides {
            side.check_wakes(&mut self.ledger);
            let waiting: Vec<_> = side.waits.iter().map(|wait| &wait.want).collect();
            assert!(waiting.is_empty(), "{}: {waiting:?}", side.name);
            assert_eq!(side.engine.effects.wakes.watching(), 0, "{}", side.name);
        }
    }

    /// At rest both sides of every session and link have the same view.
    fn check_agreement(&self) {
        let [client, server] = &self.sides;
        for (_, session) in client.engine.sessions.iter() {
            let Some(channel) = session.incoming_channel else {
                continue;
            };
            let far = server
                .engine
                .sessions
                .iter()
                .find(|(_, far)| {
                    far.outgoing_channel == channel
                        && far.incoming_channel == Some(session.outgoing_channel)
                        && far.endpoint.is_open()
                })
                .map(|(_, far)| far);
            if let Some(far) = far.filter(|_| session.endpoint.is_open()) {
                check_sessions(session, far);
                check_sessions(far, session);
            }
        }
        self.check_complete();
    }

    /// What was sent on a link that lives was received from it.
    fn check_complete(&self) {
        let received: HashMap<u64, &Vec<u64>> = self
            .sides
            .iter()
            .flat_map(|side| &side.links)
            .filter_map(|link| match &link.end {
                End::Receiver { from, received, .. } => Some(((*from)?, received)),
                End::Sender { .. } => None,
            })
            .collect();
        for side in &self.sides {
            for link in &side.links {
                let End::Sender { id, .. } = &link.end else {
                    continue;
                };
                let is_alive = link_of(&side.engine, link.key.session, link.key.link)
                    .is_some_and(Link::is_attached);
                let Some(received) = received.get(id).filter(|_| is_alive) else {
                    continue;
                };
                assert_eq!(
                    **received,
                    self.ledger.committed_by(*id),
                    "{}: sent and received",
                    side.name
                );
            }
        }
    }
}

fn link_of(engine: &Engine, session: Key, link: Key) -> Option<&Link> {
    engine.sessions.get(session)?.links.get(link)
}

fn queued(engine: &Engine, session: Key, link: Key) -> usize {
    match link_of(engine, session, link).map(|link| &link.end) {
        Some(LinkEnd::Receiver(receiver)) => receiver.queue.len(),
        _ => 0,
    }
}

/// What `near` knows of its sending half is what `far` knows of its receiving half.
fn check_sessions(near: &Session, far: &Session) {
    assert_eq!(near.outgoing.unsettled(), 0, "unsettled at the sender");
    assert_eq!(far.incoming.unsettled(), 0, "unsettled at the receiver");
    assert_eq!(
        near.outgoing.window.next_outgoing_id, far.incoming.window.next_incoming_id,
        "transfer-id"
    );
    assert_eq!(
        near.outgoing.window.remote_incoming_window, far.incoming.window.remaining,
        "window"
    );
    assert_eq!(far.incoming.queued_bytes, 0, "octets queued");
    let is_far_end = |name: &Str, link: &Link| link.is_named(name, Role::Receiver);
    for (_, link) in near.links.iter().filter(|(_, link)| link.is_attached()) {
        let LinkEnd::Sender(sender) = &link.end else {
            continue;
        };
        let mut ends = far
            .links
            .iter()
            .filter(|(_, far)| is_far_end(&link.attach.name, far) && far.is_attached());
        let Some((_, Link { end, .. })) = ends.next() else {
            panic!("{} has no far end", link.attach.name);
        };
        let LinkEnd::Receiver(receiver) = end else {
            panic!("{} receives", link.attach.name);
        };
        assert_eq!(
            (sender.credit.delivery_count, sender.credit.link_credit),
            (receiver.credit.delivery_count, receiver.credit.link_credit),
            "credit of {}",
            link.attach.name
        );
    }
}

const ENDINGS: [Ending; 3] = [Ending::Rest, Ending::Close, Ending::Cut];

/// So many choices are enough for anything to happen, and keep a run below a millisecond.
#[cfg(fuzzing)]
const MAX_CHOICES: usize = 512;

/// Operations on both engines, as many as there are choices, and an end. The first octet chooses the end, and whether
/// sessions and links are there to begin with.
#[cfg(fuzzing)]
pub(crate) fn operate(choices: &[u8]) {
    let Some((&first, choices)) = choices.split_first() else {
        return;
    };
    let choices = &choices[..choices.len().min(MAX_CHOICES)];
    let mut world = World::new(Random::of_choices(choices));
    world.settle_down();
    if first & 0x80 != 0 {
        world.establish();
    }
    while world.random.has_choices() {
        world.step();
    }
    world.end(ENDINGS[usize::from(first) % ENDINGS.len()]);
}

#[cfg(test)]
fn run(seed: u64) {
    let ending = ENDINGS[(seed % 3) as usize];
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        World::new(Random::new(seed)).run(ending)
    }));
    if let Err(panic) = outcome {
        eprintln!("the simulation failed with AMQP10_SEED={seed} ({ending:?})");
        resume_unwind(panic);
    }
}

#[cfg(test)]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn two_engines_agree_whatever_happens() {
    match number("AMQP10_SEED") {
        Some(seed) => run(seed),
        None => (0..number("AMQP10_SEEDS").unwrap_or(RUNS)).for_each(run),
    }
}
