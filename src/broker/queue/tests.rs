//! What a queue does with messages, message by message.

use super::*;
use crate::codec::{Header, Message, Rejected};

const LIMITS: QueueLimits = QueueLimits {
    messages: 100,
    octets: 1 << 20,
    total_octets: 1 << 20,
};

fn queue() -> Queue {
    Queue::new(LIMITS, Arc::default())
}

fn consumer(queue: &mut Queue, id: ConsumerId, mode: DistributionMode) {
    queue.add_consumer(id, mode, Filters::default(), Arc::default());
}

fn push(queue: &mut Queue, text: &str, header: Header) {
    let message = Message::from(text).with_header(header);
    let payload = message.to_bytes().unwrap();
    let stored = StoredMessage::new(0, payload, 0, Instant::now()).unwrap();
    queue.push(Arc::new(stored), Changes::default());
}

fn offer(queue: &mut Queue, id: ConsumerId) -> Option<(String, Option<Place>, Header)> {
    let now = Instant::now();
    let offer = queue.take(id, now)?;
    let payload = offer.message.with_changes(&offer.changes, now).unwrap();
    let message = Message::decode(payload).unwrap();
    let header = message.header.unwrap_or_default();
    let crate::codec::Body::Value(text) = message.body else {
        panic!("not a value")
    };
    Some((text.as_str().unwrap().to_owned(), offer.place, header))
}

fn text(queue: &mut Queue, id: ConsumerId) -> Option<String> {
    offer(queue, id).map(|(text, ..)| text)
}

#[tokio::test(start_paused = true)]
async fn o_009_o_010_h_007_what_comes_back_keeps_its_place() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    for text in ["a", "b", "c"] {
        push(&mut queue, text, Header::default());
    }
    let (_, a, header) = offer(&mut queue, 1).unwrap();
    assert!(header.first_acquirer); // H-006
    let (_, b, _) = offer(&mut queue, 1).unwrap();
    queue.settle(b.unwrap(), 1, Outcome::Released);
    queue.settle(
        a.unwrap(),
        1,
        Modified {
            delivery_failed: true,
            ..Modified::default()
        }
        .into(),
    );
    let (again, _, header) = offer(&mut queue, 1).unwrap();
    assert_eq!((again.as_str(), header.delivery_count), ("a", 1));
    assert!(!header.first_acquirer);
    let (again, _, header) = offer(&mut queue, 1).unwrap();
    assert_eq!((again.as_str(), header.delivery_count), ("b", 0));
    assert_eq!(text(&mut queue, 1).unwrap(), "c");
    assert_eq!(text(&mut queue, 1), None);
}

#[tokio::test(start_paused = true)]
async fn o_017_a_016_a_017_moving_is_exclusive_and_browsing_sees_each_once() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    consumer(&mut queue, 2, DistributionMode::Move);
    consumer(&mut queue, 3, DistributionMode::Copy);
    push(&mut queue, "a", Header::default());
    push(&mut queue, "b", Header::default());
    assert_eq!(text(&mut queue, 3).unwrap(), "a");
    assert_eq!(text(&mut queue, 3).unwrap(), "b");
    assert_eq!(text(&mut queue, 3), None);
    assert_eq!(text(&mut queue, 1).unwrap(), "a");
    assert_eq!(text(&mut queue, 2).unwrap(), "b");
    assert_eq!(text(&mut queue, 1), None);
    assert_eq!(queue.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn o_011_undeliverable_here_goes_to_others() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    consumer(&mut queue, 2, DistributionMode::Move);
    push(&mut queue, "a", Header::default());
    let (_, place, _) = offer(&mut queue, 1).unwrap();
    let modified = Modified {
        undeliverable_here: true,
        ..Modified::default()
    };
    queue.settle(place.unwrap(), 1, modified.into());
    assert_eq!(text(&mut queue, 1), None);
    assert_eq!(text(&mut queue, 2).unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn h_004_higher_priority_first_and_ten_levels() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    for (text, priority) in [("low", 0), ("default", 4), ("high", 9), ("beyond", 200)] {
        let header = Header {
            priority,
            ..Header::default()
        };
        push(&mut queue, text, header);
    }
    let order: Vec<_> = std::iter::from_fn(|| text(&mut queue, 1)).collect();
    assert_eq!(order, ["high", "beyond", "default", "low"]);
}

#[tokio::test(start_paused = true)]
async fn h_005_what_has_expired_is_gone_and_the_rest_has_less_time() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    for (text, ttl) in [("short", 100), ("long", 10_000)] {
        let header = Header {
            ttl: Some(ttl),
            ..Header::default()
        };
        push(&mut queue, text, header);
    }
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let (text, _, header) = offer(&mut queue, 1).unwrap();
    assert_eq!((text.as_str(), header.ttl), ("long", Some(9000)));
    assert_eq!(queue.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn o_007_rejected_is_a_dead_letter() {
    let mut queue = queue();
    consumer(&mut queue, 1, DistributionMode::Move);
    push(&mut queue, "a", Header::default());
    let (_, place, _) = offer(&mut queue, 1).unwrap();
    let error = AmqpError::new(crate::codec::condition::DECODE_ERROR, "what?");
    let rejected = Rejected::new(error.clone()).into();
    let dead = queue.settle(place.unwrap(), 1, rejected).unwrap();
    assert_eq!(dead.changes.rejected(), Some(&error));
    assert_eq!(dead.changes.failures, 1);
    assert_eq!((queue.len(), queue.octets()), (0, 0));
}
