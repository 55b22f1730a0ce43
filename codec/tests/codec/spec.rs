//! The codec's tables against the definition files of the standard.

use std::collections::HashMap;

use amqp10_codec::code::{Type, descriptor};
use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{conformance, decode, encode, encode_full};

#[derive(Debug, Default)]
struct Definition {
    name: String,
    class: String,
    source: String,
    descriptor: Option<(String, u64)>,
    fields: Vec<Attributes>,
    choices: Vec<(String, String)>,
    encodings: Vec<(u8, usize)>,
}

type Attributes = HashMap<String, String>;

/// As much of XML as the definition files use: tags with attributes in double quotes, and comments.
fn definitions() -> Vec<Definition> {
    let mut types: Vec<Definition> = Vec::new();
    for file in [
        "types",
        "transport",
        "messaging",
        "transactions",
        "security",
    ] {
        let text =
            std::fs::read_to_string(conformance("spec").join(format!("{file}.xml"))).unwrap();
        let (_, text) = text.split_once("-->").unwrap();
        for tag in text.split('<').skip(1) {
            let tag = tag.split_once('>').unwrap().0;
            let attributes = attributes(tag);
            let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
            match tag.split_whitespace().next().unwrap() {
                "type" => types.push(Definition {
                    name: get("name"),
                    class: get("class"),
                    source: get("source"),
                    ..Definition::default()
                }),
                "descriptor" => {
                    types.last_mut().unwrap().descriptor = Some((get("name"), code(&get("code"))))
                }
                "choice" => types
                    .last_mut()
                    .unwrap()
                    .choices
                    .push((get("name"), get("value"))),
                "encoding" => {
                    let code = u8::from_str_radix(&get("code")[2..], 16).unwrap();
                    types
                        .last_mut()
                        .unwrap()
                        .encodings
                        .push((code, get("width").parse().unwrap()));
                }
                "field" => types.last_mut().unwrap().fields.push(attributes),
                _ => {}
            }
        }
    }
    types
}

fn attributes(tag: &str) -> Attributes {
    let parts: Vec<&str> = tag.split('"').collect();
    let pairs = parts.chunks_exact(2);
    pairs
        .map(|pair| {
            (
                pair[0].split_whitespace().last().unwrap().replace('=', ""),
                pair[1].to_owned(),
            )
        })
        .collect()
}

fn code(text: &str) -> u64 {
    let (domain, id) = text.split_once(':').unwrap();
    let number = |hex: &str| u64::from_str_radix(&hex[2..], 16).unwrap();
    number(domain) << 32 | number(id)
}

/// Decodes a composite and encodes it again, in full where it has that layout.
fn transcode(name: &str, octets: Bytes) -> Result<Bytes, DecodeError> {
    fn via<T: Decode + Encode>(octets: Bytes) -> Result<Bytes, DecodeError> {
        decode::<T>(octets).map(|composite| encode_full(&composite))
    }
    match name {
        "open" | "begin" | "attach" | "flow" | "transfer" | "disposition" | "detach" | "end"
        | "close" => via::<Performative>(octets),
        "error" => via::<AmqpError>(octets),
        "header" => via::<Header>(octets),
        "properties" => via::<Properties>(octets),
        "received"
        | "accepted"
        | "rejected"
        | "released"
        | "modified"
        | "declared"
        | "transactional-state" => via::<DeliveryState>(octets),
        "source" => via::<Source>(octets),
        "target" | "coordinator" => via::<TargetArchetype>(octets),
        "declare" => via::<Declare>(octets),
        "discharge" => via::<Discharge>(octets),
        "sasl-mechanisms" | "sasl-init" | "sasl-challenge" | "sasl-response" | "sasl-outcome" => {
            via::<SaslFrame>(octets)
        }
        _ => panic!("no type for {name}"),
    }
}

fn composites() -> Vec<Definition> {
    let policies = [
        "delete-on-close",
        "delete-on-no-links",
        "delete-on-no-messages",
        "delete-on-no-links-or-messages",
    ];
    let mut composites = definitions();
    composites.retain(|one| one.class == "composite" && !policies.contains(&one.name.as_str()));
    composites
}

