//! Checkpoints on Azure Blob Storage, as the clients for other languages keep them there.
//!
//! | blob | metadata |
//! |---|---|
//! | `{namespace}/{hub}/{group}/ownership/{partition}` | `ownerid` |
//! | `{namespace}/{hub}/{group}/checkpoint/{partition}` | `offset`, `sequencenumber` |
//!
//! Blobs are empty: all is in their metadata, so that one request lists it. A claim names the version that it replaces by
//! its ETag; whoever is second is refused by the service.
//!
//! The clients for .NET, Python and JavaScript write names in lower case, those for Go, Java and Rust as they are given:
//! `$default` and `$Default` are different blobs. This store writes lower case unless told otherwise by [`BlobNames`], and
//! looks for checkpoints under both, so that a group can move from one client to another. Ownerships are kept under the
//! spelling that is written alone: clients that spell differently do not see each other's claims.

mod account;
mod container;
mod error;
mod http;
mod listing;
mod names;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use account::Place;
use container::{Condition, Container, WriteOutcome};
use error::BlobError;
use listing::Blob;
pub use names::BlobNames;
use names::Record;

use super::{Checkpoint, CheckpointStore, ConsumerGroupId, Ownership, StoreError, StoreFuture};
use crate::eventhubs::RetryPolicy;
use crate::eventhubs::auth::TokenSource;
use crate::{Clock, Proxy, TlsConfig};

const OWNER: &str = "ownerid";
const OFFSET: &str = "offset";
const SEQUENCE_NUMBER: &str = "sequencenumber";
/// Claims that are under way at the same time.
const MAX_CLAIMS: usize = 16;

/// Options of a [`BlobCheckpointStore`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlobCheckpointStoreOptions {
    /// How names are spelt. Default: in lower case.
    pub names: BlobNames,
    /// How requests that failed are tried again, and how long each may take. Default: three times, each at most 5 s.
    /// Where the service says when to come back, that counts, up to a minute.
    pub retry: RetryPolicy,
    /// How TLS is done. Default `None`: as [`TlsConfig::default`].
    pub tls: Option<TlsConfig>,
    /// The HTTP proxy that is asked for a tunnel to the service (`CONNECT`), before TLS. Default `None`: the environment is
    /// not looked at, but see [`Proxy::from_env`].
    pub proxy: Option<Proxy>,
    /// What tells the time of day, which requests are signed with. Default: the system's clock.
    pub clock: Clock,
}

impl Default for BlobCheckpointStoreOptions {
    fn default() -> Self {
        Self {
            names: BlobNames::default(),
            retry: RetryPolicy::default()
                .max_retries(3)
                .max_delay(Duration::from_secs(5))
                .try_timeout(Duration::from_secs(5)),
            tls: None,
            proxy: None,
            clock: Clock::default(),
        }
    }
}

impl BlobCheckpointStoreOptions {
    /// Sets [`names`](Self::names).
    pub fn names(mut self, names: BlobNames) -> Self {
        self.names = names;
        self
    }

    /// Sets [`retry`](Self::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets [`tls`](Self::tls).
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sets [`proxy`](Self::proxy).
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

/// A [`CheckpointStore`] in a container of Azure Blob Storage, shared with Microsoft's clients for other languages.
///
/// It connects when it is first asked, and must be asked within a tokio runtime. Clones share their connections.
///
/// ```no_run
/// use amqp10::eventhubs::checkpoint::{BlobCheckpointStore, BlobCheckpointStoreOptions};
///
/// # async fn run(connection_string: &str) -> Result<(), amqp10::eventhubs::checkpoint::StoreError> {
/// let store = BlobCheckpointStore::with_connection_string(connection_string, "checkpoints", BlobCheckpointStoreOptions::default())?;
/// store.create_container().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BlobCheckpointStore {
    container: Arc<Container>,
    names: BlobNames,
}

impl BlobCheckpointStore {
    /// A container of the storage account that a connection string names: with an account key, with a shared access
    /// signature, or `UseDevelopmentStorage=true` for a stand-in on this machine.
    ///
    /// # Errors
    ///
    /// If the connection string lacks a part or holds a malformed one, or `container` is no name of a container.
    pub fn with_connection_string(
        connection_string: &str,
        container: &str,
        options: BlobCheckpointStoreOptions,
    ) -> Result<Self, StoreError> {
        Self::new(
            Place::from_connection_string(connection_string, container),
            options,
        )
    }

