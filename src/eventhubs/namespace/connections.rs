//! The client's connections: opened when first needed, given up when they do not answer, closed together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::Namespace;
use super::authorization::ClaimsPair;
use super::grants::Grants;
use super::management::ManagementPair;
use crate::codec::Fields;
use crate::eventhubs::error::{Cause, EventHubsError};
use crate::eventhubs::observer::ClientEvent;
use crate::eventhubs::wire::property;
use crate::lock::lock;
use crate::single_flight::SingleFlight;
use crate::{Connection, ConnectionOptions, LinkError};

/// Where one of the client's connections is, or the next one when that is lost.
pub(super) struct Slot {
    current: SingleFlight<Arc<Live>, Cause>,
    /// All that were opened here and are held: the current one, and those given up for new links on which others go on.
    opened: Mutex<Vec<Weak<Live>>>,
    was_connected: AtomicBool,
    moment: Duration,
}

/// A connection and what serves all links on it.
pub(super) struct Live {
    pub(super) connection: Connection,
    /// Which of the client's connections it is, or was.
    pub(super) number: usize,
    pub(super) claims: SingleFlight<Arc<ClaimsPair>, Cause>,
    pub(super) management: SingleFlight<Arc<ManagementPair>, Cause>,
    pub(super) grants: Grants,
    given_up: AtomicBool,
    /// Whether it was told that this connection is lost.
    told: AtomicBool,
}

impl Slot {
    pub(super) fn new(moment: Duration) -> Self {
        Self {
            current: SingleFlight::new(moment),
            opened: Mutex::default(),
            was_connected: AtomicBool::new(false),
            moment,
        }
    }

    fn opened(&self) -> Vec<Arc<Live>> {
        let mut opened = lock(&self.opened);
        opened.retain(|live| live.strong_count() > 0);
        opened.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Live {
    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Whether new links may go here.
    fn is_good(&self) -> bool {
        !self.is_given_up() && !self.connection.is_closed()
    }
}

impl Namespace {
    /// Connection `number`, opened if there is none that lives.
    pub(super) async fn live(self: &Arc<Self>, number: usize) -> Result<Arc<Live>, EventHubsError> {
        let failure =
            |attempt, cause| EventHubsError::new(format!("{attempt} {}", self.host), cause);
        let is_closed = || failure("reach", Cause::Closed("client"));
        let slot = &self.slots[number].current;
        if let Some(live) = slot.made() {
            self.tell_of_end(&live).await;
        }
        let opened = slot.get(
            |live| live.is_good(),
            |_| {
                let namespace = self.clone();
                async move {
                    let opened = namespace.open(number);
                    namespace.within_a_try(opened).await
                }
            },
        );
        tokio::select! {
            biased;
            () = self.closed() => Err(is_closed()),
            opened = self.within_a_try(opened) => {
                opened.map_err(|cause| failure("connect to", cause))
            }
        }
    }

    async fn open(&self, number: usize) -> Result<Arc<Live>, Cause> {
        let connection = match self.dial(number).await {
            Ok(connection) => connection,
            Err(cause) => {
                let attempt = format!("connect to {}", self.host);
                self.tell(ClientEvent::ConnectFailed {
                    connection: number,
                    error: EventHubsError::new(attempt, cause.clone()),
                });
                return Err(cause);
            }
        };
        let slot = &self.slots[number];
        let live = Arc::new(Live {
            connection,
            number,
            claims: SingleFlight::new(slot.moment),
            management: SingleFlight::new(slot.moment),
            grants: Grants::default(),
            given_up: AtomicBool::new(false),
            told: AtomicBool::new(false),
        });
        lock(&slot.opened).push(Arc::downgrade(&live));
        // A client that is being closed has either seen this one, or is seen by it.
        if *self.closed.borrow() {
            return Err(Cause::Closed("client"));
        }
        self.tell(match slot.was_connected.swap(true, Ordering::AcqRel) {
            false => ClientEvent::Connected { connection: number },
            true => ClientEvent::Reconnected { connection: number },
        });
        Ok(live)
    }

    async fn dial(&self, number: usize) -> Result<Connection, Cause> {
        let options = self.connection_options(number);
        // A connector of the user's is held to the limit, too.
        let limit = options.connect_timeout;
        let opened = async {
            match &self.options.connector {
                Some(connector) => connector.connect(options).await,
                None => Connection::open_url(&self.url, options).await,
            }
        };
        match timeout(limit.saturating_add(Duration::from_secs(1)), opened).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(Cause::Timeout(limit)),
        }
    }

    fn connection_options(&self, number: usize) -> ConnectionOptions {
        const PRODUCT: &str = "amqp10";
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        let platform = std::env::consts::OS;
        let mut user_agent = format!("{PRODUCT}/{VERSION} ({platform})");
        if let Some(application) = &self.options.application_id {
            // The open must fit 512 octets before the peer's limit is known. F-018
            let short: String = application.chars().take(64).collect();
            user_agent = format!("{short} {user_agent}");
        }
        let properties = Fields::new()
            .with(property::PRODUCT, PRODUCT)
            .with(property::VERSION, VERSION)
            .with(property::PLATFORM, platform)
            .with(property::USER_AGENT, user_agent);
        let options = self.options.connection_options(number);
        options.hostname(&self.host).properties(properties)
    }

    /// Gives a connection up for new links, though it may not know yet that it is dead. Links on it that work go on.
    pub(super) fn give_up_connection(&self, live: &Live, error: &EventHubsError) {
        live.given_up.store(true, Ordering::Release);
        self.tell_of_loss(live, error);
    }

    /// Says that a connection has ended, if it has. Not for the task that opens the next one: it may never run.
    async fn tell_of_end(&self, live: &Live) {
        if live.connection.is_closed() {
            let ended = LinkError::from(live.connection.closed().await);
            let error = EventHubsError::new(format!("keep the connection to {}", self.host), ended);
            self.give_up_connection(live, &error);
        }
    }

    /// Once for each connection.
    fn tell_of_loss(&self, live: &Live, error: &EventHubsError) {
        if !live.told.swap(true, Ordering::AcqRel) {
            self.tell(ClientEvent::ConnectionLost {
                connection: live.number,
                error: error.clone(),
            });
        }
    }

    /// All connections on which there may be links.
    pub(super) fn living(&self) -> impl Iterator<Item = Arc<Live>> {
        let opened = self.slots.iter().flat_map(Slot::opened);
        opened.filter(|live| !live.connection.is_closed())
    }

    /// Closes all connections, also those given up on which links go on. Nothing works afterwards.
    pub(in crate::eventhubs) async fn close(&self) -> Result<(), EventHubsError> {
        self.closed.send_replace(true);
        // In tasks, so that all are closed whoever stops waiting for that.
        let closing = self.slots.iter().flat_map(Slot::opened).map(|live| {
            tokio::spawn(async move {
                let closed = live.connection.close().await;
                // One that was given up may be dead, and its end was told before.
                closed.or_else(|error| match live.is_given_up() {
                    true => Ok(()),
                    false => Err(error),
                })
            })
        });
        let mut result = Ok(());
        for closed in closing.collect::<Vec<_>>() {
            // A task that panicked has told so by itself.
            result = result.and(closed.await.unwrap_or(Ok(())));
        }
        result.map_err(|error| {
            let attempt = format!("close the connection to {}", self.host);
            EventHubsError::new(attempt, LinkError::from(error))
        })
    }
}
