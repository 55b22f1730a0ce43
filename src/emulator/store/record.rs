//! What one write to a partition's file is: a frame around a record.
//!
//! ```text
//! file    = "amqp10" 00 01, frame of a snapshot, then a frame for each record
//! frame   = length u32, checksum u32 (CRC-32 of the record), record
//! record  = 0 snapshot    | next offset u64, last sequence number i64 (-1: none), its offset u64, its time i64,
//!                           count u32, producers
//!         | 1 publication | enqueued i64, next offset u64, 0 or 1 producers (count u8), count u32, events
//!         | 2 producer    | id i64, epoch i16, last number i32
//! event   = sequence number i64, offset u64, end of its header u32, length u32, message
//! ```
//!
//! Numbers are little-endian. A publication is one record, so that a batch is there as a whole or not at all.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};

use super::super::event::{Position, StoredEvent};
use super::super::log::{ProducerState, Tail};
use crate::codec::Timestamp;

/// How each file begins: a name, and the version of what follows.
pub(super) const MAGIC: [u8; 8] = *b"amqp10\x00\x01";

/// Octets of a frame before its record.
const FRAME_HEADER: usize = 8;

const SNAPSHOT: u8 = 0;
const PUBLICATION: u8 = 1;
const PRODUCER: u8 = 2;

/// Nothing was stored yet.
const NONE: Position = Position {
    sequence_number: -1,
    offset: 0,
    enqueued: Timestamp(0),
};

/// What is written to a partition's file.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// The state at the beginning of a file: the files before it may be gone.
    Snapshot(Tail),
    /// The events of one publication.
    Publication {
        /// One after the other.
        events: Vec<StoredEvent>,
        /// The offset behind the last event.
        next_offset: u64,
        /// Who published them, where they have numbers.
        producer: Option<ProducerState>,
    },
    /// What was agreed with a producer.
    Producer(ProducerState),
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// The file ends within it.
    #[error("it ends within a record")]
    Short,
    /// It is not what was written.
    #[error("a record's checksum is wrong")]
    Checksum,
    /// It is nothing that this version writes.
    #[error("a record is malformed")]
    Malformed,
}

impl From<TryGetError> for RecordError {
    fn from(_: TryGetError) -> RecordError {
        RecordError::Malformed
    }
}

