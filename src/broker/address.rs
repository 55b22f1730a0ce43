//! The names of nodes.

use std::fmt;

use crate::codec::{AmqpError, Str, Symbol, condition};

/// The longest address, in octets.
const MAX_ADDRESS: usize = 1024;

/// Nodes whose name begins so do not exist: something to test refusals with.
const MISSING: &str = "no-such";

/// What a node does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum NodeKind {
    /// It goes to one consumer.
    Queue,
    /// Each subscription gets it.
    Topic,
}

/// A node, however its address was spelt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeName {
    pub(super) kind: NodeKind,
    pub(super) name: Str,
}

impl NodeName {
    pub(super) fn new(kind: NodeKind, name: impl Into<Str>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// Reads an address: `queue/NAME`, `topic/NAME`, or a plain name, which is a topic if the terminus asks for one by its
    /// capabilities and a queue otherwise (Z-050).
    pub(super) fn parse(address: &str, capabilities: &[Symbol]) -> Result<Self, AmqpError> {
        if address.is_empty() || address.len() > MAX_ADDRESS {
            let text = format!("an address has 1 to {MAX_ADDRESS} octets");
            return Err(AmqpError::new(condition::INVALID_FIELD, text));
        }
        let named = [("queue/", NodeKind::Queue), ("topic/", NodeKind::Topic)]
            .into_iter()
            .find_map(|(prefix, kind)| Some((kind, address.strip_prefix(prefix)?)));
        let (kind, name) = named.unwrap_or((wanted_kind(capabilities), address));
        let node = Self::new(kind, name);
        match name.is_empty() || name.starts_with(MISSING) {
            true => Err(node.not_found()),
            false => Ok(node),
        }
    }

    pub(super) fn not_found(&self) -> AmqpError {
        AmqpError::new(condition::NOT_FOUND, format!("there is no {self}"))
    }

    /// The address that names the node without doubt.
    pub(super) fn address(&self) -> Str {
        match self.kind {
            NodeKind::Queue => self.name.clone(),
            NodeKind::Topic => format!("topic/{}", self.name).into(),
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NodeKind::Queue => "queue",
            NodeKind::Topic => "topic",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// The kind of node that a terminus asks for.
pub(super) fn wanted_kind(capabilities: &[Symbol]) -> NodeKind {
    let is_topic =
        |capability: &Symbol| ["topic", "temporary-topic"].contains(&capability.as_str());
    match capabilities.iter().any(is_topic) {
        true => NodeKind::Topic,
        false => NodeKind::Queue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_and_name(address: &str, capability: &'static str) -> Option<(NodeKind, String)> {
        let node = NodeName::parse(address, &[Symbol::from_static(capability)]).ok()?;
        Some((node.kind, node.name.to_string()))
    }

    #[test]
    fn z_050_addresses_and_capabilities_name_nodes() {
        let queue = |name: &str| Some((NodeKind::Queue, name.to_owned()));
        let topic = |name: &str| Some((NodeKind::Topic, name.to_owned()));
        assert_eq!(kind_and_name("orders", "queue"), queue("orders"));
        assert_eq!(kind_and_name("queue/orders", "topic"), queue("orders"));
        assert_eq!(kind_and_name("orders", "topic"), topic("orders"));
        assert_eq!(kind_and_name("topic/a/b", ""), topic("a/b"));
        for missing in [
            "",
            "queue/",
            "no-such-node",
            "topic/no-such",
            &"x".repeat(2000),
        ] {
            assert_eq!(kind_and_name(missing, ""), None, "{missing}");
        }
    }
}
