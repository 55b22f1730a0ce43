//! The sending link: what is not settled is kept, and sent again on the next attachment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::slot::LinkSlot;
use super::unsettled::{Replay, most_entries, replay};
use super::{ReconnectError, ReconnectingConnection};
use crate::codec::{DeliveryTag, Outcome, SenderSettleMode, Str, UnsettledMap};
use crate::engine::Payload;
use crate::lock::lock;
use crate::{LinkError, OutgoingMessage, Receipt, SendError, Sender, SenderOptions, Session};

/// A link on which this side sends, attached again when it was lost. Clones share it.
///
/// Each message is kept, encoded, until its outcome is there: memory is what is in flight.
#[derive(Clone)]
pub struct ReconnectingSender {
    shared: Arc<Shared>,
}

struct Shared {
    connection: ReconnectingConnection,
    address: Str,
    options: SenderOptions,
    link: LinkSlot<Sender>,
    unsettled: Mutex<Unsettled>,
}

/// Messages without an outcome, in the order in which they were sent first.
#[derive(Default)]
struct Unsettled {
    entries: BTreeMap<u64, Entry>,
    next_number: u64,
    was_attached: bool,
}

struct Entry {
    message_format: u32,
    payload: Bytes,
    progress: Progress,
}

/// How far a message is.
enum Progress {
    /// Not sent on any attachment yet.
    New,
    /// Its receipt is being waited for.
    InFlight,
    /// Sent again by whoever attached the link anew.
    Replayed(Receipt),
    /// The receiver had decided before the link was lost.
    Concluded(Outcome),
}

impl ReconnectingSender {
    pub(super) fn new(
        connection: ReconnectingConnection,
        address: Str,
        mut options: SenderOptions,
    ) -> Self {
        // The same name each time: that is what makes it the same link (L-001).
        options
            .name
            .get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
        Self {
            shared: Arc::new(Shared {
                connection,
                address,
                options,
                link: LinkSlot::new(),
                unsettled: Mutex::default(),
            }),
        }
    }

    /// Sends a message and waits for its outcome, across lost links and connections. See the [module](super) for what is
    /// promised.
    ///
    /// # Errors
    ///
    /// What stood in the way at the last attempt; [`SendError::Unknown`] if the outcome was lost and
    /// [`retry_unknown`](super::ReconnectOptions::retry_unknown) is off.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not have been sent; it is not sent again.
    pub async fn send(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Outcome, ReconnectError> {
        let entry = self.remember(message.into())?;
        loop {
            let sender = self.shared.attached().await?;
            match self.shared.outcome(entry.number, &sender).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if self.may_go_on(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Detaches the link for good. What waits fails.
    ///
    /// # Errors
    ///
    /// If the link had ended with an error, or the peer does not answer.
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close(&self) -> Result<(), LinkError> {
        match self.shared.link.close().await {
            Some(sender) => sender.close().await,
            None => Ok(()),
        }
    }

    fn remember(&self, message: OutgoingMessage) -> Result<Kept<'_>, SendError> {
        let payload = match message.outbound.payload {
            Payload::Encoded(octets) => octets.into_bytes(),
            Payload::Message(message) => message.to_bytes()?,
        };
        let mut unsettled = lock(&self.shared.unsettled);
        let number = unsettled.next_number;
        unsettled.next_number += 1;
        let entry = Entry {
            message_format: message.outbound.message_format,
            payload,
            progress: Progress::New,
        };
        unsettled.entries.insert(number, entry);
        Ok(Kept {
            shared: &self.shared,
            number,
        })
    }

    /// Whether a message that failed so is sent on the next attachment.
    fn may_go_on(&self, error: &SendError) -> bool {
        match error {
            SendError::NotSent(error) => error.is_retryable(),
            SendError::Unknown(error) => {
                error.is_retryable() && self.shared.connection.options().retry_unknown
            }
            _ => false,
        }
    }
}

impl fmt::Debug for ReconnectingSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingSender")
            .field("address", &self.shared.address)
            .field("unsettled", &lock(&self.shared.unsettled).entries.len())
            .finish_non_exhaustive()
    }
}

/// A message as long as somebody waits for its outcome.
struct Kept<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        lock(&self.shared.unsettled).entries.remove(&self.number);
    }
}

