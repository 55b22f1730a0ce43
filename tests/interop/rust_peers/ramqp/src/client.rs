//! A connection as a client, with one session.

use std::collections::VecDeque;
use std::path::Path;
use std::task::Poll;

use bytes::Bytes;
use futures_util::poll;
use ramqp::codec::to_bytes;
use ramqp::config::{Config, CreditMode};
use ramqp::sasl::SaslProfile;
use ramqp::types::definitions::{ReceiverSettleMode, SenderSettleMode};
use ramqp::types::messaging::{
    Accepted, Body, DeliveryState, MessageId, Modified, Outcome as State, Properties,
};
use ramqp::{Connection, Consumer, Delivery, Message, Producer, Session, txn};
use shared::{
    Arguments, End, Node, Outcome, Outcomes, Result, Settling, Work, expect_pattern, json, pattern,
    print_number,
};
use tokio::task::unconstrained;

use crate::values::{message_from_json, message_to_json};

/// Messages that are sent before the outcome of the first is awaited.
const IN_FLIGHT: usize = 1000;

pub const UNSETTLED: Settling = Settling {
    settled: false,
    second: false,
};

pub struct Client {
    address: String,
    session: Session,
    connection: Connection,
}

pub fn messages(file: Option<&Path>, count: usize, size: usize) -> Result<Vec<Message>> {
    match file {
        Some(path) => json::lines_of(path)?
            .iter()
            .map(message_from_json)
            .collect(),
        None => Ok((0..count).map(|number| numbered(number, size)).collect()),
    }
}

fn numbered(number: usize, size: usize) -> Message {
    let properties = Properties {
        message_id: Some(MessageId::Ulong(number as u64)),
        ..Properties::default()
    };
    Message {
        properties: Some(properties),
        ..Message::data(pattern(number, size))
    }
}

impl Client {
    pub async fn open(arguments: &Arguments, node: &Node, settling: Settling) -> Result<Self> {
        let mut config = Config::default();
        if let Some(octets) = arguments.max_frame_size {
            config.connection.max_frame_size = octets;
        }
        config.link.sender_settle_mode = match settling.settled {
            true => SenderSettleMode::Settled,
            false => SenderSettleMode::Unsettled,
        };
        if settling.second {
            config.link.receiver_settle_mode = ReceiverSettleMode::Second;
        }
        let mut builder = Connection::builder(node.url.as_str())
            .config(config)
            .sasl(profile(&arguments.mechanism, node)?)
            .webpki_roots(false);
        if let Some(authority) = Arguments::file(&arguments.authority)? {
            builder = builder.add_root_ca_pem(authority);
        }
        let identity = (
            Arguments::file(&arguments.certificate)?,
            Arguments::file(&arguments.key)?,
        );
        if let (Some(chain), Some(key)) = identity {
            builder = builder.client_auth_pem(chain, key);
        }
        let connection = builder.connect().await?;
        Ok(Self {
            address: node.address.clone(),
            session: connection.begin_session().await?,
            connection,
        })
    }

    pub async fn close(self) -> Result<()> {
        self.session.end().await?;
        self.connection.close().await?;
        Ok(())
    }

    pub async fn send(&self, messages: Vec<Message>, settling: Settling) -> Result<()> {
        let producer = self.session.create_producer(&self.address).await?;
        let mut outcomes = Outcomes::default();
        let mut unsettled = VecDeque::new();
        for message in messages {
            // Polled once, it has its place in the order; unless the runtime wants the task to yield.
            let delivery = unconstrained(deliver(&producer, message, settling));
            let mut delivery = Box::pin(delivery);
            match poll!(&mut delivery) {
                Poll::Ready(outcome) => outcomes.count(outcome?),
                Poll::Pending => unsettled.push_back(delivery),
            }
            if unsettled.len() == IN_FLIGHT
                && let Some(first) = unsettled.pop_front()
            {
                outcomes.count(first.await?);
            }
        }
        for delivery in unsettled {
            outcomes.count(delivery.await?);
        }
        outcomes.print();
        producer.detach().await?;
        Ok(())
    }

