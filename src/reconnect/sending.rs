//! Attaching a sending link, and sending again on it what was lost with the one before [2.6.13, 3.4.6].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::outbox::{Outbox, tag};
use super::slot::{Attaching, Ending};
use super::unsettled::{Replay, most_entries, replay};
use super::{ReconnectError, ReconnectingConnection};
use crate::codec::{Outcome, SenderSettleMode, Str, UnsettledMap};
use crate::{LinkError, OutgoingMessage, Receipt, SendError, Sender, SenderOptions, Session};

/// What the task needs that attaches a sending link.
pub(super) struct SenderAttaching {
    pub(super) connection: ReconnectingConnection,
    pub(super) name: String,
    pub(super) address: Str,
    pub(super) options: SenderOptions,
    pub(super) outbox: Outbox,
    pub(super) was_attached: AtomicBool,
    pub(super) ending: Ending,
}

impl Attaching for SenderAttaching {
    type Link = Sender;

    /// Once the peer has been asked, its answer is awaited whatever happens here: else the link's name would stay reserved.
    async fn attach(self: Arc<Self>) -> Result<Sender, ReconnectError> {
        let session = self.ending.unless(self.connection.session()).await??;
        let attached = self.attach_on(&session).await;
        if let Err(ReconnectError::Link(LinkError::Timeout { .. })) = &attached {
            self.connection.give_up(&session);
        }
        attached
    }
}

impl SenderAttaching {
    /// As many attachments as it takes to compare all that is not settled.
    async fn attach_on(&self, session: &Session) -> Result<Sender, ReconnectError> {
        let mut left_before = usize::MAX;
        loop {
            let unsettled = self.outbox.unsettled();
            let (sender, is_whole) = self.attach_with(session, &unsettled).await?;
            self.was_attached.store(true, Ordering::Release);
            let remote = sender.remote_attach();
            let map = remote.unsettled.as_ref();
            let is_last = (is_whole && !remote.incomplete_unsettled) // L-038
                || unsettled.len() >= left_before;
            let compared = async {
                match is_last {
                    true => self.replay(&sender, &unsettled, map).await,
                    false => self.conclude_known(&sender, &unsettled, map).await,
                }
            };
            match self.ending.unless(compared).await {
                Ok(compared) => compared?,
                Err(_) => return Ok(sender), // whoever ended the link detaches it
            }
            if is_last {
                return Ok(sender);
            }
            left_before = unsettled.len();
            sender.detach().await?;
        }
    }

    /// Attaches, naming as many of `unsettled` as the peer's frames have room for; says whether that was all.
    async fn attach_with(
        &self,
        session: &Session,
        unsettled: &[u64],
    ) -> Result<(Sender, bool), LinkError> {
        let most = most_entries(session.connection().remote_open().max_frame_size);
        let is_whole = unsettled.len() <= most;
        let mut options = self.options.clone();
        if self.was_attached.load(Ordering::Acquire) {
            // L-035: there is a terminus of this link. R-014: no outcome where the message may be needed.
            let named = unsettled.iter().take(most);
            let map = named.map(|number| (tag(*number), None)).collect();
            options = options
                .unsettled(UnsettledMap(map))
                .incomplete_unsettled(!is_whole);
        }
        let sender = session.attach_sender(self.address.clone(), options).await?;
        Ok((sender, is_whole))
    }

    /// Sends again what was lost, in its order.
    async fn replay(
        &self,
        sender: &Sender,
        unsettled: &[u64],
        remote: Option<&UnsettledMap>,
    ) -> Result<(), LinkError> {
        let retry_unknown = self.connection.options().retry_unknown;
        for &number in unsettled {
            let receipt = match replay(&tag(number), remote) {
                Replay::Anew if !self.outbox.is_to_be_sent_again(number, retry_unknown) => continue,
                Replay::Anew => match self.outbox.message(number) {
                    Some(message) => self.send(sender, number, message).await?,
                    None => continue, // nobody waits for it any more
                },
                Replay::Resume => self.resume(sender, number).await?,
                Replay::Conclude(outcome) => {
                    self.conclude(sender, number, outcome).await?;
                    continue;
                }
            };
            if let Some(receipt) = receipt {
                self.outbox.sent_again(number, receipt);
            }
        }
        Ok(())
    }

    /// Resumes what both maps name, though one of them is not whole, and waits for the outcomes: the maps shrink by them.
    async fn conclude_known(
        &self,
        sender: &Sender,
        unsettled: &[u64],
        remote: Option<&UnsettledMap>,
    ) -> Result<(), LinkError> {
        let mut resumed = Vec::new();
        for &number in unsettled {
            match replay(&tag(number), remote) {
                Replay::Anew => {}
                Replay::Conclude(outcome) => self.conclude(sender, number, outcome).await?,
                Replay::Resume => {
                    let receipt = self.resume(sender, number).await?;
                    resumed.extend(receipt.map(|receipt| (number, receipt)));
                }
            }
        }
        for (number, receipt) in resumed {
            if let Some(outcome) = self.unless_its_own(number, receipt.await)? {
                self.outbox.conclude(number, Ok(outcome));
            }
        }
        Ok(())
    }

    /// Sends a whole message under the tag that both ends know, or gives it up if nobody waits for it.
    async fn resume(&self, sender: &Sender, number: u64) -> Result<Option<Receipt>, LinkError> {
        match self.outbox.message(number) {
            Some(message) => {
                self.send(sender, number, message.resumed(tag(number)))
                    .await
            }
            None => {
                let aborted = sender.send_settled(OutgoingMessage::aborted(tag(number)));
                self.unless_its_own(number, aborted.await)?;
                Ok(None)
            }
        }
    }

    async fn send(
        &self,
        sender: &Sender,
        number: u64,
        message: OutgoingMessage,
    ) -> Result<Option<Receipt>, LinkError> {
        self.unless_its_own(number, sender.send_with_receipt(message).await)
    }

    /// Tells the receiver that its outcome is known. Settled, unless the link is for unsettled deliveries only.
    async fn conclude(
        &self,
        sender: &Sender,
        number: u64,
        outcome: Outcome,
    ) -> Result<(), LinkError> {
        let message = OutgoingMessage::resumed_with_outcome(tag(number), outcome.clone());
        let told = match self.options.snd_settle_mode {
            SenderSettleMode::Unsettled => sender.send_with_receipt(message).await.map(drop),
            _ => sender.send_settled(message).await,
        };
        if self.unless_its_own(number, told)?.is_some() {
            self.outbox.conclude(number, Ok(outcome));
        }
        Ok(())
    }

    /// What hinders one message alone is told to who waits for that; the end of the link hinders all.
    fn unless_its_own<T>(
        &self,
        number: u64,
        sent: Result<T, SendError>,
    ) -> Result<Option<T>, LinkError> {
        match sent {
            Ok(sent) => Ok(Some(sent)),
            Err(SendError::NotSent(error) | SendError::Unknown(error)) => Err(error),
            Err(error) => {
                self.outbox.conclude(number, Err(error));
                Ok(None)
            }
        }
    }
}
