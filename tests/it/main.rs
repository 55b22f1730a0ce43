//! All integration tests in one binary: linked once, run in parallel.

mod driver;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod eventhubs;
mod handles;
mod interop;
mod spec;
mod support;
