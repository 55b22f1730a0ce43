//! The receiving link, attached again when it was lost.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::slot::LinkSlot;
use super::unsettled::most_entries;
use super::{ReconnectError, ReconnectingConnection};
use crate::codec::{DeliveryTag, Outcome, Str, UnsettledMap};
use crate::lock::lock;
use crate::{Delivery, LinkError, Receiver, ReceiverOptions, RecvError, Session};

/// A link on which this side receives, attached again when it was lost. Clones share it.
#[derive(Clone)]
pub struct ReconnectingReceiver {
    shared: Arc<Shared>,
}

struct Shared {
    connection: ReconnectingConnection,
    address: Str,
    options: ReceiverOptions,
    link: LinkSlot<Receiver>,
    /// Deliveries that were accepted here and that the sender has not confirmed.
    unconfirmed: Mutex<BTreeMap<Vec<u8>, DeliveryTag>>,
    was_attached: AtomicBool,
}

impl ReconnectingReceiver {
    pub(super) fn new(
        connection: ReconnectingConnection,
        address: Str,
        mut options: ReceiverOptions,
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
                unconfirmed: Mutex::default(),
                was_attached: AtomicBool::new(false),
            }),
        }
    }

    /// Waits for the next delivery, across lost links and connections. What was handed out before a loss and not settled comes
    /// again. Has no time limit of its own but that of the attempts.
    ///
    /// # Errors
    ///
    /// What stood in the way at the last attempt to attach.
    ///
    /// # Cancel safety
    ///
    /// No delivery is lost by dropping the future.
    pub async fn recv(&self) -> Result<Delivery, ReconnectError> {
        loop {
            let receiver = self.shared.attached().await?;
            match receiver.recv().await {
                Ok(delivery) => {
                    self.shared.forget_namesake(&delivery);
                    return Ok(delivery);
                }
                Err(RecvError::Link(error)) if error.is_retryable() => {
                    tracing::debug!(%error, "a link is lost and will be attached again");
                }
                Err(RecvError::Link(error)) => return Err(error.into()),
            }
        }
    }

    /// Accepts a delivery and waits until the sender has settled, too [2.6.12]: exactly once, on a link in receiver settle mode
    /// second whose source outlives the connection. If the link is lost meanwhile, its outcome is stated again when the sender
    /// resumes it, and it is not handed out again.
    ///
    /// # Errors
    ///
    /// Why the link ended. The outcome is kept, and stated on the next attachment.
    ///
    /// # Cancel safety
    ///
    /// The outcome is stated in any case; only the wait is given up. The delivery's tag is kept then until the sender uses it
    /// again or the link is attached anew.
    pub async fn accept_confirmed(&self, delivery: &Delivery) -> Result<(), LinkError> {
        let tag = delivery.delivery_tag();
        let key = tag.as_bytes().to_vec();
        lock(&self.shared.unconfirmed).insert(key.clone(), tag);
        delivery.accept_confirmed().await?;
        lock(&self.shared.unconfirmed).remove(&key);
        Ok(())
    }

    /// Detaches the link for good.
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
            Some(receiver) => receiver.close().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ReconnectingReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingReceiver")
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}

impl Shared {
    async fn attached(&self) -> Result<Receiver, ReconnectError> {
        let is_alive = |receiver: &Receiver| !receiver.is_closed();
        self.link
            .get(&self.connection, is_alive, || self.attach())
            .await
    }

    async fn attach(&self) -> Result<Receiver, ReconnectError> {
        let session = self.connection.session().await?;
        let (unsettled, is_whole) = self.unsettled_map(&session);
        let mut options = self.options.clone();
        if self.was_attached.load(Ordering::Acquire) {
            options = options.unsettled(unsettled); // L-035: there is a terminus of this link
            options.incomplete_unsettled = !is_whole;
        }
        let attached = session.attach_receiver(self.address.clone(), options).await;
        if let Err(LinkError::Timeout { .. }) = &attached {
            self.connection.give_up(&session).await;
        }
        let receiver = attached?;
        self.was_attached.store(true, Ordering::Release);
        self.forget_confirmed(&receiver);
        Ok(receiver)
    }

    /// Deliveries with an outcome that the sender may not know; and whether there was room for all.
    fn unsettled_map(&self, session: &Session) -> (UnsettledMap, bool) {
        let most = most_entries(session.connection().remote_open().max_frame_size);
        let unconfirmed = lock(&self.unconfirmed);
        let entries = unconfirmed.values().take(most);
        let accepted = |tag: &DeliveryTag| (*tag, Some(Outcome::Accepted.into()));
        let map = UnsettledMap(entries.map(accepted).collect());
        (map, unconfirmed.len() <= most)
    }

    /// A sender uses a tag again once it has settled: what was accepted under it is confirmed.
    fn forget_namesake(&self, delivery: &Delivery) {
        let mut unconfirmed = lock(&self.unconfirmed);
        if !unconfirmed.is_empty() {
            unconfirmed.remove(delivery.delivery_tag().as_bytes());
        }
    }

    /// What the sender does not name any more it has settled.
    fn forget_confirmed(&self, receiver: &Receiver) {
        let remote = receiver.remote_attach();
        if remote.incomplete_unsettled {
            return;
        }
        let named = |tag: &DeliveryTag| {
            let entries = remote.unsettled.as_ref().map(|map| &map.0);
            entries.is_some_and(|entries| entries.iter().any(|(other, _)| other == tag))
        };
        lock(&self.unconfirmed).retain(|_, tag| named(tag));
    }
}
