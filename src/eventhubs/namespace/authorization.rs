//! Tokens on their way to the service: put before a link is attached, and renewed before they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::Namespace;
use super::connections::Live;
use super::grants::{Authorization, LONGEST_PAUSE};
use crate::SessionOptions;
use crate::cbs::CbsClient;
use crate::eventhubs::auth::{Token, TokenError};
use crate::eventhubs::error::{Cause, ErrorKind, EventHubsError};
use crate::eventhubs::observer::ClientEvent;
use crate::eventhubs::retry::{RetryPolicy, classify};
use crate::eventhubs::wire::Address;
use crate::request::RequestError;
use crate::time::to_timestamp;

/// A connection's pair of links to `$cbs`: the service allows no second.
pub(super) struct ClaimsPair {
    client: CbsClient,
    /// Whether it left a request without an answer.
    is_silent: AtomicBool,
}

impl Namespace {
    /// Sees to it that `address` may be used on this connection.
    pub(super) async fn authorize(
        &self,
        live: &Live,
        address: &Address,
    ) -> Result<Arc<Authorization>, Cause> {
        let audience = self.audience(address);
        if let Some(authorization) = live.grants.find(&audience, self.options.clock.now()) {
            return Ok(authorization);
        }
        let token = self.token().await?;
        self.put_token(live, &audience, &token).await?;
        let now = self.options.clock.now();
        let authorization = live.grants.put(&audience, token.expires_at(), now);
        self.renewal.notify_one();
        Ok(authorization)
    }

    /// A token for the hub and all below it.
    pub(super) async fn token(&self) -> Result<Token, Cause> {
        let resource = format!("sb://{}/{}", self.host, self.hub).to_lowercase();
        let limit = self.answer_limit();
        let token = self.tokens.token(&resource, self.options.clock.now());
        match timeout(limit, token).await {
            Ok(token) => Ok(token?),
            Err(_) => {
                Err(TokenError::transient(format!("the source gave none within {limit:?}")).into())
            }
        }
    }

    async fn put_token(&self, live: &Live, audience: &str, token: &Token) -> Result<(), Cause> {
        let pair = self.claims(live).await?;
        let put = pair.client.put_token(
            token.kind().as_str(),
            audience,
            token.text(),
            token.expires_at().map(to_timestamp),
        );
        let put = put.await;
        if let Err(RequestError::Timeout(_)) = put {
            // A pair that does not answer is not asked again.
            pair.is_silent.store(true, Ordering::Release);
        }
        put?;
        tracing::debug!(audience, "authorized");
        Ok(())
    }

    /// The connection's `$cbs` pair. The service closes it when it is idle, as any other link.
    async fn claims(&self, live: &Live) -> Result<Arc<ClaimsPair>, Cause> {
        let is_good = |pair: &Arc<ClaimsPair>| {
            !pair.client.is_closed() && !pair.is_silent.load(Ordering::Acquire)
        };
        let connection = live.connection.clone();
        let options = self.request_options();
        let attach = |_| async move {
            let session = connection.begin(SessionOptions::default()).await?;
            Ok(Arc::new(ClaimsPair {
                client: CbsClient::attach(&session, options).await?,
                is_silent: AtomicBool::new(false),
            }))
        };
        live.claims.get(is_good, attach).await
    }

    /// Renews the tokens that are due, on all connections at once, and returns how long to wait until the next look.
    pub(super) async fn renew_due(namespace: &Arc<Self>) -> Duration {
        let mut renewals = JoinSet::new();
        for live in namespace.living() {
            let namespace = namespace.clone();
            renewals.spawn(async move {
                namespace.renew_on(&live).await;
                live.grants.next_renewal(namespace.options.clock.now())
            });
        }
        let mut pause = LONGEST_PAUSE;
        while let Some(next) = renewals.join_next().await {
            pause = pause.min(next.unwrap_or(LONGEST_PAUSE));
        }
        pause
    }

    async fn renew_on(&self, live: &Live) {
        for authorization in live.grants.due(self.options.clock.now()) {
            let span = tracing::debug_span!("renew", audience = authorization.audience());
            let renewed = self.within_a_try(self.renew(live, &authorization));
            match renewed.instrument(span).await {
                Ok(Some(token)) => self.renewed(live, &authorization, &token),
                Ok(None) => self.too_early(live, &authorization),
                Err(cause) => {
                    let is_timed_out = classify(&cause).0 == ErrorKind::Timeout;
                    self.renewal_failed(live, &authorization, cause);
                    if is_timed_out {
                        // The others would wait as long, each in turn. The next round asks a new pair.
                        return;
                    }
                }
            }
        }
    }

    /// Puts a token that ends later than the present one; `None` if the source has no such token yet.
    async fn renew(
        &self,
        live: &Live,
        authorization: &Authorization,
    ) -> Result<Option<Token>, Cause> {
        let token = self.token().await?;
        let present = live.grants.expires_at(authorization);
        if token.expires_at().is_some() && token.expires_at() <= present {
            return Ok(None);
        }
        self.put_token(live, authorization.audience(), &token)
            .await?;
        Ok(Some(token))
    }

    fn renewed(&self, live: &Live, authorization: &Authorization, token: &Token) {
        let audience = authorization.audience();
        let now = self.options.clock.now();
        live.grants.put(audience, token.expires_at(), now);
        self.tell(ClientEvent::TokenRenewed {
            audience: audience.to_owned(),
            expires_at: token.expires_at(),
        });
    }

    /// A source may give out a token again until shortly before its end.
    fn too_early(&self, live: &Live, authorization: &Authorization) {
        let (left, is_pressing) = self.postpone(live, authorization);
        if is_pressing {
            let reason = "the source gives no token that ends later than the present one";
            self.tell_of_failure(authorization, TokenError::transient(reason).into(), left);
        }
    }

    fn renewal_failed(&self, live: &Live, authorization: &Authorization, cause: Cause) {
        let (left, _) = self.postpone(live, authorization);
        self.tell_of_failure(authorization, cause, left);
    }

    fn postpone(&self, live: &Live, authorization: &Authorization) -> (Duration, bool) {
        let patience = RetryPolicy::default()
            .first_delay(Duration::from_secs(1))
            .max_delay(Duration::from_secs(30));
        let now = self.options.clock.now();
        live.grants.postpone(authorization, now, |failures| {
            patience.delay(failures, self.random())
        })
    }

    fn tell_of_failure(&self, authorization: &Authorization, cause: Cause, left: Duration) {
        let audience = authorization.audience().to_owned();
        let error = EventHubsError::new(format!("renew the token for {audience}"), cause);
        self.tell(ClientEvent::TokenRenewalFailed {
            audience,
            error,
            left,
        });
    }
}
