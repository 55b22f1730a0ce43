//! Filters of a source: what a receiver asks the peer to send, and to hold back [3.5.8].
//!
//! A peer that does not know a filter leaves it out of its answer: see
//! [`ReceiverOptions::require_filters`](crate::ReceiverOptions::require_filters). Not every peer is that honest: RabbitMQ 4.0
//! echoes what it does not carry out.
//!
//! ```
//! use amqp10::ReceiverOptions;
//! use amqp10::filter::{Filter, StreamOffset};
//!
//! let selected = ReceiverOptions::default().filters([Filter::selector("colour = 'red'")]);
//! let stream = ReceiverOptions::default().filters([Filter::stream_offset(StreamOffset::First)]);
//! ```

use crate::codec::{Described, FilterSet, Map, Str, Symbol, Timestamp, Value};

/// What a filter is known by: a number, or a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    code: u64,
    name: &'static str,
}

/// The filters that have a number (Z-071..Z-077).
impl Descriptor {
    pub(crate) const DIRECT_BINDING: Self = Self::new(
        0x0000_468C_0000_0000,
        "apache.org:legacy-amqp-direct-binding:string",
    );
    pub(crate) const TOPIC_BINDING: Self = Self::new(
        0x0000_468C_0000_0001,
        "apache.org:legacy-amqp-topic-binding:string",
    );
    pub(crate) const HEADERS_BINDING: Self = Self::new(
        0x0000_468C_0000_0002,
        "apache.org:legacy-amqp-headers-binding:map",
    );
    pub(crate) const NO_LOCAL: Self =
        Self::new(0x0000_468C_0000_0003, "apache.org:no-local-filter:list");
    pub(crate) const SELECTOR: Self =
        Self::new(0x0000_468C_0000_0004, "apache.org:selector-filter:string");
    const SQL: Self = Self::new(0x120, "sql-filter");
    const PROPERTIES: Self = Self::new(0x173, "amqp:properties-filter");
    const APPLICATION_PROPERTIES: Self = Self::new(0x174, "amqp:application-properties-filter");

    const fn new(code: u64, name: &'static str) -> Self {
        Self { code, name }
    }

    /// Whether a described value is such a filter.
    #[cfg_attr(not(feature = "broker"), expect(dead_code, reason = "for who filters"))]
    pub(crate) fn describes(self, described: &Described) -> bool {
        match &described.descriptor {
            Value::Ulong(code) => *code == self.code,
            Value::Symbol(name) => *name == *self.name,
            _ => false,
        }
    }
}

/// Capabilities by which a source says which filters it knows (Z-076).
pub mod capability {
    use crate::codec::Symbol;

    /// [`Filter::subject`](super::Filter::subject), [`Filter::topic`](super::Filter::topic) and
    /// [`Filter::headers`](super::Filter::headers).
    pub const LEGACY_AMQP_EXCHANGE_FILTERS: Symbol =
        Symbol::from_static("APACHE.ORG:LEGACY_AMQP_EXCHANGE_FILTERS");
    /// [`Filter::no_local`](super::Filter::no_local).
    pub const NO_LOCAL: Symbol = Symbol::from_static("APACHE.ORG:NO_LOCAL");
    /// [`Filter::selector`](super::Filter::selector).
    pub const SELECTOR: Symbol = Symbol::from_static("APACHE.ORG:SELECTOR");
}

/// One filter: an entry of a source's filter set. A peer knows it by its descriptor; its name tells it from others of the
/// same link (Z-070).
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    name: Symbol,
    value: Value,
}

/// Where in a stream a receiver starts (RabbitMQ, Z-078).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamOffset {
    /// With the oldest message still there.
    First,
    /// With the last chunk of messages.
    Last,
    /// With what is stored from now on.
    Next,
    /// With the message that has this offset, as `x-stream-offset` told it.
    Offset(u64),
    /// With the chunk that was stored at this time, whole seconds.
    Timestamp(Timestamp),
    /// So long ago: a number and a unit of `Y`, `M`, `D`, `h`, `m`, `s`, for example `5m`.
    Interval(String),
}

/// How many of its entries a [`Filter::headers`] demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersMatch {
    /// Each of them.
    All,
    /// At least one.
    Any,
}

impl Filter {
    /// A filter that is not among the others here.
    pub fn new(name: Symbol, descriptor: impl Into<Value>, value: impl Into<Value>) -> Self {
        Self {
            name,
            value: Value::described(descriptor, value),
        }
    }

    /// Described by its number, under its own name.
    fn of(descriptor: Descriptor, value: impl Into<Value>) -> Self {
        let name = Symbol::from_static(descriptor.name);
        Self::new(name, descriptor.code, value)
    }

    /// Described by the symbol that is its name, as RabbitMQ has it.
    fn of_symbol(name: &'static str, value: impl Into<Value>) -> Self {
        let name = Symbol::from_static(name);
        Self::new(name.clone(), name, value)
    }

    /// Gives it another name.
    pub fn named(mut self, name: Symbol) -> Self {
        self.name = name;
        self
    }

