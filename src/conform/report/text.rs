//! A report as lines of text.

use std::fmt::{self, Write as _};

use super::Report;
use crate::conform::case::Verdict;
use crate::conform::run::Played;

impl Report {
    /// Every case in a line; those that failed or are remarked with what was expected, what came, and the octets to try it
    /// again.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for played in &self.played {
            // Writing to a string cannot fail.
            let _ = write!(text, "{played}");
        }
        let _ = writeln!(text, "\n{}", self.counts());
        text
    }
}

impl fmt::Display for Played {
    /// One line; below it, if there is something to say, what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, verdict, .. } = self;
        match verdict {
            Verdict::Pass => writeln!(f, "pass    {}", case.name),
            Verdict::Skip(reason) => writeln!(f, "skip    {} ({reason})", case.name),
            Verdict::Fail(came) => self.explain(f, "FAIL", came),
            Verdict::Remark(came) => self.explain(f, "remark", came),
        }
    }
}

impl Played {
    fn explain(&self, f: &mut fmt::Formatter<'_>, verdict: &str, came: &str) -> fmt::Result {
        let case = self.case;
        writeln!(f, "{verdict:<7} {}", case.name)?;
        writeln!(f, "        rows      {}", case.rows.join(", "))?;
        writeln!(f, "        stimulus  {}", case.stimulus)?;
        writeln!(f, "        expected  {}", case.expected)?;
        writeln!(f, "        came      {came}")?;
        for entry in self.record.entries() {
            writeln!(f, "        {entry}")?;
        }
        Ok(())
    }
}
