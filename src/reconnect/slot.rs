//! The link of the moment: attached by whoever needs it first, until it is closed for good.

use std::future::Future;

use tokio::sync::{Mutex, watch};

use super::{ReconnectError, ReconnectingConnection};

pub(super) struct LinkSlot<L> {
    /// Held while it is attached and what was lost is sent again, so that nothing overtakes that.
    link: Mutex<Option<L>>,
    /// Ends every wait for the link, also that of whoever holds the lock.
    is_closed: watch::Sender<bool>,
}

impl<L: Clone> LinkSlot<L> {
    pub(super) fn new() -> Self {
        Self {
            link: Mutex::new(None),
            is_closed: watch::Sender::new(false),
        }
    }

    /// The link if it `is_alive`, else what `attach` makes, as often as the connection's options allow.
    pub(super) async fn get<F>(
        &self,
        connection: &ReconnectingConnection,
        is_alive: impl Fn(&L) -> bool,
        attach: impl Fn() -> F,
    ) -> Result<L, ReconnectError>
    where
        F: Future<Output = Result<L, ReconnectError>>,
    {
        let mut is_closed = self.is_closed.subscribe();
        let closed = async {
            // The sender is ours: it cannot be gone.
            let _ = is_closed.wait_for(|is_closed| *is_closed).await;
        };
        tokio::select! {
            biased;
            () = closed => Err(ReconnectError::Closed),
            link = self.attached(connection, is_alive, attach) => link,
        }
    }

    async fn attached<F>(
        &self,
        connection: &ReconnectingConnection,
        is_alive: impl Fn(&L) -> bool,
        attach: impl Fn() -> F,
    ) -> Result<L, ReconnectError>
    where
        F: Future<Output = Result<L, ReconnectError>>,
    {
        let mut slot = self.link.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| is_alive(link)) {
            return Ok(link.clone());
        }
        *slot = None;
        let mut attempt = 0;
        let link = loop {
            match attach().await {
                Ok(link) => break link,
                Err(error) => connection.pause(attempt, error).await?,
            }
            attempt = attempt.saturating_add(1);
        };
        *slot = Some(link.clone());
        Ok(link)
    }

    /// Nobody gets it any more. Gives back what there is to detach.
    pub(super) async fn close(&self) -> Option<L> {
        self.is_closed.send_replace(true);
        self.link.lock().await.take()
    }
}
