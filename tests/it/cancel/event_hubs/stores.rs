//! Futures of the stores of checkpoints: what is dropped is done or not, and never after what was asked for later.

use std::fs::{self, File};

use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, FileCheckpointStore, MemoryCheckpointStore,
    Ownership, conformance,
};

use super::*;
use crate::support::folder::Folder;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        (
            "MemoryCheckpointStore::list_ownerships",
            memory_does_not_wait,
        ),
        (
            "MemoryCheckpointStore::claim_ownerships",
            memory_does_not_wait,
        ),
        (
            "MemoryCheckpointStore::list_checkpoints",
            memory_does_not_wait,
        ),
        (
            "MemoryCheckpointStore::update_checkpoint",
            memory_does_not_wait,
        ),
        (
            "FileCheckpointStore::list_ownerships",
            calls_of_a_store_in_files,
        ),
        (
            "FileCheckpointStore::claim_ownerships",
            calls_of_a_store_in_files,
        ),
        (
            "FileCheckpointStore::list_checkpoints",
            calls_of_a_store_in_files,
        ),
        (
            "FileCheckpointStore::update_checkpoint",
            calls_of_a_store_in_files,
        ),
        #[cfg(feature = "blob")]
        (
            "BlobCheckpointStore::list_ownerships",
            blobs::calls_of_a_store_in_blobs,
        ),
        #[cfg(feature = "blob")]
        (
            "BlobCheckpointStore::claim_ownerships",
            blobs::calls_of_a_store_in_blobs,
        ),
        #[cfg(feature = "blob")]
        (
            "BlobCheckpointStore::list_checkpoints",
            blobs::calls_of_a_store_in_blobs,
        ),
        #[cfg(feature = "blob")]
        (
            "BlobCheckpointStore::update_checkpoint",
            blobs::calls_of_a_store_in_blobs,
        ),
        #[cfg(feature = "blob")]
        (
            "BlobCheckpointStore::create_container",
            blobs::calls_of_a_store_in_blobs,
        ),
        (
            "conformance::check",
            a_check_that_is_given_up_spoils_no_other,
        ),
    ],
};

fn group() -> ConsumerGroupId {
    ConsumerGroupId::new("ns.example", HUB, "$Default")
}

fn checkpoint(number: i64) -> Checkpoint {
    Checkpoint::new("0", number.to_string(), number)
}

async fn checkpointed(store: &impl CheckpointStore) -> Option<i64> {
    let mut all = store.list_checkpoints(&group()).await.unwrap();
    all.pop().and_then(|checkpoint| checkpoint.sequence_number)
}

#[tokio::test(start_paused = true)]
async fn memory_does_not_wait() {
    let (store, group) = (MemoryCheckpointStore::new(), group());
    let claims = vec![Ownership::new("0", "me")];
    let claimed = poll_times(1, store.claim_ownerships(&group, claims)).await;
    let claimed = claimed.expect("an answer at the first poll").unwrap();
    let listed = poll_times(1, store.list_ownerships(&group)).await;
    assert_eq!(
        listed.expect("an answer at the first poll").unwrap(),
        claimed
    );
    let written = poll_times(1, store.update_checkpoint(&group, checkpoint(7))).await;
    written.expect("an answer at the first poll").unwrap();
    let listed = poll_times(1, store.list_checkpoints(&group)).await;
    let listed = listed.expect("an answer at the first poll").unwrap();
    assert_eq!(listed, [checkpoint(7)]);
}

/// The lock of the group, held as by another process.
fn locked(folder: &Folder) -> File {
    let path = folder.0.join(format!("ns.example/{HUB}"));
    let group = fs::read_dir(path).unwrap().next().unwrap().unwrap();
    let lock = File::options().write(true).open(group.path().join("lock"));
    let lock = lock.unwrap();
    lock.lock().unwrap();
    lock
}

