//! The link to one address.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::unconstrained;
use tokio::time::timeout;
use tracing::Instrument;

use super::gate::Gate;
use super::publication::Publication;
use super::{ProducerOptions, attempt};
use crate::eventhubs::error::EventHubsError;
use crate::eventhubs::metrics::PublishingMeters;
use crate::eventhubs::namespace::{Attached, Namespace};
use crate::eventhubs::retry::spares_link;
use crate::eventhubs::wire::{Address, capability};
use crate::single_flight::SingleFlight;
use crate::{Sender, SenderOptions};

/// How long a send waits, when the link is there, for those that came before and have not gone on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The link to one address: attached when it is first used, and anew when it has failed.
pub(super) struct PublishingLink {
    namespace: Arc<Namespace>,
    address: Address,
    settled: bool,
    meters: PublishingMeters,
    /// What is under way on it.
    gate: Gate,
    attached: SingleFlight<Arc<Attached<Sender>>, EventHubsError>,
    /// Whose turn it is to go on when the link is there.
    turn: Mutex<()>,
}

impl PublishingLink {
    pub(super) fn new(
        namespace: Arc<Namespace>,
        address: Address,
        options: &ProducerOptions,
    ) -> Self {
        let partition = match &address {
            Address::Partition { partition, .. } => partition,
            _ => "",
        };
        Self {
            meters: PublishingMeters::new(namespace.hub(), partition),
            namespace,
            address,
            settled: options.settled,
            gate: Gate::new(options.max_in_flight, options.max_in_flight_bytes),
            // Whoever comes after a failure tries for himself.
            attached: SingleFlight::new(Duration::ZERO),
            turn: Mutex::default(),
        }
    }

    /// Publishes, with as many tries as the policy allows. The order is that in which this was first polled.
    pub(super) async fn publish(
        &self,
        publication: &mut Publication,
        retry_unknown: bool,
    ) -> Result<(), EventHubsError> {
        // Nobody closes this gate.
        let _place = self.gate.enter(publication.len()).await;
        let load = publication.load();
        let span = tracing::debug_span!("send", address = %self.address, events = load.events);
        let in_flight = self.meters.begin(load);
        let published = self.publish_until_known(publication, retry_unknown);
        let published = published.instrument(span).await;
        in_flight.end(published.is_ok());
        published
    }

    async fn publish_until_known(
        &self,
        publication: &mut Publication,
        retry_unknown: bool,
    ) -> Result<(), EventHubsError> {
        let mut retries = self.namespace.retries().retry_unknown(retry_unknown);
        loop {
            let Err(error) = self.try_publish(publication).await else {
                return Ok(());
            };
            let pause = self.namespace.pause(&mut retries, error).await;
            pause.map_err(|error| publication.explain(error))?;
        }
    }

    async fn try_publish(&self, publication: &mut Publication) -> Result<(), EventHubsError> {
        let attached = self.attached().await?;
        let limit = self.namespace.options().retry.try_timeout;
        let sent = match self.settled {
            true => publication.send_settled(&attached.link, limit).await,
            false => publication.send(&attached.link, limit).await,
        };
        self.meters.credit(|| attached.link.credit());
        let Err(cause) = sent else {
            return Ok(());
        };
        let error = EventHubsError::new(attempt(&self.address), cause);
        if !spares_link(error.cause()) {
            // The next send attaches a new link. Sends under way on this one go on.
            self.attached
                .discard(|current| Arc::ptr_eq(current, &attached));
        }
        self.namespace.give_up_link(&error, &attached);
        Err(error)
    }

    /// The largest message that the peer takes, if it says; asked as often as the policy allows.
    pub(super) async fn max_message_size(&self) -> Result<Option<u64>, EventHubsError> {
        let mut retries = self.namespace.retries();
        loop {
            match self.attached().await {
                Ok(attached) => return Ok(attached.link.max_message_size()),
                Err(error) => self.namespace.pause(&mut retries, error).await?,
            }
        }
    }

    /// Whether there is a link that lives, or one is being attached.
    pub(super) fn is_attached(&self) -> bool {
        self.attached
            .is_in_use(|attached| !attached.link.is_detached())
    }

    /// The link, attached if there is none that lives. Those who wait get it in the order in which they came.
    async fn attached(&self) -> Result<Arc<Attached<Sender>>, EventHubsError> {
        // Constrained, a task that has done much would wait though it is its turn, and others would overtake it.
        let mut turn = pin!(unconstrained(self.turn.lock()));
        let first = poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
        let attached = self.attach_once().await?;
        if first.is_pending() {
            // Who is not polled, though it is his turn, does not hold up the others for ever.
            let _turn = timeout(PATIENCE, turn).await;
        }
        Ok(attached)
    }

    async fn attach_once(&self) -> Result<Arc<Attached<Sender>>, EventHubsError> {
        let attach = |_| {
            let (namespace, address) = (self.namespace.clone(), self.address.clone());
            async move {
                let options =
                    SenderOptions::default().desired_capabilities([capability::GEOREPLICATION]);
                let attached = namespace.attach_sender(&address, options).await?;
                Ok(Arc::new(attached))
            }
        };
        self.attached
            .get(|attached| !attached.link.is_detached(), attach)
            .await
    }
}
