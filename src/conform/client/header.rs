//! The protocol header, said by a client [2.2].

use bytes::BytesMut;

use super::expect_hang_up;
use crate::codec::ProtocolHeader;
use crate::codec::sasl::{SaslCode, SaslFrame, SaslOutcome};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "v_001_v_002_v_003_a_client_says_its_header_at_once",
        rows: &["V-001", "V-002", "V-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "nothing",
        expected: "a header of version 1.0.0",
        play: |client| {
            Box::pin(async move {
                client.accept().await?;
                match client.next_header().await? {
                    ProtocolHeader::AMQP | ProtocolHeader::SASL | ProtocolHeader::TLS => Ok(()),
                    other => Err(Stop::fail(format!("{other}"))),
                }
            })
        },
    },
    Case {
        name: "v_010_v_011_a_client_ends_the_stream_when_the_version_is_another",
        rows: &["V-010", "V-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "a header of the client's protocol in version 2.0.0",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.accept().await?;
                let asked = client.next_header().await?;
                let other = ProtocolHeader { major: 2, ..asked };
                client.send_bytes(&other.to_bytes()).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "v_010_v_011_a_client_ends_the_stream_when_the_protocol_is_another",
        rows: &["V-010", "V-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "the header of TLS, which the client did not ask for",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.accept().await?;
                client.next_header().await?;
                client.send_bytes(&ProtocolHeader::TLS.to_bytes()).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "v_010_a_client_ends_the_stream_when_what_answers_is_no_amqp",
        rows: &["V-010"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "HTTP/1.1 400 Bad Request",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.accept().await?;
                client.next_header().await?;
                let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
                client.send_bytes(answer).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "v_014_a_client_with_a_login_does_not_go_on_without",
        rows: &["V-014"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "the header of AMQP in answer to that of SASL",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.accept().await?;
                match client.next_header().await? {
                    ProtocolHeader::SASL => {}
                    other => return Err(Stop::skip(format!("the client wants {other}"))),
                }
                client.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "v_012_a_header_may_come_to_a_client_octet_by_octet",
        rows: &["V-012"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "headers and open, each octet in a segment of its own",
        expected: "a session",
        play: |client| Box::pin(open_in_segments(client, 1)),
    },
    Case {
        name: "v_012_y_023_the_header_and_the_open_may_come_in_one_segment",
        rows: &["V-012", "Y-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "the end of the login, the header of AMQP and open in one segment",
        expected: "a session",
        play: |client| Box::pin(open_in_segments(client, usize::MAX)),
    },
];

/// Opens a connection, with all that a listener says behind the client's first words in segments of this size.
async fn open_in_segments(client: &mut Dialogue, size: usize) -> Result<(), Stop> {
    client.accept().await?;
    let has_login = client.next_header().await? == ProtocolHeader::SASL;
    let mut octets = BytesMut::new();
    if has_login {
        client.send_bytes(&ProtocolHeader::SASL.to_bytes()).await?;
        client.offer_mechanisms().await?;
        client.expect_sasl().await?;
        octets.extend_from_slice(&frames::encode_sasl(&SaslFrame::Outcome(SaslOutcome {
            code: SaslCode::Ok,
            additional_data: None,
        })));
    }
    octets.extend_from_slice(&ProtocolHeader::AMQP.to_bytes());
    octets.extend_from_slice(&frames::encode(0, frames::open(), b""));
    for segment in octets.chunks(size) {
        client.send_bytes(segment).await?;
    }
    if has_login {
        client.expect_header(ProtocolHeader::AMQP).await?;
    }
    client.expect_open().await?;
    client.accept_session().await.map(drop)
}
