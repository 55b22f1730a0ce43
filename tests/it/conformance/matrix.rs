//! The interoperability matrix in `CONFORMANCE.md`: what the cells of `interop::matrix` have left, and why the others are
//! missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use super::{read, root};

/// Every cell, and what it tries.
const CELLS: [(&str, &str); 17] = [
    ("plain", "plaintext TCP"),
    ("tls", "TLS"),
    ("sasl_anonymous", "SASL ANONYMOUS"),
    ("sasl_plain", "SASL PLAIN"),
    ("sasl_scram", "SASL SCRAM-SHA-256"),
    ("sasl_external", "SASL EXTERNAL, by a client certificate"),
    ("ten_thousand_small", "10 000 messages of 100 octets"),
    ("hundred_of_one_mebibyte", "100 messages of 1 MiB"),
    (
        "fifty_mebibytes_at_512",
        "a message of 50 MiB in frames of 512 octets",
    ),
    ("outcomes", "all outcomes"),
    ("presettled", "messages sent settled"),
    ("settled_first", "receivers that settle first"),
    ("settled_second", "receivers that settle second"),
    (
        "every_type",
        "every type, in body, properties and annotations",
    ),
    ("drain", "drain"),
    ("synchronous_get", "synchronous get"),
    ("transactions", "transactions"),
];

const ROLES: [(&str, &str); 2] = [
    ("client", "Our client, connected to"),
    ("listener", "Our listener, to which connects"),
];

/// Where the matrix stands in `CONFORMANCE.md`.
const BEGIN: &str = "<!-- matrix -->\n";
const END: &str = "<!-- /matrix -->\n";

/// A peer, a role and a cell.
type Cell = (String, String, String);

/// Splits the document around the matrix.
fn around(document: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (matrix, after) = rest.split_once(END)?;
    Some((before, matrix, after))
}

/// The matrix as it stands in the document, with its marks: the other parts are written without looking at it.
pub fn kept(document: &str) -> String {
    let matrix = around(document).map_or("", |(_, matrix, _)| matrix);
    format!("{BEGIN}{matrix}{END}")
}

/// What `tests/conformance/matrix.md` says of cells.
fn reasons() -> BTreeMap<Cell, String> {
    let text = read("tests/conformance/matrix.md");
    let rows = text.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let [peer, role, cell, reason] = line.split(" | ").collect::<Vec<_>>()[..] else {
            return None;
        };
        (peer != "peer").then(|| ((peer.into(), role.into(), cell.into()), reason.into()))
    });
    rows.collect()
}

/// The cells that have passed: each left a line of JSON in a file of its own.
fn passed(folder: &Path) -> BTreeSet<Cell> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let cell = |text: &str| {
        let line: Json = serde_json::from_str(text).unwrap();
        let field = |name: &str| line[name].as_str().unwrap().to_owned();
        (field("peer"), field("role"), field("cell"))
    };
    entries
        .map(|entry| cell(&fs::read_to_string(entry.unwrap().path()).unwrap()))
        .collect()
}

/// Numbers for reasons: equal ones have one number.
#[derive(Default)]
struct Notes<'a>(Vec<&'a str>);

impl<'a> Notes<'a> {
    /// The number of a reason, in small raised digits.
    fn mark(&mut self, reason: &'a str) -> String {
        let known = self.0.iter().position(|known| *known == reason);
        let number = known.unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        });
        const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        let digits = (number + 1).to_string();
        let raised = digits.bytes().map(|digit| DIGITS[(digit - b'0') as usize]);
        raised.collect()
    }
}

fn matrix(passed: &BTreeSet<Cell>, reasons: &BTreeMap<Cell, String>) -> String {
    let mut text = String::from(
        "\n## Interoperability\n\n✓: a test of `tests/it/interop/matrix` has passed, with no loss, no duplicate, equal values, and every connection closed \
         without an error. –: the peer cannot do it. Qpid Broker-J and qpid-jms are not among the peers: no registry of Java packages could be reached.\n",
    );
    let mut notes = Notes::default();
    for (role, title) in ROLES {
        let of_role = passed.iter().chain(reasons.keys());
        let of_role = of_role.filter(|(_, other, _)| other == role);
        let peers: BTreeSet<&str> = of_role.map(|(peer, _, _)| peer.as_str()).collect();
        let names = Vec::from_iter(peers.iter().copied()).join(" | ");
        let lines = "---|".repeat(peers.len());
        write!(text, "\n| {title} | {names} |\n|---|{lines}\n").unwrap();
        for (cell, what) in CELLS {
            let marks = peers.iter().map(|peer| {
                let cell = ((*peer).to_owned(), role.to_owned(), cell.to_owned());
                let has_passed = passed.contains(&cell);
                let reason = reasons.get(&cell);
                assert!(
                    has_passed || reason.is_some(),
                    "{cell:?}: neither passed nor a reason"
                );
                let note = reason.map(|reason| notes.mark(reason)).unwrap_or_default();
                format!("{}{note}", if has_passed { "✓" } else { "–" })
            });
            let marks = Vec::from_iter(marks).join(" | ");
            writeln!(text, "| {what} | {marks} |").unwrap();
        }
    }
    text.push('\n');
    for (at, reason) in notes.0.iter().enumerate() {
        writeln!(text, "{}. {reason}", at + 1).unwrap();
    }
    text
}

/// After a run of the cells with the same `AMQP10_MATRIX`: whether all have passed that the document names, and no others.
/// `AMQP10_UPDATE=1` writes them into the document instead.
#[test]
#[ignore = "reads what a run of the matrix has left in AMQP10_MATRIX"]
fn the_interoperability_matrix_is_what_has_passed() {
    let folder = std::env::var_os("AMQP10_MATRIX").expect("AMQP10_MATRIX");
    let passed = passed(Path::new(&folder));
    let (path, document) = (root().join("CONFORMANCE.md"), read("CONFORMANCE.md"));
    let (before, committed, after) = around(&document).expect("the marks of the matrix");
    if std::env::var_os("AMQP10_UPDATE").is_some() {
        let matrix = matrix(&passed, &reasons());
        fs::write(path, [before, BEGIN, &matrix, END, after].concat()).unwrap();
        return;
    }
    let found = matrix(&passed, &reasons());
    assert!(
        found == committed,
        "the matrix is another than CONFORMANCE.md says; AMQP10_UPDATE=1 writes it anew"
    );
}

/// A reason belongs to a cell that there is.
#[test]
fn reasons_name_cells() {
    for (peer, role, cell) in reasons().into_keys() {
        assert!(ROLES.iter().any(|(known, _)| *known == role), "{role}");
        assert!(
            CELLS.iter().any(|(known, _)| *known == cell),
            "{peer}: {cell}"
        );
    }
}
