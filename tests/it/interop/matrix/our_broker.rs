//! Our own broker, of which the same is asked as of those of others.

use amqp10::StaticUsers;
use amqp10::broker::{Broker, BrokerOptions};
use serde_json::Value as Json;

use super::access::{Access, Login, PASSWORD, USER, server_tls};
use super::client::Listening;
use super::{Peer, cells};
use crate::interop::broker::without_header;

struct OurBroker(Broker);

impl Peer for OurBroker {
    const NAME: &'static str = "amqp10 broker";
}

impl Listening for OurBroker {
    async fn start(access: Access) -> Option<Self> {
        let mut options = BrokerOptions::new();
        if access.tls {
            options = options.tls(server_tls(access.login));
        }
        if access.login == Login::Plain {
            options = options.users(StaticUsers::new().user(USER, PASSWORD));
        }
        Some(Self(Broker::start(options).await.unwrap()))
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    async fn queue(&self) -> String {
        format!("queue/{}", uuid::Uuid::new_v4())
    }

    fn strip(sent: &Json, received: &mut Json) {
        without_header(sent, received);
    }
}

cells!(client of OurBroker: plain tls sasl_anonymous sasl_plain ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get transactions);
