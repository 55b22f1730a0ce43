//! Arguments: what is said about wrong ones, and that it never repeats a key.

use super::run;

const KEY: &str = "s3cr3tK3y";

#[tokio::test]
async fn malformed_targets_are_named_part_by_part() {
    let broken_endpoint =
        format!("Endpoint=http://host/;SharedAccessKeyName=a;SharedAccessKey={KEY}");
    let no_hub = format!("Endpoint=sb://host/;SharedAccessKeyName=a;SharedAccessKey={KEY}");
    let no_name = format!("Endpoint=sb://host/;SharedAccessKey={KEY};EntityPath=a");
    let bad_port = format!("amqp://user:{KEY}@host:port/a");
    let no_address = format!("amqp://user:{KEY}@host");
    let table: [(&str, &[&str]); 7] = [
        (&broken_endpoint, &["Endpoint", "sb://"]),
        (&no_hub, &["EntityPath", "--address"]),
        (&no_name, &["SharedAccessKeyName"]),
        (&bad_port, &["port"]),
        (&no_address, &["address", "user:***@host"]),
        ("http://host/a", &["amqp://"]),
        ("nonsense", &["amqp://", "Endpoint=sb://"]),
    ];
    for (target, words) in table {
        for arguments in [&["send", target][..], &["receive", target]] {
            let ended = run(arguments, b"").await;
            ended.assert_failure(words);
            assert!(!ended.stderr.contains(KEY), "{ended:?}");
            assert_eq!(ended.stdout, "");
        }
    }
}

#[tokio::test]
async fn an_argument_too_many_is_not_repeated_if_it_could_hold_a_key() {
    let target = format!("Endpoint=sb://host/;SharedAccessKeyName=a;SharedAccessKey={KEY}");
    for arguments in [
        &["send", "amqp://host/a", &target][..],
        &["emulator", &target],
        &["send", "--count", &target],
    ] {
        let ended = run(arguments, b"").await;
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(!ended.stderr.contains(KEY), "{ended:?}");
        assert!(!ended.stderr.is_empty());
    }
}

#[tokio::test]
async fn options_that_do_not_fit_the_target_are_refused() {
    let hub = "Endpoint=sb://host/;SharedAccessKeyName=a;SharedAccessKey=k;EntityPath=h";
    let node = "amqp://host/a";
    let table: [(&[&str], &str); 6] = [
        (&["send", node, "--key", "k"], "Event Hubs"),
        (&["send", node, "--partition", "0"], "Event Hubs"),
        (&["receive", node, "--from", "latest"], "Event Hubs"),
        (&["receive", node, "--group", "g"], "Event Hubs"),
        (&["receive", hub, "--from", "4096"], "--partition"),
        (&["emulator", "--hub", "a:1", "--group", "b:g"], "--hub b"),
    ];
    for (arguments, word) in table {
        run(arguments, b"").await.assert_failure(&[word]);
    }
    for arguments in [
        &["send", node, "--count", "1"][..],
        &["send", node, "--window", "0"],
        &["receive", node, "--idle", "-1"],
        &[
            "send",
            node,
            "--count",
            "1",
            "--size",
            "18446744073709551615",
        ],
        &["bench", "send", "host:1", "1", "1073741825", "1"],
        &["bench", "send", "host:1", "1", "1", "2147483648"],
        &["emulator", "--hub", "orders"],
        &["emulator", "--tls", "only-one"],
    ] {
        let ended = run(arguments, b"").await;
        assert_eq!(ended.status, Some(2), "{ended:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn arguments_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;

    let target = format!("Endpoint=sb://host/;SharedAccessKey={KEY}");
    let no_text = [target.as_bytes(), b"\xFF"].concat();
    let mut command = super::command(&["send", "amqp://host/a"]);
    command.arg(std::ffi::OsStr::from_bytes(&no_text));
    let ended = super::end_of(command.spawn().unwrap()).await;
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert!(!ended.stderr.contains(KEY), "{ended:?}");
}

#[tokio::test]
async fn help_says_how_a_target_is_written() {
    for command in ["send", "receive"] {
        let ended = run(&[command, "--help"], b"").await;
        ended.assert_success();
        for word in ["amqp://", "Endpoint=sb://", "Exit status"] {
            assert!(ended.stdout.contains(word), "{ended:?}");
        }
    }
}
