//! Links that come back: who stops waiting harms nobody, what is lost comes again, and nothing goes on for ever.

mod ending;
mod receiving;
mod sending;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use amqp10::codec::{
    Attach, DeliveryTag, ReceiverSettleMode, Source, TerminusDurability, TerminusExpiryPolicy,
    Transfer, UnsettledMap, condition,
};
use amqp10::reconnect::{ReconnectError, ReconnectOptions};
use amqp10::{
    AmqpError, DeliveryState, Outcome, OutgoingMessage, ReceiverOptions, SendError, SenderOptions,
};
use tokio::time::{Instant, timeout};

use crate::support::peer::{self, Peer};
use crate::support::reconnecting::{
    accept, answer, answer_without_credit, connected, deliver, expect_text, lost, receive,
    receiver, send, text,
};

/// Less than any limit of the library.
const SOON: Duration = Duration::from_secs(1);

/// A future that is kept, was polled once, and is polled no more.
fn begun<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    future
}

/// A subscription that outlives its links.
fn durable() -> ReceiverOptions {
    let source = Source {
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        ..Source::default()
    };
    ReceiverOptions::default()
        .source(source)
        .name("subscription")
}

fn busy() -> AmqpError {
    AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, "busy")
}
