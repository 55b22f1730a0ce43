//! The start position of a reader, as its selector filter says it (Event Hubs).
//!
//! An expression is one comparison, for example `amqp.annotation.x-opt-offset > '123'`. Clients differ in blanks and
//! quotes, so both are optional here. What the operand means is checked against the log, not here.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till1, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{all_consuming, map_opt, value};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::offset_text::OffsetText;

/// Where in a partition's log a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartPosition {
    /// With the oldest event still there.
    Earliest,
    /// With what arrives from now on.
    Latest,
    /// At an offset: behind it, or with the event that has it if `inclusive`.
    Offset { offset: u64, inclusive: bool },
    /// At a sequence number: behind it, or with the event that has it if `inclusive`.
    SequenceNumber { number: i64, inclusive: bool },
    /// With the first event enqueued after this time in milliseconds since the epoch, or at it if `inclusive`.
    EnqueuedTime { millis: i64, inclusive: bool },
}

/// Why a selector expression was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    /// Not one comparison of a known annotation.
    #[error(
        "the selector expression '{0}' is not understood: expected amqp.annotation.x-opt-offset, \
         x-opt-sequence-number or x-opt-enqueued-time, then > or >=, then a value"
    )]
    Syntax(String),
    /// Not an offset that this namespace gave.
    #[error("the offset '{0}' is none of this hub; expected one as an event has it, -1 or @latest")]
    Offset(String),
    /// The operand is not a number where one belongs.
    #[error(
        "the selector expression '{expression}' compares with '{operand}', which is not {expected}"
    )]
    Operand {
        expression: String,
        operand: String,
        expected: &'static str,
    },
}

/// The longest expression that is looked at, in octets; longer ones are refused and cut in the message.
const MAX_EXPRESSION: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Annotation {
    Offset,
    SequenceNumber,
    EnqueuedTime,
}

struct Comparison<'a> {
    annotation: Annotation,
    inclusive: bool,
    operand: &'a str,
}

/// Reads one selector expression, with offsets of this form.
pub(crate) fn parse(expression: &str, offsets: OffsetText) -> Result<StartPosition, SelectorError> {
    let syntax = || SelectorError::Syntax(expression.chars().take(MAX_EXPRESSION).collect());
    if expression.len() > MAX_EXPRESSION {
        return Err(syntax());
    }
    let (_, comparison) = all_consuming(comparison)
        .parse(expression)
        .map_err(|_| syntax())?;
    comparison.start_position(expression, offsets)
}

impl Comparison<'_> {
    fn start_position(
        &self,
        expression: &str,
        offsets: OffsetText,
    ) -> Result<StartPosition, SelectorError> {
        let inclusive = self.inclusive;
        let not = |expected| SelectorError::Operand {
            expression: expression.to_owned(),
            operand: self.operand.to_owned(),
            expected,
        };
        match (self.annotation, self.operand) {
            (Annotation::Offset, "-1") => Ok(StartPosition::Earliest),
            (Annotation::Offset, "@latest") => Ok(StartPosition::Latest),
            (Annotation::Offset, operand) => match offsets.read(operand) {
                Some(offset) => Ok(StartPosition::Offset { offset, inclusive }),
                None => Err(SelectorError::Offset(operand.to_owned())),
            },
            (Annotation::SequenceNumber, operand) => match operand.parse() {
                Ok(number) => Ok(StartPosition::SequenceNumber { number, inclusive }),
                Err(_) => Err(not("a sequence number")),
            },
            (Annotation::EnqueuedTime, operand) => match operand.parse() {
                Ok(millis) => Ok(StartPosition::EnqueuedTime { millis, inclusive }),
                Err(_) => Err(not("a time in milliseconds since 1970")),
            },
        }
    }
}

fn comparison(input: &str) -> IResult<&str, Comparison<'_>> {
    (padded(annotation), padded(operator), padded(operand))
        .map(|(annotation, inclusive, operand)| Comparison {
            annotation,
            inclusive,
            operand,
        })
        .parse(input)
}

fn annotation(input: &str) -> IResult<&str, Annotation> {
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-');
    preceded(
        tag_no_case("amqp.annotation."),
        map_opt(name, |name: &str| {
            match name.to_ascii_lowercase().as_str() {
                "x-opt-offset" => Some(Annotation::Offset),
                "x-opt-sequence-number" => Some(Annotation::SequenceNumber),
                "x-opt-enqueued-time" => Some(Annotation::EnqueuedTime),
                _ => None,
            }
        }),
    )
    .parse(input)
}

