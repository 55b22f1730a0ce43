//! Links on which a peer reads a partition (Event Hubs).

use std::sync::Arc;

use bytes::Bytes;

use super::event::StoredEvent;
use super::faults::LinkFaults;
use super::link::{idle_too_long, within};
use super::namespace::Namespace;
use super::partition::{Cursor, Seat};
use super::readers::Candidate;
use super::selector::{self, StartPosition};
use crate::codec::{
    AmqpError, Annotations, Attach, FilterSet, SenderSettleMode, Source, Str, Value, condition,
};
use crate::eventhubs::wire::{self, Address, capability, filter, property, runtime_metric};
use crate::{OutgoingMessage, SendError, Sender};

/// Events taken from the log at once.
const READ_AT_ONCE: usize = 64;

/// One reader of one partition.
#[derive(Debug)]
pub(crate) struct Reader {
    seat: Seat,
    pump: Pump,
}

/// What moves events from the log to the link.
#[derive(Debug)]
struct Pump {
    namespace: Arc<Namespace>,
    cursor: Cursor,
    settled: bool,
    runtime_metric: bool,
}

impl Reader {
    /// Admits the reader that an attach asks for, or says why not.
    pub(crate) fn admit(
        namespace: &Arc<Namespace>,
        address: &Address,
        attach: &Attach,
    ) -> Result<Reader, AmqpError> {
        let (partition, group) = namespace.source(address)?;
        let start = match attach
            .source
            .as_ref()
            .and_then(|source| source.filter.get(&filter::SELECTOR))
        {
            Some(value) => start_position(value)?,
            None => StartPosition::Earliest,
        };
        let from = partition.find(&start).or_else(|error| {
            let latest = partition.find(&StartPosition::Latest);
            latest
                .ok()
                .filter(|_| namespace.options.lenient_positions)
                .ok_or(error)
        });
        let from = from
            .map_err(|error| AmqpError::new(wire::condition::ARGUMENT_ERROR, error.to_string()))?;
        let candidate = Candidate {
            name: receiver_name(attach),
            epoch: epoch(attach)?,
        };
        namespace.check_group_has_room(address, &group)?;
        let seat = partition.admit(
            &group,
            candidate,
            namespace.options.max_receivers_without_epoch,
        )?;
        let pump = Pump {
            namespace: Arc::clone(namespace),
            cursor: partition.cursor(from),
            settled: attach.snd_settle_mode == SenderSettleMode::Settled,
            runtime_metric: attach
                .desired_capabilities
                .contains(&capability::RECEIVER_RUNTIME_METRIC),
        };
        Ok(Reader { seat, pump })
    }

    /// Sends events until the link ends; returns the error to end it with, if the peer has not ended it.
    pub(crate) async fn run(self, sender: &Sender, faults: &LinkFaults) -> Option<AmqpError> {
        let Reader { mut seat, pump } = self;
        tokio::select! {
            biased;
            error = seat.stolen() => Some(error),
            error = pump.run(sender, faults) => error,
        }
    }
}

impl Pump {
    /// Sends what the cursor yields, as fast as the peer gives credit.
    ///
    /// What becomes of a delivery has no effect on the log, so nobody waits for it: some clients never settle.
    async fn run(mut self, sender: &Sender, faults: &LinkFaults) -> Option<AmqpError> {
        let idle = self.namespace.options.idle_link;
        loop {
            let Some(events) = within(idle, self.cursor.read(READ_AT_ONCE)).await else {
                return Some(idle_too_long(sender.name(), idle));
            };
            for event in events {
                let payload = self.payload(&event);
                faults.before_event(payload.len()).await;
                let message = OutgoingMessage::encoded(0, payload);
                let sent = match self.settled {
                    true => sender.send_settled(message).await,
                    false => sender.send_with_receipt(message).await.map(drop),
                };
                match sent {
                    Ok(()) => {}
                    Err(error @ SendError::MessageTooLarge { .. }) => {
                        let condition = condition::MESSAGE_SIZE_EXCEEDED;
                        return Some(AmqpError::new(condition, error.to_string()));
                    }
                    Err(_) => return None,
                }
            }
        }
    }

    fn payload(&self, event: &StoredEvent) -> Bytes {
        match self.runtime_metric {
            true => event.message_with(&metric(&self.namespace, &self.cursor, event)),
            false => event.message(),
        }
    }
}

/// What a reader that asked for it hears about the end of its partition.
fn metric(namespace: &Namespace, cursor: &Cursor, event: &StoredEvent) -> Annotations {
    let last = cursor.last().unwrap_or_else(|| event.position.clone());
    let mut annotations = Annotations::default();
    annotations.insert(
        runtime_metric::LAST_ENQUEUED_SEQUENCE_NUMBER,
        last.sequence_number,
    );
    annotations.insert(
        runtime_metric::LAST_ENQUEUED_OFFSET,
        Str::from(last.offset.to_string()),
    );
    annotations.insert(runtime_metric::LAST_ENQUEUED_TIME_UTC, last.enqueued);
    annotations.insert(
        runtime_metric::RUNTIME_INFO_RETRIEVAL_TIME_UTC,
        namespace.now(),
    );
    annotations
}

/// The source as the answer names it: with the selector as it came, and without filters that have no effect.
pub(crate) fn source_in_force(asked: &Source) -> Source {
    let mut filters = FilterSet::default();
    if let Some(selector) = asked.filter.get(&filter::SELECTOR) {
        filters.insert(filter::SELECTOR, selector.clone());
    }
    Source {
        filter: filters,
        ..asked.clone()
    }
}

/// Reads the selector: a described string; the descriptor differs among clients.
fn start_position(selector: &Value) -> Result<StartPosition, AmqpError> {
    let refused = |text: String| AmqpError::new(condition::INVALID_FIELD, text);
    let expression = match selector {
        Value::Null => return Ok(StartPosition::Earliest),
        Value::Described(described) if is_selector(&described.descriptor) => {
            described.value.as_str()
        }
        _ => None,
    };
    let expression = expression.ok_or_else(|| {
        refused(format!(
            "the filter {} must be a described string with a known descriptor",
            filter::SELECTOR
        ))
    })?;
    selector::parse(expression)
        .map_err(|error| AmqpError::new(wire::condition::ARGUMENT_ERROR, error.to_string()))
}

fn is_selector(descriptor: &Value) -> bool {
    match descriptor {
        Value::Ulong(code) => {
            [filter::SELECTOR_CODE, filter::SELECTOR_CODE_ALTERNATIVE].contains(code)
        }
        Value::Symbol(name) => *name == filter::SELECTOR,
        _ => false,
    }
}

/// The owner level: a long with every client seen; other integers are understood too.
fn epoch(attach: &Attach) -> Result<Option<i64>, AmqpError> {
    let Some(value) = attach.properties.get(&property::EPOCH) else {
        return Ok(None);
    };
    match value {
        Value::Null => Ok(None),
        value => value.as_i64().map(Some).ok_or_else(|| {
            AmqpError::new(
                condition::INVALID_FIELD,
                format!("the property {} must be a long", property::EPOCH),
            )
        }),
    }
}

/// The reader's name for error texts: as it calls itself, else the name of its link.
fn receiver_name(attach: &Attach) -> Option<String> {
    let named = attach
        .properties
        .get(&property::RECEIVER_NAME)
        .and_then(Value::as_str);
    Some(named.unwrap_or(attach.name.as_str()).to_owned())
}
