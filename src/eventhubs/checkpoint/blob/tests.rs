//! The store against a server that follows a script: what Azurite does not do on demand.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::TlsServerConfig;
use crate::eventhubs::auth::{Token, TokenFn, TokenKind};
use crate::lock::lock;
use crate::transport::stream::Stream;
use crate::transport::tls;

/// What the server does with a request.
enum Answer {
    /// Status, headers, each with its line end, and body.
    Reply(&'static str, &'static str, &'static str),
    /// Closes the connection.
    Close,
    /// Nothing, for as long as the client waits.
    Silence,
}

use Answer::{Close, Reply, Silence};

const OK: Answer = Reply("200 OK", "", "");
const BUSY: Answer = Reply("503 Server Busy", "x-ms-error-code: ServerBusy\r\n", "");
const CREATED: Answer = Reply(
    "201 Created",
    "ETag: \"0x2\"\r\nLast-Modified: Fri, 13 Feb 2009 23:31:30 GMT\r\n",
    "",
);
const CONFLICT: Answer = Reply(
    "412 Precondition Failed",
    "x-ms-error-code: ConditionNotMet\r\n",
    "",
);
const EMPTY_LIST: &str = "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>";

/// A server for one test.
struct Server {
    address: String,
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::start_with(None, script).await
    }

