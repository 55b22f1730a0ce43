//! `emulator` with a configuration file, a folder, and a certificate of its own.

use std::path::PathBuf;

use tokio::process::Child;

use super::hub::program;
use super::run;

const CONFIGURATION: &str = r#"{"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "ns", "Entities": [
    {"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}]}
]}]}}"#;

/// A folder of its own that is deleted in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("amqp10-cli-{}", uuid::Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn emulator(arguments: &[&str]) -> (Child, String) {
    program(&[&["--key", "k"], arguments].concat()).await
}

#[tokio::test]
async fn hubs_of_a_file_are_kept_in_a_folder_over_a_kill() {
    let folder = Folder::new();
    let (config, data) = (folder.file("Config.json"), folder.file("data"));
    std::fs::write(&config, CONFIGURATION).unwrap();
    let (mut child, target) = emulator(&["--config", &config, "--data", &data]).await;
    assert!(target.ends_with("EntityPath=eh1;"), "{target}");
    run(&["send", &target], b"a\nb\n").await.assert_success();
    child.kill().await.unwrap();

    let (mut child, target) = emulator(&["--data", &data]).await;
    assert!(target.ends_with("EntityPath=eh1;"), "{target}");
    let read = run(&["receive", &target, "--count", "2", "--group", "cg1"], b"").await;
    assert_eq!(
        super::sorted_lines(&read.assert_success().stdout),
        ["a", "b"]
    );
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_wrong_configuration_is_named_with_its_place() {
    let folder = Folder::new();
    let config = folder.file("Config.json");
    std::fs::write(&config, CONFIGURATION.replace("\"2\"", "\"two\"")).unwrap();
    let ended = run(&["emulator", "--config", &config], b"").await;
    ended.assert_failure(&["Config.json", "Entities[0].PartitionCount", "number"]);
}

#[tokio::test]
async fn the_authority_of_its_own_certificate_is_written_to_a_file() {
    let folder = Folder::new();
    let authority = folder.file("ca.pem");
    let (mut child, target) = emulator(&["--generate-tls", &authority]).await;
    assert!(!target.contains("UseDevelopmentEmulator"), "{target}");
    let pem = std::fs::read_to_string(&authority).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    let sent = run(&["send", &target, "--ca", &authority], b"x\n").await;
    sent.assert_success();
    child.kill().await.unwrap();
}
