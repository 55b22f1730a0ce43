//! Our own broker, of which the same is asked as of those of others.

use amqp10::SaslServerOptions;
use amqp10::broker::{Broker, BrokerOptions, read_users};
use amqp10::sasl::SaslMechanism;
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
        let mut options = BrokerOptions::default();
        if access.tls {
            options = options.tls(server_tls(access.login));
        }
        let users = || read_users(&format!("{USER}:{PASSWORD}")).unwrap();
        options = match access.login {
            Login::None | Login::Anonymous => options,
            Login::Plain => options.sasl(users().mechanisms([SaslMechanism::Plain])),
            Login::Scram => options.sasl(users()),
            // TLS has asked for the certificate.
            Login::External => {
                options.sasl(SaslServerOptions::default().mechanisms([SaslMechanism::External]))
            }
        };
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

cells!(client of OurBroker: plain tls sasl_anonymous sasl_plain sasl_scram sasl_external ten_thousand_small
    hundred_of_one_mebibyte fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get transactions);
