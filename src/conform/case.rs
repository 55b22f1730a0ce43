//! What a case is: a rule, a dialogue that tries it, and how it can end.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;

use super::dialogue::Dialogue;

/// One rule of the standard, and the dialogue that tries whether a peer keeps to it.
#[derive(Clone, Copy)]
pub struct Case {
    /// A sentence about the peer that is tested, in snake case, behind the ids of the rows: `v_006_…`.
    pub name: &'static str,
    /// Rows of the catalogue (`tests/conformance/requirements.md` in the repository) that it tries.
    pub rows: &'static [&'static str],
    /// Who is tested.
    pub side: Side,
    /// Whether breaking the rule is a failure or a remark.
    pub level: Level,
    /// What the peer must do or have for the case to make sense. Without it the case is skipped.
    pub needs: &'static [Need],
    /// What this program says or does.
    pub stimulus: &'static str,
    /// What a peer that keeps to the rule answers.
    pub expected: &'static str,
    /// The dialogue.
    pub play: Play,
}

/// A dialogue: `?` after each verb, so that the first thing that is wrong ends it.
pub type Play =
    for<'a> fn(&'a mut Dialogue) -> Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>>;

/// Who is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Whoever accepts connections: a broker, a service.
    Listener,
    /// Whoever opens them.
    Client,
}

/// How much the standard insists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// MUST, or a definition that interoperability depends on.
    Must,
    /// SHOULD, or a row of which the standard can be read in another way: what breaks it is remarked.
    Should,
}

/// What a case needs of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// A node that takes messages and hands them out again.
    Queue,
    /// A SASL layer.
    Sasl,
    /// A coordinator of transactions.
    Transactions,
    /// A client that attaches a link to send over, and sends when it has credit.
    Sender,
    /// A client that attaches a link to receive over, grants credit and settles what comes.
    Receiver,
    /// A client that drains its receiver now and then.
    Drain,
    /// A client that closes its links, session and connection when it has done its work.
    Close,
}

impl Need {
    /// All of them.
    pub const ALL: [Need; 7] = [
        Need::Queue,
        Need::Sasl,
        Need::Transactions,
        Need::Sender,
        Need::Receiver,
        Need::Drain,
        Need::Close,
    ];

    /// The word for it on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Need::Queue => "queue",
            Need::Sasl => "sasl",
            Need::Transactions => "transactions",
            Need::Sender => "sender",
            Need::Receiver => "receiver",
            Need::Drain => "drain",
            Need::Close => "close",
        }
    }
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Need::ALL.into_iter().find(|need| need.name() == text);
        named.ok_or_else(|| {
            let all = Need::ALL.map(Need::name).join(", ");
            format!("expected one of {all}")
        })
    }
}

/// Why a dialogue ends before its last verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The rule is broken: what came in place of what was expected.
    Fail(String),
    /// The rule is kept to the letter, but not as one would wish.
    Remark(String),
    /// The case cannot be tried on this peer, and why.
    Skip(String),
}

impl Stop {
    /// [`Stop::Fail`] with this text.
    pub fn fail(text: impl Into<String>) -> Self {
        Stop::Fail(text.into())
    }

    /// [`Stop::Skip`] with this text.
    pub fn skip(text: impl Into<String>) -> Self {
        Stop::Skip(text.into())
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer keeps to the rule.
    Pass,
    /// It breaks a MUST.
    Fail(String),
    /// It breaks a SHOULD, or keeps to the rule in a way that others may stumble over.
    Remark(String),
    /// The case was not tried.
    Skip(String),
}

impl Verdict {
    /// `pass`, `fail`, `remark` or `skip`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "fail",
            Verdict::Remark(_) => "remark",
            Verdict::Skip(_) => "skip",
        }
    }

    /// What came, or why there was nothing to try; `None` for a pass.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Pass => None,
            Verdict::Fail(reason) | Verdict::Remark(reason) | Verdict::Skip(reason) => Some(reason),
        }
    }

    /// What the end of a dialogue means for a rule of this level.
    pub(super) fn of(level: Level, ended: Result<(), Stop>, remarks: Vec<String>) -> Self {
        match ended {
            Err(Stop::Skip(reason)) => Verdict::Skip(reason),
            Err(Stop::Fail(reason)) if level == Level::Must => Verdict::Fail(reason),
            Err(Stop::Fail(reason) | Stop::Remark(reason)) => Verdict::Remark(reason),
            Ok(()) if remarks.is_empty() => Verdict::Pass,
            Ok(()) => Verdict::Remark(remarks.join("; ")),
        }
    }
}

impl Case {
    /// The chapter of its first row, as the catalogue is divided.
    pub fn chapter(&self) -> &'static str {
        let row = self.rows.first().copied().unwrap_or_default();
        match row.as_bytes().first() {
            Some(b'T') => "types",
            Some(b'V') => "headers",
            Some(b'F') => "frames",
            Some(b'C') => "connections",
            Some(b'S') => "sessions",
            Some(b'W') => "session windows",
            Some(b'L') => "links",
            Some(b'K') => "link credit",
            Some(b'D') => "transfers",
            Some(b'P') => "dispositions",
            Some(b'R') => "resuming",
            Some(b'E') => "errors",
            Some(b'M' | b'H' | b'N' | b'Q' | b'B') => "messages",
            Some(b'O') => "outcomes",
            Some(b'A') => "termini",
            Some(b'X') => "transactions",
            Some(b'Y') => "security",
            _ => "extensions",
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("rows", &self.rows)
            .field("side", &self.side)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}
