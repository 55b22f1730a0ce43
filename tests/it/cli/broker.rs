//! `broker`: with TLS, with users, with certificates of clients.

use amqp10::{Connection, ConnectionOptions, Credentials, TlsConfig};
use tokio::process::Child;

use super::{run, started};

/// A file of the tests' certificates.
fn file(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// A broker behind TLS, and its URL.
async fn broker(arguments: &[&str]) -> (Child, String) {
    let (certificate, key) = (file("server.pem"), file("server-key.pem"));
    let tls = ["broker", "--port", "0", "--tls", &certificate, &key];
    started(&[&tls[..], arguments].concat()).await
}

async fn open(url: &str, tls: TlsConfig, credentials: Credentials) -> bool {
    let options = ConnectionOptions::default()
        .tls(tls)
        .credentials(credentials);
    Connection::open(url, options).await.is_ok()
}

#[tokio::test]
async fn y_030_users_of_a_file_log_in_behind_tls() {
    let users = std::env::temp_dir().join(format!("amqp10-{}", uuid::Uuid::new_v4().simple()));
    std::fs::write(&users, "# staff\nana:s3cr3t\n").unwrap();
    let (_child, url) = broker(&["--users", users.to_str().unwrap()]).await;
    std::fs::remove_file(users).unwrap();
    let address = url.strip_prefix("amqps://").unwrap();
    let ca = file("ca.pem");
    let node = |password| format!("amqps://ana:{password}@{address}/orders");
    let sent = run(&["send", &node("s3cr3t"), "--ca", &ca], b"x\n").await;
    sent.assert_success();
    let arguments = ["receive", &node("s3cr3t"), "--ca", &ca, "--count", "1"];
    assert_eq!(run(&arguments, b"").await.assert_success().stdout, "x\n");
    let refused = run(&["send", &node("wr0ng"), "--ca", &ca], b"x\n").await;
    refused.assert_failure(&["SCRAM-SHA-512"]);
    assert!(!refused.stderr.contains("wr0ng"), "{refused:?}");
    let tls = || TlsConfig::with_root_certificates(&pem("ca.pem")).unwrap();
    assert!(open(&url, tls(), Credentials::scram("ana", "s3cr3t")).await);
    assert!(!open(&url, tls(), Credentials::Anonymous).await);
}

#[tokio::test]
async fn clients_with_a_certificate_log_in_by_external() {
    let (_child, url) = broker(&["--client-ca", &file("ca.pem")]).await;
    let trusting = || TlsConfig::with_root_certificates(&pem("ca.pem")).unwrap();
    let known = trusting()
        .client_certificate(&pem("client.pem"), &pem("client-key.pem"))
        .unwrap();
    assert!(open(&url, known, Credentials::External).await);
    assert!(!open(&url, trusting(), Credentials::External).await);
    assert!(!open(&url, trusting(), Credentials::Anonymous).await);
}

#[tokio::test]
async fn what_the_broker_cannot_read_is_named() {
    let users = file("ca.pem");
    let table: [(&[&str], &[&str]); 3] = [
        (&["--users", &users], &["ca.pem", "line 1", "name:password"]),
        (&["--users", "nowhere"], &["nowhere", "No such file"]),
        (&["--max-message-size", "100000000"], &["67108864"]),
    ];
    for (arguments, words) in table {
        let all = [&["broker", "--port", "0"], arguments].concat();
        run(&all, b"").await.assert_failure(words);
    }
}
