//! How a connection ends, and what has to hold then.

use std::time::Duration;

use super::agreement::{check_complete, queued};
use super::links::End;
use super::side::{PATIENCE, Side};
use super::waits::Want;
use super::world::World;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything is sent, received and settled, then every handle is dropped: both engines must be empty.
    Rest,
    /// One side or both close in the middle of it.
    Close,
    /// The stream breaks at any octet.
    Cut,
    /// Nothing gets through any more, and the clock jumps beyond everybody's patience.
    Silence,
}

pub(super) const ENDINGS: [Ending; 4] = [Ending::Rest, Ending::Close, Ending::Cut, Ending::Silence];

impl World {
    pub(super) fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Rest => self.rest(),
            Ending::Close => self.close(),
            Ending::Cut => self.cut(),
            Ending::Silence => self.fall_silent(),
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
        is_busy |= this.discharge_all(ledger);
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
            if queued(&this.engine, key) > 0 {
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

    /// Attaches the links again that were lost with messages in doubt, until there are none.
    fn resolve_doubts(&mut self) {
        for _ in 0..200 {
            self.drain_all();
            let doubtful = self.sides.each_ref().map(Side::doubtful);
            if doubtful.iter().all(Vec::is_empty) {
                break;
            }
            for (side, numbers) in doubtful.iter().enumerate() {
                for number in numbers {
                    self.attach_again(side, *number);
                }
            }
        }
        for side in &self.sides {
            assert_eq!(side.all_in_doubt(), 0, "{}: messages in doubt", side.name);
        }
    }

    fn attach_again(&mut self, side: usize, number: usize) {
        let Self {
            random,
            ledger,
            sides,
            now,
            ..
        } = self;
        let this = &mut sides[side];
        this.begin(*now, random);
        let Some(session) = this.sessions.last().map(|session| session.key) else {
            return;
        };
        this.attach_kept(session, number, ledger, random);
    }

    fn rest(&mut self) {
        self.resolve_doubts();
        check_complete(&self.sides, &self.ledger);
        for side in &mut self.sides {
            while let Some(link) = side.links.first() {
                let key = link.key;
                drop(side.drop_link(key, &mut self.ledger));
            }
            while let Some(session) = side.sessions.first() {
                let key = session.key;
                side.drop_session(key, &mut self.ledger);
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
        for side in &mut self.sides {
            side.may_end = true;
            side.referee.on_ending();
        }
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

    /// The stream breaks after any octet, in either direction.
    pub(super) fn cut(&mut self) {
        for side in 0..2 {
            let octets = match self.random.chance(20) {
                true => usize::MAX,
                false => self.random.below(2 + self.sides[side].octets_written()),
            };
            self.sides[side].write(octets, self.now);
            let octets = match self.random.chance(20) {
                true => usize::MAX,
                false => self.random.below(2000),
            };
            self.read(1 - side, octets);
        }
        self.sides.iter_mut().for_each(Side::cut);
        self.check_all_ended();
    }

    /// Both hear nothing for longer than they tolerate, give up, and wait for an answer to their close in vain.
    fn fall_silent(&mut self) {
        for side in &mut self.sides {
            side.may_end = true;
            side.hears_nothing = true;
            side.referee.is_given_up = true;
        }
        self.now += PATIENCE + Duration::from_secs(self.random.below(100) as u64);
        for _ in 0..2 {
            for side in &mut self.sides {
                side.write(usize::MAX, self.now);
                side.wire.clear();
            }
            self.now += Duration::from_secs(10);
        }
        for side in &mut self.sides {
            side.write(usize::MAX, self.now);
            assert!(side.engine.is_over(), "{} waits on", side.name);
        }
        self.check_all_ended();
    }

    /// A new connection of the same two applications, after the one before has ended.
    pub(super) fn reconnect(&mut self) {
        self.ledger.counts.connections += 1;
        for side in &mut self.sides {
            side.reconnect(&mut self.ledger, &mut self.random, self.now);
        }
    }

    /// The same, and some links on it.
    pub(super) fn begin_again(&mut self) {
        self.reconnect();
        self.settle_down();
        self.warm_up();
    }

    /// After the end nobody waits, and everybody who did was told.
    fn check_all_ended(&mut self) {
        for side in &mut self.sides {
            side.check_wakes(&mut self.ledger);
            let waiting = side.waits.iter().map(|wait| &wait.want);
            let waiting: Vec<_> = waiting.collect();
            assert!(waiting.is_empty(), "{}: {waiting:?}", side.name);
            assert_eq!(side.engine.effects.wakes.watching(), 0, "{}", side.name);
        }
    }
}