    async fn start_with(
        tls: Option<TlsServerConfig>,
        script: impl IntoIterator<Item = Answer>,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
            connections: Mutex::default(),
        });
        let listening = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *lock(&listening.connections) += 1;
                let (server, tls) = (listening.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(Box::new(stream)).await,
                        Some(_) => match tls::accept(Box::new(stream), tls.as_ref()).await {
                            Ok((stream, _)) => server.serve(stream).await,
                            Err(error) => tracing::debug!(%error, "no handshake"),
                        },
                    }
                });
            }
        });
        server
    }

    async fn serve(self: Arc<Self>, mut stream: Box<dyn Stream>) {
        let mut read = Vec::new();
        while stream
            .read_buf(&mut read)
            .await
            .is_ok_and(|count| count > 0)
        {
            if !read.ends_with(b"\r\n\r\n") {
                continue;
            }
            let request = String::from_utf8(std::mem::take(&mut read)).unwrap();
            lock(&self.requests).push(request);
            let answer = lock(&self.script).pop_front();
            match answer.expect("the script has an answer") {
                Reply(status, headers, body) => {
                    let length = body.len();
                    let reply = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                    );
                    stream.write_all(reply.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
                Close => return,
                Silence => std::future::pending().await,
            }
        }
    }

    fn options(&self) -> BlobOptions {
        let retry = RetryPolicy::default()
            .max_retries(2)
            .first_delay(Duration::from_millis(1))
            .try_timeout(Duration::from_millis(500));
        BlobOptions::default().retry(retry)
    }

    fn store(&self) -> BlobCheckpointStore {
        let url = format!("http://{}/account/checkpoints?sv=1&sig=hush", self.address);
        BlobCheckpointStore::with_signed_url(&url, self.options()).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

fn group() -> ConsumerGroupId {
    ConsumerGroupId::new("NS.example", "orders", "$Default")
}

async fn claim(store: &BlobCheckpointStore, claim: Ownership) -> Option<Ownership> {
    let won = store.claim_ownerships(&group(), vec![claim]).await;
    won.unwrap().pop()
}

#[tokio::test]
async fn a_claim_is_one_conditional_request_with_the_signature_at_its_end() {
    let server = Server::start([CREATED, CREATED]).await;
    let store = server.store();
    let won = claim(&store, Ownership::new("0", "me")).await.unwrap();
    assert_eq!(won.etag.as_deref(), Some("0x2"));
    claim(&store, won.claimed_by("")).await.unwrap();
    let [put, set] = &server.requests()[..] else {
        panic!("{:?}", server.requests());
    };
    let blob = "/account/checkpoints/ns.example/orders/$default/ownership/0";
    assert!(
        put.starts_with(&format!("PUT {blob}?sv=1&sig=hush HTTP/1.1\r\n")),
        "{put}"
    );
    let set_line = format!("PUT {blob}?comp=metadata&sv=1&sig=hush HTTP/1.1\r\n");
    assert!(set.starts_with(&set_line), "{set}");
    let has = |request: &str, header: &str| request.lines().any(|line| line.trim_end() == header);
    for header in [
        "x-ms-meta-ownerid: me",
        "x-ms-blob-type: BlockBlob",
        "if-none-match: *",
        "content-length: 0",
    ] {
        assert!(has(put, header), "{header}: {put}");
    }
    assert!(
        has(set, "x-ms-meta-ownerid:") && has(set, "if-match: \"0x2\""),
        "{set}"
    );
    assert_eq!(*lock(&server.connections), 1);
    assert!(!format!("{store:?}").contains("hush"));
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let page = "<EnumerationResults><Blobs><Blob><Name>ns.example/orders/$default/ownership/7</Name>\
                <Properties><Etag>0x7</Etag></Properties><Metadata><OwnerId>me</OwnerId></Metadata></Blob>\
                <Blob><Name>ns.example/orders/$default/ownership/7/deeper</Name></Blob></Blobs>\
                <NextMarker>a&amp;b</NextMarker></EnumerationResults>";
    let server = Server::start([Reply("200 OK", "", page), Reply("200 OK", "", EMPTY_LIST)]).await;
    let listed = server.store().list_ownerships(&group()).await.unwrap();
    let mut expected = Ownership::new("7", "me");
    expected.etag = Some("0x7".into());
    assert_eq!(listed, [expected]);
    let [first, second] = &server.requests()[..] else {
        panic!("{:?}", server.requests());
    };
    let query = "restype=container&comp=list&prefix=ns.example%2Forders%2F%24default%2Fownership%2F&include=metadata";
    assert!(
        first.starts_with(&format!("GET /account/checkpoints?{query}&sv=1")),
        "{first}"
    );
    assert!(
        second.contains(&format!("{query}&marker=a%26b&sv=1")),
        "{second}"
    );
}

#[tokio::test]
async fn a_busy_service_is_left_alone_for_as_long_as_it_says() {
    let wait = Reply("503 Server Busy", "Retry-After: 1\r\n", "");
    let server = Server::start([wait, CREATED]).await;
    let began = Instant::now();
    claim(&server.store(), Ownership::new("0", "me"))
        .await
        .unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_service_that_is_busy_for_an_hour_is_an_error_at_once() {
    let wait = Reply("429 Too Many Requests", "Retry-After: 3600\r\n", "");
    let server = Server::start([wait]).await;
    let error = server.store().create_container().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn tries_are_counted_and_the_last_error_is_told() {
    let server = Server::start([BUSY, Close, BUSY]).await;
    let error = server.store().create_container().await.unwrap_err();
    let expected = "could not make the container: the service answered 503 ServerBusy";
    assert_eq!(error.to_string(), expected);
    assert!(error.is_retryable());
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up() {
    let server = Server::start([Silence, Silence, Silence]).await;
    let error = server.store().create_container().await.unwrap_err();
    assert!(
        error.to_string().ends_with("no answer within 500 ms"),
        "{error}"
    );
    assert!(error.is_retryable());
}

/// The first try was taken, but its answer is lost: the second is refused because of the first.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_known_for_ours() {
    let found = "ETag: \"0x9\"\r\nLast-Modified: Fri, 13 Feb 2009 23:31:30 GMT\r\nx-ms-meta-ownerid: me\r\n";
    let script = || [Close, CONFLICT, Reply("200 OK", found, "")];
    let server = Server::start(script()).await;
    let won = claim(&server.store(), Ownership::new("0", "me")).await;
    assert_eq!(won.unwrap().etag.as_deref(), Some("0x9"));

    let server = Server::start(script()).await;
    assert_eq!(
        claim(&server.store(), Ownership::new("0", "other")).await,
        None
    );

    let server = Server::start([CONFLICT]).await;
    assert_eq!(
        claim(&server.store(), Ownership::new("0", "me")).await,
        None
    );
}

#[tokio::test]
async fn one_claim_that_fails_does_not_keep_the_others_from_being_made() {
    let refused = Reply(
        "403 Forbidden",
        "x-ms-error-code: AuthorizationFailure\r\n",
        "",
    );
    let server = Server::start([refused, CREATED, CREATED]).await;
    let claims = ["0", "1", "2"].map(|partition| Ownership::new(partition, "me"));
    let claimed = server
        .store()
        .claim_ownerships(&group(), claims.into())
        .await;
    let error = claimed.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("the service answered 403 AuthorizationFailure")
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_checkpoint_makes_its_blob_where_there_is_none() {
    let none = Reply("404 Not Found", "x-ms-error-code: BlobNotFound\r\n", "");
    let server = Server::start([none, CREATED]).await;
    let checkpoint = Checkpoint::new("0", "4:1:100", 7);
    server
        .store()
        .update_checkpoint(&group(), checkpoint)
        .await
        .unwrap();
    for request in server.requests() {
        assert!(
            request.contains("x-ms-meta-offset: 4:1:100\r\n"),
            "{request}"
        );
        assert!(
            request.contains("x-ms-meta-sequencenumber: 7\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn records_that_cannot_be_written_or_read_are_refused() {
    let nameless = "<EnumerationResults><Blobs><Blob><Name>ns.example/orders/$default/checkpoint/0</Name>\
                    <Metadata><sequencenumber>many</sequencenumber></Metadata></Blob></Blobs></EnumerationResults>";
    let server = Server::start([Reply("200 OK", "", nameless)]).await;
    let store = server.store();
    let read = store.list_checkpoints(&group()).await.map(drop);
    let mut nowhere = Checkpoint::new("0", "1", 1);
    (nowhere.offset, nowhere.sequence_number) = (None, None);
    let written = store.update_checkpoint(&group(), nowhere).await;
    let strange = Ownership::new("0", "me\r\nx-ms-evil: 1");
    let claimed = store
        .claim_ownerships(&group(), vec![strange])
        .await
        .map(drop);
    for result in [read, written, claimed] {
        assert!(!result.unwrap_err().is_retryable());
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let last = Reply("200 OK", "Connection: close\r\n", "");
    let server = Server::start([last, OK]).await;
    let store = server.store();
    store.create_container().await.unwrap();
    store.create_container().await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(*lock(&server.connections), 2);
}

#[tokio::test]
async fn a_token_is_kept_until_its_end_and_replaced_when_it_is_refused() {
    let refused = || Reply("401 Unauthorized", "", "");
    let server = Server::start([OK, OK, refused(), OK, refused(), refused()]).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let source = TokenFn::new(move |resource: String, now: SystemTime| {
        let number = {
            let mut asked = lock(&log);
            asked.push(resource);
            asked.len()
        };
        let end = now + Duration::from_secs(600);
        async move { Ok(Token::new(format!("token-{number}"), TokenKind::Jwt, end)) }
    });
    let url = format!("http://{}/account/checkpoints", server.address);
    let store = BlobCheckpointStore::with_token_source(&url, source, server.options()).unwrap();
    for _ in 0..3 {
        store.create_container().await.unwrap();
    }
    // Twice refused is refused.
    let error = store.create_container().await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let requests = server.requests();
    let tokens: Vec<_> = requests
        .iter()
        .map(|request| request.split("authorization: Bearer ").nth(1).unwrap())
        .map(|rest| rest.split("\r\n").next().unwrap())
        .collect();
    let expected = [
        "token-1", "token-1", "token-1", "token-2", "token-2", "token-3",
    ];
    assert_eq!(tokens, expected);
    assert!(
        lock(&asked)
            .iter()
            .all(|resource| resource == "https://storage.azure.com")
    );
}

#[test]
fn tokens_are_not_sent_in_the_clear() {
    let source = || TokenFn::new(|_, _| async { Ok(Token::new("hush", TokenKind::Jwt, None)) });
    for (url, usable) in [
        ("http://account.example/checkpoints", false),
        ("http://127.0.0.1:10000/account/checkpoints", true),
        ("http://localhost:10000/account/checkpoints", true),
        ("https://account.example/checkpoints", true),
        ("https://account.example/checkpoints?sig=hush", false),
    ] {
        let store = BlobCheckpointStore::with_token_source(url, source(), BlobOptions::default());
        assert_eq!(store.is_ok(), usable, "{url}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn https_is_spoken_with_servers_that_are_trusted_alone() {
    let certificate = include_bytes!("../../../../tests/data/server.pem");
    let key = include_bytes!("../../../../tests/data/server-key.pem");
    let authority = include_bytes!("../../../../tests/data/ca.pem");
    let serving = TlsServerConfig::from_pem(certificate, key).unwrap();
    let server = Server::start_with(Some(serving), [OK, OK]).await;
    let url = format!("https://{}/account/checkpoints?sig=hush", server.address);

    let trusting = TlsConfig::with_root_certificates(authority).unwrap();
    let options = server.options().tls(trusting);
    let store = BlobCheckpointStore::with_signed_url(&url, options).unwrap();
    store.create_container().await.unwrap();
    store.create_container().await.unwrap();
    assert_eq!(*lock(&server.connections), 1);

    let store = BlobCheckpointStore::with_signed_url(&url, server.options()).unwrap();
    let error = store.create_container().await.unwrap_err();
    assert!(error.to_string().contains("issuer is unknown"), "{error}");
    assert!(!error.is_retryable() && !error.to_string().contains("hush"));
}
