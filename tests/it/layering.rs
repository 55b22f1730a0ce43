//! Who may know whom: the table of layers, read off the sources. An edge that is not in the table fails.
//!
//! ```text
//! bin ─> the public API                       broker ─────────────┐
//! emulator ─> eventhubs::wire, handles        handles <───────────┘
//! transaction, reconnect ─> handles           conform ─> streams, codec
//! eventhubs ─> cbs, management ─> request ─> handles ─> transport ─> engine ─> codec
//!                                                       transport ─> sasl   ─> codec
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What holds the layers together and knows none of them: errors are typed by the scope that died.
const SHARED: [&str; 2] = ["error", "codec"];

/// The public handles; to each other they are one layer.
const HANDLES: [&str; 9] = [
    "connection",
    "opening",
    "session",
    "link",
    "sender",
    "receiver",
    "delivery",
    "message",
    "listener",
];

/// A layer, what it may import of this crate besides [`SHARED`] and itself, and why where that is not plain from the table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("sasl", &[]),
    ("time", &[]),
    ("percent", &[]),
    ("backoff", &[]),
    ("random", &[]),
    ("lock", &[]),
    ("single_flight", &["lock"]),
    ("url", &["percent"]),
    ("filter", &[]),
    ("error", &["sasl", "url"]), // what failed there is the cause that a connect error carries
    (
        "options",
        &["engine", "sasl", "url", "filter", "transport::tls"],
    ), // limits and credit; credentials; certificates
    ("transport", &["engine", "sasl", "options", "url"]),
    (
        "handles",
        &[
            "engine", // by way of `shared`: its keys, tickets and settings are what the handles hold
            "sasl",   // a peer's identity
            "options",
            "url",
            "transport::shared",
            "transport::driver",
            "transport::handshake",
            "transport::clock",
            "transport::deadline",
            "transport::tcp",    // the listener's socket
            "transport::stream", // the listener's handshake over any stream
        ],
    ),
    ("request", &["handles", "options", "engine::Credit", "lock"]),
    ("transaction", &["handles", "options", "lock"]),
    (
        "reconnect",
        &[
            "handles",
            "options",
            "url",
            "lock",
            "random",
            "backoff",
            "single_flight", // one task connects or attaches for all who wait
        ],
    ),
    ("cbs", &["request", "handles", "options"]),
    ("rabbitmq", &["request", "handles", "options", "percent"]),
    ("management", &["request", "handles", "options"]),
    (
        "eventhubs",
        &[
            "cbs",
            "management",
            "request",
            "handles",
            "options",
            "engine::Credit",
            "engine::Limits",
            "sasl",
            "transport::tls",
            "transport::memory",
            "transport::tcp", // HTTP for the store on Azure Blob Storage goes over the same sockets
            "transport::deadline", // a limit for these
            "transport::stream", // with TLS or without
            "transport::proxy", // or through one
            "url",
            "time",
            "percent",
            "random",
            "backoff",
            "lock",
            "single_flight", // one task connects or attaches for all who wait
        ],
    ),
    (
        // Not the client's code: otherwise both ends would share a bug.
        "emulator",
        &[
            "eventhubs::wire",
            "handles",
            "options",
            "engine::Credit",
            "engine::Limits",
            "sasl",
            "transport::tls",
            "transport::memory",
            "url",
            "time",
            "percent",
            "random",
            "lock",
        ],
    ),
    (
        "broker",
        &[
            "handles",
            "options",
            "engine::Credit",
            "engine::Limits",
            "sasl",
            "transport::tls",
            "transport::memory",
            "url",
            "transaction", // the resource's end of control links
            "filter",      // the descriptors of what it filters by
            "lock",
        ],
    ),
    (
        // Not the engine and not the handles: a judge that shares no code with the judged, besides the codec.
        "conform",
        &["transport::stream", "transport::tls", "transport::memory"],
    ),
    ("fuzzing", &["engine"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text of a file without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines()
        .map(|line| match line.find("//") {
            // An address has two slashes too.
            Some(comment) if !line[..comment].ends_with(':') => &line[..comment],
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The module path of a source file within its crate: `engine/link.rs` is `engine::link`.
fn module(root: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Vec<_> = relative
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// Everything that a path after `crate::` names, groups in braces resolved one by one.
fn named_after(text: &str) -> Vec<String> {
    let end = |text: &str| {
        text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(text.len())
    };
    let head = &text[..end(text)];
    let rest = &text[head.len()..];
    if !rest.starts_with('{') || !(head.is_empty() || head.ends_with("::")) {
        return vec![head.to_owned()];
    }
    let mut depth = 0;
    let mut item = String::new();
    let mut named = Vec::new();
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || depth == 0 {
            named.extend(
                named_after(item.trim())
                    .into_iter()
                    .map(|tail| format!("{head}{tail}")),
            );
            item.clear();
            if depth == 0 {
                break;
            }
        } else if !(c == '{' && depth == 1) {
            item.push(c);
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

/// What a file names of its own crate, as paths from the crate's root.
fn imports(module: &[String], code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let is_word =
            code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_word {
            found.extend(named_after(&code[start + "crate::".len()..]));
        }
    }
    for (start, _) in code.match_indices("super::") {
        if code[..start].ends_with("super::") {
            continue;
        }
        let mut rest = &code[start..];
        let mut levels = 0;
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, levels) = (above, levels + 1);
        }
        let parents = &module[..module.len().saturating_sub(levels)];
        let prefix: String = parents.iter().map(|part| format!("{part}::")).collect();
        found.extend(
            named_after(rest)
                .into_iter()
                .map(|name| format!("{prefix}{name}")),
        );
    }
    found
}

/// Where `lib.rs` takes the items from that it re-exports at the root.
fn re_exports(root: &Path) -> BTreeMap<String, String> {
    let lib = code(&root.join("lib.rs"));
    let mut origins = BTreeMap::new();
    for (start, _) in lib.match_indices("pub use ") {
        for path in named_after(&lib[start + "pub use ".len()..]) {
            if let Some((_, item)) = path.rsplit_once("::") {
                origins.insert(item.to_owned(), path.clone());
            }
        }
    }
    origins
}

fn layer(first: &str) -> &str {
    match HANDLES.contains(&first) {
        true => "handles",
        false => first,
    }
}

/// Whether `from` may import `path`, by the table.
fn is_allowed(from: &str, path: &str) -> bool {
    let target = layer(path.split("::").next().unwrap());
    let path = match target {
        "handles" => "handles",
        _ => path,
    };
    let may = MAY_IMPORT.iter().find(|(layer, _)| *layer == from);
    let (_, may) = may.unwrap_or_else(|| panic!("{from} is no layer of the table"));
    target == from
        || SHARED.contains(&target)
        || may
            .iter()
            .any(|allowed| path == *allowed || path.starts_with(&format!("{allowed}::")))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn no_module_imports_upward() {
    let root = root();
    let origins = re_exports(&root);
    let mut forbidden = Vec::new();
    let mut edges = 0;
    for file in sources(&root) {
        let module = module(&root, &file);
        let Some(first) = module
            .first()
            .filter(|first| !matches!(first.as_str(), "bin" | "main"))
        else {
            continue; // lib.rs names everything; the tool sees the public API alone, which the compiler checks
        };
        for path in imports(&module, &code(&file)) {
            let head = path.split("::").next().unwrap();
            let path = origins.get(head).cloned().unwrap_or(path.clone());
            edges += 1;
            if !is_allowed(layer(first), &path) {
                forbidden.push(format!("{} imports {path}", file.display()));
            }
        }
    }
    assert!(edges > 200, "only {edges} imports were found");
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

/// Fails for each of `words` that the code of `files` contains.
fn forbid(files: &[PathBuf], words: &[&str]) {
    for file in files {
        let code = code(file);
        for word in words {
            let is_whole = |start: usize| {
                let inside = |c: char| c.is_alphanumeric() || c == '_';
                !code[..start].ends_with(inside) && !code[start + word.len()..].starts_with(inside)
            };
            let found = code.match_indices(word).find(|(start, _)| is_whole(*start));
            assert!(found.is_none(), "{} contains `{word}`", file.display());
        }
    }
}

#[test]
fn the_engine_is_plain_data() {
    let io = [
        "tokio",
        "std::net",
        "std::io",
        "Instant::now",
        "SystemTime",
        "async",
        "await",
        "spawn",
        "tracing",
    ];
    let locks = ["Mutex", "RwLock", "RefCell", "Atomic", "OnceLock", "thread"];
    let engine: Vec<_> = sources(&root().join("engine"))
        .into_iter()
        .filter(|file| !file.to_str().unwrap().contains("simulation"))
        .collect();
    assert!(engine.len() > 20);
    forbid(&engine, &io);
    forbid(&engine, &locks);
    forbid(
        &sources(&root().join("sasl")),
        &["tokio", "std::net", "Instant::now", "tracing", "Mutex"],
    );
}

#[test]
fn sockets_and_tasks_are_the_transports() {
    let handles: Vec<_> = HANDLES
        .iter()
        .filter(|handle| **handle != "listener") // it binds, and shakes hands with several peers at once
        .map(|handle| root().join(format!("{handle}.rs")))
        .collect();
    forbid(&handles, &["tokio::net", "spawn", "Instant::now", "sleep"]);
}

#[test]
fn the_codec_stands_alone() {
    let codec = Path::new(env!("CARGO_MANIFEST_DIR")).join("codec/src");
    let files = sources(&codec);
    assert!(files.len() > 20);
    forbid(&files, &["std", "tokio", "amqp10::", "tracing"]);
    let lib = fs::read_to_string(codec.join("lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
}

#[test]
fn nothing_is_unsafe() {
    let root = root();
    forbid(&sources(&root), &["unsafe"]);
    forbid(&sources(&root.join("../codec/src")), &["unsafe"]);
}

#[test]
fn the_reader_of_paths_finds_forbidden_ones() {
    let module = ["engine".to_owned(), "link".to_owned()];
    let code = "use crate::{error::LinkError, transport::{shared, tcp::connect}};\nuse super::super::sender::Sender;\nuse super::key::Key;\nlet x = crate::url::Url;";
    let found = imports(&module, code);
    let expected = [
        "error::LinkError",
        "transport::shared",
        "transport::tcp::connect",
        "url::Url",
        "sender::Sender",
        "engine::key::Key",
    ];
    assert_eq!(found, expected);
    let forbidden: Vec<_> = found
        .iter()
        .filter(|path| !is_allowed("engine", path))
        .collect();
    assert_eq!(forbidden.len(), 4, "{forbidden:?}");
}

/// What `select!` would leave to chance, no seed could repeat.
#[test]
fn every_select_goes_by_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&root) {
        if path.starts_with(root.join("bin")) || path.ends_with("tests.rs") {
            continue; // neither is part of any simulation
        }
        let code = code(&path);
        for rest in code.split("select! {").skip(1) {
            let is_biased = rest.trim_start().starts_with("biased;");
            assert!(
                is_biased,
                "{} has a select that is not biased",
                path.display()
            );
        }
    }
}
