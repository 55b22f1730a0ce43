//! A store in a folder, for the processors of one machine.
//!
//! ```text
//! <folder>/<namespace>/<hub>/<group>/lock               held while a record is written
//!                                    new                the next record, until it is whole and takes its place
//!                                    ownership/<partition>
//!                                    checkpoint/<partition>
//! ```
//!
//! A record is a small text, a field per line. It is written to `new`, synchronized with the disk, and renamed: whenever a
//! process is killed, the record under its name is whole, either the old one or the new one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;

use super::{Checkpoint, CheckpointStore, ConsumerGroupId, Ownership, StoreError, StoreFuture};
use crate::codec::Timestamp;
use crate::time::{from_timestamp, to_timestamp};
use crate::{Clock, percent};

const OWNERSHIP: &str = "ownership";
const CHECKPOINT: &str = "checkpoint";

/// The version of an ownership record that cannot be read: it is nobody's, and can be claimed.
const UNREADABLE: &str = "unreadable";

/// The pause between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// How long the lock of a group is waited for: longer than any write, so that whoever holds it has stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps ownerships and checkpoints as files in a folder, which any number of processes of the machine may share.
///
/// What was acknowledged survives a kill of the process at any point, and a loss of power as far as the disk keeps its
/// promises. Locks of files are used, which file systems of a network often lack: there, use a store with a server.
///
/// Each write takes some milliseconds, since the disk is waited for; that happens on threads for blocking work. A call that
/// is dropped may still be carried out, but not after one that this store, or a clone of it, was asked for later.
#[derive(Clone, Debug)]
pub struct FileCheckpointStore {
    folder: Arc<Path>,
    clock: Clock,
    lock_timeout: Duration,
    /// Held by one write after the other, to its end even if nobody waits for it.
    turn: Arc<Mutex<()>>,
}

impl FileCheckpointStore {
    /// The store in this folder, which is made by the first write if it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            clock: Clock::default(),
            lock_timeout: LOCK_TIMEOUT,
            turn: Arc::default(),
        }
    }

    /// Writes this clock's time into the records. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How long a write waits for those of others. Default 10 s; after it the error is
    /// [retryable](StoreError::is_retryable).
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Does something with the files of a group, on a thread that may block.
    async fn with_files<T: Send + 'static>(
        &self,
        attempt: &'static str,
        group: &ConsumerGroupId,
        work: impl FnOnce(&GroupFolder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let group = group.lower_case();
        let names = [&group.namespace, &group.hub, &group.consumer_group];
        let mut path = self.folder.to_path_buf();
        path.extend(names.map(|name| file_name(name)));
        let folder = GroupFolder {
            path,
            lock_timeout: self.lock_timeout,
        };
        let attempt = || format!("{attempt} of {} in {}", group.hub, self.folder.display());
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if passes(&error) => Err(StoreError::unavailable(attempt(), error)),
            Ok(Err(error)) => Err(StoreError::refused(attempt(), error)),
            // The runtime is being shut down.
            Err(error) => Err(StoreError::unavailable(attempt(), error)),
        }
    }

    /// The same when it is this write's turn, with the lock of the group.
    async fn with_locked_files<T: Send + 'static>(
        &self,
        attempt: &'static str,
        group: &ConsumerGroupId,
        work: impl FnOnce(&GroupFolder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let work = move |files: &GroupFolder| {
            let _turn = turn;
            let _locked = files.lock()?;
            work(files)
        };
        self.with_files(attempt, group, work).await
    }
}

