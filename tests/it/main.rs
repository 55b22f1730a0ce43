//! All integration tests in one binary: linked once, run in parallel.

#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod eventhubs;
mod cancel;
mod driver;
mod handles;
mod support;
