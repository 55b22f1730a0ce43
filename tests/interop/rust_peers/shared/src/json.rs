//! Typed values and messages as lines of JSON, as `tests/interop/README.md` describes them.

use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value as Json, json};

use crate::Result;

/// The fields of the sections that are lists, in their order.
pub const HEADER: &[&str] = &[
    "durable",
    "priority",
    "ttl",
    "first_acquirer",
    "delivery_count",
];
pub const PROPERTIES: &[&str] = &[
    "message_id",
    "user_id",
    "to",
    "subject",
    "reply_to",
    "correlation_id",
    "content_type",
    "content_encoding",
    "absolute_expiry_time",
    "creation_time",
    "group_id",
    "group_sequence",
    "reply_to_group_id",
];

/// The messages of a file.
pub fn lines_of(path: &Path) -> Result<Vec<Json>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?)
}

/// A value that is written as text.
pub fn text(name: &str, value: impl ToString) -> Json {
    json!([name, value.to_string()])
}

/// A value that is written as octets in hexadecimal.
pub fn octets(name: &str, value: &[u8]) -> Json {
    let digits: Vec<String> = value.iter().map(|octet| format!("{octet:02x}")).collect();
    json!([name, digits.concat()])
}

/// A UUID.
pub fn uuid(value: &[u8; 16]) -> Json {
    let digits: Vec<String> = value.iter().map(|octet| format!("{octet:02x}")).collect();
    let group = |from: usize, to: usize| digits[from..to].concat();
    let groups = [
        group(0, 4),
        group(4, 6),
        group(6, 8),
        group(8, 10),
        group(10, 16),
    ];
    json!(["uuid", groups.join("-")])
}

/// Name and content of a typed value.
pub fn parts(typed: &Json) -> Result<(&str, &Json)> {
    let name = typed[0].as_str().ok_or("a value has no type")?;
    Ok((name, &typed[1]))
}

/// A number that is written as text.
pub fn number<T: FromStr>(content: &Json) -> Result<T> {
    let text = content.as_str().ok_or("a number is not text")?;
    text.parse()
        .map_err(|_| format!("no number: {text}").into())
}

/// The octets of a UUID, or of what is written in hexadecimal.
pub fn from_octets(content: &Json) -> Result<Vec<u8>> {
    let digits = content.as_str().ok_or("octets are not text")?;
    let digits: Vec<char> = digits.chars().filter(|digit| *digit != '-').collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    Ok(digits
        .chunks(2)
        .map(octet)
        .collect::<std::result::Result<_, _>>()?)
}

/// The same, where their number is known.
pub fn from_exact<const N: usize>(content: &Json) -> Result<[u8; N]> {
    let octets = from_octets(content)?;
    octets
        .try_into()
        .map_err(|_| "too few or many octets".into())
}

/// Elements of a list, an array or a map's pair.
pub fn elements(content: &Json) -> Result<&Vec<Json>> {
    content.as_array().ok_or_else(|| "no elements".into())
}

/// The object of a section that is a list: what equals its default is left out.
pub fn fields(values: Vec<Json>, names: &[&str]) -> Json {
    let mut object = Map::new();
    for (name, value) in names.iter().zip(values) {
        let is_default = match *name {
            "durable" | "first_acquirer" => value == json!(["bool", false]),
            "priority" => value == json!(["ubyte", "4"]),
            "delivery_count" => value == json!(["uint", "0"]),
            _ => false,
        };
        if !is_default && value != json!(["null"]) {
            object.insert((*name).to_owned(), value);
        }
    }
    Json::Object(object)
}

/// The values of a section that is a list, with null for what is not there.
pub fn field_values(object: &Json, names: &[&str]) -> Vec<Json> {
    let null = json!(["null"]);
    let value = |name: &&str| object.get(*name).unwrap_or(&null).clone();
    names.iter().map(value).collect()
}

/// The pairs of a section that is a map, sorted.
pub fn sorted(mut pairs: Vec<Json>) -> Json {
    pairs.sort_by_key(Json::to_string);
    Json::Array(pairs)
}

/// Puts a section into a message, unless it is empty.
pub fn put(message: &mut Map<String, Json>, name: &str, section: Option<Json>) {
    let Some(section) = section else { return };
    let is_empty = section.as_object().is_some_and(Map::is_empty)
        || section.as_array().is_some_and(Vec::is_empty);
    if !is_empty {
        message.insert(name.to_owned(), section);
    }
}
