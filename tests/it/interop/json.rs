//! Messages as lines of JSON, as `tests/interop/README.md` describes them. The clients in other languages write the same.

use amqp10::codec::{
    AnnotationKey, Annotations, ApplicationProperties, Array, Dec32, Dec64, Dec128, Header, Map,
    MessageId, Properties, Timestamp, Uuid,
};
use amqp10::{Body, Message, Str, Symbol, Value};
use serde_json::{Map as Object, Value as Json, json};

/// The lines of a file of `tests/interop`.
pub fn lines_of(name: &str) -> Vec<Json> {
    let path = super::program::path_of(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    parse_lines(&text)
}

pub fn parse_lines(text: &str) -> Vec<Json> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

// --- To JSON ---

/// A message, without what is empty or equals the default, its maps sorted.
pub fn to_json(message: &Message) -> Json {
    let mut sections = Object::new();
    let mut put = |name: &str, fields: Vec<Json>| {
        if !fields.is_empty() {
            sections.insert(name.into(), fields.into());
        }
    };
    put(
        "delivery_annotations",
        annotations(&message.delivery_annotations),
    );
    put(
        "message_annotations",
        annotations(&message.message_annotations),
    );
    let properties = message
        .application_properties
        .iter()
        .flat_map(|map| map.iter());
    put(
        "application_properties",
        sorted(properties.map(|(key, value)| json!([["string", key.as_str()], typed(value)]))),
    );
    put("footer", annotations(&message.footer));
    put("body", body(&message.body));
    let mut put_fields = |name: &str, fields: Object<String, Json>| {
        if !fields.is_empty() {
            sections.insert(name.into(), fields.into());
        }
    };
    put_fields(
        "header",
        message.header.as_ref().map(header).unwrap_or_default(),
    );
    put_fields(
        "properties",
        message
            .properties
            .as_ref()
            .map(properties_fields)
            .unwrap_or_default(),
    );
    sections.into()
}

fn sorted(pairs: impl Iterator<Item = Json>) -> Vec<Json> {
    let mut pairs: Vec<Json> = pairs.collect();
    pairs.sort_by_key(Json::to_string);
    pairs
}

fn annotations(annotations: &Option<Annotations>) -> Vec<Json> {
    let pairs = annotations
        .iter()
        .flat_map(|annotations| annotations.iter());
    sorted(pairs.map(|(key, value)| {
        let key = match key {
            AnnotationKey::Symbol(symbol) => json!(["symbol", symbol.as_str()]),
            AnnotationKey::Ulong(number) => json!(["ulong", number.to_string()]),
        };
        json!([key, typed(value)])
    }))
}

fn body(body: &Body) -> Vec<Json> {
    let (kind, contents) = match body {
        Body::Data(octets) => ("data", vec![json!(hex(octets))]),
        Body::DataSections(sections) => (
            "data",
            sections.iter().map(|octets| json!(hex(octets))).collect(),
        ),
        Body::Sequences(sections) => (
            "sequence",
            sections.iter().map(|items| list(items)).collect(),
        ),
        Body::Value(value) => ("value", vec![typed(value)]),
        Body::Empty => return Vec::new(),
    };
    [json!(kind)].into_iter().chain(contents).collect()
}

fn header(header: &Header) -> Object<String, Json> {
    let default = Header::default();
    let fields = [
        (
            "durable",
            (header.durable != default.durable).then_some(Value::Bool(header.durable)),
        ),
        (
            "priority",
            (header.priority != default.priority).then_some(Value::Ubyte(header.priority)),
        ),
        ("ttl", header.ttl.map(Value::Uint)),
        (
            "first_acquirer",
            header.first_acquirer.then_some(Value::Bool(true)),
        ),
        (
            "delivery_count",
            (header.delivery_count > 0).then_some(Value::Uint(header.delivery_count)),
        ),
    ];
    present(fields)
}

fn properties_fields(properties: &Properties) -> Object<String, Json> {
    let string = |text: &Option<Str>| text.clone().map(Value::String);
    let symbol = |text: &Option<Symbol>| text.clone().map(Value::Symbol);
    let id = |id: &Option<MessageId>| {
        id.clone().map(|id| match id {
            MessageId::Ulong(number) => Value::Ulong(number),
            MessageId::Uuid(uuid) => Value::Uuid(uuid),
            MessageId::Binary(octets) => Value::Binary(octets),
            MessageId::String(text) => Value::String(text),
        })
    };
    present([
        ("message_id", id(&properties.message_id)),
        ("user_id", properties.user_id.clone().map(Value::Binary)),
        ("to", string(&properties.to)),
        ("subject", string(&properties.subject)),
        ("reply_to", string(&properties.reply_to)),
        ("correlation_id", id(&properties.correlation_id)),
        ("content_type", symbol(&properties.content_type)),
        ("content_encoding", symbol(&properties.content_encoding)),
        (
            "absolute_expiry_time",
            properties.absolute_expiry_time.map(Value::Timestamp),
        ),
        (
            "creation_time",
            properties.creation_time.map(Value::Timestamp),
        ),
        ("group_id", string(&properties.group_id)),
        ("group_sequence", properties.group_sequence.map(Value::Uint)),
        ("reply_to_group_id", string(&properties.reply_to_group_id)),
    ])
}

fn present<const N: usize>(fields: [(&str, Option<Value>); N]) -> Object<String, Json> {
    let present = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), typed(&value?))));
    present.collect()
}

