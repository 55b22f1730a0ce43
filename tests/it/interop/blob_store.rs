//! Our checkpoint store on Azurite, alone and beside Microsoft's stores for Python and JavaScript.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp10::TlsConfig;
use amqp10::eventhubs::auth::{Token, TokenFn, TokenKind};
use amqp10::eventhubs::checkpoint::{
    BlobCheckpointStore, BlobNames, BlobOptions, Checkpoint, CheckpointStore, ConsumerGroupId,
    Ownership, StoreError, conformance,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::program::Program;
use super::{peers, soon};

/// The key of the account that every Azurite has.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The connection string of Azurite; `None` if the test is to be skipped.
pub fn connection_string() -> Option<String> {
    let url = peers::azurite()?;
    Some(format!(
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={url}"
    ))
}

/// A container that nobody has used yet.
pub async fn container(connection_string: &str) -> String {
    let name = format!("checkpoints-{}", uuid());
    let store = store(connection_string, &name, BlobNames::LowerCase);
    store.create_container().await.unwrap();
    name
}

fn uuid() -> String {
    amqp10::ConnectionOptions::default()
        .container_id
        .replace('-', "")
}

fn store(connection_string: &str, container: &str, names: BlobNames) -> BlobCheckpointStore {
    let options = BlobOptions::default().names(names);
    BlobCheckpointStore::with_connection_string(connection_string, container, options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_carries_a_store_that_is_fit_for_processors() {
    let Some(connection_string) = connection_string() else {
        return;
    };
    let container = container(&connection_string).await;
    let store = store(&connection_string, &container, BlobNames::LowerCase);
    if let Err(failures) = conformance::check(Arc::new(store)).await {
        panic!("{failures}");
    }
}

/// A container with our store, and another client's.
struct Shared {
    connection_string: String,
    container: String,
    ours: BlobCheckpointStore,
    theirs: Program,
    group: ConsumerGroupId,
}

impl Shared {
    async fn new(program: Option<Program>) -> Option<Self> {
        let connection_string = connection_string()?;
        let container = container(&connection_string).await;
        Some(Self {
            ours: store(&connection_string, &container, BlobNames::LowerCase),
            connection_string,
            container,
            theirs: program?,
            group: ConsumerGroupId::new("Namespace.example", "Orders", "$Default"),
        })
    }

    async fn theirs(&self, operation: &[&str]) -> Vec<Json> {
        let ConsumerGroupId {
            namespace,
            hub,
            consumer_group,
            ..
        } = &self.group;
        let place = [
            self.connection_string.as_str(),
            &self.container,
            namespace,
            hub,
            consumer_group,
        ];
        self.theirs.lines(&[&place[..], operation].concat()).await
    }

    async fn their_ownership(&self) -> Ownership {
        ownership(&self.theirs(&["ownerships"]).await)
    }

    async fn our_ownership(&self) -> Ownership {
        let listed = self.ours.list_ownerships(&self.group).await.unwrap();
        <[Ownership; 1]>::try_from(listed).expect("one ownership")[0].clone()
    }

    async fn their_claim(&self, claim: Ownership) -> Option<Ownership> {
        let mut operation = vec!["claim", &claim.partition, &claim.owner];
        if let Some(etag) = &claim.etag {
            operation.extend(["--etag", etag]);
        }
        let won = self.theirs(&operation).await;
        (!won.is_empty()).then(|| ownership(&won))
    }

    async fn our_claim(&self, claim: Ownership) -> Option<Ownership> {
        let won = self.ours.claim_ownerships(&self.group, vec![claim]).await;
        won.unwrap().pop()
    }
}

/// The one ownership that another client printed.
fn ownership(printed: &[Json]) -> Ownership {
    let [record] = printed else {
        panic!("one ownership: {printed:?}");
    };
    let mut ownership = Ownership::new(
        record["partition"].as_str().unwrap(),
        record["owner"].as_str().unwrap_or_default(),
    );
    ownership.etag = Some(
        record["etag"]
            .as_str()
            .unwrap()
            .trim_matches('"')
            .to_owned(),
    );
    let millis = record["last_modified"].as_u64().unwrap();
    ownership.last_modified = Some(UNIX_EPOCH + Duration::from_millis(millis));
    ownership
}

/// Each takes the partition from the other by the version that it has listed, and loses by an older one.
async fn ownerships_are_shared(program: Option<Program>) {
    let Some(shared) = Shared::new(program).await else {
        return;
    };
    let first = shared.their_claim(Ownership::new("0", "theirs")).await;
    let first = first.expect("nobody has it");
    assert_eq!(shared.our_ownership().await, first);

    let stolen = shared.our_claim(first.claimed_by("ours")).await;
    let stolen = stolen.expect("the version is the stored one");
    assert_eq!(shared.their_ownership().await, stolen);
    assert_eq!(shared.their_claim(first.claimed_by("theirs")).await, None);

    let listed = shared.their_ownership().await;
    let back = shared.their_claim(listed.claimed_by("theirs")).await;
    let back = back.expect("the version is the stored one");
    assert_eq!(shared.our_claim(stolen.claimed_by("ours")).await, None);
    assert_eq!(shared.our_claim(Ownership::new("0", "ours")).await, None);

    // Given up by them, seen by us; and the reverse.
    let free = shared.their_claim(back.claimed_by("")).await.unwrap();
    assert_eq!(shared.our_ownership().await, free);
    let ours = shared.our_claim(free.claimed_by("ours")).await.unwrap();
    let free = shared.our_claim(ours.claimed_by("")).await.unwrap();
    assert_eq!(shared.their_ownership().await, free);
    shared
        .their_claim(free.claimed_by("theirs"))
        .await
        .expect("it is free");
}

async fn checkpoints_are_shared(program: Option<Program>) {
    let Some(shared) = Shared::new(program).await else {
        return;
    };
    shared.theirs(&["checkpoint", "0", "2:17:4096", "90"]).await;
    let ours = &shared.ours;
    let expected = vec![Checkpoint::new("0", "2:17:4096", 90)];
    assert_eq!(
        ours.list_checkpoints(&shared.group).await.unwrap(),
        expected
    );

    for checkpoint in [
        Checkpoint::new("0", "8192", 91),
        Checkpoint::new("1", "-1", 0),
    ] {
        ours.update_checkpoint(&shared.group, checkpoint)
            .await
            .unwrap();
    }
    let expected = [
        json!({"partition": "0", "offset": "8192", "sequence_number": 91}),
        json!({"partition": "1", "offset": "-1", "sequence_number": 0}),
    ];
    assert_eq!(shared.theirs(&["checkpoints"]).await, expected);
}

fn python() -> Option<Program> {
    Program::python("blob_store.py")
}

fn javascript() -> Option<Program> {
    Program::node("blob_store.js")
}

#[tokio::test]
async fn ownerships_are_shared_with_python() {
    ownerships_are_shared(python()).await;
}

#[tokio::test]
async fn ownerships_are_shared_with_javascript() {
    ownerships_are_shared(javascript()).await;
}

#[tokio::test]
async fn checkpoints_are_shared_with_python() {
    checkpoints_are_shared(python()).await;
}

#[tokio::test]
async fn checkpoints_are_shared_with_javascript() {
    checkpoints_are_shared(javascript()).await;
}

/// A signature for one container, made by another client, is all that our store needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_opens_a_container() {
    let Some(shared) = Shared::new(javascript()).await else {
        return;
    };
    let signed = shared.theirs(&["sign"]).await;
    let url = signed[0]["url"].as_str().unwrap();
    let open = |url: &str| BlobCheckpointStore::with_signed_url(url, BlobOptions::default());
    if let Err(failures) = conformance::check(Arc::new(open(url).unwrap())).await {
        panic!("{failures}");
    }
    let (rest, signature) = url.split_once("sig=").unwrap();
    let forged = open(&format!("{rest}sig=A{signature}")).unwrap();
    let error = forged.list_ownerships(&shared.group).await.unwrap_err();
    let shown = format!("{error} {error:?} {forged:?}");
    assert!(
        shown.contains("403") && !shown.contains(signature),
        "{shown}"
    );
}

/// An Azurite of one test: with TLS, and tokens that it reads though it does not verify who signed them.
struct SecureAzurite {
    url: String,
    _process: Child,
}

impl SecureAzurite {
    async fn start() -> Option<Self> {
        let program = format!("{}/azurite/dist/src/blob/main.js", peers::node_modules()?);
        let mut process = Command::new("node")
            .arg(program)
            .args([
                "--inMemoryPersistence",
                "--skipApiVersionCheck",
                "--disableTelemetry",
            ])
            .args([
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                "0",
                "--oauth",
                "basic",
            ])
            .args([
                "--cert",
                "tests/data/server.pem",
                "--key",
                "tests/data/server-key.pem",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        loop {
            let line = soon("Azurite's start", lines.next_line()).await.unwrap();
            let line = line.expect("it says where it listens");
            if let Some((_, url)) = line.split_once("listens on ") {
                // It ends when nobody reads what it prints.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Some(Self {
                    url: url.trim().to_owned(),
                    _process: process,
                });
            }
        }
    }

    fn store(&self, lifetime: i64) -> BlobCheckpointStore {
        let source = TokenFn::new(move |resource: String, now: SystemTime| async move {
            let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
            let claims = json!({
                "aud": resource,
                "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
                "nbf": now - 60,
                "iat": now - 60,
                "exp": now + lifetime,
            });
            let [header, claims] = [json!({"alg": "none", "typ": "JWT"}), claims]
                .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
            Ok(Token::new(
                format!("{header}.{claims}.c2ln"),
                TokenKind::Jwt,
                None,
            ))
        });
        let roots = include_bytes!("../../data/ca.pem");
        let options = BlobOptions::default().tls(TlsConfig::with_root_certificates(roots).unwrap());
        let url = format!("{}/devstoreaccount1/checkpoints", self.url);
        BlobCheckpointStore::with_token_source(&url, source, options).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_container_over_tls() {
    let Some(azurite) = SecureAzurite::start().await else {
        return;
    };
    let store = azurite.store(600);
    store.create_container().await.unwrap();
    if let Err(failures) = conformance::check(Arc::new(store)).await {
        panic!("{failures}");
    }
    let late = azurite.store(-10).create_container().await.unwrap_err();
    assert!(late.to_string().contains("AuthenticationFailed"), "{late}");
}

/// The clients for Go, Java and Rust write names as they are given.
#[tokio::test]
async fn checkpoints_under_names_as_given_are_found_too() {
    let Some(connection_string) = connection_string() else {
        return;
    };
    let container = container(&connection_string).await;
    let lower = store(&connection_string, &container, BlobNames::LowerCase);
    let verbatim = store(&connection_string, &container, BlobNames::Verbatim);
    let group = ConsumerGroupId::new("ns.example", "orders", "$Default");
    let list = async |store: &BlobCheckpointStore| store.list_checkpoints(&group).await.unwrap();

    let first = Checkpoint::new("0", "1000", 10);
    let other = Checkpoint::new("1", "500", 5);
    verbatim
        .update_checkpoint(&group, first.clone())
        .await
        .unwrap();
    verbatim
        .update_checkpoint(&group, other.clone())
        .await
        .unwrap();
    assert_eq!(list(&lower).await, [first, other.clone()]);

    // Written within the same second perhaps, but further on.
    let second = Checkpoint::new("0", "2000", 20);
    lower
        .update_checkpoint(&group, second.clone())
        .await
        .unwrap();
    for store in [&lower, &verbatim] {
        assert_eq!(list(store).await, [second.clone(), other.clone()]);
    }

    // Later counts more than further on: a hub that was made anew counts from the start.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let reset = Checkpoint::new("0", "100", 1);
    lower
        .update_checkpoint(&group, reset.clone())
        .await
        .unwrap();
    for store in [&lower, &verbatim] {
        assert_eq!(list(store).await, [reset.clone(), other.clone()]);
    }

    verbatim
        .claim_ownerships(&group, vec![Ownership::new("0", "x")])
        .await
        .unwrap();
    assert_eq!(lower.list_ownerships(&group).await.unwrap(), []);
}

#[tokio::test]
async fn what_azurite_refuses_is_told_without_secrets() {
    let Some(right) = connection_string() else {
        return;
    };
    let group = ConsumerGroupId::new("ns.example", "orders", "$Default");
    let wrong = right.replace(KEY, "d3Jvbmc=");
    for (connection_string, expected) in [(&right, "ContainerNotFound"), (&wrong, "403")] {
        let store = store(connection_string, "there-is-none", BlobNames::LowerCase);
        let update = store.update_checkpoint(&group, Checkpoint::new("0", "1", 1));
        let claim = store.claim_ownerships(&group, vec![Ownership::new("0", "x")]);
        let errors: [StoreError; 4] = [
            store.list_ownerships(&group).await.unwrap_err(),
            store.list_checkpoints(&group).await.unwrap_err(),
            claim.await.unwrap_err(),
            update.await.unwrap_err(),
        ];
        for error in errors {
            let shown = format!("{error} {error:?} {store:?}");
            assert!(shown.contains(expected), "{shown}");
            assert!(
                !shown.contains("d3Jvbmc") && !shown.contains(KEY),
                "{shown}"
            );
            assert!(!error.is_retryable(), "{shown}");
        }
    }
}
