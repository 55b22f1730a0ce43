//! Cases for listeners, one file a chapter.

mod frame;
mod header;
mod sasl;

use super::case::Case;

/// The cases of each chapter, in the order of the standard.
pub(super) const CHAPTERS: &[&[Case]] = &[header::CASES, sasl::CASES, frame::CASES];