fn list(items: &[Value]) -> Json {
    items.iter().map(typed).collect()
}

/// A value as `[type, content]`.
pub fn typed(value: &Value) -> Json {
    match value {
        Value::Null => json!(["null"]),
        Value::Bool(value) => json!(["bool", value]),
        Value::Ubyte(number) => json!(["ubyte", number.to_string()]),
        Value::Ushort(number) => json!(["ushort", number.to_string()]),
        Value::Uint(number) => json!(["uint", number.to_string()]),
        Value::Ulong(number) => json!(["ulong", number.to_string()]),
        Value::Byte(number) => json!(["byte", number.to_string()]),
        Value::Short(number) => json!(["short", number.to_string()]),
        Value::Int(number) => json!(["int", number.to_string()]),
        Value::Long(number) => json!(["long", number.to_string()]),
        Value::Float(number) => json!(["float", format!("{:08x}", number.to_bits())]),
        Value::Double(number) => json!(["double", format!("{:016x}", number.to_bits())]),
        Value::Decimal32(bits) => json!(["decimal32", hex(&bits.0)]),
        Value::Decimal64(bits) => json!(["decimal64", hex(&bits.0)]),
        Value::Decimal128(bits) => json!(["decimal128", hex(&bits.0)]),
        Value::Char(char) => json!(["char", u32::from(*char).to_string()]),
        Value::Timestamp(time) => json!(["timestamp", time.0.to_string()]),
        Value::Uuid(uuid) => json!(["uuid", uuid.to_string()]),
        Value::Binary(octets) => json!(["binary", hex(octets)]),
        Value::String(text) => json!(["string", text.as_str()]),
        Value::Symbol(text) => json!(["symbol", text.as_str()]),
        Value::List(items) => json!(["list", list(items)]),
        Value::Map(map) => {
            let pairs: Json = map
                .iter()
                .map(|(key, value)| json!([typed(key), typed(value)]))
                .collect();
            json!(["map", pairs])
        }
        Value::Array(array) => json!(["array", list(array.as_slice())]),
        Value::Described(described) => {
            json!([
                "described",
                typed(&described.descriptor),
                typed(&described.value)
            ])
        }
    }
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

// --- From JSON ---

/// The inverse of [`to_json`].
pub fn from_json(message: &Json) -> Message {
    let section = |name: &str| message.get(name);
    let annotations = |name| section(name).map(annotations_from);
    Message {
        header: section("header").map(header_from),
        delivery_annotations: annotations("delivery_annotations"),
        message_annotations: annotations("message_annotations"),
        properties: section("properties").map(properties_from),
        application_properties: section("application_properties").map(application_properties_from),
        body: body_from(&message["body"]),
        footer: annotations("footer"),
    }
}

fn array(json: &Json) -> &[Json] {
    json.as_array()
        .unwrap_or_else(|| panic!("not an array: {json}"))
}

fn text(json: &Json) -> &str {
    json.as_str()
        .unwrap_or_else(|| panic!("not a text: {json}"))
}

fn annotations_from(pairs: &Json) -> Annotations {
    let key = |typed| match value(typed) {
        Value::Symbol(symbol) => AnnotationKey::Symbol(symbol),
        Value::Ulong(number) => AnnotationKey::Ulong(number),
        other => panic!("no key of annotations: {other:?}"),
    };
    array(pairs)
        .iter()
        .map(|pair| (key(&pair[0]), value(&pair[1])))
        .collect()
}

fn application_properties_from(pairs: &Json) -> ApplicationProperties {
    let pairs = array(pairs).iter();
    pairs
        .map(|pair| (Str::from(text(&pair[0][1])), value(&pair[1])))
        .collect()
}

fn body_from(body: &Json) -> Body {
    let [kind, contents @ ..] = array(body) else {
        panic!("a body without a kind")
    };
    let octets = |content| unhex(text(content)).into();
    match (text(kind), contents) {
        ("data", [content]) => Body::Data(octets(content)),
        ("data", contents) => Body::DataSections(contents.iter().map(octets).collect()),
        ("sequence", contents) => Body::Sequences(contents.iter().map(values).collect()),
        (_, contents) => Body::Value(value(&contents[0])),
    }
}

fn header_from(fields: &Json) -> Header {
    let field = |name| fields.get(name).map(value);
    let number = |name| field(name).and_then(|value| value.as_u64());
    let flag = |name| field(name) == Some(Value::Bool(true));
    Header {
        durable: flag("durable"),
        priority: number("priority").map_or(Header::DEFAULT_PRIORITY, |priority| priority as u8),
        ttl: number("ttl").map(|ttl| ttl as u32),
        first_acquirer: flag("first_acquirer"),
        delivery_count: number("delivery_count").unwrap_or(0) as u32,
    }
}

fn properties_from(fields: &Json) -> Properties {
    let field = |name| fields.get(name).map(value);
    let string = |name| field(name).and_then(|value| value.as_str().map(Str::from));
    let symbol = |name| field(name).and_then(|value| value.as_symbol().cloned());
    let time = |name| field(name).and_then(|value| value.as_timestamp());
    let id = |name| {
        field(name).map(|value| match value {
            Value::Ulong(number) => MessageId::Ulong(number),
            Value::Uuid(uuid) => MessageId::Uuid(uuid),
            Value::Binary(octets) => MessageId::Binary(octets),
            Value::String(text) => MessageId::String(text),
            other => panic!("no message-id: {other:?}"),
        })
    };
    Properties {
        message_id: id("message_id"),
        user_id: field("user_id").and_then(|value| value.as_binary().cloned()),
        to: string("to"),
        subject: string("subject"),
        reply_to: string("reply_to"),
        correlation_id: id("correlation_id"),
        content_type: symbol("content_type"),
        content_encoding: symbol("content_encoding"),
        absolute_expiry_time: time("absolute_expiry_time"),
        creation_time: time("creation_time"),
        group_id: string("group_id"),
        group_sequence: field("group_sequence").and_then(|value| value.as_u32()),
        reply_to_group_id: string("reply_to_group_id"),
    }
}

fn values(items: &Json) -> Vec<Value> {
    array(items).iter().map(value).collect()
}

fn value(typed: &Json) -> Value {
    let (name, content) = (text(&typed[0]), &typed[1]);
    match name {
        "null" => Value::Null,
        "bool" => Value::Bool(content == true),
        "list" => Value::List(values(content)),
        "map" => {
            let pairs = array(content)
                .iter()
                .map(|pair| (value(&pair[0]), value(&pair[1])));
            Value::Map(pairs.collect::<Map>())
        }
        "array" => Value::Array(Array::try_from(values(content)).unwrap()),
        "described" => Value::described(value(content), value(&typed[2])),
        _ => scalar(name, text(content)),
    }
}

fn scalar(name: &str, text: &str) -> Value {
    match name {
        "ubyte" => Value::Ubyte(text.parse().unwrap()),
        "ushort" => Value::Ushort(text.parse().unwrap()),
        "uint" => Value::Uint(text.parse().unwrap()),
        "ulong" => Value::Ulong(text.parse().unwrap()),
        "byte" => Value::Byte(text.parse().unwrap()),
        "short" => Value::Short(text.parse().unwrap()),
        "int" => Value::Int(text.parse().unwrap()),
        "long" => Value::Long(text.parse().unwrap()),
        "float" => Value::Float(f32::from_be_bytes(fixed(text))),
        "double" => Value::Double(f64::from_be_bytes(fixed(text))),
        "decimal32" => Value::Decimal32(Dec32(fixed(text))),
        "decimal64" => Value::Decimal64(Dec64(fixed(text))),
        "decimal128" => Value::Decimal128(Dec128(fixed(text))),
        "char" => Value::Char(char::from_u32(text.parse().unwrap()).unwrap()),
        "timestamp" => Value::Timestamp(Timestamp(text.parse().unwrap())),
        "uuid" => Value::Uuid(Uuid(fixed(&text.replace('-', "")))),
        "binary" => Value::Binary(unhex(text).into()),
        "string" => Value::String(text.into()),
        "symbol" => Value::Symbol(Symbol::try_from(text).unwrap()),
        other => panic!("unknown type {other}"),
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    digits
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect()
}

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

#[test]
fn every_line_comes_back_from_a_message() {
    for file in [
        "messages.jsonl",
        "messages-compound-arrays.jsonl",
        "messages-all-sections.jsonl",
    ] {
        for line in lines_of(file) {
            let message = from_json(&line);
            let decoded = Message::decode(message.to_bytes().unwrap()).unwrap();
            assert_eq!(to_json(&decoded), line);
        }
    }
}
