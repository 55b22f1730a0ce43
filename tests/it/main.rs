//! All integration tests in one binary: linked once, run in parallel.

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod eventhubs;

mod driver;
mod handles;

mod support;
