//! The one place where connections, authorizations and links are made, and made anew after a failure.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, Notify};

use super::auth::{Token, TokenSource};
use super::error::{Cause, ErrorKind, EventHubsError};
use super::grants::{Authorization, Grants, LONGEST_PAUSE};
use super::options::ClientOptions;

use super::retry::{Rebuild, Retries, Verdict, classify};
use super::wire::{self, Address, property};
use crate::cbs::CbsClient;
use crate::codec::{ApplicationProperties, Fields, Map};
use crate::management::ManagementClient;
use crate::random::Random;
use crate::request::{RequestError, RequestOptions};
use crate::time::to_timestamp;
use crate::{
    Connection, ConnectionOptions, Receiver, ReceiverOptions, Sender, SenderOptions, Session,
    SessionOptions, Url,
};

/// What the handles of one client share.
pub(super) struct Namespace {
    host: String,
    hub: String,
    /// What is dialled.
    url: Url,
    tokens: Arc<dyn TokenSource>,
    options: ClientOptions,
    connection: Mutex<ConnectionSlot>,
    /// Counts failed attempts to connect.
    failures: AtomicU64,
    closed: AtomicBool,
    random: Random,
    /// Wakes the task that renews tokens.
    renewal: Arc<Notify>,
}

#[derive(Default)]
struct ConnectionSlot {
    live: Option<Arc<Live>>,
    /// Given up for new links, but perhaps not dead: held by the links that go on.
    discarded: Vec<Weak<Live>>,
    /// The last failed attempt: its number and how it failed.
    failure: Option<(u64, EventHubsError)>,
}

impl ConnectionSlot {
    /// No new links on this one.
    fn discard(&mut self, dead: &Arc<Live>) {
        if let Some(dead) = self.live.take_if(|live| Arc::ptr_eq(live, dead)) {
            self.discarded.retain(|live| live.strong_count() > 0);
            self.discarded.push(Arc::downgrade(&dead));
        }
    }

    /// The connections that live, the one for new links first.
    fn all(&self) -> Vec<Arc<Live>> {
        let discarded = self.discarded.iter().filter_map(Weak::upgrade);
        let all = self.live.iter().cloned().chain(discarded);
        all.filter(|live| !live.connection.is_closed()).collect()
    }
}

/// A connection and what serves all links on it.
pub(super) struct Live {
    connection: Connection,
    cbs: Mutex<Option<CbsClient>>,
    management: Mutex<Option<(ManagementClient, Arc<Authorization>)>>,
    grants: Grants,
}

/// A link with what it stands on. It has a session for itself, so that what ends a session ends one link.
pub(super) struct Attached<L> {
    pub(super) link: L,
    live: Arc<Live>,
    authorization: Arc<Authorization>,
}

