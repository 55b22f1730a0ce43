//! The engine in a conversation, with an application that answers, sends, receives and settles.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::peer;
use crate::codec::frame::{self, MIN_MAX_FRAME_SIZE};
use crate::codec::{
    AmqpError, Attach, Begin, DeliveryState, Layout, Open, Outcome, Performative, Role, Source,
    Str, Target, condition,
};
use crate::engine::simulation::check_quotas;
use crate::engine::{
    ConnectionSettings, Credit, EndSettings, Engine, Key, Limits, LinkKey, Outbound, Payload,
    Refusal, Ticket, Watcher,
};
use crate::error::ConnectionError;

/// Frames that we accept are small, so that few octets of input reach deliveries of many frames.
pub(super) const MAX_FRAME_SIZE: u32 = 1024;
/// The name of the link that we attach in each direction.
pub(super) const LINK_NAME: &str = "ours";
/// Our first transfer-id and our links' first delivery-count, which soon wrap.
pub(super) const FIRST_NUMBER: u32 = u32::MAX - 1;
/// How long we tolerate silence, and wait for an answer to our close.
const PATIENCE: Duration = Duration::from_secs(1);
/// A delivery of one frame, and one of several in the smallest frames.
const SMALL_PAYLOAD: &[u8] = &[0, 0x53, 0x75, 0xa0, 1, 42];
const LARGE_PAYLOAD: &[u8] = &[0; 1500];

pub(super) struct Conversation {
    engine: Engine,
    now: Instant,
    input: BytesMut,
    has_heard_open: bool,
    is_deaf: bool,
    links: Vec<LocalLink>,
    /// Session and slot of each delivery whose outcome is awaited.
    receipts: Vec<(Key, Key)>,
    turns: usize,
}

struct LocalLink {
    key: LinkKey,
    role: Role,
    ticket: Option<Ticket>,
}

impl Conversation {
    /// We have sent our open, and nothing was heard.
    pub(super) fn start(writes_in_full: bool) -> Self {
        let now = Instant::now();
        let open = Open {
            container_id: Str::from_static("fuzz"),
            max_frame_size: MAX_FRAME_SIZE,
            channel_max: 7,
            idle_time_out: Some(500),
            ..Open::default()
        };
        let settings = ConnectionSettings {
            open,
            incoming_begin: begin(0),
            idle_time_out: Some(PATIENCE),
            operation_timeout: PATIENCE,
        };
        let layout = match writes_in_full {
            true => Layout::Full,
            false => Layout::Short,
        };
        let mut engine = Engine::new(settings, limits(), layout, now);
        engine.open();
        let mut conversation = Self {
            engine,
            now,
            input: BytesMut::new(),
            has_heard_open: false,
            is_deaf: false,
            links: Vec::new(),
            receipts: Vec::new(),
            turns: 0,
        };
        conversation.speak();
        conversation
    }

    /// Comes as many steps closer to the end, with a peer that knows how to behave.
    pub(super) fn advance(&mut self, steps: u8, begins_at_once: bool) {
        if begins_at_once {
            self.begin();
        }
        for step in 1..=steps {
            match step {
                1 => self.exchange(&peer::opens()),
                2 if begins_at_once => self.speak(),
                2 => self.begin(),
                3 => self.exchange(&peer::answers()),
                4 => self.exchange(&peer::delivers()),
                5 => self
                    .links
                    .iter()
                    .for_each(|link| self.engine.detach(link.key, true, None)),
                6 => self.end(),
                _ => self.engine.close(None, self.now),
            }
            self.work();
            self.speak();
        }
    }

    fn exchange(&mut self, performatives: &[Performative]) {
        let octets = peer::frames_of(performatives);
        self.hear(&octets);
    }

    /// Our own session and a link in each direction.
    fn begin(&mut self) {
        let session = self
            .engine
            .begin(begin(FIRST_NUMBER), self.now)
            .expect("the first session fits");
        for role in [Role::Sender, Role::Receiver] {
            let key = self
                .engine
                .attach(session, our_attach(LINK_NAME, role), receiver_settings())
                .expect("the first links fit");
            self.links.push(LocalLink {
                key,
                role,
                ticket: None,
            });
        }
    }

    fn end(&mut self) {
        if let Some(link) = self.links.first() {
            self.engine.end(link.key.session, None);
        }
    }

