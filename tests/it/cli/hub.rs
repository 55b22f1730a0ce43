//! `send`, `receive` and `emulator` together.

use amqp10::emulator::{Emulator, EmulatorOptions};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::{command, end_of, lines, run, sorted_lines, started};

const KEY: &str = "s3cr3tK3y";

async fn emulator() -> (Emulator, String) {
    let options = EmulatorOptions::default()
        .hub("orders", 3)
        .consumer_group("orders", "billing")
        .key("root", KEY);
    let emulator = Emulator::start(options).await.unwrap();
    let connection_string = emulator.connection_string_for("orders");
    (emulator, connection_string)
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_hub_is_reached_by_websocket() {
    let (_emulator, target) = emulator().await;
    let sent = run(&["send", &target, "--websocket", "--json"], b"one\n").await;
    assert_eq!(sent.assert_success().json()["accepted"], 1);
    let arguments = ["receive", &target, "--websocket", "--count", "1"];
    let received = run(&arguments, b"").await;
    received.assert_success();
    assert_eq!(received.stdout, "one\n");
    let proxied = ["send", &target, "--proxy", "https://hush@proxy"];
    let refused = run(&proxied, b"one\n").await;
    assert!(
        refused.stderr.contains("expected http://"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("hush"));
}

#[tokio::test]
async fn lines_go_through_a_hub_and_come_back() {
    let (_emulator, target) = emulator().await;
    let text = lines(20_000);
    let sent = run(&["send", &target, "--json"], text.as_bytes()).await;
    let summary = sent.assert_success().json();
    assert_eq!(summary["sent"], 20_000);
    assert_eq!(summary["accepted"], 20_000);

    let all = run(
        &["receive", &target, "--count", "20000", "--idle", "10"],
        b"",
    )
    .await;
    all.assert_success();
    assert_eq!(sorted_lines(&all.stdout), sorted_lines(&text));

    let settled = [
        "send",
        &target,
        "--settled",
        "--json",
        "--address",
        "orders",
        "--count",
        "5",
        "--size",
        "1",
    ];
    let summary = run(&settled, b"").await.assert_success().json();
    assert_eq!(
        (&summary["sent"], &summary["accepted"]),
        (&5.into(), &Value::Null)
    );

    let idle = run(
        &["receive", &target, "--idle", "0.5", "--group", "billing"],
        b"",
    )
    .await;
    assert_eq!(idle.assert_success().stdout.lines().count(), 20_005);
}

#[tokio::test]
async fn lines_of_one_key_stay_in_order_in_one_partition() {
    let (_emulator, target) = emulator().await;
    let text = lines(5000);
    let arguments = ["send", &target, "--key", "device-42", "--window", "64"];
    run(&arguments, text.as_bytes()).await.assert_success();

    let shown = run(&["receive", &target, "--count", "5000", "--json"], b"").await;
    let events = objects(&shown.assert_success().stdout);
    let partition = &events[0]["partition"];
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["body"], format!("line {number}"));
        assert_eq!(event["sequence_number"], number);
        assert_eq!(&event["partition"], partition);
        assert_eq!(event["partition_key"], "device-42");
        assert!(event["enqueued_time"].as_str().unwrap().ends_with('Z'));
    }

    let (partition, offset) = (
        partition.as_str().unwrap(),
        events[4989]["offset"].as_str().unwrap(),
    );
    let arguments = [
        "receive",
        &target,
        "--partition",
        partition,
        "--from",
        offset,
        "--idle",
        "0.5",
    ];
    let rest = run(&arguments, b"").await;
    assert_eq!(
        rest.assert_success().stdout.lines().next(),
        Some("line 4990")
    );
    assert_eq!(rest.stdout.lines().count(), 10);

    let latest = run(
        &["receive", &target, "--from", "latest", "--idle", "0.3"],
        b"",
    )
    .await;
    assert_eq!(latest.assert_success().stdout, "");
}

#[tokio::test]
async fn a_partition_can_be_chosen() {
    let (_emulator, target) = emulator().await;
    run(&["send", &target, "--partition", "2"], b"x\n\ny")
        .await
        .assert_success();
    let shown = run(
        &["receive", &target, "--partition", "2", "--count", "3"],
        b"",
    )
    .await;
    assert_eq!(shown.assert_success().stdout, "x\n\ny\n");
}

