//! What a peer says: in good order, so that a conversation begins in the middle, or whatever the fuzzer likes, in frames.

use bytes::{Bytes, BytesMut};

use super::conversation::{FIRST_NUMBER, LINK_NAME};
use crate::codec::{
    Attach, Begin, DeliveryTag, Encode, Flow, Open, Performative, Role, Source, Target, Transfer,
    Writer, frame,
};

/// A header that the fuzzer need not find out: two octets of input, channel and length, stand for one.
pub(super) fn framed(mut input: &[u8], max_frame_size: u32) -> Vec<u8> {
    let mut stream = BytesMut::new();
    while let [channel, length, rest @ ..] = input {
        let longest = rest.len().min(max_frame_size as usize - 8);
        let (body, rest) = rest.split_at(usize::from(*length).min(longest));
        // Most of it on one channel: a frame on another one is rarely of use.
        let channel = u16::from(channel.saturating_sub(0xf0));
        let mark = frame::start(&mut stream, 0, channel);
        stream.extend_from_slice(body);
        frame::finish(&mut stream, mark);
        input = rest;
    }
    stream.into()
}

/// Frames on channel 0; a transfer carries a few octets.
pub(super) fn frames_of(performatives: &[Performative]) -> Bytes {
    let mut stream = BytesMut::new();
    for performative in performatives {
        let mark = frame::start(&mut stream, 0, 0);
        performative.encode(&mut Writer::new(&mut stream));
        if let Performative::Transfer(_) = performative {
            stream.extend_from_slice(&[0, 0x53, 0x75]);
        }
        frame::finish(&mut stream, mark);
    }
    stream.freeze()
}

pub(super) fn opens() -> Vec<Performative> {
    vec![Performative::Open(Box::new(Open {
        container_id: "peer".into(),
        max_frame_size: 600,
        ..Open::default()
    }))]
}

/// Our session and both of our links are there, and we may send.
pub(super) fn answers() -> Vec<Performative> {
    let begin = Begin {
        remote_channel: Some(0),
        next_outgoing_id: 0,
        incoming_window: 4,
        outgoing_window: 100,
        ..Begin::default()
    };
    let receiver = Attach {
        source: Some(Source::default()),
        target: Some(Target::default().into()),
        ..Attach::new(LINK_NAME, 0, Role::Receiver)
    };
    let sender = Attach {
        handle: 1,
        role: Role::Sender,
        initial_delivery_count: Some(0),
        ..receiver.clone()
    };
    let flow = Flow {
        next_incoming_id: Some(FIRST_NUMBER),
        incoming_window: 4,
        outgoing_window: 100,
        handle: Some(0),
        delivery_count: Some(FIRST_NUMBER),
        link_credit: Some(3),
        ..Flow::default()
    };
    vec![
        Performative::Begin(Box::new(begin)),
        Performative::Attach(Box::new(receiver)),
        Performative::Attach(Box::new(sender)),
        Performative::Flow(flow),
    ]
}

/// A delivery, and the first half of another.
pub(super) fn delivers() -> Vec<Performative> {
    let first = Transfer {
        handle: 1,
        delivery_id: Some(0),
        delivery_tag: DeliveryTag::try_from(&b"0"[..]).ok(),
        ..Transfer::default()
    };
    let second = Transfer {
        delivery_id: Some(1),
        delivery_tag: DeliveryTag::try_from(&b"1"[..]).ok(),
        more: true,
        ..first.clone()
    };
    vec![
        Performative::Transfer(first),
        Performative::Transfer(second),
    ]
}
