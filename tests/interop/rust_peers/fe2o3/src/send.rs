//! `send`.

use std::collections::VecDeque;
use std::path::Path;

use fe2o3_amqp::Sender;
use fe2o3_amqp::link::delivery::Sendable;
use fe2o3_amqp_types::definitions::{ReceiverSettleMode, SenderSettleMode};
use fe2o3_amqp_types::messaging::{
    Batch, Body, Data, Message, MessageId, Outcome as State, Properties,
};
use fe2o3_amqp_types::primitives::Binary;
use shared::{Outcome, Outcomes, Result, Settling, json, pattern};

use crate::connect::Client;
use crate::values::{AnyMessage, message_from_json};

/// Messages that are sent before the outcome of the first is awaited.
const IN_FLIGHT: usize = 1000;

pub fn messages(file: Option<&Path>, count: usize, size: usize) -> Result<Vec<AnyMessage>> {
    match file {
        Some(path) => json::lines_of(path)?
            .iter()
            .map(message_from_json)
            .collect(),
        None => Ok((0..count).map(|number| numbered(number, size)).collect()),
    }
}

pub fn numbered(number: usize, size: usize) -> AnyMessage {
    let data = Data(Binary::from(pattern(number, size)));
    let properties = Properties::builder()
        .message_id(MessageId::Ulong(number as u64))
        .build();
    Message::builder()
        .properties(properties)
        .body(Body::Data(Batch::new(vec![data])))
        .build()
}

pub async fn send(
    client: &mut Client,
    messages: Vec<AnyMessage>,
    settling: Settling,
) -> Result<()> {
    let mut sender = attach(client, settling).await?;
    let mut outcomes = Outcomes::default();
    let mut unsettled = VecDeque::new();
    for message in messages {
        let sendable = Sendable::builder()
            .message(message)
            .settled(settling.settled)
            .build();
        unsettled.push_back(sender.send_batchable(sendable).await?);
        if unsettled.len() == IN_FLIGHT
            && let Some(first) = unsettled.pop_front()
        {
            outcomes.count(outcome(first.await?, settling)?);
        }
    }
    for delivery in unsettled {
        outcomes.count(outcome(delivery.await?, settling)?);
    }
    outcomes.print();
    sender.close().await?;
    Ok(())
}

async fn attach(client: &mut Client, settling: Settling) -> Result<Sender> {
    let sender_mode = match settling.settled {
        true => SenderSettleMode::Settled,
        false => SenderSettleMode::Unsettled,
    };
    let receiver_mode = match settling.second {
        true => ReceiverSettleMode::Second,
        false => ReceiverSettleMode::First,
    };
    let builder = Sender::builder()
        .name("sender")
        .target(client.address.as_str())
        .sender_settle_mode(sender_mode)
        .receiver_settle_mode(receiver_mode);
    Ok(builder.attach(&mut client.session).await?)
}

fn outcome(state: State, settling: Settling) -> Result<Outcome> {
    Ok(match state {
        _ if settling.settled => Outcome::Settled,
        State::Accepted(_) => Outcome::Accepted,
        State::Rejected(_) => Outcome::Rejected,
        State::Released(_) => Outcome::Released,
        State::Modified(_) => Outcome::Modified,
        other => return Err(format!("no outcome of a message: {other:?}").into()),
    })
}
