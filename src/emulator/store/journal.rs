//! Writes what partitions store, in groups: what arrives while one group is being written makes up the next.

use std::fs::File;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::partition::Partition;
use super::record::Record;
use super::segments::Segments;
use crate::codec::{AmqpError, condition};

/// Most records of one group. It bounds how long the first of them waits for the others.
const MAX_GROUP: usize = 256;

/// Where partitions hand in what they store. What one partition hands in is written in that order.
#[derive(Clone, Debug)]
pub(crate) struct Journal(mpsc::UnboundedSender<Entry>);

/// A record on its way to a partition's file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) partition: Arc<Partition>,
    /// Nothing, for who only waits for what was handed in before.
    pub(crate) record: Option<Record>,
    pub(crate) done: oneshot::Sender<Result<(), AmqpError>>,
}

/// What an emulator that cannot write says to producers.
pub(crate) fn not_stored(why: &str) -> AmqpError {
    AmqpError::new(
        condition::INTERNAL_ERROR,
        format!("The event could not be stored: {why}"),
    )
}

impl Journal {
    /// Where to hand in, and what will write it.
    pub(super) fn new(folder_lock: File) -> (Journal, Writer) {
        let (entries, queue) = mpsc::unbounded_channel();
        (Journal(entries), Writer { queue, folder_lock })
    }

    /// Hands in a record; the receiver hears when it is written. The queue is as long as the credit of publishers' links.
    pub(crate) fn hand_in(
        &self,
        partition: &Arc<Partition>,
        record: Option<Record>,
    ) -> oneshot::Receiver<Result<(), AmqpError>> {
        let (done, written) = oneshot::channel();
        let entry = Entry {
            partition: Arc::clone(partition),
            record,
            done,
        };
        // Without the task the other half is dropped, which says that nothing is written any more.
        let _ = self.0.send(entry);
        written
    }
}

/// What writes, before it has started.
pub(crate) struct Writer {
    queue: mpsc::UnboundedReceiver<Entry>,
    folder_lock: File,
}

impl Writer {
    /// Starts the task that writes. It ends, and with it the lock on the folder, when everything is written and nobody can
    /// hand in anything any more.
    pub(crate) fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            write_all(self.queue).await;
            drop(self.folder_lock);
        })
    }
}

async fn write_all(mut queue: mpsc::UnboundedReceiver<Entry>) {
    let mut group = Vec::new();
    while queue.recv_many(&mut group, MAX_GROUP).await > 0 {
        let group = std::mem::take(&mut group);
        let written = tokio::task::spawn_blocking(move || write_group(group)).await;
        if written.is_err() {
            // The runtime ends: who waits hears it from the dropped channels.
            return;
        }
    }
}

/// Writes a group, one partition after the other.
fn write_group(mut group: Vec<Entry>) {
    while let Some(first) = group.first() {
        let partition = Arc::clone(&first.partition);
        let (of_partition, others) = group
            .into_iter()
            .partition(|entry| Arc::ptr_eq(&entry.partition, &partition));
        partition.write(of_partition);
        group = others;
    }
}

impl Segments {
    /// Writes the records of entries, all or none.
    pub(crate) fn write_entries(&mut self, entries: &[Entry]) -> std::io::Result<()> {
        self.write(entries.iter().filter_map(|entry| entry.record.as_ref()))
    }
}
