//! Where the emulator asks what goes wrong: faults that wait for their time, and the links and streams that they befall.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::dice::Dice;
use super::fault::{Fault, FaultRecord, Kind, Trigger};
use super::wire::Wire;
use super::{FaultRates, Faults, Site};
use crate::codec::{AmqpError, condition};
use crate::eventhubs::wire;
use crate::lock::lock;

/// Most records that are kept; the oldest go first.
const MAX_RECORDS: usize = 10_000;

/// All that goes wrong in one emulator.
#[derive(Debug)]
pub(crate) struct Board {
    operations: AtomicU64,
    /// Whether operations have to look at the state: as a rule there is no fault at all.
    is_armed: AtomicBool,
    state: Mutex<State>,
    /// A fault with a time has come.
    rearmed: Notify,
}

#[derive(Debug)]
struct State {
    began: Instant,
    dice: Option<Dice>,
    rates: FaultRates,
    armed: Vec<Armed>,
    lasting: Vec<Lasting>,
    /// Those that run, in the order in which they were attached.
    links: BTreeMap<u64, Arc<LinkState>>,
    next_link: u64,
    wires: Vec<Weak<Wire>>,
    records: VecDeque<FaultRecord>,
}

/// A fault that waits for its trigger.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    operations: u64,
    octets: u64,
    due: Option<Instant>,
}

/// A fault that befalls the next operations at its place.
#[derive(Debug)]
struct Lasting {
    fault: Fault,
    left: u32,
}

/// What a client does that a fault can befall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// It attaches a link.
    Attach,
    /// It publishes a message, or gets an event.
    Message,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What is due.
    Serve,
    /// It is refused: the service is busy.
    Busy,
    /// It is served after a pause.
    Pause(Duration),
    /// It is served, and the outcome told later.
    AnswerLate(Duration),
    /// It is served, and no outcome told.
    Unanswered,
    /// Nothing happens.
    Lost,
}

/// A link that runs, as faults see it. Forgotten when dropped.
#[derive(Debug)]
pub(crate) struct LinkFaults {
    board: Arc<Board>,
    id: u64,
    state: Arc<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    site: Site,
    wire: Arc<Wire>,
    mood: watch::Sender<Mood>,
}

/// What a fault has done to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Silent,
    Ended(LinkEnd),
}

/// How a fault ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    Detached,
    TokenExpired,
    Stolen,
}

impl Board {
    pub(crate) fn new(faults: Faults) -> Board {
        let state = State {
            began: Instant::now(),
            dice: faults.seed.map(Dice::new),
            rates: faults.rates,
            armed: Vec::new(),
            lasting: Vec::new(),
            links: BTreeMap::new(),
            next_link: 0,
            wires: Vec::new(),
            records: VecDeque::new(),
        };
        let board = Board {
            operations: AtomicU64::new(0),
            is_armed: AtomicBool::new(state.is_armed()),
            state: Mutex::new(state),
            rearmed: Notify::new(),
        };
        for fault in faults.plan {
            board.inject(fault);
        }
        board
    }

    /// Has a fault happen when its time comes, which may be now.
    pub(crate) fn inject(&self, fault: Fault) {
        let mut state = lock(&self.state);
        state.inject(fault, self.operations.load(Ordering::Relaxed));
        self.rearmed.notify_one();
        self.is_armed.store(state.is_armed(), Ordering::Relaxed);
    }

    /// Nothing goes wrong any more: what was planned is dropped, the dice rest, silent links go on.
    pub(crate) fn calm(&self) {
        let mut state = lock(&self.state);
        state.dice = None;
        state.armed.clear();
        state.lasting.clear();
        for wire in state.wires.iter().filter_map(Weak::upgrade) {
            wire.mend();
        }
        for link in state.links.values() {
            link.mood.send_if_modified(|mood| {
                let was_silent = *mood == Mood::Silent;
                if was_silent {
                    *mood = Mood::Well;
                }
                was_silent
            });
        }
        self.is_armed.store(false, Ordering::Relaxed);
    }

    /// What has happened, oldest first.
    pub(crate) fn records(&self) -> Vec<FaultRecord> {
        lock(&self.state).records.iter().cloned().collect()
    }

    /// The scissors for a new connection's stream.
    pub(crate) fn connect(&self) -> Arc<Wire> {
        let wire = Arc::new(Wire::default());
        let mut state = lock(&self.state);
        state.wires.retain(|wire| wire.strong_count() > 0);
        state.wires.push(Arc::downgrade(&wire));
        wire
    }

    /// Whether a link may be attached, as far as faults are asked.
    pub(crate) fn check_attach(&self, site: &Site) -> Result<(), AmqpError> {
        match self.operation(Operation::Attach, site, 0) {
            Verdict::Busy => Err(busy()),
            _ => Ok(()),
        }
    }

