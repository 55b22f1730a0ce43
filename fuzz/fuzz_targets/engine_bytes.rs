//! A peer that may say anything, in any portions: the engine writes only valid frames, holds bounded memory, and when the
//! stream ends every wait ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| amqp10::fuzzing::converse(data));
