//! All integration tests in one binary: it links once, and its tests run in parallel.

#[cfg(feature = "emulator")]
mod emulator;
