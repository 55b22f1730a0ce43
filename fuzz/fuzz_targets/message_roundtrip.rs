//! Any bytes decode to a message or to an error; a message that was decoded encodes to bytes that decode to it again,
//! and reading the sections one by one finds the same as reading them all.
#![no_main]

use amqp10_codec::{Encode, Message, Sections, Writer};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

/// Compared as bytes: a NaN is not equal to itself.
fn encoded(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    message.encode(&mut writer);
    writer.finish().expect("shorter than 4 GiB");
    out.freeze()
}

fn section_by_section(payload: Bytes) -> Option<Message> {
    let sections = Sections::scan(payload).ok()?;
    let mut message = Message::default();
    message.header = sections.header().ok()?;
    message.delivery_annotations = sections.delivery_annotations().ok()?;
    message.message_annotations = sections.message_annotations().ok()?;
    message.properties = sections.properties().ok()?;
    message.application_properties = sections.application_properties().ok()?;
    message.body = sections.body().ok()?;
    message.footer = sections.footer().ok()?;
    Some(message)
}

fuzz_target!(|data: &[u8]| {
    let payload = Bytes::copy_from_slice(data);
    let whole = Message::decode(payload.clone()).ok();
    let in_parts = section_by_section(payload);
    assert_eq!(whole.as_ref().map(encoded), in_parts.as_ref().map(encoded));

    let Some(message) = whole else { return };
    let once = encoded(&message);
    let again = Message::decode(once.clone()).expect("what we encode, we decode");
    assert_eq!(encoded(&again), once);
});
