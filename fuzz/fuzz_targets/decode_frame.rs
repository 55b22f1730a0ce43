//! Any bytes, in any portions, split into frames or end in an error; a performative that was decoded encodes to bytes
//! that decode to it again. The first octet of the input chooses the size of the portions and the largest frame.
#![no_main]

use amqp10_codec::frame::{self, RawFrame};
use amqp10_codec::{Decode, Encode, Layout, Performative, Reader, SaslFrame, Sections, Writer};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

const SASL: u8 = 1;

fn encoded(performative: &Performative, layout: Layout) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = Writer::with_layout(&mut out, layout);
    performative.encode(&mut writer);
    writer.finish().expect("shorter than 4 GiB");
    out.freeze()
}

fn round_trip(performative: &Performative) {
    let short = encoded(performative, Layout::Short);
    for layout in [Layout::Short, Layout::Full] {
        let mut reader = Reader::new(encoded(performative, layout));
        let again = Performative::decode(&mut reader).expect("what we encode, we decode");
        assert_eq!(reader.remaining(), 0);
        assert_eq!(encoded(&again, Layout::Short), short);
    }
}

fn round_trip_sasl(sasl: &SaslFrame) {
    let mut out = BytesMut::new();
    frame::encode_sasl(&mut out, sasl);
    let raw = frame::split(&mut out, u32::MAX)
        .expect("a frame")
        .expect("a whole one");
    assert_eq!(frame::decode_sasl(raw).as_ref(), Ok(sasl));
}

fn decode(raw: RawFrame) {
    if raw.frame_type == SASL {
        if let Ok(decoded) = frame::decode_sasl(raw) {
            round_trip_sasl(&decoded);
        }
        return;
    }
    let Ok(decoded) = frame::decode_amqp(raw) else {
        return;
    };
    if let Some(performative) = &decoded.performative {
        round_trip(performative);
    }
    let _ = Sections::scan(decoded.payload);
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, stream)) = data.split_first() else {
        return;
    };
    let portion = usize::from(choice & 0x3f) + 1;
    let max_frame_size = [512, 4096, 65_536, u32::MAX][usize::from(choice >> 6)];
    let mut buffer = BytesMut::new();
    for octets in stream.chunks(portion) {
        buffer.extend_from_slice(octets);
        loop {
            match frame::split(&mut buffer, max_frame_size) {
                Ok(Some(raw)) => decode(raw),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
