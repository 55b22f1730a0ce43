//! Links on which a peer publishes (Event Hubs).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::event::{self, BatchError, NewEvent};
use super::faults::{self, LinkFaults, Verdict};
use super::link::{idle_too_long, within};
use super::log::{Numbers, Publication};
use super::namespace::{Destination, Namespace};
use super::partition::{Partition, Storing};
use super::producer_seat::ProducerSeat;
use crate::codec::{AmqpError, Annotations, Str, condition};
use crate::eventhubs::wire::{
    self, BATCH_MESSAGE_FORMAT, MAX_PARTITION_KEY_LENGTH, annotation, property,
};
use crate::{Delivery, Receiver};

/// What a publisher's link leads to.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) destination: Destination,
    /// The name on the events, for a link to `{hub}/Publishers/{name}`.
    pub(crate) name: Option<Str>,
    /// For a producer that numbers its events.
    pub(crate) producer: Option<ProducerSeat>,
}

/// Most messages of one link that are being written at a time; the peer's next ones wait.
const MAX_UNSETTLED: usize = 128;

/// Messages that are being written, in order.
#[derive(Default)]
struct Unsettled(VecDeque<(Delivery, Verdict, Storing)>);

impl Unsettled {
    /// Waits for the first one to be stored, and settles it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is lost.
    async fn settle_next(&mut self) -> Result<(), AmqpError> {
        let Some((_, _, storing)) = self.0.front_mut() else {
            return Ok(());
        };
        let stored = storing.done().await;
        match self.0.pop_front() {
            Some((delivery, verdict, _)) => settle(delivery, verdict, stored),
            None => Ok(()),
        }
    }
}

/// Tells the peer what became of its message, unless a fault wants it otherwise. The error is what the link has to end with.
fn settle(
    delivery: Delivery,
    verdict: Verdict,
    stored: Result<(), AmqpError>,
) -> Result<(), AmqpError> {
    // A link that has ended meanwhile is seen by the next `recv`.
    match (stored, verdict) {
        (Ok(()), Verdict::Unanswered) => {}
        (Ok(()), Verdict::AnswerLate(delay)) => accept_later(delivery, delay),
        (Ok(()), _) => drop(delivery.accept()),
        // The peer does not wait for an outcome: the end of the link is the only way to tell it.
        (Err(error), _) if delivery.is_settled() => return Err(error),
        (Err(error), _) => drop(delivery.reject(Some(error))),
    }
    Ok(())
}

impl Publisher {
    /// Stores what arrives until the link ends; returns the error to end it with, if the peer has not ended it.
    pub(crate) async fn run(&self, receiver: &Receiver, faults: &LinkFaults) -> Option<AmqpError> {
        tokio::select! {
            biased;
            error = self.stolen() => Some(error),
            end = self.take_all(receiver, faults) => end,
        }
    }

    async fn stolen(&self) -> AmqpError {
        match &self.producer {
            Some(producer) => producer.stolen().await,
            None => std::future::pending().await,
        }
    }

    async fn take_all(&self, receiver: &Receiver, faults: &LinkFaults) -> Option<AmqpError> {
        let idle = self.namespace.options.idle_link;
        let mut unsettled = Unsettled::default();
        let end = loop {
            let has_room = unsettled.0.len() < MAX_UNSETTLED;
            let delivery = tokio::select! {
                biased;
                settled = unsettled.settle_next(), if !unsettled.0.is_empty() => match settled {
                    Ok(()) => continue,
                    Err(error) => break Some(error),
                },
                received = within(idle, receiver.recv()), if has_room => match received {
                    Some(Ok(delivery)) => delivery,
                    Some(Err(_)) => break None,
                    None => break Some(idle_too_long(receiver.name(), idle)),
                },
            };
            let verdict = faults.on_message(delivery.payload().len()).await;
            if let Err(error) = self.take(delivery, verdict, &mut unsettled) {
                break Some(error);
            }
        };
        // What is being written will be there: whoever can still hear it is told.
        while !unsettled.0.is_empty() {
            let _ = unsettled.settle_next().await;
        }
        end
    }

    /// Stores one delivery, unless a fault wants it otherwise; settles it if that is done at once.
    fn take(
        &self,
        delivery: Delivery,
        verdict: Verdict,
        unsettled: &mut Unsettled,
    ) -> Result<(), AmqpError> {
        let storing = match verdict {
            Verdict::Lost => return Ok(()),
            Verdict::Busy => Err(faults::busy()),
            _ => self.publish(delivery.message_format(), delivery.payload().clone()),
        };
        match storing {
            Ok(Storing::Done) => settle(delivery, verdict, Ok(())),
            Ok(storing) => {
                unsettled.0.push_back((delivery, verdict, storing));
                Ok(())
            }
            Err(error) => settle(delivery, verdict, Err(error)),
        }
    }

