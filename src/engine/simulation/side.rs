//! One engine with the application that uses it and the driver that feeds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::super::{ConnectionSettings, Engine, Key, Layout, Limits, LinkKey};
use super::ledger::Ledger;
use super::links::HeldLink;
use super::random::Random;
use super::referee::Referee;
use super::termini::Terminus;
use super::transactions::{OwnTransaction, Work};
use super::waits::{Wait, Want};
use super::wire::Wire;
use crate::codec::frame::{decode_amqp, split};
use crate::codec::{Attach, Begin, Open, Performative, Str, Symbol};
use crate::error::ConnectionError;

/// Reasons that the simulated applications give.
pub(super) const WANTED: Symbol = Symbol::from_static("simulation:wanted");
/// How long an engine waits for the other side to say anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A session that this side began.
pub(super) struct BegunSession {
    pub(super) key: Key,
    pub(super) is_begun: bool,
}

pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) engine: Engine,
    pub(super) referee: Referee,
    /// Taken out of the engine and not yet handed to the stream.
    driver: BytesMut,
    /// Handed to the stream and not yet read by the other side.
    pub(super) wire: Wire,
    input: BytesMut,
    max_frame_size: u32,
    output_bound: usize,
    pub(super) sessions: Vec<BegunSession>,
    pub(super) links: Vec<HeldLink>,
    pub(super) undecided: Vec<(LinkKey, Arc<Attach>)>,
    pub(super) waits: Vec<Wait>,
    /// What outlives the connection.
    pub(super) termini: BTreeMap<Str, Terminus>,
    /// Transactions that this side declared.
    pub(super) transactions: Vec<OwnTransaction>,
    /// What the other side does in transactions that this side coordinates.
    pub(super) work: Vec<Work>,
    /// Why the connection may end without that being a fault.
    pub(super) may_end: bool,
    /// Nothing that the other side says gets here.
    pub(super) hears_nothing: bool,
}

impl Side {
    pub(super) fn new(name: &'static str, random: &mut Random, now: Instant) -> Self {
        let max_frame_size = random.pick(&[512, 512, 700, 4096, 65_536]);
        let limits = limits(random);
        let window = random.pick(&[1, 2, 3, 7, 2048]);
        let settings = settings(name, max_frame_size, window);
        let mut side = Self {
            name,
            engine: Engine::new(settings, limits, Layout::Short, now),
            referee: Referee::new(name),
            driver: BytesMut::new(),
            wire: Wire::default(),
            input: BytesMut::new(),
            max_frame_size,
            output_bound: limits.max_output_bytes + 2 * 65_536 + (64 << 10),
            sessions: Vec::new(),
            links: Vec::new(),
            undecided: Vec::new(),
            waits: Vec::new(),
            termini: BTreeMap::new(),
            transactions: Vec::new(),
            work: Vec::new(),
            may_end: false,
            hears_nothing: false,
        };
        side.call(Engine::open);
        side.wait(Want::Opened);
        side.wait(Want::IncomingLink);
        side
    }

    /// A new connection, after the one before has ended: only termini live on.
    pub(super) fn reconnect(&mut self, ledger: &mut Ledger, random: &mut Random, now: Instant) {
        while let Some(link) = self.links.first() {
            let (key, name) = (link.key, link.name.clone());
            match link.is_kept {
                true => assert!(self.collect(&name, ledger), "{}: {name} lives", self.name),
                false => drop(self.drop_link(key, ledger)),
            }
        }
        let tells = self.referee.tells;
        let termini = std::mem::take(&mut self.termini);
        *self = Self {
            termini,
            ..Self::new(self.name, random, now)
        };
        self.referee.tells = tells;
    }