/// A value of the field's type that is not its default.
fn sample(field: &Attributes) -> Value {
    let symbol = |text| Value::Symbol(Symbol::from_static(text));
    match (
        field["type"].as_str(),
        field.get("requires").map(String::as_str),
    ) {
        ("string", _) | ("*", Some("address" | "message-id")) => "text".into(),
        ("symbol" | "ietf-language-tag", _) => symbol("name"),
        ("uint" | "milliseconds" | "seconds" | "handle", _) => 7u32.into(),
        ("transfer-number" | "delivery-number" | "sequence-no" | "message-format", _) => {
            7u32.into()
        }
        ("terminus-durability", _) => 1u32.into(),
        ("terminus-expiry-policy", _) => symbol("never"),
        ("ushort", _) => 7u16.into(),
        ("ubyte" | "sasl-code" | "receiver-settle-mode", _) => 1u8.into(),
        ("sender-settle-mode", _) => 1u8.into(),
        ("ulong", _) => 7u64.into(),
        ("boolean" | "role", _) => true.into(),
        ("timestamp", _) => Timestamp(7).into(),
        ("binary" | "delivery-tag", _) | ("*", Some("txn-id")) => {
            Bytes::from_static(b"octets").into()
        }
        ("fields" | "node-properties" | "filter-set", _) => {
            Map::new().with(symbol("key"), 1u8).into()
        }
        ("map", _) => Map::new()
            .with(Bytes::from_static(b"tag"), Value::Null)
            .into(),
        ("error", _) => Value::described(
            descriptor::ERROR,
            vec![symbol("oops"), "text".into(), fields()],
        ),
        ("*", Some("delivery-state" | "outcome")) => {
            Value::described(descriptor::RELEASED, Vec::<Value>::new())
        }
        ("*", Some("source")) => Value::described(descriptor::SOURCE, vec![Value::from("address")]),
        ("*", Some("target")) => Value::described(descriptor::TARGET, vec![Value::from("address")]),
        ("*", Some("global-tx-id")) => "global".into(),
        other => panic!("no sample for {other:?}"),
    }
}

fn fields() -> Value {
    Map::new().with(Symbol::from_static("key"), 1u8).into()
}

/// A value of a type that the field does not have.
fn wrong(field: &Attributes) -> Value {
    match field["type"].as_str() {
        "uint" | "milliseconds" | "seconds" | "handle" => "text".into(),
        _ => 7i16.into(),
    }
}

fn is(field: &Attributes, attribute: &str) -> bool {
    field.get(attribute).is_some_and(|value| value == "true")
}

fn mandatory_items(composite: &Definition) -> Vec<Value> {
    composite
        .fields
        .iter()
        .map(|f| {
            if is(f, "mandatory") {
                sample(f)
            } else {
                Value::Null
            }
        })
        .collect()
}

fn octets_of(composite: &Definition, items: Vec<Value>) -> Bytes {
    encode(&Value::described(
        composite.descriptor.as_ref().unwrap().1,
        items,
    ))
}

fn items_of(octets: Bytes) -> Vec<Value> {
    let value = decode_value(octets).unwrap();
    value
        .as_described()
        .unwrap()
        .value
        .as_list()
        .unwrap()
        .to_vec()
}

/// Whether two values mean the same in a field: termini come back in full, and one symbol as an array.
fn same(field: &Attributes, sent: &Value, came: &Value) -> bool {
    if is(field, "multiple") {
        return came
            .as_array()
            .is_some_and(|array| array.as_slice() == [sent.clone()]);
    }
    match (sent, came) {
        (Value::Described(sent), Value::Described(came)) => {
            let (sent_items, came_items) =
                (sent.value.as_list().unwrap(), came.value.as_list().unwrap());
            sent.descriptor == came.descriptor && came_items.starts_with(sent_items)
        }
        _ => sent == came,
    }
}

#[test]
fn t_049_descriptors_are_those_of_the_standard() {
    let described: Vec<_> = definitions()
        .into_iter()
        .filter_map(|one| one.descriptor)
        .collect();
    assert_eq!(described.len(), descriptor::SYMBOLS.len());
    for (symbol, code) in described {
        assert_eq!(descriptor::code_of(&symbol), Some(code), "{symbol}");
        assert_eq!(descriptor::symbol_of(code), Some(symbol.as_str()));
    }
}

#[test]
fn t_004_format_codes_are_those_of_the_standard() {
    let types = definitions();
    let encodings = |one: &Definition| {
        one.encodings
            .iter()
            .map(|encoding| encoding.0)
            .collect::<Vec<_>>()
    };
    let assigned: HashMap<u8, &str> = types
        .iter()
        .flat_map(|one| {
            encodings(one)
                .into_iter()
                .map(|code| (code, one.name.as_str()))
        })
        .collect();
    assert_eq!(assigned.len(), 39);
    for code in 1..=0xff {
        assert_eq!(
            Type::of_code(code).map(Type::name),
            assigned.get(&code).copied(),
            "{code:#04x}"
        );
    }
}

