//! Frames `[2.3]`: splitting what was read into frames, and writing them.

use core::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind};
use crate::performative::Performative;
use crate::read::{Decode, Reader};
use crate::sasl::SaslFrame;
use crate::write::{Encode, Writer};

/// Every peer takes frames of so many octets, whatever it announces (F-016).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;
/// The type octet of AMQP frames.
pub const TYPE_AMQP: u8 = 0;
/// The type octet of SASL frames.
pub const TYPE_SASL: u8 = 1;
/// Octets of a frame header.
pub const HEADER_LEN: usize = 8;

/// `[2.2]` What each peer sends before any frame: the protocol that it wants to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolHeader {
    /// 0 AMQP, 2 TLS, 3 SASL.
    pub id: u8,
    /// The version.
    pub major: u8,
    /// The version.
    pub minor: u8,
    /// The version.
    pub revision: u8,
}

impl ProtocolHeader {
    /// AMQP 1.0.0.
    pub const AMQP: Self = Self {
        id: 0,
        major: 1,
        minor: 0,
        revision: 0,
    };
    /// TLS inside of the AMQP port.
    pub const TLS: Self = Self {
        id: 2,
        major: 1,
        minor: 0,
        revision: 0,
    };
    /// SASL.
    pub const SASL: Self = Self {
        id: 3,
        major: 1,
        minor: 0,
        revision: 0,
    };

    /// The eight octets on the wire.
    pub const fn to_bytes(self) -> [u8; 8] {
        [
            b'A',
            b'M',
            b'Q',
            b'P',
            self.id,
            self.major,
            self.minor,
            self.revision,
        ]
    }

    /// The header in these octets, of whatever version; `None` if they are none (V-008).
    pub const fn parse(octets: &[u8; 8]) -> Option<Self> {
        match *octets {
            [b'A', b'M', b'Q', b'P', id, major, minor, revision] => Some(Self {
                id,
                major,
                minor,
                revision,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for ProtocolHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            major,
            minor,
            revision,
        } = self;
        write!(f, "AMQP protocol {id} version {major}.{minor}.{revision}")
    }
}

/// A frame whose body is not decoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// 0 AMQP, 1 SASL.
    pub frame_type: u8,
    /// The channel of an AMQP frame, of no meaning in a SASL frame (Y-009).
    pub channel: u16,
    /// What follows the header and the extended header.
    pub body: Bytes,
}

/// An AMQP frame.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpFrame {
    /// The channel.
    pub channel: u16,
    /// `None` in an empty frame, which only keeps the connection alive (F-012).
    pub performative: Option<Performative>,
    /// What follows a transfer; else empty.
    pub payload: Bytes,
}

