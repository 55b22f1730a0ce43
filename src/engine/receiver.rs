//! The receiving end of a link: credit and its top-up, reassembly, and the queue that the application takes from.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::budget::Budget;
use super::credit::ReceiverCredit;
use super::incoming::Began;
use super::resumption::Resumption;
use super::sender::TXN_ID;
use super::violation::PeerFault;
use super::wait::{WaitQueue, Wakes};
use crate::codec::{
    DeliveryState, DeliveryTag, Fields, Flow, Outcome, Received, ReceiverSettleMode,
    SenderSettleMode, Transfer, UnsettledMap, Value,
};

/// Payloads smaller than this are copied out of their read buffer if they stay queued, so that they do not pin it.
const PINNING_THRESHOLD: usize = 4096;

/// What a queued delivery costs beside its payload.
const WEIGHT_OF_A_DELIVERY: usize = 128;

/// The most that one batch receive can ask for: its credit is a promise to hold that many.
const LARGEST_BATCH: usize = 16_384;

/// Who grants link credit [2.6.8, 2.6.9].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// The receiver keeps this many deliveries granted or queued, and tops up when half of them are used.
    Auto(u32),
    /// The application grants with [`Receiver::add_credit`](crate::Receiver::add_credit).
    Manual,
}

impl Default for Credit {
    fn default() -> Self {
        Self::Auto(300)
    }
}

/// A whole delivery as it arrived.
#[derive(Clone)]
pub(crate) struct Inbound {
    pub(crate) delivery_id: u32,
    pub(crate) delivery_tag: DeliveryTag,
    pub(crate) message_format: u32,
    pub(crate) settled: bool,
    pub(crate) state: Option<DeliveryState>,
    pub(crate) payload: Bytes,
    /// Whether it was delivered on an earlier attachment of the link, too.
    pub(crate) resumed: bool,
    /// The driver's pass in which it was queued; None once the payload is its own.
    pass: Option<u32>,
}

/// Shows how much arrived, not what it says.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("delivery_id", &self.delivery_id)
            .field("delivery_tag", &self.delivery_tag)
            .field("message_format", &self.message_format)
            .field("settled", &self.settled)
            .field("payload_octets", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl Inbound {
    /// What it adds to the session's queued octets.
    pub(crate) fn weight(&self) -> usize {
        self.payload.len() + WEIGHT_OF_A_DELIVERY
    }
}

/// A delivery of which more frames are to come.
#[derive(Debug)]
struct PartialDelivery {
    first: Inbound,
    rcv_settle_mode: ReceiverSettleMode,
    /// Grows by doubling: an allocator that moves the pages of large blocks then copies each octet once. Frames that are
    /// kept and joined at the end are copied once everywhere, but need the memory twice, and took half as long again.
    octets: BytesMut,
}

/// What one transfer frame did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    /// A delivery began that needs settlement: remember it.
    Began(Began),
    /// A settled delivery began, or an unsettled one went on.
    Continued,
    /// A delivery of an earlier attachment had its outcome then: it is to be stated again.
    Resumed { began: Began, outcome: Outcome },
    /// A delivery that had begun unsettled needs no settlement any more: settled late, or aborted.
    NoLongerUnsettled { delivery_id: u32 },
}

/// The receiving end of a link.
#[derive(Debug)]
pub(crate) struct ReceiverEnd {
    pub(crate) credit: ReceiverCredit,
    pub(crate) grant: Credit,
    pub(crate) rcv_settle_mode: ReceiverSettleMode,
    /// What the sender said it does.
    pub(crate) snd_settle_mode: SenderSettleMode,
    pub(crate) auto_accept: bool,
    pub(crate) queue: VecDeque<Inbound>,
    pub(crate) waiters: WaitQueue,
    pub(crate) is_draining: bool,
    /// No handle is left that could take what arrives; deliveries that were taken may still be settled.
    pub(crate) has_no_reader: bool,
    /// The transaction of ours that acquires what comes.
    pub(crate) acquires_for: Option<Bytes>,
    pub(crate) resumption: Resumption,
    /// Our attach could not state them all: nothing new may come (L-039).
    takes_resumed_only: bool,
    max_message_size: usize,
    /// Bounds automatic credit by the size of what waits.
    budget: Budget,
    partial: Option<PartialDelivery>,
    /// More frames of a delivery are to come of which none is taken.
    is_skipping: bool,
    /// Until some of what is queued is taken, memory lets little more come.
    is_cut_short: bool,
    /// Entries at the front of the queue that own their payload.
    owned: usize,
}

