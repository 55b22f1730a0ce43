//! Cases for clients, one file a chapter.

mod connection;
mod credit;
mod delivery;
mod detach;
mod disposition;
mod frame;
mod header;
mod link;
pub(super) mod message;
mod sasl;
mod session;
mod transfer;
mod window;

use super::case::{Case, Stop};
use super::dialogue::{Dialogue, Scope};
use crate::codec::Symbol;

/// The cases of each chapter, in the order of the standard.
pub(super) const CHAPTERS: &[&[Case]] = &[
    header::CASES,
    sasl::CASES,
    frame::CASES,
    connection::CASES,
    session::CASES,
    window::CASES,
    link::CASES,
    detach::CASES,
    credit::CASES,
    transfer::CASES,
    delivery::CASES,
    message::CASES,
    disposition::CASES,
];

/// The client ends the stream; what it had said before, header or frame, is of no interest any more.
async fn expect_hang_up(client: &mut Dialogue) -> Result<(), Stop> {
    client.read_octets(usize::MAX).await?;
    client.expect_eof().await
}

/// The client refuses and says why.
async fn expect_complaint(client: &mut Dialogue) -> Result<(), Stop> {
    let refusal = client.expect_complaint().await?;
    match (&refusal.error, refusal.is_said) {
        (Some(_), _) => Ok(()),
        (None, false) => {
            client.remark("the stream ended without a close");
            Ok(())
        }
        (None, true) => Err(Stop::fail(format!("{refusal} in place of an error"))),
    }
}

/// The client ends the session or the connection, whose condition had better be this one.
async fn expect_refusal_above_the_link(client: &mut Dialogue, wanted: &Symbol) -> Result<(), Stop> {
    let refusal = client.expect_complaint().await?;
    match (&refusal.error, refusal.scope) {
        (_, Scope::Link) => Err(Stop::fail(refusal.to_string())),
        (Some(error), _) if error.condition == *wanted => Ok(()),
        _ => {
            client.remark(format!("{refusal} in place of {wanted}"));
            Ok(())
        }
    }
}
