//! `transact`.

use fe2o3_amqp::Sender;
use fe2o3_amqp::transaction::{
    Controller, Transaction, TransactionDischarge, TransactionPosting, TransactionRetirement,
};
use fe2o3_amqp_types::messaging::Body;
use serde_amqp::Value;
use shared::{End, Result, Work};

use crate::connect::Client;
use crate::receive::{UNSETTLED, attach};
use crate::send::numbered;

pub async fn transact(client: &mut Client, work: Work, end: End, count: usize) -> Result<()> {
    let controller = Controller::attach(&mut client.session, "controller").await?;
    let transaction = Transaction::declare(&controller, None).await?;
    match work {
        Work::Post => {
            let address = client.address.clone();
            let mut sender = Sender::attach(&mut client.session, "sender", address).await?;
            for number in 0..count {
                let outcome = transaction.post(&mut sender, numbered(number, 100)).await?;
                outcome.accepted_or("not accepted")?;
            }
            discharge(transaction, end).await?;
            sender.close().await?;
        }
        Work::Retire => {
            let mut receiver = attach(client, UNSETTLED).await?;
            receiver.set_credit(u32::try_from(count)?).await?;
            for _ in 0..count {
                let delivery = receiver.recv::<Body<Value>>().await?;
                transaction.accept(&mut receiver, &delivery).await?;
            }
            discharge(transaction, end).await?;
            receiver.close().await?;
        }
    }
    controller.close().await?;
    Ok(())
}

async fn discharge(transaction: Transaction<'_>, end: End) -> Result<()> {
    match end {
        End::Commit => transaction.commit().await?,
        End::Rollback => transaction.rollback().await?,
    }
    Ok(())
}
