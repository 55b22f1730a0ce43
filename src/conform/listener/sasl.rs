//! The SASL layer [5.3].

use crate::codec::sasl::{SaslCode, SaslFrame, SaslInit, SaslOutcome};
use crate::codec::{ProtocolHeader, Symbol, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames, plain};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "y_008_y_013_y_016_mechanisms_follow_the_header",
        rows: &["Y-008", "Y-013", "Y-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "the header of SASL",
        expected: "the same header, and sasl-mechanisms with one mechanism or more",
        play: |peer| {
            Box::pin(async move {
                match peer.greet_sasl().await?.is_empty() {
                    true => Err(Stop::fail("sasl-mechanisms without a mechanism")),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "y_001_y_023_after_the_login_amqp_begins_with_a_header_of_its_own",
        rows: &["Y-001", "Y-023"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "a login, then the header of AMQP and open",
        expected: "sasl-outcome ok, then the header of AMQP and open",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let login = peer.login();
                log_in_with(peer, &login).await
            })
        },
    },
    Case {
        name: "y_009_the_channel_of_a_sasl_frame_is_ignored",
        rows: &["Y-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-init with octets 6 and 7 of the frame's header set",
        expected: "sasl-outcome ok",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let login = peer.login();
                let mut octets = frames::encode_sasl(&login);
                (octets[6], octets[7]) = (0xca, 0xfe);
                peer.send_secretly(login.name(), &octets).await?;
                expect_outcome(peer, SaslCode::Ok).await
            })
        },
    },
    Case {
        name: "y_011_an_empty_sasl_frame_is_fatal",
        rows: &["Y-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "a SASL frame without a body, in place of sasl-init",
        expected: "the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                peer.send_bytes(b"\0\0\0\x08\x02\x01\0\0").await?;
                peer.expect_eof().await
            })
        },
    },
    Case {
        name: "y_012_y_026_an_amqp_frame_before_the_login_is_fatal",
        rows: &["Y-012", "Y-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "open in place of sasl-init",
        expected: "the end of the stream, and no open",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                peer.send_on(0, frames::open()).await?;
                peer.expect_no_open().await
            })
        },
    },
    Case {
        name: "y_012_a_sasl_frame_after_the_login_is_fatal",
        rows: &["Y-012"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "sasl-init on a connection that is open",
        expected: "close with an error, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let init = SaslFrame::Init(SaslInit {
                    mechanism: Symbol::from_static("ANONYMOUS"),
                    initial_response: None,
                    hostname: None,
                });
                peer.send_sasl(&init).await?;
                let conditions = [condition::FRAMING_ERROR, condition::DECODE_ERROR];
                peer.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "y_015_a_frame_of_the_other_side_is_fatal",
        rows: &["Y-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-outcome ok from the client, then the header of AMQP and open",
        expected: "the end of the stream, and no open",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let outcome = SaslFrame::Outcome(SaslOutcome {
                    code: SaslCode::Ok,
                    additional_data: None,
                });
                peer.send_sasl(&outcome).await?;
                force_open(peer).await
            })
        },
    },
    Case {
        name: "y_018_a_mechanism_that_was_not_offered_fails",
        rows: &["Y-018"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "sasl-init with the mechanism NO-SUCH-THING, then the header of AMQP and open",
        expected: "sasl-outcome other than ok, or the end of the stream; no open",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let init = SaslFrame::Init(SaslInit {
                    mechanism: Symbol::from_static("NO-SUCH-THING"),
                    initial_response: None,
                    hostname: None,
                });
                peer.send_sasl(&init).await?;
                force_open(peer).await
            })
        },
    },
    Case {
        name: "y_018_y_021_a_mechanism_that_was_not_offered_is_answered_with_an_outcome",
        rows: &["Y-018", "Y-021"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "sasl-init with the mechanism NO-SUCH-THING",
        expected: "sasl-outcome auth",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let init = SaslFrame::Init(SaslInit {
                    mechanism: Symbol::from_static("NO-SUCH-THING"),
                    initial_response: None,
                    hostname: None,
                });
                peer.send_sasl(&init).await?;
                expect_outcome(peer, SaslCode::Auth).await
            })
        },
    },
    Case {
        name: "y_002_y_021_y_026_a_wrong_password_lets_nobody_in",
        rows: &["Y-002", "Y-021", "Y-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "PLAIN with a password that nobody has, the header of AMQP and open, in one segment",
        expected: "sasl-outcome other than ok, then the end of the stream; no open",
        play: |peer| {
            Box::pin(async move {
                offered_plain(peer).await?;
                peer.send_sasl(&plain("nobody", "5f0c1e")).await?;
                force_open(peer).await
            })
        },
    },
    Case {
        name: "y_028_a_malformed_plain_response_lets_nobody_in",
        rows: &["Y-028"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "PLAIN with an initial response without a NUL, then the header of AMQP and open",
        expected: "sasl-outcome other than ok, or the end of the stream; no open",
        play: |peer| {
            Box::pin(async move {
                offered_plain(peer).await?;
                let init = SaslFrame::Init(SaslInit {
                    mechanism: Symbol::from_static("PLAIN"),
                    initial_response: Some(b"nobody".as_slice().into()),
                    hostname: None,
                });
                peer.send_sasl(&init).await?;
                force_open(peer).await
            })
        },
    },
    Case {
        name: "y_027_anonymous_needs_no_trace",
        rows: &["Y-027"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Sasl],
        stimulus: "ANONYMOUS with an empty initial response, where it is offered",
        expected: "sasl-outcome ok, then the header of AMQP and open",
        play: |peer| {
            Box::pin(async move {
                let anonymous = Symbol::from_static("ANONYMOUS");
                if !peer.greet_sasl().await?.contains(&anonymous) {
                    return Err(Stop::skip("the listener does not offer ANONYMOUS"));
                }
                let init = SaslFrame::Init(SaslInit {
                    mechanism: anonymous,
                    initial_response: Some(b"".as_slice().into()),
                    hostname: None,
                });
                log_in_with(peer, &init).await
            })
        },
    },
    Case {
        name: "y_025_everything_up_to_the_open_may_come_in_one_segment",
        rows: &["Y-025"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Sasl],
        stimulus: "the headers of SASL and AMQP, sasl-init and open in one segment",
        expected: "both headers, sasl-mechanisms, sasl-outcome ok and open",
        play: |peer| {
            Box::pin(async move {
                peer.greet_sasl().await?;
                let login = peer.login();
                let mut all = ProtocolHeader::SASL.to_bytes().to_vec();
                all.extend_from_slice(&frames::encode_sasl(&login));
                all.extend_from_slice(&ProtocolHeader::AMQP.to_bytes());
                all.extend_from_slice(&frames::encode(0, frames::open(), b""));
                peer.connect().await?;
                peer.send_secretly("all up to open", &all).await?;
                peer.expect_header(ProtocolHeader::SASL).await?;
                peer.expect_mechanisms().await?;
                expect_outcome(peer, SaslCode::Ok).await?;
                peer.expect_header(ProtocolHeader::AMQP).await?;
                peer.expect_open().await.map(drop)
            })
        },
    },
];

async fn expect_outcome(peer: &mut Dialogue, wanted: SaslCode) -> Result<(), Stop> {
    match peer.expect_outcome().await? {
        code if code == wanted => Ok(()),
        code => Err(Stop::fail(format!("sasl-outcome {code:?}"))),
    }
}

/// The listener offers PLAIN, and there is somebody to log in: where everybody may, no password is wrong.
async fn offered_plain(peer: &mut Dialogue) -> Result<(), Stop> {
    if !peer.has_login() {
        return Err(Stop::skip(
            "no user is known, so that any password may be right",
        ));
    }
    let offered = peer.greet_sasl().await?;
    match offered.contains(&Symbol::from_static("PLAIN")) {
        true => Ok(()),
        false => Err(Stop::skip("the listener does not offer PLAIN")),
    }
}

async fn log_in_with(peer: &mut Dialogue, init: &SaslFrame) -> Result<(), Stop> {
    peer.send_sasl(init).await?;
    expect_outcome(peer, SaslCode::Ok).await?;
    peer.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
    peer.send_on(0, frames::open()).await?;
    peer.expect_header(ProtocolHeader::AMQP).await?;
    peer.expect_open().await.map(drop)
}

/// Goes on as if the login had succeeded.
async fn force_open(peer: &mut Dialogue) -> Result<(), Stop> {
    peer.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
    peer.send_on(0, frames::open()).await?;
    peer.expect_no_open().await
}