    /// A container by its URL with a shared access signature: `https://account.blob.core.windows.net/container?sv=…&sig=…`.
    /// It must allow to read, add, create, write and list.
    ///
    /// # Errors
    ///
    /// If it is no such URL. The error does not repeat it.
    pub fn with_signed_url(
        url: &str,
        options: BlobCheckpointStoreOptions,
    ) -> Result<Self, StoreError> {
        Self::new(Place::from_signed_url(url), options)
    }

    /// A container by its URL, `https://account.blob.core.windows.net/container`, opened by tokens for the resource
    /// `https://storage.azure.com`. Whoever they are issued for needs the role Storage Blob Data Contributor.
    ///
    /// # Errors
    ///
    /// If it is no such URL; if it is one without TLS, to another machine.
    pub fn with_token_source(
        url: &str,
        source: impl TokenSource + 'static,
        options: BlobCheckpointStoreOptions,
    ) -> Result<Self, StoreError> {
        Self::new(Place::from_url(url, Arc::new(source)), options)
    }

    fn new(
        place: Result<Place, BlobError>,
        options: BlobCheckpointStoreOptions,
    ) -> Result<Self, StoreError> {
        let place = place.map_err(|error| error.into_store_error("find the container"))?;
        Ok(Self {
            container: Arc::new(Container::new(place, &options)),
            names: options.names,
        })
    }

    /// Makes the container unless it is there. Other clients expect it to be there.
    ///
    /// # Errors
    ///
    /// If the service cannot be reached or does not allow it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the container may be there or not.
    pub async fn create_container(&self) -> Result<(), StoreError> {
        let created = self.container.create().await;
        created.map_err(|error| error.into_store_error("make the container"))
    }

    async fn ownerships(&self, group: &ConsumerGroupId) -> Result<Vec<Ownership>, StoreError> {
        let folder = self.names.folder(group, Record::Ownership);
        let blobs = self.container.list(&folder).await;
        let blobs = blobs.map_err(|error| error.into_store_error("list ownerships"))?;
        let ownerships = blobs.into_iter().filter_map(|blob| {
            Some(Ownership {
                partition: partition_of(&blob, &folder)?,
                // A blob without an owner, whoever wrote it, can be claimed like one that was given up.
                owner: blob.metadata(OWNER).unwrap_or_default().to_owned(),
                last_modified: blob.last_modified,
                etag: Some(blob.etag),
            })
        });
        Ok(ownerships.collect())
    }