impl CheckpointStore for FileCheckpointStore {
    fn list_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Box::pin(self.with_files("list the ownerships", group, |files| {
            files.list(OWNERSHIP, read_ownership, unreadable_ownership)
        }))
    }

    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        let clock = self.clock.clone();
        Box::pin(
            self.with_locked_files("claim partitions", group, move |files| {
                let mut won = Vec::new();
                for claim in claims {
                    won.extend(files.claim(claim, clock.now())?);
                }
                Ok(won)
            }),
        )
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
        Box::pin(self.with_files("list the checkpoints", group, |files| {
            files.list(CHECKPOINT, read_checkpoint, Checkpoint::unreadable)
        }))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()> {
        Box::pin(
            self.with_locked_files("write a checkpoint", group, move |files| {
                let number = checkpoint.sequence_number.map(|number| number.to_string());
                let fields = [
                    ("offset", checkpoint.offset.as_deref()),
                    ("sequence_number", number.as_deref()),
                ];
                files.replace(CHECKPOINT, &checkpoint.partition, &fields)
            }),
        )
    }
}

/// The files of one consumer group.
struct GroupFolder {
    path: PathBuf,
    lock_timeout: Duration,
}

impl GroupFolder {
    /// Waits until no other process or task writes. The lock ends with the file that is returned, or with the process.
    fn lock(&self) -> io::Result<File> {
        for kind in [OWNERSHIP, CHECKPOINT] {
            make_folder(&self.path.join(kind))?;
        }
        let path = self.path.join("lock");
        let mut options = fs::OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(&path).map_err(at(&path))?;
        let deadline = Instant::now().checked_add(self.lock_timeout);
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
                Err(TryLockError::WouldBlock) if is_over() => {
                    let what = format!("others held the lock for {:?}", self.lock_timeout);
                    return Err(at(&path)(io::Error::new(io::ErrorKind::TimedOut, what)));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            }
        }
    }

    /// Decides a claim. The lock is held.
    fn claim(&self, claim: Ownership, now: SystemTime) -> io::Result<Option<Ownership>> {
        let path = self.record(OWNERSHIP, &claim.partition);
        let stored = match read(&path, &claim.partition, read_ownership) {
            Err(error) if is_unreadable(&error) => Some(unreadable_ownership(&claim.partition)),
            read => read?,
        };
        if claim.etag != stored.and_then(|record| record.etag) {
            return Ok(None);
        }
        // As the record will be read.
        let now = to_timestamp(now);
        let record = Ownership {
            etag: Some(uuid::Uuid::new_v4().simple().to_string()),
            last_modified: from_timestamp(now),
            ..claim
        };
        let fields = [
            ("owner", Some(record.owner.as_str())),
            ("etag", record.etag.as_deref()),
            ("modified", Some(&now.0.to_string())),
        ];
        self.replace(OWNERSHIP, &record.partition, &fields)?;
        Ok(Some(record))
    }

    /// All records of a kind, as they are now: each is whole, so no lock is needed. Files of other names are not this store's.
    fn list<T>(
        &self,
        kind: &str,
        parse: Parse<T>,
        unreadable: fn(&str) -> T,
    ) -> io::Result<Vec<T>> {
        let folder = self.path.join(kind);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&folder))?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(&folder))?.path();
            let Some(partition) = partition_of(&path) else {
                continue;
            };
            match read(&path, &partition, parse) {
                Err(error) if is_unreadable(&error) => {
                    tracing::warn!(%error, "passed over a record that cannot be read");
                    records.push(unreadable(&partition));
                }
                read => records.extend(read?),
            }
        }
        Ok(records)
    }

    /// Puts a record in place of the one that is there. The lock is held.
    fn replace(
        &self,
        kind: &str,
        partition: &str,
        fields: &[(&str, Option<&str>)],
    ) -> io::Result<()> {
        let mut text = String::new();
        for (name, value) in fields {
            if let Some(value) = value {
                text.push_str(&format!("{name}={}\n", percent::encode(value)));
            }
        }
        let new = self.path.join("new");
        write_to_disk(&new, &text).map_err(at(&new))?;
        let path = self.record(kind, partition);
        fs::rename(&new, &path).map_err(at(&path))?;
        sync_folder(&self.path.join(kind))
    }

    fn record(&self, kind: &str, partition: &str) -> PathBuf {
        self.path.join(kind).join(file_name(partition))
    }
}

