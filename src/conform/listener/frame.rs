//! Frames [2.3].

use crate::codec::condition;
use crate::conform::case::{Case, Level, Side};

pub(super) const CASES: &[Case] = &[Case {
    name: "f_002_a_size_below_the_header_is_a_framing_error",
    rows: &["F-002"],
    side: Side::Listener,
    level: Level::Must,
    needs: &[],
    stimulus: "a frame whose size field says 7 octets",
    expected: "close with amqp:connection:framing-error, then the end of the stream",
    play: |peer| {
        Box::pin(async move {
            peer.open().await?;
            peer.send_bytes(b"\0\0\0\x07\x02\0\0\0").await?;
            peer.expect_close_with(&[condition::FRAMING_ERROR]).await
        })
    },
}];