    pub(super) fn hear(&mut self, portion: &[u8]) {
        self.now += Duration::from_millis(10);
        self.engine.handle_timeout(self.now);
        if self.is_deaf {
            return;
        }
        self.engine.handle_activity(self.now);
        self.input.extend_from_slice(portion);
        loop {
            let limit = if self.has_heard_open {
                MAX_FRAME_SIZE
            } else {
                MIN_MAX_FRAME_SIZE
            };
            match frame::split(&mut self.input, limit) {
                Ok(Some(raw)) => {
                    self.has_heard_open = true;
                    match frame::decode_amqp(raw) {
                        Ok(frame) => self.engine.handle_frame(frame, self.now),
                        Err(error) => self.engine.handle_decode_error(error, self.now),
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.is_deaf = true;
                    return self.engine.handle_frame_error(error, self.now);
                }
            }
        }
    }

    /// An application that accepts most links, sends whenever it may, and settles most of what it gets.
    pub(super) fn work(&mut self) {
        self.turns += 1;
        while let Poll::Ready(Ok((key, attach))) =
            once(&mut self.engine, Engine::poll_incoming_link)
        {
            self.answer(key, &attach);
        }
        for index in 0..self.links.len() {
            match self.links[index].role {
                Role::Sender => self.send(index),
                Role::Receiver => self.receive(index),
            }
        }
        if self.turns.is_multiple_of(11)
            && let Some(link) = self.links.get(self.turns % (self.links.len() + 1))
        {
            self.engine
                .detach(link.key, self.turns.is_multiple_of(2), None);
        }
        self.receipts.retain(|&(session, delivery)| {
            self.engine
                .poll_outcome(session, delivery, Waker::noop())
                .is_pending()
        });
    }

    fn answer(&mut self, key: LinkKey, attach: &Attach) {
        if self.links.len() % 4 == 3 {
            let error = AmqpError::new(condition::NOT_FOUND, "no such node");
            let answer = match self.turns.is_multiple_of(2) {
                true => Refusal::EchoedTermini,
                false => Refusal::NullTerminus,
            };
            return self.engine.refuse_link(key, error, answer);
        }
        let role = attach.role.opposite();
        let answer = Attach {
            source: attach.source.clone(),
            target: attach.target.clone(),
            ..our_attach(&attach.name, role)
        };
        if self
            .engine
            .accept_link(key, answer, receiver_settings())
            .is_ok()
        {
            self.links.push(LocalLink {
                key,
                role,
                ticket: None,
            });
        }
    }

    fn send(&mut self, index: usize) {
        let link = &mut self.links[index];
        let payload = Bytes::from_static(if self.turns.is_multiple_of(3) {
            LARGE_PAYLOAD
        } else {
            SMALL_PAYLOAD
        });
        let outbound = Outbound {
            payload: Payload::Encoded(payload.into()),
            message_format: 0,
            delivery_tag: None,
            state: None,
            resume: false,
            aborted: false,
        };
        let is_settled = self.turns.is_multiple_of(5);
        match self.engine.poll_transfer(
            link.key,
            &mut link.ticket,
            &outbound,
            is_settled,
            Waker::noop(),
        ) {
            Poll::Ready(Ok(Some(delivery))) if self.turns.is_multiple_of(7) => {
                self.engine.abandon_outcome(link.key.session, delivery)
            }
            Poll::Ready(Ok(Some(delivery))) => self.receipts.push((link.key.session, delivery)),
            Poll::Ready(Ok(None) | Err(_)) => {}
            Poll::Pending if self.turns.is_multiple_of(4) => {
                self.engine.leave_queue(link.key, &mut link.ticket)
            }
            Poll::Pending => {}
        }
    }

    fn receive(&mut self, index: usize) {
        let LocalLink { key, .. } = self.links[index];
        while let Poll::Ready(Ok(delivery)) =
            self.engine
                .poll_recv(key, &mut self.links[index].ticket, Waker::noop())
        {
            let outcome = match delivery.delivery_id % 4 {
                0 => continue,
                1 => Outcome::Released,
                _ => Outcome::Accepted,
            };
            let _ = self
                .engine
                .settle(key, delivery.delivery_id, DeliveryState::Outcome(outcome));
        }
        if self.turns.is_multiple_of(16) {
            let _ = self.engine.start_drain(key);
        }
    }

    /// Writes, and looks at what was written: frames that the peer can decode and that are no larger than it allows.
    pub(super) fn speak(&mut self) {
        self.engine.flush(self.now);
        let mut output = BytesMut::new();
        self.engine.take_output(&mut output);
        self.engine.handle_written(output.len());
        let limit = match once(&mut self.engine, Engine::poll_opened) {
            Poll::Ready(Ok(open)) => open.max_frame_size.max(MIN_MAX_FRAME_SIZE),
            _ => u32::MAX,
        };
        while let Some(raw) =
            frame::split(&mut output, limit).expect("we write frames that the peer allows")
        {
            frame::decode_amqp(raw).expect("we write frames that can be decoded");
        }
        assert!(output.is_empty(), "half a frame was written");
        check_quotas(&self.engine);
        while self.engine.pop_waker().is_some() {}
        drop(self.engine.take_garbage());
    }

    /// The application closes; with or without an answer, the connection is over once the time for one has passed.
    pub(super) fn close(&mut self) {
        self.engine.close(None, self.now);
        self.speak();
        self.now += PATIENCE;
        self.engine.handle_timeout(self.now);
        assert!(
            once(&mut self.engine, Engine::poll_closed).is_ready(),
            "a close is awaited for ever"
        );
    }

    /// The stream is gone: whoever waits for anything learns of it, and what is held is given back.
    pub(super) fn cut(mut self) {
        let engine = &mut self.engine;
        engine.handle_cut(ConnectionError::DriverGone);
        assert!(once(engine, Engine::poll_closed).is_ready());
        for (session, delivery) in self.receipts {
            assert!(
                engine
                    .poll_outcome(session, delivery, Waker::noop())
                    .is_ready(),
                "an outcome is awaited for ever"
            );
        }
        for LocalLink {
            key,
            role,
            mut ticket,
        } in self.links
        {
            assert!(engine.link_ended(key).is_some(), "a link does not end");
            assert!(
                once(engine, |engine, watcher| engine.poll_detached(key, watcher)).is_ready(),
                "a detach is awaited for ever"
            );
            assert!(
                once(engine, |engine, watcher| engine
                    .poll_session_closed(key.session, watcher))
                .is_ready(),
                "a session does not end"
            );
            if role == Role::Receiver {
                while engine
                    .poll_recv(key, &mut ticket, Waker::noop())
                    .map(|taken| taken.is_ok())
                    == Poll::Ready(true)
                {}
                assert!(
                    engine.poll_recv(key, &mut ticket, Waker::noop()).is_ready(),
                    "a delivery is awaited for ever"
                );
            }
            engine.release_link(key, true);
        }
    }
}

/// Asks whether something has happened, without waiting for it.
fn once<R>(engine: &mut Engine, poll: impl FnOnce(&mut Engine, &mut Watcher<'_>) -> R) -> R {
    let mut place = None;
    let mut watcher = Watcher {
        place: &mut place,
        waker: Waker::noop(),
    };
    let polled = poll(engine, &mut watcher);
    engine.forget_watcher(&mut place);
    polled
}

fn begin(next_outgoing_id: u32) -> Begin {
    Begin {
        next_outgoing_id,
        incoming_window: 8,
        ..Begin::default()
    }
}

fn limits() -> Limits {
    Limits {
        max_sessions: 8,
        max_links_per_session: 16,
        max_pending_links: 4,
        max_unsettled_deliveries: 64,
        max_excess_deliveries: 2,
        max_abandoned_deliveries: 8,
        max_partial_delivery_bytes: 16 << 10,
        max_queued_bytes: 32 << 10,
        max_open_frame_size: 512,
        max_output_bytes: 16 << 10,
    }
}

fn receiver_settings() -> EndSettings {
    EndSettings {
        credit: Credit::Auto(8),
        auto_accept: false,
        max_partial_bytes: 16 << 10,
        prefetch_bytes: Some(4 << 10),
        offers_acquisition: true,
        available: None,
    }
}

fn our_attach(name: &str, role: Role) -> Attach {
    Attach {
        source: Some(Source::default()),
        target: Some(Target::default().into()),
        initial_delivery_count: (role == Role::Sender).then_some(FIRST_NUMBER),
        max_message_size: Some(64 << 10),
        ..Attach::new(name, 0, role)
    }
}