impl ReceiverEnd {
    pub(crate) fn new(
        grant: Credit,
        rcv_settle_mode: ReceiverSettleMode,
        max_message_size: usize,
        auto_accept: bool,
        prefetch_bytes: Option<usize>,
    ) -> Self {
        Self {
            credit: ReceiverCredit::default(),
            grant,
            rcv_settle_mode,
            snd_settle_mode: SenderSettleMode::Mixed,
            auto_accept,
            queue: VecDeque::new(),
            waiters: WaitQueue::new(),
            is_draining: false,
            has_no_reader: false,
            acquires_for: None,
            resumption: Resumption::default(),
            takes_resumed_only: false,
            max_message_size,
            budget: Budget::new(prefetch_bytes),
            partial: None,
            is_skipping: false,
            is_cut_short: false,
            owned: 0,
        }
    }

    /// Takes one transfer frame in; says what it began or completed.
    pub(crate) fn on_transfer(
        &mut self,
        transfer: Transfer,
        payload: Bytes,
        pass: u32,
        max_excess: u32,
    ) -> Result<Progress, PeerFault> {
        if self.is_skipping {
            self.is_skipping = transfer.more && !transfer.aborted;
            return Ok(Progress::Continued);
        }
        match self.partial.take() {
            Some(partial) => self.continue_delivery(partial, transfer, payload, pass),
            None => self.begin_delivery(transfer, payload, pass, max_excess),
        }
    }

    /// The delivery-id of the frame if it is the first of its delivery.
    pub(crate) fn starts_delivery(&self, transfer: &Transfer) -> Result<Option<u32>, PeerFault> {
        if self.partial.is_some() || self.is_skipping {
            return Ok(None);
        }
        transfer
            .delivery_id
            .map(Some)
            .ok_or(PeerFault::IncompleteFirstTransfer("delivery-id")) // D-005
    }

    fn begin_delivery(
        &mut self,
        transfer: Transfer,
        payload: Bytes,
        pass: u32,
        max_excess: u32,
    ) -> Result<Progress, PeerFault> {
        self.credit.on_delivery();
        if self.credit.excess > max_excess {
            return Err(PeerFault::NoCredit);
        }
        let rcv_settle_mode = self.delivery_settle_mode(&transfer)?;
        let delivery_id = transfer
            .delivery_id
            .ok_or(PeerFault::IncompleteFirstTransfer("delivery-id"))?;
        let first = Inbound {
            delivery_id,
            delivery_tag: transfer
                .delivery_tag
                .ok_or(PeerFault::IncompleteFirstTransfer("delivery-tag"))?,
            message_format: transfer
                .message_format
                .ok_or(PeerFault::IncompleteFirstTransfer("message-format"))?,
            settled: transfer.settled.unwrap_or(false),
            state: transfer.state,
            payload,
            resumed: transfer.resume,
            pass: Some(pass),
        };
        if transfer.aborted {
            self.resumption.take(&first.delivery_tag); // D-014, R-012
            return Ok(Progress::Continued);
        }
        if self.takes_resumed_only && !transfer.resume {
            return Err(PeerFault::NewDeliveryTooEarly);
        }
        if transfer.resume
            && let Some(progress) = self.resume(&first, rcv_settle_mode)?
        {
            self.is_skipping = transfer.more;
            return Ok(progress);
        }
        self.check_settled(first.settled, transfer.more)?;
        self.check_size(first.payload.len())?;
        let settled = first.settled;
        let began = Began {
            delivery_id,
            delivery_tag: first.delivery_tag,
            rcv_settle_mode,
        };
        if transfer.more {
            let octets = BytesMut::from(first.payload.as_ref());
            self.partial = Some(PartialDelivery {
                first: Inbound {
                    payload: Bytes::new(),
                    ..first
                },
                rcv_settle_mode,
                octets,
            });
        } else {
            self.enqueue(first, pass);
        }
        Ok(if settled {
            Progress::Continued
        } else {
            Progress::Began(began)
        })
    }