    /// Messages that fulfil a selector of JMS (Z-075): application properties by their names, the message's own fields as
    /// `amqp.subject` and the like.
    pub fn selector(expression: impl Into<Str>) -> Self {
        Self::of(Descriptor::SELECTOR, expression.into())
    }

    /// Messages that were not sent by this connection (Z-074).
    pub fn no_local() -> Self {
        let nothing = Vec::<Value>::new();
        Self::of(Descriptor::NO_LOCAL, nothing)
    }

    /// Messages with this subject (Z-071).
    pub fn subject(subject: impl Into<Str>) -> Self {
        Self::of(Descriptor::DIRECT_BINDING, subject.into())
    }

    /// Messages whose subject, words with dots between, fits a pattern: `*` is one word, `#` any number (Z-072).
    pub fn topic(pattern: impl Into<Str>) -> Self {
        Self::of(Descriptor::TOPIC_BINDING, pattern.into())
    }

    /// Messages with these application properties; null stands for any value (Z-073).
    pub fn headers<K: Into<Str>, V: Into<Value>>(
        demand: HeadersMatch,
        headers: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let demand = match demand {
            HeadersMatch::All => "all",
            HeadersMatch::Any => "any",
        };
        let mut map = Map::default().with("x-match", demand);
        for (name, value) in headers {
            map.insert(Value::String(name.into()), value);
        }
        Self::of(Descriptor::HEADERS_BINDING, Value::Map(map))
    }

    /// [`selector`](Self::selector) under the name that clients of JMS use.
    pub fn jms_selector(expression: impl Into<Str>) -> Self {
        Self::selector(expression).named(Symbol::from_static("jms-selector"))
    }

    /// [`no_local`](Self::no_local) under the name that clients of JMS use.
    pub fn jms_no_local() -> Self {
        Self::no_local().named(Symbol::from_static("no-local"))
    }

    /// Messages whose properties are these, by their names in the standard: `subject`, `group-id` (Z-077). Strings may begin
    /// with `&p:` for a prefix, `&s:` for a suffix.
    pub fn properties<V: Into<Value>>(properties: impl IntoIterator<Item = (Symbol, V)>) -> Self {
        let map: Map = properties.into_iter().collect();
        Self::of(Descriptor::PROPERTIES, Value::Map(map))
    }

    /// Messages with these application properties; strings as for [`properties`](Self::properties) (Z-077).
    pub fn application_properties<K: Into<Str>, V: Into<Value>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let entries = properties.into_iter();
        let map: Map = entries
            .map(|(name, value)| (Value::String(name.into()), value))
            .collect();
        Self::of(Descriptor::APPLICATION_PROPERTIES, Value::Map(map))
    }

    /// Messages that fulfil an expression in the SQL of AMQP's filter expressions (Z-077).
    pub fn sql(expression: impl Into<Str>) -> Self {
        Self::of(Descriptor::SQL, expression.into())
    }

    /// Where in a stream of RabbitMQ to start (Z-078).
    pub fn stream_offset(offset: StreamOffset) -> Self {
        let value = match offset {
            StreamOffset::First => Value::from("first"),
            StreamOffset::Last => Value::from("last"),
            StreamOffset::Next => Value::from("next"),
            StreamOffset::Offset(offset) => Value::from(offset),
            StreamOffset::Timestamp(time) => Value::from(time),
            StreamOffset::Interval(interval) => Value::from(interval),
        };
        Self::of_symbol("rabbitmq:stream-offset-spec", value)
    }

    /// Chunks of a stream of RabbitMQ that have a message with one of these values in `x-stream-filter-value` (Z-078). Others
    /// of such a chunk come along.
    pub fn stream_filter<V: Into<Str>>(values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(|value| Value::String(value.into()));
        Self::of_symbol("rabbitmq:stream-filter", values.collect::<Vec<_>>())
    }

    /// With [`stream_filter`](Self::stream_filter): whether messages without a value come, too (Z-078).
    pub fn stream_match_unfiltered(matches: bool) -> Self {
        Self::of_symbol("rabbitmq:stream-match-unfiltered", matches)
    }

    /// A session of an entity in Azure Service Bus; `None` is the next one that is free (Z-079). Not described, as the service
    /// has it.
    pub fn service_bus_session(session_id: Option<&str>) -> Self {
        Self {
            name: Symbol::from_static("com.microsoft:session-filter"),
            value: session_id.into(),
        }
    }

    /// What it is called within its set.
    pub fn name(&self) -> &Symbol {
        &self.name
    }

    /// What it says: a described value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl From<Filter> for (Symbol, Value) {
    fn from(filter: Filter) -> Self {
        (filter.name, filter.value)
    }
}

impl From<Filter> for FilterSet {
    fn from(filter: Filter) -> Self {
        FilterSet::from_iter([filter])
    }
}