    /// A link has been attached, and runs.
    pub(crate) fn run_link(self: &Arc<Self>, site: Site, wire: Arc<Wire>) -> LinkFaults {
        let link = Arc::new(LinkState {
            site,
            wire,
            mood: watch::Sender::new(Mood::Well),
        });
        let mut state = lock(&self.state);
        let id = state.next_link;
        state.next_link += 1;
        state.links.insert(id, link.clone());
        LinkFaults {
            board: Arc::clone(self),
            id,
            state: link,
        }
    }

    /// Has faults happen whose time comes, as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let rearmed = self.rearmed.notified();
            match self.happen_until(Instant::now()) {
                // Either way, the next look tells what is due.
                Some(next) => drop(timeout_at(next, rearmed).await),
                None => rearmed.await,
            }
        }
    }

    /// Has those happen that are due; returns when the next one is.
    fn happen_until(&self, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        let operations = self.operations.load(Ordering::Relaxed);
        for armed in state.take_armed(|armed| armed.due.is_some_and(|due| due <= now)) {
            state.happen(armed.fault, operations);
        }
        self.is_armed.store(state.is_armed(), Ordering::Relaxed);
        state.armed.iter().filter_map(|armed| armed.due).min()
    }

    /// One operation: counts it, has faults happen whose time it is, and says what becomes of it.
    fn operation(&self, operation: Operation, site: &Site, octets: usize) -> Verdict {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        if !self.is_armed.load(Ordering::Relaxed) {
            return Verdict::Serve;
        }
        let mut state = lock(&self.state);
        for armed in state.take_armed(|armed| armed.count(site, octets as u64)) {
            state.happen(armed.fault, number);
        }
        let State { dice, rates, .. } = &mut *state;
        let rolled = dice
            .as_mut()
            .and_then(|dice| rates.roll(dice, operation, site));
        if let Some(fault) = rolled {
            state.inject(fault, number);
            self.rearmed.notify_one();
        }
        let verdict = state.verdict(operation, site);
        self.is_armed.store(state.is_armed(), Ordering::Relaxed);
        verdict
    }
}

impl Armed {
    /// Counts an operation at the fault's place; true if it is the one with which the fault happens.
    fn count(&mut self, site: &Site, octets: u64) -> bool {
        if !self.fault.place.covers(site) {
            return false;
        }
        let is_due = match self.fault.trigger {
            Trigger::Operations(after) => self.operations >= after,
            Trigger::Octets(after) => self.octets >= after,
            Trigger::Now | Trigger::Time(_) => false,
        };
        self.operations += 1;
        self.octets = self.octets.saturating_add(octets);
        is_due
    }
}

impl State {
    fn is_armed(&self) -> bool {
        self.dice.is_some() || !self.armed.is_empty() || !self.lasting.is_empty()
    }

    fn take_armed(&mut self, mut is_due: impl FnMut(&mut Armed) -> bool) -> Vec<Armed> {
        self.armed.extract_if(.., |armed| is_due(armed)).collect()
    }

    fn inject(&mut self, fault: Fault, operation: u64) {
        let due = match fault.trigger {
            Trigger::Now => return self.happen(fault, operation),
            Trigger::Time(after) => Instant::now().checked_add(after),
            Trigger::Operations(_) | Trigger::Octets(_) => None,
        };
        self.armed.push(Armed {
            fault,
            operations: 0,
            octets: 0,
            due,
        });
    }

    fn happen(&mut self, fault: Fault, operation: u64) {
        tracing::debug!(%fault, operation, "a fault happens");
        match fault.kind {
            Kind::Throttle { operations: left }
            | Kind::DelayOutcomes {
                operations: left, ..
            }
            | Kind::LoseOutcomes { operations: left }
            | Kind::LoseEvents { operations: left }
            | Kind::Slow { events: left, .. } => {
                let fault = fault.clone();
                self.lasting.push(Lasting { fault, left });
            }
            Kind::Cut { octets, direction } => {
                for wire in self.wires_at(&fault) {
                    wire.cut_after(octets, direction);
                }
            }
            Kind::Detach => self.change(&fault, Mood::Ended(LinkEnd::Detached)),
            Kind::ExpireTokens => self.change(&fault, Mood::Ended(LinkEnd::TokenExpired)),
            Kind::Steal => self.change(&fault.clone().readers(), Mood::Ended(LinkEnd::Stolen)),
            Kind::Silence => self.change(&fault.clone().readers(), Mood::Silent),
        }
        if self.records.len() == MAX_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(FaultRecord {
            after: self.began.elapsed(),
            operation,
            fault,
        });
    }

