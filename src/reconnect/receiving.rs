//! Attaching a receiving link, and what its last attachment left: deliveries that had arrived, and outcomes that the sender may
//! not know [2.6.13].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::slot::{Attaching, Ending};
use super::unsettled::most_entries;
use super::{ReconnectError, ReconnectingConnection};
use crate::codec::{Str, UnsettledMap};
use crate::lock::lock;
use crate::{Delivery, LinkError, Receiver, ReceiverOptions, Session};

/// What the task needs that attaches a receiving link.
pub(super) struct ReceiverAttaching {
    pub(super) connection: ReconnectingConnection,
    pub(super) name: String,
    pub(super) address: Str,
    pub(super) options: ReceiverOptions,
    pub(super) left: Mutex<Left>,
    pub(super) ending: Ending,
}

/// What the last attachment left, or will leave.
#[derive(Default)]
pub(super) struct Left {
    last: Option<Receiver>,
    /// Deliveries that were sent settled, and had arrived when their link was lost: nobody sends them again.
    arrived: VecDeque<Delivery>,
}

impl Attaching for ReceiverAttaching {
    type Link = Receiver;

    /// Once the peer has been asked, its answer is awaited whatever happens here: else the link's name would stay reserved.
    async fn attach(self: Arc<Self>) -> Result<Receiver, ReconnectError> {
        let session = self.ending.unless(self.connection.session()).await??;
        let options = self.options_on(&session);
        let attached = session.attach_receiver(self.address.clone(), options).await;
        if let Err(LinkError::Timeout { .. }) = &attached {
            self.connection.give_up(&session);
        }
        let receiver = attached?;
        let mut left = lock(&self.left);
        left.save_arrived();
        left.last = Some(receiver.clone());
        Ok(receiver)
    }
}

impl ReceiverAttaching {
    fn options_on(&self, session: &Session) -> ReceiverOptions {
        let options = self.options.clone();
        let Some(last) = lock(&self.left).last.clone() else {
            return options;
        };
        let most = most_entries(session.connection().remote_open().max_frame_size);
        let UnsettledMap(mut unconfirmed) = last.unconfirmed();
        let is_whole = unconfirmed.len() <= most;
        unconfirmed.truncate(most);
        // L-035: there is a terminus of this link.
        options
            .unsettled(UnsettledMap(unconfirmed))
            .incomplete_unsettled(!is_whole)
    }

    /// The link is lost: what it has queued is there to be taken.
    pub(super) fn save_arrived(&self) {
        lock(&self.left).save_arrived();
    }

    /// A delivery that came settled on an attachment that is lost.
    pub(super) fn take_arrived(&self) -> Option<Delivery> {
        lock(&self.left).arrived.pop_front()
    }
}

impl Left {
    /// Takes what a lost link has queued. What was sent unsettled comes again.
    fn save_arrived(&mut self) {
        let Some(last) = self.last.as_ref().filter(|last| last.is_detached()) else {
            return;
        };
        while let Ok(Some(delivery)) = last.try_recv() {
            if delivery.was_sent_settled() {
                self.arrived.push_back(delivery);
            }
        }
    }
}
