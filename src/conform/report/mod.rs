//! What a run found, for people and for programs.

mod json;
mod junit;
mod text;

use super::case::Verdict;
use super::run::Played;

/// What became of every case of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The cases, in the order in which they were played.
    pub played: Vec<Played>,
}

/// How many cases ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The rule is kept.
    pub pass: usize,
    /// A MUST is broken.
    pub fail: usize,
    /// A SHOULD is broken, or others may stumble.
    pub remark: usize,
    /// Not tried.
    pub skip: usize,
}

impl Report {
    /// How many cases ended in which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for played in &self.played {
            match played.verdict {
                Verdict::Pass => counts.pass += 1,
                Verdict::Fail(_) => counts.fail += 1,
                Verdict::Remark(_) => counts.remark += 1,
                Verdict::Skip(_) => counts.skip += 1,
            }
        }
        counts
    }

    /// Whether no MUST was broken.
    pub fn is_conforming(&self) -> bool {
        self.counts().fail == 0
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pass,
            fail,
            remark,
            skip,
        } = self;
        write!(
            f,
            "{pass} passed, {fail} failed, {remark} remarked, {skip} skipped"
        )
    }
}
