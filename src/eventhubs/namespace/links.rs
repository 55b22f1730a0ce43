//! Links: attached on a session of their own, with an authorization, on the connection that carries the fewest.

use std::sync::Arc;

use tracing::Instrument;

use super::Namespace;
use super::connections::Live;
use super::grants::Authorization;
use super::seats::Seat;
use crate::eventhubs::error::{EventHubsError, Scope};
use crate::eventhubs::observer::ClientEvent;
use crate::eventhubs::retry::spares_link;
use crate::eventhubs::wire::Address;
use crate::{LinkError, Receiver, ReceiverOptions, Sender, SenderOptions, Session, SessionOptions};

/// A link with what it stands on. It has a session for itself, so that what ends a session ends one link.
pub(in crate::eventhubs) struct Attached<L> {
    pub(in crate::eventhubs) link: L,
    address: Address,
    live: Arc<Live>,
    authorization: Arc<Authorization>,
    _seat: Seat,
}

impl Namespace {
    pub(in crate::eventhubs) async fn attach_sender(
        self: &Arc<Self>,
        address: &Address,
        options: SenderOptions,
    ) -> Result<Attached<Sender>, EventHubsError> {
        let node = address.to_string();
        self.attach(address, |session| async move {
            session.attach_sender(node, options).await
        })
        .await
    }

    pub(in crate::eventhubs) async fn attach_receiver(
        self: &Arc<Self>,
        address: &Address,
        options: ReceiverOptions,
    ) -> Result<Attached<Receiver>, EventHubsError> {
        let node = address.to_string();
        self.attach(address, |session| async move {
            session.attach_receiver(node, options).await
        })
        .await
    }

    /// One try.
    async fn attach<L, F>(
        self: &Arc<Self>,
        address: &Address,
        attach: impl FnOnce(Session) -> F,
    ) -> Result<Attached<L>, EventHubsError>
    where
        F: Future<Output = Result<L, LinkError>>,
    {
        let span = tracing::debug_span!("attach", %address);
        // Boxed, as it is rare and deep: callers' futures stay small, and within the compiler's depth of types.
        Box::pin(self.attach_on(self.seats.take(), address, attach))
            .instrument(span)
            .await
    }

    async fn attach_on<L, F>(
        self: &Arc<Self>,
        seat: Seat,
        address: &Address,
        attach: impl FnOnce(Session) -> F,
    ) -> Result<Attached<L>, EventHubsError>
    where
        F: Future<Output = Result<L, LinkError>>,
    {
        let live = self.live(seat.connection()).await?;
        let attached = self.within_a_try(async {
            let authorization = self.authorize(&live, address).await?;
            let session = live.connection.begin(SessionOptions::default()).await?;
            Ok((attach(session).await?, authorization))
        });
        match attached.await {
            Ok((link, authorization)) => {
                self.tell(ClientEvent::LinkAttached {
                    address: address.clone(),
                    connection: live.number,
                });
                Ok(Attached {
                    link,
                    address: address.clone(),
                    live,
                    authorization,
                    _seat: seat,
                })
            }
            Err(cause) => {
                let error = EventHubsError::new(format!("attach to {address}"), cause);
                self.give_up(&error, &live, &self.audience(address));
                Err(error)
            }
        }
    }

    /// Makes sure that the next try does not meet what failed, after a failure of a link that had been attached.
    pub(in crate::eventhubs) fn give_up_link<L>(
        &self,
        error: &EventHubsError,
        attached: &Attached<L>,
    ) {
        if error.scope() != Scope::Operation || !spares_link(error.cause()) {
            self.tell(ClientEvent::LinkLost {
                address: attached.address.clone(),
                error: error.clone(),
            });
        }
        let audience = attached.authorization.audience();
        self.give_up(error, &attached.live, audience);
    }
}