    pub async fn receive(
        &self,
        count: usize,
        size: Option<usize>,
        outcome: Outcome,
        settling: Settling,
    ) -> Result<()> {
        let mut consumer = self.consumer(count).await?;
        for _ in 0..count {
            let delivery = consumer.recv().await?;
            let message = delivery.message()?;
            match size {
                Some(size) => print_number(number_of(&message, size)?),
                None => println!("{}", message_to_json(&message)?),
            }
            if !settling.settled {
                settle(&consumer, &delivery, outcome).await?;
            }
        }
        consumer.detach().await?;
        Ok(())
    }

    /// A consumer with credit for so many messages, and no more.
    async fn consumer(&self, count: usize) -> Result<Consumer> {
        // Such that it gives no more before the last has come.
        let credit = CreditMode::Auto {
            initial: u32::try_from(count)?,
            refill_threshold: 0,
        };
        Ok(self
            .session
            .create_consumer_with(&self.address, credit)
            .await?)
    }

    pub async fn transact(&self, work: Work, end: End, count: usize) -> Result<()> {
        let controller = self.session.create_transaction_controller().await?;
        let transaction = controller.declare().await?;
        match work {
            Work::Post => {
                let producer = self.session.create_producer(&self.address).await?;
                for number in 0..count {
                    let state = txn::transactional_state(transaction.clone(), None);
                    producer
                        .send_with_state(numbered(number, 100), state)
                        .await?;
                }
                discharge(&controller, transaction, end).await?;
                producer.detach().await?;
            }
            Work::Retire => {
                let mut consumer = self.consumer(count).await?;
                for _ in 0..count {
                    let delivery = consumer.recv().await?;
                    let accepted = State::Accepted(Accepted::default());
                    consumer
                        .settle_in_txn(&delivery, transaction.clone(), accepted)
                        .await?;
                }
                discharge(&controller, transaction, end).await?;
                consumer.detach().await?;
            }
        }
        Ok(())
    }
}

async fn discharge(
    controller: &txn::TransactionController,
    transaction: Bytes,
    end: End,
) -> Result<()> {
    match end {
        End::Commit => controller.commit(transaction).await?,
        End::Rollback => controller.rollback(transaction).await?,
    }
    Ok(())
}

fn profile(mechanism: &str, node: &Node) -> Result<SaslProfile> {
    let (username, password) = node.login();
    Ok(match mechanism {
        "ANONYMOUS" => SaslProfile::Anonymous,
        "PLAIN" => SaslProfile::Plain {
            authcid: username,
            passwd: password,
        },
        "EXTERNAL" => SaslProfile::External { authzid: None },
        "SCRAM-SHA-256" => SaslProfile::Scram {
            mechanism: ramqp_core::sasl::scram::ScramMechanism::Sha256,
            username,
            password,
        },
        other => return Err(format!("no mechanism: {other}").into()),
    })
}

async fn deliver(producer: &Producer, message: Message, settling: Settling) -> Result<Outcome> {
    if settling.settled {
        // `send_settled` returns before it has sent, and what is not sent ends with the link.
        producer
            .send_bytes(to_bytes(&message).freeze(), true)
            .await?;
        return Ok(Outcome::Settled);
    }
    Ok(match producer.send(message).await? {
        DeliveryState::Accepted(_) => Outcome::Accepted,
        DeliveryState::Rejected(_) => Outcome::Rejected,
        DeliveryState::Released(_) => Outcome::Released,
        DeliveryState::Modified(_) => Outcome::Modified,
        other => return Err(format!("no outcome of a message: {other:?}").into()),
    })
}

fn number_of(message: &Message, size: usize) -> Result<u64> {
    let id = message
        .properties
        .as_ref()
        .and_then(|properties| properties.message_id.as_ref());
    let (Some(MessageId::Ulong(number)), Body::Data(sections)) = (id, &message.body) else {
        return Err("a message without a number or data".into());
    };
    expect_pattern(*number, size, &sections.concat())?;
    Ok(*number)
}

async fn settle(consumer: &Consumer, delivery: &Delivery, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Accepted | Outcome::Settled => consumer.accept(delivery).await?,
        Outcome::Rejected => consumer.reject(delivery, None).await?,
        Outcome::Released => consumer.release(delivery).await?,
        Outcome::Modified => {
            let modified = Modified {
                delivery_failed: Some(true),
                ..Modified::default()
            };
            consumer.modify(delivery, modified).await?;
        }
    }
    Ok(())
}
