//! Any text is a selector or is refused; one that was read is read again from what it prints, and what it says of a
//! message agrees with what its negation says. The first line is the selector, the others are the message's properties.
#![no_main]

use amqp10::broker::selector::{Operand, Selector};
use libfuzzer_sys::fuzz_target;

/// Properties of every kind by their names; any other name has the value that its line of the input gives.
fn lookup(name: &str, lines: &str) -> Operand {
    match name {
        "t" => Operand::Truth(true),
        "f" => Operand::Truth(false),
        "i" => Operand::Integer(i64::MAX),
        "n" => Operand::Integer(i64::MIN),
        "r" => Operand::Real(0.5),
        "x" => Operand::Real(f64::NAN),
        _ => lines
            .split('\n')
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map_or(Operand::Unknown, |value| Operand::Text(value.into())),
    }
}

fuzz_target!(|text: &str| {
    let (condition, lines) = text.split_once('\n').unwrap_or((text, ""));
    let selector = match condition.parse::<Selector>() {
        Ok(selector) => selector,
        Err(error) => return assert!(error.position <= condition.len(), "{error}"),
    };
    let printed = selector.to_string();
    assert_eq!(printed.parse(), Ok(selector.clone()), "{printed}");

    let selects = |selector: &Selector| selector.matches(&|name| lookup(name, lines));
    let is_true = selects(&selector);
    // What is put around it may be too much for its depth or length.
    let around = |before: &str, after: &str| {
        let whole = format!("{before}({condition}){after}");
        whole.parse().ok().map(|whole| selects(&whole))
    };
    let is_false = around("NOT ", "");
    assert!(!(is_true && is_false == Some(true)), "both true and false");
    for same in [
        around("", ""),
        around("NOT NOT ", ""),
        around("TRUE AND ", ""),
        around("", " OR FALSE"),
    ] {
        assert!(same.is_none_or(|same| same == is_true), "not itself");
    }
    if let (Some(is_false), Some(either)) =
        (is_false, around(&format!("({condition}) OR NOT "), ""))
    {
        assert_eq!(either, is_true || is_false, "an unknown is known");
    }
});