    /// A delivery of an earlier attachment comes again. None if it is to be taken like a new one: nothing of it was kept.
    fn resume(
        &mut self,
        first: &Inbound,
        rcv_settle_mode: ReceiverSettleMode,
    ) -> Result<Option<Progress>, PeerFault> {
        let Some(ours) = self.resumption.take(&first.delivery_tag) else {
            return Ok(Some(Progress::Continued)); // R-002, D-025
        };
        if first.settled {
            return Ok(Some(Progress::Continued));
        }
        let outcome_of = |state: &Option<DeliveryState>| state.as_ref()?.outcome().cloned();
        match (outcome_of(&first.state), outcome_of(&ours)) {
            // the sender's view wins.
            (Some(outcome), _) | (None, Some(outcome)) => {
                let began = Began {
                    delivery_id: first.delivery_id,
                    delivery_tag: first.delivery_tag,
                    rcv_settle_mode,
                };
                Ok(Some(Progress::Resumed { began, outcome }))
            }
            (None, None) => match &first.state {
                Some(DeliveryState::Received(received)) if *received != Received::default() => {
                    Err(PeerFault::ResumedInTheMiddle)
                }
                _ => Ok(None),
            },
        }
    }

    /// What our attach says of deliveries of earlier attachments.
    pub(crate) fn expect_resumed(&mut self, unsettled: &UnsettledMap, incomplete: bool) {
        self.resumption.expect(unsettled);
        self.takes_resumed_only = incomplete;
    }

    fn continue_delivery(
        &mut self,
        mut partial: PartialDelivery,
        transfer: Transfer,
        payload: Bytes,
        pass: u32,
    ) -> Result<Progress, PeerFault> {
        check_continuation(&partial, &transfer)?;
        let delivery_id = partial.first.delivery_id;
        let was_unsettled = !partial.first.settled;
        if transfer.aborted {
            return Ok(match was_unsettled {
                true => Progress::NoLongerUnsettled { delivery_id },
                false => Progress::Continued,
            });
        }
        partial.first.settled |= transfer.settled.unwrap_or(false); // D-015
        self.check_settled(partial.first.settled, transfer.more)?;
        self.check_size(partial.octets.len() + payload.len())?;
        partial.octets.extend_from_slice(&payload);
        if transfer.state.is_some() {
            partial.first.state = transfer.state;
        }
        let settled_late = was_unsettled && partial.first.settled;
        if transfer.more {
            self.partial = Some(partial);
        } else {
            let first = Inbound {
                payload: partial.octets.freeze(),
                pass: None,
                ..partial.first
            };
            self.enqueue(first, pass);
        }
        Ok(if settled_late {
            Progress::NoLongerUnsettled { delivery_id }
        } else {
            Progress::Continued
        })
    }

    /// D-020, D-021: mode second for one delivery needs a link negotiated for it.
    fn delivery_settle_mode(&self, transfer: &Transfer) -> Result<ReceiverSettleMode, PeerFault> {
        match transfer.rcv_settle_mode {
            Some(ReceiverSettleMode::Second)
                if self.rcv_settle_mode == ReceiverSettleMode::First
                    && transfer.settled != Some(true) =>
            {
                Err(PeerFault::SettleModeBroken("rcv-settle-mode second"))
            }
            Some(mode) => Ok(mode),
            None => Ok(self.rcv_settle_mode),
        }
    }

    /// D-016, D-017: the sender keeps to the mode that its attach stated.
    fn check_settled(&self, settled: bool, more: bool) -> Result<(), PeerFault> {
        match self.snd_settle_mode {
            SenderSettleMode::Unsettled if settled => {
                Err(PeerFault::SettleModeBroken("settled=true"))
            }
            SenderSettleMode::Settled if !settled && !more => {
                Err(PeerFault::SettleModeBroken("settled=false"))
            }
            _ => Ok(()),
        }
    }