impl Namespace {
    pub(super) fn new(
        host: String,
        hub: String,
        url: Url,
        tokens: Arc<dyn TokenSource>,
        options: ClientOptions,
    ) -> Arc<Self> {
        let random = Random::new(options.seed);
        let namespace = Arc::new(Self {
            host,
            hub,
            url,
            tokens,
            options,
            connection: Mutex::default(),
            failures: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            random,
            renewal: Arc::default(),
        });
        let renewal = namespace.renewal.clone();
        tokio::spawn(renew_tokens(Arc::downgrade(&namespace), renewal));
        namespace
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn hub(&self) -> &str {
        &self.hub
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Fresh chance for a pause.
    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }

    pub(super) fn retries(&self) -> Retries {
        Retries::new(self.options.retry.clone())
    }

    /// Waits for the next try, or gives the error back if there is none.
    pub(super) async fn pause(
        &self,
        retries: &mut Retries,
        error: EventHubsError,
    ) -> Result<(), EventHubsError> {
        let Some(pause) = retries.next(&error, self.random()) else {
            return Err(error);
        };
        tracing::warn!(%error, ?pause, "will try again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The connection, opened if there is none that lives. Those who wait while somebody else fails to open it share that
    /// failure, instead of each waiting for a time-out in turn.
    pub(super) async fn live(&self) -> Result<Arc<Live>, EventHubsError> {
        let seen = self.failures.load(Ordering::Acquire);
        let mut slot = self.connection.lock().await;
        if self.closed.load(Ordering::Acquire) {
            let attempt = format!("reach {}", self.host);
            return Err(EventHubsError::new(attempt, Cause::Closed("client")));
        }
        match (&slot.live, &slot.failure) {
            (Some(live), _) if !live.connection.is_closed() => return Ok(live.clone()),
            (_, Some((number, error))) if *number > seen => return Err(error.clone()),
            _ => {}
        }
        slot.live = None;
        match self.open().await {
            Ok(live) => {
                slot.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                let number = self.failures.fetch_add(1, Ordering::AcqRel) + 1;
                slot.failure = Some((number, error.clone()));
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<Arc<Live>, EventHubsError> {
        let options = self.connection_options();
        let opened = match &self.options.connector {
            Some(connector) => connector.connect(options).await,
            None => Connection::open_url(&self.url, options).await,
        };
        let connection = opened
            .map_err(|error| EventHubsError::new(format!("connect to {}", self.host), error))?;
        tracing::info!(host = %self.host, hub = %self.hub, "connected");
        Ok(Arc::new(Live {
            connection,
            cbs: Mutex::default(),
            management: Mutex::default(),
            grants: Grants::default(),
        }))
    }

    fn connection_options(&self) -> ConnectionOptions {
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
        let options = self.options.connection.clone();
        options.hostname(&self.host).properties(properties)
    }

    /// Gives a connection up for new links, though it may not know yet that it is dead. Links on it that work go on.
    async fn discard(&self, dead: &Arc<Live>) {
        self.connection.lock().await.discard(dead);
    }

    /// Makes sure that the next try does not meet what failed: the one place where that is decided.
    async fn give_up(&self, error: &EventHubsError, live: &Arc<Live>, audience: &str) {
        match classify(error.cause()).1 {
            Verdict::Again {
                rebuild: Rebuild::Connection,
                ..
            } => self.discard(live).await,
            Verdict::Again {
                rebuild: Rebuild::Token,
                ..
            } => live.grants.revoke(audience),
            _ => {}
        }
    }

    /// The same for a failure of a link that had been attached.
    pub(super) async fn give_up_link<L>(&self, error: &EventHubsError, attached: &Attached<L>) {
        let audience = attached.authorization.audience();
        self.give_up(error, &attached.live, audience).await;
    }

    pub(super) async fn attach_sender(
        &self,
        address: &Address,
        options: SenderOptions,
    ) -> Result<Attached<Sender>, EventHubsError> {
        let live = self.live().await?;
        let attach = async {
            let (session, authorization) = self.begin(&live, address).await?;
            let link = session.attach_sender(address.to_string(), options).await?;
            Ok(Attached {
                link,
                live: live.clone(),
                authorization,
            })
        };
        let result = attach.await;
        self.attached(result, &live, address).await
    }

    pub(super) async fn attach_receiver(
        &self,
        address: &Address,
        options: ReceiverOptions,
    ) -> Result<Attached<Receiver>, EventHubsError> {
        let live = self.live().await?;
        let attach = async {
            let (session, authorization) = self.begin(&live, address).await?;
            let link = session
                .attach_receiver(address.to_string(), options)
                .await?;
            Ok(Attached {
                link,
                live: live.clone(),
                authorization,
            })
        };
        let result = attach.await;
        self.attached(result, &live, address).await
    }

    /// A session that may be used for a link to `address`.
    async fn begin(
        &self,
        live: &Live,
        address: &Address,
    ) -> Result<(Session, Arc<Authorization>), Cause> {
        let authorization = self.authorize(live, address).await?;
        let session = live.connection.begin(SessionOptions::default()).await?;
        Ok((session, authorization))
    }

    async fn attached<L>(
        &self,
        result: Result<Attached<L>, Cause>,
        live: &Arc<Live>,
        address: &Address,
    ) -> Result<Attached<L>, EventHubsError> {
        match result {
            Ok(attached) => {
                tracing::debug!(%address, "attached");
                Ok(attached)
            }
            Err(cause) => {
                let error = EventHubsError::new(format!("attach to {address}"), cause);
                self.give_up(&error, live, &self.audience(address)).await;
                Err(error)
            }
        }
    }

    /// Reads properties from the management node, once.
    pub(super) async fn read(
        &self,
        entity_type: &str,
        properties: ApplicationProperties,
    ) -> Result<Map, EventHubsError> {
        let live = self.live().await?;
        let result = self.read_on(&live, entity_type, properties).await;
        match result {
            Ok(map) => Ok(map),
            Err(cause) => {
                let attempt = format!("read properties of {}", self.hub);
                let error = EventHubsError::new(attempt, cause);
                let audience = self.audience(&self.management_address());
                self.give_up(&error, &live, &audience).await;
                Err(error)
            }
        }
    }

    async fn read_on(
        &self,
        live: &Live,
        entity_type: &str,
        properties: ApplicationProperties,
    ) -> Result<Map, Cause> {
        let management = self.management(live).await?;
        let token = self.token().await?;
        let properties = properties.with(wire::request::SECURITY_TOKEN, token.text());
        Ok(management.read(entity_type, &self.hub, properties).await?)
    }

    async fn management(&self, live: &Live) -> Result<ManagementClient, Cause> {
        let mut slot = live.management.lock().await;
        let address = self.management_address();
        if let Some((management, authorization)) = &mut *slot
            && !management.is_closed()
        {
            // It may have been revoked since.
            *authorization = self.authorize(live, &address).await?;
            return Ok(management.clone());
        }
        *slot = None;
        let (session, authorization) = self.begin(live, &address).await?;
        let options = self.request_options();
        let management = ManagementClient::attach(&session, wire::MANAGEMENT_NODE, options).await?;
        *slot = Some((management.clone(), authorization));
        Ok(management)
    }

    fn management_address(&self) -> Address {
        Address::Management {
            hub: Some(self.hub.clone()),
        }
    }

    fn request_options(&self) -> RequestOptions {
        RequestOptions::default().timeout(self.options.retry.try_timeout)
    }

    /// What a token is put for. The service takes any scheme.
    fn audience(&self, address: &Address) -> String {
        format!("sb://{}/{address}", self.host)
    }

    /// Sees to it that `address` may be used on this connection.
    async fn authorize(&self, live: &Live, address: &Address) -> Result<Arc<Authorization>, Cause> {
        let audience = self.audience(address);
        if let Some(authorization) = live.grants.find(&audience, self.options.clock.now()) {
            return Ok(authorization);
        }
        let expires_at = self.put_token(live, &audience).await?;
        let now = self.options.clock.now();
        let authorization = live.grants.add(audience, expires_at, now);
        self.renewal.notify_one();
        Ok(authorization)
    }

    /// Puts a token for an audience, and returns when it ends.
    async fn put_token(&self, live: &Live, audience: &str) -> Result<Option<SystemTime>, Cause> {
        let token = self.token().await?;
        let cbs = self.cbs(live).await?;
        let expires_at = token.expires_at();
        let put = cbs.put_token(
            token.kind().as_str(),
            audience,
            token.text(),
            expires_at.map(to_timestamp),
        );
        let put = put.await;
        if let Err(RequestError::TimedOut(_)) = put {
            // A pair that does not answer is not asked again.
            *live.cbs.lock().await = None;
        }
        put?;
        tracing::debug!(audience, "authorized");
        Ok(expires_at)
    }

    async fn token(&self) -> Result<Token, Cause> {
        let resource = format!("sb://{}/{}", self.host, self.hub).to_lowercase();
        let limit = self.options.retry.try_timeout;
        let token = self.tokens.token(&resource, self.options.clock.now());
        match tokio::time::timeout(limit, token).await {
            Ok(token) => Ok(token?),
            Err(_) => Err(Cause::TimedOut(limit)),
        }
    }

    /// The connection's `$cbs` pair. The service closes it when it is idle, as any other link.
    async fn cbs(&self, live: &Live) -> Result<CbsClient, Cause> {
        let mut slot = live.cbs.lock().await;
        if let Some(cbs) = &*slot
            && !cbs.is_closed()
        {
            return Ok(cbs.clone());
        }
        *slot = None;
        let session = live.connection.begin(SessionOptions::default()).await?;
        let cbs = CbsClient::attach(&session, self.request_options()).await?;
        *slot = Some(cbs.clone());
        Ok(cbs)
    }

    /// Renews the tokens that are due, and returns how long to wait until the next look.
    async fn renew_due(&self) -> Duration {
        let connections = self.connection.lock().await.all();
        let mut pause = LONGEST_PAUSE;
        for live in connections {
            self.renew_on(&live).await;
            pause = pause.min(live.grants.next_renewal(self.options.clock.now()));
        }
        pause
    }

    async fn renew_on(&self, live: &Live) {
        for authorization in live.grants.due(self.options.clock.now()) {
            let audience = authorization.audience();
            let renewed = self.put_token(live, audience).await;
            let now = self.options.clock.now();
            match renewed {
                Ok(expires_at) => live.grants.renewed(&authorization, expires_at, now),
                Err(error) => {
                    tracing::warn!(%error, audience, "could not renew a token");
                    live.grants.postpone(&authorization, now);
                    if classify(&error).0 == ErrorKind::TimedOut {
                        // The others would wait as long, each in turn. The next round asks a new pair.
                        return;
                    }
                }
            }
        }
    }

    /// Closes the connection, and those given up on which links go on. Nothing works afterwards.
    pub(super) async fn close(&self) -> Result<(), EventHubsError> {
        self.closed.store(true, Ordering::Release);
        let (live, discarded) = {
            let mut slot = self.connection.lock().await;
            (slot.live.take(), std::mem::take(&mut slot.discarded))
        };
        let closed = match live {
            Some(live) => live.connection.close().await,
            None => Ok(()),
        };
        for live in discarded.iter().filter_map(Weak::upgrade) {
            // It may be dead: nobody expects an answer.
            let _ = live.connection.close().await;
        }
        closed.map_err(|error| {
            let error = crate::LinkError::from(error);
            EventHubsError::new(format!("close the connection to {}", self.host), error)
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The task finds nobody left, and ends.
        self.renewal.notify_one();
    }
}

/// Renews tokens until the last handle of the client is gone.
async fn renew_tokens(namespace: Weak<Namespace>, wake: Arc<Notify>) {
    while let Some(alive) = namespace.upgrade() {
        let pause = alive.renew_due().await;
        drop(alive);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => {}
        }
    }
}