    /// One call as the handles make it: then the due wakers are called, and what is to be dropped is dropped.
    pub(super) fn call<R>(&mut self, command: impl FnOnce(&mut Engine) -> R) -> R {
        let before = self.engine.effects.output.buffer.len();
        let result = command(&mut self.engine);
        let output = &self.engine.effects.output.buffer;
        if output.len() > before {
            self.referee.on_written(&output[before..]);
        }
        let waiting = output.len();
        assert!(
            waiting <= self.output_bound,
            "{}: {waiting} octets wait to be written",
            self.name
        );
        while let Some(waker) = self.engine.pop_waker() {
            waker.wake();
        }
        drop((
            self.engine.take_garbage(),
            self.engine.take_discarded_wakers(),
        ));
        result
    }

    pub(super) fn wait(&mut self, want: Want) {
        self.waits.push(Wait::new(want));
    }

    /// What every future does at its end: nothing of it stays in the engine.
    pub(super) fn forget(&mut self, mut wait: Wait) {
        self.call(|engine| engine.forget_watcher(&mut wait.place));
    }

    // ---- the driver

    /// Flushes and hands at most `octets` to the stream.
    pub(super) fn write(&mut self, octets: usize, now: Instant) -> bool {
        self.call(|engine| {
            engine.handle_timeout(now);
            engine.flush(now);
        });
        if self.driver.is_empty() && self.engine.has_output() {
            let mut output = std::mem::take(&mut self.driver);
            self.call(|engine| engine.take_output(&mut output));
            self.driver = output;
        }
        let octets = octets.min(self.driver.len());
        let handed_over = self.driver.split_to(octets);
        self.wire.write(&handed_over);
        self.call(|engine| engine.handle_written(octets));
        octets > 0 || self.engine.has_due_work()
    }

    /// Reads at most `octets` of what the other side wrote. Now and then a flow asks for an answer, as any may.
    pub(super) fn read(
        &mut self,
        wire: &mut Wire,
        octets: usize,
        now: Instant,
        random: &mut Random,
    ) -> bool {
        if wire.read(octets, &mut self.input) == 0 {
            return false;
        }
        self.call(|engine| engine.handle_activity(now));
        let limit = self.max_frame_size.max(512);
        while let Some(raw) = split(&mut self.input, limit).expect("frames of a sound engine") {
            let mut frame = decode_amqp(raw).expect("a performative of a sound engine");
            if let Some(Performative::Flow(flow)) = &mut frame.performative {
                flow.echo |= random.chance(5);
            }
            self.referee.on_heard(&frame);
            self.call(|engine| engine.handle_frame(frame, now));
        }
        true
    }

    /// The stream breaks. What the driver has not written is gone.
    pub(super) fn cut(&mut self) {
        self.may_end = true;
        self.driver.clear();
        self.input.clear();
        self.wire.clear();
        self.call(|engine| engine.handle_cut(ConnectionError::eof()));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.driver.is_empty()
            && self.wire.is_empty()
            && (!self.engine.has_due_work() || self.engine.is_over())
    }

    /// Octets that the other side could still read, and those that the driver holds.
    pub(super) fn octets_written(&self) -> usize {
        self.driver.len() + self.engine.effects.output.buffer.len()
    }
}

fn limits(random: &mut Random) -> Limits {
    Limits {
        max_output_bytes: random.pick(&[1, 2048, 256 << 10]),
        max_queued_bytes: random.pick(&[600, 5000, 16 << 20]),
        max_unsettled_deliveries: 5000,
        max_abandoned_deliveries: random.pick(&[0, 3, 8192]),
        max_pending_links: 20,
        ..Limits::default()
    }
}

fn settings(name: &'static str, max_frame_size: u32, incoming_window: u32) -> ConnectionSettings {
    ConnectionSettings {
        open: Open {
            container_id: name.into(),
            max_frame_size,
            channel_max: 63,
            idle_time_out: Some(30_000),
            ..Open::default()
        },
        incoming_begin: Begin {
            incoming_window,
            ..Begin::default()
        },
        idle_time_out: Some(PATIENCE),
        operation_timeout: Duration::from_secs(10),
    }
}
