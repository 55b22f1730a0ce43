//! The protocol header [2.2].

use crate::conform::case::{Case, Level, Side};

pub(super) const CASES: &[Case] = &[Case {
    name: "v_006_v_007_an_unsupported_version_is_answered_with_a_supported_one",
    rows: &["V-006", "V-007"],
    side: Side::Listener,
    level: Level::Must,
    needs: &[],
    stimulus: "the header of AMQP 2.0.0",
    expected: "a header of a version 1.0.0, then the end of the stream",
    play: |peer| {
        Box::pin(async move {
            peer.connect().await?;
            peer.send_bytes(b"AMQP\x00\x02\x00\x00").await?;
            peer.expect_supported_header().await?;
            peer.expect_eof().await
        })
    },
}];