/// Whether the comparison includes the operand itself.
fn operator(input: &str) -> IResult<&str, bool> {
    alt((value(true, tag(">=")), value(false, tag(">")))).parse(input)
}

fn operand(input: &str) -> IResult<&str, &str> {
    let quoted = delimited(char('\''), take_till1(|c| c == '\''), char('\''));
    let bare = take_while1(|c: char| !c.is_whitespace() && c != '\'');
    alt((quoted, bare)).parse(input)
}

fn padded<'a, T>(
    parser: impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>>,
) -> impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>> {
    delimited(multispace0, parser, multispace0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(expression: &str) -> Result<StartPosition, SelectorError> {
        super::parse(expression, OffsetText::Number)
    }

    #[test]
    fn every_spelling_of_the_official_clients_is_understood() {
        use StartPosition::*;
        let table = [
            ("amqp.annotation.x-opt-offset > '-1'", Earliest),
            ("amqp.annotation.x-opt-offset > -1", Earliest),
            ("amqp.annotation.x-opt-offset >= '-1'", Earliest),
            ("amqp.annotation.x-opt-offset > '@latest'", Latest),
            ("amqp.annotation.x-opt-offset > @latest", Latest),
            (
                "amqp.annotation.x-opt-offset >'123'",
                Offset {
                    offset: 123,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-offset >= '123'",
                Offset {
                    offset: 123,
                    inclusive: true,
                },
            ),
            (
                "  amqp.annotation.x-opt-offset>123  ",
                Offset {
                    offset: 123,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-sequence-number > '5'",
                SequenceNumber {
                    number: 5,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-sequence-number >= '-1'",
                SequenceNumber {
                    number: -1,
                    inclusive: true,
                },
            ),
            (
                "amqp.annotation.x-opt-enqueued-time > '1700000000000'",
                EnqueuedTime {
                    millis: 1_700_000_000_000,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-enqueued-time >='1700000000000'",
                EnqueuedTime {
                    millis: 1_700_000_000_000,
                    inclusive: true,
                },
            ),
        ];
        for (expression, position) in table {
            assert_eq!(parse(expression), Ok(position), "{expression}");
        }
    }

    #[test]
    fn what_is_not_one_comparison_is_a_syntax_error() {
        for expression in [
            "",
            "amqp.annotation.x-opt-offset",
            "amqp.annotation.x-opt-offset < '5'",
            "amqp.annotation.x-opt-colour > '5'",
            "amqp.annotation.x-opt-offset > '5' OR 1 = 1",
            "amqp.annotation.x-opt-offset > '5",
            "amqp.annotation.x-opt-offset > ''",
        ] {
            assert!(
                matches!(parse(expression), Err(SelectorError::Syntax(_))),
                "{expression}"
            );
        }
    }

    #[test]
    fn an_operand_of_the_wrong_kind_is_named() {
        for (expression, operand) in [
            (
                "amqp.annotation.x-opt-sequence-number > '@latest'",
                "@latest",
            ),
            ("amqp.annotation.x-opt-enqueued-time > 'noon'", "noon"),
        ] {
            match parse(expression) {
                Err(SelectorError::Operand { operand: found, .. }) => assert_eq!(found, operand),
                other => panic!("{expression}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_offset_of_another_namespace_is_named() {
        for operand in ["abc", "99999999999999999999999", "1:5"] {
            let expression = format!("amqp.annotation.x-opt-offset > '{operand}'");
            let refused = Err(SelectorError::Offset(operand.to_owned()));
            assert_eq!(parse(&expression), refused);
        }
        let epoch = OffsetText::InEpoch(1);
        let expression = "amqp.annotation.x-opt-offset > '1:5'";
        let found = StartPosition::Offset {
            offset: 5,
            inclusive: false,
        };
        assert_eq!(super::parse(expression, epoch), Ok(found));
    }

    #[test]
    fn an_endless_expression_is_refused_and_cut() {
        let long = "a".repeat(1 << 20);
        assert!(
            matches!(parse(&long), Err(SelectorError::Syntax(text)) if text.len() == MAX_EXPRESSION)
        );
    }
}
