//! `emulator` with the rules that its options set.

use super::hub::program;
use super::{lines, run};

const HUB: [&str; 4] = ["--hub", "orders:1", "--key", "k"];

async fn emulator(rules: &[&str]) -> (tokio::process::Child, String) {
    program(&[&HUB[..], rules].concat()).await
}

#[tokio::test]
async fn a_message_is_no_larger_than_the_option_says() {
    let (_child, target) = emulator(&["--max-message-size", "4k"]).await;
    run(&["send", &target], &[b'x'; 3000])
        .await
        .assert_success();
    let ended = run(&["send", &target], &[b'x'; 5000]).await;
    ended.assert_failure(&["4096"]);
}

#[tokio::test]
async fn a_partition_keeps_what_the_options_say() {
    for rules in [
        &["--retention-events", "10"][..],
        // Smaller than any event: the newest stays.
        &["--retention-size", "1", "--retention", "24"],
    ] {
        let (_child, target) = emulator(rules).await;
        run(&["send", &target], lines(100).as_bytes())
            .await
            .assert_success();
        let read = run(&["receive", &target, "--idle", "0.5"], b"").await;
        let kept = read.assert_success().stdout.lines().count();
        assert_eq!(kept, if rules[1] == "10" { 10 } else { 1 });
        assert!(read.stdout.ends_with("line 99\n"));
    }
}

#[tokio::test]
async fn receivers_are_as_many_as_the_options_say() {
    for rule in ["--max-receivers", "--max-group-receivers"] {
        let (_child, target) = emulator(&[rule, "1"]).await;
        run(&["send", &target], b"x\n").await.assert_success();
        let mut first = super::command(&["receive", &target]).spawn().unwrap();
        let mut stdout = tokio::io::BufReader::new(first.stdout.take().unwrap());
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line)
            .await
            .unwrap();
        let second = run(&["receive", &target, "--count", "1"], b"").await;
        second.assert_failure(&["receiver"]);
        first.kill().await.unwrap();
    }
}

#[tokio::test]
async fn offsets_hold_the_epoch_of_a_replicated_namespace() {
    let (_child, target) = emulator(&["--georeplication", "3"]).await;
    run(&["send", &target], b"a\nb\n").await.assert_success();
    let read = run(&["receive", &target, "--count", "2", "--json"], b"").await;
    let first = read.assert_success().stdout.lines().next().unwrap();
    let event: serde_json::Value = serde_json::from_str(first).unwrap();
    let offset = event["offset"].as_str().unwrap();
    assert!(offset.starts_with("3:"), "{offset}");
    let arguments = ["receive", &target, "--partition", "0", "--count", "1"];
    let rest = run(&[&arguments[..], &["--from", offset]].concat(), b"").await;
    assert_eq!(rest.assert_success().stdout, "b\n");
    let foreign = run(&[&arguments[..], &["--from", "4:0"]].concat(), b"").await;
    foreign.assert_failure(&["com.microsoft:georeplication:invalid-offset"]);
}

#[tokio::test]
async fn a_position_behind_the_end_is_taken_if_the_option_says_so() {
    for is_lenient in [false, true] {
        let rules: &[&str] = if is_lenient {
            &["--lenient-positions"]
        } else {
            &[]
        };
        let (_child, target) = emulator(rules).await;
        let arguments = ["receive", &target, "--partition", "0", "--from", "99999"];
        let ended = run(&[&arguments[..], &["--idle", "0.3"]].concat(), b"").await;
        match is_lenient {
            true => assert_eq!(ended.assert_success().stdout, ""),
            false => drop(ended.assert_failure(&["99999"])),
        }
    }
}

/// What is not seen by the tool itself is at least taken together, and the hub works.
#[tokio::test]
async fn the_other_rules_can_be_set_together() {
    let rules = [
        "--idle-link",
        "10m",
        "--idle-connection",
        "300s",
        "--idle-new-connection",
        "1m",
        "--silence",
        "240s",
        "--throughput",
        "1000:1m",
        "--accept-any-jwt",
    ];
    let (_child, target) = emulator(&rules).await;
    run(&["send", &target], b"x\n").await.assert_success();
    let read = run(&["receive", &target, "--count", "1"], b"").await;
    assert_eq!(read.assert_success().stdout, "x\n");
}

#[tokio::test]
async fn a_seed_has_things_go_wrong_and_nothing_is_lost() {
    // Without --key: the key is the seed's, the same in each run.
    let seeded = ["--hub", "orders:1", "--fault-seed", "5"];
    let (_first, target) = program(&seeded).await;
    let (_second, again) = program(&seeded).await;
    let key = |target: &str| target.split("SharedAccessKey=").nth(1).map(str::to_owned);
    assert_eq!(key(&target), key(&again));
    run(&["send", &target], b"x\n").await.assert_success();
    let read = run(&["receive", &target, "--count", "1"], b"").await;
    assert_eq!(read.assert_success().stdout, "x\n");
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    for arguments in [
        &["--idle-link", "soon"][..],
        &["--idle-link", "0s"],
        &["--max-message-size", "4kb"],
        &["--throughput", "1000"],
        &["--throughput", "many:1m"],
        &["--fault-seed", "-1"],
        &["--georeplication", "x"],
    ] {
        let ended = run(&[&["emulator"], arguments].concat(), b"").await;
        assert_eq!(ended.status, Some(2), "{ended:?}");
    }
}
