//! Playing cases, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::case::{Case, Stop, Verdict};
use super::dialogue::{Dialogue, Waits};
use super::record::Record;
use super::report::Report;
use super::target::Target;

/// How cases are played.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// The longest wait for an answer of the peer. 5 s unless it is set.
    pub patience: Duration,
    /// How long nothing must come to count as silence. 1 s unless it is set.
    pub silence: Duration,
    /// The longest time of one case. 60 s unless it is set.
    pub case_timeout: Duration,
    /// Only cases whose name or one of whose rows contains this text are played. None unless it is set: all are.
    pub only: Option<String>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            silence: Duration::from_secs(1),
            case_timeout: Duration::from_secs(60),
            only: None,
        }
    }
}

impl RunOptions {
    /// Sets [`patience`](Self::patience).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets [`silence`](Self::silence).
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets [`case_timeout`](Self::case_timeout).
    pub fn case_timeout(mut self, limit: Duration) -> Self {
        self.case_timeout = limit;
        self
    }

    /// Sets [`only`](Self::only).
    pub fn only(mut self, pattern: impl Into<String>) -> Self {
        self.only = Some(pattern.into());
        self
    }

    /// Whether a case is to be played.
    pub fn selects(&self, case: &Case) -> bool {
        let Some(pattern) = &self.only else {
            return true;
        };
        case.name.contains(pattern.as_str()) || case.rows.iter().any(|row| row.contains(pattern))
    }
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Played {
    /// The case.
    pub case: &'static Case,
    /// How it ended.
    pub verdict: Verdict,
    /// What was said.
    pub record: Record,
    /// How long it took.
    pub took: Duration,
}

/// Plays all cases for this side that `options` select, one after the other.
///
/// # Cancel safety
///
/// Dropped before it resolves, the connection of the moment is broken off, and nothing is left behind.
pub async fn run(target: Target, options: &RunOptions) -> Report {
    let mut report = Report::default();
    for case in super::cases().filter(|case| case.side == target.side()) {
        if options.selects(case) {
            report.played.push(play(case, &target, options).await);
        }
    }
    report
}

/// Plays one case. It ends within [`RunOptions::case_timeout`], whatever the peer does.
///
/// # Cancel safety
///
/// As that of [`run`].
pub async fn play(case: &'static Case, target: &Target, options: &RunOptions) -> Played {
    let waits = Waits {
        patience: options.patience,
        silence: options.silence,
        deadline: options.case_timeout,
    };
    let mut dialogue = Dialogue::new(Arc::new(target.clone()), waits);
    let ended = match case.needs.iter().find(|need| target.lacks.contains(need)) {
        Some(need) => Err(Stop::Skip(format!("the peer has no {}", need.name()))),
        None => timeout(options.case_timeout, (case.play)(&mut dialogue))
            .await
            .unwrap_or_else(|_| Err(too_long(options.case_timeout))),
    };
    let took = dialogue.elapsed();
    let (record, remarks) = dialogue.report();
    dialogue.take_leave().await;
    Played {
        case,
        verdict: Verdict::of(case.level, ended, remarks),
        record,
        took,
    }
}

fn too_long(deadline: Duration) -> Stop {
    Stop::Fail(format!("the case is not at its end after {deadline:?}"))
}