/// Reads a record of a partition from the fields of its file; `None` if they are not such a record.
type Parse<T> = fn(&str, Fields<'_>) -> Option<T>;

fn read<T>(path: &Path, partition: &str, parse: Parse<T>) -> io::Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(at(path))?,
    };
    let no_record = || io::Error::new(io::ErrorKind::InvalidData, "it is no record of this store");
    match parse(partition, Fields(&text)) {
        Some(record) => Ok(Some(record)),
        None => Err(at(path)(no_record())),
    }
}

/// Whether it is the record's contents that are wrong.
fn is_unreadable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

fn unreadable_ownership(partition: &str) -> Ownership {
    Ownership {
        etag: Some(UNREADABLE.to_owned()),
        ..Ownership::new(partition, "")
    }
}

fn read_ownership(partition: &str, fields: Fields<'_>) -> Option<Ownership> {
    let modified = Timestamp(fields.get("modified")?.parse().ok()?);
    Some(Ownership {
        partition: partition.to_owned(),
        owner: fields.get("owner")?,
        etag: Some(fields.get("etag")?),
        last_modified: Some(from_timestamp(modified)?),
    })
}

fn read_checkpoint(partition: &str, fields: Fields<'_>) -> Option<Checkpoint> {
    let offset = fields.get("offset");
    let sequence_number = match fields.get("sequence_number") {
        Some(number) => Some(number.parse().ok()?),
        None => None,
    };
    let whole = offset.is_some() || sequence_number.is_some();
    whole.then(|| Checkpoint {
        partition: partition.to_owned(),
        offset,
        sequence_number,
    })
}

/// The lines of a record.
struct Fields<'a>(&'a str);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once('='));
        let (_, value) = fields.find(|(field, _)| *field == name)?;
        percent::decode(value).ok()
    }
}

/// The partition whose record the file is, if it has the name of one.
fn partition_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let partition = percent::decode(name).ok()?;
    (file_name(&partition) == name && path.is_file()).then_some(partition)
}

/// A name as every file system takes it, and told apart from all others.
fn file_name(name: &str) -> String {
    match percent::encode(name) {
        // What stands for an escape everywhere else.
        empty if empty.is_empty() => "%".to_owned(),
        // These would lead out of the folder.
        dotted if dotted.starts_with('.') => dotted.replacen('.', "%2E", 1),
        encoded => encoded,
    }
}

fn write_to_disk(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a folder that is there after a loss of power, too.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        // Another process was faster.
        Err(_) if path.is_dir() => {}
        made => made.map_err(at(path))?,
    }
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Writes to disk which names a folder holds. Elsewhere folders cannot be opened, and need not be.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(at(path))?;
    }
    Ok(())
}

