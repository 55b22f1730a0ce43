//! `Writer`: appends encoded values to a buffer.
//!
//! Every value gets its narrowest encoding (T-005). Compounds are written behind a short header that is
//! patched at their end; only one that outgrows 255 octets is moved, once, to make room for the wide header.

use core::slice::SliceIndex;

use bytes::{BufMut, BytesMut};

use crate::code;
use crate::error::EncodeError;
use crate::primitive::{Dec32, Dec64, Dec128, Timestamp, Uuid};

/// How performatives and termini are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Trailing nulls are left out, and fields that have their default value are null.
    #[default]
    Short,
    /// Every field is written, with its default or null if it is not set, and never as list0: for peers that
    /// index the fields by position. Message sections and delivery states are short all the same.
    Full,
}

/// A value that can be written.
pub trait Encode {
    /// Appends the value. What cannot be encoded, a length above 2^32 - 1, is remembered by the writer.
    fn encode(&self, writer: &mut Writer<'_>);
}

/// Appends encoded values to a `BytesMut`.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    layout: Layout,
    too_long: bool,
}

/// Where a compound begins, from [`Writer::begin_compound`].
#[derive(Clone, Copy, Debug)]
#[must_use = "end it with Writer::end_list, end_map or end_array"]
pub struct Mark(usize);

/// Format code, size and count, an octet each.
const NARROW_HEADER: usize = 3;
/// Format code, and four octets each for size and count.
const WIDE_HEADER: usize = 9;

