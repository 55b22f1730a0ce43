use alloc::vec::Vec;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::outcome::DeliveryState;
use crate::performative::{ReceiverSettleMode, Role, SenderSettleMode};
use crate::primitive::DeliveryTag;
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::terminus::{Source, TargetArchetype};
use crate::text::Str;
use crate::value::{Fields, has_equal_keys};
use crate::write::{Encode, Writer};

/// `[2.7.3]` Attaches a link to a session, or answers that.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The name of the link.
    pub name: Str,
    /// The number that this peer gives the link for as long as it is attached.
    pub handle: u32,
    /// The end of the link that this peer is.
    pub role: Role,
    /// Whether the sender settles what it sends. Default mixed.
    pub snd_settle_mode: SenderSettleMode,
    /// When the receiver settles. Default first.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Where messages come from; `None` in an answer: there is no such source (L-013).
    pub source: Option<Source>,
    /// Where messages go; `None` in an answer: there is no such target (L-013).
    pub target: Option<TargetArchetype>,
    /// Deliveries that are unsettled from an earlier attachment.
    pub unsettled: Option<UnsettledMap>,
    /// Whether `unsettled` does not hold all of them.
    pub incomplete_unsettled: bool,
    /// Where the sender's delivery-count starts; a sender must set it.
    pub initial_delivery_count: Option<u32>,
    /// The largest message that this peer takes, in octets; none or 0 is no limit.
    pub max_message_size: Option<u64>,
    /// Extensions that this peer supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that this peer may use if the other supports them.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the link.
    pub properties: Fields,
}

impl Attach {
    /// An attach with these mandatory fields and nothing else.
    pub fn new(name: impl Into<Str>, handle: u32, role: Role) -> Self {
        Self {
            name: name.into(),
            handle,
            role,
            snd_settle_mode: SenderSettleMode::default(),
            rcv_settle_mode: ReceiverSettleMode::default(),
            source: None,
            target: None,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: None,
            max_message_size: None,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

impl Composite for Attach {
    const DESCRIPTOR: u64 = descriptor::ATTACH;
    const NAME: &'static str = "attach";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.name);
        fields.required(&self.handle);
        fields.required(&self.role);
        fields.or(&self.snd_settle_mode, SenderSettleMode::default());
        fields.or(&self.rcv_settle_mode, ReceiverSettleMode::default());
        fields.optional(&self.source);
        fields.optional(&self.target);
        fields.optional(&self.unsettled);
        fields.or(&self.incomplete_unsettled, false);
        fields.optional(&self.initial_delivery_count);
        fields.optional(&self.max_message_size);
        fields.multiple(&self.offered_capabilities);
        fields.multiple(&self.desired_capabilities);
        fields.unless_empty(&self.properties, self.properties.is_empty());
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: fields.required("name")?,
            handle: fields.required("handle")?,
            role: fields.required("role")?,
            snd_settle_mode: fields.or_default("snd-settle-mode")?,
            rcv_settle_mode: fields.or_default("rcv-settle-mode")?,
            source: fields.optional("source")?,
            target: fields.optional("target")?,
            unsettled: fields.optional("unsettled")?,
            incomplete_unsettled: fields.or_default("incomplete-unsettled")?,
            initial_delivery_count: fields.optional("initial-delivery-count")?,
            max_message_size: fields.optional("max-message-size")?,
            offered_capabilities: fields.multiple("offered-capabilities")?,
            desired_capabilities: fields.multiple("desired-capabilities")?,
            properties: fields.or_default("properties")?,
        })
    }
}

/// `[2.7.3]` The unsettled deliveries of a link: tags, and the states they are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnsettledMap(pub Vec<(DeliveryTag, Option<DeliveryState>)>);

impl Encode for UnsettledMap {
    fn encode(&self, writer: &mut Writer<'_>) {
        let mark = writer.begin_compound();
        for (tag, state) in &self.0 {
            tag.encode(writer);
            state.encode(writer);
        }
        writer.end_map(mark, self.0.len() * 2);
    }
}

impl Decode for UnsettledMap {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let map = reader.enter_map(code)?;
        let mut entries = Vec::new();
        for _ in 0..map.count / 2 {
            let tag = DeliveryTag::decode(reader)?;
            let state = if reader.take_null()? {
                None
            } else {
                Some(DeliveryState::decode(reader)?)
            };
            entries.push((tag, state));
        }
        reader.leave(map)?;
        if has_equal_keys(&entries) {
            return Err(reader.error(DecodeErrorKind::DuplicateKey));
        }
        Ok(Self(entries))
    }
}
