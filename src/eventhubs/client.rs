//! The client of one event hub.

use std::sync::Arc;

use super::auth::{SasKey, SharedAccessSignature, TokenSource};
use super::connection_string::{ConnectionString, SharedAccess};
use super::consumer::{ConsumerOptions, PartitionConsumer};
use super::error::EventHubsError;
use super::namespace::Namespace;
use super::options::{ClientOptions, Transport};
use super::producer::{
    BufferedProducer, BufferedProducerOptions, IdempotentProducer, IdempotentProducerOptions,
    Producer, ProducerOptions,
};
use super::properties::{HubProperties, PartitionProperties};
use super::wire::WEBSOCKET_PATH;
use crate::{Scheme, Url};

/// The client of one event hub: its connection (or [several](ClientOptions::connections)), their authorization, and the
/// producers and consumers on them.
///
/// The connection is made anew when it was lost, as are links; see [`RetryPolicy`](super::RetryPolicy). A task in the
/// background renews tokens well before they end; it ends with the last of the client's handles (clones, producers,
/// consumers), and so does the connection.
///
/// ```no_run
/// use amqp10::eventhubs::{Client, ClientOptions, ConsumerOptions, Position, ProducerOptions};
///
/// # async fn run(connection_string: &str) -> Result<(), amqp10::eventhubs::EventHubsError> {
/// let client = Client::connect(connection_string, ClientOptions::default().hub("orders")).await?;
///
/// let producer = client.producer(ProducerOptions::default());
/// producer.send("hello").await?;
///
/// let from_start = ConsumerOptions::default().position(Position::earliest());
/// let mut consumer = client.consumer("0", from_start).await?;
/// let event = consumer.recv().await?;
/// println!("{}: {:?}", event.sequence_number(), event.body());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    namespace: Arc<Namespace>,
}

impl Client {
    /// Reads the connection string and connects, as [`connect_to`](Self::connect_to) does. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// As [`connect_to`](Self::connect_to), and if the connection string is malformed: the error says where.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn connect(
        connection_string: &str,
        options: ClientOptions,
    ) -> Result<Self, EventHubsError> {
        Self::connect_to(connection_string.parse()?, options).await
    }

    /// Connects to what a parsed connection string names, with one try, so that a wrong address shows at once. Whether the
    /// credentials are good shows when the first link is attached.
    ///
    /// # Errors
    ///
    /// If no hub is named, or two are; if there is neither key nor signature nor token source; if the namespace cannot be
    /// reached.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn connect_to(
        target: ConnectionString,
        options: ClientOptions,
    ) -> Result<Self, EventHubsError> {
        let hub = hub_of(&target, &options)?;
        let tokens = token_source(&target, &options)?;
        let url = url_of(&target, &options);
        let host = target.host().to_owned();
        let namespace = Namespace::new(host, hub, url, tokens, options);
        namespace.connect().await?;
        Ok(Self { namespace })
    }

    /// Name of the hub.
    pub fn hub(&self) -> &str {
        self.namespace.hub()
    }

    /// Host name of the namespace.
    pub fn host(&self) -> &str {
        self.namespace.host()
    }

    /// A producer for the hub. Its links are attached when they are first used.
    pub fn producer(&self, options: ProducerOptions) -> Producer {
        Producer::new(self.namespace.clone(), options)
    }

    /// A producer that collects events, and publishes them in batches from the background. Asks for the hub's partitions.
    ///
    /// # Errors
    ///
    /// If there is no such hub, or the service cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    pub async fn buffered_producer(
        &self,
        options: BufferedProducerOptions,
    ) -> Result<BufferedProducer, EventHubsError> {
        BufferedProducer::open(self.namespace.clone(), options).await
    }

    /// A producer for one partition that publishes each event once, however often it has to be sent. Its link is attached
    /// before this returns.
    ///
    /// # Errors
    ///
    /// If the link cannot be attached; [`Unsupported`](super::ErrorKind::Unsupported) if the service does not offer this, and
    /// [`OwnershipLost`](super::ErrorKind::OwnershipLost) if a newer producer has taken the identity to go on with.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the link is detached.
    pub async fn idempotent_producer(
        &self,
        partition: &str,
        options: IdempotentProducerOptions,
    ) -> Result<IdempotentProducer, EventHubsError> {
        IdempotentProducer::open(self.namespace.clone(), partition, options).await
    }

    /// A consumer of one partition. Its link is attached before this returns.
    ///
    /// # Errors
    ///
    /// If the link cannot be attached: no such hub, group or partition; not allowed; a consumer with a higher owner level is
    /// there ([`OwnershipLost`](super::ErrorKind::OwnershipLost)); too many readers.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the link is detached.
    pub async fn consumer(
        &self,
        partition: &str,
        options: ConsumerOptions,
    ) -> Result<PartitionConsumer, EventHubsError> {
        PartitionConsumer::open(self.namespace.clone(), partition, options).await
    }

    /// Asks for the hub's properties: its partitions above all.
    ///
    /// # Errors
    ///
    /// If there is no such hub, or the service cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn hub_properties(&self) -> Result<HubProperties, EventHubsError> {
        HubProperties::read(&self.namespace).await
    }

    /// Asks for a partition's properties: where it begins and ends.
    ///
    /// # Errors
    ///
    /// If there is no such partition, or the service cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn partition_properties(
        &self,
        partition: &str,
    ) -> Result<PartitionProperties, EventHubsError> {
        PartitionProperties::read(&self.namespace, partition).await
    }

    /// Closes the connections, for all clones, producers and consumers. Without this, they are closed when the last of them is
    /// dropped. Whoever waits for the next try of something learns at once that the client is closed.
    ///
    /// # Errors
    ///
    /// If a connection had ended with an error, or the peer does not answer in time. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is still closed, without waiting for the answer.
    pub async fn close(&self) -> Result<(), EventHubsError> {
        self.namespace.close().await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("hub", &self.hub())
            .finish_non_exhaustive()
    }
}

