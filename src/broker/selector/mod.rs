//! Message selectors: conditions on properties in the syntax of JMS, a part of SQL 92 (Z-075).
//!
//! ```
//! use amqp10::broker::selector::{Operand, Selector};
//!
//! let selector: Selector = "colour = 'red' AND weight BETWEEN 2 AND 5".parse()?;
//! let properties = |name: &str| match name {
//!     "colour" => Operand::Text("red".into()),
//!     "weight" => Operand::Integer(3),
//!     _ => Operand::Unknown,
//! };
//! assert!(selector.matches(&properties));
//! # Ok::<_, amqp10::broker::selector::SelectorError>(())
//! ```
//!
//! Identifiers name application properties; `amqp.priority`, `amqp.subject` and the like name fields of header and properties
//! (with `_` for `-`), `amqp.annotation.KEY` a message annotation, and the JMS names `JMSPriority`, `JMSMessageID`,
//! `JMSCorrelationID`, `JMSTimestamp`, `JMSType` and `JMSDeliveryMode` what they are mapped to. What is not there is unknown,
//! and a message is selected only if the whole is true.

mod evaluate;
mod lexer;
mod like;
mod parser;

use std::fmt;
use std::str::FromStr;

pub use self::evaluate::Operand;
use self::parser::Expression;

/// The longest selector, in octets.
pub const MAX_LENGTH: usize = 8192;

/// How deep a selector may be nested.
pub const MAX_DEPTH: usize = 64;

/// A condition that was read once and is asked for each message.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    text: String,
    condition: Expression,
}

/// Why a selector was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the selector is wrong at octet {position}: {reason}")]
pub struct SelectorError {
    /// Where, in octets from the start.
    pub position: usize,
    /// What was expected there, or what is wrong.
    pub reason: String,
}

impl SelectorError {
    fn new(position: usize, reason: impl Into<String>) -> Self {
        Self {
            position,
            reason: reason.into(),
        }
    }
}

impl Selector {
    /// Whether the condition is true for a message whose properties `lookup` gives.
    pub fn matches(&self, lookup: &dyn Fn(&str) -> Operand) -> bool {
        evaluate::truth(&self.condition, lookup) == Some(true)
    }

    /// The selector as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            let reason = format!("it is longer than {MAX_LENGTH} octets");
            return Err(SelectorError::new(MAX_LENGTH, reason));
        }
        Ok(Self {
            condition: parser::parse(text)?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Operand {
        match name {
            "colour" => Operand::Text("red".into()),
            "weight" => Operand::Integer(3),
            "price" => Operand::Real(2.5),
            "fresh" => Operand::Truth(true),
            "amqp.annotation.x-opt-level" => Operand::Integer(7),
            _ => Operand::Unknown,
        }
    }

    fn selects(text: &str) -> bool {
        text.parse::<Selector>()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .matches(&lookup)
    }

    #[test]
    fn z_075_what_is_true_is_selected() {
        for text in [
            "colour = 'red'",
            "colour <> 'blue' AND weight > 2",
            "weight = 3.0 and price < weight",
            "weight * 2 + 1 = 7",
            "weight + 1 * 2 = 5",
            "-weight = -3",
            "weight BETWEEN 1 AND 3",
            "weight NOT BETWEEN 4 AND 9",
            "colour IN ('blue', 'red')",
            "colour NOT IN ('blue')",
            "colour LIKE 'r_d' AND colour LIKE '%d'",
            "colour NOT LIKE 'r'",
            "missing IS NULL AND colour IS NOT NULL",
            "fresh",
            "fresh = TRUE",
            "NOT missing = 1 OR colour = 'red'",
            "(colour = 'blue' OR weight = 3) AND NOT (price > 3)",
            "weight / 2 = 1.5 OR weight / 2 = 1",
            "amqp.annotation.x-opt-level >= 7",
            "weight = 0x3 OR weight = 3e0",
            "'it''s' = 'it''s'",
        ] {
            assert!(selects(text), "{text}");
        }
    }

    #[test]
    fn z_075_what_is_false_or_unknown_is_not() {
        for text in [
            "colour = 'blue'",
            "missing = 1",
            "NOT missing = 1",
            "missing <> 1",
            "missing LIKE '%'",
            "missing NOT IN ('a')",
            "missing BETWEEN 1 AND 2",
            "missing IS NULL AND missing = 1",
            "colour = 3",
            "colour > 'a'",
            "weight / 0 = 1",
            "weight IS NULL",
            "9223372036854775807 + weight = 0",
            "colour LIKE 'r!_d' ESCAPE '!'",
        ] {
            assert!(!selects(text), "{text}");
        }
    }

    #[test]
    fn z_075_errors_say_where() {
        for (text, position) in [
            ("", 0),
            ("colour =", 8),
            ("colour = 'red", 9),
            ("(colour = 'red'", 15),
            ("colour # 'red'", 7),
            ("weight BETWEEN 1", 16),
            ("colour IN ()", 11),
            ("1 = 1 1", 6),
        ] {
            let error = text.parse::<Selector>().unwrap_err();
            assert_eq!(error.position, position, "{text}: {error}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = format!("{}1=1{}", "(".repeat(1000), ")".repeat(1000));
        assert!(deep.parse::<Selector>().is_err());
        assert!("NOT ".repeat(1000).parse::<Selector>().is_err());
        assert!("-".repeat(1000).parse::<Selector>().is_err());
        assert!("x".repeat(MAX_LENGTH + 1).parse::<Selector>().is_err());
        let flat = vec!["a=1"; 1000].join(" OR ");
        assert!(!selects(&flat));
    }

    #[test]
    fn operations_in_a_row_make_nothing_deeper() {
        let long = format!("weight{}=4003", "+1".repeat(4000));
        assert!(selects(&long));
        let mut text = "weight".to_owned();
        for count in 3..63 {
            text = format!("({text}{}{})", "*1".repeat(count), "+1".repeat(count));
        }
        let selector: Selector = format!("{text}=1953").parse().unwrap();
        // Less stack than threads of a runtime have.
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        let asked = thread.spawn(move || selector.clone().matches(&lookup));
        assert!(asked.unwrap().join().unwrap());
    }

    #[test]
    fn a_pattern_with_many_wildcards_takes_no_time() {
        let text = format!("colour LIKE '{}x'", "%a".repeat(1000));
        let long = |_: &str| Operand::Text("a".repeat(10_000).into());
        assert!(!text.parse::<Selector>().unwrap().matches(&long));
    }
}
