//! A list of operations on two engines that talk to each other: they must never find fault with each other, lose or double a
//! message, or leave a wait without an end.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|choices: &[u8]| amqp10::fuzzing::operate(choices));
