//! All integration tests in one binary: linked once, run in parallel.

mod allocations;
#[cfg(feature = "broker")]
mod broker;
mod cancel;
#[cfg(feature = "cli")]
mod cli;
#[cfg(all(feature = "conform", feature = "broker"))]
mod conform;
mod conformance;
mod driver;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod eventhubs;
mod handles;
mod hostile;
#[cfg_attr(
    not(all(feature = "blob", feature = "cli", feature = "scram")),
    allow(dead_code) // much of what runs the peers is for tests of these features alone
)]
mod interop;
mod layering;
mod spec;
mod support;
mod transport;
