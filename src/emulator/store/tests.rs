//! What is found again after the files were cut, changed or added to.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::config::{EmulatorOptions, Retention};
use super::super::event::StoredEvent;
use super::super::event::tests::event;
use super::super::log::{Numbers, ProducerClaim, Publication};
use super::super::namespace::Namespace;
use super::super::partition::Partition;
use super::*;
use crate::Clock;
use tokio::task::JoinHandle;

/// A folder of its own that is deleted in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("amqp10-store-{}", uuid::Uuid::new_v4().simple());
        Folder(std::env::temp_dir().join(name))
    }

    fn newest_file(&self) -> PathBuf {
        let mut files: Vec<_> = fs::read_dir(self.0.join("1-orders/0"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.pop().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(folder: &Folder) -> EmulatorOptions {
    EmulatorOptions::default()
        .hub("orders", 1)
        .persistence(Persistence::new(&folder.0))
}

/// The partition of the only hub, and what keeps it open.
struct Open {
    namespace: Namespace,
    task: JoinHandle<()>,
    partition: Arc<Partition>,
}

impl Open {
    async fn new(options: EmulatorOptions) -> Open {
        let (namespace, task) = Namespace::open(options).await.unwrap();
        let partition = namespace.hub("orders").unwrap().partition("0").unwrap();
        Open {
            namespace,
            task: task.unwrap(),
            partition,
        }
    }

    async fn close(self) {
        drop((self.namespace, self.partition));
        self.task.await.unwrap();
    }

    async fn store(&self, bodies: &[&str]) {
        let events: Vec<_> = bodies.iter().map(|body| event(body)).collect();
        let mut storing = self.partition.append(events.into()).unwrap();
        storing.done().await.unwrap();
    }

    async fn events(&self) -> Vec<StoredEvent> {
        if self.partition.state().is_empty {
            return Vec::new();
        }
        let begin = self.partition.state().begin;
        self.partition.cursor(begin).read(usize::MAX).await
    }
}

#[tokio::test]
async fn events_come_back_with_their_positions_and_the_next_follow() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    open.store(&["a", "b"]).await;
    open.store(&["c"]).await;
    let before = open.events().await;
    open.close().await;

    let open = Open::new(options(&folder)).await;
    let after = open.events().await;
    let shown = |events: &[StoredEvent]| -> Vec<_> {
        let parts = events
            .iter()
            .map(|event| (event.position.clone(), event.message()));
        parts.collect()
    };
    assert_eq!(shown(&after), shown(&before));
    open.store(&["d"]).await;
    let last = open.events().await.pop().unwrap().position;
    assert_eq!(last.sequence_number, 3);
    assert!(last.offset > before[2].position.offset);
}

#[tokio::test]
async fn a_tail_that_is_cut_at_any_octet_or_changed_is_left_out_and_writing_goes_on() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    open.store(&["a"]).await;
    let file = folder.newest_file();
    let whole = fs::read(&file).unwrap();
    open.store(&["b"]).await;
    open.close().await;
    let with_last = fs::read(&file).unwrap();

    let mut damaged: Vec<Vec<u8>> = (whole.len()..with_last.len())
        .map(|end| with_last[..end].to_vec())
        .collect();
    damaged.extend((whole.len()..with_last.len()).map(|position| {
        let mut changed = with_last.clone();
        changed[position] ^= 0x10;
        changed
    }));
    for contents in damaged {
        fs::write(&file, contents).unwrap();
        let open = Open::new(options(&folder)).await;
        assert_eq!(open.events().await.len(), 1);
        open.store(&["again"]).await;
        assert_eq!(open.events().await.len(), 2);
        open.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_where_a_kill_cannot_reach_is_an_error_that_names_it() {
    let folder = Folder::new();
    Open::new(options(&folder)).await.close().await;
    let file = folder.newest_file();
    let mut contents = fs::read(&file).unwrap();
    contents[3] ^= 1;
    fs::write(&file, contents).unwrap();
    let error = Namespace::open(options(&folder)).await.unwrap_err();
    assert!(
        matches!(&error, EmulatorError::Storage { path, .. } if *path == file),
        "{error}"
    );
}

#[tokio::test]
async fn retention_deletes_whole_files_and_positions_go_on_behind_them() {
    let folder = Folder::new();
    let few = |folder: &Folder| {
        let persistence = Persistence::new(&folder.0).file_bytes(1000);
        options(folder)
            .persistence(persistence)
            .retention(Retention::default().events(5))
    };
    let open = Open::new(few(&folder)).await;
    for number in 0..100 {
        open.store(&[&number.to_string()]).await;
    }
    let files = fs::read_dir(folder.0.join("1-orders/0")).unwrap().count();
    assert!(files <= 4, "{files} files");
    open.close().await;
    let open = Open::new(few(&folder)).await;
    let numbers: Vec<_> = open
        .events()
        .await
        .iter()
        .map(|event| event.position.sequence_number)
        .collect();
    assert_eq!(numbers, [95, 96, 97, 98, 99]);
}

#[tokio::test]
async fn what_is_too_old_is_gone_and_its_number_is_not_used_again() {
    let folder = Folder::new();
    let at = |seconds| {
        let clock = Clock::new(move || UNIX_EPOCH + Duration::from_secs(seconds));
        let retention = Retention::default().age(Duration::from_secs(60));
        options(&folder).clock(clock).retention(retention)
    };
    let open = Open::new(at(1000)).await;
    open.store(&["a", "b"]).await;
    open.close().await;
    let open = Open::new(at(1050)).await;
    assert_eq!(open.events().await.len(), 2);
    open.close().await;
    let open = Open::new(at(1061)).await;
    assert!(open.partition.state().is_empty);
    open.store(&["c"]).await;
    assert_eq!(open.events().await[0].position.sequence_number, 2);
}

#[tokio::test]
async fn producers_are_known_again_even_if_they_have_not_published() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    let claim = |epoch| ProducerClaim {
        id: Some(7),
        epoch: Some(epoch),
        last: Some(i32::MAX),
    };
    let publication = |first| Publication {
        events: vec![event("x")],
        numbers: Some(Numbers {
            producer: 7,
            epoch: 1,
            first,
            count: 1,
        }),
    };
    open.partition.claim_producer(claim(1)).unwrap();
    let mut storing = open.partition.append(publication(0)).unwrap();
    storing.done().await.unwrap();
    open.close().await;

    let open = Open::new(options(&folder)).await;
    let mut storing = open.partition.append(publication(0)).unwrap();
    storing.done().await.unwrap();
    assert_eq!(open.events().await.len(), 1, "a repeat is not stored again");
    open.partition.claim_producer(claim(2)).unwrap();
    open.close().await;

    let open = Open::new(options(&folder)).await;
    let error = open.partition.claim_producer(claim(1)).unwrap_err();
    assert_eq!(
        error.condition.as_str(),
        "com.microsoft:producer-epoch-stolen"
    );
}

#[tokio::test]
async fn hubs_are_found_again_and_their_groups_grow() {
    let folder = Folder::new();
    let (namespace, task) = Namespace::open(options(&folder)).await.unwrap();
    let namespace = Arc::new(namespace);
    let audit = HubOptions::new("Audit", 2).consumer_group("g");
    namespace.create_hub(audit.clone()).await.unwrap();
    namespace.delete_hub("ORDERS").await.unwrap();
    drop(namespace);
    task.unwrap().await.unwrap();

    let again = options(&folder).consumer_group("audit", "h");
    let error = Namespace::open(again).await.unwrap_err();
    assert!(error.to_string().contains("2 partitions"), "{error}");

    let again = options(&folder)
        .hub("audit", 2)
        .consumer_group("audit", "h");
    let (namespace, _task) = Namespace::open(again).await.unwrap();
    let found: Vec<_> = namespace.hubs().iter().map(|hub| hub.options()).collect();
    assert_eq!(
        found,
        [audit.consumer_group("h"), HubOptions::new("orders", 1)]
    );
}

#[tokio::test]
async fn a_folder_is_for_one_emulator_at_a_time() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    let error = Namespace::open(options(&folder)).await.unwrap_err();
    assert!(error.to_string().contains("another emulator"), "{error}");
    open.close().await;
    Open::new(options(&folder)).await;
}

#[tokio::test]
async fn hubs_that_were_half_made_or_half_deleted_are_gone() {
    let folder = Folder::new();
    Open::new(options(&folder)).await.close().await;
    for name in ["7-half.new", "8-half.deleted"] {
        fs::create_dir(folder.0.join(name)).unwrap();
    }
    Open::new(options(&folder)).await.close().await;
    assert!(!folder.0.join("7-half.new").exists());
    assert!(!folder.0.join("8-half.deleted").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_cannot_be_written_is_refused_not_shown_and_told_as_ill_health() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    open.store(&["a"]).await;
    open.partition.fill_the_disk();
    let mut storing = open.partition.append(vec![event("b")].into()).unwrap();
    let error = storing.done().await.unwrap_err();
    assert_eq!(error.condition.as_str(), "amqp:internal-error");
    assert!(open.partition.append(vec![event("c")].into()).is_err());
    assert_eq!(open.events().await.len(), 1);
    assert!(!open.namespace.is_healthy());
    open.close().await;
    let open = Open::new(options(&folder)).await;
    assert_eq!(open.events().await.len(), 1);
}

#[tokio::test]
async fn damage_before_whole_records_is_an_error_and_nothing_is_cut() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    let file = folder.newest_file();
    let begin = fs::read(&file).unwrap().len();
    open.store(&["a"]).await;
    open.store(&["b"]).await;
    open.store(&["c"]).await;
    open.close().await;
    let mut contents = fs::read(&file).unwrap();
    // In the record, behind its length and checksum.
    contents[begin + 12] ^= 1;
    fs::write(&file, &contents).unwrap();
    let error = Namespace::open(options(&folder)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("octet {begin}")), "{text}");
    assert!(text.contains("restore"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), contents);
}

#[tokio::test]
async fn zeros_at_the_end_are_cut_off() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    open.store(&["a"]).await;
    open.close().await;
    let file = folder.newest_file();
    let mut contents = fs::read(&file).unwrap();
    contents.resize(contents.len() + 4099, 0);
    fs::write(&file, &contents).unwrap();
    let open = Open::new(options(&folder)).await;
    assert_eq!(open.events().await.len(), 1);
}

#[tokio::test]
async fn what_could_not_be_made_to_last_is_not_there_after_the_next_start() {
    let folder = Folder::new();
    let open = Open::new(options(&folder)).await;
    open.store(&["a"]).await;
    open.partition.fail_to_sync();
    let mut storing = open.partition.append(vec![event("b")].into()).unwrap();
    assert!(storing.done().await.is_err());
    open.close().await;
    let open = Open::new(options(&folder)).await;
    assert_eq!(open.events().await.len(), 1);
}
