//! All integration tests in one binary: linked once, run in parallel.

mod handles;
mod support;
