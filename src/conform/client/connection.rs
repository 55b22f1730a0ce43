//! Connections [2.4].

use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::frames;

pub(super) const CASES: &[Case] = &[Case {
    name: "c_026_c_027_a_client_closes_and_waits_for_the_answer",
    rows: &["C-026", "C-027"],
    side: Side::Client,
    level: Level::Must,
    needs: &[Need::Close],
    stimulus: "service as of any broker, and no answer to the close for a while",
    expected: "close is the last thing that is said",
    play: |client| {
        Box::pin(async move {
            client.open().await?;
            client.serve_until_close().await?;
            if !client.expect_last_word().await? {
                return Err(Stop::Remark("the stream ended without waiting".to_owned()));
            }
            client.send_on(0, frames::close()).await?;
            client.expect_eof().await
        })
    },
}];
