//! One session on the wire: transfer-ids, windows, delivery-ids, and what is settled.

use std::collections::HashMap;

use super::link::LinkView;
use crate::codec::{
    Attach, Begin, Disposition, Flow, Performative, Role, SenderSettleMode, Transfer,
};

/// What became of one unsettled delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settlement {
    Unsettled,
    /// The other side settled it, or its link is gone: nothing is wrong with settling it now, and nothing comes of it.
    Moot,
    Settled,
}

/// Unsettled deliveries of one direction by delivery-id, with their link.
#[derive(Debug, Default)]
struct Settlements(HashMap<u32, (usize, Settlement)>);

pub(super) struct SessionView {
    name: &'static str,
    /// The id of the next transfer that this side writes.
    next_outgoing_id: u32,
    initial_outgoing_id: u32,
    /// The other side's window, and the next transfer that it had seen when it said so.
    window: Option<(Option<u32>, u32)>,
    next_delivery_id: Option<u32>,
    /// The id of the next transfer that this side hears; known from the other's begin on.
    next_incoming_id: Option<u32>,
    remote_handle_max: u32,
    /// Never removed, so that positions stay.
    links: Vec<LinkView>,
    sent: Settlements,
    received: Settlements,
    owes_echo: bool,
    pub(super) has_ended: bool,
    /// The connection ends: what is under way may be given up.
    pub(super) is_ending: bool,
    pub(super) has_heard_end: bool,
}

