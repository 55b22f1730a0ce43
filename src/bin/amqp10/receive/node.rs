//! Receiving from a node by plain AMQP.

use amqp10::{Credit, Delivery, OnDrop, Receiver, ReceiverOptions};

use super::{Arguments, Output};
use crate::failure::{Context, Failure};
use crate::signals::unless_ended;

pub async fn receive(
    arguments: &Arguments,
    url: &str,
    address: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let (connection, session) = unless_ended(arguments.connecting.open_session(url)).await?;
    // What was not written goes back, as if it had never been delivered.
    let options = ReceiverOptions::default()
        .credit(Credit::Manual)
        .on_drop(OnDrop::Release);
    let attached = async {
        let attached = session.attach_receiver(address, options);
        attached
            .await
            .context(format!("cannot receive from {address:?}"))
    };
    let receiver = unless_ended(attached).await?;
    let mut receiving = Receiving {
        arguments,
        receiver: &receiver,
        output,
        granted: 0,
        unaccepted: Vec::new(),
    };
    let received = unless_ended(receiving.run()).await;
    // However it ended, what was written is taken.
    let accepted = receiving.accept_written();
    drop(receiving);
    let closed = receiver.close().await;
    // What matters has its answer by now.
    let _ = connection.close().await;
    received?;
    accepted?;
    closed.context(
        "the last messages may come again, because the link was lost before they were accepted",
    )
}

struct Receiving<'a> {
    arguments: &'a Arguments,
    receiver: &'a Receiver,
    output: &'a mut Output,
    /// Messages that the peer was allowed to send: never more than are wanted, so that none has to go back.
    granted: u64,
    /// Written, but perhaps still in a buffer.
    unaccepted: Vec<Delivery>,
}

impl Receiving<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        while !self.output.is_complete() {
            self.grant()?;
            let delivery = match self.receiver.try_recv()? {
                Some(delivery) => delivery,
                None => {
                    self.accept_written()?;
                    match self.arguments.wait_for(self.receiver.recv()).await {
                        Some(delivery) => delivery?,
                        None => return self.arguments.when_idle(self.output.written()),
                    }
                }
            };
            self.write(delivery)?;
            if self.unaccepted.len() >= self.half_of_credit() {
                self.accept_written()?;
            }
        }
        self.accept_written()
    }

    fn half_of_credit(&self) -> usize {
        self.arguments.credit().div_ceil(2) as usize
    }

    /// Keeps the credit topped up, as far as messages are wanted.
    fn grant(&mut self) -> Result<(), Failure> {
        let outstanding = self.granted.saturating_sub(self.output.written());
        let credit = u64::from(self.arguments.credit());
        if outstanding > credit / 2 {
            return Ok(());
        }
        let goal = self
            .output
            .wanted()
            .map_or(credit, |wanted| wanted.min(credit));
        if let Ok(additional @ 1..) = u32::try_from(goal.saturating_sub(outstanding)) {
            self.receiver.add_credit(additional)?;
            self.granted += u64::from(additional);
        }
        Ok(())
    }

    fn write(&mut self, delivery: Delivery) -> Result<(), Failure> {
        match delivery.message() {
            Ok(message) => self.output.write(&message, None)?,
            Err(error) => {
                let failure = Failure::from(error).context("a message cannot be read");
                delivery.reject(None)?;
                return Err(failure);
            }
        }
        self.unaccepted.push(delivery);
        Ok(())
    }

    fn accept_written(&mut self) -> Result<(), Failure> {
        self.output.flush()?;
        for delivery in self.unaccepted.drain(..) {
            delivery.accept()?;
        }
        Ok(())
    }
}
