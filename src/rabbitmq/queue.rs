//! Queues: what they are declared with, and what the broker tells of them.

use super::malformed;
use crate::codec::{Map, Str, Value};
use crate::request::RequestError;

/// What a queue is declared with. The default is a durable queue of the kind that the virtual host prefers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// Outlives the broker. Default `true`.
    pub durable: bool,
    /// For this connection alone, and gone with it. Default `false`.
    pub exclusive: bool,
    /// Gone with its last consumer. Default `false`.
    pub auto_delete: bool,
    /// Everything else, for example `x-queue-type`, `x-expires` in milliseconds, `x-max-length`.
    pub arguments: Map,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Map::default(),
        }
    }
}

impl QueueOptions {
    /// A queue on one node.
    pub fn classic() -> Self {
        Self::default().argument("x-queue-type", "classic")
    }

    /// A replicated queue.
    pub fn quorum() -> Self {
        Self::default().argument("x-queue-type", "quorum")
    }

    /// A log that can be read again: see [`Filter::stream_offset`](crate::filter::Filter::stream_offset).
    pub fn stream() -> Self {
        Self::default().argument("x-queue-type", "stream")
    }

    /// Sets [`durable`](Self::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets [`exclusive`](Self::exclusive).
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Sets [`auto_delete`](Self::auto_delete).
    pub fn auto_delete(mut self, auto_delete: bool) -> Self {
        self.auto_delete = auto_delete;
        self
    }

    /// Adds one of the [`arguments`](Self::arguments).
    pub fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    pub(super) fn to_body(&self) -> Value {
        let body = Map::default()
            .with("durable", self.durable)
            .with("exclusive", self.exclusive)
            .with("auto_delete", self.auto_delete)
            .with("arguments", Value::Map(self.arguments.clone()));
        Value::Map(body)
    }
}

/// What the broker tells of a queue.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Its name, not encoded.
    pub name: Str,
    /// `classic`, `quorum`, `stream` or what else a plugin brings.
    pub kind: Str,
    /// Messages in it, acquired or not.
    pub message_count: u64,
    /// Consumers that are attached.
    pub consumer_count: u32,
    /// Everything, as it came.
    pub properties: Map,
}

impl QueueInfo {
    pub(super) fn from_body(body: &Value) -> Result<Self, RequestError> {
        let map = body.as_map().ok_or_else(|| malformed("a queue"))?;
        let text = |name: &str| {
            let text = map.get_str(name).and_then(Value::as_str);
            text.map(Str::from)
                .ok_or_else(|| malformed(&format!("`{name}` of the queue")))
        };
        let count = |name: &str| map.get_str(name).and_then(Value::as_u64).unwrap_or(0);
        Ok(Self {
            name: text("name")?,
            kind: text("type")?,
            message_count: count("message_count"),
            consumer_count: u32::try_from(count("consumer_count")).unwrap_or(u32::MAX),
            properties: map.clone(),
        })
    }
}
