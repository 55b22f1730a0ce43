//! A report as JSON.

use serde_json::{Value, json};

use super::Report;
use crate::conform::case::{Level, Side};
use crate::conform::record::{Direction, Entry};
use crate::conform::run::Played;

impl Report {
    /// One object: `counts`, and `cases` with `name`, `side`, `chapter`, `rows`, `level` (`must`, `should`), `stimulus`,
    /// `expected`, `verdict` (`pass`, `fail`, `remark`, `skip`), `came`, `milliseconds`, and `dialogue`, whose entries have
    /// `at` (milliseconds), `connection`, `direction` (`sent`, `received`), `what` and `octets` (hexadecimal).
    pub fn to_json(&self) -> String {
        let counts = self.counts();
        let report = json!({
            "counts": {
                "pass": counts.pass,
                "fail": counts.fail,
                "remark": counts.remark,
                "skip": counts.skip,
            },
            "cases": self.played.iter().map(case).collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }
}

fn case(played: &Played) -> Value {
    let case = played.case;
    json!({
        "name": case.name,
        "side": match case.side {
            Side::Listener => "listener",
            Side::Client => "client",
        },
        "chapter": case.chapter(),
        "rows": case.rows,
        "level": match case.level {
            Level::Must => "must",
            Level::Should => "should",
        },
        "stimulus": case.stimulus,
        "expected": case.expected,
        "verdict": played.verdict.name(),
        "came": played.verdict.reason(),
        "milliseconds": milliseconds(played.took),
        "dialogue": played.record.entries().iter().map(entry).collect::<Vec<_>>(),
    })
}

fn entry(entry: &Entry) -> Value {
    json!({
        "at": milliseconds(entry.at),
        "connection": entry.connection,
        "direction": match entry.direction {
            Direction::Sent => "sent",
            Direction::Received => "received",
        },
        "what": entry.what,
        "octets": entry.hex(),
    })
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
