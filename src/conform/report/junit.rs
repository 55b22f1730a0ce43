//! A report as JUnit's XML, which most servers for continuous integration read.

use std::fmt::{self, Write as _};

use super::Report;
use crate::conform::case::Verdict;
use crate::conform::run::Played;

impl Report {
    /// One `testsuite`; a chapter is the `classname` of its cases. A remark passes, with what was remarked as its output.
    pub fn to_junit(&self) -> String {
        let mut xml = String::new();
        // Writing to a string cannot fail.
        let _ = write_suite(&mut xml, self);
        xml
    }
}

fn write_suite(xml: &mut String, report: &Report) -> fmt::Result {
    let counts = report.counts();
    let seconds: f64 = report
        .played
        .iter()
        .map(|played| played.took.as_secs_f64())
        .sum();
    writeln!(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        xml,
        "<testsuite name=\"amqp10 conform\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.3}\">",
        report.played.len(),
        counts.fail,
        counts.skip,
    )?;
    for played in &report.played {
        write_case(xml, played)?;
    }
    writeln!(xml, "</testsuite>")
}

fn write_case(xml: &mut String, played: &Played) -> fmt::Result {
    let case = played.case;
    let seconds = played.took.as_secs_f64();
    write!(
        xml,
        "  <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
        escaped(case.chapter()),
        escaped(case.name),
    )?;
    let (reason, text) = match played.verdict.reason() {
        None => return writeln!(xml, "/>"),
        Some(reason) => (escaped(reason), escaped(&played.to_string())),
    };
    writeln!(xml, ">")?;
    match played.verdict {
        Verdict::Fail(_) => writeln!(xml, "    <failure message=\"{reason}\">{text}</failure>")?,
        Verdict::Skip(_) => writeln!(xml, "    <skipped message=\"{reason}\"/>")?,
        Verdict::Remark(_) | Verdict::Pass => writeln!(xml, "    <system-out>{text}</system-out>")?,
    }
    writeln!(xml, "  </testcase>")
}

/// Text as XML takes it; control characters, which it does not, become spaces.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
