//! Where an emulator keeps its hubs when it is not running.
//!
//! ```text
//! folder/lock                  held by the emulator that uses the folder
//! folder/1-orders/hub          name, partitions, consumer groups, when it was made
//! folder/1-orders/0/….log      the files of partition 0
//! ```
//!
//! A hub's folder is made under another name and renamed when it is complete, and renamed before it is deleted: a kill at any
//! point leaves the hub whole or gone.

mod description;
mod journal;
mod record;
mod segments;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use self::description::Description;
pub(crate) use self::journal::{Entry, Journal, Writer, not_stored};
pub(crate) use self::record::Record;
pub(crate) use self::segments::Segments;
use super::config::{HubOptions, Persistence, Retention};
use super::error::EmulatorError;
use super::log::{Log, Tail};
use crate::codec::Timestamp;
use crate::lock::lock;

/// A folder of hubs, for this emulator alone.
#[derive(Debug)]
pub(crate) struct Store {
    settings: Persistence,
    journal: Journal,
    /// The number of the next hub's folder.
    next: Mutex<u64>,
}

/// A hub as it was found.
#[derive(Debug)]
pub(crate) struct StoredHub {
    pub(crate) folder: PathBuf,
    pub(crate) options: HubOptions,
    pub(crate) created: Timestamp,
    pub(crate) partitions: Vec<StoredPartition>,
}

/// A partition as it was found.
#[derive(Debug)]
pub(crate) struct StoredPartition {
    pub(crate) log: Log,
    pub(crate) tail: Tail,
    pub(crate) segments: Segments,
    pub(crate) journal: Journal,
}

impl Store {
    /// Takes a folder into use and reads all hubs in it. Blocks. The folder is in use as long as the writer exists.
    pub(crate) fn open(
        settings: &Persistence,
        retention: Retention,
    ) -> Result<(Store, Vec<StoredHub>, Writer), EmulatorError> {
        let folder = &settings.folder;
        fs::create_dir_all(folder).map_err(EmulatorError::at(folder))?;
        let (journal, writer) = Journal::new(take_lock(&folder.join("lock"))?);
        let mut store = Store {
            settings: settings.clone(),
            journal,
            next: Mutex::new(1),
        };
        let mut hubs = Vec::new();
        for (number, path) in hub_folders(folder).map_err(EmulatorError::at(folder))? {
            hubs.push(store.read_hub(path, retention)?);
            store.next = Mutex::new(number + 1);
        }
        Ok((store, hubs, writer))
    }

    fn read_hub(&self, folder: PathBuf, retention: Retention) -> Result<StoredHub, EmulatorError> {
        let description = Description::read(&folder)?;
        let mut partitions = Vec::new();
        for id in 0..description.options.partitions {
            let mut log = Log::new(retention);
            let partition = folder.join(id.to_string());
            let segments = Segments::open(&partition, &self.settings, &mut log)?;
            partitions.push(StoredPartition {
                tail: segments.tail().clone(),
                log,
                segments,
                journal: self.journal.clone(),
            });
        }
        Ok(StoredHub {
            folder,
            options: description.options,
            created: description.created,
            partitions,
        })
    }

    /// Makes the folder of a new hub. Blocks.
    pub(crate) fn create_hub(
        &self,
        options: &HubOptions,
        created: Timestamp,
        retention: Retention,
    ) -> Result<StoredHub, EmulatorError> {
        let mut next = lock(&self.next);
        let name = folder_name(*next, &options.name);
        *next += 1;
        drop(next);
        let folder = self.settings.folder.join(&name);
        let unfinished = self.settings.folder.join(format!("{name}.new"));
        fs::create_dir_all(&unfinished).map_err(EmulatorError::at(&unfinished))?;
        let description = Description {
            options: options.clone(),
            created,
        };
        description.write(&unfinished)?;
        for id in 0..options.partitions {
            Segments::create(&unfinished.join(id.to_string()), &self.settings)?;
        }
        fs::rename(&unfinished, &folder).map_err(EmulatorError::at(&unfinished))?;
        sync_folder(&self.settings.folder);
        self.read_hub(folder, retention)
    }

    /// Writes down what a hub is made of, over what was written before. Blocks.
    pub(crate) fn describe_hub(
        &self,
        folder: &Path,
        options: &HubOptions,
        created: Timestamp,
    ) -> Result<(), EmulatorError> {
        let description = Description {
            options: options.clone(),
            created,
        };
        description.write(folder)
    }

    /// Deletes the folder of a hub. Blocks.
    pub(crate) fn delete_hub(&self, folder: &Path) -> Result<(), EmulatorError> {
        let deleted = folder.with_extension("deleted");
        fs::rename(folder, &deleted).map_err(EmulatorError::at(folder))?;
        sync_folder(&self.settings.folder);
        fs::remove_dir_all(&deleted).map_err(EmulatorError::at(&deleted))
    }
}

/// Takes the lock that says that a folder is in use; it is free again when the file is closed, however the process ends.
fn take_lock(path: &Path) -> Result<File, EmulatorError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(EmulatorError::at(path))?;
    let reason = match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => io::Error::new(
            io::ErrorKind::WouldBlock,
            "another emulator uses the folder",
        ),
        Err(TryLockError::Error(error)) => error,
    };
    Err(EmulatorError::at(path)(reason))
}

/// Hubs' folders by number. What was left half made or half deleted is removed.
fn hub_folders(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(number) = folder_number(&path) else {
            continue;
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("new" | "deleted") => fs::remove_dir_all(&path)?,
            _ => found.push((number, path)),
        }
    }
    found.sort();
    Ok(found)
}

fn folder_number(path: &Path) -> Option<u64> {
    let (number, _) = path.file_name()?.to_str()?.split_once('-')?;
    number.parse().ok()
}

/// A number, and for the eye what file systems can hold of the hub's name.
fn folder_name(number: u64, hub: &str) -> String {
    let shown = hub
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("{number}-{}", shown.take(40).collect::<String>())
}

/// Makes new names in a folder last. Not every system can do it; a kill loses nothing without.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests;
