//! How often something goes wrong under a seed.

use std::time::Duration;

use super::board::Operation;
use super::dice::Dice;
use super::fault::{Direction, Fault, Kind};
use super::site::Site;
use crate::codec::Role;

/// Of how many operations the rates are parts.
const WHOLE: u32 = 10_000;

/// How many of 10 000 operations go wrong in each way, on average; see [`Fault`] for what they do. A kind that cannot befall
/// an operation spares it: readers store nothing, publishers hold no partition.
///
/// The defaults make one operation in 30 or so go wrong: enough for a run of a few hundred events to meet most kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRates {
    /// [`Fault::throttle`] for 1 to 3 operations. Default 30.
    pub throttle: u32,
    /// [`Fault::detach`]. Default 60.
    pub detach: u32,
    /// [`Fault::cut`], after 0 to 10 000 octets in either direction. Default 60.
    pub cut: u32,
    /// [`Fault::delay_outcomes`] by up to two minutes, for 1 to 3 messages. Default 40.
    pub delay_outcomes: u32,
    /// [`Fault::lose_outcomes`] of 1 to 3 messages. Default 30.
    pub lose_outcomes: u32,
    /// [`Fault::lose_events`] of 1 to 3 messages. Default 30.
    pub lose_events: u32,
    /// [`Fault::expire_tokens`]. Default 30.
    pub expire_tokens: u32,
    /// [`Fault::steal`], from readers with an owner level. Default 20.
    pub steal: u32,
    /// [`Fault::silence`]. Default 20.
    pub silence: u32,
    /// [`Fault::slow`] for 1 to 20 events, by up to a second. Default 30.
    pub slow: u32,
}

impl Default for FaultRates {
    fn default() -> FaultRates {
        FaultRates {
            throttle: 30,
            detach: 60,
            cut: 60,
            delay_outcomes: 40,
            lose_outcomes: 30,
            lose_events: 30,
            expire_tokens: 30,
            steal: 20,
            silence: 20,
            slow: 30,
        }
    }
}

impl FaultRates {
    /// Nothing goes wrong, but for what is set.
    pub fn none() -> FaultRates {
        FaultRates {
            throttle: 0,
            detach: 0,
            cut: 0,
            delay_outcomes: 0,
            lose_outcomes: 0,
            lose_events: 0,
            expire_tokens: 0,
            steal: 0,
            silence: 0,
            slow: 0,
        }
    }

    /// Sets [`throttle`](Self::throttle).
    pub fn throttle(mut self, rate: u32) -> FaultRates {
        self.throttle = rate;
        self
    }

    /// Sets [`detach`](Self::detach).
    pub fn detach(mut self, rate: u32) -> FaultRates {
        self.detach = rate;
        self
    }

    /// Sets [`cut`](Self::cut).
    pub fn cut(mut self, rate: u32) -> FaultRates {
        self.cut = rate;
        self
    }

    /// Sets [`delay_outcomes`](Self::delay_outcomes).
    pub fn delay_outcomes(mut self, rate: u32) -> FaultRates {
        self.delay_outcomes = rate;
        self
    }

    /// Sets [`lose_outcomes`](Self::lose_outcomes).
    pub fn lose_outcomes(mut self, rate: u32) -> FaultRates {
        self.lose_outcomes = rate;
        self
    }

    /// Sets [`lose_events`](Self::lose_events).
    pub fn lose_events(mut self, rate: u32) -> FaultRates {
        self.lose_events = rate;
        self
    }

    /// Sets [`expire_tokens`](Self::expire_tokens).
    pub fn expire_tokens(mut self, rate: u32) -> FaultRates {
        self.expire_tokens = rate;
        self
    }

    /// Sets [`steal`](Self::steal).
    pub fn steal(mut self, rate: u32) -> FaultRates {
        self.steal = rate;
        self
    }

    /// Sets [`silence`](Self::silence).
    pub fn silence(mut self, rate: u32) -> FaultRates {
        self.silence = rate;
        self
    }

    /// Sets [`slow`](Self::slow).
    pub fn slow(mut self, rate: u32) -> FaultRates {
        self.slow = rate;
        self
    }

    /// What befalls an operation, if anything. Takes one number from the dice if nothing does.
    pub(super) fn roll(&self, dice: &mut Dice, operation: Operation, site: &Site) -> Option<Fault> {
        let mut point = dice.below(WHOLE.into());
        for (rate, draw) in self.choices(operation, site) {
            match point.checked_sub(rate.into()) {
                Some(left) => point = left,
                None => return Some(timed(Fault::from(draw(dice)).at(site), dice)),
            }
        }
        None
    }