impl<'a> Writer<'a> {
    /// A writer that appends to `out` in [`Layout::Short`].
    #[inline]
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self::with_layout(out, Layout::Short)
    }

    /// A writer that appends to `out`.
    #[inline]
    pub fn with_layout(out: &'a mut BytesMut, layout: Layout) -> Self {
        Self {
            out,
            layout,
            too_long: false,
        }
    }

    /// The layout of performatives and termini.
    #[inline]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Tells whether everything could be encoded.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`]: what was appended must not be sent.
    #[inline]
    pub fn finish(self) -> Result<(), EncodeError> {
        if self.too_long {
            Err(EncodeError::TooLong)
        } else {
            Ok(())
        }
    }

    /// Octets in the buffer.
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// What stands in the buffer.
    #[inline]
    pub(crate) fn written(&self, range: impl SliceIndex<[u8], Output = [u8]>) -> &[u8] {
        &self.out[range]
    }

    /// Appends octets as they are: a format code, the body of an element, or values encoded before.
    #[inline]
    pub fn write_raw(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Removes what was written after a position.
    #[inline]
    pub(crate) fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// Appends a null.
    #[inline]
    pub fn write_null(&mut self) {
        self.out.put_u8(code::NULL);
    }

    /// Appends a boolean.
    #[inline]
    pub fn write_bool(&mut self, value: bool) {
        self.out
            .put_u8(if value { code::TRUE } else { code::FALSE });
    }

    /// Appends a ubyte.
    #[inline]
    pub fn write_ubyte(&mut self, value: u8) {
        self.write_raw(&[code::UBYTE, value]);
    }

    /// Appends a ushort.
    #[inline]
    pub fn write_ushort(&mut self, value: u16) {
        self.write_fixed::<2, 3>(code::USHORT, value.to_be_bytes());
    }

    /// Appends a uint in one, two or five octets.
    #[inline]
    pub fn write_uint(&mut self, value: u32) {
        match value {
            0 => self.out.put_u8(code::UINT_0),
            1..=0xff => self.write_raw(&[code::UINT_8, value as u8]),
            _ => self.write_fixed::<4, 5>(code::UINT, value.to_be_bytes()),
        }
    }

    /// Appends a ulong in one, two or nine octets.
    #[inline]
    pub fn write_ulong(&mut self, value: u64) {
        match value {
            0 => self.out.put_u8(code::ULONG_0),
            1..=0xff => self.write_raw(&[code::ULONG_8, value as u8]),
            _ => self.write_fixed::<8, 9>(code::ULONG, value.to_be_bytes()),
        }
    }

    /// Appends a byte.
    #[inline]
    pub fn write_byte(&mut self, value: i8) {
        self.write_raw(&[code::BYTE, value as u8]);
    }

    /// Appends a short.
    #[inline]
    pub fn write_short(&mut self, value: i16) {
        self.write_fixed::<2, 3>(code::SHORT, value.to_be_bytes());
    }

    /// Appends an int in two or five octets.
    #[inline]
    pub fn write_int(&mut self, value: i32) {
        match i8::try_from(value) {
            Ok(small) => self.write_raw(&[code::INT_8, small as u8]),
            Err(_) => self.write_fixed::<4, 5>(code::INT, value.to_be_bytes()),
        }
    }

    /// Appends a long in two or nine octets.
    #[inline]
    pub fn write_long(&mut self, value: i64) {
        match i8::try_from(value) {
            Ok(small) => self.write_raw(&[code::LONG_8, small as u8]),
            Err(_) => self.write_fixed::<8, 9>(code::LONG, value.to_be_bytes()),
        }
    }

    /// Appends a float; its bits are kept (T-017).
    #[inline]
    pub fn write_float(&mut self, value: f32) {
        self.write_fixed::<4, 5>(code::FLOAT, value.to_be_bytes());
    }

    /// Appends a double; its bits are kept (T-018).
    #[inline]
    pub fn write_double(&mut self, value: f64) {
        self.write_fixed::<8, 9>(code::DOUBLE, value.to_be_bytes());
    }

    /// Appends a decimal32.
    pub fn write_decimal32(&mut self, value: Dec32) {
        self.write_fixed::<4, 5>(code::DECIMAL_32, value.0);
    }

    /// Appends a decimal64.
    pub fn write_decimal64(&mut self, value: Dec64) {
        self.write_fixed::<8, 9>(code::DECIMAL_64, value.0);
    }

    /// Appends a decimal128.
    pub fn write_decimal128(&mut self, value: Dec128) {
        self.write_fixed::<16, 17>(code::DECIMAL_128, value.0);
    }

    /// Appends a char.
    pub fn write_char(&mut self, value: char) {
        self.write_fixed::<4, 5>(code::CHAR, u32::from(value).to_be_bytes());
    }

    /// Appends a timestamp.
    #[inline]
    pub fn write_timestamp(&mut self, value: Timestamp) {
        self.write_fixed::<8, 9>(code::TIMESTAMP, value.0.to_be_bytes());
    }

    /// Appends a uuid.
    pub fn write_uuid(&mut self, value: Uuid) {
        self.write_fixed::<16, 17>(code::UUID, value.0);
    }

    /// Appends a binary.
    #[inline]
    pub fn write_binary(&mut self, value: &[u8]) {
        self.write_variable(code::BINARY_8, value);
    }

    /// Appends a string.
    #[inline]
    pub fn write_string(&mut self, value: &str) {
        self.write_variable(code::STRING_8, value.as_bytes());
    }

    /// Appends a binary, string or symbol whose octets are known to be legal.
    #[inline]
    pub(crate) fn write_variable(&mut self, narrow_code: u8, octets: &[u8]) {
        self.write_variable_header(narrow_code, octets.len());
        self.write_raw(octets);
    }

    /// Appends what stands before the octets of a binary of that length.
    pub(crate) fn write_binary_header(&mut self, len: usize) {
        self.write_variable_header(code::BINARY_8, len);
    }

    #[inline]
    fn write_variable_header(&mut self, narrow_code: u8, len: usize) {
        match u8::try_from(len) {
            Ok(len) => self.write_raw(&[narrow_code, len]),
            Err(_) => {
                let len = self.checked_u32(len);
                self.write_fixed::<4, 5>(widen(narrow_code), len.to_be_bytes());
            }
        }
    }

    /// Appends length and octets of a variable-width array element whose format code is `code`.
    pub(crate) fn write_body(&mut self, code: u8, octets: &[u8]) {
        let len = self.checked_u32(octets.len());
        let from = 4 - crate::code::width(code);
        self.write_raw(&len.to_be_bytes()[from..]);
        self.write_raw(octets);
    }

    /// Appends the descriptor of a value that follows.
    #[inline]
    pub fn write_descriptor(&mut self, descriptor: u64) {
        match u8::try_from(descriptor) {
            // Not ulong0, so that every descriptor of the standard has the same three octets.
            Ok(small) => self.write_raw(&[code::DESCRIBED, code::ULONG_8, small]),
            Err(_) => {
                self.write_raw(&[code::DESCRIBED]);
                self.write_ulong(descriptor);
            }
        }
    }

    /// Begins a list, map or array: its items, or the element constructor and the elements, follow.
    #[inline]
    pub fn begin_compound(&mut self) -> Mark {
        let mark = Mark(self.out.len());
        self.write_raw(&[0; NARROW_HEADER]);
        mark
    }

    /// Ends a list of so many items; an empty one becomes list0.
    #[inline]
    pub fn end_list(&mut self, mark: Mark, count: usize) {
        if count == 0 {
            self.truncate(mark.0);
            self.out.put_u8(code::LIST_0);
        } else {
            self.end_compound(mark, code::LIST_8, count);
        }
    }

    /// Ends a list of so many items without the short form of the empty list.
    #[inline]
    pub(crate) fn end_list_not_list0(&mut self, mark: Mark, count: usize) {
        self.end_compound(mark, code::LIST_8, count);
    }

    /// Ends a map of so many items, two for each entry.
    #[inline]
    pub fn end_map(&mut self, mark: Mark, count: usize) {
        self.end_compound(mark, code::MAP_8, count);
    }

    /// Ends an array of so many elements.
    #[inline]
    pub fn end_array(&mut self, mark: Mark, count: usize) {
        self.end_compound(mark, code::ARRAY_8, count);
    }

    /// Patches the header. The size counts itself not, but the count field (T-035).
    #[inline]
    fn end_compound(&mut self, mark: Mark, narrow_code: u8, count: usize) {
        let content = self.out.len() - mark.0 - NARROW_HEADER;
        match (u8::try_from(content + 1), u8::try_from(count)) {
            (Ok(size), Ok(count)) => {
                let header = &mut self.out[mark.0..mark.0 + NARROW_HEADER];
                header.copy_from_slice(&[narrow_code, size, count]);
            }
            _ => self.end_wide_compound(mark, widen(narrow_code), content, count),
        }
    }

    /// Moves the content to make room for the wide header (T-043).
    fn end_wide_compound(&mut self, mark: Mark, wide_code: u8, content: usize, count: usize) {
        let size = self.checked_u32(content + 4);
        let count = self.checked_u32(count);
        self.out.put_bytes(0, WIDE_HEADER - NARROW_HEADER);
        let from = mark.0 + NARROW_HEADER;
        self.out
            .copy_within(from..from + content, mark.0 + WIDE_HEADER);
        self.patch_wide_header(mark, wide_code, size, count);
    }

    /// Begins an array element that is a compound: it has no constructor, and sizes of four octets.
    pub(crate) fn begin_wide_body(&mut self) -> Mark {
        let mark = Mark(self.out.len());
        self.write_raw(&[0; WIDE_HEADER - 1]);
        mark
    }

    /// Ends an array element that is a compound.
    pub(crate) fn end_wide_body(&mut self, mark: Mark, count: usize) {
        let size = self.out.len() - mark.0 - 4;
        let size = self.checked_u32(size);
        let count = self.checked_u32(count);
        self.out[mark.0..mark.0 + 4].copy_from_slice(&size.to_be_bytes());
        self.out[mark.0 + 4..mark.0 + 8].copy_from_slice(&count.to_be_bytes());
    }

    fn patch_wide_header(&mut self, mark: Mark, wide_code: u8, size: u32, count: u32) {
        let header = &mut self.out[mark.0..mark.0 + WIDE_HEADER];
        header[0] = wide_code;
        header[1..5].copy_from_slice(&size.to_be_bytes());
        header[5..].copy_from_slice(&count.to_be_bytes());
    }

    /// Appends code and data in one piece; `M` is `N + 1`.
    #[inline]
    fn write_fixed<const N: usize, const M: usize>(&mut self, code: u8, octets: [u8; N]) {
        let mut encoded = [code; M];
        encoded[1..].copy_from_slice(&octets);
        self.write_raw(&encoded);
    }

    pub(crate) fn checked_u32(&mut self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or_else(|_| {
            self.too_long = true;
            u32::MAX
        })
    }
}

/// The code with four-octet lengths that belongs to one with one-octet lengths (T-002: the next nibble).
#[inline]
pub(crate) const fn widen(narrow_code: u8) -> u8 {
    narrow_code + 0x10
}
