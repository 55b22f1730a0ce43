//! As much of HTTP/1.1 as comes before a tunnel or a WebSocket: the head of a request or an answer, bounded.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::stream::Stream;

/// The longest head accepted, in octets.
pub(crate) const MAX_HEAD_SIZE: usize = 16 << 10;
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// Why there is no head.
pub(crate) enum HeadError {
    /// The stream ended within it.
    Eof,
    Io(io::Error),
    /// It is too long, or not HTTP.
    Malformed(&'static str),
}

/// The first line of a request or an answer, and the headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// The values of all headers of that name.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self
            .headers
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str())
    }

    /// Parses a head that is whole.
    fn parse(octets: &[u8]) -> Result<Head, HeadError> {
        let text =
            std::str::from_utf8(octets).map_err(|_| HeadError::Malformed("it is not text"))?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first_line = lines.next().unwrap_or_default();
        let headers = lines.map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or(HeadError::Malformed("a header has no colon"))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        });
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Head {
            first_line: first_line.to_owned(),
            headers,
        })
    }
}

/// Reads into `buffer` until it holds a head, which begins with `start`. Gives the head, and its length in the buffer: more may
/// have been read.
pub(crate) async fn read_head(
    stream: &mut dyn Stream,
    buffer: &mut BytesMut,
    start: &[u8],
) -> Result<(Head, usize), HeadError> {
    let mut searched: usize = 0;
    loop {
        let compared = buffer.len().min(start.len());
        if buffer[..compared] != start[..compared] {
            return Err(HeadError::Malformed("it is not HTTP"));
        }
        let from = searched.saturating_sub(END.len() - 1);
        if let Some(found) = buffer[from..]
            .windows(END.len())
            .position(|four| four == END)
        {
            let length = from + found + END.len();
            return Ok((Head::parse(&buffer[..length])?, length));
        }
        searched = buffer.len();
        if searched >= MAX_HEAD_SIZE {
            return Err(HeadError::Malformed("its head is longer than 16 KiB"));
        }
        buffer.reserve(1024);
        match stream.read_buf(buffer).await {
            Ok(0) => return Err(HeadError::Eof),
            Ok(_) => {}
            Err(error) => return Err(HeadError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn head_of(sent: &[u8]) -> Result<(Head, usize), HeadError> {
        let mut stream = tokio::io::join(sent, tokio::io::sink());
        read_head(&mut stream, &mut BytesMut::new(), b"HTTP/1.").await
    }

    #[tokio::test]
    async fn a_head_ends_at_its_empty_line() {
        let sent = b"HTTP/1.1 200 OK\r\nA: b:c\r\na:d \r\n\r\nAMQP";
        let Ok((head, length)) = head_of(sent).await else {
            panic!("no head")
        };
        assert_eq!(&sent[length..], b"AMQP");
        assert_eq!(head.first_line, "HTTP/1.1 200 OK");
        assert_eq!(head.values("a").collect::<Vec<_>>(), ["b:c", "d"]);
        assert!(matches!(
            head_of(b"HTTP/1.1 200 OK\r\n\r\n").await,
            Ok((_, 19))
        ));
    }

    #[tokio::test]
    async fn what_is_no_head_is_told_apart() {
        let malformed = |result| matches!(result, Err(HeadError::Malformed(_)));
        assert!(malformed(head_of(b"SSH-2.0").await));
        assert!(malformed(head_of(b"HTTP/1.1 200\r\nx\r\n\r\n").await));
        assert!(malformed(head_of(b"HTTP/1.1 \xff\r\n\r\n").await));
        let endless = [b"HTTP/1.1 200\r\na: ", vec![b'x'; MAX_HEAD_SIZE].as_slice()].concat();
        assert!(malformed(head_of(&endless).await));
        assert!(matches!(
            head_of(b"HTTP/1.1 200\r\n").await,
            Err(HeadError::Eof)
        ));
        assert!(matches!(head_of(b"").await, Err(HeadError::Eof)));
    }
}