impl FromIterator<Filter> for FilterSet {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        filters.into_iter().map(<(Symbol, Value)>::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::codec::{Encode, Writer};

    fn octets(filter: &Filter) -> Vec<u8> {
        let mut buffer = BytesMut::new();
        filter.value().encode(&mut Writer::new(&mut buffer));
        buffer.to_vec()
    }

    /// What a number describes: `00 80` and eight octets of it.
    fn described(code: u64, value: &[u8]) -> Vec<u8> {
        [&[0x00, 0x80][..], &code.to_be_bytes(), value].concat()
    }

    fn symbolic(name: &str, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        [&[0x00, 0xa3, length][..], name.as_bytes(), value].concat()
    }

    #[test]
    fn z_071_z_072_z_075_filters_of_a_text() {
        let table = [
            (
                Filter::subject("x = 1"),
                "direct-binding:string",
                0x0000_468C_0000_0000,
            ),
            (
                Filter::topic("x = 1"),
                "topic-binding:string",
                0x0000_468C_0000_0001,
            ),
            (
                Filter::selector("x = 1"),
                "selector-filter:string",
                0x0000_468C_0000_0004,
            ),
            (
                Filter::jms_selector("x = 1"),
                "jms-selector",
                0x0000_468C_0000_0004,
            ),
        ];
        for (filter, name, code) in table {
            assert!(filter.name().ends_with(name), "{filter:?}");
            assert_eq!(octets(&filter), described(code, b"\xa1\x05x = 1"), "{name}");
        }
    }

    #[test]
    fn z_074_no_local_is_an_empty_list() {
        for (filter, name) in [
            (Filter::no_local(), "apache.org:no-local-filter:list"),
            (Filter::jms_no_local(), "no-local"),
        ] {
            assert_eq!(filter.name(), name);
            assert_eq!(octets(&filter), described(0x0000_468C_0000_0003, b"\x45"));
        }
    }

    #[test]
    fn z_073_headers_say_how_many_must_match() {
        let colour = [("colour", Some("red")), ("size", None)];
        for (demand, name) in [(HeadersMatch::All, b"all"), (HeadersMatch::Any, b"any")] {
            let filter = Filter::headers(demand, colour);
            let entries = [
                &b"\xa1\x07x-match\xa1\x03"[..],
                name,
                b"\xa1\x06colour\xa1\x03red\xa1\x04size\x40",
            ]
            .concat();
            let size = u8::try_from(entries.len() + 1).unwrap();
            let map = [&[0xc1, size, 6][..], &entries].concat();
            assert_eq!(octets(&filter), described(0x0000_468C_0000_0002, &map));
        }
    }

    #[test]
    fn z_077_filter_expressions() {
        let subject = Filter::properties([(Symbol::from_static("subject"), "&p:a")]);
        // Small numbers have the short form of ulong.
        assert_eq!(
            octets(&subject)[..3],
            [0x00, 0x80, 0x00],
            "0x173 does not fit one octet"
        );
        assert_eq!(
            octets(&subject),
            described(0x173, b"\xc1\x10\x02\xa3\x07subject\xa1\x04&p:a")
        );
        let colour = Filter::application_properties([("n", 1_u32)]);
        assert_eq!(
            octets(&colour),
            described(0x174, b"\xc1\x06\x02\xa1\x01n\x52\x01")
        );
        assert_eq!(octets(&Filter::sql("a")), described(0x120, b"\xa1\x01a"));
    }

    #[test]
    fn z_078_filters_of_streams() {
        let offset = "rabbitmq:stream-offset-spec";
        let table: [(StreamOffset, &[u8]); 6] = [
            (StreamOffset::First, b"\xa1\x05first"),
            (StreamOffset::Last, b"\xa1\x04last"),
            (StreamOffset::Next, b"\xa1\x04next"),
            (StreamOffset::Offset(5), b"\x53\x05"),
            (
                StreamOffset::Timestamp(Timestamp(1)),
                b"\x83\0\0\0\0\0\0\0\x01",
            ),
            (StreamOffset::Interval("5m".into()), b"\xa1\x025m"),
        ];
        for (start, value) in table {
            assert_eq!(
                octets(&Filter::stream_offset(start)),
                symbolic(offset, value)
            );
        }
        let values = Filter::stream_filter(["a", "b"]);
        assert_eq!(
            octets(&values),
            symbolic("rabbitmq:stream-filter", b"\xc0\x07\x02\xa1\x01a\xa1\x01b")
        );
        let unfiltered = Filter::stream_match_unfiltered(true);
        assert_eq!(
            octets(&unfiltered),
            symbolic("rabbitmq:stream-match-unfiltered", b"\x41")
        );
    }

    #[test]
    fn z_079_a_session_is_a_string_or_null() {
        assert_eq!(octets(&Filter::service_bus_session(None)), b"\x40");
        assert_eq!(
            octets(&Filter::service_bus_session(Some("a"))),
            b"\xa1\x01a"
        );
    }

    #[test]
    fn z_070_two_filters_of_one_kind_need_two_names() {
        let other = Symbol::from_static("other");
        let filters = [Filter::selector("a"), Filter::selector("b").named(other)];
        let set: FilterSet = filters.into_iter().collect();
        assert_eq!(set.len(), 2);
        assert_eq!(FilterSet::from(Filter::selector("a")).len(), 1);
        assert!(set.contains_key("other"));
    }
}
