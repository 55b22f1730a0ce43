//! Sources and targets `[3.5]`: the two ends of a link.

use alloc::vec::Vec;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter, decode_fields};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::outcome::{Outcome, Rejected};
use crate::performative::out_of_range;
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::transaction::Coordinator;
use crate::value::{Described, Fields, FilterSet, Value};
use crate::write::{Encode, Writer};

/// `[3.5.3]` Where the messages of a link come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The node.
    pub address: Option<Str>,
    /// What survives of the terminus without its container.
    pub durable: TerminusDurability,
    /// When the terminus begins to expire.
    pub expiry_policy: TerminusExpiryPolicy,
    /// Seconds from then on until it is gone.
    pub timeout: u32,
    /// Whether the sender is to create, or has created, a node.
    pub dynamic: bool,
    /// Properties of a created node.
    pub dynamic_node_properties: Fields,
    /// `move` or `copy`: see [`distribution_mode`].
    pub distribution_mode: Option<Symbol>,
    /// What messages must fulfil.
    pub filter: FilterSet,
    /// The outcome of deliveries that are settled without one.
    pub default_outcome: Option<Outcome>,
    /// The outcomes that may be used, by symbolic descriptor; none is any.
    pub outcomes: Vec<Symbol>,
    /// Extensions that the node has, or that are wanted of it.
    pub capabilities: Vec<Symbol>,
}

impl Source {
    /// A source with an address and nothing else.
    pub fn new(address: impl Into<Str>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::default()
        }
    }

    /// A source at a node that the peer is to create; its answer tells the address. `lifetime`: when the node is deleted
    /// again.
    pub fn dynamic(lifetime: LifetimePolicy) -> Self {
        Self {
            dynamic: true,
            dynamic_node_properties: node_properties(lifetime),
            ..Self::default()
        }
    }

    /// Whether its deliveries may be rejected: it names that outcome, or none at all.
    pub fn takes_rejected(&self) -> bool {
        self.takes(&Outcome::Rejected(Rejected::default()))
    }

    /// Whether its deliveries may have this outcome: it names it, or none at all. Those of transactions are not among
    /// those that it names.
    pub fn takes(&self, outcome: &Outcome) -> bool {
        let name = match outcome {
            Outcome::Accepted => outcomes::ACCEPTED,
            Outcome::Rejected(_) => outcomes::REJECTED,
            Outcome::Released => outcomes::RELEASED,
            Outcome::Modified(_) => outcomes::MODIFIED,
            Outcome::Declared(_) => return true,
        };
        self.outcomes.is_empty() || self.outcomes.contains(&name)
    }
}

fn node_properties(lifetime: LifetimePolicy) -> Fields {
    Fields::new().with(LifetimePolicy::KEY, lifetime)
}

/// `[3.5.4]` Where the messages of a link go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The node.
    pub address: Option<Str>,
    /// What survives of the terminus without its container.
    pub durable: TerminusDurability,
    /// When the terminus begins to expire.
    pub expiry_policy: TerminusExpiryPolicy,
    /// Seconds from then on until it is gone.
    pub timeout: u32,
    /// Whether the receiver is to create, or has created, a node.
    pub dynamic: bool,
    /// Properties of a created node.
    pub dynamic_node_properties: Fields,
    /// Extensions that the node has, or that are wanted of it.
    pub capabilities: Vec<Symbol>,
}

impl Target {
    /// A target with an address and nothing else.
    pub fn new(address: impl Into<Str>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::default()
        }
    }

    /// A target at a node that the peer is to create; its answer tells the address. `lifetime`: when the node is deleted
    /// again.
    pub fn dynamic(lifetime: LifetimePolicy) -> Self {
        Self {
            dynamic: true,
            dynamic_node_properties: node_properties(lifetime),
            ..Self::default()
        }
    }
}

/// What can stand in the target field of an attach.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetArchetype {
    /// A node.
    Target(Target),
    /// A controller of transactions.
    Coordinator(Coordinator),
}

