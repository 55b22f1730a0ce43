//! A container of blobs: the six requests that checkpoints need, each tried again where that may help.

use std::time::{Duration, SystemTime};

use hyper::Method;
use hyper::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, USER_AGENT};

use super::BlobOptions;
use super::account::{Credential, Place};
use super::error::BlobError;
use super::http::{HttpClient, Reply, Request};
use super::listing::{self, Blob, unquoted};
use crate::eventhubs::RetryPolicy;
use crate::random::Random;
use crate::{Clock, percent};

/// The version of the service's interface that this is written for.
const VERSION: &str = "2021-12-02";
/// A service that wants to be left alone for longer gets its way, and the caller the error.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Pages of a list, of up to 5000 blobs each.
const MAX_PAGES: usize = 100;

/// A container, and how it is reached.
pub(super) struct Container {
    http: HttpClient,
    path: String,
    credential: Credential,
    retry: RetryPolicy,
    random: Random,
    clock: Clock,
}

/// Which version of a blob is written over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    Any,
    Version(&'a str),
    NoBlob,
}

/// The version that a write has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) etag: String,
    pub(super) last_modified: Option<SystemTime>,
}

/// What came of a write under a condition.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    Written(Written),
    /// The condition did not hold.
    Conflict {
        /// An earlier try may have been what changed the blob: its answer did not arrive.
        maybe_ours: bool,
    },
}

impl Container {
    pub(super) fn new(place: Place, options: &BlobOptions) -> Self {
        let limit = options.retry.try_timeout;
        Self {
            http: HttpClient::new(place.endpoint, options.tls.clone(), limit),
            path: place.path,
            credential: place.credential,
            retry: options.retry.clone(),
            random: Random::new(None),
            clock: options.clock.clone(),
        }
    }

    /// Host and path, without what opens it.
    pub(super) fn address(&self) -> String {
        format!("{}{}", self.http.endpoint().authority, self.path)
    }

    /// Makes the container unless it is there.
    pub(super) async fn create(&self) -> Result<(), BlobError> {
        let mut request = Request::new(Method::PUT, self.path.clone());
        request.query = vec![("restype", "container".into())];
        match self.send(request).await {
            Err((error, _)) if error.is_code("ContainerAlreadyExists") => Ok(()),
            result => result.map(drop).map_err(|(error, _)| error),
        }
    }