    /// L-024: checked while the delivery grows, not when it is complete.
    fn check_size(&self, size: usize) -> Result<(), PeerFault> {
        if size > self.max_message_size {
            Err(PeerFault::MessageTooLarge(self.max_message_size as u64))
        } else {
            Ok(())
        }
    }

    fn enqueue(&mut self, delivery: Inbound, pass: u32) {
        self.budget.on_queued(delivery.weight());
        self.queue.push_back(delivery);
        while let Some(early) = self.queue.get_mut(self.owned) {
            if early
                .pass
                .is_some_and(|queued| pass.wrapping_sub(queued) <= 1)
            {
                break;
            }
            if early.pass.take().is_some() && early.payload.len() < PINNING_THRESHOLD {
                early.payload = Bytes::copy_from_slice(&early.payload);
            }
            self.owned += 1;
        }
    }

    /// Whether something is queued and nothing will join it before it is taken, or without a grant of the application's.
    pub(crate) fn is_exhausted(&self) -> bool {
        let has_no_credit =
            self.grant == Credit::Manual && self.credit.link_credit == 0 && self.partial.is_none();
        !self.queue.is_empty() && (has_no_credit || self.is_cut_short)
    }

    /// A batch takes what there is.
    pub(crate) fn cut_batch_short(&mut self, wakes: &mut Wakes) {
        self.is_cut_short = !self.queue.is_empty();
        self.wake_waiters(wakes);
    }

    /// Wakes those for whom enough is queued, and who is next if no more will come for it.
    pub(crate) fn wake_waiters(&mut self, wakes: &mut Wakes) {
        self.waiters.wake(self.queue.len(), wakes);
        if self.is_exhausted() {
            self.waiters.wake_next(wakes);
        }
    }

    pub(crate) fn take(&mut self) -> Option<Inbound> {
        let delivery = self.queue.pop_front()?;
        self.is_cut_short = false;
        self.owned = self.owned.saturating_sub(1);
        self.budget.on_taken(delivery.weight());
        Some(delivery)
    }

    /// Deliveries that a batch receive, whose turn it is, waits for: they may be more than the prefetch.
    fn batch_wanted(&self) -> u32 {
        match self.waiters.next_wanted() {
            None | Some(1) => 0,
            Some(max) => u32::try_from(max).unwrap_or(u32::MAX),
        }
    }

    /// The credit to grant now, if a flow is worth sending: what is used of the target has reached half of it (K-021).
    pub(crate) fn top_up(&self) -> Option<u32> {
        let Credit::Auto(prefetch) = self.grant else {
            return None;
        };
        if self.is_draining {
            return None;
        }
        let batch_wanted = self.batch_wanted();
        let queued = self.queue.len() as u32;
        let target = prefetch
            .max(batch_wanted)
            .min(queued.saturating_add(self.room()));
        let wanted = target.saturating_sub(queued);
        let missing = wanted.saturating_sub(self.credit.link_credit);
        let starves_batch = queued.saturating_add(self.credit.link_credit) < batch_wanted;
        let is_worth_a_flow = missing > 0
            && (missing.saturating_mul(2) >= target
                || self.credit.link_credit == 0
                || starves_batch);
        is_worth_a_flow.then_some(wanted)
    }

    /// Deliveries for which there is room by their size; a batch receive gets what it waits for, however large.
    fn room(&self) -> u32 {
        match self.batch_wanted() {
            0 => self.budget.room(),
            _ => u32::MAX,
        }
    }

    /// Deliveries turn out larger than those for which credit was granted: takes it back. True if the sender must be told.
    pub(crate) fn shrink_credit(&mut self) -> bool {
        if self.grant == Credit::Manual || self.is_draining {
            return false;
        }
        let room = self.room();
        let is_lower = room < self.credit.link_credit / 2;
        if is_lower {
            self.credit.lower(room);
        }
        is_lower
    }

