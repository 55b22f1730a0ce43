use super::*;

use amqp10::Delivery;
use futures_core::Stream;

fn settled(id: u32) -> Transfer {
    Transfer {
        settled: Some(true),
        ..peer::transfer(id)
    }
}

/// The receiver's next link is attached, with credit.
async fn attach(peer: &mut Peer, unsettled: Option<UnsettledMap>) -> Attach {
    let asked = answer(peer, unsettled).await;
    peer.expect_flow().await;
    asked
}

#[tokio::test(start_paused = true)]
async fn a_028_z_053_a_wait_given_up_while_a_subscription_is_attached_does_not_end_it() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let receiver = connection.receiver("topic", durable());
    let receiving = receive(&receiver);
    let asked = peer.expect_attach().await;
    receiving.abort();
    tokio::task::yield_now().await;
    peer.send(peer::answer_to(&asked)).await;
    peer.expect_flow().await;
    peer.expect_nothing().await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    assert_eq!(text(&receiver.recv().await.unwrap()), "a");
}

#[tokio::test(start_paused = true)]
async fn what_had_arrived_settled_is_handed_out_though_its_link_is_lost() {
    let (mut peers, mut peer, receiver) = receiver(ReceiverOptions::default()).await;
    deliver(&mut peer, settled(0), "a").await;
    deliver(&mut peer, peer::transfer(1), "comes again").await;
    deliver(&mut peer, settled(2), "b").await;
    tokio::time::sleep(SOON).await;
    peer.hang_up();
    tokio::time::sleep(SOON).await;
    // Before there is a new link.
    assert_eq!(text(&receiver.recv().await.unwrap()), "a");
    let batch = receiver.recv_batch(10, SOON).await.unwrap();
    assert_eq!(batch.iter().map(text).collect::<Vec<_>>(), ["b"]);
    let receiving = receive(&receiver);
    let mut peer = peers.next().await;
    attach(&mut peer, None).await;
    deliver(&mut peer, peer::transfer(0), "comes again").await;
    assert_eq!(text(&receiving.await.unwrap().unwrap()), "comes again");
}

fn in_two_steps() -> ReceiverOptions {
    ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second)
}

