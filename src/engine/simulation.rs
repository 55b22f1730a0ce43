//! Two engines, a clock and a seed: random operations on both sides of a stream that is cut into random pieces.
//!
//! What the two applications do: begin and end sessions, attach, accept, refuse, steal, detach and resume links, send messages
//! of one frame and of many, settled or not, aborted, or as part of a transaction; take them one by one and in batches, decide
//! them in both settle modes, retire them in transactions, grant and drain, and drop any future and any handle at any moment.
//! Frames of different channels overtake each other, flows ask for echoes, the clock jumps, and a connection ends by rest,
//! close, cut or silence, after which another may follow on which what was unsettled is resumed.
//!
//! What has to hold (`referee.rs` judges each frame, `agreement.rs` what is left when nothing is under way, `ledger.rs` each
//! message, `poll.rs` each wait):
//!
//! - Credit and windows are never exceeded, as the sender has heard of them; delivery-ids and transfer-ids follow each other.
//! - Two sound engines never find fault with each other.
//! - Every delivery resolves exactly once, with the outcome that it was given, or is known not to be known. It arrives at most
//!   once and in order; on a link that is resumed exactly once, whatever was cut. A transaction happens as a whole.
//! - At rest both unsettled maps, windows and credits agree; in the end both engines are empty.
//! - Every wait ends, and no wake is lost.
//! - What a connection holds for the peer is counted right, and within its limits.
//!
//! `cargo test --profile simulation --no-default-features --lib simulation -- --nocapture` runs it; `AMQP10_SEEDS=n` makes n
//! runs, on all processors, and `AMQP10_SEED=n` replays one and prints its story: every frame that either side writes and
//! handles. `.ci/stages/simulation` makes 100 000 runs.

mod agreement;
mod application;
mod dropping;
mod ending;
mod ledger;
mod links;
mod poll;
mod random;
mod referee;
#[cfg(test)]
mod seeds;
mod side;
mod termini;
mod transactions;
mod waits;
mod wire;
mod world;

#[cfg(fuzzing)]
pub(crate) use agreement::check_quotas;

/// So many choices are enough for anything to happen, and make a run of milliseconds.
#[cfg(fuzzing)]
const MAX_CHOICES: usize = 256;

/// Operations on both engines, as many as there are choices, and an end. Bits of the first octet choose the end, whether
/// connections may be lost before (`0x20`), whether another one follows (`0x40`), and whether sessions and links are there
/// to begin with (`0x80`).
#[cfg(fuzzing)]
pub(crate) fn operate(choices: &[u8]) {
    use ending::{ENDINGS, Ending};

    let Some((&first, choices)) = choices.split_first() else {
        return;
    };
    let choices = &choices[..choices.len().min(MAX_CHOICES)];
    let mut world = world::World::new(random::Random::of_choices(choices));
    world.settle_down();
    if first & 0x80 != 0 {
        world.warm_up();
    }
    while world.random.has_choices() {
        world.step();
        if first & 0x20 != 0 && world.random.below(64) == 0 {
            world.cut();
            world.begin_again();
        }
    }
    let ending = ENDINGS[usize::from(first) % ENDINGS.len()];
    world.end(ending);
    if first & 0x40 != 0 && ending != Ending::Rest {
        world.begin_again();
        world.end(Ending::Rest);
    }
}
