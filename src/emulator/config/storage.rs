//! What partitions keep, and where.

use std::path::PathBuf;
use std::time::Duration;

/// What a partition keeps before it forgets its oldest events.
///
/// This bounds the emulator's memory: number of partitions times `bytes`. With [`Persistence`] it bounds the folder as well,
/// to which whole files are added and from which whole files are deleted: at most one file per partition more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Most events. Default: no limit but the octets.
    pub events: usize,
    /// Most octets, the housekeeping of each event included. Default: 256 MiB. The newest event always stays.
    pub bytes: usize,
    /// For how long, by the emulator's clock. Default: for ever.
    pub age: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            events: usize::MAX,
            bytes: 256 * 1024 * 1024,
            age: None,
        }
    }
}

impl Retention {
    /// Keeps at most so many events.
    pub fn events(mut self, events: usize) -> Retention {
        self.events = events;
        self
    }

    /// Keeps at most so many octets.
    pub fn bytes(mut self, bytes: usize) -> Retention {
        self.bytes = bytes;
        self
    }

    /// Keeps events for so long, by the emulator's clock.
    pub fn age(mut self, age: Duration) -> Retention {
        self.age = Some(age);
        self
    }
}

/// Where an emulator keeps what it is given, so that it is there again after the next start: hubs and their consumer
/// groups, events with their positions and times, and what is known of producers that number their events.
///
/// An event is acknowledged, and shown to readers, when the system has taken it for its file. Thus it survives whatever
/// ends the process. For it to survive the end of the system too, ask for [`sync`](Persistence::sync).
///
/// One emulator at a time can use a folder. Reading is from memory: at the start, all that is kept is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Persistence {
    /// The folder; it is made if it is not there.
    pub folder: PathBuf,
    /// Wait until the storage device has the events before they are acknowledged: they survive a power cut. Events that
    /// arrive meanwhile are written together. Default: no.
    pub sync: bool,
    /// About how many octets one file holds. Retention deletes whole files. Default: 32 MiB.
    pub file_bytes: u64,
}

impl Persistence {
    /// Keeps everything in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Persistence {
        Persistence {
            folder: folder.into(),
            sync: false,
            file_bytes: 32 * 1024 * 1024,
        }
    }

    /// Waits for the storage device, or not.
    pub fn sync(mut self, sync: bool) -> Persistence {
        self.sync = sync;
        self
    }

    /// Begins a new file after about so many octets.
    pub fn file_bytes(mut self, octets: u64) -> Persistence {
        self.file_bytes = octets;
        self
    }
}
