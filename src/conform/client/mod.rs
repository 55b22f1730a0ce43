//! Cases for clients, one file a chapter.

mod connection;
mod credit;

use super::case::Case;

/// The cases of each chapter, in the order of the standard.
pub(super) const CHAPTERS: &[&[Case]] = &[connection::CASES, credit::CASES];
