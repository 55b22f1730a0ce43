//! One link on the wire: its two handles, its credit, and the delivery that is under way.

use crate::codec::{Attach, Flow, Role, SenderSettleMode, Str, TargetArchetype, Transfer};

/// One side's half of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    None,
    Handle(u32),
    Detached,
}

impl Attachment {
    pub(super) fn is(self, handle: u32) -> bool {
        self == Self::Handle(handle)
    }

    pub(super) fn is_attached(self) -> bool {
        matches!(self, Self::Handle(_))
    }
}

pub(super) struct LinkView {
    side: &'static str,
    name: Str,
    /// Of the side that is watched.
    role: Role,
    pub(super) output: Attachment,
    pub(super) input: Attachment,
    pub(super) snd_settle_mode: SenderSettleMode,
    initial_delivery_count: u32,
    /// Deliveries that have begun, as the side that is watched has to count them.
    delivery_count: u32,
    /// The count at which the credit is used up, as the sender has heard it.
    credit_end: Option<u32>,
    has_heard_drain: bool,
    owes_echo: bool,
    is_partial: bool,
    /// It ends at a coordinator.
    pub(super) is_control: bool,
    /// The delivery under way, or the last one.
    pub(super) delivery_id: u32,
}

impl LinkView {
    pub(super) fn new(side: &'static str, name: Str, role: Role) -> Self {
        Self {
            side,
            name,
            role,
            output: Attachment::None,
            input: Attachment::None,
            snd_settle_mode: SenderSettleMode::Mixed,
            initial_delivery_count: 0,
            delivery_count: 0,
            credit_end: None,
            has_heard_drain: false,
            owes_echo: false,
            is_partial: false,
            is_control: false,
            delivery_id: 0,
        }
    }

    pub(super) fn is_named(&self, attach: &Attach) -> bool {
        self.name == attach.name && self.role == attach.role
    }

    /// Whether this side's attach answers the other's.
    pub(super) fn is_answered_by(&self, attach: &Attach) -> bool {
        self.is_named(attach) && self.output == Attachment::None
    }

    /// Whether the other side's attach answers this side's.
    pub(super) fn awaits(&self, attach: &Attach) -> bool {
        self.name == attach.name
            && self.role == attach.role.opposite()
            && self.input == Attachment::None
    }

    pub(super) fn check_rest(&self) {
        if self.output.is_attached() && self.input.is_attached() {
            assert!(!self.owes_echo, "{}: echo on {}", self.side, self.name);
        }
    }

    // ---- what the side says

    pub(super) fn on_attach_written(&mut self, attach: &Attach) {
        self.output = Attachment::Handle(attach.handle);
        self.is_control = matches!(attach.target, Some(TargetArchetype::Coordinator(_)));
        if self.role == Role::Sender {
            self.snd_settle_mode = attach.snd_settle_mode;
            self.count_from(attach);
        }
    }

    fn count_from(&mut self, attach: &Attach) {
        // A refusal carries none, and nothing follows it.
        self.initial_delivery_count = attach.initial_delivery_count.unwrap_or(0);
        self.delivery_count = self.initial_delivery_count;
    }

    pub(super) fn detach_output(&mut self, is_read: bool) {
        let is_half =
            is_read && self.is_partial && self.role == Role::Sender && self.input.is_attached();
        assert!(!is_half, "{}: half a delivery on {}", self.side, self.name);
        self.output = Attachment::Detached;
    }

    pub(super) fn on_flow_written(&mut self, flow: &Flow) {
        self.owes_echo = false;
        let Some(count) = flow.delivery_count else {
            panic!(
                "{}: a flow of {} without delivery-count",
                self.side, self.name
            );
        };
        match self.role {
            Role::Receiver => {
                assert_eq!(count, self.delivery_count, "{}: {}", self.side, self.name)
            }
            Role::Sender => {
                let end = self.credit_end.unwrap_or(self.delivery_count);
                let is_drained = self.has_heard_drain && count == end;
                assert!(
                    count == self.delivery_count || is_drained,
                    "{}: delivery-count {count} of {}, and it is {}",
                    self.side,
                    self.name,
                    self.delivery_count
                );
                self.delivery_count = count;
                let left = end.wrapping_sub(count) as i32;
                assert_eq!(
                    flow.link_credit,
                    Some(left.max(0) as u32),
                    "{}: {}",
                    self.side,
                    self.name
                );
            }
        }
    }

    /// True if a delivery begins with it.
    pub(super) fn on_transfer_written(&mut self, transfer: &Transfer) -> bool {
        let side = self.side;
        assert_eq!(self.role, Role::Sender, "{side}: a receiver sends");
        let begins = !self.is_partial;
        if begins {
            let end = self.credit_end.unwrap_or(self.delivery_count);
            let credit = end.wrapping_sub(self.delivery_count) as i32;
            assert!(credit > 0, "{side}: {} has no credit", self.name);
            assert!(
                transfer.delivery_tag.is_some() && transfer.message_format.is_some(),
                "{side}: {transfer:?}"
            );
        }
        self.count(transfer);
        begins
    }

    fn count(&mut self, transfer: &Transfer) {
        if self.is_partial {
            let repeated = transfer.delivery_id.is_none_or(|id| id == self.delivery_id);
            assert!(
                repeated,
                "{}: two deliveries at once on {}",
                self.side, self.name
            );
        } else {
            self.delivery_count = self.delivery_count.wrapping_add(1);
            self.delivery_id = transfer.delivery_id.expect("a delivery-id");
        }
        self.is_partial = transfer.more && !transfer.aborted;
    }

    // ---- what the side hears

    pub(super) fn on_attach_heard(&mut self, attach: &Attach) {
        self.input = Attachment::Handle(attach.handle);
        if self.role == Role::Receiver {
            self.count_from(attach);
        }
    }

    pub(super) fn detach_input(&mut self) {
        self.input = Attachment::Detached;
        self.is_partial &= self.role == Role::Sender && self.output.is_attached();
    }

    pub(super) fn on_flow_heard(&mut self, flow: &Flow) {
        self.owes_echo |= flow.echo;
        match self.role {
            Role::Sender => {
                let seen = flow.delivery_count.unwrap_or(self.initial_delivery_count);
                let granted = flow.link_credit.expect("credit in a receiver's flow");
                self.credit_end = Some(seen.wrapping_add(granted));
                self.has_heard_drain = flow.drain;
            }
            Role::Receiver => {
                self.delivery_count = flow.delivery_count.expect("a sender's delivery-count");
            }
        }
    }

    /// True if a delivery begins with it.
    pub(super) fn on_transfer_heard(&mut self, transfer: &Transfer) -> bool {
        let begins = !self.is_partial;
        self.count(transfer);
        begins
    }
}
