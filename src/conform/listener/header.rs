//! The protocol header [2.2].

use std::time::Duration;

use crate::codec::ProtocolHeader;
use crate::conform::case::{Case, Level, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "v_001_v_005_a_supported_header_is_answered_with_the_same",
        rows: &["V-001", "V-005"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "the header of a protocol that the listener speaks, and open",
        expected: "the same eight octets, before open",
        play: |peer| Box::pin(async move { peer.open().await.map(drop) }),
    },
    Case {
        name: "v_006_v_007_v_010_an_unsupported_version_is_answered_with_a_supported_one",
        rows: &["V-006", "V-007", "V-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "the header of AMQP 2.0.0",
        expected: "a header that the listener speaks, then the end of the stream",
        play: |peer| Box::pin(expect_other_header(peer, b"AMQP\x00\x02\x00\x00")),
    },
    Case {
        name: "v_006_v_007_v_010_a_later_minor_version_is_answered_with_a_supported_one",
        rows: &["V-006", "V-007", "V-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "the header of AMQP 1.9.0",
        expected: "a header that the listener speaks, then the end of the stream",
        play: |peer| Box::pin(expect_other_header(peer, b"AMQP\x00\x01\x09\x00")),
    },
    Case {
        name: "v_008_v_010_a_request_of_http_is_answered_with_a_header",
        rows: &["V-008", "V-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "GET / HTTP/1.0, in place of a header",
        expected: "a header that the listener speaks, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.connect().await?;
                peer.send_bytes(b"GET / HTTP/1.0\r\n\r\n").await?;
                let answer = peer.read_octets(8).await?;
                match answer.first_chunk().and_then(ProtocolHeader::parse) {
                    Some(_) => peer.expect_eof().await,
                    None if answer.starts_with(b"HTTP") => {
                        Err(Stop::skip("the listener speaks HTTP as well"))
                    }
                    None => Err(Stop::Fail(format!("{answer:?} in place of a header"))),
                }
            })
        },
    },
    Case {
        name: "v_008_v_010_octets_that_are_no_header_are_answered_with_one",
        rows: &["V-008", "V-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "eight octets that begin with AMPQ",
        expected: "a header that the listener speaks, then the end of the stream",
        play: |peer| Box::pin(expect_other_header(peer, b"AMPQ\x00\x01\x00\x00")),
    },
    Case {
        name: "v_002_v_009_a_protocol_that_there_is_not_is_answered_with_one_that_there_is",
        rows: &["V-002", "V-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a header with protocol id 77",
        expected: "a header that the listener speaks, then the end of the stream",
        play: |peer| Box::pin(expect_other_header(peer, b"AMQP\x4d\x01\x00\x00")),
    },
    Case {
        name: "v_009_y_026_plain_amqp_is_refused_where_a_login_is_wanted",
        rows: &["V-009", "Y-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "the header of AMQP without a SASL layer, to a listener that wants one",
        expected: "the header of SASL or TLS, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.connect().await?;
                peer.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
                match peer.next_header().await? {
                    ProtocolHeader::AMQP => Err(Stop::skip("the listener wants no login")),
                    _ => peer.expect_eof().await,
                }
            })
        },
    },
    Case {
        name: "v_012_a_header_may_come_octet_by_octet",
        rows: &["V-012"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "header, open and begin, each octet in a segment of its own",
        expected: "the same answers as to a header and frames in one piece",
        play: |peer| {
            Box::pin(async move {
                peer.log_in().await?;
                for octet in up_to_begin() {
                    peer.send_bytes(&[octet]).await?;
                }
                expect_up_to_begin(peer).await
            })
        },
    },
    Case {
        name: "v_012_c_024_c_025_header_open_and_begin_may_come_in_one_segment",
        rows: &["V-012", "C-024", "C-025"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "header, open and begin in one segment",
        expected: "header, open and begin",
        play: |peer| {
            Box::pin(async move {
                peer.log_in().await?;
                peer.send_bytes(&up_to_begin()).await?;
                expect_up_to_begin(peer).await
            })
        },
    },
    Case {
        name: "v_013_who_says_nothing_is_dropped",
        rows: &["V-013"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a connection on which nothing is said for 20 seconds",
        expected: "the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.connect().await?;
                peer.pause(Duration::from_secs(20)).await;
                peer.expect_eof().await
            })
        },
    },
];

/// The listener answers with a header that it speaks, of whatever protocol and version, and leaves.
async fn expect_other_header(peer: &mut Dialogue, octets: &[u8]) -> Result<(), Stop> {
    peer.connect().await?;
    peer.send_bytes(octets).await?;
    let offered = peer.next_header().await?;
    match offered.to_bytes() == octets {
        true => Err(Stop::Fail(format!("{offered}, as asked"))),
        false => peer.expect_eof().await,
    }
}

fn up_to_begin() -> Vec<u8> {
    let mut octets = ProtocolHeader::AMQP.to_bytes().to_vec();
    octets.extend_from_slice(&frames::encode(0, frames::open(), b""));
    octets.extend_from_slice(&frames::encode(0, frames::begin(), b""));
    octets
}

async fn expect_up_to_begin(peer: &mut Dialogue) -> Result<(), Stop> {
    peer.expect_header(ProtocolHeader::AMQP).await?;
    peer.expect_open().await?;
    let (_, begin) = peer.expect_begin().await?;
    match begin.remote_channel {
        Some(0) => Ok(()),
        other => Err(Stop::Fail(format!("begin with remote-channel {other:?}"))),
    }
}