/// The sender confirms one delivery.
async fn confirm(peer: &mut Peer, id: u32) {
    peer.send(amqp10::codec::Disposition {
        role: amqp10::Role::Sender,
        ..peer::accept_one(id)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn r_003_a_tag_that_was_used_again_does_not_accept_the_message_that_nobody_saw() {
    let (mut peers, mut peer, receiver) = receiver(in_two_steps()).await;
    deliver(&mut peer, peer::transfer(0), "seen").await;
    let delivery = receiver.recv().await.unwrap();
    let tag = delivery.delivery_tag();
    drop(begun(delivery.accept_confirmed()));
    peer.expect_disposition().await;
    confirm(&mut peer, 0).await;
    let again = Transfer {
        delivery_tag: Some(tag),
        ..peer::transfer(1)
    };
    deliver(&mut peer, again, "not seen").await;
    tokio::time::sleep(SOON).await;
    peer.hang_up();
    let receiving = receive(&receiver);
    let mut peer = peers.next().await;
    let ours = attach(&mut peer, Some(UnsettledMap(vec![(tag, None)]))).await;
    assert_eq!(ours.unsettled.unwrap().0, []);
    let again = Transfer {
        delivery_tag: Some(tag),
        ..peer::transfer(0)
    };
    deliver(&mut peer, again, "not seen").await;
    assert_eq!(text(&receiving.await.unwrap().unwrap()), "not seen");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_an_earlier_attachment_cannot_be_accepted_any_more() {
    let (mut peers, mut peer, receiver) = receiver(in_two_steps()).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    let old = receiver.recv().await.unwrap();
    peer.hang_up();
    let receiving = receive(&receiver);
    let mut peer = peers.next().await;
    attach(&mut peer, None).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    let new = receiving.await.unwrap().unwrap();
    assert_eq!(new.delivery_tag(), old.delivery_tag());
    assert!(old.accept_confirmed().await.is_err());
    peer.hang_up();
    let _receiving = receive(&receiver);
    let mut peer = peers.next().await;
    let ours = attach(&mut peer, None).await;
    assert_eq!(ours.unsettled.unwrap().0, [], "nobody accepted the new one");
}

#[tokio::test(start_paused = true)]
async fn r_013_an_outcome_that_is_not_confirmed_is_stated_until_it_is() {
    let (mut peers, mut peer, receiver) = receiver(in_two_steps()).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    let delivery = receiver.recv().await.unwrap();
    delivery.reject(None).unwrap();
    peer.expect_disposition().await;
    let tag = delivery.delivery_tag();
    let rejected = Outcome::Rejected(Default::default());
    for _ in 0..2 {
        // The sender names it, but does not come to resume it.
        peer.hang_up();
        let _receiving = receive(&receiver);
        peer = peers.next().await;
        let ours = attach(&mut peer, Some(UnsettledMap(vec![(tag, None)]))).await;
        let stated = ours.unsettled.unwrap().0;
        assert_eq!(stated, [(tag, Some(DeliveryState::from(rejected.clone())))]);
    }
    // The sender does not name it any more: it has settled.
    peer.hang_up();
    let _receiving = receive(&receiver);
    let mut peer = peers.next().await;
    attach(&mut peer, None).await;
    peer.hang_up();
    let mut peer = peers.next().await;
    let ours = attach(&mut peer, None).await;
    assert_eq!(ours.unsettled.unwrap().0, []);
}

#[tokio::test(start_paused = true)]
async fn to_try_is_to_begin_to_attach() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let receiver = connection.receiver("node", ReceiverOptions::default());
    assert!(receiver.try_recv().unwrap().is_none());
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        source: None,
        ..peer::answer_to(&asked)
    })
    .await;
    let gone = AmqpError::new(condition::NOT_FOUND, "no such node");
    peer.send(peer::detach_with(gone.clone())).await;
    peer.expect_detach().await;
    tokio::time::sleep(SOON).await;
    let failed = receiver.try_recv().unwrap_err();
    assert_eq!(failed.remote_error(), Some(&gone), "{failed}");
    assert!(receiver.try_recv().unwrap().is_none(), "told once");
    attach(&mut peer, None).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    tokio::time::sleep(SOON).await;
    assert_eq!(text(&receiver.try_recv().unwrap().unwrap()), "a");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_what_came_in_time_also_if_there_was_no_link() {
    let (mut peers, peer, receiver) = receiver(ReceiverOptions::default()).await;
    peer.hang_up();
    let start = Instant::now();
    assert_eq!(receiver.recv_batch(2, SOON).await.unwrap().len(), 0);
    assert_eq!(start.elapsed(), SOON);
    let mut peer = peers.next().await;
    let (batch, ()) = tokio::join!(receiver.recv_batch(2, SOON), async {
        attach(&mut peer, None).await;
        deliver(&mut peer, peer::transfer(0), "a").await;
        deliver(&mut peer, peer::transfer(1), "b").await;
    });
    assert_eq!(batch.unwrap().len(), 2);
}

async fn next(
    stream: &mut (impl Stream<Item = Result<Delivery, ReconnectError>> + Unpin),
) -> Option<Result<Delivery, ReconnectError>> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_a_loss_and_ends_with_the_link() {
    let (mut peers, mut peer, receiver) = receiver(ReceiverOptions::default()).await;
    let mut stream = receiver.stream();
    deliver(&mut peer, peer::transfer(0), "a").await;
    assert_eq!(text(&next(&mut stream).await.unwrap().unwrap()), "a");
    peer.hang_up();
    let (delivery, mut peer) = tokio::join!(next(&mut stream), async {
        let mut peer = peers.next().await;
        attach(&mut peer, None).await;
        deliver(&mut peer, peer::transfer(0), "b").await;
        peer
    });
    assert_eq!(text(&delivery.unwrap().unwrap()), "b");
    let (closed, _) = tokio::join!(receiver.close(), async {
        while !matches!(
            peer.expect().await.1,
            amqp10::codec::Performative::Detach(_)
        ) {}
        peer.send(peer::detach()).await;
    });
    closed.unwrap();
    assert!(matches!(
        next(&mut stream).await,
        Some(Err(ReconnectError::Closed))
    ));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_for_good_is_told_once_and_the_next_operation_begins_anew() {
    let (_peers, mut peer, receiver) = receiver(ReceiverOptions::default()).await;
    let receiving = receive(&receiver);
    tokio::task::yield_now().await;
    let gone = AmqpError::new(condition::RESOURCE_DELETED, "the queue was deleted");
    peer.send(peer::detach_with(gone.clone())).await;
    peer.expect_detach().await;
    let failed = receiving.await.unwrap().unwrap_err();
    assert_eq!(failed.remote_error(), Some(&gone));
    let start = Instant::now();
    let receiving = receive(&receiver);
    attach(&mut peer, None).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    deliver(&mut peer, peer::transfer(0), "a").await;
    assert_eq!(text(&receiving.await.unwrap().unwrap()), "a");
}
