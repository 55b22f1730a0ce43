//! Dialogues that carry out the rows of `tests/conformance/requirements.md`: a file per chapter, a test name per row.

mod connection;
mod credit;
mod disposition;
mod ending;
mod frame;
mod link;
mod reconnecting;
mod requests;
mod resume;
mod sasl;
mod session;
mod terminus;
mod transaction;
mod transfer;
mod window;