impl TargetArchetype {
    /// The address of a target that is a node.
    pub fn address(&self) -> Option<&Str> {
        match self {
            Self::Target(target) => target.address.as_ref(),
            Self::Coordinator(_) => None,
        }
    }
}

impl From<Target> for TargetArchetype {
    fn from(target: Target) -> Self {
        Self::Target(target)
    }
}

impl From<Coordinator> for TargetArchetype {
    fn from(coordinator: Coordinator) -> Self {
        Self::Coordinator(coordinator)
    }
}

/// `[3.5.5]` What survives of a terminus without its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TerminusDurability {
    /// Nothing.
    #[default]
    None,
    /// That it exists, and its configuration.
    Configuration,
    /// Also the state of unsettled deliveries.
    UnsettledState,
}

/// `[3.5.6]` When a terminus begins to expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TerminusExpiryPolicy {
    /// When its link is detached.
    LinkDetach,
    /// When its session ends.
    #[default]
    SessionEnd,
    /// When its connection is closed.
    ConnectionClose,
    /// Never.
    Never,
}

/// Distribution modes of a [`Source`] `[3.5.7]`.
pub mod distribution_mode {
    use crate::symbol::Symbol;

    /// A message goes to one link.
    pub const MOVE: Symbol = Symbol::from_static("move");
    /// Every link gets every message.
    pub const COPY: Symbol = Symbol::from_static("copy");
}

/// Outcomes as a [`Source`] names those that its deliveries may have `[3.5.3]`.
pub mod outcomes {
    use crate::symbol::Symbol;

    /// The message was processed `[3.4.2]`.
    pub const ACCEPTED: Symbol = Symbol::from_static("amqp:accepted:list");
    /// The message is invalid `[3.4.3]`.
    pub const REJECTED: Symbol = Symbol::from_static("amqp:rejected:list");
    /// The message was not processed `[3.4.4]`.
    pub const RELEASED: Symbol = Symbol::from_static("amqp:released:list");
    /// The message was not processed, and is changed `[3.4.5]`.
    pub const MODIFIED: Symbol = Symbol::from_static("amqp:modified:list");
    /// Each of them.
    pub const ALL: [Symbol; 4] = [ACCEPTED, REJECTED, RELEASED, MODIFIED];
}

/// `[3.5.10-13]` When a created node is deleted: a value of `lifetime-policy` in the node properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifetimePolicy {
    /// When the link that created it is closed.
    DeleteOnClose,
    /// When no link uses it any more.
    DeleteOnNoLinks,
    /// When it is empty and the link that created it is gone.
    DeleteOnNoMessages,
    /// When it is empty and no link uses it.
    DeleteOnNoLinksOrMessages,
}

impl LifetimePolicy {
    /// Its name among the properties of a node.
    pub const KEY: Symbol = Symbol::from_static("lifetime-policy");

    const ALL: [Self; 4] = [
        Self::DeleteOnClose,
        Self::DeleteOnNoLinks,
        Self::DeleteOnNoMessages,
        Self::DeleteOnNoLinksOrMessages,
    ];

    fn descriptor(self) -> u64 {
        descriptor::DELETE_ON_CLOSE + self as u64
    }

    /// The policy that a value of the node properties stands for, by number or symbol.
    pub fn from_value(value: &Value) -> Option<Self> {
        let Described { descriptor, value } = value.as_described()?;
        value.as_list()?;
        let code = match descriptor {
            Value::Symbol(symbol) => descriptor::code_of(symbol)?,
            Value::Ulong(code) => *code,
            _ => return None,
        };
        Self::ALL
            .into_iter()
            .find(|policy| policy.descriptor() == code)
    }
}

impl From<LifetimePolicy> for Value {
    fn from(policy: LifetimePolicy) -> Self {
        Value::described(policy.descriptor(), Vec::<Value>::new())
    }
}

impl Encode for TerminusDurability {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_uint(*self as u32);
    }
}

