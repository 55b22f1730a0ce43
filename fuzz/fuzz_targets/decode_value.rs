//! Any octets decode to values or to an error; a value that was decoded encodes to octets that decode to it again, by way of
//! serde as well, and whatever type an application asks for, it gets or gets an error.
#![no_main]

use std::collections::BTreeMap;

use amqp10_codec::serde::{from_bytes, to_bytes};
use amqp10_codec::{Decode, Reader, Symbol, Value, decode_value, encode_value};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// Compared as octets: a NaN is not equal to itself.
fn encoded(value: &Value) -> Bytes {
    encode_value(value).expect("shorter than 4 GiB")
}

fn ask_for_other_types(octets: &Bytes) {
    type Records = BTreeMap<String, Vec<Option<i64>>>;
    let _ = from_bytes::<Vec<(u32, String)>>(octets);
    let _ = from_bytes::<Records>(octets);
    let _ = from_bytes::<Result<(f64, char, bool), BTreeMap<Symbol, Value>>>(octets);
}

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(Bytes::copy_from_slice(data));
    while reader.remaining() > 0 {
        let Ok(value) = Value::decode(&mut reader) else {
            return;
        };
        let once = encoded(&value);
        let again = decode_value(once.clone()).expect("what we encode, we decode");
        assert_eq!(encoded(&again), once);

        assert_eq!(to_bytes(&value).expect("a value is a value"), once);
        let by_serde: Value = from_bytes(&once).expect("what we encode, we decode");
        assert_eq!(encoded(&by_serde), once);
        ask_for_other_types(&once);
    }
});
