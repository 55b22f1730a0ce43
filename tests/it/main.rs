//! All integration tests in one binary: linked once, run in parallel.

#[cfg(feature = "emulator")]
mod emulator;
mod handles;
mod spec;
mod support;
