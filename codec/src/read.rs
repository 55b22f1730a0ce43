//! `Reader`: a checked cursor over encoded values.
//!
//! Every length is checked against the input and against the compound that surrounds it before anything is
//! sliced or allocated (T-044).

use bytes::Bytes;

use crate::code::{self, Type, descriptor, width};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::octets::{INLINE, Octets};

/// What a [`Reader`] accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// How deep compounds, arrays and described values may be nested (T-045).
    pub depth: u32,
    /// How many values may come out of one input without taking octets of it: elements of zero width, such as
    /// an array of nulls, and descriptors that an array repeats for each of its elements (T-039).
    pub unbacked_values: u32,
}

impl DecodeLimits {
    /// The default of [`depth`](DecodeLimits::depth).
    pub const DEPTH: u32 = 64;
    /// The default of [`unbacked_values`](DecodeLimits::unbacked_values).
    pub const UNBACKED_VALUES: u32 = 16_384;

    /// Sets [`depth`](DecodeLimits::depth). Decoding recurses: a level takes about 1 KiB of stack.
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Sets [`unbacked_values`](DecodeLimits::unbacked_values).
    pub fn unbacked_values(mut self, values: u32) -> Self {
        self.unbacked_values = values;
        self
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            depth: Self::DEPTH,
            unbacked_values: Self::UNBACKED_VALUES,
        }
    }
}

/// Reads encoded values from a `Bytes`; strings, symbols and binaries are slices of it.
///
/// After an error the position is unspecified: drop the reader.
#[derive(Debug)]
pub struct Reader {
    input: Bytes,
    position: usize,
    /// The end of the innermost compound, at most the length of the input.
    end: usize,
    /// What is left of the limits.
    limits: DecodeLimits,
}

/// A list, map or array being read, from [`Reader::enter_list`] and its siblings.
#[derive(Debug)]
#[must_use = "leave it with Reader::leave"]
pub struct Compound {
    /// Items (a map has two for each entry) or elements declared. At most one for each octet that is left,
    /// except in arrays: see [`Reader::read_element_code`].
    pub count: u32,
    outer_end: usize,
}

/// A value that can be read from its encoding.
pub trait Decode: Sized {
    /// Reads what follows the format code: of any encoding of the type (T-004), or an error. The elements of an
    /// array have their format code in common.
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError>;

    /// Reads one value.
    #[inline]
    fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        let code = reader.read_code()?;
        Self::decode_body(reader, code)
    }
}

impl Reader {
    /// A reader with the default limits.
    #[inline]
    pub fn new(input: Bytes) -> Self {
        Self::with_limits(input, DecodeLimits::default())
    }

    /// A reader with own limits.
    #[inline]
    pub fn with_limits(input: Bytes, limits: DecodeLimits) -> Self {
        Self {
            position: 0,
            end: input.len(),
            input,
            limits,
        }
    }

    /// Octets read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Octets left in the innermost compound, outside of compounds in the input.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// The octets that were not read.
    #[inline]
    pub fn into_rest(mut self) -> Bytes {
        self.input.split_off(self.position)
    }

    /// All of the input, what was read and what was not.
    pub(crate) fn into_input(self) -> Bytes {
        self.input
    }

