//! rhea, as a client of ours.

use super::listener::Connecting;
use super::{Peer, cells};
use crate::interop::program::Program;

struct Rhea;

impl Peer for Rhea {
    const NAME: &'static str = "rhea";
}

impl Connecting for Rhea {
    fn program() -> Option<Program> {
        Program::node("rhea_client.js")
    }
}

cells!(listener of Rhea: plain sasl_anonymous sasl_plain every_type);
