//! Two sides, the wire between them and the clock.

use std::time::{Duration, Instant};

use super::agreement;
use super::ledger::Ledger;
use super::links::End;
use super::random::Random;
use super::side::Side;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) ledger: Ledger,
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
}

impl World {
    pub(super) fn new(mut random: Random) -> Self {
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

    /// Prints what happens.
    #[cfg(test)]
    pub(super) fn tell(&mut self) {
        self.sides
            .iter_mut()
            .for_each(|side| side.referee.tells = true);
    }

    /// Sessions with some links, so that there is something to work with.
    pub(super) fn warm_up(&mut self) {
        let Self {
            random,
            ledger,
            sides,
            now,
            ..
        } = self;
        for side in sides {
            side.begin(*now, random);
            let Some(session) = side.some_session(random) else {
                continue;
            };
            if random.chance(40) {
                side.attach_control(session, ledger, random);
            }
            (0..random.below(6)).for_each(|_| side.attach(session, ledger, random));
        }
        self.settle_down();
        for side in &mut self.sides {
            while !side.undecided.is_empty() {
                side.answer(0, &mut self.ledger, &mut self.random);
            }
        }
        self.settle_down();
    }

    /// One random operation of one side, or a move of some octets.
    pub(super) fn step(&mut self) {
        let side = self.random.pick(&[0, 1]);
        match self.random.below(100) {
            0..28 => self.transport(side),
            28..30 => self.sides[side].wire.reorder(&mut self.random),
            30..50 => self.wake(side),
            50..63 => self.make_links(side),
            63..94 => self.use_link(side),
            94..97 => {
                let this = &mut self.sides[side];
                if let Some(position) = self.random.position(this.waits.len()) {
                    this.cancel(position, &mut self.ledger);
                }
            }
            97 => self.leave_session(side),
            98 => self.jump(),
            _ => drop(self.sides[side].run(&mut self.ledger)),
        }
    }

    /// Polls one of those who were woken.
    fn wake(&mut self, side: usize) {
        let this = &mut self.sides[side];
        if let Some(position) = self.random.position(this.waits.len())
            && this.waits[position].is_woken()
        {
            this.poll(position, &mut self.ledger);
        }
    }

    fn make_links(&mut self, side: usize) {
        let Self {
            random,
            ledger,
            sides,
            now,
            ..
        } = self;
        let this = &mut sides[side];
        match random.below(13) {
            0..3 => {
                if this.sessions.len() < 3 {
                    this.begin(*now, random);
                }
            }
            3..8 => {
                if let Some(session) = this.some_session(random)
                    && this.links.len() < 8
                {
                    this.attach(session, ledger, random);
                }
            }
            _ => {
                if let Some(position) = random.position(this.undecided.len()) {
                    this.answer(position, ledger, random);
                }
            }
        }
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
        let is_control = matches!(this.links[link].end, End::Controller | End::Coordinator);
        match random.below(100) {
            0..90 if matches!(this.links[link].end, End::Controller) => {
                this.control(link, ledger, random);
            }
            0..93 if is_control => {}
            0..40 => (0..=random.below(4)).for_each(|_| this.send(link, ledger, random)),
            40..65 => this.receive(link, random),
            65..85 => drop(this.settle(link, ledger, random)),
            85..93 => this.add_credit(link, random),
            93..96 => this.drain(link),
            96 if random.chance(50) => this.detach(link, random),
            97 => this.watch(link, random),
            98 => this.leave_link(link, ledger),
            _ => {}
        }
    }

    fn leave_session(&mut self, side: usize) {
        let Self {
            random,
            ledger,
            sides,
            ..
        } = self;
        let this = &mut sides[side];
        let Some(position) = random.position(this.sessions.len()) else {
            return;
        };
        let key = this.sessions[position].key;
        match random.below(6) {
            0 => this.end_session(key, random),
            1 => this.leave_session(key, ledger),
            _ => {}
        }
    }

    /// Some octets go out, and some of what went out arrives.
    pub(super) fn transport(&mut self, side: usize) {
        let Self {
            random, sides, now, ..
        } = self;
        let octets = random.pick(&[0, 1, 7, 100, 1000, usize::MAX]);
        sides[side].write(octets, *now);
        let octets = random.pick(&[0, 1, 7, 100, 1000, usize::MAX]);
        self.read(1 - side, octets);
    }

    /// One side reads what the other wrote.
    pub(super) fn read(&mut self, side: usize, octets: usize) -> bool {
        let Self {
            random, sides, now, ..
        } = self;
        let [client, server] = sides;
        match side {
            0 => client.read(&mut server.wire, octets, *now, random),
            _ => server.read(&mut client.wire, octets, *now, random),
        }
    }

    /// Time passes, less than either side's patience with silence.
    fn jump(&mut self) {
        self.now += Duration::from_millis(self.random.below(9000) as u64);
        self.settle_down();
    }

    /// Moves everything until nothing moves any more.
    pub(super) fn settle_down(&mut self) {
        for turn in 0.. {
            assert!(
                turn < 10_000,
                "the engines never come to rest: {:?}",
                self.sides.each_ref().map(|side| side.engine.has_due_work())
            );
            let mut moved = false;
            for side in 0..2 {
                moved |= self.sides[side].write(usize::MAX, self.now);
            }
            for side in 0..2 {
                moved |= self.read(1 - side, usize::MAX);
            }
            for side in &mut self.sides {
                moved |= side.run(&mut self.ledger);
            }
            if !moved || self.sides.iter().all(Side::is_idle) {
                break;
            }
        }
        for side in &mut self.sides {
            side.check_wakes(&mut self.ledger);
            agreement::check_quotas(&side.engine);
        }
        if self.sides.iter().all(Side::is_idle) {
            agreement::check_views(&self.sides);
        }
    }
}
