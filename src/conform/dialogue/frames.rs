//! The frames that dialogues begin with, each as small as it can be: cases change a field by struct update.

use bytes::{Bytes, BytesMut};

use crate::codec::frame;
use crate::codec::{
    AmqpError, Attach, Begin, Close, Detach, Disposition, Encode, Fields, Message, Open, Outcome,
    Performative, Role, SaslFrame, Source, Symbol, Target, Transfer, Writer,
};

/// The channel of this program's first session: not the number that a peer would choose.
pub const CHANNEL: u16 = 7;
/// The handle of this program's first link: not the number that a peer would choose.
pub const HANDLE: u32 = 42;
/// The windows of this program's sessions, in transfer frames.
pub const WINDOW: u32 = 10_000;

/// A link between this program and the peer, attached by both.
#[derive(Clone, Debug)]
pub struct Link {
    /// This program's channel.
    pub channel: u16,
    /// This program's handle, for what it sends.
    pub handle: u32,
    /// The peer's attach: its handle, and what it agreed to.
    pub remote: Attach,
}

/// The smallest open.
pub fn open() -> Open {
    Open {
        container_id: "conform".into(),
        max_frame_size: super::wire::MAX_FRAME_SIZE,
        ..Open::default()
    }
}

/// The smallest open of a peer that takes frames of this size, in octets.
pub fn open_at(max_frame_size: u32) -> Open {
    Open {
        max_frame_size,
        ..open()
    }
}

/// A begin with room for everything.
pub fn begin() -> Begin {
    Begin {
        next_outgoing_id: 0,
        incoming_window: WINDOW,
        outgoing_window: WINDOW,
        ..Begin::default()
    }
}

/// An attach by which this program sends to `node`.
pub fn attach_sender(name: &str, node: &str) -> Attach {
    Attach {
        source: Some(Source::new("conform")),
        target: Some(Target::new(node).into()),
        initial_delivery_count: Some(0),
        ..Attach::new(name, HANDLE, Role::Sender)
    }
}

/// An attach by which this program receives from `node`.
pub fn attach_receiver(name: &str, node: &str) -> Attach {
    Attach {
        source: Some(Source::new(node)),
        target: Some(Target::new("conform").into()),
        ..Attach::new(name, HANDLE, Role::Receiver)
    }
}

/// The answer to a client's attach that grants all of it.
pub fn answer_to(link: &Link) -> Attach {
    let asked = &link.remote;
    let role = asked.role.opposite();
    let mut source = asked.source.clone();
    if let Some(source) = source.as_mut().filter(|source| source.dynamic) {
        source.address = Some("dynamic-of-conform".into());
    }
    Attach {
        snd_settle_mode: asked.snd_settle_mode,
        rcv_settle_mode: asked.rcv_settle_mode,
        source,
        target: asked.target.clone(),
        initial_delivery_count: (role == Role::Sender).then_some(0),
        ..Attach::new(asked.name.clone(), link.handle, role)
    }
}

/// The first frame of a delivery; its tag is its number.
pub fn transfer(link: &Link, delivery_id: u32) -> Transfer {
    Transfer {
        handle: link.handle,
        delivery_id: Some(delivery_id),
        // Four octets are a tag.
        delivery_tag: delivery_id.to_be_bytes().as_slice().try_into().ok(),
        message_format: Some(0),
        ..Transfer::default()
    }
}

/// A later frame of a delivery, with nothing repeated.
pub fn continuation(link: &Link) -> Transfer {
    Transfer {
        handle: link.handle,
        ..Transfer::default()
    }
}

/// The receiver's word that these deliveries are settled with this outcome.
pub fn settle(first: u32, last: u32, outcome: Outcome) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first,
        last: Some(last),
        settled: true,
        state: Some(outcome.into()),
        batchable: false,
    }
}

/// This program closes a link.
pub fn detach(link: &Link) -> Detach {
    Detach {
        handle: link.handle,
        closed: true,
        error: None,
    }
}

/// A message with this text as its value, encoded.
pub fn text(value: &str) -> Bytes {
    // A short text is no longer than its length field can say.
    Message::from(value).to_bytes().unwrap_or_default()
}

/// This program closes a link for this reason.
pub fn detach_for(link: &Link, condition: Symbol) -> Detach {
    Detach {
        error: Some(AmqpError::new(condition, "by the case")),
        ..detach(link)
    }
}

/// One frame as octets.
pub fn encode(channel: u16, performative: impl Into<Performative>, payload: &[u8]) -> BytesMut {
    let mut octets = BytesMut::new();
    let mark = frame::start(&mut octets, frame::TYPE_AMQP, channel);
    performative.into().encode(&mut Writer::new(&mut octets));
    octets.extend_from_slice(payload);
    frame::finish(&mut octets, mark);
    octets
}

/// One SASL frame as octets.
pub fn encode_sasl(sasl: &SaslFrame) -> BytesMut {
    let mut octets = BytesMut::new();
    frame::encode_sasl(&mut octets, sasl);
    octets
}

/// One frame with this body, whatever it is.
pub fn frame_of(channel: u16, body: &[u8]) -> BytesMut {
    let mut octets = BytesMut::new();
    let mark = frame::start(&mut octets, frame::TYPE_AMQP, channel);
    octets.extend_from_slice(body);
    frame::finish(&mut octets, mark);
    octets
}

/// An error of which no peer knows the condition, with an info.
pub fn unknown_error() -> AmqpError {
    let condition = Symbol::from_static("x-conform:unknown");
    AmqpError {
        info: Fields::new().with(condition.clone(), 7u32),
        ..AmqpError::new(condition, "a reason that nobody knows")
    }
}

/// A close without an error.
pub fn close() -> Close {
    Close::default()
}
