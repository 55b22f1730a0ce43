//! Messages that wait for their outcomes, kept across attachments.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::codec::{DeliveryTag, Outcome};
use crate::lock::lock;
use crate::{OutgoingMessage, Receipt, SendError};

/// What became of a message.
pub(super) type Conclusion = Result<Outcome, SendError>;

/// The messages without an outcome, in the order in which they were handed over.
#[derive(Default)]
pub(super) struct Outbox {
    messages: Mutex<Messages>,
}

#[derive(Default)]
struct Messages {
    entries: BTreeMap<u64, Entry>,
    next_number: u64,
}

struct Entry {
    message: OutgoingMessage,
    progress: Progress,
    /// Whether it was in the output of any attachment.
    has_left: bool,
}

/// How far a message is.
enum Progress {
    /// Not on its way: whoever waits for it sends it.
    New,
    /// Whoever waits for it is sending it on the link of the moment. It may have left by now, or may never do so.
    Departing,
    /// Sent, by whoever waits for it or by whoever attached the link anew.
    InFlight(Receipt),
    /// Its attachment ended before the outcome came.
    Lost(SendError),
    Concluded(Conclusion),
}

impl Outbox {
    /// Keeps a message; gives back its number.
    pub(super) fn add(&self, message: OutgoingMessage) -> u64 {
        let mut messages = lock(&self.messages);
        let number = messages.next_number;
        messages.next_number += 1;
        let entry = Entry {
            message: message.with_delivery_tag(tag(number)),
            progress: Progress::New,
            has_left: false,
        };
        messages.entries.insert(number, entry);
        number
    }

    /// Nobody waits for its outcome any more.
    pub(super) fn remove(&self, number: u64) {
        let removed = lock(&self.messages).entries.remove(&number);
        // Not under the lock: the payload may be of foreign memory.
        drop(removed);
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.messages).entries.len()
    }

    pub(super) fn message(&self, number: u64) -> Option<OutgoingMessage> {
        let messages = lock(&self.messages);
        let entry = messages.entries.get(&number)?;
        Some(entry.message.clone())
    }

    fn with<T>(&self, number: u64, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        lock(&self.messages).entries.get_mut(&number).map(change)
    }

    // ---- whoever waits for a message

    /// The message, to be sent on the link of the moment; None if it is on its way there, or needs none.
    ///
    /// To be called before the transfer: the link may be lost, and attached again, before its receipt is here.
    pub(super) fn depart(&self, number: u64) -> Option<OutgoingMessage> {
        let departing = self.with(number, |entry| match entry.progress {
            Progress::New | Progress::Departing | Progress::Lost(_) => {
                entry.progress = Progress::Departing;
                Some(entry.message.clone())
            }
            Progress::InFlight(_) | Progress::Concluded(_) => None,
        });
        departing.flatten()
    }

    /// It was sent.
    pub(super) fn departed(&self, number: u64, receipt: Receipt) {
        self.with(number, |entry| {
            entry.has_left = true;
            // Else it was resumed on the next attachment before this was told.
            if let Progress::Departing = entry.progress {
                entry.progress = Progress::InFlight(receipt);
            }
        });
    }

    /// It was not sent.
    pub(super) fn stayed(&self, number: u64, error: &SendError) {
        self.with(number, |entry| {
            if let Progress::Departing = entry.progress {
                entry.progress = match entry.has_left {
                    true => Progress::Lost(error.clone()),
                    false => Progress::New,
                };
            }
        });
    }

    /// The outcome, or why it will not come by the attachment of the moment.
    pub(super) fn poll_conclusion(
        &self,
        number: u64,
        context: &mut Context<'_>,
    ) -> Poll<Conclusion> {
        let polled = self.with(number, |entry| entry.poll(context));
        polled.unwrap_or(Poll::Pending)
    }

    /// The same without waiting.
    pub(super) fn conclusion(&self, number: u64) -> Option<Conclusion> {
        let mut context = Context::from_waker(Waker::noop());
        let concluded = self.with(number, |entry| {
            match (entry.poll(&mut context), &entry.progress) {
                (Poll::Ready(conclusion), Progress::Concluded(_)) => Some(conclusion),
                _ => None,
            }
        });
        concluded.flatten()
    }

    // ---- whoever attaches the link anew

    /// Messages that were sent, or may have been, and have no outcome. Outcomes that came and were not read are none the less
    /// known.
    pub(super) fn unsettled(&self) -> Vec<u64> {
        let mut context = Context::from_waker(Waker::noop());
        let mut messages = lock(&self.messages);
        let unsettled = messages.entries.iter_mut().filter_map(|(number, entry)| {
            // The link is lost: each receipt is resolved, and has told so whoever waits.
            let _ = entry.poll(&mut context);
            let is_unsettled = !matches!(entry.progress, Progress::New | Progress::Concluded(_));
            is_unsettled.then_some(*number)
        });
        unsettled.collect()
    }

    /// Whether a message that the receiver does not know is to be sent again: not if its outcome is in doubt and
    /// `retry_unknown` is off; nor if whoever waits for it is about to send it.
    pub(super) fn is_to_be_sent_again(&self, number: u64, retry_unknown: bool) -> bool {
        let is_lost = |entry: &mut Entry| match &entry.progress {
            Progress::Lost(SendError::Unknown(_)) => retry_unknown,
            Progress::Lost(_) | Progress::InFlight(_) => true,
            Progress::New | Progress::Departing | Progress::Concluded(_) => false,
        };
        self.with(number, is_lost).unwrap_or(false)
    }

    /// It was sent again.
    pub(super) fn sent_again(&self, number: u64, receipt: Receipt) {
        self.with(number, |entry| {
            entry.has_left = true;
            entry.progress = Progress::InFlight(receipt);
        });
    }

    pub(super) fn conclude(&self, number: u64, conclusion: Conclusion) {
        self.with(number, |entry| {
            entry.progress = Progress::Concluded(conclusion)
        });
    }
}

impl Entry {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Conclusion> {
        match &mut self.progress {
            Progress::New | Progress::Departing => return Poll::Pending,
            Progress::InFlight(receipt) => match Pin::new(receipt).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) if error.link_error().is_some() => {
                    self.progress = Progress::Lost(error);
                }
                Poll::Ready(conclusion) => self.progress = Progress::Concluded(conclusion),
            },
            Progress::Lost(_) | Progress::Concluded(_) => {}
        }
        Poll::Ready(match &self.progress {
            Progress::Lost(error) => Err(error.clone()),
            Progress::Concluded(conclusion) => conclusion.clone(),
            Progress::New | Progress::Departing | Progress::InFlight(_) => return Poll::Pending,
        })
    }
}

/// The tag of a message: its number.
pub(super) fn tag(number: u64) -> DeliveryTag {
    // Eight octets are below the limit of 32, so the conversion cannot fail.
    DeliveryTag::try_from(&number.to_be_bytes()[..]).unwrap_or(DeliveryTag::EMPTY)
}
