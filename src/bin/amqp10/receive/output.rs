//! Messages as they are written to the standard output.

use std::io::{self, BufWriter, StdoutLock, Write};

use amqp10::codec::{Body, Message, Value};

use super::json;
use crate::failure::Failure;
use crate::progress::Progress;

/// The standard output, buffered: whoever receives flushes it before waiting.
pub struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    as_json: bool,
    limit: Option<u64>,
    written: u64,
    progress: Progress,
}

impl Output {
    /// Takes `limit` messages, or any number.
    pub fn start(as_json: bool, limit: Option<u64>) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            as_json,
            limit,
            written: 0,
            progress: Progress::start(limit, true),
        }
    }

    /// Messages that were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Messages that are still wanted; None for any number.
    pub fn wanted(&self) -> Option<u64> {
        self.limit.map(|limit| limit - self.written)
    }

    pub fn is_complete(&self) -> bool {
        self.wanted() == Some(0)
    }

    /// Writes a message, which came from `partition` if it came from one.
    pub fn write(&mut self, message: &Message, partition: Option<&str>) -> Result<(), Failure> {
        let line = if self.as_json {
            let object = json::message(message, partition);
            serde_json::to_writer(&mut self.stdout, &object).map_err(io::Error::from)
        } else {
            self.write_body(&message.body)
        };
        line.and_then(|()| self.stdout.write_all(b"\n"))
            .map_err(Failure::output)?;
        self.written += 1;
        self.progress.reach(self.written);
        Ok(())
    }

    /// Octets and texts as they are, other values as JSON.
    fn write_body(&mut self, body: &Body) -> io::Result<()> {
        match body {
            Body::Data(octets) | Body::Value(Value::Binary(octets)) => {
                self.stdout.write_all(octets)
            }
            Body::DataSections(sections) => sections
                .iter()
                .try_for_each(|octets| self.stdout.write_all(octets)),
            Body::Value(Value::String(text)) => self.stdout.write_all(text.as_bytes()),
            Body::Value(Value::Null) | Body::Empty => Ok(()),
            Body::Value(value) => write!(self.stdout, "{}", json::value(value)),
            Body::Sequences(sections) => write!(self.stdout, "{}", json::sequences(sections)),
        }
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::output)
    }
}
