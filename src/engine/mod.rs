//! The protocol as plain data.

mod limits;

pub use limits::Limits;
