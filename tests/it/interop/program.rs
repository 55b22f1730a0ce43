//! The clients in other languages, as child processes.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{json, peers, soon};

/// Path of a file of `tests/interop`.
pub fn path_of(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "interop", name]
        .iter()
        .collect()
}

/// A client program and what runs it.
#[derive(Clone, Debug)]
pub struct Program {
    interpreter: String,
    file: &'static str,
    node_path: Option<String>,
}

impl Program {
    /// A program in Python; `None` if the test is to be skipped.
    pub fn python(file: &'static str) -> Option<Self> {
        let interpreter = peers::python()?;
        Some(Self {
            interpreter,
            file,
            node_path: None,
        })
    }

    /// A program for Node; `None` if the test is to be skipped.
    pub fn node(file: &'static str) -> Option<Self> {
        let node_path = Some(peers::node_modules()?);
        Some(Self {
            interpreter: "node".into(),
            file,
            node_path,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .arg(path_of(self.file))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(node_path) = &self.node_path {
            command.env("NODE_PATH", node_path);
        }
        command
    }

    /// Starts it, and waits for the first line that it prints. It is killed when the child is dropped.
    #[cfg(feature = "websocket")]
    pub async fn start(&self, arguments: &[&str]) -> (Child, String) {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(self.file, lines.next_line()).await.unwrap();
        (child, line.expect("a line"))
    }

    /// Runs it to its end: what it printed, or what it complained about.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.command(arguments);
        let output = soon(self.file, command.output()).await.unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    /// Runs it; each line it prints is JSON.
    pub async fn lines(&self, arguments: &[&str]) -> Vec<Json> {
        let printed = self.run(arguments).await;
        json::parse_lines(&printed.unwrap_or_else(|error| panic!("{arguments:?}: {error}")))
    }

    /// Runs it; it prints one line of JSON.
    pub async fn line(&self, arguments: &[&str]) -> Json {
        self.lines(arguments).await.pop().expect("one line")
    }
}