    /// Stores a message or a batch: all of it, or nothing.
    pub(crate) fn publish(
        &self,
        message_format: u32,
        payload: Bytes,
    ) -> Result<Storing, AmqpError> {
        let size = payload.len();
        self.check_size(size)?;
        let (envelope, mut events) = if message_format == BATCH_MESSAGE_FORMAT {
            NewEvent::decode_batch(payload).map_err(batch_refused)?
        } else {
            let event = NewEvent::decode(payload).map_err(|error| batch_refused(error.into()))?;
            (Annotations::default(), vec![event])
        };
        let envelope_key = event::partition_key(&envelope);
        let key = envelope_key
            .clone()
            .or_else(|| events.first()?.partition_key());
        if let Some(key) = &key {
            check_key(key)?;
        }
        for event in &mut events {
            // The envelope speaks for the events that say nothing; one event does not speak for another.
            if let Some(key) = envelope_key
                .as_ref()
                .filter(|_| event.partition_key().is_none())
            {
                event.annotate(annotation::PARTITION_KEY, key.clone());
            }
            if let Some(name) = &self.name {
                event.annotate(annotation::PUBLISHER, name.clone());
            }
        }
        let numbers = self.numbers(&events)?;
        self.namespace.take_throughput(events.len(), size)?;
        let publication = Publication { events, numbers };
        self.partition(key.as_ref()).append(publication)
    }

    /// The events' numbers: on the link of a producer that numbers them, each has one, and each follows the one before.
    fn numbers(&self, events: &[NewEvent]) -> Result<Option<Numbers>, AmqpError> {
        let (Some(producer), Some(first)) = (&self.producer, events.first()) else {
            return Ok(None);
        };
        let first = first.number().ok_or_else(number_missing)?;
        let numbers = Numbers {
            producer: producer.state.id,
            epoch: producer.state.epoch,
            first: first.2,
            count: u32::try_from(events.len()).unwrap_or(u32::MAX),
        };
        for (event, expected) in events.iter().zip(numbers.iter()) {
            let number = event.number().ok_or_else(number_missing)?;
            if number != (numbers.producer, numbers.epoch, expected) {
                return Err(wrong_number(
                    number,
                    (numbers.producer, numbers.epoch, expected),
                ));
            }
        }
        Ok(Some(numbers))
    }

    fn check_size(&self, size: usize) -> Result<(), AmqpError> {
        let limit = self.namespace.options.max_message_size;
        if size as u64 <= limit {
            return Ok(());
        }
        let text = format!(
            "The received message of {size} bytes exceeds the limit ({limit} bytes) currently allowed on the link."
        );
        Err(AmqpError::new(condition::MESSAGE_SIZE_EXCEEDED, text))
    }

    fn partition(&self, key: Option<&Str>) -> Arc<Partition> {
        match (&self.destination, key) {
            (Destination::Fixed(partition), _) => Arc::clone(partition),
            (Destination::AnyOf(hub), Some(key)) => hub.partition_for_key(key.as_str()),
            (Destination::AnyOf(hub), None) => hub.next_partition(),
        }
    }
}

/// Others are answered meanwhile.
fn accept_later(delivery: Delivery, delay: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        drop(delivery.accept());
    });
}

fn number_missing() -> AmqpError {
    let text = format!(
        "On this link each event needs the annotations {}, {} and {}.",
        property::PRODUCER_ID,
        property::PRODUCER_EPOCH,
        property::PRODUCER_SEQUENCE_NUMBER
    );
    AmqpError::new(wire::condition::ARGUMENT_ERROR, text)
}

fn wrong_number(found: (i64, i16, i32), expected: (i64, i16, i32)) -> AmqpError {
    let text = format!(
        "An event has producer id, epoch and sequence number {found:?}; expected on this link, and at this place of its \
         batch: {expected:?}."
    );
    AmqpError::new(wire::condition::ARGUMENT_ERROR, text)
}

fn check_key(key: &Str) -> Result<(), AmqpError> {
    let length = key.as_str().chars().count();
    if length <= MAX_PARTITION_KEY_LENGTH {
        return Ok(());
    }
    let text = format!(
        "The partition key has {length} characters; at most {MAX_PARTITION_KEY_LENGTH} are allowed."
    );
    Err(AmqpError::new(wire::condition::ARGUMENT_ERROR, text))
}

