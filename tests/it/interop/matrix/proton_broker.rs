//! The example broker of Qpid Proton C++: it keeps what it is sent, and forgets it when it has passed it on.

use super::access::{Access, Login};
use super::client::{Listening, Outcome};
use super::{Peer, cells};
use crate::interop::peers;

/// Proton moves the rest of a message at each window in which it sends a part of it, so that a hundred windows take minutes. This
/// many frames are more than the largest message has.
pub const MESSAGE_IN_FRAMES: u32 = 1 << 17;

struct ProtonBroker {
    address: String,
}

impl Peer for ProtonBroker {
    const NAME: &'static str = "Proton C++ broker";
}

impl Listening for ProtonBroker {
    const LOGIN: Login = Login::None;
    const OUTCOMES: &'static [(Outcome, bool)] = &[
        (Outcome::Accepted, false),
        (Outcome::Rejected, false),
        (Outcome::Released, false),
        (Outcome::Modified, false),
    ];
    const INCOMING_WINDOW: u32 = MESSAGE_IN_FRAMES;
    const MESSAGES: &'static [&'static str] = &["messages.jsonl", "messages-compound-arrays.jsonl"];

    async fn start(_: Access) -> Option<Self> {
        let url = peers::proton_broker()?;
        let address = url.strip_prefix("amqp://").unwrap().to_owned();
        Some(Self { address })
    }

    fn address(&self) -> String {
        self.address.clone()
    }
}

cells!(client of ProtonBroker: plain sasl_anonymous ten_thousand_small hundred_of_one_mebibyte fifty_mebibytes_at_512 outcomes presettled
    settled_first every_type);
