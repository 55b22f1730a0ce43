//! The SASL layer, from a client's side [5.3].

use bytes::Bytes;

use super::expect_hang_up;
use crate::codec::sasl::{
    SaslChallenge, SaslCode, SaslFrame, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse,
};
use crate::codec::{ProtocolHeader, Symbol, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "y_008_y_014_y_019_a_client_picks_a_mechanism_that_is_offered",
        rows: &["Y-008", "Y-014", "Y-019"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "the mechanisms ANONYMOUS and PLAIN",
        expected: "sasl-init with one of them",
        play: |client| {
            Box::pin(async move {
                let mechanism = hold_login(client).await?.mechanism;
                match mechanism.as_str() {
                    "ANONYMOUS" | "PLAIN" => Ok(()),
                    other => Err(Stop::fail(format!("sasl-init with {other}"))),
                }
            })
        },
    },
    Case {
        name: "y_014_a_client_that_knows_no_mechanism_of_the_offer_ends_the_stream",
        rows: &["Y-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "NO-SUCH-THING as the only mechanism",
        expected: "the end of the stream, and no sasl-init",
        play: |client| {
            Box::pin(async move {
                exchange_headers(client).await?;
                offer(client, &["NO-SUCH-THING"]).await?;
                expect_no_init(client).await
            })
        },
    },
    Case {
        name: "y_016_t_059_an_offer_of_nothing_is_no_offer",
        rows: &["Y-016", "T-059"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-mechanisms without a mechanism",
        expected: "the end of the stream, and no sasl-init",
        play: |client| {
            Box::pin(async move {
                exchange_headers(client).await?;
                let nothing = b"\0\0\0\x0f\x02\x01\0\0\x00\x53\x40\xc0\x02\x01\x40";
                client.send_bytes(nothing).await?;
                expect_no_init(client).await
            })
        },
    },
    Case {
        name: "y_016_t_057_one_mechanism_may_come_without_an_array",
        rows: &["Y-016", "T-057"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "the mechanism that the client has picked before, as a bare symbol",
        expected: "sasl-init with it",
        play: |client| {
            Box::pin(async move {
                let picked = hold_login(client).await?.mechanism;
                client.hang_up().await?;
                exchange_headers(client).await?;
                client.send_bytes(&bare_offer(&picked)).await?;
                expect_init(client).await.map(drop)
            })
        },
    },
    Case {
        name: "y_001_y_023_after_the_login_a_client_begins_amqp_by_its_own_header",
        rows: &["Y-001", "Y-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome ok",
        expected: "the header of AMQP",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                client.send_outcome(SaslCode::Ok).await?;
                client.expect_header(ProtocolHeader::AMQP).await
            })
        },
    },
    Case {
        name: "y_009_the_channel_and_the_extended_header_of_a_sasl_frame_are_ignored",
        rows: &["Y-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome with octets 6 and 7 of the header set, and an extended header",
        expected: "the header of AMQP",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                let outcome =
                    b"\0\0\0\x14\x03\x01\xca\xfe\xde\xad\xbe\xef\x00\x53\x44\xc0\x03\x01\x50\x00";
                client.send_bytes(outcome).await?;
                client.expect_header(ProtocolHeader::AMQP).await
            })
        },
    },
    Case {
        name: "y_011_an_empty_sasl_frame_is_fatal_to_a_client",
        rows: &["Y-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "a SASL frame without a body, in place of sasl-outcome",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                client.send_bytes(b"\0\0\0\x08\x02\x01\0\0").await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "y_012_an_amqp_frame_before_the_login_is_fatal_to_a_client",
        rows: &["Y-012"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "open in place of sasl-mechanisms",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                exchange_headers(client).await?;
                client.send_on(0, frames::open()).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "y_012_a_sasl_frame_after_the_login_is_fatal_to_a_client",
        rows: &["Y-012"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "sasl-outcome on a connection that is open",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.send_outcome(SaslCode::Ok).await?;
                let conditions = [condition::FRAMING_ERROR, condition::DECODE_ERROR];
                client.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "y_015_a_frame_of_the_other_side_is_fatal_to_a_client",
        rows: &["Y-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "sasl-response from the listener, in place of sasl-outcome",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                let response = Bytes::from_static(b"who");
                let response = SaslFrame::Response(SaslResponse { response });
                client.send_sasl(&response).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "y_015_challenges_without_an_end_are_given_up",
        rows: &["Y-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "a hundred times sasl-challenge",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                for _ in 0..100 {
                    let challenge = Bytes::from_static(b"and why");
                    let challenge = SaslFrame::Challenge(SaslChallenge { challenge });
                    client.send_sasl(&challenge).await?;
                }
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "y_002_y_024_a_login_that_fails_ends_the_stream",
        rows: &["Y-002", "Y-024"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome auth, sys, sys-perm and sys-temp, on a connection each",
        expected: "the end of the stream each time",
        play: |client| {
            Box::pin(async move {
                let codes = [
                    SaslCode::Auth,
                    SaslCode::Sys,
                    SaslCode::SysPerm,
                    SaslCode::SysTemp,
                ];
                for code in codes {
                    hold_login(client).await?;
                    client.send_outcome(code).await?;
                    expect_hang_up(client).await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "y_024_an_open_behind_a_login_that_failed_changes_nothing",
        rows: &["Y-024"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome auth, the header of AMQP and open in one segment",
        expected: "the end of the stream, and no begin",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                let mut octets = frames::encode_sasl(&SaslFrame::Outcome(SaslOutcome {
                    code: SaslCode::Auth,
                    additional_data: None,
                }));
                octets.extend_from_slice(&ProtocolHeader::AMQP.to_bytes());
                octets.extend_from_slice(&frames::encode(0, frames::open(), b""));
                client.send_bytes(&octets).await?;
                expect_hang_up(client).await
            })
        },
    },
    Case {
        name: "y_021_t_062_an_outcome_that_there_is_not_lets_nobody_in",
        rows: &["Y-021", "T-062"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome with code 9",
        expected: "the end of the stream",
        play: |client| {
            Box::pin(async move {
                hold_login(client).await?;
                let outcome = b"\0\0\0\x10\x02\x01\0\0\x00\x53\x44\xc0\x03\x01\x50\x09";
                client.send_bytes(outcome).await?;
                expect_hang_up(client).await
            })
        },
    },
];

/// A new connection, and both headers of SASL.
async fn exchange_headers(client: &mut Dialogue) -> Result<(), Stop> {
    client.accept().await?;
    match client.next_header().await? {
        ProtocolHeader::SASL => client.send_bytes(&ProtocolHeader::SASL.to_bytes()).await,
        other => Err(Stop::skip(format!("the client wants {other}"))),
    }
}

/// A new connection up to the client's sasl-init, which is given.
async fn hold_login(client: &mut Dialogue) -> Result<SaslInit, Stop> {
    exchange_headers(client).await?;
    client.offer_mechanisms().await?;
    expect_init(client).await
}

async fn expect_init(client: &mut Dialogue) -> Result<SaslInit, Stop> {
    match client.expect_sasl().await? {
        SaslFrame::Init(init) => Ok(init),
        other => Err(Stop::fail(format!(
            "{} in place of sasl-init",
            other.name()
        ))),
    }
}

/// The stream ends, and nobody tries to log in.
async fn expect_no_init(client: &mut Dialogue) -> Result<(), Stop> {
    match client.expect_sasl().await {
        Ok(frame) => Err(Stop::fail(format!("{} in place of the end", frame.name()))),
        Err(_) => expect_hang_up(client).await,
    }
}

async fn offer(client: &mut Dialogue, mechanisms: &[&'static str]) -> Result<(), Stop> {
    let mechanisms = mechanisms.iter().map(|name| Symbol::from_static(name));
    let offered = SaslMechanisms {
        sasl_server_mechanisms: mechanisms.collect(),
    };
    client.send_sasl(&SaslFrame::Mechanisms(offered)).await
}

/// sasl-mechanisms with one symbol in place of an array.
fn bare_offer(mechanism: &Symbol) -> Vec<u8> {
    let name = mechanism.as_str().as_bytes();
    // A name of a mechanism has twenty octets at most.
    let length = name.len() as u8;
    let head = [0, 0, 0, 16 + length, 2, 1, 0, 0];
    let body = [0x00, 0x53, 0x40, 0xc0, 3 + length, 1, 0xa3, length];
    [head.as_slice(), &body, name].concat()
}
