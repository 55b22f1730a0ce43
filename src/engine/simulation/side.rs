//! One engine with the application that uses it and the driver that feeds it.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use super::super::{
    ConnectionSettings, Credit, EndSettings, Engine, Key, Layout, Limits, LinkKey, Refusal,
};
use super::ledger::Ledger;
use super::random::Random;
use super::waits::{Wait, Want};
use crate::codec::frame::{decode_amqp, split};
use crate::codec::{
    AmqpError, Attach, DeliveryState, Modified, Open, Outcome, ReceiverSettleMode, Rejected, Role,
    SenderSettleMode, Source, Symbol, Target, TargetArchetype,
};
use crate::error::{ConnectionError, LinkError};

/// Reasons that the simulated applications give.
pub(super) const WANTED: Symbol = Symbol::from_static("simulation:wanted");

/// A session that this side began.
pub(super) struct BegunSession {
    pub(super) key: Key,
    pub(super) is_begun: bool,
}

/// What the receiving application holds and has not settled.
pub(super) struct Held {
    pub(super) message: u64,
    pub(super) delivery_id: u32,
}

pub(super) enum End {
    Sender {
        id: u64,
        snd_settle_mode: SenderSettleMode,
    },
    Receiver {
        held: Vec<Held>,
        /// The sending link that its messages come from.
        from: Option<u64>,
        received: Vec<u64>,
        auto_accept: bool,
    },
}

/// A link as an application holds it.
pub(super) struct HeldLink {
    pub(super) key: LinkKey,
    pub(super) end: End,
    pub(super) is_attached: bool,
    /// It came with a hold on its session.
    pub(super) is_incoming: bool,
}

pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) engine: Engine,
    /// Taken out of the engine and not yet handed to the stream.
    driver: BytesMut,
    /// Handed to the stream and not yet read by the other side.
    pub(super) wire: BytesMut,
    input: BytesMut,
    pub(super) max_frame_size: u32,
    output_bound: usize,
    pub(super) sessions: Vec<BegunSession>,
    pub(super) links: Vec<HeldLink>,
    pub(super) undecided: Vec<(LinkKey, std::sync::Arc<Attach>)>,
    pub(super) waits: Vec<Wait>,
    /// Why the connection may end without that being a fault.
    pub(super) may_end: bool,
}

impl Side {
    pub(super) fn new(name: &'static str, random: &mut Random, now: Instant) -> Self {
        let max_frame_size = random.pick(&[512, 512, 700, 4096, 65_536]);
        let limits = Limits {
            max_output_bytes: random.pick(&[1, 2048, 256 << 10]),
            max_queued_bytes: random.pick(&[600, 5000, 16 << 20]),
            max_unsettled_deliveries: 5000,
            max_abandoned_deliveries: random.pick(&[0, 3, 8192]),
            max_pending_links: 20,
            ..Limits::default()
        };
        let settings = ConnectionSettings {
            open: Open {
                container_id: name.into(),
                max_frame_size,
                channel_max: 63,
                idle_time_out: Some(30_000),
                ..Open::default()
            },
            idle_time_out: Some(Duration::from_secs(60)),
            operation_timeout: Duration::from_secs(10),
        };
        let window = random.pick(&[1, 2, 3, 7, 2048]);
        let mut side = Self {
            name,
            engine: Engine::new(settings, limits, Layout::Short, window, now),
            driver: BytesMut::new(),
            wire: BytesMut::new(),
            input: BytesMut::new(),
            max_frame_size,
            output_bound: limits.max_output_bytes + 2 * 65_536 + (64 << 10),
            sessions: Vec::new(),
            links: Vec::new(),
            undecided: Vec::new(),
            waits: Vec::new(),
            may_end: false,
        };
        side.call(Engine::open);
        side.wait(Want::Opened);
        side.wait(Want::IncomingLink);
        side
    }

