use amqp10_codec::frame::{self, MIN_MAX_FRAME_SIZE};
use amqp10_codec::*;
use bytes::{Bytes, BytesMut};

use crate::support::{hex, to_hex};

fn split(digits: &str) -> Result<Option<RawFrame>, FrameError> {
    frame::split(&mut BytesMut::from(&hex(digits)[..]), 1024)
}

fn decode(digits: &str) -> Result<AmqpFrame, DecodeError> {
    frame::decode_amqp(split(digits).unwrap().unwrap())
}

#[test]
fn f_002_size_below_the_header() {
    for size in ["00000000", "00000007"] {
        assert!(matches!(split(size), Err(FrameError::TooSmall { .. })));
    }
    assert_eq!(
        split("0000000702000000"),
        Err(FrameError::TooSmall { size: 7 })
    );
}

#[test]
fn f_003_f_004_data_offset() {
    for doff in [0, 1, 4, 255] {
        let digits = format!("0000000e{doff:02x}000000000000000000");
        assert_eq!(
            split(&digits),
            Err(FrameError::InvalidDataOffset {
                data_offset: doff,
                size: 14
            })
        );
    }
}

#[test]
fn f_005_extended_header_is_ignored() {
    let frame = decode("00000010 03 00 0001 deadbeef 00531745").unwrap();
    assert_eq!(frame.performative, Some(End::default().into()));
    assert_eq!(frame.channel, 1);
}

#[test]
fn f_001_f_006_f_008_header_as_written() {
    let mut out = BytesMut::from(&b"before"[..]);
    let mark = frame::start(&mut out, 0, 0x1234);
    Performative::from(End::default()).encode(&mut Writer::new(&mut out));
    assert_eq!(frame::finish(&mut out, mark), 12);
    assert_eq!(to_hex(&out[6..]), "0000000c0200123400531745");
}

#[test]
fn f_007_unknown_type() {
    assert_eq!(
        split("0000000802020000"),
        Err(FrameError::UnknownType { frame_type: 2 })
    );
}

#[test]
fn f_009_payload_follows_a_transfer() {
    let frame = decode("00000012 02000000 005314 c0020143 010203").unwrap();
    assert_eq!(frame.performative, Some(Transfer::default().into()));
    assert_eq!(frame.payload, &[1, 2, 3][..]);
}

#[test]
fn f_010_no_payload_elsewhere() {
    let error = decode("0000000d 02000000 00531745 01").unwrap_err();
    assert_eq!(
        error,
        DecodeError {
            offset: 4,
            kind: DecodeErrorKind::UnexpectedPayload
        }
    );
}

#[test]
fn f_011_no_performative() {
    for body in ["00531945", "00532445", "40202020", "0053ff45"] {
        let error = decode(&format!("0000000c02000000{body}")).unwrap_err();
        assert!(!error.is_invalid_field(), "{error}");
        assert_eq!(error.condition(), condition::DECODE_ERROR);
    }
}

#[test]
fn f_012_empty_frame() {
    assert_eq!(decode("0000000802000007").unwrap().performative, None);
    let mut out = BytesMut::new();
    frame::encode_empty(&mut out);
    assert_eq!(to_hex(&out), "0000000802000000");
}

#[test]
fn f_015_too_large_is_known_from_the_size() {
    assert_eq!(
        split("00000401"),
        Err(FrameError::TooLarge {
            size: 1025,
            max: 1024
        })
    );
    assert_eq!(
        split("7fffffff").unwrap_err(),
        FrameError::TooLarge {
            size: 0x7fff_ffff,
            max: 1024
        }
    );
    assert_eq!(split("00000400").unwrap(), None);
}

#[test]
fn f_016_frames_of_512_octets_are_always_taken() {
    let mut out = BytesMut::new();
    let mark = frame::start(&mut out, 0, 0);
    out.resize(MIN_MAX_FRAME_SIZE as usize, 0);
    frame::finish(&mut out, mark);
    assert!(frame::split(&mut out, 0).unwrap().is_some());
}