/// Bytes that are no frames. The connection cannot go on: `amqp:connection:framing-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The size is less than the eight octets of the header (F-002).
    TooSmall {
        /// The size field.
        size: u32,
    },
    /// The size is above what was announced (F-015).
    TooLarge {
        /// The size field.
        size: u32,
        /// The largest size allowed.
        max: u32,
    },
    /// The data offset lies in the header or behind the frame's end (F-003, F-004).
    InvalidDataOffset {
        /// The data offset, in words of four octets.
        data_offset: u8,
        /// The size field.
        size: u32,
    },
    /// Neither an AMQP nor a SASL frame (F-007).
    UnknownType {
        /// The type octet.
        frame_type: u8,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { size } => {
                write!(f, "a frame of {size} octets is smaller than its header")
            }
            Self::TooLarge { size, max } => write!(
                f,
                "a frame of {size} octets is larger than the limit of {max}"
            ),
            Self::InvalidDataOffset { data_offset, size } => {
                write!(
                    f,
                    "data offset {data_offset} does not fit a frame of {size} octets"
                )
            }
            Self::UnknownType { frame_type } => write!(f, "unknown frame type {frame_type}"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Takes the next frame from the front of `buffer`, without a copy; `None` until it is complete.
///
/// # Errors
///
/// A bad header is refused as soon as its octets are there, before the body arrives (F-015).
/// `max_frame_size` is what this peer announced, in octets; less than 512 counts as 512 (F-016).
#[inline]
pub fn split(buffer: &mut BytesMut, max_frame_size: u32) -> Result<Option<RawFrame>, FrameError> {
    let Some(size) = buffer.first_chunk().map(|size| u32::from_be_bytes(*size)) else {
        return Ok(None);
    };
    check_size(size, max_frame_size.max(MIN_MAX_FRAME_SIZE))?;
    let Some([_, _, _, _, data_offset, frame_type, high, low]) = buffer.first_chunk().copied()
    else {
        return Ok(None);
    };
    let header_len = u32::from(data_offset) * 4;
    if header_len < HEADER_LEN as u32 || header_len > size {
        return Err(FrameError::InvalidDataOffset { data_offset, size });
    }
    if !matches!(frame_type, TYPE_AMQP | TYPE_SASL) {
        return Err(FrameError::UnknownType { frame_type });
    }
    if buffer.len() < size as usize {
        return Ok(None);
    }
    let mut body = buffer.split_to(size as usize).freeze();
    body.advance(header_len as usize); // F-005: the extended header is ignored
    Ok(Some(RawFrame {
        frame_type,
        channel: u16::from_be_bytes([high, low]),
        body,
    }))
}

#[inline]
fn check_size(size: u32, max: u32) -> Result<(), FrameError> {
    match size {
        _ if size < HEADER_LEN as u32 => Err(FrameError::TooSmall { size }),
        _ if size > max => Err(FrameError::TooLarge { size, max }),
        _ => Ok(()),
    }
}

/// Decodes the body of an AMQP frame. Offsets in errors count from the start of the body.
///
/// # Errors
///
/// Another type of frame (Y-012), a body that is no performative (F-011), and octets after a performative other
/// than transfer (F-010).
#[inline]
pub fn decode_amqp(raw: RawFrame) -> Result<AmqpFrame, DecodeError> {
    check_type(&raw, TYPE_AMQP)?;
    let channel = raw.channel;
    if raw.body.is_empty() {
        return Ok(AmqpFrame {
            channel,
            performative: None,
            payload: raw.body,
        });
    }
    let mut reader = Reader::new(raw.body);
    let performative = Performative::decode(&mut reader)?;
    if reader.remaining() > 0 && !matches!(performative, Performative::Transfer(_)) {
        return Err(reader.error(DecodeErrorKind::UnexpectedPayload));
    }
    Ok(AmqpFrame {
        channel,
        performative: Some(performative),
        payload: reader.into_rest(),
    })
}

/// Decodes the body of a SASL frame.
///
/// # Errors
///
/// Another type of frame (Y-012), and a body that is not exactly one of the five (Y-011).
pub fn decode_sasl(raw: RawFrame) -> Result<SaslFrame, DecodeError> {
    check_type(&raw, TYPE_SASL)?;
    let mut reader = Reader::new(raw.body);
    if reader.remaining() == 0 {
        return Err(reader.error(DecodeErrorKind::EmptySaslFrame));
    }
    let frame = SaslFrame::decode(&mut reader)?;
    reader.expect_end()?;
    Ok(frame)
}

#[inline]
fn check_type(raw: &RawFrame, expected: u8) -> Result<(), DecodeError> {
    if raw.frame_type == expected {
        return Ok(());
    }
    Err(DecodeError::new(
        0,
        DecodeErrorKind::UnexpectedFrameType(raw.frame_type),
    ))
}

/// Appends a frame header whose size is still open; returns the mark for [`finish`].
#[inline]
pub fn start(out: &mut BytesMut, frame_type: u8, channel: u16) -> usize {
    let mark = out.len();
    let [high, low] = channel.to_be_bytes();
    out.put_slice(&[0, 0, 0, 0, 2, frame_type, high, low]); // F-006
    mark
}

/// Writes the size of the frame that started at `mark`, and returns it. A size above 2^32 - 1 saturates.
///
/// # Panics
///
/// When `mark` is not from [`start`] on the same buffer.
#[inline]
pub fn finish(out: &mut BytesMut, mark: usize) -> usize {
    let size = out.len() - mark;
    let field = u32::try_from(size).unwrap_or(u32::MAX);
    out[mark..mark + 4].copy_from_slice(&field.to_be_bytes());
    size
}

/// Appends a SASL frame.
pub fn encode_sasl(out: &mut BytesMut, frame: &SaslFrame) {
    let mark = start(out, TYPE_SASL, 0);
    frame.encode(&mut Writer::new(out));
    finish(out, mark);
}

/// Appends an empty frame, which keeps the connection alive (F-012).
pub fn encode_empty(out: &mut BytesMut) {
    let mark = start(out, TYPE_AMQP, 0);
    finish(out, mark);
}
