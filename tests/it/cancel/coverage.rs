//! No public future is left out: the functions that give one are read off the sources, and a test here must drop each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the tests of one file drop.
pub(super) struct Covered {
    pub(super) file: &'static str,
    /// A function that gives a future, as `Type::function`, and the test that drops that after each of its polls.
    pub(super) futures: &'static [(&'static str, fn())],
}

const COVERED: &[&Covered] = &[
    &super::control_links::COVERED,
    &super::handshakes::COVERED,
    &super::links::COVERED,
    &super::receiving::COVERED,
    &super::reconnecting::COVERED,
    &super::requests::COVERED,
    &super::sending::COVERED,
    &super::servers::COVERED,
    #[cfg(feature = "broker")]
    &super::transactions::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::client::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::producer::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::buffered::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::idempotent::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::consumer::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::processor::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::stores::COVERED,
    #[cfg(feature = "emulator")]
    &super::event_hubs::tokens::COVERED,
];

/// What no test drops, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("AllowEveryone::authenticate", DOES_NOT_WAIT),
    ("StaticUsers::authenticate", DOES_NOT_WAIT),
    ("SaltedUsers::authenticate", DOES_NOT_WAIT),
    ("SaltedUsers::scram_keys", DOES_NOT_WAIT),
];

const DOES_NOT_WAIT: &str = "it is `std::future::ready`, and a handshake alone can ask for it";

/// Whether all tests are compiled, so that none may be missing.
const HAS_ALL_FEATURES: bool = cfg!(all(
    feature = "blob",
    feature = "broker",
    feature = "emulator",
    feature = "entra",
));

/// Not the library: the tool, the judge of other implementations, and what the fuzzer calls.
const NOT_THE_LIBRARY: [&str; 3] = ["bin", "conform", "fuzzing"];

#[test]
fn every_public_future_is_dropped_after_each_of_its_polls() {
    let futures = public_futures();
    assert!(futures.len() > 150, "only {} were found", futures.len());
    let dropped = COVERED.iter().flat_map(|covered| covered.futures);
    let dropped = dropped.map(|(future, _)| future.to_string());
    let excepted = EXCEPTIONS.map(|(future, _)| future.to_string());
    let covered: BTreeSet<_> = dropped.chain(excepted).collect();
    let gone: Vec<_> = covered.difference(&futures).collect();
    assert!(gone.is_empty(), "there is no public future {gone:?}");
    let missing: Vec<_> = futures.difference(&covered).collect();
    assert!(
        missing.is_empty() || !HAS_ALL_FEATURES,
        "no test drops {missing:#?}"
    );
}

