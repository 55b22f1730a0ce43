//! What a queue does with messages, message by message.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::codec::{Described, FilterSet, Header, Message, Rejected, Symbol};

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

/// A consumer that waits for messages, and its bell.
fn idle_consumer(queue: &mut Queue, id: ConsumerId, filters: Filters) -> Arc<Bell> {
    let bell = Arc::new(Bell::default());
    queue.add_consumer(id, DistributionMode::Move, filters, Arc::clone(&bell));
    assert_eq!(text(queue, id), None);
    bell
}

/// Numbers of those whose bell rang since it was asked last.
fn rung(bells: &[Arc<Bell>]) -> Vec<ConsumerId> {
    let has_rung = |bell: &Bell| {
        let mut context = Context::from_waker(Waker::noop());
        pin!(bell.rung()).poll(&mut context).is_ready()
    };
    (1..)
        .zip(bells)
        .filter(|(_, bell)| has_rung(bell))
        .map(|(id, _)| id)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn one_message_wakes_one_of_a_thousand_idle_consumers_in_turn() {
    let mut queue = queue();
    let bells: Vec<_> = (1..=1000)
        .map(|id| idle_consumer(&mut queue, id, Filters::default()))
        .collect();
    for expected in 1..=3 {
        push(&mut queue, "a", Header::default());
        assert_eq!(rung(&bells), [expected]);
    }
    for id in 1..=3 {
        assert_eq!(text(&mut queue, id).unwrap(), "a");
    }
    push(&mut queue, "b", Header::default());
    assert_eq!(rung(&bells), [4]);
    let (_, place, _) = offer(&mut queue, 4).unwrap();
    queue.settle(place.unwrap(), 4, Outcome::Released);
    assert_eq!(rung(&bells), [5], "what comes back is one message, too");
}

#[tokio::test(start_paused = true)]
async fn who_was_told_and_cannot_take_the_message_has_another_told() {
    let mut queue = queue();
    let bells: Vec<_> = (1..=4)
        .map(|id| idle_consumer(&mut queue, id, Filters::default()))
        .collect();
    push(&mut queue, "a", Header::default());
    assert_eq!(rung(&bells), [1]);
    assert!(
        queue.decline(1, Instant::now()),
        "it is there if credit comes"
    );
    assert_eq!(rung(&bells), [2]);
    queue.remove_consumer(2);
    assert_eq!(rung(&bells), [3]);
    queue.remove_consumer(4);
    assert_eq!(
        rung(&bells),
        [] as [ConsumerId; 0],
        "who was not told is not missed"
    );
    assert_eq!(text(&mut queue, 3).unwrap(), "a");
    queue.remove_consumer(3);
    assert_eq!(rung(&bells), [] as [ConsumerId; 0], "it has looked");
}

#[tokio::test(start_paused = true)]
async fn a_message_told_of_is_passed_on_although_an_earlier_one_was_taken() {
    let mut queue = queue();
    let none = || Filters::default();
    idle_consumer(&mut queue, 9, none());
    push(&mut queue, "early", Header::default());
    let (_, early, _) = offer(&mut queue, 9).unwrap();
    let bells: Vec<_> = (1..=2)
        .map(|id| idle_consumer(&mut queue, id, none()))
        .collect();
    push(&mut queue, "late", Header::default());
    assert_eq!(rung(&bells), [1]);
    queue.settle(early.unwrap(), 9, Outcome::Released);
    assert_eq!(rung(&bells), [2]);
    assert_eq!(text(&mut queue, 1).unwrap(), "early");
    let (_, late, _) = offer(&mut queue, 2).unwrap();
    assert_eq!(text(&mut queue, 2), None, "the second one is idle again");
    queue.settle(late.unwrap(), 2, Outcome::Released);
    assert_eq!(rung(&bells), [2]);
    queue.decline(2, Instant::now());
    assert_eq!(
        rung(&bells),
        [] as [ConsumerId; 0],
        "the first one has not looked again"
    );
    assert_eq!(text(&mut queue, 1).unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn only_those_are_told_whom_the_message_is_for() {
    let mut queue = queue();
    let none_wanted = || {
        let selector = Described {
            descriptor: Symbol::from_static("apache.org:selector-filter:string").into(),
            value: "1 = 2".into(),
        };
        let asked = FilterSet::new().with(Symbol::from_static("selector"), selector);
        Filters::parse(&asked, 1).unwrap().0
    };
    let filters = [none_wanted(), Filters::default(), none_wanted()];
    let bells: Vec<_> = (1..)
        .zip(filters)
        .map(|(id, filters)| idle_consumer(&mut queue, id, filters))
        .collect();
    push(&mut queue, "a", Header::default());
    assert_eq!(rung(&bells), [2]);
    assert!(!queue.decline(1, Instant::now()));
    let (_, place, _) = offer(&mut queue, 2).unwrap();
    let modified = Modified {
        undeliverable_here: true,
        ..Modified::default()
    };
    queue.settle(place.unwrap(), 2, modified.into());
    assert_eq!(rung(&bells), [] as [ConsumerId; 0]);
    consumer(&mut queue, 4, DistributionMode::Move);
    assert_eq!(text(&mut queue, 4).unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_017_all_who_browse_are_told_of_what_is_new_to_them() {
    let mut queue = queue();
    let mut bells = Vec::new();
    for id in 1..=2 {
        let bell = Arc::new(Bell::default());
        queue.add_consumer(
            id,
            DistributionMode::Copy,
            Filters::default(),
            Arc::clone(&bell),
        );
        assert_eq!(text(&mut queue, id), None);
        bells.push(bell);
    }
    bells.push(idle_consumer(&mut queue, 3, Filters::default()));
    push(&mut queue, "a", Header::default());
    assert_eq!(rung(&bells), [1, 2, 3]);
    for id in 1..=2 {
        assert_eq!(text(&mut queue, id).unwrap(), "a");
        assert_eq!(text(&mut queue, id), None);
    }
    let (_, place, _) = offer(&mut queue, 3).unwrap();
    queue.settle(place.unwrap(), 3, Outcome::Released);
    assert_eq!(
        rung(&bells),
        [] as [ConsumerId; 0],
        "they have seen it; the third one serves"
    );
}
