//! RabbitMQ 3.10 with its AMQP 1.0 plugin, which translates to AMQP 0-9-1 and back.

use serde_json::Value as Json;

use super::access::{Access, Login};
use super::client::{Listening, Outcome};
use super::{Peer, cells};
use crate::interop::peers;

struct RabbitMq3 {
    address: String,
}

impl Peer for RabbitMq3 {
    const NAME: &'static str = "RabbitMQ 3.10";
}

impl Listening for RabbitMq3 {
    const LOGIN: Login = Login::Plain;
    const OUTCOMES: &'static [(Outcome, bool)] = &[
        (Outcome::Accepted, false),
        (Outcome::Rejected, false),
        (Outcome::Released, true),
    ];
    const MESSAGES: &'static [&'static str] = &["messages-translatable.jsonl"];

    async fn start(access: Access) -> Option<Self> {
        let url = peers::rabbitmq3()?;
        let address = match access.tls {
            true => peers::rabbitmq3_tls()?,
            false => url.rsplit('@').next().unwrap().to_owned(),
        };
        Some(Self { address })
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn queue(&self) -> String {
        format!("/queue/{}", uuid::Uuid::new_v4())
    }

    fn strip(_: &Json, received: &mut Json) {
        let header = received["header"].as_object_mut().unwrap();
        header.remove("first_acquirer");
    }
}

cells!(client of RabbitMq3: plain tls sasl_anonymous sasl_plain sasl_external ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first every_type);
