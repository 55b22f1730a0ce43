//! The command-line tool as scripts see it: what it reads, prints and returns.

mod broker;
mod conform;
mod hub;
mod kept;
mod node;
mod odd_hub;
mod rules;
mod usage;

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// The longest that any command of these tests may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How a command ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl fmt::Debug for Ended {
    /// Without the many lines that a command may have printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beginning: String = self.stdout.chars().take(200).collect();
        f.debug_struct("Ended")
            .field("status", &self.status)
            .field("stdout", &beginning)
            .field("stdout_octets", &self.stdout.len())
            .field("stderr", &self.stderr)
            .finish()
    }
}

impl Ended {
    /// The one line of JSON that it printed.
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn assert_success(&self) -> &Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        assert_eq!(self.stderr, "");
        self
    }

    /// One sentence on stderr that holds all of `words`, and nothing that only a programmer reads.
    #[track_caller]
    fn assert_failure(&self, words: &[&str]) -> &Self {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        for noise in ["panicked", "RUST_BACKTRACE", "Some(", "Err("] {
            assert!(!self.stderr.contains(noise), "{self:?}");
        }
        self
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp10"));
    command
        .args(arguments)
        .env_remove("AMQP10_TARGET")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command with this standard input to its end.
async fn run(arguments: &[&str], stdin: &[u8]) -> Ended {
    let mut child = command(arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    tokio::spawn(async move {
        // A command that fails early does not read it.
        let _ = input.write_all(&stdin).await;
    });
    end_of(child).await
}

/// Starts a command that runs until it is ended, and reads the first line that it prints.
async fn started(arguments: &[&str]) -> (Child, String) {
    let mut child = command(arguments).stdin(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    (child, line.trim_end().to_owned())
}

async fn end_of(child: Child) -> Ended {
    let output = tokio::time::timeout(LIMIT, child.wait_with_output());
    let output = output.await.expect("the command takes too long").unwrap();
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn lines(count: usize) -> String {
    (0..count)
        .map(|number| format!("line {number}\n"))
        .collect()
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}
