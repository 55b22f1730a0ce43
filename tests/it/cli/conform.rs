//! `amqp10 conform`: what it prints and writes, and how it ends.

use amqp10::broker::{Broker, BrokerOptions};
use tokio::net::TcpListener;

use super::run;

/// Where a broker listens that is dropped with the test.
async fn broker() -> (Broker, String) {
    let broker = Broker::start(BrokerOptions::default()).await.unwrap();
    let address = broker.local_addr().unwrap().to_string();
    (broker, address)
}

/// Where somebody listens who hangs up at once.
async fn rude() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    address
}

#[tokio::test]
async fn cases_are_listed() {
    let ended = run(&["conform", "--list", "--only", "F-002"], b"").await;
    ended.assert_success();
    let listed: Vec<&str> = ended.stdout.lines().collect();
    assert!(listed.contains(&"listener  f_001_f_002_a_size_below_the_header_is_a_framing_error"));
    assert!(
        listed.iter().all(|case| case.contains("f_002")),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_listener_that_breaks_no_rule_is_a_success() {
    let (_broker, address) = broker().await;
    let ended = run(&["conform", &address, "--only", "F-00"], b"").await;
    ended.assert_success();
    assert!(ended.stdout.contains("pass    f_001_f_002_"), "{ended:?}");
    assert!(ended.stdout.contains(" 0 failed, 0 remarked"), "{ended:?}");
}

#[tokio::test]
async fn a_broken_rule_is_a_failure_with_octets_to_try_again() {
    let folder = std::env::temp_dir().join(format!("amqp10-conform-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [json, junit] = ["report.json", "report.xml"].map(|name| folder.join(name));
    let address = rude().await;
    let arguments = [
        "conform",
        &address,
        "--only=v_008_v_010_octets",
        "--json",
        json.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ];
    let ended = run(&arguments, b"").await;
    ended.assert_failure(&["MUST"]);
    assert!(
        ended.stdout.contains("-> octets: 414d505100010000"),
        "{ended:?}"
    );

    let report = std::fs::read_to_string(json).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["counts"]["fail"], 1);
    let case = &report["cases"][0];
    assert_eq!(
        (&case["verdict"], &case["side"]),
        (&"fail".into(), &"listener".into())
    );
    assert_eq!(case["dialogue"][0]["octets"], "414d505100010000");

    let report = std::fs::read_to_string(junit).unwrap();
    assert!(report.contains("tests=\"1\" failures=\"1\""), "{report}");
    assert!(report.contains("<failure message=\""), "{report}");
    assert!(
        report.contains("-&gt; octets: 414d505100010000"),
        "{report}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_listener_that_is_not_there_is_one_failure() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let ended = run(&["conform", &address], b"").await;
    ended.assert_failure(&["cannot connect to", &address]);
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn a_client_that_does_not_come_is_skipped() {
    let arguments = [
        "conform",
        "--client",
        "0",
        "--only=K-006",
        "--patience",
        "0.1",
    ];
    let ended = run(&arguments, b"").await;
    ended.assert_success();
    assert!(ended.stdout.starts_with("amqp://localhost:"), "{ended:?}");
    assert!(ended.stdout.contains("(no client connects)"), "{ended:?}");
}
