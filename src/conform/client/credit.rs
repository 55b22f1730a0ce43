//! Link credit [2.6.7].

use crate::conform::case::{Case, Level, Need, Side};

pub(super) const CASES: &[Case] = &[Case {
    name: "k_006_a_sender_sends_no_more_than_its_credit",
    rows: &["K-006"],
    side: Side::Client,
    level: Level::Must,
    needs: &[Need::Sender],
    stimulus: "credit for two deliveries, and no more",
    expected: "two deliveries, and no third",
    play: |client| {
        Box::pin(async move {
            client.open().await?;
            let link = client.accept_sender().await?;
            let from = link.remote.initial_delivery_count.unwrap_or(0);
            client.grant(&link, from, 2).await?;
            client.accept_delivery().await?;
            client.accept_delivery().await?;
            client.expect_silence().await
        })
    },
}];