    /// All blobs whose names begin with `prefix`, with their metadata.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Blob>, BlobError> {
        let mut blobs = Vec::new();
        let mut marker = String::new();
        for _ in 0..MAX_PAGES {
            let mut request = Request::new(Method::GET, self.path.clone());
            request.query = vec![
                ("restype", "container".into()),
                ("comp", "list".into()),
                ("prefix", prefix.to_owned()),
                ("include", "metadata".into()),
            ];
            if !marker.is_empty() {
                request.query.push(("marker", marker));
            }
            let reply = self.send(request).await.map_err(|(error, _)| error)?;
            let page = listing::parse(&reply.body)?;
            blobs.extend(page.blobs);
            if page.next_marker.is_empty() {
                return Ok(blobs);
            }
            marker = page.next_marker;
        }
        Err(BlobError::Answer(format!(
            "the list has more than {MAX_PAGES} pages"
        )))
    }

    /// Writes an empty blob with this metadata.
    pub(super) async fn put(
        &self,
        name: &str,
        metadata: &[(&str, &str)],
        condition: Condition<'_>,
    ) -> Result<WriteOutcome, BlobError> {
        let mut request = self.write(name, metadata, condition)?;
        request.set(HeaderName::from_static("x-ms-blob-type"), "BlockBlob")?;
        self.conclude(request).await
    }

    /// Replaces the metadata of a blob that is there.
    pub(super) async fn set_metadata(
        &self,
        name: &str,
        metadata: &[(&str, &str)],
        condition: Condition<'_>,
    ) -> Result<WriteOutcome, BlobError> {
        let mut request = self.write(name, metadata, condition)?;
        request.query = vec![("comp", "metadata".into())];
        self.conclude(request).await
    }

    /// One value of a blob's metadata, and the version that has it.
    pub(super) async fn metadata(
        &self,
        name: &str,
        key: &str,
    ) -> Result<(String, Written), BlobError> {
        let mut request = Request::new(Method::GET, self.path_of(name));
        request.query = vec![("comp", "metadata".into())];
        let reply = self.send(request).await.map_err(|(error, _)| error)?;
        let value = reply.header(&format!("x-ms-meta-{key}")).to_owned();
        Ok((value, Written::of(&reply)))
    }

    fn write(
        &self,
        name: &str,
        metadata: &[(&str, &str)],
        condition: Condition<'_>,
    ) -> Result<Request, BlobError> {
        let mut request = Request::new(Method::PUT, self.path_of(name));
        for (key, value) in metadata {
            let header = HeaderName::from_bytes(format!("x-ms-meta-{key}").as_bytes());
            request.set(header.expect("keys are names of headers"), value)?;
        }
        match condition {
            Condition::Any => {}
            Condition::Version(etag) => {
                request.set(IF_MATCH, &format!("\"{}\"", unquoted(etag)))?
            }
            Condition::NoBlob => request.set(IF_NONE_MATCH, "*")?,
        }
        Ok(request)
    }

    async fn conclude(&self, request: Request) -> Result<WriteOutcome, BlobError> {
        match self.send(request).await {
            Ok(reply) => Ok(WriteOutcome::Written(Written::of(&reply))),
            Err((error, maybe_ours))
                if error.is_status(412)
                    || error.is_code("BlobAlreadyExists")
                    || error.is_code("ConditionNotMet") =>
            {
                Ok(WriteOutcome::Conflict { maybe_ours })
            }
            Err((error, _)) => Err(error),
        }
    }

    fn path_of(&self, name: &str) -> String {
        // Slashes part the name; the dollar of `$Default` is left as other clients leave it.
        let name = percent::encode(name)
            .replace("%2F", "/")
            .replace("%24", "$");
        format!("{}/{name}", self.path)
    }

    /// Sends a request until it is answered, the service refuses it, or the tries are used up. The error says whether an
    /// earlier try may have had its effect without our knowing.
    async fn send(&self, mut request: Request) -> Result<Reply, (BlobError, bool)> {
        let agent = concat!("amqp10/", env!("CARGO_PKG_VERSION"));
        let version = HeaderName::from_static("x-ms-version");
        request
            .set(USER_AGENT, agent)
            .and_then(|()| request.set(version, VERSION))
            .map_err(|error| (error, false))?;
        let mut maybe_done = false;
        let mut renewed = false;
        let mut retry = 0;
        loop {
            let error = match self.attempt(request.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if error.is_status(401) && !renewed && self.credential.renew().await {
                renewed = true;
                continue;
            }
            let Some(pause) = self.pause(&error, retry) else {
                return Err((error, maybe_done));
            };
            tracing::debug!(%error, ?pause, "blob request is tried again");
            maybe_done |= !matches!(error, BlobError::Connect(_) | BlobError::Token(_));
            retry += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, mut request: Request) -> Result<Reply, BlobError> {
        let now = self.clock.now();
        self.credential.authorize(&mut request, now).await?;
        let reply = self.http.send(&request).await?;
        match reply.status {
            200..=299 => Ok(reply),
            status => Err(BlobError::Refused {
                status,
                code: reply.header("x-ms-error-code").to_owned(),
                retry_after: reply.retry_after(now),
            }),
        }
    }

    /// How long to wait before the next try, if there is to be one.
    fn pause(&self, error: &BlobError, retry: u32) -> Option<Duration> {
        if !error.is_retryable() || retry >= self.retry.max_retries {
            return None;
        }
        let asked = match error {
            BlobError::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = self.retry.delay(retry, self.random.next()).max(asked);
        (asked <= LONGEST_WAIT).then_some(pause)
    }
}

impl Written {
    fn of(reply: &Reply) -> Self {
        Self {
            etag: unquoted(reply.header(ETAG.as_str())).to_owned(),
            last_modified: httpdate::parse_http_date(reply.header(LAST_MODIFIED.as_str())).ok(),
        }
    }
}
