//! Every row of the catalogue has a test that carries its id, or a written reason why not. `CONFORMANCE.md` is what this finds.
//!
//! A test covers the rows in its name: `l_013_l_014_…` two, `t_001_to_t_022_…` a range. So does a case of `amqp10 conform`, each
//! of which `tests/it/conform.rs` plays against this crate. `AMQP10_UPDATE=1` writes the file anew.

mod matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 4] = ["src", "codec/src", "codec/tests", "tests/it"];

/// One row of `tests/conformance/requirements.md`.
struct Row {
    id: String,
    section: String,
    level: String,
    rule: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The cells of a table's row, if the first of them is the id of a rule.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
    is_id(cells[0]).then_some(cells)
}

fn is_id(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|letter| letter.is_ascii_uppercase())
        && characters.next() == Some('-')
        && text.len() == 5
        && characters.all(|digit| digit.is_ascii_digit())
}

fn catalogue() -> Vec<Row> {
    let text = read("tests/conformance/requirements.md");
    let rows = text.lines().filter_map(cells).map(|cells| Row {
        id: cells[0].to_owned(),
        section: cells[1].to_owned(),
        level: cells[2].to_owned(),
        rule: cells[4].to_owned(),
    });
    rows.collect()
}

/// Why a row has no test, by id: a table with two columns.
fn exceptions() -> BTreeMap<String, String> {
    let text = read("tests/conformance/exceptions.md");
    let mut found = BTreeMap::new();
    for cells in text.lines().filter_map(cells) {
        let known = found.insert(cells[0].to_owned(), cells[1].to_owned());
        assert!(known.is_none(), "{} is excepted twice", cells[0]);
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rows that a function's name begins with.
fn rows_in(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let id = |at: usize| -> Option<(char, u32)> {
        let (letter, number) = (words.get(at)?, words.get(at + 1)?);
        let letter = letter.chars().next().filter(|_| letter.len() == 1)?;
        let number = number.parse().ok().filter(|_| number.len() == 3)?;
        Some((letter.to_ascii_uppercase(), number))
    };
    let mut rows = Vec::new();
    let mut at = 0;
    while let Some((letter, first)) = id(at) {
        at += 2;
        let mut last = first;
        if words.get(at) == Some(&"to")
            && let Some((_, end)) = id(at + 1)
        {
            (last, at) = (end, at + 3);
        }
        rows.extend((first..=last).map(|number| format!("{letter}-{number:03}")));
    }
    rows
}

/// The tests of each row.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        sources(&root().join(folder), &mut paths);
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let names = text.lines().filter_map(|line| {
            line.trim_start()
                .trim_start_matches("async ")
                .strip_prefix("fn ")
        });
        for name in names.filter_map(|line| line.split('(').next()) {
            for row in rows_in(name) {
                found.entry(row).or_default().insert(name.to_owned());
            }
        }
    }
    #[cfg(feature = "conform")]
    for case in amqp10::conform::cases() {
        for row in case.rows {
            let tests = found.entry((*row).to_owned()).or_default();
            tests.insert(case.name.to_owned());
        }
    }
    found
}

/// What the last run of `.ci/stages/conform` counted, as a table.
fn verdicts() -> String {
    let counted = read("tests/conformance/verdicts.tsv");
    let mut table = String::new();
    for (number, line) in counted.lines().enumerate() {
        writeln!(table, "| {} |", line.replace('\t', " | ")).unwrap();
        if number == 0 {
            let columns = line.split('\t').count();
            writeln!(table, "|{}", "---|".repeat(columns)).unwrap();
        }
    }
    table
}

/// Counts of all that there is, and the document.
struct Account {
    covered: usize,
    excepted: usize,
    open: usize,
    missing: Vec<String>,
    document: String,
}

/// How an exception begins that is none: what is still to be done.
const OPEN: &str = "open:";

fn account() -> Account {
    let (tests, exceptions, catalogue) = (tests(), exceptions(), catalogue());
    let known: BTreeSet<&str> = catalogue.iter().map(|row| row.id.as_str()).collect();
    for id in exceptions.keys().chain(tests.keys()) {
        assert!(
            known.contains(id.as_str()),
            "{id} is no row of the catalogue"
        );
    }
    let mut account = Account {
        covered: 0,
        excepted: 0,
        open: 0,
        missing: Vec::new(),
        document: String::new(),
    };
    let written = fs::read_to_string(root().join("CONFORMANCE.md")).unwrap_or_default();
    let mut table = String::new();
    for row in &catalogue {
        let shown = match (tests.get(&row.id), exceptions.get(&row.id)) {
            (Some(tests), None) => {
                account.covered += 1;
                let tests: Vec<String> = tests.iter().map(|name| format!("`{name}`")).collect();
                tests.join(", ")
            }
            (None, Some(reason)) => {
                match reason.starts_with(OPEN) {
                    true => account.open += 1,
                    false => account.excepted += 1,
                }
                reason.clone()
            }
            (Some(_), Some(_)) => panic!("{} has a test and an exception", row.id),
            (None, None) => {
                account.missing.push(row.id.clone());
                String::new()
            }
        };
        let Row {
            id,
            section,
            level,
            rule,
        } = row;
        writeln!(table, "| {id} | {section} | {level} | {rule} | {shown} |").unwrap();
    }
    account.document = format!(
        "# Conformance to AMQP 1.0\n\nEvery rule of the standard, as `tests/conformance/requirements.md` numbers them, with the \
         tests that carry its id or the reason why there is none. Written by `AMQP10_UPDATE=1 cargo test --all-features --test it \
         conformance`, checked by the same without the variable.\n\n| rows | covered by a test | excepted with a reason | open |\n\
         |---|---|---|---|\n| {} | {} | {} | {} |\n\nThe cases of `amqp10 conform` among these tests, counted by verdict. `fail` is a MUST that \
         is broken, as a case reads it; what a peer does not do is skipped. Written by `AMQP10_UPDATE=1 .ci/run conform`.\n\n{}\n{}\n\
         | row | section | level | rule | tests, or why there is none |\n|---|---|---|---|---|\n{table}",
        catalogue.len(),
        account.covered,
        account.excepted,
        account.open,
        verdicts(),
        matrix::kept(&written),
    );
    account
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let account = account();
    println!(
        "covered {} / excepted {} / open {} / missing {}",
        account.covered,
        account.excepted,
        account.open,
        account.missing.len()
    );
    assert!(
        account.missing.is_empty(),
        "neither test nor exception: {}",
        account.missing.join(" ")
    );
    let path = root().join("CONFORMANCE.md");
    if std::env::var_os("AMQP10_UPDATE").is_some() {
        fs::write(path, account.document).unwrap();
        return;
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == account.document,
        "CONFORMANCE.md is not what the tests say; AMQP10_UPDATE=1 writes it anew"
    );
}

#[test]
fn names_of_tests_are_read() {
    assert_eq!(rows_in("l_013_refusal"), ["L-013"]);
    assert_eq!(rows_in("k_004_k_001_a_null"), ["K-004", "K-001"]);
    assert_eq!(
        rows_in("t_001_to_t_003_widths"),
        ["T-001", "T-002", "T-003"]
    );
    assert!(rows_in("a_dropped_delivery").is_empty());
    assert!(rows_in("c_3_peers").is_empty());
}