#[test]
fn a_001_q_001_q_007_q_008_annex_a_all_fields() {
    for composite in composites() {
        let sent: Vec<Value> = composite.fields.iter().map(sample).collect();
        let came =
            items_of(transcode(&composite.name, octets_of(&composite, sent.clone())).unwrap());
        assert_eq!(came.len(), composite.fields.len(), "{}", composite.name);
        for ((field, sent), came) in composite.fields.iter().zip(&sent).zip(&came) {
            assert!(
                same(field, sent, came),
                "{} {}: {sent:?} {came:?}",
                composite.name,
                field["name"]
            );
        }
    }
}

#[test]
fn t_050_t_054_z_103_descriptors_and_lists_in_every_form() {
    for composite in composites() {
        let items = mandatory_items(&composite);
        let (symbol, code) = composite.descriptor.clone().unwrap();
        let list = encode(&Value::List(items.clone()));
        let expected = transcode(&composite.name, octets_of(&composite, items)).unwrap();

        let symbolic = encode(&Value::Symbol(Symbol::try_from(symbol).unwrap()));
        let wide = [&[0x80][..], &code.to_be_bytes()].concat();
        for descriptor in [&symbolic[..], &wide] {
            let octets = [&[0], descriptor, &list].concat();
            assert_eq!(
                transcode(&composite.name, octets.into()).unwrap(),
                expected,
                "{}",
                composite.name
            );
        }
        if list[0] == 0xc0 {
            let (size, count) = (u32::from(list[1]) + 3, u32::from(list[2]));
            let header = [
                &[0, 0x53, code as u8, 0xd0],
                &size.to_be_bytes()[..],
                &count.to_be_bytes(),
            ]
            .concat();
            let octets = [&header, &list[3..]].concat();
            assert_eq!(
                transcode(&composite.name, octets.into()).unwrap(),
                expected,
                "{}",
                composite.name
            );
        }
    }
    for list in [&[0x45][..], &[0xc0, 1, 0], &[0xd0, 0, 0, 0, 4, 0, 0, 0, 0]] {
        let octets = [&[0, 0x53, 0x24], list].concat();
        assert_eq!(
            decode::<DeliveryState>(octets.into()).unwrap(),
            Outcome::Accepted.into()
        );
    }
}

#[test]
fn t_055_defaults() {
    for composite in composites()
        .into_iter()
        .filter(|one| !["header"].contains(&one.name.as_str()))
    {
        let octets = octets_of(&composite, mandatory_items(&composite));
        let came = items_of(transcode(&composite.name, octets).unwrap());
        for (field, value) in composite.fields.iter().zip(came) {
            let shown = match &value {
                Value::Null => None,
                Value::Bool(value) => Some(value.to_string()),
                Value::Symbol(symbol) => Some(symbol.to_string()),
                other => other.as_u64().map(|number| number.to_string()),
            };
            let default = field
                .get("default")
                .map(|default| named_choice(&field["type"], default));
            if !is(field, "mandatory") {
                assert_eq!(shown, default, "{} {}", composite.name, field["name"]);
            }
        }
    }
}

fn named_choice(type_name: &str, default: &str) -> String {
    let types = definitions();
    let choices = &types
        .iter()
        .find(|one| one.name == type_name)
        .unwrap()
        .choices;
    choices
        .iter()
        .find(|(name, _)| name == default)
        .map_or(default, |(_, value)| value)
        .to_owned()
}

#[test]
fn t_056_o_003_y_020_each_mandatory_field_missing() {
    for composite in composites() {
        for (index, field) in composite
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| is(field, "mandatory"))
        {
            let mut null = mandatory_items(&composite);
            null[index] = Value::Null;
            let mut cut = mandatory_items(&composite);
            cut.truncate(index);
            for items in [null, cut] {
                let error = transcode(&composite.name, octets_of(&composite, items)).unwrap_err();
                let DecodeErrorKind::MissingField {
                    composite: named,
                    field: missing,
                } = &error.kind
                else {
                    panic!("{} {}: {error}", composite.name, field["name"])
                };
                assert_eq!((*named, *missing), (&*composite.name, &*field["name"]));
                assert_eq!(error.condition(), condition::INVALID_FIELD);
            }
        }
    }
}