impl Record {
    /// Appends the record in its frame.
    pub(super) fn write(&self, out: &mut BytesMut) {
        let frame = out.len();
        out.put_bytes(0, FRAME_HEADER);
        match self {
            Record::Snapshot(tail) => {
                out.put_u8(SNAPSHOT);
                put_tail(out, tail);
            }
            Record::Publication {
                events,
                next_offset,
                producer,
            } => {
                out.put_u8(PUBLICATION);
                let enqueued = events.first().map_or(0, |event| event.position.enqueued.0);
                out.put_i64_le(enqueued);
                out.put_u64_le(*next_offset);
                out.put_u8(producer.is_some().into());
                producer.iter().for_each(|state| put_producer(out, state));
                put_length(out, events.len());
                events.iter().for_each(|event| put_event(out, event));
            }
            Record::Producer(state) => {
                out.put_u8(PRODUCER);
                put_producer(out, state);
            }
        }
        let record = &out[frame + FRAME_HEADER..];
        let (length, checksum) = (record.len() as u32, crc32fast::hash(record));
        out[frame..frame + 4].copy_from_slice(&length.to_le_bytes());
        out[frame + 4..frame + FRAME_HEADER].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Takes the next record off the front of a file's contents; messages stay slices of it.
    pub(super) fn read(contents: &mut Bytes) -> Result<Record, RecordError> {
        let mut rest = contents.clone();
        let length = rest.try_get_u32_le().map_err(|_| RecordError::Short)? as usize;
        let checksum = rest.try_get_u32_le().map_err(|_| RecordError::Short)?;
        if rest.len() < length {
            return Err(RecordError::Short);
        }
        let mut record = rest.split_to(length);
        if crc32fast::hash(&record) != checksum {
            return Err(RecordError::Checksum);
        }
        let read = match record.try_get_u8()? {
            SNAPSHOT => Record::Snapshot(get_tail(&mut record)?),
            PUBLICATION => get_publication(&mut record)?,
            PRODUCER => Record::Producer(get_producer(&mut record)?),
            _ => return Err(RecordError::Malformed),
        };
        if !record.is_empty() {
            return Err(RecordError::Malformed);
        }
        *contents = rest;
        Ok(read)
    }
}

fn put_tail(out: &mut BytesMut, tail: &Tail) {
    let last = tail.last.as_ref().unwrap_or(&NONE);
    out.put_u64_le(tail.next_offset);
    out.put_i64_le(last.sequence_number);
    out.put_u64_le(last.offset);
    out.put_i64_le(last.enqueued.0);
    put_length(out, tail.producers.len());
    tail.producers
        .states()
        .for_each(|state| put_producer(out, &state));
}

fn get_tail(record: &mut Bytes) -> Result<Tail, RecordError> {
    let next_offset = record.try_get_u64_le()?;
    let last = Position {
        sequence_number: record.try_get_i64_le()?,
        offset: record.try_get_u64_le()?,
        enqueued: Timestamp(record.try_get_i64_le()?),
    };
    let mut tail = Tail {
        last: Some(last).filter(|last| *last != NONE),
        next_offset,
        ..Tail::default()
    };
    for _ in 0..record.try_get_u32_le()? {
        tail.producers.set(get_producer(record)?);
    }
    Ok(tail)
}

fn put_producer(out: &mut BytesMut, state: &ProducerState) {
    out.put_i64_le(state.id);
    out.put_i16_le(state.epoch);
    out.put_i32_le(state.last);
}

fn get_producer(record: &mut Bytes) -> Result<ProducerState, RecordError> {
    Ok(ProducerState {
        id: record.try_get_i64_le()?,
        epoch: record.try_get_i16_le()?,
        last: record.try_get_i32_le()?,
    })
}

fn get_publication(record: &mut Bytes) -> Result<Record, RecordError> {
    let enqueued = Timestamp(record.try_get_i64_le()?);
    let next_offset = record.try_get_u64_le()?;
    let producer = match record.try_get_u8()? {
        0 => None,
        1 => Some(get_producer(record)?),
        _ => return Err(RecordError::Malformed),
    };
    let mut events = Vec::new();
    for _ in 0..record.try_get_u32_le()? {
        events.push(get_event(record, enqueued)?);
    }
    Ok(Record::Publication {
        events,
        next_offset,
        producer,
    })
}

fn put_event(out: &mut BytesMut, event: &StoredEvent) {
    out.put_i64_le(event.position.sequence_number);
    out.put_u64_le(event.position.offset);
    put_length(out, event.header_end());
    let message = event.message();
    put_length(out, message.len());
    out.put_slice(&message);
}

fn get_event(record: &mut Bytes, enqueued: Timestamp) -> Result<StoredEvent, RecordError> {
    let position = Position {
        sequence_number: record.try_get_i64_le()?,
        offset: record.try_get_u64_le()?,
        enqueued,
    };
    let header_end = record.try_get_u32_le()? as usize;
    let length = record.try_get_u32_le()? as usize;
    if record.len() < length || length < header_end {
        return Err(RecordError::Malformed);
    }
    let message = record.split_to(length);
    Ok(StoredEvent::from_parts(position, message, header_end))
}

/// Lengths are those of messages and batches, whose size on a link is a `u32` at most.
fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use super::super::super::event::tests::event;
    use super::*;

    fn producer() -> ProducerState {
        ProducerState {
            id: 7,
            epoch: 2,
            last: i32::MAX,
        }
    }

    fn written(record: &Record) -> Bytes {
        let mut out = BytesMut::new();
        record.write(&mut out);
        out.freeze()
    }

    fn publication() -> (Record, Tail) {
        let mut tail = Tail::default();
        let events = vec![event("a"), event("b")].into();
        let events = tail.place(events, Timestamp(1000)).unwrap().events;
        let record = Record::Publication {
            events,
            next_offset: tail.next_offset,
            producer: Some(producer()),
        };
        (record, tail)
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (publication, mut tail) = publication();
        tail.producers.set(producer());
        for record in [
            publication,
            Record::Snapshot(tail),
            Record::Producer(producer()),
        ] {
            let mut contents = written(&record);
            let read = Record::read(&mut contents).unwrap();
            assert_eq!(written(&read), written(&record));
            assert!(contents.is_empty());
        }
    }

    #[test]
    fn a_record_that_is_cut_or_changed_anywhere_is_refused() {
        let whole = written(&publication().0);
        for end in 0..whole.len() {
            let error = Record::read(&mut whole.slice(..end)).unwrap_err();
            assert_eq!(error, RecordError::Short);
        }
        for position in 0..whole.len() {
            for flipped in [1_u8, 0x80] {
                let mut changed = BytesMut::from(&whole[..]);
                changed[position] ^= flipped;
                assert!(Record::read(&mut changed.freeze()).is_err(), "{position}");
            }
        }
    }

    #[test]
    fn any_record_with_a_good_checksum_is_read_or_refused() {
        for length in 0..64_usize {
            for fill in [0_u8, 1, 2, 0xff] {
                let record = vec![fill; length];
                let mut contents = BytesMut::new();
                contents.put_u32_le(length as u32);
                contents.put_u32_le(crc32fast::hash(&record));
                contents.put_slice(&record);
                // Not a panic, and no more memory than the file has.
                let _ = Record::read(&mut contents.freeze());
            }
        }
    }
}
