//! Composite types `[1.4]`: described lists whose items are fields, told apart by position.

use alloc::vec::Vec;

use crate::code;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Compound, Decode, Reader};
use crate::symbol::Symbol;
use crate::write::{Encode, Layout, Mark, Writer};

/// A described list with fields in a fixed order. What implements it is [`Encode`] and [`Decode`].
pub trait Composite: Sized {
    /// The numeric descriptor.
    const DESCRIPTOR: u64;
    /// The name of the type, for errors.
    const NAME: &'static str;
    /// Whether [`Layout::Full`] does not apply.
    const ALWAYS_SHORT: bool = false;

    /// Writes the fields in their order.
    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>);
    /// Reads the fields in their order.
    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError>;
}

impl<T: Composite> Encode for T {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        let layout = if T::ALWAYS_SHORT {
            Layout::Short
        } else {
            writer.layout()
        };
        writer.write_descriptor(T::DESCRIPTOR);
        let mut fields = FieldWriter::begin(writer, layout);
        self.write_fields(&mut fields);
        fields.end();
    }
}

impl<T: Composite> Decode for T {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        if reader.read_descriptor_body(code)? != Some(T::DESCRIPTOR) {
            return Err(DecodeError::new(
                offset,
                DecodeErrorKind::UnexpectedDescriptor { expected: T::NAME },
            ));
        }
        decode_fields(reader)
    }
}

/// Reads the list of a composite whose descriptor has been read.
#[inline(always)]
pub(crate) fn decode_fields<T: Composite>(reader: &mut Reader) -> Result<T, DecodeError> {
    let mut fields = FieldReader::begin(reader, T::NAME)?;
    // Handed on as it is: unwrapping and wrapping it again would move all of it.
    let composite = T::read_fields(&mut fields);
    if composite.is_ok() {
        fields.end()?;
    }
    composite
}

/// Reads the list of a composite that has no fields and whose descriptor has been read.
pub(crate) fn decode_no_fields(
    reader: &mut Reader,
    composite: &'static str,
) -> Result<(), DecodeError> {
    FieldReader::begin(reader, composite)?.end()
}

/// Reads the fields of a composite. Fields missing at the end are null (T-054).
#[derive(Debug)]
pub struct FieldReader<'r> {
    reader: &'r mut Reader,
    composite: &'static str,
    list: Compound,
    unread: u32,
}

impl<'r> FieldReader<'r> {
    #[inline(always)]
    fn begin(reader: &'r mut Reader, composite: &'static str) -> Result<Self, DecodeError> {
        let code = reader.read_code()?;
        let list = reader.enter_list(code)?;
        Ok(Self {
            reader,
            composite,
            unread: list.count,
            list,
        })
    }

    /// Fields beyond the last one may only be null (T-060).
    #[inline(always)]
    fn end(self) -> Result<(), DecodeError> {
        for _ in 0..self.unread {
            if !self.reader.take_null()? {
                let kind = DecodeErrorKind::TooManyFields {
                    composite: self.composite,
                };
                return Err(self.reader.error(kind));
            }
        }
        self.reader.leave(self.list)
    }

    /// Reads the format code of the next field; `None` if it is null or missing.
    #[inline(always)]
    fn next_code(&mut self) -> Result<Option<u8>, DecodeError> {
        if self.unread == 0 {
            return Ok(None);
        }
        self.unread -= 1;
        let code = self.reader.read_code()?;
        Ok(Some(code).filter(|code| *code != code::NULL))
    }

    /// The next field, if it is set.
    #[inline(always)]
    pub fn optional<T: Decode>(&mut self, field: &'static str) -> Result<Option<T>, DecodeError> {
        let Some(code) = self.next_code()? else {
            return Ok(None);
        };
        match T::decode_body(self.reader, code) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.in_field(self.composite, field)),
        }
    }

    /// The next field, which is mandatory (T-056).
    #[inline(always)]
    pub fn required<T: Decode>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        match self.optional(field)? {
            Some(value) => Ok(value),
            None => Err(self.missing(field)),
        }
    }

    /// The next field, or its default (T-055).
    #[inline(always)]
    pub fn or<T: Decode>(&mut self, field: &'static str, default: T) -> Result<T, DecodeError> {
        Ok(self.optional(field)?.unwrap_or(default))
    }

    /// The next field, or the default of its type.
    #[inline(always)]
    pub fn or_default<T: Decode + Default>(
        &mut self,
        field: &'static str,
    ) -> Result<T, DecodeError> {
        Ok(self.optional(field)?.unwrap_or_default())
    }

    /// The next field, which is `multiple`: null, a bare value, or an array (T-057, T-058).
    #[inline]
    pub fn multiple<T: Decode>(&mut self, field: &'static str) -> Result<Vec<T>, DecodeError> {
        match self.next_code()? {
            Some(code) => decode_multiple(self.reader, code)
                .map_err(|error| error.in_field(self.composite, field)),
            None => Ok(Vec::new()),
        }
    }

    /// The error for a mandatory field that is not set.
    #[cold]
    pub fn missing(&self, field: &'static str) -> DecodeError {
        self.reader.error(DecodeErrorKind::MissingField {
            composite: self.composite,
            field,
        })
    }
}