    /// Our state as a flow; tops the credit up if that is worth it.
    pub(crate) fn flow(&mut self) -> Flow {
        if let Some(granted) = self.top_up() {
            self.credit.grant(granted);
        }
        let mut properties = Fields::new();
        if let Some(txn_id) = &self.acquires_for {
            properties.insert(TXN_ID, Value::Binary(txn_id.clone()));
        }
        Flow {
            delivery_count: Some(self.credit.delivery_count),
            link_credit: Some(self.credit.link_credit),
            drain: self.is_draining,
            properties,
            ..Flow::default()
        }
    }

    /// Applies the sender's flow: its count, and with it the end of a drain (K-014).
    pub(crate) fn on_flow(&mut self, flow: &Flow) {
        if let Some(delivery_count) = flow.delivery_count {
            self.credit.on_flow(delivery_count);
        }
    }

    /// Ends a drain whose credit is used up; true if it did.
    pub(crate) fn finish_drain(&mut self) -> bool {
        // The last delivery may still be arriving.
        let finished = self.is_draining && self.credit.link_credit == 0 && !self.has_partial();
        self.is_draining &= !finished;
        if finished {
            self.acquires_for = None; // what is granted from here on is for no transaction
        }
        finished
    }

    /// Octets of what is queued.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.budget.queued()
    }

    /// Gives up everything that has arrived and was not taken; the payloads go to `garbage`.
    pub(crate) fn discard(&mut self, garbage: &mut Vec<Bytes>) {
        garbage.extend(self.queue.drain(..).map(|delivery| delivery.payload));
        self.budget.clear();
        self.owned = 0;
    }

    /// Nobody takes anything any more: no further credit, and what was granted is taken back. What is in flight still comes.
    pub(crate) fn stop(&mut self) {
        self.has_no_reader = true;
        self.grant = Credit::Manual;
        self.is_draining = false;
        self.credit.lower(0);
    }

    /// Gives up a delivery of which the rest will not come; says how many octets that frees.
    pub(crate) fn discard_partial(&mut self) -> usize {
        self.partial
            .take()
            .map_or(0, |partial| partial.octets.len())
    }

    /// The state of a delivery of which frames are still to come, as its frames so far say.
    pub(crate) fn incomplete_state(&self) -> Option<&DeliveryState> {
        self.partial.as_ref()?.first.state.as_ref()
    }

    pub(crate) fn has_partial(&self) -> bool {
        self.partial.is_some() || self.is_skipping
    }

    pub(crate) fn partial_len(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.octets.len())
    }

    /// As many as a batch receive may ask for.
    pub(crate) fn largest_batch(&self, max: usize) -> usize {
        let prefetch = match self.grant {
            Credit::Auto(prefetch) => prefetch as usize,
            Credit::Manual => 0,
        };
        max.min(LARGEST_BATCH.max(prefetch))
    }

    /// Somebody who waited has left: the credit falls back to what those who remain want. True if that is less than was
    /// granted, so that the sender must be told.
    pub(crate) fn forget_batch(&mut self) -> bool {
        let Credit::Auto(prefetch) = self.grant else {
            return false;
        };
        let target = prefetch.max(self.batch_wanted());
        let is_lower = target < self.credit.link_credit && !self.is_draining;
        if is_lower {
            self.credit.lower(target);
        }
        is_lower
    }
}

/// D-006: what a continuation repeats must be what the first frame said.
fn check_continuation(partial: &PartialDelivery, transfer: &Transfer) -> Result<(), PeerFault> {
    let first = &partial.first;
    if transfer
        .delivery_id
        .is_some_and(|id| id != first.delivery_id)
    {
        return Err(PeerFault::ContinuationMismatch("delivery-id"));
    }
    if transfer
        .delivery_tag
        .is_some_and(|tag| tag != first.delivery_tag)
    {
        return Err(PeerFault::ContinuationMismatch("delivery-tag"));
    }
    if transfer
        .message_format
        .is_some_and(|format| format != first.message_format)
    {
        return Err(PeerFault::ContinuationMismatch("message-format"));
    }
    if transfer
        .rcv_settle_mode
        .is_some_and(|mode| mode != partial.rcv_settle_mode)
    {
        return Err(PeerFault::ContinuationMismatch("rcv-settle-mode"));
    }
    Ok(())
}