    /// Fails if octets are left.
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.error(DecodeErrorKind::TrailingBytes))
        }
    }

    /// An error at the current position.
    #[cold]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.position, kind)
    }

    /// Where the format code just read is.
    pub(crate) fn code_position(&self) -> usize {
        self.position.saturating_sub(1)
    }

    /// An error at the format code just read.
    #[cold]
    pub fn error_at_code(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.code_position(), kind)
    }

    /// The error for a format code, just read, that does not encode `expected`.
    #[cold]
    pub fn unexpected(&self, expected: Type, found: u8) -> DecodeError {
        self.error_at_code(match Type::of_code(found) {
            Some(_) => DecodeErrorKind::UnexpectedType { expected, found },
            None => DecodeErrorKind::UnknownFormatCode(found),
        })
    }

    /// The next format code, which stays unread.
    #[inline]
    pub fn peek_code(&self) -> Result<u8, DecodeError> {
        match self.unread().first() {
            Some(code) => Ok(*code),
            None => Err(self.error(DecodeErrorKind::UnexpectedEnd)),
        }
    }

    /// Reads a format code.
    #[inline(always)]
    pub fn read_code(&mut self) -> Result<u8, DecodeError> {
        let [code] = self.read_octets()?;
        Ok(code)
    }

    /// Reads a null if there is one.
    #[inline]
    pub fn take_null(&mut self) -> Result<bool, DecodeError> {
        let null = self.peek_code()? == code::NULL;
        self.position += usize::from(null);
        Ok(null)
    }

    /// Reads so many octets as an array, such as a big-endian number.
    #[inline(always)]
    pub fn read_octets<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.unread().first_chunk() {
            Some(octets) => {
                let octets = *octets;
                self.position += N;
                Ok(octets)
            }
            None => Err(self.error(DecodeErrorKind::UnexpectedEnd)),
        }
    }

    /// Reads `len` octets in place.
    #[inline]
    pub fn read_slice(&mut self, len: usize) -> Result<&[u8], DecodeError> {
        if len > self.remaining() {
            return Err(self.error(DecodeErrorKind::UnexpectedEnd));
        }
        let start = self.position;
        self.position += len;
        Ok(&self.input[start..self.position])
    }

    /// Reads `len` octets as a slice that shares the input.
    #[inline]
    pub fn read_bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(self.error(DecodeErrorKind::UnexpectedEnd));
        }
        let start = self.position;
        self.position += len;
        Ok(self.input.slice(start..self.position))
    }

    /// Reads length and octets of a text, which must be `valid`.
    #[inline(always)]
    pub(crate) fn read_text(
        &mut self,
        code: u8,
        valid: impl Fn(&[u8]) -> bool,
        otherwise: DecodeErrorKind,
    ) -> Result<Octets, DecodeError> {
        let len = self.read_len(code)?;
        let Some(text) = self.unread().get(..len) else {
            return Err(self.error(DecodeErrorKind::UnexpectedEnd));
        };
        if !valid(text) {
            return Err(self.error(otherwise));
        }
        let octets = match len {
            0..=INLINE => Octets::inline(&self.input[self.position..], len),
            _ => Octets::Shared(self.input.slice(self.position..self.position + len)),
        };
        self.position += len;
        Ok(octets)
    }

    /// Reads the length of a variable-width value whose format code is `code`.
    #[inline(always)]
    pub(crate) fn read_len(&mut self, code: u8) -> Result<usize, DecodeError> {
        if width(code) == 1 {
            Ok(usize::from(self.read_octets::<1>()?[0]))
        } else {
            Ok(u32::from_be_bytes(self.read_octets()?) as usize)
        }
    }

    /// Enters the list whose format code has been read.
    #[inline(always)]
    pub fn enter_list(&mut self, code: u8) -> Result<Compound, DecodeError> {
        match code {
            code::LIST_0 => {
                let outer_end = core::mem::replace(&mut self.end, self.position);
                self.deepen()?;
                Ok(Compound {
                    count: 0,
                    outer_end,
                })
            }
            code::LIST_8 | code::LIST_32 => self.enter_items(code),
            _ => Err(self.unexpected(Type::List, code)),
        }
    }

    /// Enters the map whose format code has been read; its count is even (T-030).
    #[inline]
    pub fn enter_map(&mut self, code: u8) -> Result<Compound, DecodeError> {
        if !matches!(code, code::MAP_8 | code::MAP_32) {
            return Err(self.unexpected(Type::Map, code));
        }
        let map = self.enter_items(code)?;
        if map.count % 2 != 0 {
            return Err(self.error(DecodeErrorKind::OddMapCount(map.count)));
        }
        Ok(map)
    }

    /// Enters the array whose format code has been read. If it has elements, the code of their type follows.
    pub fn enter_array(&mut self, code: u8) -> Result<Compound, DecodeError> {
        if !matches!(code, code::ARRAY_8 | code::ARRAY_32) {
            return Err(self.unexpected(Type::Array, code));
        }
        self.enter(code)
    }

    /// Leaves a compound; its items must have been read to the last octet (T-036).
    #[inline(always)]
    pub fn leave(&mut self, compound: Compound) -> Result<(), DecodeError> {
        if self.position != self.end {
            return Err(self.error(DecodeErrorKind::SizeMismatch));
        }
        self.end = compound.outer_end;
        self.rise();
        Ok(())
    }

    /// Reads the format code of an array's elements, after all descriptors, and checks that so many of them
    /// can be there.
    pub fn read_element_code(&mut self, count: u32) -> Result<u8, DecodeError> {
        let code = self.read_code()?;
        match width(code) {
            0 => self.charge_unbacked(u64::from(count))?,
            width if u64::from(count) * width as u64 > self.remaining() as u64 => {
                return Err(self.error(DecodeErrorKind::TooManyItems(count)));
            }
            _ => {}
        }
        Ok(code)
    }

    /// Takes values that no octets stand for from their limit.
    pub(crate) fn charge_unbacked(&mut self, values: u64) -> Result<(), DecodeError> {
        match u64::from(self.limits.unbacked_values).checked_sub(values) {
            Some(left) => {
                self.limits.unbacked_values = left as u32;
                Ok(())
            }
            None => {
                let count = u32::try_from(values).unwrap_or(u32::MAX);
                Err(self.error(DecodeErrorKind::TooManyItems(count)))
            }
        }
    }

    /// Counts a level of nesting that is no compound, a described value; [`rise`](Reader::rise) takes it back.
    #[inline]
    pub(crate) fn deepen(&mut self) -> Result<(), DecodeError> {
        match self.limits.depth.checked_sub(1) {
            Some(left) => {
                self.limits.depth = left;
                Ok(())
            }
            None => Err(self.error(DecodeErrorKind::TooDeep)),
        }
    }

    #[inline]
    pub(crate) fn rise(&mut self) {
        self.limits.depth += 1;
    }

    /// Reads `0x00` and a descriptor: the code of one of the standard's types, whatever the form of the
    /// descriptor (T-050), or `None` for any other descriptor.
    #[inline]
    pub fn read_descriptor(&mut self) -> Result<Option<u64>, DecodeError> {
        let code = self.read_code()?;
        self.read_descriptor_body(code)
    }

    /// Reads the descriptor of a described value whose first octet has been read: it must be `0x00`.
    #[inline]
    pub fn read_descriptor_body(&mut self, code: u8) -> Result<Option<u64>, DecodeError> {
        if code != code::DESCRIBED {
            return Err(self.unexpected(Type::Described, code));
        }
        match self.unread().first_chunk() {
            Some([code::ULONG_8, known]) => {
                let known = u64::from(*known);
                self.position += 2;
                Ok(Some(known))
            }
            _ => self.read_unusual_descriptor(),
        }
    }

    #[cold]
    fn read_unusual_descriptor(&mut self) -> Result<Option<u64>, DecodeError> {
        match Type::of_code(self.peek_code()?) {
            Some(Type::Ulong) => u64::decode(self).map(Some),
            Some(Type::Symbol) => {
                let symbol = crate::symbol::Symbol::decode(self)?;
                Ok(descriptor::code_of(&symbol))
            }
            _ => self.skip_value().map(|()| None),
        }
    }

    /// Passes over one value. What is inside of compounds is not looked at.
    pub fn skip_value(&mut self) -> Result<(), DecodeError> {
        let code = self.read_code()?;
        if code == code::DESCRIBED {
            self.deepen()?;
            self.skip_value()?;
            self.skip_value()?;
            self.rise();
            return Ok(());
        }
        if Type::of_code(code).is_none() {
            return Err(self.error_at_code(DecodeErrorKind::UnknownFormatCode(code)));
        }
        let len = if code < code::BINARY_8 {
            width(code)
        } else {
            self.read_len(code)?
        };
        self.read_slice(len).map(|_| ())
    }

    /// Continues at another position of the input, outside of all compounds.
    pub(crate) fn seek(&mut self, position: usize) {
        self.position = position.min(self.input.len());
        self.end = self.input.len();
    }

    #[inline(always)]
    fn unread(&self) -> &[u8] {
        &self.input[self.position..self.end]
    }

    /// Enters a compound whose items each take an octet at least, which bounds their number.
    #[inline(always)]
    fn enter_items(&mut self, code: u8) -> Result<Compound, DecodeError> {
        let compound = self.enter(code)?;
        if compound.count as usize > self.remaining() {
            return Err(self.error(DecodeErrorKind::TooManyItems(compound.count)));
        }
        Ok(compound)
    }

    /// Reads size and count. The size counts the octets after itself, the count field included (T-035).
    #[inline(always)]
    fn enter(&mut self, code: u8) -> Result<Compound, DecodeError> {
        let size = self.read_len(code)?;
        if size > self.remaining() {
            return Err(self.error(DecodeErrorKind::UnexpectedEnd));
        }
        let outer_end = core::mem::replace(&mut self.end, self.position + size);
        self.deepen()?;
        let count = match self.read_len(code) {
            Ok(count) => count as u32,
            Err(_) => return Err(self.error(DecodeErrorKind::SizeMismatch)),
        };
        Ok(Compound { count, outer_end })
    }
}
