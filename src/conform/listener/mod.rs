//! Cases for listeners, one file a chapter.

mod connection;
mod frame;
mod header;
mod sasl;
mod session;
mod window;

use super::case::Case;

/// The cases of each chapter, in the order of the standard.
pub(super) const CHAPTERS: &[&[Case]] = &[
    header::CASES,
    sasl::CASES,
    frame::CASES,
    connection::CASES,
    session::CASES,
    window::CASES,
];
