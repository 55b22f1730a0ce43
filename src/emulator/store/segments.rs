//! The files of one partition.
//!
//! Records are added to the newest. When it is large enough, the next begins with a snapshot, so that the older ones can be
//! deleted once no event in them is kept.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes, BytesMut};

use super::super::config::Persistence;
use super::super::error::EmulatorError;
use super::super::log::{Log, Tail};
use super::record::{MAGIC, Record};
use super::sync_folder;

/// About how many octets are written at once.
const WRITE_SIZE: usize = 1024 * 1024;

/// The files of one partition, the newest open.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    settings: Persistence,
    /// Oldest first.
    segments: VecDeque<Segment>,
    newest: File,
    /// Octets in the newest file.
    length: u64,
    /// As of the last record written.
    tail: Tail,
}

/// One file: `{number}.log`.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// The sequence number of its first event.
    begin: i64,
}

impl Segments {
    /// Begins the files of a new partition.
    pub(super) fn create(folder: &Path, settings: &Persistence) -> Result<Segments, EmulatorError> {
        fs::create_dir_all(folder).map_err(EmulatorError::at(folder))?;
        let tail = Tail::default();
        let (newest, length) = begin_file(folder, 0, &tail).map_err(EmulatorError::at(folder))?;
        Ok(Segments {
            folder: folder.to_owned(),
            settings: settings.clone(),
            segments: VecDeque::from([Segment {
                number: 0,
                begin: 0,
            }]),
            newest,
            length,
            tail,
        })
    }

    /// Reads the files of a partition into its log. What is not whole at the end of the newest is cut off: nobody was told
    /// that it is stored.
    pub(super) fn open(
        folder: &Path,
        settings: &Persistence,
        log: &mut Log,
    ) -> Result<Segments, EmulatorError> {
        let numbers = file_numbers(folder).map_err(EmulatorError::at(folder))?;
        let Some(newest_number) = numbers.last().copied() else {
            return Segments::create(folder, settings);
        };
        let mut segments = VecDeque::new();
        let mut tail = Tail::default();
        for &number in &numbers {
            let path = file(folder, number);
            let contents = Bytes::from(fs::read(&path).map_err(EmulatorError::at(&path))?);
            let read = read_file(contents, &path, log)?;
            if number != numbers[0] && read.begin != tail.next_sequence_number() {
                let text = format!(
                    "it begins with event {}, the file before it ends before event {}",
                    read.begin,
                    tail.next_sequence_number()
                );
                return Err(EmulatorError::damaged(&path, text));
            }
            tail = read.tail;
            segments.push_back(Segment {
                number,
                begin: read.begin,
            });
            match read.torn {
                None => {}
                Some(torn) if number == newest_number => cut(&path, torn)?,
                Some(torn) => {
                    let text = format!("it is damaged at octet {}: {}", torn.at, torn.why);
                    return Err(EmulatorError::damaged(&path, text));
                }
            }
        }
        let path = file(folder, newest_number);
        let newest = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(EmulatorError::at(&path))?;
        let length = newest.metadata().map_err(EmulatorError::at(&path))?.len();
        Ok(Segments {
            folder: folder.to_owned(),
            settings: settings.clone(),
            segments,
            newest,
            length,
            tail,
        })
    }

    /// The state behind the last record.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Writes records, all or none, and waits for the storage device if the settings say so.
    pub(super) fn write<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
    ) -> io::Result<()> {
        if self.length >= self.settings.file_bytes {
            self.roll()?;
        }
        match self.append(records) {
            Ok(octets) => self.length += octets,
            Err(error) => {
                // Half a record at the end would hide what is written behind it.
                self.newest.set_len(self.length)?;
                return Err(error);
            }
        }
        match self.settings.sync {
            true => self.newest.sync_data(),
            false => Ok(()),
        }
    }

    /// Adds records to the newest file, some at a time; returns how many octets that took.
    fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> io::Result<u64> {
        let mut octets = BytesMut::new();
        let mut written = 0;
        for record in records {
            record.write(&mut octets);
            self.tail.follow(record);
            if octets.len() >= WRITE_SIZE {
                self.newest.write_all(&octets)?;
                written += octets.len() as u64;
                octets.clear();
            }
        }
        self.newest.write_all(&octets)?;
        Ok(written + octets.len() as u64)
    }

    /// Begins the next file. The last one is made to last first: in a file that is not the newest nothing may be torn.
    fn roll(&mut self) -> io::Result<()> {
        self.newest.sync_data()?;
        let number = self.segments.back().map_or(0, |newest| newest.number + 1);
        (self.newest, self.length) = begin_file(&self.folder, number, &self.tail)?;
        self.segments.push_back(Segment {
            number,
            begin: self.tail.next_sequence_number(),
        });
        Ok(())
    }

    /// Has all writing fail from now on.
    #[cfg(test)]
    pub(crate) fn fill_the_disk(&mut self) {
        self.newest = File::options().write(true).open("/dev/full").unwrap();
    }

    /// Deletes the files in which nothing is kept any more; `begin` is the sequence number of the oldest event kept.
    pub(crate) fn forget(&mut self, begin: i64) {
        while self.segments.get(1).is_some_and(|next| next.begin <= begin) {
            let Some(oldest) = self.segments.pop_front() else {
                return;
            };
            let path = file(&self.folder, oldest.number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "could not delete a file that is no longer needed");
            }
        }
    }
}

