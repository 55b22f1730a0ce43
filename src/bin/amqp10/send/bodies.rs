//! Where the bodies of messages come from.

use std::io::{self, Read};
use std::vec;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::failure::Failure;

/// Octets asked of the standard input at a time.
const BLOCK: usize = 256 << 10;

/// Blocks that may be read ahead.
const READ_AHEAD: usize = 4;

/// The longest line, in octets: what exceeds it is most likely not a text of lines.
const MAX_LINE: usize = 64 << 20;

/// The bodies to send, in order. Lines are slices of the blocks that they were read in, made-up bodies are all the same one.
pub struct Bodies {
    source: Source,
    /// Those that are there already.
    ready: vec::IntoIter<Bytes>,
}

enum Source {
    Lines(mpsc::Receiver<Result<Vec<Bytes>, Failure>>),
    MadeUp { body: Bytes, left: u64 },
}

impl Bodies {
    pub fn made_up(count: u64, size: usize) -> Self {
        Self::new(Source::MadeUp {
            body: Bytes::from(vec![b'x'; size]),
            left: count,
        })
    }

    /// Reads on a thread of its own, because reading a terminal or a pipe blocks. It ends with the process.
    pub fn lines_of_stdin() -> Self {
        let (blocks, receiver) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            if let Err(failure) = read_lines(io::stdin().lock(), &blocks) {
                // Without a receiver the command has ended.
                let _ = blocks.blocking_send(Err(failure));
            }
        });
        Self::new(Source::Lines(receiver))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            ready: Vec::new().into_iter(),
        }
    }

    /// The next body, or None at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(body) = self.ready.next() {
                return Ok(Some(body));
            }
            let block = match &mut self.source {
                Source::Lines(blocks) => blocks.recv().await.transpose()?,
                Source::MadeUp { body, left } => more_of(body, left),
            };
            match block {
                Some(block) => self.ready = block.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next body, if it is there without waiting.
    pub fn next_ready(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(body) = self.ready.next() {
                return Ok(Some(body));
            }
            let block = match &mut self.source {
                Source::Lines(blocks) => match blocks.try_recv() {
                    Ok(block) => Some(block?),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
                },
                Source::MadeUp { body, left } => more_of(body, left),
            };
            match block {
                Some(block) => self.ready = block.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

fn more_of(body: &Bytes, left: &mut u64) -> Option<Vec<Bytes>> {
    let count = (*left).min(1024);
    *left -= count;
    (count > 0).then(|| vec![body.clone(); count as usize])
}

/// Cuts the input into lines, a block at a time, until it ends or nobody wants more.
fn read_lines(
    mut input: impl Read,
    blocks: &mpsc::Sender<Result<Vec<Bytes>, Failure>>,
) -> Result<(), Failure> {
    let mut block = vec![0; BLOCK];
    let mut text = BytesMut::new();
    loop {
        let length = match input.read(&mut block) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::new(format!(
                    "cannot read the standard input: {error}"
                )));
            }
        };
        let read = &block[..length];
        // Only what is new is searched: a long line would be searched again and again otherwise.
        let last_end = read.iter().rposition(|octet| *octet == b'\n');
        let last_end = last_end.map(|position| text.len() + position);
        text.extend_from_slice(read);
        let lines = match last_end {
            Some(end) => {
                let lines = text.split_to(end);
                text.advance(1);
                Some(lines)
            }
            None if length == 0 && !text.is_empty() => Some(text.split()),
            None => None,
        };
        if let Some(lines) = lines
            && blocks.blocking_send(Ok(split(&lines.freeze()))).is_err()
        {
            return Ok(());
        }
        if length == 0 {
            return Ok(());
        }
        if text.len() > MAX_LINE {
            return Err(Failure::new(format!(
                "a line of the standard input is longer than {MAX_LINE} octets"
            )));
        }
    }
}

/// The lines of a text without its last line's end.
fn split(text: &Bytes) -> Vec<Bytes> {
    text.split(|octet| *octet == b'\n')
        .map(|line| text.slice_ref(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An input that gives `step` octets at a time.
    struct Trickle<'a> {
        text: &'a [u8],
        step: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.step.min(self.text.len()).min(buffer.len());
            let (now, later) = self.text.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.text = later;
            Ok(length)
        }
    }

    fn lines_of(text: &[u8], step: usize) -> Vec<Bytes> {
        let (blocks, mut receiver) = mpsc::channel(1024);
        read_lines(Trickle { text, step }, &blocks).unwrap();
        drop(blocks);
        let mut lines = Vec::new();
        while let Some(block) = receiver.blocking_recv() {
            lines.extend(block.unwrap());
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let table: [(&[u8], &[&[u8]]); 7] = [
            (b"", &[]),
            (b"one", &[b"one"]),
            (b"one\n", &[b"one"]),
            (b"\n", &[b""]),
            (b"\n\n", &[b"", b""]),
            (b"one\n\ntwo\r\nthree", &[b"one", b"", b"two\r", b"three"]),
            (b"a\nb\n", &[b"a", b"b"]),
        ];
        for (text, expected) in table {
            for step in 1..=text.len().max(1) {
                assert_eq!(lines_of(text, step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn a_line_may_be_longer_than_a_block() {
        let mut text = vec![b'x'; 3 * BLOCK + 7];
        text.extend_from_slice(b"\nshort\n");
        let lines = lines_of(&text, BLOCK);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), 3 * BLOCK + 7);
        assert_eq!(lines[1], "short");
    }

    #[tokio::test]
    async fn made_up_bodies_are_counted() {
        let mut bodies = Bodies::made_up(2500, 3);
        let mut count = 0;
        while let Some(body) = bodies.next().await.unwrap() {
            assert_eq!(body, "xxx");
            count += 1;
        }
        assert_eq!(count, 2500);
        assert!(bodies.next_ready().unwrap().is_none());
    }
}
