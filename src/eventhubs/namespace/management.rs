//! The `$management` node: what the service tells about the hub and its partitions.

use std::sync::Arc;

use super::connections::Live;
use super::grants::Authorization;
use super::{FIRST, Namespace};
use crate::SessionOptions;
use crate::codec::{ApplicationProperties, Map};
use crate::eventhubs::error::{Cause, EventHubsError};
use crate::eventhubs::wire::{self, Address};
use crate::management::ManagementClient;

/// A connection's pair of links to `$management`.
pub(super) struct ManagementPair {
    client: ManagementClient,
    /// Has the token renewed.
    _authorization: Arc<Authorization>,
}

impl Namespace {
    /// Reads properties from the management node, once.
    pub(in crate::eventhubs) async fn read(
        self: &Arc<Self>,
        entity_type: &str,
        properties: ApplicationProperties,
    ) -> Result<Map, EventHubsError> {
        let live = self.live(FIRST).await?;
        let read = self.within_a_try(async {
            let management = self.management(&live).await?;
            let token = self.token().await?;
            let properties = properties.with(wire::request::SECURITY_TOKEN, token.text());
            let read = management.client.read(entity_type, &self.hub, properties);
            Ok(read.await?)
        });
        match read.await {
            Ok(map) => Ok(map),
            Err(cause) => {
                let attempt = format!("read properties of {}", self.hub);
                let error = EventHubsError::new(attempt, cause);
                let audience = self.audience(&self.management_address());
                self.give_up(&error, &live, &audience);
                Err(error)
            }
        }
    }

    /// The connection's `$management` pair. The service closes it when it is idle, as any other link.
    async fn management(&self, live: &Live) -> Result<Arc<ManagementPair>, Cause> {
        // Also where the pair is there: its token may have been refused since.
        let authorization = self.authorize(live, &self.management_address()).await?;
        let connection = live.connection.clone();
        let options = self.request_options();
        let attach = |_| async move {
            let session = connection.begin(SessionOptions::default()).await?;
            let attached = ManagementClient::attach(&session, wire::MANAGEMENT_NODE, options);
            Ok(Arc::new(ManagementPair {
                client: attached.await?,
                _authorization: authorization,
            }))
        };
        live.management
            .get(|pair| !pair.client.is_closed(), attach)
            .await
    }

    fn management_address(&self) -> Address {
        Address::Management {
            hub: Some(self.hub.clone()),
        }
    }
}
