//! `receive`, `drain` and `get`.

use std::time::Duration;

use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::CreditMode;
use fe2o3_amqp::link::delivery::Delivery;
use fe2o3_amqp_types::definitions::{ReceiverSettleMode, SenderSettleMode};
use fe2o3_amqp_types::messaging::{Body, MessageId, Modified};
use serde_amqp::Value;
use serde_json::json;
use shared::{Outcome, Result, Settling, expect_pattern, print_number};
use tokio::time::timeout;

use crate::connect::Client;
use crate::values::message_to_json;

pub type AnyDelivery = Delivery<Body<Value>>;

/// Octets of the messages that `drain` and `get` receive.
const SIZE: usize = 100;

/// How long a queue may take to hand out what it holds.
const PATIENCE: Duration = Duration::from_millis(500);

pub async fn receive(
    client: &mut Client,
    count: usize,
    size: Option<usize>,
    outcome: Outcome,
    settling: Settling,
) -> Result<()> {
    let mut receiver = attach(client, settling).await?;
    receiver.set_credit(u32::try_from(count)?).await?;
    for _ in 0..count {
        let delivery = receiver.recv().await?;
        match size {
            Some(size) => print_number(number_of(&delivery, size)?),
            None => println!("{}", message_to_json(delivery.message())?),
        }
        if !settling.settled {
            settle(&receiver, &delivery, outcome).await?;
        }
    }
    receiver.close().await?;
    Ok(())
}

/// A receiver without credit.
pub async fn attach(client: &mut Client, settling: Settling) -> Result<Receiver> {
    let sender_mode = match settling.settled {
        true => SenderSettleMode::Settled,
        false => SenderSettleMode::Unsettled,
    };
    let receiver_mode = match settling.second {
        true => ReceiverSettleMode::Second,
        false => ReceiverSettleMode::First,
    };
    let builder = Receiver::builder()
        .name("receiver")
        .source(client.address.as_str())
        .sender_settle_mode(sender_mode)
        .receiver_settle_mode(receiver_mode)
        .credit_mode(CreditMode::Manual);
    Ok(builder.attach(&mut client.session).await?)
}

pub const UNSETTLED: Settling = Settling {
    settled: false,
    second: false,
};

pub fn number_of(delivery: &AnyDelivery, size: usize) -> Result<u64> {
    let message = delivery.message();
    let id = message
        .properties
        .as_ref()
        .and_then(|properties| properties.message_id.as_ref());
    let Some(MessageId::Ulong(number)) = id else {
        return Err("a message without a number".into());
    };
    let data = message.body.try_as_data().map_err(|_| "no data")?;
    let body: Vec<u8> = data.flat_map(|data| data.iter().copied()).collect();
    expect_pattern(*number, size, &body)?;
    Ok(*number)
}

async fn settle(receiver: &Receiver, delivery: &AnyDelivery, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Accepted | Outcome::Settled => receiver.accept(delivery).await?,
        Outcome::Rejected => receiver.reject(delivery, None).await?,
        Outcome::Released => receiver.release(delivery).await?,
        Outcome::Modified => {
            let modified = Modified {
                delivery_failed: Some(true),
                undeliverable_here: None,
                message_annotations: None,
            };
            receiver.modify(delivery, modified).await?;
        }
    }
    Ok(())
}

/// The next message, accepted; `None` if none comes while the queue may still have some.
async fn next(receiver: &mut Receiver) -> Result<Option<u64>> {
    let Ok(delivery) = timeout(PATIENCE, receiver.recv::<Body<Value>>()).await else {
        return Ok(None);
    };
    let delivery = delivery?;
    receiver.accept(&delivery).await?;
    number_of(&delivery, SIZE).map(Some)
}

/// Takes the credit back; what came in the meantime. The library does not say when the sender has answered.
async fn take_back(receiver: &mut Receiver) -> Result<Vec<u64>> {
    let mut late = Vec::new();
    receiver.drain().await?;
    while let Some(number) = next(receiver).await? {
        late.push(number);
    }
    Ok(late)
}

pub async fn drain(client: &mut Client, credit: u32) -> Result<()> {
    let mut receiver = attach(client, UNSETTLED).await?;
    receiver.set_credit(credit).await?;
    let mut numbers = Vec::new();
    while let Some(number) = next(&mut receiver).await? {
        numbers.push(number);
    }
    numbers.extend(take_back(&mut receiver).await?);
    numbers.iter().copied().for_each(print_number);
    println!("{}", json!({ "drained": numbers.len() }));
    receiver.close().await?;
    Ok(())
}

pub async fn get(client: &mut Client) -> Result<()> {
    let mut receiver = attach(client, UNSETTLED).await?;
    loop {
        receiver.set_credit(1).await?;
        let mut number = next(&mut receiver).await?;
        if number.is_none() {
            number = take_back(&mut receiver).await?.pop();
        }
        match number {
            Some(number) => print_number(number),
            None => break,
        }
    }
    receiver.close().await?;
    Ok(())
}