fn batch_refused(error: BatchError) -> AmqpError {
    let condition = match error {
        BatchError::Malformed(_) => condition::DECODE_ERROR,
        BatchError::NotData | BatchError::Empty => wire::condition::ARGUMENT_ERROR,
    };
    AmqpError::new(condition, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::config::EmulatorOptions;
    use super::super::event::tests::encoded;
    use super::*;
    use crate::codec::{Body, Message};

    const PARTITIONS: usize = 4;

    fn publisher(address: &str) -> (Arc<Namespace>, Publisher) {
        let options = EmulatorOptions::default()
            .hub("orders", PARTITIONS as u32)
            .max_message_size(4096);
        let namespace = Arc::new(Namespace::new(options));
        let destination = namespace.destination(&address.parse().unwrap()).unwrap();
        (
            Arc::clone(&namespace),
            Publisher {
                namespace,
                destination,
                name: None,
                producer: None,
            },
        )
    }

    fn with_key(body: &str, key: &str) -> Message {
        let annotations = Annotations::new().with(annotation::PARTITION_KEY, key);
        Message {
            message_annotations: Some(annotations),
            ..Message::data(body.to_owned())
        }
    }

    fn batch(envelope: Message, events: &[Message]) -> Bytes {
        encoded(&Message {
            body: Body::DataSections(events.iter().map(encoded).collect()),
            ..envelope
        })
    }

    /// The number of events in each partition.
    fn counts(namespace: &Namespace) -> Vec<i64> {
        let hub = namespace.hub("orders").unwrap();
        hub.partitions
            .iter()
            .map(|partition| {
                partition
                    .state()
                    .last
                    .map_or(0, |last| last.sequence_number + 1)
            })
            .collect()
    }

    #[test]
    fn events_without_key_go_to_the_partitions_in_turn() {
        let (namespace, publisher) = publisher("orders");
        for _ in 0..2 * PARTITIONS {
            publisher.publish(0, encoded(&Message::data("x"))).unwrap();
        }
        assert_eq!(counts(&namespace), [2, 2, 2, 2]);
    }

    #[test]
    fn events_of_a_key_go_to_the_partition_of_its_hash() {
        let (namespace, publisher) = publisher("orders");
        // 7 hashes to 3 of 4, 131 to 2 of 4.
        publisher.publish(0, encoded(&with_key("x", "7"))).unwrap();
        publisher
            .publish(0, encoded(&with_key("x", "131")))
            .unwrap();
        publisher.publish(0, encoded(&with_key("x", "7"))).unwrap();
        assert_eq!(counts(&namespace), [0, 0, 1, 2]);
    }

    #[test]
    fn the_envelopes_key_routes_the_batch_and_is_put_on_events_without_one() {
        let (namespace, publisher) = publisher("orders");
        let events = [Message::data("a"), with_key("b", "131")];
        publisher
            .publish(BATCH_MESSAGE_FORMAT, batch(with_key("", "7"), &events))
            .unwrap();
        assert_eq!(counts(&namespace), [0, 0, 0, 2]);
    }

    #[test]
    fn an_event_does_not_lend_its_key_to_the_others_of_its_batch() {
        let (namespace, publisher) = publisher("orders/Partitions/1");
        let events = [with_key("a", "7"), Message::data("b"), with_key("c", "131")];
        publisher
            .publish(BATCH_MESSAGE_FORMAT, batch(Message::default(), &events))
            .unwrap();
        let partition = namespace.hub("orders").unwrap().partition("1").unwrap();
        let stored = partition.events().into_iter();
        let keys: Vec<_> = stored
            .map(|event| NewEvent::decode(event.message()).unwrap().partition_key())
            .collect();
        assert_eq!(keys, [Some("7".into()), None, Some("131".into())]);
    }

    #[test]
    fn a_batch_is_stored_whole_or_not_at_all() {
        let (namespace, publisher) = publisher("orders/Partitions/1");
        let good = encoded(&Message::data("good"));
        let bad = Bytes::from_static(b"\x00\x53\x75\xa0\xff");
        let mixed = encoded(&Message {
            body: Body::DataSections(vec![good, bad]),
            ..Message::default()
        });
        let error = publisher.publish(BATCH_MESSAGE_FORMAT, mixed).unwrap_err();
        assert_eq!(error.condition, condition::DECODE_ERROR);
        assert_eq!(counts(&namespace), [0, 0, 0, 0]);
    }

    #[test]
    fn what_is_too_large_or_has_too_long_a_key_is_refused() {
        let (namespace, publisher) = publisher("orders");
        let error = publisher
            .publish(0, encoded(&Message::data(vec![0; 4096])))
            .unwrap_err();
        assert_eq!(error.condition, condition::MESSAGE_SIZE_EXCEEDED);
        let error = publisher
            .publish(0, encoded(&with_key("x", &"k".repeat(129))))
            .unwrap_err();
        assert_eq!(error.condition, wire::condition::ARGUMENT_ERROR);
        assert_eq!(counts(&namespace), [0, 0, 0, 0]);
    }

    #[test]
    fn wrong_addresses_have_the_words_that_clients_look_for() {
        let namespace = Namespace::new(EmulatorOptions::default().hub("orders", 2));
        let refused = |address: &str| {
            namespace
                .destination(&address.parse().unwrap())
                .unwrap_err()
        };
        let missing = refused("nothing");
        assert_eq!(missing.condition, condition::NOT_FOUND);
        assert!(
            missing
                .description
                .unwrap()
                .as_str()
                .contains("The messaging entity 'nothing' could not be found")
        );
        let partition = refused("orders/Partitions/2");
        assert_eq!(partition.condition, wire::condition::ARGUMENT_OUT_OF_RANGE);
        let text =
            "The specified partition is invalid for an EventHub partition sender or receiver.";
        assert!(partition.description.unwrap().as_str().starts_with(text));
        assert_eq!(
            refused("orders/ConsumerGroups/$Default/Partitions/0").condition,
            condition::NOT_ALLOWED
        );
    }
}