#[test]
fn each_file_calls_what_it_says_it_drops() {
    for Covered { file, futures } in COVERED {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for (future, _) in *futures {
            let (_, function) = future.rsplit_once("::").unwrap();
            let is_polled = function.starts_with("poll"); // by the runtime, or a loop
            let is_called = text.contains(&format!("{function}("));
            assert!(is_polled || is_called, "{file} does not call {future}");
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of the library by their paths, without tests and comments.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name == "tests" || NOT_THE_LIBRARY.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("mod tests {").next().unwrap().lines();
                let code = code.filter(|line| !line.trim_start().starts_with("//"));
                found.insert(path.clone(), code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    found
}

/// All public functions that give a future or a stream, `async` ones and others, and the public types that are one.
fn public_futures() -> BTreeSet<String> {
    let sources = sources();
    let public_types: BTreeSet<_> = sources
        .values()
        .flat_map(|code| code.lines())
        .filter_map(|line| {
            let declared = line.strip_prefix("pub struct ");
            declared.or(line.strip_prefix("pub enum "))
        })
        .map(|declared| first_word(declared).to_owned())
        .collect();
    let mut futures = BTreeSet::new();
    for (path, code) in &sources {
        futures.extend(futures_in(code, &module(path), &public_types));
    }
    futures
}

/// The last part of a file's module path.
fn module(path: &Path) -> String {
    let stem = path.file_stem().unwrap();
    let name = match stem == "mod" {
        true => path.parent().unwrap().file_name().unwrap(),
        false => stem,
    };
    name.to_str().unwrap().to_owned()
}

/// Whose functions are being read.
enum Owner {
    Module,
    Type(String),
    Implementation {
        of: String,
        by: String,
    },
    /// A trait says what others implement.
    Trait,
}

fn futures_in(code: &str, module: &str, public_types: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut owner = Owner::Module;
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let rest = || {
            lines
                .clone()
                .fold(line.to_owned(), |text, line| text + " " + line)
        };
        if line.starts_with("impl") {
            owner = implementation(&rest());
        } else if line.starts_with("pub trait ") || line.starts_with("trait ") {
            owner = Owner::Trait;
        }
        if line == "}" || (!line.starts_with(' ') && line.ends_with("{}")) {
            owner = Owner::Module;
        }
        let line = line.trim_start();
        let public = line.strip_prefix("pub async fn ");
        let returning = || {
            line.strip_prefix("pub fn ")
                .filter(|_| gives_a_future(&rest()))
        };
        let name = match &owner {
            Owner::Trait => continue,
            Owner::Module => public.or_else(returning).map(|function| (module, function)),
            Owner::Type(of) => public
                .or_else(returning)
                .map(|function| (of.as_str(), function)),
            Owner::Implementation { of, by } if public_types.contains(by) => {
                let is_poll = |function: &&str| {
                    matches!(
                        (of.as_str(), first_word(function)),
                        ("Future", "poll") | ("Stream", "poll_next")
                    )
                };
                let function = line.strip_prefix("fn ");
                let function = function.filter(|name| is_poll(name) || gives_a_future(&rest()));
                function.map(|function| (by.as_str(), function))
            }
            Owner::Implementation { .. } => continue,
        };
        found.extend(name.map(|(owner, function)| format!("{owner}::{}", first_word(function))));
    }
    found
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Who an `impl` block is of, and of which trait.
fn implementation(text: &str) -> Owner {
    let header = text["impl".len()..].split('{').next().unwrap();
    let header = after_generics(header).trim();
    let last = |path: &str| first_word(path.trim().rsplit("::").next().unwrap()).to_owned();
    match header.split_once(" for ") {
        Some((of, by)) => Owner::Implementation {
            of: last(of),
            by: last(by),
        },
        None => Owner::Type(last(header)),
    }
}

/// What follows the parameters in angle brackets, if there are some.
fn after_generics(text: &str) -> &str {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if c == '>' { &text[at + 1..] } else { text };
        }
        before = c;
    }
    text
}

/// Whether the function at the beginning of `text` returns a future, by that name or another that ends with it.
fn gives_a_future(text: &str) -> bool {
    let (_, function) = text.split_once("fn ").unwrap();
    let text = after_generics(&function[first_word(function).len()..]);
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    let returned = &text[end.unwrap() + 1..];
    let returned = returned.split(['{', ';']).next().unwrap();
    let returned = returned.split(" where ").next().unwrap();
    returned.contains("Future<") || returned.contains("impl Stream")
}

#[test]
fn futures_are_found_in_any_form() {
    let code = "
pub async fn free() {}
impl<T: Into<Vec<u8>>> Handle<T> {
    pub async fn closed(&self) {}
    pub(crate) async fn hidden(&self) {}
    pub fn open<F: Fn(&str) -> u32>(&self, f: impl Fn() -> u32)
        -> impl Future<Output = ()> {}
    pub fn making<R>(f: fn() -> R) -> Self where R: Future<Output = ()> {}
}
impl Store for super::Handle<u8> {
    fn list<'a>(&'a self) -> StoreFuture<'a, ()> {}
    fn name(&self) -> &str {}
}
impl Future for Handle<u8> {
    fn poll(self: Pin<&mut Self>) -> Poll<()> {}
}
impl Store for Hidden {
    fn list(&self) -> StoreFuture<'_, ()> {}
}
pub trait Store {
    fn list(&self) -> StoreFuture<'_, ()>;
}";
    let public = BTreeSet::from(["Handle".to_owned()]);
    let expected = [
        "module::free",
        "Handle::closed",
        "Handle::open",
        "Handle::list",
        "Handle::poll",
    ];
    assert_eq!(futures_in(code, "module", &public), expected);
}