    /// All claims are tried, whatever becomes of one; the first failure is reported then.
    async fn claim_all(
        &self,
        group: &ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> Result<Vec<Ownership>, StoreError> {
        let folder = self.names.folder(group, Record::Ownership);
        let mut claims = claims.into_iter();
        let mut running = JoinSet::new();
        let mut won = Vec::new();
        let mut failure = None;
        loop {
            while running.len() < MAX_CLAIMS
                && let Some(claim) = claims.next()
            {
                let name = format!("{folder}{}", claim.partition);
                running.spawn(self.container.clone().claim(name, claim));
            }
            match running.join_next().await {
                None => break,
                Some(Ok(Ok(ownership))) => won.extend(ownership),
                Some(Ok(Err(error))) => failure = failure.or(Some(error)),
                Some(Err(_)) => {} // the runtime is ending
            }
        }
        failure.map_or(Ok(won), Err)
    }

    async fn checkpoints(&self, group: &ConsumerGroupId) -> Result<Vec<Checkpoint>, StoreError> {
        let mut folders = vec![
            self.names.folder(group, Record::Checkpoint),
            self.names.other().folder(group, Record::Checkpoint),
        ];
        folders.dedup();
        let mut latest: BTreeMap<String, (Blob, Checkpoint)> = BTreeMap::new();
        for folder in folders {
            let blobs = self.container.list(&folder).await;
            let blobs = blobs.map_err(|error| error.into_store_error("list checkpoints"))?;
            for blob in blobs {
                let Some(partition) = partition_of(&blob, &folder) else {
                    continue;
                };
                let checkpoint = checkpoint_of(&blob, &partition);
                let rank = |blob: &Blob, checkpoint: &Checkpoint| {
                    let readable = checkpoint.is_readable();
                    (readable, blob.last_modified, checkpoint.sequence_number)
                };
                let is_later = latest
                    .get(&partition)
                    .is_none_or(|(before, known)| rank(before, known) < rank(&blob, &checkpoint));
                if is_later {
                    latest.insert(partition, (blob, checkpoint));
                }
            }
        }
        Ok(latest
            .into_values()
            .map(|(_, checkpoint)| checkpoint)
            .collect())
    }

    async fn write_checkpoint(
        &self,
        group: &ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        let attempt = || format!("write the checkpoint of partition {}", checkpoint.partition);
        let folder = self.names.folder(group, Record::Checkpoint);
        let name = format!("{folder}{}", checkpoint.partition);
        let number = checkpoint.sequence_number.map(|number| number.to_string());
        let mut metadata = Vec::new();
        metadata.extend(checkpoint.offset.as_deref().map(|offset| (OFFSET, offset)));
        metadata.extend(number.as_deref().map(|number| (SEQUENCE_NUMBER, number)));
        if metadata.is_empty() {
            let reason = "it has neither an offset nor a sequence number";
            return Err(StoreError::refused(attempt(), reason));
        }
        // Metadata first: a blob that is put anew leaves a copy behind where deleted blobs are kept for a while.
        let set = self
            .container
            .set_metadata(&name, &metadata, Condition::Any);
        let written = match set.await {
            Err(error) if error.is_status(404) && !error.is_code("ContainerNotFound") => {
                self.container.put(&name, &metadata, Condition::Any).await
            }
            result => result,
        };
        match written {
            Ok(WriteOutcome::Written(_)) => Ok(()),
            Ok(WriteOutcome::Conflict { .. }) => {
                Err(StoreError::refused(attempt(), "the blob is locked"))
            }
            Err(error) => Err(error.into_store_error(attempt())),
        }
    }
}

impl Container {
    /// The claim with its new version if it was won, nothing if another was first.
    async fn claim(
        self: Arc<Self>,
        name: String,
        claim: Ownership,
    ) -> Result<Option<Ownership>, StoreError> {
        let failed = |error: BlobError| {
            error.into_store_error(format!("claim partition {}", claim.partition))
        };
        let metadata = [(OWNER, claim.owner.as_str())];
        let outcome = match &claim.etag {
            Some(etag) => {
                self.set_metadata(&name, &metadata, Condition::Version(etag))
                    .await
            }
            None => self.put(&name, &metadata, Condition::NoBlob).await,
        };
        let written = match outcome {
            Ok(WriteOutcome::Written(written)) => written,
            Ok(WriteOutcome::Conflict { maybe_ours: true }) => {
                let (owner, written) = self.metadata(&name, OWNER).await.map_err(failed)?;
                if owner != claim.owner {
                    return Ok(None);
                }
                written
            }
            Ok(WriteOutcome::Conflict { maybe_ours: false }) => return Ok(None),
            // The version that was claimed is gone with its blob.
            Err(error) if error.is_code("BlobNotFound") => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        Ok(Some(Ownership {
            etag: Some(written.etag),
            last_modified: written.last_modified,
            ..claim
        }))
    }
}

/// What stands behind the folder in a blob's name; nothing for what lies deeper.
fn partition_of(blob: &Blob, folder: &str) -> Option<String> {
    let partition = blob.name.strip_prefix(folder)?;
    (!partition.is_empty() && !partition.contains('/')).then(|| partition.to_owned())
}

/// A number that is none is as good as absent where there is an offset.
fn checkpoint_of(blob: &Blob, partition: &str) -> Checkpoint {
    let text = |key| blob.metadata(key).filter(|text| !text.is_empty());
    let checkpoint = Checkpoint {
        partition: partition.to_owned(),
        offset: text(OFFSET).map(str::to_owned),
        sequence_number: text(SEQUENCE_NUMBER).and_then(|number| number.parse().ok()),
    };
    if !checkpoint.is_readable() {
        tracing::warn!(
            blob = blob.name,
            "no checkpoint: the metadata has neither `offset` nor `sequencenumber`"
        );
    }
    checkpoint
}

impl CheckpointStore for BlobCheckpointStore {
    fn list_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Box::pin(self.ownerships(group))
    }

    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Box::pin(self.claim_all(group, claims))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
        Box::pin(self.checkpoints(group))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.write_checkpoint(group, checkpoint))
    }
}

impl fmt::Debug for BlobCheckpointStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobCheckpointStore")
            .field("container", &self.container.address())
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
