//! Asking an expression, in a logic of three values: what is compared with something unknown is neither true nor false.

use std::cmp::Ordering;

use super::parser::{Comparison, Expression, Operation};
use crate::codec::{Str, Value};

/// What a name stands for, or an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Not there, null, or of a type that cannot be compared.
    Unknown,
    /// A boolean.
    Truth(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(Str),
}

impl From<&Value> for Operand {
    fn from(value: &Value) -> Self {
        match value {
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Float(number) => Self::Real(f64::from(*number)),
            Value::Double(number) => Self::Real(*number),
            Value::Char(c) => Self::Text(c.to_string().into()),
            Value::Timestamp(time) => Self::Integer(time.millis()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Symbol(text) => Self::Text(text.as_str().into()),
            value => match (value.as_i64(), value.as_u64()) {
                (Some(number), _) => Self::Integer(number),
                (None, Some(number)) => Self::Real(number as f64),
                (None, None) => Self::Unknown,
            },
        }
    }
}

/// Whether an expression is true; None if that is unknown.
pub(super) fn truth(expression: &Expression, lookup: &dyn Fn(&str) -> Operand) -> Option<bool> {
    match expression {
        Expression::Or(terms) => any(terms.iter().map(|term| truth(term, lookup))),
        Expression::And(terms) => {
            any(terms.iter().map(|term| truth(term, lookup).map(|is| !is))).map(|is| !is)
        }
        Expression::Not(term) => truth(term, lookup).map(|is| !is),
        Expression::Compare(comparison, left, right) => {
            compare(*comparison, &value(left, lookup), &value(right, lookup))
        }
        Expression::Between(operand, low, high) => {
            let operand = value(operand, lookup);
            let is_low = compare(Comparison::Less, &operand, &value(low, lookup));
            let is_high = compare(Comparison::Greater, &operand, &value(high, lookup));
            any([is_low, is_high].into_iter()).map(|is| !is)
        }
        Expression::In(operand, values) => {
            let operand = value(operand, lookup);
            any(values
                .iter()
                .map(|candidate| compare(Comparison::Equal, &operand, &value(candidate, lookup))))
        }
        Expression::Like(operand, pattern) => match value(operand, lookup) {
            Operand::Text(text) => Some(pattern.matches(&text)),
            Operand::Unknown => None,
            _ => Some(false),
        },
        Expression::IsNull(operand) => Some(value(operand, lookup) == Operand::Unknown),
        Expression::Truth(truth) => Some(*truth),
        Expression::Property(name) => match lookup(name) {
            Operand::Truth(truth) => Some(truth),
            _ => None,
        },
        _ => None,
    }
}

/// True if one is; unknown if none is and one is unknown.
fn any(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all_known = Some(false);
    for term in terms {
        match term {
            Some(true) => return Some(true),
            Some(false) => {}
            None => all_known = None,
        }
    }
    all_known
}

fn value(expression: &Expression, lookup: &dyn Fn(&str) -> Operand) -> Operand {
    match expression {
        Expression::Text(text) => Operand::Text(text.as_str().into()),
        Expression::Integer(number) => Operand::Integer(*number),
        Expression::Real(number) => Operand::Real(*number),
        Expression::Property(name) => lookup(name),
        Expression::Negative(operand) => match value(operand, lookup) {
            Operand::Integer(number) => integer(number.checked_neg()),
            Operand::Real(number) => Operand::Real(-number),
            _ => Operand::Unknown,
        },
        Expression::Calculate(first, more) => {
            let first = value(first, lookup);
            more.iter().fold(first, |left, (operation, right)| {
                calculate(*operation, left, value(right, lookup))
            })
        }
        condition => truth(condition, lookup).map_or(Operand::Unknown, Operand::Truth),
    }
}

/// What overflows is unknown.
fn integer(number: Option<i64>) -> Operand {
    number.map_or(Operand::Unknown, Operand::Integer)
}

fn calculate(operation: Operation, left: Operand, right: Operand) -> Operand {
    match (&left, &right) {
        (Operand::Integer(left), Operand::Integer(right)) => integer(match operation {
            Operation::Add => left.checked_add(*right),
            Operation::Subtract => left.checked_sub(*right),
            Operation::Multiply => left.checked_mul(*right),
            Operation::Divide => left.checked_div(*right),
            Operation::Remainder => left.checked_rem(*right),
        }),
        _ => match (real(&left), real(&right)) {
            (Some(left), Some(right)) => Operand::Real(match operation {
                Operation::Add => left + right,
                Operation::Subtract => left - right,
                Operation::Multiply => left * right,
                Operation::Divide => left / right,
                Operation::Remainder => left % right,
            }),
            _ => Operand::Unknown,
        },
    }
}

fn real(operand: &Operand) -> Option<f64> {
    match operand {
        Operand::Integer(number) => Some(*number as f64),
        Operand::Real(number) => Some(*number),
        _ => None,
    }
}

/// Values of different kinds differ; only numbers have an order.
fn compare(comparison: Comparison, left: &Operand, right: &Operand) -> Option<bool> {
    let order = match (left, right) {
        (Operand::Unknown, _) | (_, Operand::Unknown) => return None,
        (Operand::Integer(left), Operand::Integer(right)) => Some(left.cmp(right)),
        (Operand::Text(_), Operand::Text(_)) | (Operand::Truth(_), Operand::Truth(_)) => {
            return Some(match comparison {
                Comparison::Equal => left == right,
                Comparison::Unequal => left != right,
                _ => false,
            });
        }
        _ => match (real(left), real(right)) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => return Some(false),
        },
    };
    let Some(order) = order else {
        return Some(comparison == Comparison::Unequal); // not a number
    };
    Some(match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::Unequal => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}
