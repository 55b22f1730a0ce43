//! Octets that are no frame, no value, or a value of four gigabytes.

use amqp10::codec::{Begin, Fields, Symbol, Value, condition};

use amqp10::ReceiverOptions;

use super::{Attacked, BOTH, more};
use crate::support::peer::{self, CHANNEL, Peer};

/// The octets of a list of lists, this many deep.
fn nested(depth: usize) -> Vec<u8> {
    let mut octets = vec![0x45];
    for _ in 0..depth {
        let mut outer = vec![0xd0];
        outer.extend_from_slice(&(octets.len() as u32 + 4).to_be_bytes());
        outer.extend_from_slice(&1u32.to_be_bytes());
        outer.extend_from_slice(&octets);
        octets = outer;
    }
    octets
}

/// A frame on channel 0 with this body.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut octets = (body.len() as u32 + 8).to_be_bytes().to_vec();
    octets.extend_from_slice(&[2, 0, 0, 0]);
    octets.extend_from_slice(body);
    octets
}

/// A close that says that a frame could not be decoded, or that a field of it is wrong: whichever is noticed first.
async fn expect_undecodable(peer: &mut Peer) {
    let error = peer.expect_close().await.error.unwrap();
    assert!(
        [condition::DECODE_ERROR, condition::INVALID_FIELD].contains(&error.condition),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nested_lists_in_a_performative_are_refused() {
    for attacked in BOTH {
        nested_performative(attacked).await;
    }
}

async fn nested_performative(attacked: Attacked) {
    let options = peer::client_options().max_frame_size(1 << 20);
    let (mut peer, _connection) = attacked.opened(options).await;
    // A property of a begin: seven nulls, and a map of one key.
    let mut fields = vec![0x40; 7];
    let nested = nested(10_000);
    fields.push(0xd1);
    fields.extend_from_slice(&(nested.len() as u32 + 7).to_be_bytes());
    fields.extend_from_slice(b"\0\0\0\x02\xa3\x01x");
    fields.extend_from_slice(&nested);
    let mut body = vec![0, 0x53, 0x11, 0xd0];
    body.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    body.extend_from_slice(b"\0\0\0\x08");
    body.extend_from_slice(&fields);
    peer.send_bytes(&frame(&body)).await;
    expect_undecodable(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nested_lists_in_a_message_are_an_error_of_the_message_alone() {
    for attacked in BOTH {
        nested_message(attacked).await;
    }
}

async fn nested_message(attacked: Attacked) {
    let options = peer::client_options();
    let (mut peer, receiver) = attacked.receiver(options, ReceiverOptions::default()).await;
    let mut body = vec![0, 0x53, 0x77];
    body.extend_from_slice(&nested(10_000));
    peer.send_transfer(more(peer::transfer(0)), &body[..50_000])
        .await;
    peer.send_transfer(peer::continuation(), &body[50_000..])
        .await;
    let delivery = receiver.recv().await.unwrap();
    assert!(delivery.message().is_err());
    delivery.reject(None).unwrap();
    peer.expect_disposition().await;
}

#[tokio::test(start_paused = true)]
async fn lengths_and_counts_of_four_gigabytes_are_refused() {
    for begin in [
        // a list of 2^32-1 octets; one of 2^32-1 fields; an array of 2^32-1 nulls as a field
        b"\0\x53\x11\xd0\xff\xff\xff\xff\0\0\0\x01".as_slice(),
        b"\0\x53\x11\xd0\0\0\0\x04\xff\xff\xff\xff",
        b"\0\x53\x11\xd0\0\0\0\x0e\0\0\0\x01\xf0\0\0\0\x05\xff\xff\xff\xff\x40",
        // a binary of 2^32-1 octets
        b"\0\x53\x11\xd0\0\0\0\x09\0\0\0\x01\xb0\xff\xff\xff\xff",
    ] {
        for attacked in BOTH {
            let (mut peer, _connection) = attacked.opened(peer::client_options()).await;
            peer.send_bytes(&frame(begin)).await;
            expect_undecodable(&mut peer).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nulls_after_values_and_unknown_properties_are_taken() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let properties = Fields::new()
        .with(Symbol::from_static("zero"), "\0")
        .with(Symbol::from_static("large"), u64::MAX)
        .with(Symbol::from_static("list"), Value::List(vec![]));
    peer.send(Begin {
        properties,
        ..peer::begin()
    })
    .await;
    peer.expect_begin().await;
    // next-outgoing-id, windows and handle-max, then nulls to the end of the list
    let end_with_null = b"\0\x53\x17\xc0\x02\x01\x40";
    let mut octets = frame(end_with_null);
    octets[7] = CHANNEL as u8;
    peer.send_bytes(&octets).await;
    assert_eq!(peer.expect_end().await.error, None);
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn f_002_f_003_f_004_f_007_f_015_what_is_no_frame_closes_the_connection() {
    for octets in [
        b"\0\0\0\x07\x02\0\0\0".as_slice(), // smaller than its own header
        b"\0\0\0\0\x02\0\0\0",
        b"\0\0\0\x08\x01\0\0\0",       // the data begins in the header
        b"\0\0\0\x08\x03\0\0\0",       // the data begins behind the frame
        b"\x7f\xff\xff\xff\x02\0\0\0", // larger than we take
        b"\0\0\0\x08\x02\x09\0\0",     // of no known type
    ] {
        for attacked in BOTH {
            let (mut peer, _connection) = attacked.opened(peer::client_options()).await;
            peer.send_bytes(octets).await;
            peer.expect_close_with(condition::FRAMING_ERROR).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f_013_a_first_frame_that_is_too_large_is_refused_from_its_size() {
    for attacked in BOTH {
        let (mut peer, opening) = match attacked {
            Attacked::Client => Peer::of_client(peer::client_options()),
            Attacked::Listener => Peer::of_listener(peer::listener_options()),
        };
        peer.exchange_headers().await;
        peer.send_bytes(b"\0\0\x10\0\x02\0\0\0").await;
        peer.expect_open().await;
        peer.expect_close_with(condition::FRAMING_ERROR).await;
        assert!(opening.await.unwrap().is_err(), "{attacked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f_005_an_extended_header_is_skipped_by_both() {
    for attacked in BOTH {
        let (mut peer, connection) = attacked.opened(peer::client_options()).await;
        peer.send_bytes(b"\0\0\0\x0c\x03\0\0\0\x01\x02\x03\x04")
            .await;
        peer.send(peer::begin()).await;
        peer.expect_begin().await;
        assert!(!connection.is_closed(), "{attacked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_039_arrays_of_what_has_no_width_cost_nothing() {
    // A property of a begin: an array of 2^32-1 nulls, and one of 2^24 empty lists in two octets.
    for array in [
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40".as_slice(),
        b"\xf0\0\0\0\x05\x01\0\0\0\x45",
    ] {
        for attacked in BOTH {
            let mut fields = vec![0x40; 7];
            fields.extend_from_slice(&[0xc1, array.len() as u8 + 4, 2, 0xa3, 1, b'x']);
            fields.extend_from_slice(array);
            let mut body = vec![0, 0x53, 0x11, 0xc0, fields.len() as u8 + 1, 8];
            body.extend_from_slice(&fields);
            let (mut peer, _connection) = attacked.opened(peer::client_options()).await;
            peer.send_bytes(&frame(&body)).await;
            expect_undecodable(&mut peer).await;
        }
    }
}