#[test]
fn t_071_f_019_any_split_of_the_stream_gives_the_same_frames() {
    let mut stream = BytesMut::new();
    for channel in 0..3 {
        let mark = frame::start(&mut stream, 0, channel);
        Transfer {
            handle: 7,
            ..Transfer::default()
        }
        .encode(&mut Writer::new(&mut stream));
        stream.extend_from_slice(&[9; 40]);
        frame::finish(&mut stream, mark);
        frame::encode_empty(&mut stream);
    }
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for octet in stream {
        buffer.extend_from_slice(&[octet]);
        while let Some(raw) = frame::split(&mut buffer, 512).unwrap() {
            frames.push(frame::decode_amqp(raw).unwrap());
        }
    }
    assert!(buffer.is_empty());
    assert_eq!(frames.len(), 6);
    assert!(
        frames
            .iter()
            .step_by(2)
            .all(|frame| frame.payload == vec![9; 40])
    );
}

#[test]
fn splitting_does_not_copy() {
    let mut buffer = BytesMut::from(&hex("0000001102000000005314c0020143010203")[..]);
    let start = buffer.as_ptr();
    let raw = frame::split(&mut buffer, 512).unwrap().unwrap();
    assert_eq!(raw.body.as_ptr(), start.wrapping_add(8));
}

#[test]
fn y_009_y_011_y_012_sasl_frames() {
    let decode = |digits| frame::decode_sasl(split(digits).unwrap().unwrap());
    let ok = SaslFrame::Outcome(SaslOutcome {
        code: SaslCode::Ok,
        additional_data: None,
    });
    assert_eq!(decode("00000010 02 01 ffff 005344 c003015000").unwrap(), ok);
    assert_eq!(
        decode("0000000802010000").unwrap_err().kind,
        DecodeErrorKind::EmptySaslFrame
    );
    assert_eq!(
        decode("0000000802000000").unwrap_err().kind,
        DecodeErrorKind::UnexpectedFrameType(0)
    );
    assert_eq!(
        decode("00000011 02 01 0000 005344 c003015000 40")
            .unwrap_err()
            .kind,
        DecodeErrorKind::TrailingBytes
    );
    let amqp = split("0000000c 02010000 00531745").unwrap().unwrap();
    assert_eq!(
        frame::decode_amqp(amqp).unwrap_err().kind,
        DecodeErrorKind::UnexpectedFrameType(1)
    );
}

#[test]
fn y_019_sasl_frames_there_and_back() {
    let symbols = vec![
        Symbol::from_static("PLAIN"),
        Symbol::from_static("ANONYMOUS"),
    ];
    let octets = Some(Bytes::from_static(b"\0user\0password"));
    let init = SaslInit {
        mechanism: symbols[0].clone(),
        initial_response: octets,
        hostname: Some("h".into()),
    };
    let all = [
        SaslFrame::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms: symbols,
        }),
        SaslFrame::Init(init),
        SaslFrame::Challenge(SaslChallenge {
            challenge: Bytes::from_static(b"c"),
        }),
        SaslFrame::Response(SaslResponse {
            response: Bytes::new(),
        }),
        SaslFrame::Outcome(SaslOutcome {
            code: SaslCode::SysTemp,
            additional_data: None,
        }),
    ];
    for sasl in all {
        let mut out = BytesMut::new();
        frame::encode_sasl(&mut out, &sasl);
        let raw = frame::split(&mut out, 512).unwrap().unwrap();
        assert_eq!(frame::decode_sasl(raw).unwrap(), sasl);
    }
}

#[test]
fn secrets_do_not_show() {
    let secret = Bytes::from_static(b"hunter2");
    let init = SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(secret.clone()),
        hostname: None,
    };
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        SaslFrame::Init(init),
        SaslChallenge {
            challenge: secret.clone()
        },
        SaslResponse {
            response: secret.clone()
        },
        SaslOutcome {
            code: SaslCode::Ok,
            additional_data: Some(secret)
        }
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("104"),
        "{shown}"
    );
    assert!(shown.contains("<7 octets>"));
}

#[test]
fn v_001_v_002_protocol_headers() {
    assert_eq!(to_hex(&ProtocolHeader::AMQP.to_bytes()), "414d515000010000");
    assert_eq!(to_hex(&ProtocolHeader::TLS.to_bytes()), "414d515002010000");
    assert_eq!(to_hex(&ProtocolHeader::SASL.to_bytes()), "414d515003010000");
    for header in [
        ProtocolHeader::AMQP,
        ProtocolHeader::TLS,
        ProtocolHeader::SASL,
    ] {
        assert_eq!(ProtocolHeader::parse(&header.to_bytes()), Some(header));
    }
    let other = ProtocolHeader::parse(b"AMQP\0\x02\x00\x00").unwrap();
    assert_eq!(other.major, 2);
    assert_eq!(ProtocolHeader::parse(b"GET / HT"), None); // V-008
}