    /// What can befall an operation, with its rate.
    fn choices(&self, operation: Operation, site: &Site) -> Vec<(u32, Draw)> {
        let everywhere: [(u32, Draw); 4] = [
            (self.detach, |_| Kind::Detach),
            (self.cut, cut),
            (self.expire_tokens, |_| Kind::ExpireTokens),
            (self.slow, slow),
        ];
        let publishing: [(u32, Draw); 4] = [
            (self.throttle, throttle),
            (self.delay_outcomes, delay_outcomes),
            (self.lose_outcomes, |dice| Kind::LoseOutcomes {
                operations: dice.up_to(3),
            }),
            (self.lose_events, |dice| Kind::LoseEvents {
                operations: dice.up_to(3),
            }),
        ];
        let reading: [(u32, Draw); 2] = [
            (self.silence, |_| Kind::Silence),
            (if site.is_owner { self.steal } else { 0 }, |_| Kind::Steal),
        ];
        match (operation, site.role) {
            (Operation::Attach, _) => vec![(self.throttle, throttle), (self.cut, cut)],
            (Operation::Message, Role::Sender) => [everywhere, publishing].concat(),
            (Operation::Message, Role::Receiver) => [&everywhere[..], &reading].concat(),
        }
    }
}

/// What ends links does so a moment later. Where no time passes between the first event on a link and the end of it, its
/// reader would get nothing at all, again and again.
fn timed(fault: Fault, dice: &mut Dice) -> Fault {
    match fault.kind {
        Kind::Detach | Kind::Cut { .. } | Kind::ExpireTokens | Kind::Steal => {
            fault.after(Duration::from_millis(dice.up_to(100).into()))
        }
        _ => fault,
    }
}

/// Draws what a kind of fault leaves open.
type Draw = fn(&mut Dice) -> Kind;

fn throttle(dice: &mut Dice) -> Kind {
    Kind::Throttle {
        operations: dice.up_to(3),
    }
}

/// Small numbers are as likely as large ones: handshakes and headers are short.
fn cut(dice: &mut Dice) -> Kind {
    let most = [1, 64, 1000, 10_000][dice.below(4) as usize];
    Kind::Cut {
        octets: dice.below(most),
        direction: match dice.below(2) {
            0 => Direction::ToClient,
            _ => Direction::ToEmulator,
        },
    }
}

/// A client waits about a minute for an outcome: some come after that.
fn delay_outcomes(dice: &mut Dice) -> Kind {
    let longest = [100, 5_000, 120_000][dice.below(3) as usize];
    Kind::DelayOutcomes {
        operations: dice.up_to(3),
        delay: Duration::from_millis(dice.up_to(longest).into()),
    }
}

fn slow(dice: &mut Dice) -> Kind {
    Kind::Slow {
        events: dice.up_to(20),
        pause: Duration::from_millis(dice.up_to(1000).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(role: Role, is_owner: bool) -> Site {
        Site {
            hub: "orders".into(),
            partition: Some("0".into()),
            role,
            is_owner,
        }
    }

    fn kinds(rates: FaultRates, operation: Operation, site: &Site, rolls: u32) -> Vec<Fault> {
        let mut dice = Dice::new(7);
        let rolls = (0..rolls).filter_map(|_| rates.roll(&mut dice, operation, site));
        rolls.collect()
    }

    #[test]
    fn a_rate_is_a_part_of_ten_thousand() {
        let rates = FaultRates::none().detach(1000);
        let publisher = site(Role::Sender, false);
        let count = kinds(rates, Operation::Message, &publisher, 10_000).len();
        assert!((900..1100).contains(&count), "{count}");
        assert!(kinds(FaultRates::none(), Operation::Message, &publisher, 1000).is_empty());
    }

    #[test]
    fn nothing_befalls_those_whom_it_cannot() {
        let shared = site(Role::Receiver, false);
        let owner = site(Role::Receiver, true);
        let publisher = site(Role::Sender, false);
        let steals = FaultRates::none().steal(WHOLE);
        assert!(kinds(steals, Operation::Message, &shared, 10).is_empty());
        assert!(kinds(steals, Operation::Message, &publisher, 10).is_empty());
        assert_eq!(kinds(steals, Operation::Message, &owner, 10).len(), 10);
        let losses = FaultRates::none().lose_events(WHOLE);
        assert!(kinds(losses, Operation::Message, &owner, 10).is_empty());
        assert!(kinds(losses, Operation::Attach, &publisher, 10).is_empty());
    }
}