#[tokio::test]
async fn what_the_namespace_refuses_is_told_with_its_words_but_never_the_key() {
    let (_emulator, target) = emulator().await;
    let wrong_key = target.replace(KEY, "an0therK3y");
    let unknown_hub = target.replace("EntityPath=orders", "EntityPath=nope");
    let table: [(&[&str], &[&str]); 6] = [
        (&["send", &wrong_key], &["orders", "401", "signature"]),
        (&["receive", &wrong_key], &["401", "signature"]),
        (&["send", &unknown_hub], &["nope", "not-found"]),
        (&["receive", &unknown_hub], &["nope", "not"]),
        (&["send", &target, "--partition", "9"], &["orders", "9"]),
        (&["receive", &target, "--group", "nope"], &["nope"]),
    ];
    for (arguments, words) in table {
        let ended = run(arguments, b"x\n").await;
        ended.assert_failure(words);
        assert!(!ended.stderr.contains("K3y"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_line_too_large_for_the_hub_is_named() {
    let (_emulator, target) = emulator().await;
    let mut text = b"short\n".to_vec();
    text.resize(text.len() + 2_000_000, b'x');
    let ended = run(&["send", &target, "--json"], &text).await;
    ended.assert_failure(&["message", "2000000 octets", "1048576"]);
}

#[tokio::test]
async fn a_namespace_that_goes_away_ends_the_commands() {
    let (emulator, target) = emulator().await;
    run(&["send", &target], b"x\n").await.assert_success();
    let mut receiving = command(&["receive", &target]).spawn().unwrap();
    let mut stdout = BufReader::new(receiving.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    assert_eq!(line, "x\n");
    emulator.shutdown().await;
    end_of(receiving).await.assert_failure(&["could not"]);
    run(&["send", &target], b"x\n")
        .await
        .assert_failure(&["refused"]);
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupted_receive_is_a_failure_only_if_it_wanted_more() {
    let (_emulator, target) = emulator().await;
    run(&["send", &target], b"x\n").await.assert_success();
    for (arguments, status) in [
        (&["receive", &target][..], 0),
        (&["receive", &target, "--count", "2"], 130),
    ] {
        let mut child = command(arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        signal("-INT", &child);
        let ended = end_of(child).await;
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(status), ""));
    }
}

#[cfg(unix)]
fn signal(name: &str, child: &Child) {
    let id = child.id().unwrap().to_string();
    let kill = std::process::Command::new("kill")
        .args([name, &id])
        .status();
    assert!(kill.unwrap().success());
}

/// The program, and the connection string that it printed.
pub(super) async fn program(arguments: &[&str]) -> (Child, String) {
    started(&[&["emulator", "--port", "0"], arguments].concat()).await
}

#[cfg(unix)]
#[tokio::test]
async fn the_emulator_prints_where_it_is_and_ends_when_told_to() {
    for name in ["-INT", "-TERM"] {
        let (child, target) = program(&["--hub", "orders:2", "--group", "orders:g"]).await;
        assert!(target.contains("EntityPath=orders"), "{target}");
        run(&["send", &target], b"x\n").await.assert_success();
        let read = run(&["receive", &target, "--group", "g", "--count", "1"], b"").await;
        assert_eq!(read.assert_success().stdout, "x\n");
        signal(name, &child);
        end_of(child).await.assert_success();
    }
}

#[tokio::test]
async fn a_hub_behind_tls_is_reached_with_its_certificate_authority() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    let file = |name: &str| format!("{folder}{name}");
    let (certificate, key, ca) = (file("server.pem"), file("server-key.pem"), file("ca.pem"));
    let (_child, target) = program(&["--hub", "a:1", "--tls", &certificate, &key]).await;
    let sent = run(&["send", &target, "--ca", &ca], b"x\n").await;
    sent.assert_success();
    // The built-in roots do not know it, and another authority does not vouch for it.
    run(&["send", &target], b"x\n")
        .await
        .assert_failure(&["TLS", "certificate"]);
    let other = run(&["send", &target, "--ca", &file("other-ca.pem")], b"x\n").await;
    other.assert_failure(&["TLS", "certificate"]);
    let missing = run(&["send", &target, "--ca", "nowhere.pem"], b"x\n").await;
    missing.assert_failure(&["nowhere.pem", "No such file"]);
}

#[tokio::test]
async fn of_several_hubs_one_is_named() {
    let (_child, target) = program(&["--hub", "a:1", "--hub", "b:1"]).await;
    assert!(!target.contains("EntityPath"), "{target}");
    run(&["send", &target], b"x\n")
        .await
        .assert_failure(&["--address"]);
    run(&["send", &target, "--address", "b"], b"x\n")
        .await
        .assert_success();
    let named = format!("{target}EntityPath=b;EntityPath=b");
    let read = run(&["receive", &named, "--count", "1"], b"").await;
    assert_eq!(read.assert_success().stdout, "x\n");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (emulator, _) = emulator().await;
    let port = emulator.local_addr().unwrap().port().to_string();
    let ended = run(&["emulator", "--port", &port], b"").await;
    ended.assert_failure(&[&port, "in use"]);
}
