//! Sending to a node by plain AMQP.

use std::collections::VecDeque;

use amqp10::{Receipt, SendError, Sender, SenderOptions};
use bytes::Bytes;

use super::bodies::Bodies;
use super::{Arguments, Tally};
use crate::failure::{Context, Failure, within};
use crate::progress::Progress;
use crate::signals::unless_ended;

const DEFAULT_WINDOW: usize = 512;

pub async fn send(
    arguments: &Arguments,
    url: &str,
    address: &str,
    tally: &mut Tally,
    progress: &Progress,
) -> Result<(), Failure> {
    let connecting = &arguments.connecting;
    let (connection, session) = unless_ended(connecting.open_session(url)).await?;
    let attached = async {
        let attached = session.attach_sender(address, SenderOptions::default());
        attached
            .await
            .context(format!("cannot send to {address:?}"))
    };
    let sender = unless_ended(attached).await?;
    tally.start();
    let mut sending = Sending {
        arguments,
        sender: &sender,
        bodies: arguments.bodies(),
        in_flight: VecDeque::new(),
        not_sent: 0,
        tally,
        progress,
    };
    let sent = unless_ended(sending.run()).await;
    let closed = sender.close().await;
    // What matters has its answer by now.
    let _ = connection.close().await;
    sent?;
    match arguments.settled {
        // The peer's detach tells that all before ours was handed over.
        true => closed.context("it is not known whether all was handed over"),
        false => Ok(()),
    }
}

struct Sending<'a> {
    arguments: &'a Arguments,
    sender: &'a Sender,
    bodies: Bodies,
    /// The oldest first.
    in_flight: VecDeque<Receipt>,
    /// Messages that were given to the link and never left.
    not_sent: u64,
    tally: &'a mut Tally,
    progress: &'a Progress,
}

impl Sending<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let sent = self.send_all().await;
        let settled = self.settle_rest(sent.is_ok()).await;
        sent.and(settled)
            .map_err(|failure| self.with_losses(failure))
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        let window = self.arguments.window_or(DEFAULT_WINDOW);
        while let Some(body) = self.bodies.next().await? {
            while self.in_flight.len() >= window {
                self.settle_oldest().await?;
            }
            self.send_one(body).await?;
            self.progress.reach(self.tally.sent);
        }
        Ok(())
    }

    async fn send_one(&mut self, body: Bytes) -> Result<(), Failure> {
        let limit = self.arguments.connecting.timeout;
        let awaited = "credit to send";
        let number = self.tally.sent + 1;
        if self.arguments.settled {
            let sent = within(limit, awaited, self.sender.send_settled(body));
            sent.await.context(format!("message {number}"))?;
        } else {
            let sent = within(limit, awaited, self.sender.send_with_receipt(body));
            let receipt = sent.await.context(format!("message {number}"))?;
            self.in_flight.push_back(receipt);
        }
        self.tally.sent += 1;
        Ok(())
    }

    async fn settle_oldest(&mut self) -> Result<(), Failure> {
        let Some(receipt) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let limit = self.arguments.connecting.timeout;
        let outcome = async { Ok::<_, Failure>(receipt.await) };
        match within(limit, "the outcome of a message", outcome).await? {
            Ok(outcome) => self.tally.count(1, &outcome),
            Err(error) => {
                if matches!(error, SendError::NotSent(_)) {
                    self.tally.sent -= 1;
                    self.not_sent += 1;
                }
                return Err(cause(&error));
            }
        }
        Ok(())
    }

    /// Reads the outcomes that are still to come. After a failure, those that came before it.
    async fn settle_rest(&mut self, all_was_sent: bool) -> Result<(), Failure> {
        let mut result = Ok(());
        while !self.in_flight.is_empty() {
            let settled = self.settle_oldest().await;
            // A link that has ended resolves all receipts at once; one that is silent must not be waited for each time.
            if settled.is_err() && !self.sender.is_detached() {
                return settled;
            }
            if all_was_sent && result.is_ok() {
                result = settled;
            }
        }
        result
    }

    fn with_losses(&self, failure: Failure) -> Failure {
        let Failure::Said(mut message) = failure else {
            return failure;
        };
        if self.not_sent > 0 {
            message += &format!("; {} messages were not sent", self.not_sent);
        }
        if !self.arguments.settled && self.tally.unknown() > 0 {
            let unknown = self.tally.unknown();
            message += &format!("; the outcome of {unknown} messages is unknown");
        }
        Failure::Said(message)
    }
}

/// Why the link ended, without what it means for the one message: the tally tells that for all of them.
fn cause(error: &SendError) -> Failure {
    match error.link_error() {
        Some(link) => Failure::new(link.to_string()),
        None => Failure::new(error.to_string()),
    }
}
