//! Our codec and Qpid Proton's on the same random values: each reads what the other writes, and finds the same.
//!
//! `AMQP10_SEED=n` runs one value alone, `AMQP10_SEEDS=n` makes n of them.

use amqp10::codec::{
    Array, Dec32, Dec64, Dec128, Map, Timestamp, Uuid, decode_value, encode_value,
};
use amqp10::{Symbol, Value};
use serde_json::{Value as Json, json};

use super::json::{hex, parse_lines, typed, unhex};
use super::program::Program;

const VALUES: u64 = 3000;
/// As many go through one run of Proton's program, which has a time limit.
const VALUES_AT_ONCE: usize = 500;
const SIMPLE_TYPES: u64 = 21;
const ULONG: u64 = 5;
const SYMBOL: u64 = 20;
/// How deep lists, maps, arrays and described values are nested.
const DEPTH: u64 = 4;

/// A generator of numbers that likes those at the ends of a range.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn number(&mut self) -> u64 {
        let power = 1 << self.below(64);
        match self.below(6) {
            0 => self.below(4),
            1 => power,
            2 => power - 1,
            3 => !power,
            4 => u64::MAX - self.below(4),
            _ => self.bits(),
        }
    }

    /// How many there are of something: rarely more than what a length of one octet can say.
    fn count(&mut self) -> usize {
        let many = self.below(40) == 0;
        self.below(if many { 400 } else { 5 }) as usize
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    fn text(&mut self, characters: &[char]) -> String {
        (0..self.count())
            .map(|_| characters[self.below(characters.len() as u64) as usize])
            .collect()
    }

    fn simple(&mut self, kind: u64) -> Value {
        let number = self.number();
        match kind {
            0 => Value::Null,
            1 => Value::Bool(number.is_multiple_of(2)),
            2 => Value::Ubyte(number as u8),
            3 => Value::Ushort(number as u16),
            4 => Value::Uint(number as u32),
            ULONG => Value::Ulong(number),
            6 => Value::Byte(number as i8),
            7 => Value::Short(number as i16),
            8 => Value::Int(number as i32),
            9 => Value::Long(number as i64),
            // Python turns a float into a double and back, by which the processor makes every NaN a quiet one.
            10 => match f32::from_bits(number as u32) {
                float if float.is_nan() => {
                    Value::Float(f32::from_bits(float.to_bits() | 0x40_0000))
                }
                float => Value::Float(float),
            },
            11 => Value::Double(f64::from_bits(number)),
            12 => Value::Decimal32(Dec32(self.octets())),
            13 => Value::Decimal64(Dec64(self.octets())),
            14 => Value::Decimal128(Dec128(self.octets())),
            15 => Value::Char(char::from_u32(number as u32 % 0x11_0000).unwrap_or('\u{10ffff}')),
            16 => Value::Timestamp(Timestamp(number as i64)),
            17 => Value::Uuid(Uuid(self.octets())),
            18 => Value::Binary((0..self.count()).map(|_| self.bits() as u8).collect()),
            19 => Value::String(self.text(&['a', '\0', 'ß', '€', '\u{1f600}', '"']).into()),
            _ => Value::Symbol(Symbol::try_from(self.text(&['a', ':', '-', '\0', '~'])).unwrap()),
        }
    }

    fn value(&mut self, depth: u64) -> Value {
        let kind = self.below(SIMPLE_TYPES + if depth > 0 { 12 } else { 0 });
        match kind.checked_sub(SIMPLE_TYPES) {
            None => self.simple(kind),
            Some(0..3) => self.list(depth),
            Some(3..6) => self.map(depth),
            Some(6..8) => self.described(depth),
            Some(_) => self.array(depth),
        }
    }

    fn list(&mut self, depth: u64) -> Value {
        Value::List((0..self.count()).map(|_| self.value(depth - 1)).collect())
    }

    fn map(&mut self, depth: u64) -> Value {
        let entries = (0..self.count()).map(|_| (self.value(depth - 1), self.value(depth - 1)));
        Value::Map(entries.collect::<Map>())
    }

    /// Proton's descriptors are simple values, and what it describes has no second descriptor.
    fn described(&mut self, depth: u64) -> Value {
        let kind = self.below(SIMPLE_TYPES);
        let descriptor = self.simple(kind);
        match self.value(depth - 1) {
            Value::Described(described) => Value::described(descriptor, described.value),
            value => Value::described(descriptor, value),
        }
    }

    /// Of simple values, lists, maps or arrays; one in three with a descriptor for its elements.
    fn array(&mut self, depth: u64) -> Value {
        let kind = self.below(SIMPLE_TYPES + if depth > 1 { 9 } else { 0 });
        let descriptor = match self.below(6) {
            0 => Some(self.simple(ULONG)),
            1 => Some(self.simple(SYMBOL)),
            _ => None,
        };
        let elements = (0..self.count()).map(|_| {
            let element = match kind.checked_sub(SIMPLE_TYPES) {
                None => self.simple(kind),
                Some(0..3) => self.list(depth - 1),
                Some(3..6) => self.map(depth - 1),
                Some(_) => self.array(depth - 1),
            };
            match &descriptor {
                Some(descriptor) => Value::described(descriptor.clone(), element),
                None => element,
            }
        });
        Value::Array(Array::try_from(elements.collect::<Vec<_>>()).unwrap())
    }
}

