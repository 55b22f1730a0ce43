//! RabbitMQ 4, whose own protocol is AMQP 1.0.

use amqp10::SessionOptions;
use amqp10::rabbitmq::{Management, QueueOptions, address};
use amqp10::request::RequestOptions;
use serde_json::Value as Json;

use super::access::{Access, Login};
use super::client::{Listening, Outcome};
use super::{Peer, cells};
use crate::interop::broker::{self, without_header};
use crate::interop::{peers, soon};

struct RabbitMq4 {
    address: String,
}

impl Peer for RabbitMq4 {
    const NAME: &'static str = "RabbitMQ 4.0";
}

impl Listening for RabbitMq4 {
    const LOGIN: Login = Login::Plain;
    const ANSWERS: &'static [(&'static str, Outcome)] =
        &[("/exchanges/amq.direct/nobody-listens", Outcome::Released)];

    async fn start(access: Access) -> Option<Self> {
        let url = peers::rabbitmq4()?;
        let address = match access.tls {
            true => peers::rabbitmq4_tls()?,
            false => url.rsplit('@').next().unwrap().to_owned(),
        };
        Some(Self { address })
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    /// One that vanishes when it has been idle for two minutes, declared on a connection of its own because RabbitMQ 4.0 loses a
    /// begin on the channel of a session that has just ended.
    async fn queue(&self) -> String {
        let url = peers::rabbitmq4().unwrap();
        let connection = broker::connect(&url, broker::options()).await;
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        let management = soon(
            "the management node",
            Management::attach(&session, RequestOptions::default()),
        );
        let management = management.await.unwrap();
        let name = uuid::Uuid::new_v4().to_string();
        let options = QueueOptions::classic().argument("x-expires", 120_000_u64);
        let declared = management.declare_queue(&name, &options);
        soon("the queue", declared).await.unwrap();
        management.close().await.unwrap();
        broker::close(connection).await;
        address::queue(&name)
    }

    /// It writes a header of its own, ends delivery annotations as it should, and says in two annotations where the message was
    /// published.
    fn strip(sent: &Json, received: &mut Json) {
        without_header(sent, received);
        let received = received.as_object_mut().unwrap();
        if let Some(Json::Array(annotations)) = received.get_mut("message_annotations") {
            let added = ["x-exchange", "x-routing-key"];
            annotations.retain(|pair| !added.contains(&pair[0][1].as_str().unwrap_or_default()));
            if annotations.is_empty() {
                received.remove("message_annotations");
            }
        }
    }
}

cells!(client of RabbitMq4: plain tls sasl_anonymous sasl_plain sasl_external ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first every_type drain synchronous_get);
