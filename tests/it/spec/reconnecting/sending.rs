use super::*;

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_while_the_link_is_attached_leaves_it_to_the_next() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let first = send(&sender, "a");
    let asked = peer.expect_attach().await;
    first.abort();
    let second = send(&sender, "b");
    tokio::task::yield_now().await;
    peer.send(peer::answer_to(&asked)).await;
    peer.grant(0, 10).await;
    let transfer = expect_text(&mut peer, "b").await;
    accept(&mut peer, &transfer).await;
    assert!(second.await.unwrap().unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_while_messages_are_sent_again_leaves_the_link_to_the_next() {
    let (mut peers, sender, mut sendings, _) = lost(&["a", "b"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    answer_without_credit(&mut peer, None).await;
    tokio::time::sleep(SOON).await;
    sendings.remove(0).abort();
    let third = send(&sender, "c");
    tokio::time::sleep(SOON).await;
    peer.grant(0, 10).await;
    // The task had begun to send the first one.
    for text in ["a", "b", "c"] {
        let transfer = expect_text(&mut peer, text).await;
        accept(&mut peer, &transfer).await;
    }
    assert!(sendings.remove(0).await.unwrap().unwrap().is_accepted());
    assert!(third.await.unwrap().unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_polled_holds_up_nobody() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let mut first = begun(sender.send("a"));
    let second = send(&sender, "b");
    answer(&mut peer, None).await;
    let transfer = expect_text(&mut peer, "b").await;
    accept(&mut peer, &transfer).await;
    let second = timeout(SOON, second).await.expect("is held up by nobody");
    assert!(second.unwrap().unwrap().is_accepted());
    let accepted = async {
        let transfer = expect_text(&mut peer, "a").await;
        accept(&mut peer, &transfer).await;
    };
    let (first, ()) = tokio::join!(&mut first, accepted);
    assert!(first.unwrap().is_accepted());
}

/// The peer takes each attach and ends the link `after` that; how often, and how long the attempts take, is bounded.
async fn ends_soon(after: Duration) {
    let options = ReconnectOptions::default().max_attempts(3);
    let (_peers, mut peer, connection) = connected(options).await;
    let sender = connection.sender("node", SenderOptions::default());
    let start = Instant::now();
    let sending = send(&sender, "a");
    for _ in 0..4 {
        let asked = peer.expect_attach().await;
        peer.send(peer::answer_to(&asked)).await;
        tokio::time::sleep(after).await;
        peer.send(peer::detach_with(busy())).await;
        peer.expect_detach().await;
    }
    let failed = sending.await.unwrap().unwrap_err();
    assert_eq!(failed.remote_error(), Some(&busy()), "{failed}");
    let taken = start.elapsed() - 4 * after;
    let pauses = Duration::from_millis(200 + 400 + 800);
    assert!(taken >= pauses.mul_f64(0.8), "{taken:?}");
    assert!(taken <= pauses.mul_f64(1.3), "{taken:?}");
    peer.expect_nothing().await;
    // The next one begins anew.
    let sending = send(&sender, "b");
    answer(&mut peer, None).await;
    let transfer = expect_text(&mut peer, "b").await;
    accept(&mut peer, &transfer).await;
    assert!(sending.await.unwrap().unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_ends_as_soon_as_it_is_attached_is_attached_with_pauses_and_not_for_ever() {
    for after in [Duration::ZERO, Duration::from_millis(10), SOON] {
        ends_soon(after).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_makes_the_attempts_begin_anew() {
    let options = ReconnectOptions::default().max_attempts(1);
    let (_peers, mut peer, connection) = connected(options).await;
    let sender = connection.sender("node", SenderOptions::default());
    for _ in 0..5 {
        let sending = send(&sender, "a");
        answer(&mut peer, None).await;
        let transfer = expect_text(&mut peer, "a").await;
        accept(&mut peer, &transfer).await;
        assert!(sending.await.unwrap().unwrap().is_accepted());
        peer.send(peer::detach_with(busy())).await;
        peer.expect_detach().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_hinders_one_message_alone_is_told_to_who_sent_it() {
    let texts = ["far too long for the next one", "short"];
    let (mut peers, sender, mut sendings, _) = lost(&texts, ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        max_message_size: Some(20),
        ..peer::answer_to(&asked)
    })
    .await;
    peer.grant(0, 10).await;
    let transfer = expect_text(&mut peer, "short").await;
    accept(&mut peer, &transfer).await;
    let failed = sendings.remove(0).await.unwrap().unwrap_err();
    assert!(
        matches!(
            failed,
            ReconnectError::Send(SendError::MessageTooLarge { .. })
        ),
        "{failed}"
    );
    assert!(sendings.remove(0).await.unwrap().unwrap().is_accepted());
    let third = send(&sender, "third");
    let transfer = expect_text(&mut peer, "third").await;
    accept(&mut peer, &transfer).await;
    assert!(third.await.unwrap().unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn l_038_a_peer_whose_map_stays_incomplete_fails_the_messages_that_it_does_not_name() {
    let (mut peers, _sender, mut sendings, _) = lost(&["a"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    for round in 0..2 {
        let asked = peer.expect_attach().await;
        peer.send(Attach {
            unsettled: Some(UnsettledMap::default()),
            incomplete_unsettled: true,
            ..peer::answer_to(&asked)
        })
        .await;
        peer.grant(0, 10).await;
        if round == 0 {
            assert!(!peer.answer_detach().await.closed);
        }
    }
    let failed = sendings.remove(0).await.unwrap().unwrap_err();
    assert!(
        matches!(failed, ReconnectError::Send(SendError::OnlyResumed)),
        "{failed}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_names_its_delivery_or_its_state_is_refused() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let tag = DeliveryTag::try_from(&b"mine"[..]).unwrap();
    let named = OutgoingMessage::from("a").with_delivery_tag(tag);
    let stated = OutgoingMessage::from("a").with_state(Outcome::Accepted);
    for message in [named, stated, OutgoingMessage::aborted(tag)] {
        let failed = sender.send(message.clone()).await.unwrap_err();
        assert!(matches!(failed, ReconnectError::TagOrState), "{failed}");
        let failed = sender.send_settled(message).await.unwrap_err();
        assert!(!failed.is_retryable());
    }
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn dropped_before_it_resolves_nothing_was_sent() {
    let (mut peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let first = send(&sender, "a");
    let asked = answer_without_credit(&mut peer, None).await;
    peer.grant(0, 1).await;
    let transfer = expect_text(&mut peer, "a").await;
    accept(&mut peer, &transfer).await;
    assert!(first.await.unwrap().unwrap().is_accepted());
    // It waits for credit, is not polled, and its link is lost and attached again for another one meanwhile.
    let waiting = begun(sender.send_with_receipt("b"));
    let kept = begun(sender.send_with_receipt("c"));
    peer.hang_up();
    let other = send(&sender, "d");
    let mut peer = peers.next().await;
    assert_eq!(answer(&mut peer, None).await.name, asked.name);
    let transfer = expect_text(&mut peer, "d").await;
    accept(&mut peer, &transfer).await;
    assert!(other.await.unwrap().unwrap().is_accepted());
    drop(waiting);
    peer.expect_nothing().await;
    // The one that was kept goes on, and is sent once.
    let receipt = kept.await.unwrap();
    let transfer = expect_text(&mut peer, "c").await;
    accept(&mut peer, &transfer).await;
    assert!(receipt.await.unwrap().is_accepted());
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn d_026_what_had_its_outcome_before_the_loss_is_not_sent_again_though_nobody_read_it() {
    let (mut peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let (receipts, ()) = tokio::join!(
        async {
            let first = sender.send_with_receipt("a").await.unwrap();
            let second = sender.send_with_receipt("b").await.unwrap();
            let third = sender.send_with_receipt("c").await.unwrap();
            [first, second, third]
        },
        async {
            answer(&mut peer, None).await;
        }
    );
    let transfer = expect_text(&mut peer, "a").await;
    accept(&mut peer, &transfer).await;
    for lost in ["b", "c"] {
        expect_text(&mut peer, lost).await;
    }
    tokio::time::sleep(SOON).await;
    peer.hang_up();
    // Nobody polls a receipt; whoever comes next has what was lost sent again, in its order.
    let last = send(&sender, "d");
    let mut peer = peers.next().await;
    let ours = answer(&mut peer, None).await.unsettled.unwrap();
    assert_eq!(ours.0.len(), 2);
    for text in ["b", "c", "d"] {
        let transfer = expect_text(&mut peer, text).await;
        accept(&mut peer, &transfer).await;
    }
    assert!(last.await.unwrap().unwrap().is_accepted());
    for mut receipt in receipts {
        assert!((&mut receipt).await.unwrap().is_accepted());
        assert!(receipt.await.is_err(), "read twice");
    }
}

#[tokio::test(start_paused = true)]
async fn r_012_what_nobody_waits_for_any_more_is_given_up_when_the_peer_names_it() {
    let (mut peers, sender, mut sendings, tags) =
        lost(&["a", "b"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    let asked = peer.expect_attach().await;
    assert_eq!(asked.unsettled.as_ref().unwrap().0.len(), 2);
    sendings.remove(0).abort();
    tokio::task::yield_now().await;
    let map = tags.iter().map(|tag| (*tag, None)).collect();
    peer.send(Attach {
        unsettled: Some(UnsettledMap(map)),
        ..peer::answer_to(&asked)
    })
    .await;
    peer.grant(0, 10).await;
    let (aborted, _) = peer.expect_transfer().await;
    assert!(aborted.aborted && aborted.resume);
    assert_eq!(aborted.delivery_tag, Some(tags[0]));
    let transfer = expect_text(&mut peer, "b").await;
    assert!(transfer.resume);
    accept(&mut peer, &transfer).await;
    assert!(sendings.remove(0).await.unwrap().unwrap().is_accepted());
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn a_settled_message_waits_for_a_link() {
    let (mut peers, sender, sendings, _) = lost(&["a"], ReconnectOptions::default()).await;
    sendings[0].abort();
    let settled = sender.clone();
    let settled = tokio::spawn(async move { settled.send_settled("b").await });
    let mut peer = peers.next().await;
    answer(&mut peer, None).await;
    let transfer = expect_text(&mut peer, "b").await;
    assert_eq!(transfer.settled, Some(true));
    settled.await.unwrap().unwrap();
}

#[test]
fn an_error_says_each_cause_once() {
    let url = amqp10::Url::parse("amqp://").unwrap_err();
    let error = ReconnectError::from(amqp10::ConnectError::from(url.clone()));
    assert!(error.to_string().contains(&url.to_string()));
    assert!(std::error::Error::source(&error).is_none());
}
