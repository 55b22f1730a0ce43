//! Any bytes decode to a value or to an error; a value that was decoded encodes to bytes that decode to it again.
#![no_main]

use amqp10_codec::{Encode, Value, Writer, decode_value};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

/// Compared as bytes: a NaN is not equal to itself.
fn encoded(value: &Value) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    value.encode(&mut writer);
    writer.finish().expect("shorter than 4 GiB");
    out.freeze()
}

fuzz_target!(|data: &[u8]| {
    let Ok(value) = decode_value(Bytes::copy_from_slice(data)) else {
        return;
    };
    let once = encoded(&value);
    let again = decode_value(once.clone()).expect("what we encode, we decode");
    assert_eq!(encoded(&again), once);
});
