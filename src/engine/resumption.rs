//! What a receiving link knows of deliveries of its earlier attachments, and leaves to the next one [2.6.13].

use std::collections::HashMap;

use crate::codec::{Attach, DeliveryState, DeliveryTag, Outcome, UnsettledMap};

/// A delivery that the sender settles after us [2.6.12].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unconfirmed {
    pub(crate) delivery_tag: DeliveryTag,
    /// What was stated here.
    pub(crate) outcome: Option<Outcome>,
}

/// Deliveries whose settlement an attachment did not see to its end.
#[derive(Debug, Default)]
pub(crate) struct Resumption {
    /// Those of earlier attachments, as our attach stated them: they may be resumed.
    resumable: HashMap<DeliveryTag, Option<DeliveryState>>,
    /// Those of this attachment that had an outcome, and no confirmation, when it ended.
    stated: Vec<Unconfirmed>,
}

impl Resumption {
    /// What our attach says.
    pub(crate) fn expect(&mut self, unsettled: &UnsettledMap) {
        self.resumable = unsettled.0.iter().cloned().collect();
    }

    /// The sender resumes a delivery, or gives it up. None if our attach did not name it.
    pub(crate) fn take(&mut self, tag: &DeliveryTag) -> Option<Option<DeliveryState>> {
        self.resumable.remove(tag)
    }

    /// The link is over before the sender has confirmed.
    pub(crate) fn leave(&mut self, unconfirmed: Unconfirmed) {
        self.stated.push(unconfirmed);
    }

    /// Deliveries with an outcome of ours that the sender has not confirmed: what the next attach states. `remote` is
    /// the sender's attach; what it did not name it had settled.
    pub(crate) fn unconfirmed(&self, remote: &Attach) -> UnsettledMap {
        let is_named = |tag: &DeliveryTag| {
            let mut named = remote.unsettled.iter().flat_map(|map| &map.0);
            remote.incomplete_unsettled || named.any(|(name, _)| name == tag)
        };
        let decided = |outcome: &Outcome| Some(DeliveryState::from(outcome.clone()));
        let resumable = self.resumable.iter().filter(|(tag, _)| is_named(tag));
        let resumable = resumable.filter_map(|(tag, state)| {
            let outcome = state.as_ref()?.outcome()?;
            Some((*tag, decided(outcome)))
        });
        let stated = self.stated.iter().filter_map(|unconfirmed| {
            let outcome = unconfirmed.outcome.as_ref()?;
            Some((unconfirmed.delivery_tag, decided(outcome)))
        });
        UnsettledMap(resumable.chain(stated).collect())
    }
}
