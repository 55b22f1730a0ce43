//! What goes wrong on purpose: by plan, by seed, or at a word while the emulator runs.
//!
//! A network that breaks and a service that is busy are rare, and a test waits for neither. An emulator makes them happen,
//! and happen again: [`Faults::plan`] lists what goes wrong and when; [`Faults::seed`] rolls dice, which fall the same way
//! for the same seed; [`Emulator::inject`](super::Emulator::inject) lets something go wrong now.
//!
//! ```
//! use amqp10::emulator::{EmulatorOptions, Fault, Faults};
//! use std::time::Duration;
//!
//! let plan = Faults::plan([
//!     // The service is busy for three events, after ten were stored.
//!     Fault::throttle(3).partition("0").after_operations(10),
//!     // The connection of whoever reads partition 1 breaks in the middle of a frame.
//!     Fault::cut(100).partition("1").readers().after_octets(64 * 1024),
//!     // A minute later, readers hear nothing any more, though their links live.
//!     Fault::silence().after(Duration::from_secs(60)),
//! ]);
//! let options = EmulatorOptions::default().hub("orders", 2).faults(plan);
//! # let _ = options;
//! ```
//!
//! # Runs that can be repeated
//!
//! What a seed decides depends on the seed and on the order of operations, and on nothing else. The order is the same in
//! each run where the whole program is in one thread and no real time passes: with a current-thread runtime that is started
//! paused, streams in memory ([`Emulator::connect`](super::Emulator::connect)), one
//! [`Clock::simulated`](crate::Clock::simulated) on both sides, and a seed for the client's pauses
//! (`ClientOptions::seed`; a processor also needs an `owner` of yours). Start a new runtime for each seed. A failing seed then fails each time that it is run; and
//! since time that is waited is not spent, thousands of runs take seconds.
//!
//! | fault | what a client meets |
//! |---|---|
//! | [`throttle`](Fault::throttle) | events are rejected, links refused: `com.microsoft:server-busy` |
//! | [`detach`](Fault::detach) | `amqp:link:detach-forced` |
//! | [`cut`](Fault::cut) | the stream ends, wherever it was |
//! | [`delay_outcomes`](Fault::delay_outcomes) | events are stored, and the outcome comes late |
//! | [`lose_outcomes`](Fault::lose_outcomes) | events are stored, and no outcome comes |
//! | [`lose_events`](Fault::lose_events) | events are not stored, and no outcome comes |
//! | [`expire_tokens`](Fault::expire_tokens) | `amqp:unauthorized-access`, until a new token is put |
//! | [`steal`](Fault::steal) | `amqp:link:stolen`, as if another reader had come |
//! | [`silence`](Fault::silence) | nothing: the link lives and has credit, and no event comes |
//! | [`slow`](Fault::slow) | a pause before each event |

mod board;
mod dice;
mod fault;
mod rates;
mod site;
mod wire;

use std::fmt;

pub(crate) use self::board::{Board, LinkEnd, LinkFaults, Verdict, busy};
pub use self::fault::{Fault, FaultRecord};
pub use self::rates::FaultRates;
pub(crate) use self::site::Site;
pub(crate) use self::wire::{FaultyStream, Wire};

/// What will go wrong in an emulator. The default is nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Faults {
    pub(crate) plan: Vec<Fault>,
    pub(crate) seed: Option<u64>,
    pub(crate) rates: FaultRates,
}

impl Faults {
    /// These faults, each when its time has come.
    pub fn plan(faults: impl IntoIterator<Item = Fault>) -> Faults {
        Faults {
            plan: faults.into_iter().collect(),
            ..Faults::default()
        }
    }

    /// Faults by chance: before each operation a die falls, as the seed wants it. How often is said by
    /// [`rates`](Faults::rates).
    ///
    /// The emulator's key is then made of the seed, unless one was chosen: signatures of random keys differ in length, and
    /// with them the place where a stream is cut.
    pub fn seed(seed: u64) -> Faults {
        Faults {
            seed: Some(seed),
            ..Faults::default()
        }
    }

    /// Says how often what goes wrong under a seed.
    pub fn rates(mut self, rates: FaultRates) -> Faults {
        self.rates = rates;
        self
    }

    /// Adds one planned fault.
    pub fn with(mut self, fault: Fault) -> Faults {
        self.plan.push(fault);
        self
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Faults");
        shown.field("plan", &self.plan);
        if let Some(seed) = self.seed {
            shown.field("seed", &seed).field("rates", &self.rates);
        }
        shown.finish()
    }
}
