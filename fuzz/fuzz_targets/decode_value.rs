//! Any octets decode to values or to an error; a value that was decoded encodes to octets that decode to it again.
#![no_main]

use amqp10_codec::{Decode, Reader, Value, decode_value, encode_value};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// Compared as octets: a NaN is not equal to itself.
fn encoded(value: &Value) -> Bytes {
    encode_value(value).expect("shorter than 4 GiB")
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
    }
});