fn of_variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

fn seeds() -> Vec<u64> {
    match of_variable("AMQP10_SEED") {
        Some(seed) => vec![seed],
        None => (0..of_variable("AMQP10_SEEDS").unwrap_or(VALUES)).collect(),
    }
}

/// What is wrong with Proton's answer for a value.
fn check(value: &Value, answer: &Json) -> Result<(), String> {
    if let Some(error) = answer.get("error") {
        return Err(format!("{error}"));
    }
    if answer["read"] != typed(value) {
        return Err(format!("it reads {}", answer["read"]));
    }
    for verb in ["again", "written"] {
        let octets = answer[verb].as_str().expect("octets");
        match decode_value(unhex(octets).into()) {
            Ok(read) if read == *value => {}
            other => return Err(format!("it writes ({verb}) {octets}: {other:?}")),
        }
    }
    Ok(())
}

/// Gives the values to Proton; says how many it does not agree on.
async fn failures(proton: &Program, seeds: &[u64]) -> usize {
    let values: Vec<Value> = seeds
        .iter()
        .map(|seed| Dice(*seed << 20).value(DEPTH))
        .collect();
    let cases = values.iter().map(|value| {
        let octets = encode_value(value).unwrap();
        format!(
            "{}\n",
            json!({ "octets": hex(&octets), "value": typed(value) })
        )
    });
    let file = std::env::temp_dir().join(format!("amqp10-values-{}.jsonl", std::process::id()));
    std::fs::write(&file, cases.collect::<String>()).unwrap();
    let printed = proton.run(&[file.to_str().unwrap()]).await;
    std::fs::remove_file(&file).unwrap();

    let answers = parse_lines(&printed.unwrap());
    assert_eq!(answers.len(), values.len());
    let mut failures = 0;
    for ((seed, value), answer) in seeds.iter().zip(&values).zip(&answers) {
        if let Err(reason) = check(value, answer) {
            failures += 1;
            eprintln!("AMQP10_SEED={seed}: {}\n  {reason}", typed(value));
        }
    }
    failures
}

#[tokio::test]
async fn t_001_t_034_t_041_each_codec_reads_what_the_other_writes() {
    let Some(proton) = Program::python("proton_codec.py") else {
        return;
    };
    let mut count = 0;
    for seeds in seeds().chunks(VALUES_AT_ONCE) {
        count += failures(&proton, seeds).await;
    }
    assert_eq!(count, 0, "values on which Proton does not agree");
}