#[tokio::test]
async fn calls_of_a_store_in_files() {
    let folder = Folder::new();
    let (store, group) = (FileCheckpointStore::new(&folder.0), group());
    for number in 0..20 {
        for polls in 0..3 {
            let _ = poll_times(polls, store.list_ownerships(&group)).await;
            let _ = poll_times(polls, store.list_checkpoints(&group)).await;
            // A claim that nobody waits for may be carried out; what became of it is in the list.
            let claim = |owner: &str, present: Vec<Ownership>| match present.first() {
                Some(record) => vec![record.claimed_by(owner)],
                None => vec![Ownership::new("0", owner)],
            };
            let present = store.list_ownerships(&group).await.unwrap();
            let dropped = claim("dropped", present.clone());
            let _ = poll_times(polls, store.claim_ownerships(&group, dropped)).await;
            let won = store
                .claim_ownerships(&group, claim("whole", present))
                .await;
            let listed = store.list_ownerships(&group).await.unwrap();
            let owner = if won.unwrap().is_empty() {
                "dropped"
            } else {
                "whole"
            };
            assert_eq!(listed[0].owner, owner);
            let before = checkpoint(2 * number);
            let _ = poll_times(polls, store.update_checkpoint(&group, before)).await;
            let after = checkpoint(2 * number + 1);
            store.update_checkpoint(&group, after).await.unwrap();
            assert_eq!(checkpointed(&store).await, Some(2 * number + 1));
        }
    }
}

/// Another process holds the lock: what is given up meanwhile must not be written after what was written later.
#[tokio::test]
async fn a_checkpoint_that_is_given_up_does_not_come_after_a_later_one() {
    let folder = Folder::new();
    let (store, group) = (FileCheckpointStore::new(&folder.0), group());
    store
        .update_checkpoint(&group, checkpoint(0))
        .await
        .unwrap();
    for round in 0..20 {
        let lock = locked(&folder);
        let first = 10 * round;
        for number in first..first + 9 {
            let writing = store.update_checkpoint(&group, checkpoint(number));
            assert!(poll_times(1, writing).await.is_none(), "the lock is held");
        }
        let later = checkpoint(first + 9);
        let (written, ()) = tokio::join!(store.update_checkpoint(&group, later), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(lock);
        });
        written.unwrap();
        // Those that were given up have come to their end by now, if they are to be written at all.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(checkpointed(&store).await, Some(first + 9));
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_given_up_spoils_no_other() {
    let store = Arc::new(MemoryCheckpointStore::new());
    for polls in 0..40 {
        drop(poll_times(polls, conformance::check(store.clone())).await);
    }
    conformance::check(store).await.unwrap();
}

#[cfg(feature = "blob")]
mod blobs {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use amqp10::eventhubs::checkpoint::{
        BlobCheckpointStore, BlobCheckpointStoreOptions, StoreError,
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Connections that have not ended.
    type Living = Arc<AtomicUsize>;

    /// A service that takes whatever is put, and lists nothing.
    async fn service() -> (BlobCheckpointStore, Living) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let living = Living::default();
        let counted = living.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = counted.clone();
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    serve(stream).await;
                    counted.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        let url = format!("http://{address}/account/checkpoints?sv=1&sig=s");
        let options = BlobCheckpointStoreOptions::default();
        let store = BlobCheckpointStore::with_signed_url(&url, options).unwrap();
        (store, living)
    }

    async fn serve(mut stream: TcpStream) {
        const LIST: &str = "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>";
        let mut read = Vec::new();
        while stream
            .read_buf(&mut read)
            .await
            .is_ok_and(|octets| octets > 0)
        {
            if !read.ends_with(b"\r\n\r\n") {
                continue;
            }
            let (status, body) = match read.starts_with(b"GET") {
                true => ("200 OK", LIST),
                false => ("201 Created", ""),
            };
            read.clear();
            let modified = "ETag: \"0x2\"\r\nLast-Modified: Fri, 13 Feb 2009 23:31:30 GMT";
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{modified}\r\n\r\n{body}"
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn call(store: &BlobCheckpointStore, number: usize) -> Result<(), StoreError> {
        let group = group();
        let claims = (0..3)
            .map(|id| Ownership::new(id.to_string(), "me"))
            .collect();
        match number {
            0 => store.create_container().await,
            1 => store.list_ownerships(&group).await.map(drop),
            2 => store.claim_ownerships(&group, claims).await.map(drop),
            3 => store.list_checkpoints(&group).await.map(drop),
            _ => store.update_checkpoint(&group, checkpoint(7)).await,
        }
    }

    #[tokio::test]
    pub(super) async fn calls_of_a_store_in_blobs() {
        for number in 0..5 {
            let (store, living) = service().await;
            let polls = after_each_poll(async |polls| {
                let called = poll_times(polls, call(&store, number)).await;
                call(&store, number).await.unwrap();
                called.is_some()
            });
            assert!(polls.await > 1, "nothing was dropped in the middle");
            drop(store);
            let all_end = async {
                while living.load(Ordering::Relaxed) > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(LONG, all_end).await.expect("no connection stays");
        }
    }
}