    /// One call as the handles make it: then the due wakers are called, and what is to be dropped is dropped.
    pub(super) fn call<R>(&mut self, command: impl FnOnce(&mut Engine) -> R) -> R {
        let result = command(&mut self.engine);
        while let Some(waker) = self.engine.pop_waker() {
            waker.wake();
        }
        drop((
            self.engine.take_garbage(),
            self.engine.take_discarded_wakers(),
        ));
        let waiting = self.engine.effects.output.buffer.len();
        assert!(
            waiting <= self.output_bound,
            "{}: {waiting} octets wait to be written",
            self.name
        );
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
        self.wire.extend_from_slice(&handed_over);
        self.call(|engine| engine.handle_written(octets));
        octets > 0 || self.engine.has_due_work()
    }

    /// Reads at most `octets` of what the other side wrote.
    pub(super) fn read(&mut self, wire: &mut BytesMut, octets: usize, now: Instant) -> bool {
        let octets = octets.min(wire.len());
        if octets == 0 {
            return false;
        }
        self.input.extend_from_slice(&wire[..octets]);
        wire.advance(octets);
        self.call(|engine| engine.handle_activity(now));
        let limit = self.max_frame_size.max(512);
        while let Some(raw) = split(&mut self.input, limit).expect("frames of a sound engine") {
            let frame = decode_amqp(raw).expect("a performative of a sound engine");
            self.call(|engine| engine.handle_frame(frame, now));
        }
        true
    }

    /// The stream breaks. What the driver has not written is gone.
    pub(super) fn cut(&mut self) {
        self.may_end = true;
        self.driver.clear();
        self.call(|engine| engine.handle_cut(ConnectionError::eof()));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.driver.is_empty()
            && self.wire.is_empty()
            && (!self.engine.has_due_work() || self.engine.is_over())
    }

    // ---- what is asked of the engine

    pub(super) fn begin(&mut self, random: &mut Random) {
        let next_outgoing_id = random.pick(&[0, 7, u32::MAX - 2]);
        let window = random.pick(&[1, 2, 3, 10, 2048]);
        let begun = self.call(|engine| engine.begin(next_outgoing_id, window, Default::default()));
        match begun {
            Ok(key) => {
                self.sessions.push(BegunSession {
                    key,
                    is_begun: false,
                });
                self.wait(Want::Begun(key));
            }
            Err(error) => self.check_session_error(&error),
        }
    }

