//! One engine with the application that uses it and the driver that feeds it.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use amqp10_codec::frame::{decode_amqp, split};
use amqp10_codec::{
    AmqpError, Attach, DeliveryState, Modified, Open, Outcome, ReceiverSettleMode, Rejected, Role,
    SenderSettleMode, Source, Symbol, Target, TargetArchetype,
};
use bytes::{Buf, BytesMut};

use super::super::{
    ConnectionSettings, Credit, Engine, Inbound, Key, Layout, Limits, LinkKey, ReceiverSettings,
};
use super::ledger::Ledger;
use super::random::Random;
use super::waits::{Wait, Want};
use crate::error::{ConnectionError, LinkError, SendError, SessionError};

/// Reasons that the simulated applications give.
const WANTED: Symbol = Symbol::from_static("simulation:wanted");

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
        settings: ReceiverSettings,
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
            let echo = random.chance(30);
            self.call(|engine| {
                engine.refuse_link(key, AmqpError::new(WANTED, "refused"), echo);
                engine.release_session(key.session);
            });
            return;
        }
        let role = match remote.role {
            Role::Sender => Role::Receiver,
            Role::Receiver => Role::Sender,
        };
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
        let wait = self.waits.swap_remove(position);
        match wait.want {
            Want::Opened | Want::IncomingLink => self.waits.push(wait), // kept: the run needs them
            Want::Begun(key) => self.drop_session(key),
            Want::Attached(link) => self.drop_link(link),
            Want::Room {
                link, mut ticket, ..
            } => self.call(|engine| engine.leave_senders(link, &mut ticket)),
            Want::Delivery { link, mut ticket }
            | Want::Batch {
                link, mut ticket, ..
            } => self.call(|engine| engine.leave_receivers(link, &mut ticket)),
            Want::Outcome { link, delivery, .. } => {
                self.call(|engine| engine.abandon_outcome(link.session, delivery));
            }
            Want::Closed
            | Want::SessionEnded(_)
            | Want::Detached(_)
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
                Want::Attached(_) => drop(self.waits.swap_remove(position)),
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
        self.waits.retain(
            |wait| !matches!(wait.want, Want::Begun(k) | Want::SessionEnded(k) if k == key),
        );
        self.sessions.retain(|session| session.key != key);
        self.call(|engine| engine.release_session(key));
    }

    // ---- polling

    /// Polls who was woken, until nobody is.
    pub(super) fn run(&mut self, ledger: &mut Ledger) -> bool {
        let mut has_run = false;
        while let Some(position) = self.waits.iter().position(Wait::is_woken) {
            has_run = true;
            self.poll(position, ledger);
        }
        has_run
    }

    /// Polls everybody who was not woken: an answer means that a wake was lost.
    pub(super) fn check_wakes(&mut self, ledger: &mut Ledger) {
        self.run(ledger);
        for position in (0..self.waits.len()).rev() {
            let want = format!("{:?}", self.waits[position].want);
            let is_pending = self.poll(position, ledger);
            assert!(is_pending, "{}: no wake for {want}", self.name);
        }
    }

    /// Polls one future; true if it has to wait on.
    pub(super) fn poll(&mut self, position: usize, ledger: &mut Ledger) -> bool {
        let mut wait = self.waits.swap_remove(position);
        let waker = wait.waker();
        let is_pending = self.poll_want(&mut wait.want, &waker, ledger).is_pending();
        if is_pending {
            self.waits.push(wait);
            let last = self.waits.len() - 1;
            self.waits.swap(position, last);
        }
        is_pending
    }

    fn poll_want(&mut self, want: &mut Want, waker: &Waker, ledger: &mut Ledger) -> Poll<()> {
        match want {
            Want::Opened => self.call(|engine| engine.poll_opened(waker)).map(|opened| {
                let _ = opened.map_err(|error| self.check_connection_error(&error));
            }),
            Want::Closed => self
                .call(|engine| engine.poll_closed(waker))
                .map(|error| self.check_connection_error(&error)),
            Want::Begun(key) => {
                let key = *key;
                self.call(|engine| engine.poll_begun(key, waker))
                    .map(|begun| self.on_begun(key, begun))
            }
            Want::SessionEnded(key) => self
                .call(|engine| engine.poll_session_ended(*key, true, waker))
                .map(|error| self.check_session_error(&error)),
            Want::IncomingLink => self.poll_incoming(waker),
            Want::Attached(key) => {
                let key = *key;
                self.call(|engine| engine.poll_attached(key, waker))
                    .map(|attached| self.on_attached(key, attached.map(drop)))
            }
            Want::Detached(key) => self
                .call(|engine| engine.poll_detached(*key, waker))
                .map(|error| self.check_link_error(&error)),
            Want::Drained(key) => self
                .call(|engine| engine.poll_drained(*key, waker))
                .map(|drained| self.check_link_result(drained)),
            Want::Confirmed(key, delivery_id) => self
                .call(|engine| engine.poll_confirmed(*key, *delivery_id, waker))
                .map(|confirmed| self.check_link_result(confirmed)),
            Want::Room { .. } => self.poll_room(want, waker, ledger),
            Want::Outcome {
                link,
                delivery,
                message,
            } => self
                .call(|engine| engine.poll_outcome(link.session, *delivery, waker))
                .map(|outcome| ledger.resolve(*message, outcome.expect("asked for once"))),
            Want::Delivery { link, ticket } => self
                .call(|engine| engine.poll_recv(*link, ticket, waker))
                .map(|received| match received {
                    Ok(inbound) => self.on_delivery(*link, inbound, ledger),
                    Err(error) => self.check_link_error(&error),
                }),
            Want::Batch { link, ticket, max } => {
                let mut batch = Vec::new();
                self.call(|engine| {
                    engine.poll_recv_batch(*link, ticket, *max, false, &mut batch, waker)
                })
                .map(|received| {
                    for inbound in batch {
                        self.on_delivery(*link, inbound, ledger);
                    }
                    self.check_link_result(received);
                })
            }
        }
    }

    fn on_begun(&mut self, key: Key, begun: Result<(), SessionError>) {
        match begun {
            Ok(()) => {
                let session = self.sessions.iter_mut().find(|session| session.key == key);
                session.expect("a session that is held").is_begun = true;
            }
            Err(error) => {
                self.check_session_error(&error);
                self.drop_session(key);
            }
        }
    }

    fn on_attached(&mut self, key: LinkKey, attached: Result<(), LinkError>) {
        match attached {
            Ok(()) => {
                let link = self.links.iter_mut().find(|link| link.key == key);
                link.expect("a link that is held").is_attached = true;
            }
            Err(error) => {
                self.check_link_error(&error);
                self.drop_link(key);
            }
        }
    }

    fn poll_incoming(&mut self, waker: &Waker) -> Poll<()> {
        loop {
            match self.call(|engine| engine.poll_incoming_link(waker)) {
                Poll::Ready(Ok(incoming)) => self.undecided.push(incoming),
                Poll::Ready(Err(error)) => {
                    self.check_connection_error(&error);
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_room(&mut self, want: &mut Want, waker: &Waker, ledger: &mut Ledger) -> Poll<()> {
        let Want::Room {
            link,
            ticket,
            outbound,
            settled,
            message,
        } = want
        else {
            return Poll::Ready(());
        };
        let (link, message) = (*link, *message);
        let sent =
            self.call(|engine| engine.poll_transfer(link, ticket, outbound, *settled, waker));
        sent.map(|sent| match sent {
            Ok(delivery) => {
                ledger.commit(message);
                if let Some(delivery) = delivery {
                    self.wait(Want::Outcome {
                        link,
                        delivery,
                        message,
                    });
                }
            }
            Err(SendError::NotSent(error)) => self.check_link_error(&error),
            Err(error) => panic!("{}: {error}", self.name),
        })
    }

    fn on_delivery(&mut self, key: LinkKey, inbound: Inbound, ledger: &mut Ledger) {
        let (message, sender) = ledger.receive(&inbound.payload);
        let link = self.links.iter_mut().find(|link| link.key == key);
        let End::Receiver {
            held,
            from,
            received,
            auto_accept,
        } = &mut link.expect("a link that is held").end
        else {
            panic!("{}: a delivery on a sending link", self.name);
        };
        assert_eq!(
            *from.get_or_insert(sender),
            sender,
            "{}: messages of two links on one",
            self.name
        );
        assert!(
            received.last() < Some(&message),
            "{}: {message} after {:?}",
            self.name,
            received.last()
        );
        received.push(message);
        if *auto_accept && !inbound.settled {
            ledger.give(message, Outcome::Accepted);
        } else if !inbound.settled {
            held.push(Held {
                message,
                delivery_id: inbound.delivery_id,
            });
        }
    }

    // ---- errors that two sound engines may give each other

    fn check_link_result(&self, result: Result<(), LinkError>) {
        let _ = result.map_err(|error| self.check_link_error(&error));
    }

    fn check_remote(&self, error: &AmqpError) {
        let is_expected =
            error.condition == WANTED || error.condition.as_str() == "amqp:not-allowed";
        assert!(is_expected, "{}: the peer said {error:?}", self.name);
    }

    fn check_link_error(&self, error: &LinkError) {
        match error {
            LinkError::Session(error) => self.check_session_error(error),
            LinkError::Refused(error) | LinkError::RemoteDetached { error, .. } => {
                error.iter().for_each(|error| self.check_remote(error));
            }
            LinkError::LocalDetached => {}
            error => panic!("{}: {error}", self.name),
        }
    }

    fn check_session_error(&self, error: &SessionError) {
        match error {
            SessionError::Connection(error) => self.check_connection_error(error),
            SessionError::RemoteEnded(error) => {
                error.iter().for_each(|error| self.check_remote(error))
            }
            SessionError::LocalEnded | SessionError::TooManySessions { .. } => {}
            error => panic!("{}: {error}", self.name),
        }
    }

    fn check_connection_error(&self, error: &ConnectionError) {
        assert!(self.may_end, "{}: {error}", self.name);
        assert!(
            !matches!(
                error,
                ConnectionError::Violation(_) | ConnectionError::IdleTimeout(_)
            ),
            "{}: {error}",
            self.name
        );
        error
            .remote_error()
            .into_iter()
            .for_each(|error| self.check_remote(error));
    }
}

fn receiver_settings(random: &mut Random) -> ReceiverSettings {
    ReceiverSettings {
        credit: random.pick(&[
            Credit::Auto(1),
            Credit::Auto(4),
            Credit::Auto(300),
            Credit::Manual,
        ]),
        auto_accept: random.chance(20),
        max_partial_bytes: 1 << 20,
    }
}