fn hub_of(target: &ConnectionString, options: &ClientOptions) -> Result<String, EventHubsError> {
    let refused = |what: String| EventHubsError::invalid_argument("choose the hub", what);
    match (target.entity_path(), options.hub.as_deref()) {
        (Some(path), Some(hub)) if !path.eq_ignore_ascii_case(hub) => Err(refused(format!(
            "the connection string says `{path}`, the options say `{hub}`"
        ))),
        (Some(hub), _) | (None, Some(hub)) if hub.is_empty() || hub.contains('/') => {
            Err(refused(format!("`{hub}` is not the name of a hub")))
        }
        (Some(hub), _) | (None, Some(hub)) => Ok(hub.to_owned()),
        (None, None) => Err(refused(
            "expected its name as EntityPath in the connection string, or in the options".into(),
        )),
    }
}

fn token_source(
    target: &ConnectionString,
    options: &ClientOptions,
) -> Result<Arc<dyn TokenSource>, EventHubsError> {
    if let Some(source) = &options.token_source {
        return Ok(source.clone());
    }
    let attempt = "choose the credentials";
    match target.credential() {
        SharedAccess::Key { name, key } => Ok(Arc::new(SasKey::new(name.as_str(), key.clone()))),
        SharedAccess::Signature(signature) => {
            let signature = SharedAccessSignature::parse(signature.expose());
            Ok(Arc::new(
                signature.map_err(|error| EventHubsError::new(attempt, error))?,
            ))
        }
        SharedAccess::Absent => Err(EventHubsError::invalid_argument(
            attempt,
            "expected SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature, in the connection string, or a \
             token source in the options",
        )),
    }
}

/// Where to connect, and by what.
fn url_of(target: &ConnectionString, options: &ClientOptions) -> Url {
    let is_websocket = options.transport == Transport::WebSocket;
    let scheme = match (is_websocket, target.is_emulator()) {
        (false, true) => Scheme::Amqp,
        (false, false) => Scheme::Amqps,
        (true, true) => Scheme::Ws,
        (true, false) => Scheme::Wss,
    };
    let url = match &options.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => Url::of_host(scheme, target.host(), target.port()),
    };
    match is_websocket || url.scheme().is_websocket() {
        true => url.over_websocket(WEBSOCKET_PATH),
        false => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventhubs::ErrorKind;

    fn target(text: &str) -> ConnectionString {
        text.parse().unwrap()
    }

    #[test]
    fn the_hub_is_named_once_or_twice_alike() {
        let plain = target("Endpoint=sb://ns");
        let named = target("Endpoint=sb://ns;EntityPath=orders");
        let options = ClientOptions::default;
        assert_eq!(hub_of(&named, &options()).unwrap(), "orders");
        assert_eq!(hub_of(&plain, &options().hub("orders")).unwrap(), "orders");
        assert_eq!(hub_of(&named, &options().hub("ORDERS")).unwrap(), "orders");
        for (target, options) in [
            (&named, options().hub("other")),
            (&plain, options()),
            (&plain, options().hub("a/b")),
            (&plain, options().hub("")),
        ] {
            let error = hub_of(target, &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn credentials_must_come_from_somewhere() {
        let bare = target("Endpoint=sb://ns");
        assert!(token_source(&bare, &ClientOptions::default()).is_err());
        let options = ClientOptions::default().token_source(SasKey::new("p", "k"));
        assert!(token_source(&bare, &options).is_ok());
        let broken = target("Endpoint=sb://ns;SharedAccessSignature=hush");
        let error = token_source(&broken, &ClientOptions::default())
            .err()
            .unwrap();
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn where_to_connect_follows_transport_endpoint_and_target() {
        let service = target("Endpoint=sb://ns.example.com");
        let emulator = target("Endpoint=sb://localhost:5680;UseDevelopmentEmulator=true");
        let url = |target, transport, endpoint: Option<&str>| {
            let mut options = ClientOptions::default().transport(transport);
            options.endpoint = endpoint.map(|url| url.parse().unwrap());
            url_of(target, &options).to_string()
        };
        let (amqp, websocket) = (Transport::Amqp, Transport::WebSocket);
        let path = WEBSOCKET_PATH;
        assert_eq!(url(&service, amqp, None), "amqps://ns.example.com:5671");
        let by_websocket = format!("wss://ns.example.com:443{path}");
        assert_eq!(url(&service, websocket, None), by_websocket);
        assert_eq!(url(&emulator, amqp, None), "amqp://localhost:5680");
        let unmoved = target("Endpoint=sb://localhost;UseDevelopmentEmulator=true");
        assert_eq!(url(&unmoved, amqp, None), "amqp://localhost:5672");
        let by_websocket = format!("ws://localhost:5680{path}");
        assert_eq!(url(&emulator, websocket, None), by_websocket);
        let endpoint = Some("amqps://gateway");
        let by_websocket = format!("wss://gateway:443{path}");
        assert_eq!(url(&service, websocket, endpoint), by_websocket);
        let endpoint = Some("wss://gateway:8443/other/");
        assert_eq!(url(&service, amqp, endpoint), "wss://gateway:8443/other/");
    }
}
