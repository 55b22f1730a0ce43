//! Dialogues that carry out the rows of `tests/conformance/requirements.md`: a file per chapter, a test name per row.

mod connection;
mod frame;
mod session;
mod window;