#[test]
fn t_061_each_field_of_a_wrong_type() {
    for composite in composites() {
        for (index, field) in composite.fields.iter().enumerate() {
            if field
                .get("requires")
                .is_some_and(|requires| requires == "global-tx-id")
            {
                continue; // of any type
            }
            let mut items = mandatory_items(&composite);
            items[index] = wrong(field);
            let error = transcode(&composite.name, octets_of(&composite, items)).unwrap_err();
            assert!(
                error.is_invalid_field(),
                "{} {}: {error}",
                composite.name,
                field["name"]
            );
            let shown = error.to_string();
            assert!(
                shown.contains(&composite.name) && shown.contains(&field["name"]),
                "{shown}"
            );
        }
    }
}

#[test]
fn t_060_more_items_than_fields() {
    for composite in composites() {
        let mut items: Vec<Value> = composite.fields.iter().map(sample).collect();
        items.push(Value::Null);
        transcode(&composite.name, octets_of(&composite, items.clone())).unwrap();
        items.push(true.into());
        let error = transcode(&composite.name, octets_of(&composite, items)).unwrap_err();
        assert!(
            matches!(error.kind, DecodeErrorKind::TooManyFields { composite: name } if name == composite.name)
        );
    }
}

#[test]
fn t_062_a_011_a_012_a_014_a_027_y_021_choices_out_of_range() {
    for composite in composites() {
        for (index, field) in composite.fields.iter().enumerate() {
            let bad: Value = match field["type"].as_str() {
                "sender-settle-mode" => 3u8.into(),
                "receiver-settle-mode" => 2u8.into(),
                "sasl-code" => 5u8.into(),
                "terminus-durability" => 3u32.into(),
                "terminus-expiry-policy" => Symbol::from_static("sometimes").into(),
                "delivery-tag" => vec![0u8; 33].into(),
                _ if field
                    .get("requires")
                    .is_some_and(|requires| requires == "txn-id") =>
                {
                    vec![0u8; 33].into()
                }
                _ if field
                    .get("requires")
                    .is_some_and(|requires| requires.contains("-state")) =>
                {
                    Value::described(descriptor::HEADER, Vec::<Value>::new())
                }
                _ => continue,
            };
            let mut items = mandatory_items(&composite);
            items[index] = bad;
            let error = transcode(&composite.name, octets_of(&composite, items)).unwrap_err();
            assert!(
                matches!(error.kind, DecodeErrorKind::InvalidField { .. }),
                "{} {error}",
                composite.name
            );
        }
    }
}

#[test]
fn e_002_to_e_018_conditions_are_those_of_the_standard() {
    let source = include_str!("../../src/condition.rs");
    let types = definitions();
    let choices = |name: &str| {
        types
            .iter()
            .find(|one| one.name == name)
            .unwrap()
            .choices
            .clone()
    };
    let mut count = 0;
    for type_name in [
        "amqp-error",
        "connection-error",
        "session-error",
        "link-error",
        "transaction-error",
    ] {
        for (_, symbol) in choices(type_name) {
            assert!(source.contains(&format!("\"{symbol}\"")), "{symbol}");
            count += 1;
        }
    }
    assert_eq!(source.matches("pub const").count(), count);
    assert_eq!(condition::FRAMING_ERROR, "amqp:connection:framing-error");
}

#[test]
fn x_006_x_040_transaction_capabilities() {
    use amqp10_codec::transaction::capability::*;
    let all = [
        LOCAL_TRANSACTIONS,
        DISTRIBUTED_TRANSACTIONS,
        PROMOTABLE_TRANSACTIONS,
        MULTI_TXNS_PER_SSN,
        MULTI_SSNS_PER_TXN,
    ];
    let types = definitions();
    let choices = &types
        .iter()
        .find(|one| one.name == "txn-capability")
        .unwrap()
        .choices;
    assert!(
        choices
            .iter()
            .map(|choice| choice.1.as_str())
            .eq(all.iter().map(Symbol::as_str))
    );
}

#[test]
fn t_067_t_069_t_070_q_003_sources_of_restricted_types_are_as_assumed() {
    let types = definitions();
    let source = |name: &str| {
        types
            .iter()
            .find(|one| one.name == name)
            .unwrap()
            .source
            .clone()
    };
    for (name, expected) in [
        ("role", "boolean"),
        ("sasl-code", "ubyte"),
        ("seconds", "uint"),
        ("fields", "map"),
        ("sequence-no", "uint"),
        ("delivery-number", "sequence-no"),
        ("transfer-number", "sequence-no"),
        ("milliseconds", "uint"),
        ("ietf-language-tag", "symbol"),
        ("address-string", "string"),
    ] {
        assert_eq!(source(name), expected);
    }
}
