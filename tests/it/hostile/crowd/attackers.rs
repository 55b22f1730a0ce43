//! Clients that mean harm, each in its own way, and that come back when they are thrown out.

use std::time::Duration;

use amqp10::codec::frame::{self, ProtocolHeader};
use amqp10::codec::sasl::{SaslFrame, SaslInit, SaslResponse};
use amqp10::codec::{End, Flow, Open, Performative, Symbol, Transfer};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::peer::{self, CHANNEL, HANDLE, encode};

/// How many there are.
pub const COUNT: usize = 1000;

/// Ways to do harm.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Says nothing at all.
    Silent,
    /// Says its header and nothing else.
    SilentAfterHeader,
    /// Says all that is right, at one octet a second.
    Trickle,
    /// Opens, begins and attaches, and is gone; again and again.
    OpenAndClose,
    /// A delivery that never ends.
    EndlessMore,
    /// Answers where nothing was asked, for ever.
    EndlessSasl,
    /// Asks for everything and never reads.
    NeverReads,
}

const WAYS: [Way; 7] = [
    Way::Silent,
    Way::SilentAfterHeader,
    Way::Trickle,
    Way::OpenAndClose,
    Way::EndlessMore,
    Way::EndlessSasl,
    Way::NeverReads,
];

/// Attacks until it is killed, or for a minute beyond what the test takes.
pub fn attack(port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for number in 0..COUNT {
            tokio::spawn(async move {
                let way = WAYS[number % WAYS.len()];
                loop {
                    // Whatever ends it, it comes back.
                    let _ = visit(way, port).await;
                    sleep(Duration::from_millis(200)).await;
                }
            });
        }
        sleep(super::seconds() + Duration::from_secs(60)).await;
    });
}

async fn visit(way: Way, port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    match way {
        Way::Silent => {}
        Way::SilentAfterHeader => stream.write_all(&ProtocolHeader::SASL.to_bytes()).await?,
        Way::Trickle => {
            for octet in opening() {
                stream.write_all(&[octet]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Way::OpenAndClose => {
            stream.write_all(&opening()).await?;
            stream
                .write_all(&link(&peer::attach_sender("gone").into()))
                .await?;
            let _ = timeout(Duration::from_millis(100), stream.read(&mut [0; 100])).await;
            return Ok(());
        }
        Way::EndlessMore => return endless_more(stream).await,
        Way::EndlessSasl => return endless_sasl(stream).await,
        Way::NeverReads => return never_reads(stream).await,
    }
    // Until the listener has had enough.
    let mut octets = [0; 1000];
    while stream.read(&mut octets).await? > 0 {}
    Ok(())
}

fn sasl(frame: &SaslFrame) -> BytesMut {
    let mut octets = BytesMut::new();
    frame::encode_sasl(&mut octets, frame);
    octets
}

/// Everything up to the session, in one piece.
fn opening() -> Vec<u8> {
    let init = SaslFrame::Init(SaslInit {
        mechanism: Symbol::from_static("ANONYMOUS"),
        initial_response: None,
        hostname: None,
    });
    let open = Open {
        container_id: "crowd".into(),
        ..Open::default()
    };
    [
        &ProtocolHeader::SASL.to_bytes()[..],
        &sasl(&init),
        &ProtocolHeader::AMQP.to_bytes(),
        &encode(0, &open.into(), b""),
    ]
    .concat()
}

fn link(attach: &Performative) -> Vec<u8> {
    let begin = encode(CHANNEL, &peer::begin().into(), b"");
    [begin, encode(CHANNEL, attach, b"")].concat()
}

/// Reads and forgets, so that the listener is never in want of room.
fn swallow(mut stream: tokio::net::tcp::OwnedReadHalf) {
    tokio::spawn(async move {
        let mut octets = [0; 4096];
        while stream.read(&mut octets).await.is_ok_and(|count| count > 0) {}
    });
}

async fn endless_more(stream: TcpStream) -> std::io::Result<()> {
    let (reading, mut stream) = stream.into_split();
    swallow(reading);
    stream.write_all(&opening()).await?;
    stream
        .write_all(&link(&peer::attach_sender("more").into()))
        .await?;
    sleep(Duration::from_millis(500)).await; // until there is credit
    let first = Transfer {
        more: true,
        ..peer::transfer(0)
    };
    let more = Transfer {
        more: true,
        ..peer::continuation()
    };
    stream
        .write_all(&encode(CHANNEL, &first.into(), &[0; 4000]))
        .await?;
    let more = encode(CHANNEL, &more.into(), &[0; 4000]);
    loop {
        stream.write_all(&more).await?;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn endless_sasl(stream: TcpStream) -> std::io::Result<()> {
    let (reading, mut stream) = stream.into_split();
    swallow(reading);
    stream.write_all(&ProtocolHeader::SASL.to_bytes()).await?;
    let response = sasl(&SaslFrame::Response(SaslResponse {
        response: Bytes::from_static(&[0; 400]),
    }));
    loop {
        stream.write_all(&response).await?;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn never_reads(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(&opening()).await?;
    stream
        .write_all(&link(&peer::attach_receiver("all").into()))
        .await?;
    let ask = Flow {
        next_incoming_id: Some(0),
        incoming_window: u32::MAX / 2,
        next_outgoing_id: 0,
        outgoing_window: 0,
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(1_000_000),
        echo: true,
        ..Flow::default()
    };
    let ask = encode(CHANNEL, &ask.into(), b"");
    let end = encode(CHANNEL + 1, &peer::begin().into(), b"");
    let begin_and_end = [end, encode(CHANNEL + 1, &End::default().into(), b"")].concat();
    loop {
        stream.write_all(&ask).await?;
        stream.write_all(&begin_and_end).await?;
        sleep(Duration::from_millis(20)).await;
    }
}