    pub(super) fn attach(&mut self, session: Key, ledger: &mut Ledger, random: &mut Random) {
        let role = random.pick(&[Role::Sender, Role::Receiver]);
        let name = format!("{}-{}", self.name, random.below(4));
        let snd_settle_mode = random.pick(&[
            SenderSettleMode::Mixed,
            SenderSettleMode::Mixed,
            SenderSettleMode::Settled,
            SenderSettleMode::Unsettled,
        ]);
        let attach = Attach {
            snd_settle_mode,
            rcv_settle_mode: random.pick(&[ReceiverSettleMode::First, ReceiverSettleMode::Second]),
            source: Some(Source::new("there")),
            target: Some(TargetArchetype::Target(Target::new("here"))),
            initial_delivery_count: (role == Role::Sender)
                .then(|| random.pick(&[0, 5, u32::MAX - 1])),
            ..Attach::new(name, 0, role)
        };
        let settings = receiver_settings(random);
        match self.call(|engine| engine.attach(session, attach.clone(), settings)) {
            Ok(key) => {
                self.hold_link(key, role, snd_settle_mode, settings, false, ledger);
                self.wait(Want::Attached(key));
            }
            Err(LinkError::NameInUse) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    fn hold_link(
        &mut self,
        key: LinkKey,
        role: Role,
        snd_settle_mode: SenderSettleMode,
        settings: EndSettings,
        is_incoming: bool,
        ledger: &mut Ledger,
    ) {
        let end = match role {
            Role::Sender => End::Sender {
                id: ledger.new_sender(),
                snd_settle_mode,
            },
            Role::Receiver => End::Receiver {
                held: Vec::new(),
                from: None,
                received: Vec::new(),
                auto_accept: settings.auto_accept,
            },
        };
        self.links.push(HeldLink {
            key,
            end,
            is_attached: is_incoming,
            is_incoming,
        });
    }

    /// Accepts, refuses or drops a link that the other side attached.
    pub(super) fn answer(&mut self, position: usize, ledger: &mut Ledger, random: &mut Random) {
        let (key, remote) = self.undecided.swap_remove(position);
        if random.chance(15) {
            let answer = match random.chance(30) {
                true => Refusal::EchoedTermini,
                false => Refusal::NullTerminus,
            };
            self.call(|engine| {
                engine.refuse_link(key, AmqpError::new(WANTED, "refused"), answer);
                engine.release_session(key.session);
            });
            return;
        }
        let role = remote.role.opposite();
        let answer = Attach {
            snd_settle_mode: remote.snd_settle_mode,
            rcv_settle_mode: remote.rcv_settle_mode,
            source: remote.source.clone(),
            target: remote.target.clone(),
            initial_delivery_count: (role == Role::Sender).then_some(0),
            ..Attach::new(remote.name.clone(), 0, role)
        };
        let settings = receiver_settings(random);
        match self.call(|engine| engine.accept_link(key, answer, settings)) {
            Ok(()) => self.hold_link(key, role, remote.snd_settle_mode, settings, true, ledger),
            Err(error) => {
                self.check_link_error(&error);
                self.call(|engine| engine.release_session(key.session));
            }
        }
    }

    pub(super) fn send(&mut self, link: usize, ledger: &mut Ledger, random: &mut Random) {
        let HeldLink { key, end, .. } = &self.links[link];
        let End::Sender {
            id,
            snd_settle_mode,
        } = *end
        else {
            return;
        };
        let settled = match snd_settle_mode {
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => random.chance(40),
        };
        let filler = random.pick(&[0, 0, 20, 480, 700, 5000]);
        let (message, payload) = ledger.new_message(id, filler);
        let want = Want::room(*key, message, payload, settled);
        self.wait(want);
        self.poll(self.waits.len() - 1, ledger); // the first poll takes a place in the queue
    }

    pub(super) fn receive(&mut self, link: usize, random: &mut Random) {
        let HeldLink { key, end, .. } = &self.links[link];
        if !matches!(end, End::Receiver { .. }) {
            return;
        }
        let link = *key;
        let want = match random.chance(80) {
            true => Want::Delivery { link, ticket: None },
            false => Want::Batch {
                link,
                ticket: None,
                max: 1 + random.below(6),
            },
        };
        self.wait(want);
    }

    /// Settles one of the deliveries that the application holds on a link.
    pub(super) fn settle(&mut self, link: usize, ledger: &mut Ledger, random: &mut Random) -> bool {
        let HeldLink { key, end, .. } = &mut self.links[link];
        let End::Receiver { held, .. } = end else {
            return false;
        };
        let Some(position) = random.position(held.len()) else {
            return false;
        };
        let (key, held) = (*key, held.swap_remove(position));
        let outcome = random.pick(&[
            Outcome::Accepted,
            Outcome::Accepted,
            Outcome::Released,
            Outcome::Rejected(Rejected::default()),
            Outcome::Rejected(Rejected {
                error: Some(Box::new(AmqpError::new(WANTED, "rejected"))),
            }),
            Outcome::Modified(Modified {
                delivery_failed: true,
                ..Modified::default()
            }),
        ]);
        let state = DeliveryState::from(outcome.clone());
        match self.call(|engine| engine.settle(key, held.delivery_id, state)) {
            Ok(()) => {
                ledger.give(held.message, outcome);
                if random.chance(10) {
                    self.wait(Want::Confirmed(key, held.delivery_id));
                }
            }
            Err(error) => self.check_link_error(&error),
        }
        true
    }

    pub(super) fn cancel_receives(&mut self, link: LinkKey) {
        let is_receive = |wait: &Wait| matches!(wait.want, Want::Delivery { link: key, .. } | Want::Batch { link: key, .. } if key == link);
        while let Some(position) = self.waits.iter().position(is_receive) {
            self.cancel(position);
        }
    }

    /// Grants credit to a link without any; false if it has ended, or grants by itself.
    pub(super) fn grant(&mut self, link: usize) -> bool {
        let key = self.links[link].key;
        self.call(|engine| engine.add_credit(key, 10)).is_ok()
    }

    pub(super) fn add_credit(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        let additional = 1 + random.below(5) as u32;
        match self.call(|engine| engine.add_credit(key, additional)) {
            Ok(()) | Err(LinkError::WrongRole) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    pub(super) fn drain(&mut self, link: usize) {
        let key = self.links[link].key;
        match self.call(|engine| engine.start_drain(key)) {
            Ok(()) => self.wait(Want::Drained(key)),
            Err(LinkError::WrongRole) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    pub(super) fn detach(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        let closed = random.chance(50);
        let error = random.chance(20).then(|| AmqpError::new(WANTED, "closed"));
        self.call(|engine| engine.detach(key, closed, error));
        self.wait(Want::Detached(key));
    }

    /// Waits for the end of a link, or for the outcomes of all that was sent.
    pub(super) fn watch(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        self.wait(random.pick(&[Want::LinkEnded(key), Want::AllSettled]));
    }

    pub(super) fn end_session(&mut self, session: usize, random: &mut Random) {
        let key = self.sessions[session].key;
        let error = random.chance(20).then(|| AmqpError::new(WANTED, "ended"));
        self.call(|engine| engine.end(key, error));
        self.wait(Want::SessionEnded(key));
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.may_end = true;
        self.call(|engine| engine.close(None, now));
        self.wait(Want::Closed);
    }

    // ---- dropping

    /// Drops one future, as a lost `select!` does.
    pub(super) fn cancel(&mut self, position: usize) {
        let mut wait = self.waits.swap_remove(position);
        if matches!(wait.want, Want::Opened | Want::IncomingLink) {
            return self.waits.push(wait); // kept: the run needs them
        }
        self.call(|engine| engine.forget_watcher(&mut wait.place));
        match wait.want {
            Want::Begun(key) => self.drop_session(key),
            Want::Attached(link) => self.drop_link(link),
            Want::Room {
                link, mut ticket, ..
            } => self.call(|engine| engine.leave_queue(link, &mut ticket)),
            Want::Delivery { link, mut ticket }
            | Want::Batch {
                link, mut ticket, ..
            } => self.call(|engine| engine.leave_queue(link, &mut ticket)),
            Want::Outcome { link, delivery, .. } => {
                self.call(|engine| engine.abandon_outcome(link.session, delivery));
            }
            Want::Opened
            | Want::IncomingLink
            | Want::Closed
            | Want::SessionEnded(_)
            | Want::Detached(_)
            | Want::LinkEnded(_)
            | Want::AllSettled
            | Want::Drained(_)
            | Want::Confirmed(..) => {}
        }
    }

    /// Drops all handles, receipts, deliveries and futures of a link.
    pub(super) fn drop_link(&mut self, key: LinkKey) {
        while let Some(position) = self
            .waits
            .iter()
            .position(|wait| wait.want.link() == Some(key))
        {
            match self.waits[position].want {
                Want::Attached(_) => {
                    let wait = self.waits.swap_remove(position);
                    self.forget(wait);
                }
                _ => self.cancel(position),
            }
        }
        let position = self.links.iter().position(|link| link.key == key);
        let link = self
            .links
            .swap_remove(position.expect("a link that is held"));
        self.call(|engine| engine.release_link(key, true));
        if link.is_incoming {
            self.call(|engine| engine.release_session(key.session));
        }
    }

    pub(super) fn drop_session(&mut self, key: Key) {
        let links: Vec<_> = self
            .links
            .iter()
            .filter(|link| link.key.session == key && !link.is_incoming)
            .map(|link| link.key)
            .collect();
        for link in links {
            self.drop_link(link);
        }
        let is_of_session =
            |wait: &Wait| matches!(wait.want, Want::Begun(k) | Want::SessionEnded(k) if k == key);
        while let Some(position) = self.waits.iter().position(is_of_session) {
            let wait = self.waits.swap_remove(position);
            self.forget(wait);
        }
        self.sessions.retain(|session| session.key != key);
        self.call(|engine| engine.release_session(key));
    }
}

fn receiver_settings(random: &mut Random) -> EndSettings {
    EndSettings {
        credit: random.pick(&[
            Credit::Auto(1),
            Credit::Auto(4),
            Credit::Auto(300),
            Credit::Manual,
        ]),
        auto_accept: random.chance(20),
        max_partial_bytes: 1 << 20,
        prefetch_bytes: random.pick(&[None, None, Some(1), Some(1000)]),
        offers_acquisition: random.chance(50),
        available: 0,
    }
}
