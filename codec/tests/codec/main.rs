//! The codec against the standard, published vectors, arbitrary values and hostile input. Tests carry the
//! ids of the rows in `tests/conformance/requirements.md`.

mod composites;
mod frames;
mod hostile;
mod messages;
mod no_std;
mod primitives;
mod roundtrip;
mod spec;
mod support;
mod vectors;