fn decode_multiple<T: Decode>(reader: &mut Reader, code: u8) -> Result<Vec<T>, DecodeError> {
    if !matches!(code, code::ARRAY_8 | code::ARRAY_32) {
        return Ok(Vec::from([T::decode_body(reader, code)?]));
    }
    let array = reader.enter_array(code)?;
    let mut values = Vec::new();
    // T-040: an empty array may lack its constructor, and has none that matters.
    if array.count == 0 {
        let left = reader.remaining();
        reader.read_slice(left)?;
    } else {
        let element_code = reader.read_element_code(array.count)?;
        for _ in 0..array.count {
            values.push(T::decode_body(reader, element_code)?);
        }
    }
    reader.leave(array)?;
    Ok(values)
}

/// Writes the fields of a composite.
#[derive(Debug)]
pub struct FieldWriter<'w, 'a> {
    writer: &'w mut Writer<'a>,
    layout: Layout,
    mark: Mark,
    written: usize,
    /// Nulls after the last field written; a field that is set brings them to the wire (T-053).
    pending_nulls: usize,
}

impl<'w, 'a> FieldWriter<'w, 'a> {
    #[inline]
    fn begin(writer: &'w mut Writer<'a>, layout: Layout) -> Self {
        let mark = writer.begin_compound();
        Self {
            writer,
            layout,
            mark,
            written: 0,
            pending_nulls: 0,
        }
    }

    #[inline]
    fn end(mut self) {
        match self.layout {
            Layout::Short => self.writer.end_list(self.mark, self.written),
            Layout::Full => {
                self.flush_nulls();
                self.writer.end_list_not_list0(self.mark, self.written);
            }
        }
    }

    #[inline]
    fn flush_nulls(&mut self) {
        for _ in 0..self.pending_nulls {
            self.writer.write_null();
        }
        self.written += self.pending_nulls;
        self.pending_nulls = 0;
    }

    /// Writes a field that is set.
    #[inline]
    pub fn required(&mut self, value: &(impl Encode + ?Sized)) {
        self.flush_nulls();
        value.encode(self.writer);
        self.written += 1;
    }

    /// Leaves a field out.
    #[inline]
    pub fn null(&mut self) {
        self.pending_nulls += 1;
    }

    /// Writes a field, null if it is not set.
    #[inline]
    pub fn optional(&mut self, value: &Option<impl Encode>) {
        match value {
            Some(value) => self.required(value),
            None => self.null(),
        }
    }

    /// Writes a field unless it has its default and the layout is short.
    #[inline]
    pub fn or<T: Encode + PartialEq>(&mut self, value: &T, default: T) {
        if self.layout == Layout::Short && *value == default {
            self.null()
        } else {
            self.required(value)
        }
    }

    /// Writes a map, null if it is empty.
    #[inline]
    pub fn unless_empty(&mut self, value: &impl Encode, is_empty: bool) {
        if is_empty {
            self.null()
        } else {
            self.required(value)
        }
    }

    /// Writes symbols: null if there are none, else an array, also for one, which every peer understands.
    #[inline]
    pub fn multiple(&mut self, values: &[Symbol]) {
        if values.is_empty() {
            self.null()
        } else {
            self.required(values)
        }
    }
}

/// An array of symbols.
impl Encode for [Symbol] {
    fn encode(&self, writer: &mut Writer<'_>) {
        let short = self.iter().all(|symbol| symbol.as_bytes().len() <= 0xff);
        let code = if short {
            code::SYMBOL_8
        } else {
            code::SYMBOL_32
        };
        let mark = writer.begin_compound();
        writer.write_raw(&[code]);
        self.iter()
            .for_each(|symbol| writer.write_body(code, symbol.as_bytes()));
        writer.end_array(mark, self.len());
    }
}