/// Adds to an error which file it is about.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Whether the error may go away by itself.
fn passes(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidData
            | io::ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    /// A folder that is removed with this.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("amqp10-store-{}", uuid::Uuid::new_v4().simple());
            Self(std::env::temp_dir().join(name))
        }

        fn store(&self) -> FileCheckpointStore {
            FileCheckpointStore::new(&self.0)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn group() -> ConsumerGroupId {
        ConsumerGroupId::new("ns", "hub", "$Default")
    }

    async fn update(
        store: &FileCheckpointStore,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let group = group();
        store.update_checkpoint(&group, checkpoint.clone()).await
    }

    #[tokio::test]
    async fn a_write_may_wait_for_ever() {
        let folder = Folder::new();
        let store = folder.store().lock_timeout(Duration::MAX);
        update(&store, &Checkpoint::new("0", "100", 1))
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_store_conforms() {
        let folder = Folder::new();
        conformance::check(Arc::new(folder.store())).await.unwrap();
    }

    #[test]
    fn names_become_files_within_the_folder() {
        for (name, file) in [
            ("0", "0"),
            ("$default", "%24default"),
            ("a/b\\c", "a%2Fb%5Cc"),
            ("..", "%2E."),
            (".", "%2E"),
            ("", "%"),
            ("%", "%25"),
            ("new\n", "new%0A"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }

    #[tokio::test]
    async fn what_a_killed_writer_left_half_written_is_passed_over() {
        let folder = Folder::new();
        let store = folder.store();
        let checkpoint = Checkpoint::new("0", "100", 1);
        update(&store, &checkpoint).await.unwrap();
        let new = folder.0.join("ns/hub/%24default/new");
        fs::write(new, "offset=2").unwrap();
        assert_eq!(
            store.list_checkpoints(&group()).await.unwrap(),
            [checkpoint]
        );
        let checkpoint = Checkpoint::new("0", "300", 3);
        update(&store, &checkpoint).await.unwrap();
        assert_eq!(
            store.list_checkpoints(&group()).await.unwrap(),
            [checkpoint]
        );
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_nobodys_and_holds_up_no_other() {
        let folder = Folder::new();
        let store = folder.store();
        let claims = vec![Ownership::new("7", "me")];
        store.claim_ownerships(&group(), claims).await.unwrap();
        let record = folder.0.join("ns/hub/%24default/ownership/7");
        fs::write(&record, "owner=me\netag=%").unwrap();
        let listed = store.list_ownerships(&group()).await.unwrap();
        assert_eq!(listed[0].owner, "");
        let claims = vec![Ownership::new("7", "other"), Ownership::new("8", "other")];
        let won = store.claim_ownerships(&group(), claims).await.unwrap();
        assert_eq!(won[0].partition, "8");
        let claims = vec![listed[0].claimed_by("me"), listed[0].claimed_by("late")];
        let won = store.claim_ownerships(&group(), claims).await.unwrap();
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].owner, "me");
    }

    #[tokio::test]
    async fn checkpoints_are_listed_whatever_else_is_in_the_folder() {
        let folder = Folder::new();
        let store = folder.store();
        let checkpoint = Checkpoint::new("0", "100", 1);
        update(&store, &checkpoint).await.unwrap();
        let records = folder.0.join("ns/hub/%24default/checkpoint");
        fs::create_dir(records.join("2")).unwrap();
        for stray in [".DS_Store", "0%", "a b", "#0#"] {
            fs::write(records.join(stray), "\0\u{1}Bud1").unwrap();
        }
        fs::write(records.join("1"), [0xff, 0xfe]).unwrap();
        let mut listed = store.list_checkpoints(&group()).await.unwrap();
        listed.sort_by(|a, b| a.partition.cmp(&b.partition));
        assert_eq!(listed, [checkpoint, Checkpoint::unreadable("1")]);
    }

    #[tokio::test]
    async fn a_writer_that_has_stopped_holds_up_the_others_for_a_while_only() {
        let folder = Folder::new();
        let store = folder.store().lock_timeout(Duration::from_millis(20));
        let claims = vec![Ownership::new("0", "me")];
        store.claim_ownerships(&group(), claims).await.unwrap();
        let stopped = GroupFolder {
            path: folder.0.join("ns/hub/%24default"),
            lock_timeout: Duration::ZERO,
        };
        let lock = stopped.lock().unwrap();
        let checkpoint = Checkpoint::new("0", "100", 1);
        let error = update(&store, &checkpoint).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(store.list_ownerships(&group()).await.unwrap().len(), 1);
        drop(lock);
        update(&store, &checkpoint).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_an_error_that_stays() {
        let folder = Folder::new();
        fs::write(&folder.0, "not a folder").unwrap();
        let claims = vec![Ownership::new("0", "me")];
        let error = folder.store().claim_ownerships(&group(), claims).await;
        assert!(!error.unwrap_err().is_retryable());
        fs::remove_file(&folder.0).unwrap();
    }

    #[tokio::test]
    async fn half_a_checkpoint_is_kept_as_it_is() {
        let folder = Folder::new();
        let store = folder.store();
        let checkpoint = Checkpoint {
            partition: "0".into(),
            offset: None,
            sequence_number: Some(-1),
        };
        update(&store, &checkpoint).await.unwrap();
        assert_eq!(
            store.list_checkpoints(&group()).await.unwrap(),
            [checkpoint]
        );
    }
}
