//! Cases for listeners, one file a chapter.

mod connection;
mod credit;
mod disposition;
mod frame;
mod header;
mod link;
mod message;
mod sasl;
mod session;
mod stock;
mod terminus;
mod transaction;
mod transfer;
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
    link::CASES,
    credit::CASES,
    transfer::CASES,
    disposition::CASES,
    message::CASES,
    terminus::CASES,
    transaction::CASES,
];