impl Shared {
    /// The outcome of a message on this attachment: it is sent, unless whoever attached the link has done that.
    async fn outcome(&self, number: u64, sender: &Sender) -> Result<Outcome, SendError> {
        let receipt = match self.take_replayed(number) {
            Some(Progress::Concluded(outcome)) => return Ok(outcome),
            Some(Progress::Replayed(receipt)) => receipt,
            _ => {
                let Some(message) = self.message(number) else {
                    return Err(SendError::NotSent(LinkError::LocalDetached));
                };
                let receipt = sender.send_with_receipt(message).await?;
                // Not before: whoever attaches the link anew sends again what is in flight.
                self.set_progress(number, Progress::InFlight);
                receipt
            }
        };
        let outcome = receipt.await;
        if let Err(SendError::NotSent(_)) = &outcome {
            self.not_sent(number);
        }
        outcome
    }

    /// What whoever attached the link anew has done for a message, if anything.
    fn take_replayed(&self, number: u64) -> Option<Progress> {
        let mut unsettled = lock(&self.unsettled);
        let entry = unsettled.entries.get_mut(&number)?;
        match entry.progress {
            Progress::New | Progress::InFlight => None,
            Progress::Replayed(_) | Progress::Concluded(_) => {
                Some(std::mem::replace(&mut entry.progress, Progress::InFlight))
            }
        }
    }

    /// A message did not leave on a link that is lost; it may have been sent again on the next one since.
    fn not_sent(&self, number: u64) {
        let mut unsettled = lock(&self.unsettled);
        if let Some(entry) = unsettled.entries.get_mut(&number)
            && matches!(entry.progress, Progress::InFlight)
        {
            entry.progress = Progress::New;
        }
    }

    fn set_progress(&self, number: u64, progress: Progress) {
        if let Some(entry) = lock(&self.unsettled).entries.get_mut(&number) {
            entry.progress = progress;
        }
    }

    fn message(&self, number: u64) -> Option<OutgoingMessage> {
        let unsettled = lock(&self.unsettled);
        let entry = unsettled.entries.get(&number)?;
        Some(entry.message().with_delivery_tag(tag(number)))
    }

    /// The link, attached anew if it is lost. One that lives failed for one message only.
    async fn attached(&self) -> Result<Sender, ReconnectError> {
        let is_alive = |sender: &Sender| !sender.is_closed();
        self.link
            .get(&self.connection, is_alive, || self.attach())
            .await
    }

    /// One attempt, with as many attachments as it takes to compare all that is not settled.
    async fn attach(&self) -> Result<Sender, ReconnectError> {
        let session = self.connection.session().await?;
        let mut left_before = usize::MAX;
        loop {
            let (ours, is_whole) = self.unsettled_map(&session);
            let sender = self.attach_with(&session, ours, !is_whole).await?;
            let remote = sender.remote_attach();
            let left = self.in_flight().len();
            if (is_whole && !remote.incomplete_unsettled) || left >= left_before {
                self.replay(&sender, remote.unsettled.as_ref()).await?;
                lock(&self.unsettled).was_attached = true;
                return Ok(sender);
            }
            left_before = left;
            self.conclude_known(&sender, remote.unsettled.as_ref())
                .await?;
            sender.detach().await?;
        }
    }

    async fn attach_with(
        &self,
        session: &Session,
        ours: UnsettledMap,
        is_incomplete: bool,
    ) -> Result<Sender, ReconnectError> {
        let mut options = self.options.clone();
        if lock(&self.unsettled).was_attached {
            options = options.unsettled(ours); // L-035: there is a terminus of this link
            options.incomplete_unsettled = is_incomplete;
        }
        let attached = session.attach_sender(self.address.clone(), options).await;
        if let Err(LinkError::Timeout { .. }) = &attached {
            self.connection.give_up(session).await;
        }
        Ok(attached?)
    }

