//! Values and messages as JSON.

use fe2o3_amqp_types::messaging::{AmqpSequence, AmqpValue, Batch, Body, Data, Message};
use fe2o3_amqp_types::primitives::{Array, Binary, OrderedMap, Symbol, Timestamp, Uuid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_amqp::Value;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use serde_json::{Map, Value as Json, json};
use shared::Result;
use shared::json::{
    self, HEADER, PROPERTIES, elements, from_exact, from_octets, number, octets, text,
};

pub type AnyMessage = Message<Body<Value>>;

pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => json!(["null"]),
        Value::Bool(value) => json!(["bool", value]),
        Value::Ubyte(value) => text("ubyte", value),
        Value::Ushort(value) => text("ushort", value),
        Value::Uint(value) => text("uint", value),
        Value::Ulong(value) => text("ulong", value),
        Value::Byte(value) => text("byte", value),
        Value::Short(value) => text("short", value),
        Value::Int(value) => text("int", value),
        Value::Long(value) => text("long", value),
        Value::Float(value) => octets("float", &value.0.to_be_bytes()),
        Value::Double(value) => octets("double", &value.0.to_be_bytes()),
        Value::Decimal32(value) => octets("decimal32", value.as_inner()),
        Value::Decimal64(value) => octets("decimal64", value.as_inner()),
        Value::Decimal128(value) => octets("decimal128", value.as_inner()),
        Value::Char(value) => text("char", u32::from(*value)),
        Value::Timestamp(value) => text("timestamp", value.milliseconds()),
        Value::Uuid(value) => json::uuid(value.as_inner()),
        Value::Binary(value) => octets("binary", value),
        Value::String(value) => json!(["string", value]),
        Value::Symbol(value) => json!(["symbol", value.as_str()]),
        Value::List(items) => json!(["list", items.iter().map(to_json).collect::<Vec<_>>()]),
        Value::Map(map) => json!(["map", pairs(map)]),
        Value::Array(items) => json!(["array", items.iter().map(to_json).collect::<Vec<_>>()]),
        Value::Described(described) => {
            let descriptor = match &described.descriptor {
                Descriptor::Name(name) => json!(["symbol", name.as_str()]),
                Descriptor::Code(code) => text("ulong", code),
            };
            json!(["described", descriptor, to_json(&described.value)])
        }
    }
}

fn pairs(map: &OrderedMap<Value, Value>) -> Vec<Json> {
    let pair = |(key, value)| json!([to_json(key), to_json(value)]);
    map.iter().map(pair).collect()
}

pub fn from_json(typed: &Json) -> Result<Value> {
    let (name, content) = json::parts(typed)?;
    Ok(match name {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool().ok_or("no boolean")?),
        "ubyte" => Value::Ubyte(number(content)?),
        "ushort" => Value::Ushort(number(content)?),
        "uint" => Value::Uint(number(content)?),
        "ulong" => Value::Ulong(number(content)?),
        "byte" => Value::Byte(number(content)?),
        "short" => Value::Short(number(content)?),
        "int" => Value::Int(number(content)?),
        "long" => Value::Long(number(content)?),
        "float" => Value::from(f32::from_be_bytes(from_exact(content)?)),
        "double" => Value::from(f64::from_be_bytes(from_exact(content)?)),
        "decimal32" => Value::Decimal32(from_exact(content)?.into()),
        "decimal64" => Value::Decimal64(from_exact(content)?.into()),
        "decimal128" => Value::Decimal128(from_exact(content)?.into()),
        "char" => Value::Char(char::from_u32(number(content)?).ok_or("no char")?),
        "timestamp" => Value::Timestamp(Timestamp::from_milliseconds(number(content)?)),
        "uuid" => Value::Uuid(Uuid::from(from_exact::<16>(content)?)),
        "binary" => Value::Binary(Binary::from(from_octets(content)?)),
        "string" => Value::String(content.as_str().ok_or("no text")?.to_owned()),
        "symbol" => Value::Symbol(symbol(content)?),
        "list" => Value::List(list(content)?),
        "map" => Value::Map(map(content)?),
        "array" => Value::Array(Array(list(content)?)),
        "described" => {
            let descriptor = match from_json(content)? {
                Value::Symbol(name) => Descriptor::Name(name),
                Value::Ulong(code) => Descriptor::Code(code),
                other => return Err(format!("no descriptor: {other:?}").into()),
            };
            let value = from_json(&typed[2])?;
            Value::Described(Box::new(Described { descriptor, value }))
        }
        other => return Err(format!("no type: {other}").into()),
    })
}

fn symbol(content: &Json) -> Result<Symbol> {
    Ok(Symbol::from(content.as_str().ok_or("no text")?))
}

fn list(content: &Json) -> Result<Vec<Value>> {
    elements(content)?.iter().map(from_json).collect()
}

fn map(content: &Json) -> Result<OrderedMap<Value, Value>> {
    let pair = |pair: &Json| Ok((from_json(&pair[0])?, from_json(&pair[1])?));
    elements(content)?.iter().map(pair).collect()
}

