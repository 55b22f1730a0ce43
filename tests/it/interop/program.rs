//! The clients in other languages, as child processes.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::Command;
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::{json, peers, soon};

/// Path of a file of `tests/interop`.
pub fn path_of(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "interop", name]
        .iter()
        .collect()
}

/// A client program: what is executed, and with which file.
#[derive(Clone, Debug)]
pub struct Program {
    executable: String,
    file: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    /// A program in Python; `None` if the test is to be skipped.
    pub fn python(file: &'static str) -> Option<Self> {
        Some(Self {
            executable: peers::python()?,
            file: Some(path_of(file)),
            environment: Vec::new(),
        })
    }

    /// A program for Node; `None` if the test is to be skipped.
    pub fn node(file: &'static str) -> Option<Self> {
        Some(Self {
            environment: vec![("NODE_PATH", peers::node_modules()?)],
            executable: "node".into(),
            file: Some(path_of(file)),
        })
    }

    /// A program that needs no interpreter.
    fn executable(path: impl Into<String>) -> Self {
        Self {
            executable: path.into(),
            file: None,
            environment: Vec::new(),
        }
    }

    /// The program on Microsoft's Rust client; `None` if the test is to be skipped.
    #[cfg(feature = "emulator")]
    pub fn microsoft_rust() -> Option<Self> {
        peers::microsoft_rust().map(Self::executable)
    }

    /// The program on fe2o3-amqp; `None` if the test is to be skipped.
    pub fn fe2o3() -> Option<Self> {
        peers::fe2o3().map(Self::executable)
    }

    /// The program on ramqp; `None` if the test is to be skipped.
    pub fn ramqp() -> Option<Self> {
        peers::ramqp().map(Self::executable)
    }

    /// An example of Qpid Proton C++, as it comes; `None` if the test is to be skipped.
    #[cfg(feature = "cli")]
    pub fn proton_cpp_example(name: &str) -> Option<Self> {
        let folder = peers::proton_cpp_examples()?;
        Some(Self::executable(format!("{folder}/{name}")))
    }

    /// An example of Qpid Proton for Python, as it comes; `None` if the test is to be skipped.
    #[cfg(feature = "cli")]
    pub fn proton_python_example(name: &str) -> Option<Self> {
        let folder = PathBuf::from(peers::proton_python_examples()?);
        Some(Self {
            executable: peers::python()?,
            file: Some(folder.join(name).with_extension("py")),
            // What it prints is read while it runs.
            environment: vec![("PYTHONUNBUFFERED", "1".into())],
        })
    }

    /// Our own command-line tool.
    #[cfg(feature = "cli")]
    pub fn amqp10() -> Self {
        Self::executable(env!("CARGO_BIN_EXE_amqp10"))
    }

    /// The same with one more variable in its environment.
    #[cfg(all(feature = "emulator-tls", feature = "websocket"))]
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args(&self.file)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end: what it printed, or what it complained about.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.command(arguments);
        let output = command.stdin(Stdio::null()).output();
        let output = soon(&format!("{arguments:?}"), output).await.unwrap();
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

    /// Starts it, to be read and written while it runs. Dropped, it is killed.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Running {
            stdin: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// The next line; `None` at the end of what it prints.
    pub async fn line(&mut self) -> Option<String> {
        soon("the next line", self.lines.next_line()).await.unwrap()
    }

    /// The next line of JSON; `None` at the end of what it prints.
    pub async fn next(&mut self) -> Option<Json> {
        let line = self.line().await?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    /// Writes a line to its stdin.
    pub async fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let line = format!("{line}\n");
        stdin.write_all(line.as_bytes()).await.unwrap();
    }

    /// Kills it. What it had printed can still be read.
    pub fn kill(&mut self) {
        self.child.start_kill().unwrap();
    }

    /// Closes its stdin and waits for its end: the lines that were left, or what it complained about.
    pub async fn end(mut self) -> Result<Vec<Json>, String> {
        drop(self.stdin.take());
        let mut left = Vec::new();
        while let Some(line) = self.next().await {
            left.push(line);
        }
        let output = soon("the end of the program", self.child.wait_with_output());
        let output = output.await.unwrap();
        match output.status.success() {
            true => Ok(left),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