    fn wires_at(&self, fault: &Fault) -> Vec<Arc<Wire>> {
        if fault.place.is_everywhere() {
            return self.wires.iter().filter_map(Weak::upgrade).collect();
        }
        let links = self.links.values();
        let covered = links.filter(|link| fault.place.covers(&link.site));
        covered.map(|link| link.wire.clone()).collect()
    }

    /// Puts the links at the fault's place into a mood. An end is an end.
    fn change(&self, fault: &Fault, changed: Mood) {
        for link in self.links.values() {
            if fault.place.covers(&link.site) {
                link.mood.send_if_modified(|mood| {
                    let lives = !matches!(mood, Mood::Ended(_));
                    if lives {
                        *mood = changed;
                    }
                    lives
                });
            }
        }
    }

    /// What lasting faults make of an operation: the oldest that concerns it does, and is used up by it.
    fn verdict(&mut self, operation: Operation, site: &Site) -> Verdict {
        let concerned = self
            .lasting
            .iter_mut()
            .find_map(|lasting| lasting.verdict(operation, site));
        self.lasting.retain(|lasting| lasting.left > 0);
        concerned.unwrap_or(Verdict::Serve)
    }
}

impl Lasting {
    fn verdict(&mut self, operation: Operation, site: &Site) -> Option<Verdict> {
        use crate::codec::Role::Sender;
        if !self.fault.place.covers(site) || self.left == 0 {
            return None;
        }
        let verdict = match (self.fault.kind, operation, site.role) {
            (Kind::Throttle { .. }, Operation::Attach, _)
            | (Kind::Throttle { .. }, Operation::Message, Sender) => Verdict::Busy,
            (Kind::Slow { pause, .. }, Operation::Message, _) => Verdict::Pause(pause),
            (Kind::DelayOutcomes { delay, .. }, Operation::Message, Sender) => {
                Verdict::AnswerLate(delay)
            }
            (Kind::LoseOutcomes { .. }, Operation::Message, Sender) => Verdict::Unanswered,
            (Kind::LoseEvents { .. }, Operation::Message, Sender) => Verdict::Lost,
            _ => return None,
        };
        self.left -= 1;
        Some(verdict)
    }
}

impl LinkFaults {
    /// A message has come on a publisher's link: what becomes of it, after a pause if there is to be one.
    pub(crate) async fn on_message(&self, octets: usize) -> Verdict {
        match self
            .board
            .operation(Operation::Message, &self.state.site, octets)
        {
            Verdict::Pause(pause) => {
                tokio::time::sleep(pause).await;
                Verdict::Serve
            }
            verdict => verdict,
        }
    }

    /// An event is about to go out on a reader's link: waits as faults want it, on a silent link for as long as it lives.
    pub(crate) async fn before_event(&self, octets: usize) {
        let verdict = self
            .board
            .operation(Operation::Message, &self.state.site, octets);
        if let Verdict::Pause(pause) = verdict {
            tokio::time::sleep(pause).await;
        }
        let mut mood = self.state.mood.subscribe();
        // The sender lives as long as we do.
        let _ = mood.wait_for(|mood| *mood == Mood::Well).await;
    }

    /// Waits until a fault ends the link.
    pub(crate) async fn ended(&self) -> LinkEnd {
        let mut mood = self.state.mood.subscribe();
        loop {
            if let Mood::Ended(end) = *mood.borrow_and_update() {
                return end;
            }
            if mood.changed().await.is_err() {
                // The sender lives as long as we do.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for LinkFaults {
    fn drop(&mut self) {
        lock(&self.board.state).links.remove(&self.id);
    }
}

/// What a client hears while the service is busy.
pub(crate) fn busy() -> AmqpError {
    let text = "The request was terminated because the entity is being throttled. Please wait 4 seconds and try again.";
    AmqpError::new(wire::condition::SERVER_BUSY, text)
}

impl LinkEnd {
    /// What the client hears of a link to `path`.
    pub(crate) fn error(self, path: &str) -> AmqpError {
        match self {
            LinkEnd::Detached => AmqpError::new(
                condition::DETACH_FORCED,
                format!("The link to '{path}' was detached for maintenance."),
            ),
            LinkEnd::TokenExpired => AmqpError::new(
                condition::UNAUTHORIZED_ACCESS,
                format!("The token for '{path}' has expired."),
            ),
            LinkEnd::Stolen => {
                let text = "New receiver 'nil' with higher epoch of '9223372036854775807' is created hence current \
                            receiver is getting disconnected. If you are recreating the receiver, make sure a higher \
                            epoch is used.";
                AmqpError::new(condition::STOLEN, text)
            }
        }
    }
}
