//! One pair of functions per AMQP type, for `#[serde(with = "..")]` on a field.

/// A module for `#[serde(with = "..")]` that reads and writes the field in a
/// [`Form`](super::form::Form).
macro_rules! with_module {
    ($(#[$doc:meta])* $name:ident, $form:ident) => {
        $(#[$doc])*
        pub mod $name {
            use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

            use crate::serde::form::Form;

            /// Writes `field` in this form.
            pub fn serialize<T: Serialize + ?Sized, S: Serializer>(
                field: &T,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                Form::$form.serialize(field, serializer)
            }

            /// Reads a field in this form.
            pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<T, D::Error> {
                Form::$form.deserialize(deserializer)
            }
        }
    };
}

with_module! {
    /// A `String`, `&str`, unit variant of an enum, or an `Option` of these, as a symbol.
    symbol, Symbol
}

with_module! {
    /// An integer, the milliseconds since 1970-01-01 UTC, or an `Option` of one, as a timestamp.
    timestamp, Timestamp
}

with_module! {
    /// 16 octets that serialize as bytes (the type of the crate `uuid`, `serde_bytes::ByteArray<16>`),
    /// or an `Option` of them, as a uuid.
    uuid, Uuid
}

with_module! {
    /// A sequence, or an `Option` of one, as an array: see [`AsArray`](super::AsArray).
    array, Array
}

with_module! {
    /// A struct, or an `Option` of one, as a list of its fields: see [`AsList`](super::AsList).
    list, List
}

/// A value with the descriptor of its type: see [`AsDescribed`](super::AsDescribed).
pub mod described {
    use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::serde::{AsDescribed, Describe};

    /// Writes `field` with its descriptor.
    pub fn serialize<T: Serialize + Describe, S: Serializer>(
        field: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        AsDescribed(field).serialize(serializer)
    }

    /// Reads a field that has its descriptor.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de> + Describe,
        D: Deserializer<'de>,
    {
        AsDescribed::deserialize(deserializer).map(|AsDescribed(field)| field)
    }
}