/// What a section holds, whatever its type.
fn content(section: &impl Serialize) -> Result<Value> {
    let octets = serde_amqp::to_vec(section)?;
    match serde_amqp::from_slice(&octets)? {
        Value::Described(described) => Ok(described.value),
        other => Ok(other),
    }
}

fn section<T: DeserializeOwned>(code: u64, value: Value) -> Result<T> {
    let descriptor = Descriptor::Code(code);
    let described = Value::Described(Box::new(Described { descriptor, value }));
    Ok(serde_amqp::from_slice(&serde_amqp::to_vec(&described)?)?)
}

fn fields_to_json(section: &Option<impl Serialize>, names: &[&str]) -> Result<Option<Json>> {
    let Some(section) = section else {
        return Ok(None);
    };
    match content(section)? {
        Value::List(values) => {
            let values = values.iter().map(to_json).collect();
            Ok(Some(json::fields(values, names)))
        }
        other => Err(format!("a section is no list: {other:?}").into()),
    }
}

fn map_to_json(section: &Option<impl Serialize>) -> Result<Option<Json>> {
    let Some(section) = section else {
        return Ok(None);
    };
    match content(section)? {
        Value::Map(map) => Ok(Some(json::sorted(pairs(&map)))),
        other => Err(format!("a section is no map: {other:?}").into()),
    }
}

fn fields_from_json<T: DeserializeOwned>(
    code: u64,
    object: Option<&Json>,
    names: &[&str],
) -> Result<Option<T>> {
    let Some(object) = object else {
        return Ok(None);
    };
    let values = json::field_values(object, names);
    let values = values.iter().map(from_json).collect::<Result<_>>()?;
    section(code, Value::List(values)).map(Some)
}

fn map_from_json<T: DeserializeOwned>(code: u64, pairs: Option<&Json>) -> Result<Option<T>> {
    match pairs {
        Some(pairs) => section(code, Value::Map(map(pairs)?)).map(Some),
        None => Ok(None),
    }
}

pub fn message_to_json(message: &AnyMessage) -> Result<Json> {
    let mut object = Map::new();
    let mut put = |name, section| json::put(&mut object, name, section);
    put("header", fields_to_json(&message.header, HEADER)?);
    put(
        "properties",
        fields_to_json(&message.properties, PROPERTIES)?,
    );
    put(
        "delivery_annotations",
        map_to_json(&message.delivery_annotations)?,
    );
    put(
        "message_annotations",
        map_to_json(&message.message_annotations)?,
    );
    put(
        "application_properties",
        map_to_json(&message.application_properties)?,
    );
    put("footer", map_to_json(&message.footer)?);
    put("body", Some(body_to_json(&message.body)));
    Ok(Json::Object(object))
}

fn body_to_json(body: &Body<Value>) -> Json {
    let mut sections = match body {
        Body::Value(value) => return json!(["value", to_json(&value.0)]),
        Body::Empty => return json!(["value", ["null"]]),
        Body::Data(_) => vec![json!("data")],
        Body::Sequence(_) => vec![json!("sequence")],
    };
    match body {
        Body::Data(batch) => {
            sections.extend(batch.iter().map(|data| octets("", &data.0)[1].clone()));
        }
        Body::Sequence(batch) => {
            let items = |items: &AmqpSequence<Value>| items.0.iter().map(to_json).collect();
            sections.extend(batch.iter().map(items));
        }
        Body::Value(_) | Body::Empty => {}
    }
    Json::Array(sections)
}

pub fn message_from_json(object: &Json) -> Result<AnyMessage> {
    let get = |name: &str| object.get(name);
    Ok(Message {
        header: fields_from_json(0x70, get("header"), HEADER)?,
        delivery_annotations: map_from_json(0x71, get("delivery_annotations"))?,
        message_annotations: map_from_json(0x72, get("message_annotations"))?,
        properties: fields_from_json(0x73, get("properties"), PROPERTIES)?,
        application_properties: map_from_json(0x74, get("application_properties"))?,
        body: body_from_json(&object["body"])?,
        footer: map_from_json(0x78, get("footer"))?,
    })
}

fn body_from_json(body: &Json) -> Result<Body<Value>> {
    let (kind, _) = json::parts(body)?;
    let contents = &elements(body)?[1..];
    Ok(match kind {
        "data" => {
            let data = |content| Ok(Data(Binary::from(from_octets(content)?)));
            let sections = contents.iter().map(data).collect::<Result<Vec<_>>>()?;
            Body::Data(Batch::new(sections))
        }
        "sequence" => {
            let sequence = |content| Ok(AmqpSequence(list(content)?));
            let sections = contents.iter().map(sequence).collect::<Result<Vec<_>>>()?;
            Body::Sequence(Batch::new(sections))
        }
        _ => Body::Value(AmqpValue(from_json(&contents[0])?)),
    })
}