impl SessionView {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            next_outgoing_id: 0,
            initial_outgoing_id: 0,
            window: None,
            next_delivery_id: None,
            next_incoming_id: None,
            remote_handle_max: u32::MAX,
            links: Vec::new(),
            sent: Settlements::default(),
            received: Settlements::default(),
            owes_echo: false,
            has_ended: false,
            is_ending: false,
            has_heard_end: false,
        }
    }

    pub(super) fn on_begin_heard(&mut self, begin: &Begin) {
        self.next_incoming_id = Some(begin.next_outgoing_id);
        self.remote_handle_max = begin.handle_max;
        self.window = Some((None, begin.incoming_window));
    }

    pub(super) fn on_begin_written(&mut self, begin: &Begin) {
        self.next_outgoing_id = begin.next_outgoing_id;
        self.initial_outgoing_id = begin.next_outgoing_id;
    }

    /// Transfers that may be sent.
    fn room(&self) -> i32 {
        let Some((seen, window)) = self.window else {
            return 0;
        };
        let end = seen
            .unwrap_or(self.initial_outgoing_id)
            .wrapping_add(window);
        end.wrapping_sub(self.next_outgoing_id) as i32
    }

    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.has_heard_end
    }

    pub(super) fn check_rest(&self) {
        if self.has_ended || self.has_heard_end || self.next_incoming_id.is_none() {
            return;
        }
        assert!(!self.owes_echo, "{}: a session's echo", self.name);
        self.links.iter().for_each(LinkView::check_rest);
    }

    fn written_link(&mut self, handle: u32) -> (usize, &mut LinkView) {
        let name = self.name;
        let mut links = self.links.iter_mut().enumerate();
        links
            .find(|(_, link)| link.output.is(handle))
            .unwrap_or_else(|| panic!("{name}: handle {handle} is not attached"))
    }

    pub(super) fn is_control(&self, handle: u32) -> bool {
        let is_one = |link: &LinkView| link.output.is(handle) && link.is_control;
        self.links.iter().any(is_one)
    }

    /// The link that the other side names; None if its attach is not answered yet.
    fn heard_link(&mut self, handle: u32) -> Option<(usize, &mut LinkView)> {
        let mut links = self.links.iter_mut().enumerate();
        links.find(|(_, link)| link.input.is(handle))
    }

    // ---- what this side says

    pub(super) fn on_written(&mut self, performative: &Performative) {
        match performative {
            Performative::Attach(attach) => self.on_attach_written(attach),
            Performative::Flow(flow) => self.on_flow_written(flow),
            Performative::Transfer(transfer) => self.on_transfer_written(transfer),
            Performative::Disposition(disposition) => self.on_disposition_written(disposition),
            Performative::Detach(detach) => {
                let is_read = !self.has_heard_end && !self.is_ending;
                let (position, link) = self.written_link(detach.handle);
                link.detach_output(is_read);
                self.forget_link(position);
            }
            Performative::End(_) => self.has_ended = true,
            other => panic!("{}: {other:?} in a session", self.name),
        }
    }

    fn on_attach_written(&mut self, attach: &Attach) {
        let name = self.name;
        let handle = attach.handle;
        assert!(handle <= self.remote_handle_max, "{name}: handle {handle}");
        assert!(
            !self.links.iter().any(|link| link.output.is(handle)),
            "{name}: handle {handle} is in use"
        );
        assert!(
            !self
                .links
                .iter()
                .any(|link| link.is_named(attach) && link.output.is_attached()),
            "{name}: {} is attached twice",
            attach.name
        );
        let answered = self
            .links
            .iter_mut()
            .find(|link| link.is_answered_by(attach));
        match answered {
            Some(link) => link.on_attach_written(attach),
            None => {
                let mut link = LinkView::new(self.name, attach.name.clone(), attach.role);
                link.on_attach_written(attach);
                self.links.push(link);
            }
        }
    }

    fn on_flow_written(&mut self, flow: &Flow) {
        let name = self.name;
        assert_eq!(flow.next_outgoing_id, self.next_outgoing_id, "{name}");
        assert_eq!(flow.next_incoming_id, self.next_incoming_id, "{name}");
        self.owes_echo = false;
        if let Some(handle) = flow.handle {
            self.written_link(handle).1.on_flow_written(flow);
        }
    }

    fn on_transfer_written(&mut self, transfer: &Transfer) {
        let name = self.name;
        assert!(self.room() > 0, "{name}: a transfer beyond the window");
        self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
        let expected = self.next_delivery_id;
        let (position, link) = self.written_link(transfer.handle);
        let begun = link.on_transfer_written(transfer);
        let delivery_id = link.delivery_id;
        let (settled, mode) = (transfer.settled.unwrap_or(false), link.snd_settle_mode);
        if begun {
            let found = transfer.delivery_id.expect("a delivery-id");
            assert!(
                expected.is_none_or(|id| id == found),
                "{name}: {found} after {expected:?}"
            );
            self.next_delivery_id = Some(found.wrapping_add(1));
            self.sent.begin(found, position);
            let must = match mode {
                SenderSettleMode::Settled => Some(true),
                SenderSettleMode::Unsettled => Some(transfer.aborted),
                SenderSettleMode::Mixed => None,
            };
            assert!(
                must.is_none_or(|must| must == settled),
                "{name}: {transfer:?} in mode {mode:?}"
            );
        }
        if settled || transfer.aborted {
            self.sent.moot(delivery_id, delivery_id);
        }
    }

    fn on_disposition_written(&mut self, disposition: &Disposition) {
        let own = match disposition.role {
            Role::Sender => &mut self.sent,
            Role::Receiver => &mut self.received,
        };
        let last = disposition.last.unwrap_or(disposition.first);
        own.settle(self.name, disposition.first, last, disposition.settled);
    }

    // ---- what this side hears

    pub(super) fn on_heard(&mut self, performative: &Performative) {
        match performative {
            Performative::Attach(attach) => self.on_attach_heard(attach),
            Performative::Flow(flow) => self.on_flow_heard(flow),
            Performative::Transfer(transfer) => self.on_transfer_heard(transfer),
            Performative::Disposition(disposition) if disposition.settled => {
                let far = match disposition.role {
                    Role::Sender => &mut self.received,
                    Role::Receiver => &mut self.sent,
                };
                let last = disposition.last.unwrap_or(disposition.first);
                far.moot(disposition.first, last);
            }
            Performative::Detach(detach) => {
                if let Some((position, link)) = self.heard_link(detach.handle) {
                    link.detach_input();
                    self.forget_link(position);
                }
            }
            Performative::End(_) => self.has_heard_end = true,
            _ => {}
        }
    }

    fn on_attach_heard(&mut self, attach: &Attach) {
        let answered = self.links.iter_mut().find(|link| link.awaits(attach));
        match answered {
            Some(link) => link.on_attach_heard(attach),
            None => {
                let role = attach.role.opposite();
                let mut link = LinkView::new(self.name, attach.name.clone(), role);
                link.on_attach_heard(attach);
                self.links.push(link);
            }
        }
    }

    fn on_flow_heard(&mut self, flow: &Flow) {
        let name = self.name;
        let heard = self.next_incoming_id.expect("a begin before a flow");
        assert_eq!(flow.next_outgoing_id, heard, "{name}: transfers were lost");
        self.window = Some((flow.next_incoming_id, flow.incoming_window));
        match flow.handle.and_then(|handle| self.heard_link(handle)) {
            Some((_, link)) => link.on_flow_heard(flow),
            None => self.owes_echo |= flow.echo && flow.handle.is_none(),
        }
    }

    fn on_transfer_heard(&mut self, transfer: &Transfer) {
        let next = self
            .next_incoming_id
            .as_mut()
            .expect("a begin before a transfer");
        *next = next.wrapping_add(1);
        let Some((position, link)) = self.heard_link(transfer.handle) else {
            return;
        };
        let begun = link.on_transfer_heard(transfer);
        let delivery_id = link.delivery_id;
        if begun {
            self.received.begin(delivery_id, position);
        }
        if transfer.settled.unwrap_or(false) || transfer.aborted {
            self.received.moot(delivery_id, delivery_id);
        }
    }

    /// A link is detached by one side: what is unsettled on it is nobody's business any more.
    fn forget_link(&mut self, position: usize) {
        self.received.forget_link(position);
        let link = &self.links[position];
        if !link.input.is_attached() {
            self.sent.forget_link(position);
        }
    }
}

impl Settlements {
    fn begin(&mut self, delivery_id: u32, link: usize) {
        self.0.insert(delivery_id, (link, Settlement::Unsettled));
    }

    fn settle(&mut self, name: &str, first: u32, last: u32, settled: bool) {
        assert!(
            last.wrapping_sub(first) < 1 << 20,
            "{name}: {first} to {last}"
        );
        let mut id = first;
        loop {
            let found = self.0.get_mut(&id);
            let (_, settlement) = found.unwrap_or_else(|| panic!("{name}: settles {id}"));
            assert_ne!(
                *settlement,
                Settlement::Settled,
                "{name}: settles {id} again"
            );
            if settled {
                *settlement = Settlement::Settled;
            }
            if id == last {
                return;
            }
            id = id.wrapping_add(1);
        }
    }

    fn moot(&mut self, first: u32, last: u32) {
        let length = last.wrapping_sub(first);
        for (id, (_, settlement)) in &mut self.0 {
            if id.wrapping_sub(first) <= length && *settlement == Settlement::Unsettled {
                *settlement = Settlement::Moot;
            }
        }
    }

    fn forget_link(&mut self, position: usize) {
        for (link, settlement) in self.0.values_mut() {
            if *link == position && *settlement == Settlement::Unsettled {
                *settlement = Settlement::Moot;
            }
        }
    }
}