    /// Messages that were sent and have no outcome, as an attach names them; and whether there was room for all.
    fn unsettled_map(&self, session: &Session) -> (UnsettledMap, bool) {
        let most = most_entries(session.connection().remote_open().max_frame_size);
        let in_flight = self.in_flight();
        let entries = in_flight.iter().take(most);
        let map = UnsettledMap(entries.map(|number| (tag(*number), None)).collect());
        (map, in_flight.len() <= most)
    }

    fn in_flight(&self) -> Vec<u64> {
        let unsettled = lock(&self.unsettled);
        let sent = unsettled
            .entries
            .iter()
            .filter(|(_, entry)| !matches!(entry.progress, Progress::New | Progress::Concluded(_)));
        sent.map(|(number, _)| *number).collect()
    }

    /// Sends again what was lost, in its order.
    async fn replay(
        &self,
        sender: &Sender,
        remote: Option<&UnsettledMap>,
    ) -> Result<(), ReconnectError> {
        for number in self.in_flight() {
            let known = replay(&tag(number), remote);
            if known == Replay::Anew && !self.connection.options().retry_unknown {
                continue;
            }
            if let Some(progress) = self.replay_one(sender, number, known).await? {
                self.set_progress(number, progress);
            }
        }
        Ok(())
    }

    async fn replay_one(
        &self,
        sender: &Sender,
        number: u64,
        known: Replay,
    ) -> Result<Option<Progress>, SendError> {
        let Some(message) = self.message(number) else {
            return Ok(None); // nobody waits for it any more
        };
        let message = match known {
            Replay::Anew => message,
            Replay::Resume => message.resumed(tag(number)),
            Replay::Conclude(outcome) => {
                self.conclude(sender, number, outcome.clone()).await?;
                return Ok(Some(Progress::Concluded(outcome)));
            }
        };
        let receipt = sender.send_with_receipt(message).await?;
        Ok(Some(Progress::Replayed(receipt)))
    }

    /// Resumes what both maps name, though one of them is not whole, and waits for the outcomes: the maps shrink by them.
    async fn conclude_known(
        &self,
        sender: &Sender,
        remote: Option<&UnsettledMap>,
    ) -> Result<(), ReconnectError> {
        for number in self.in_flight() {
            let outcome = match replay(&tag(number), remote) {
                Replay::Anew => continue,
                Replay::Conclude(outcome) => {
                    self.conclude(sender, number, outcome.clone()).await?;
                    outcome
                }
                Replay::Resume => match self.message(number) {
                    Some(message) => sender.send(message.resumed(tag(number))).await?,
                    None => continue,
                },
            };
            self.set_progress(number, Progress::Concluded(outcome));
        }
        Ok(())
    }

    /// Tells the receiver that its outcome is known. Settled, unless the link is for unsettled deliveries only.
    async fn conclude(
        &self,
        sender: &Sender,
        number: u64,
        outcome: Outcome,
    ) -> Result<(), SendError> {
        let message = OutgoingMessage::resumed_with_outcome(tag(number), outcome);
        match self.options.snd_settle_mode {
            SenderSettleMode::Unsettled => sender.send_with_receipt(message).await.map(drop),
            _ => sender.send_settled(message).await,
        }
    }
}

impl Entry {
    fn message(&self) -> OutgoingMessage {
        OutgoingMessage::encoded(self.message_format, self.payload.clone())
    }
}

/// The tag of a message: its number.
fn tag(number: u64) -> DeliveryTag {
    // Eight octets are below the limit of 32, so the conversion cannot fail.
    DeliveryTag::try_from(&number.to_be_bytes()[..]).unwrap_or(DeliveryTag::EMPTY)
}