impl Decode for TerminusDurability {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match u32::decode_body(reader, code)? {
            0 => Ok(Self::None),
            1 => Ok(Self::Configuration),
            2 => Ok(Self::UnsettledState),
            _ => Err(out_of_range(reader, "a terminus-durability is 0, 1 or 2")),
        }
    }
}

impl TerminusExpiryPolicy {
    const ALL: [Self; 4] = [
        Self::LinkDetach,
        Self::SessionEnd,
        Self::ConnectionClose,
        Self::Never,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::LinkDetach => "link-detach",
            Self::SessionEnd => "session-end",
            Self::ConnectionClose => "connection-close",
            Self::Never => "never",
        }
    }
}

impl Encode for TerminusExpiryPolicy {
    fn encode(&self, writer: &mut Writer<'_>) {
        Symbol::from_static(self.name()).encode(writer);
    }
}

impl Decode for TerminusExpiryPolicy {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let symbol = Symbol::decode_body(reader, code)?;
        match Self::ALL
            .into_iter()
            .find(|policy| symbol == *policy.name())
        {
            Some(policy) => Ok(policy),
            None => Err(out_of_range(reader, "no such terminus-expiry-policy")),
        }
    }
}

impl Encode for TargetArchetype {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Target(target) => target.encode(writer),
            Self::Coordinator(coordinator) => coordinator.encode(writer),
        }
    }
}

impl Decode for TargetArchetype {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        match reader.read_descriptor_body(code)? {
            Some(descriptor::TARGET) => Ok(Self::Target(decode_fields(reader)?)),
            Some(descriptor::COORDINATOR) => Ok(Self::Coordinator(decode_fields(reader)?)),
            _ => {
                let expected = "a target or coordinator";
                Err(DecodeError::new(
                    offset,
                    DecodeErrorKind::UnexpectedDescriptor { expected },
                ))
            }
        }
    }
}

impl Composite for Source {
    const DESCRIPTOR: u64 = descriptor::SOURCE;
    const NAME: &'static str = "source";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.address);
        fields.or(&self.durable, TerminusDurability::default());
        fields.or(&self.expiry_policy, TerminusExpiryPolicy::default());
        fields.or(&self.timeout, 0);
        fields.or(&self.dynamic, false);
        fields.unless_empty(
            &self.dynamic_node_properties,
            self.dynamic_node_properties.is_empty(),
        );
        fields.optional(&self.distribution_mode);
        fields.unless_empty(&self.filter, self.filter.is_empty());
        fields.optional(&self.default_outcome);
        fields.multiple(&self.outcomes);
        fields.multiple(&self.capabilities);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            address: fields.optional("address")?,
            durable: fields.or_default("durable")?,
            expiry_policy: fields.or_default("expiry-policy")?,
            timeout: fields.or_default("timeout")?,
            dynamic: fields.or_default("dynamic")?,
            dynamic_node_properties: fields.or_default("dynamic-node-properties")?,
            distribution_mode: fields.optional("distribution-mode")?,
            filter: fields.or_default("filter")?,
            default_outcome: fields.optional("default-outcome")?,
            outcomes: fields.multiple("outcomes")?,
            capabilities: fields.multiple("capabilities")?,
        })
    }
}

impl Composite for Target {
    const DESCRIPTOR: u64 = descriptor::TARGET;
    const NAME: &'static str = "target";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.address);
        fields.or(&self.durable, TerminusDurability::default());
        fields.or(&self.expiry_policy, TerminusExpiryPolicy::default());
        fields.or(&self.timeout, 0);
        fields.or(&self.dynamic, false);
        fields.unless_empty(
            &self.dynamic_node_properties,
            self.dynamic_node_properties.is_empty(),
        );
        fields.multiple(&self.capabilities);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            address: fields.optional("address")?,
            durable: fields.or_default("durable")?,
            expiry_policy: fields.or_default("expiry-policy")?,
            timeout: fields.or_default("timeout")?,
            dynamic: fields.or_default("dynamic")?,
            dynamic_node_properties: fields.or_default("dynamic-node-properties")?,
            capabilities: fields.multiple("capabilities")?,
        })
    }
}