impl Tail {
    /// Moves behind a record.
    fn follow(&mut self, record: &Record) {
        match record {
            Record::Snapshot(tail) => *self = tail.clone(),
            Record::Publication {
                events,
                next_offset,
                producer,
            } => {
                if let Some(last) = events.last() {
                    self.last = Some(last.position.clone());
                }
                self.next_offset = *next_offset;
                if let Some(state) = producer {
                    self.producers.set(*state);
                }
            }
            Record::Producer(state) => self.producers.set(*state),
        }
    }
}

/// What was found in a file.
struct Contents {
    begin: i64,
    tail: Tail,
    torn: Option<Torn>,
}

/// The place from which on a file makes no sense.
struct Torn {
    at: u64,
    lost: usize,
    why: String,
}

/// Reads what is whole in a file, events into the log.
fn read_file(contents: Bytes, path: &Path, log: &mut Log) -> Result<Contents, EmulatorError> {
    let whole = contents.len();
    let mut rest = contents;
    // A file gets its name when its beginning is written: no kill leaves one without.
    let damaged =
        || EmulatorError::damaged(path, "its beginning is not that of a partition's file");
    if rest.len() < MAGIC.len() || rest.split_to(MAGIC.len()) != MAGIC[..] {
        return Err(damaged());
    }
    let Ok(Record::Snapshot(mut tail)) = Record::read(&mut rest) else {
        return Err(damaged());
    };
    let begin = tail.next_sequence_number();
    let mut torn = None;
    while rest.has_remaining() {
        let at = (whole - rest.len()) as u64;
        let lost = rest.len();
        let read = Record::read(&mut rest).map_err(|error| error.to_string());
        match read.and_then(|record| in_order(&tail, record)) {
            Ok(record) => {
                tail.follow(&record);
                if let Record::Publication { events, .. } = record {
                    log.append(events);
                }
            }
            Err(why) => {
                torn = Some(Torn { at, lost, why });
                break;
            }
        }
    }
    log.continue_from(&tail);
    Ok(Contents { begin, tail, torn })
}

/// The record, if its events are those that come next.
fn in_order(tail: &Tail, record: Record) -> Result<Record, String> {
    if let Record::Publication { events, .. } = &record {
        let expected = tail.next_sequence_number()..;
        let found = events.iter().map(|event| event.position.sequence_number);
        if !found.eq(expected.take(events.len())) {
            return Err("its events do not follow those before".into());
        }
    }
    Ok(record)
}

fn cut(path: &Path, torn: Torn) -> Result<(), EmulatorError> {
    tracing::warn!(
        path = %path.display(), octet = torn.at, octets = torn.lost, why = %torn.why,
        "cut off the end of a partition's file, which is not whole"
    );
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(torn.at).and_then(|()| file.sync_all()))
        .map_err(EmulatorError::at(path))
}

/// Makes a file that begins as files do, all of it or nothing.
fn begin_file(folder: &Path, number: u64, tail: &Tail) -> io::Result<(File, u64)> {
    let mut octets = BytesMut::from(&MAGIC[..]);
    Record::Snapshot(tail.clone()).write(&mut octets);
    let unfinished = folder.join(format!("{number:012}.new"));
    fs::write(&unfinished, &octets)?;
    let path = file(folder, number);
    let newest = OpenOptions::new().append(true).open(&unfinished)?;
    newest.sync_data()?;
    fs::rename(&unfinished, &path)?;
    sync_folder(folder);
    Ok((newest, octets.len() as u64))
}

fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.log"))
}

/// The numbers of a partition's files in order. Files that were not finished are deleted.
fn file_numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        match (
            path.extension().and_then(|extension| extension.to_str()),
            number,
        ) {
            (Some("log"), Some(number)) => numbers.push(number),
            (Some("new"), Some(_)) => fs::remove_file(&path)?,
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
