//! Exchanges, and the bindings that lead from them to queues.

use crate::codec::{Map, Str, Value};
use crate::percent::encode;

/// What an exchange is declared with. The default is durable and direct.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExchangeOptions {
    /// `direct`, `fanout`, `topic`, `headers` or what else a plugin brings.
    pub kind: Str,
    /// Outlives the broker. Default `true`.
    pub durable: bool,
    /// Gone with its last binding. Default `false`.
    pub auto_delete: bool,
    /// Reached by bindings alone. Default `false`.
    pub internal: bool,
    /// Everything else.
    pub arguments: Map,
}

impl Default for ExchangeOptions {
    fn default() -> Self {
        Self {
            kind: Str::from_static("direct"),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Map::default(),
        }
    }
}

impl ExchangeOptions {
    /// Sets [`kind`](Self::kind).
    pub fn kind(mut self, kind: impl Into<Str>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Sets [`durable`](Self::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets [`auto_delete`](Self::auto_delete).
    pub fn auto_delete(mut self, auto_delete: bool) -> Self {
        self.auto_delete = auto_delete;
        self
    }

    /// Sets [`internal`](Self::internal).
    pub fn internal(mut self, internal: bool) -> Self {
        self.internal = internal;
        self
    }

    /// Adds one of the [`arguments`](Self::arguments).
    pub fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    pub(super) fn to_body(&self) -> Value {
        let body = Map::default()
            .with("type", self.kind.clone())
            .with("durable", self.durable)
            .with("auto_delete", self.auto_delete)
            .with("internal", self.internal)
            .with("arguments", Value::Map(self.arguments.clone()));
        Value::Map(body)
    }
}

/// A binding: messages go from an exchange to a queue, or to another exchange.
///
/// ```
/// # use amqp10::rabbitmq::Binding;
/// let binding = Binding::to_queue("amq.topic", "orders").key("order.#");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    exchange: String,
    destination: Destination,
    key: String,
    arguments: Map,
}

#[derive(Clone, Debug, PartialEq)]
enum Destination {
    Queue(String),
    Exchange(String),
}

impl Binding {
    /// From an exchange to a queue.
    pub fn to_queue(exchange: &str, queue: &str) -> Self {
        Self::new(exchange, Destination::Queue(queue.to_owned()))
    }

    /// From an exchange to another.
    pub fn to_exchange(exchange: &str, destination: &str) -> Self {
        Self::new(exchange, Destination::Exchange(destination.to_owned()))
    }

    fn new(exchange: &str, destination: Destination) -> Self {
        Self {
            exchange: exchange.to_owned(),
            destination,
            key: String::new(),
            arguments: Map::default(),
        }
    }

    /// For messages with this routing key, or a pattern of it. Default the empty one.
    pub fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Adds an argument, as an exchange of the kind `headers` needs them.
    pub fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    pub(super) fn to_body(&self) -> Value {
        let (field, destination) = match &self.destination {
            Destination::Queue(name) => ("destination_queue", name),
            Destination::Exchange(name) => ("destination_exchange", name),
        };
        let body = Map::default()
            .with("source", self.exchange.as_str())
            .with(field, destination.as_str())
            .with("binding_key", self.key.as_str())
            .with("arguments", Value::Map(self.arguments.clone()));
        Value::Map(body)
    }

    /// Its path; with arguments only the broker knows it.
    pub(super) fn path(&self) -> Option<String> {
        let (field, destination) = self.destination_field();
        self.arguments.is_empty().then(|| {
            let (exchange, key) = (encode(&self.exchange), encode(&self.key));
            format!("/bindings/src={exchange};{field}={destination};key={key};args=")
        })
    }

    /// What lists it, among those that have other arguments.
    pub(super) fn query(&self) -> String {
        let (field, destination) = self.destination_field();
        let (exchange, key) = (encode(&self.exchange), encode(&self.key));
        format!("/bindings?src={exchange}&{field}={destination}&key={key}")
    }

    fn destination_field(&self) -> (&'static str, String) {
        match &self.destination {
            Destination::Queue(name) => ("dstq", encode(name)),
            Destination::Exchange(name) => ("dste", encode(name)),
        }
    }

    /// Whether these are its arguments, in whatever order and width of numbers.
    pub(super) fn has_arguments(&self, found: Option<&Value>) -> bool {
        let found = found.and_then(Value::as_map);
        found.is_some_and(|found| {
            found.len() == self.arguments.len()
                && self.arguments.iter().all(|(name, value)| {
                    found.get(name).is_some_and(|found| {
                        found == value
                            || (value.as_i64().is_some() && found.as_i64() == value.as_i64())
                    })
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_035_paths_of_bindings() {
        let binding = Binding::to_queue("a/b", "q 1").key("k;1");
        let path = "/bindings/src=a%2Fb;dstq=q%201;key=k%3B1;args=";
        assert_eq!(binding.path().as_deref(), Some(path));
        let binding = Binding::to_exchange("a", "b").argument("n", 1);
        assert_eq!(binding.path(), None);
        assert_eq!(binding.query(), "/bindings?src=a&dste=b&key=");
        let found = |value: Value| Value::Map(Map::default().with("n", value));
        assert!(binding.has_arguments(Some(&found(1_i64.into()))));
        assert!(!binding.has_arguments(Some(&found(2_i64.into()))));
        assert!(!binding.has_arguments(None));
    }
}
