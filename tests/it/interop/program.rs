//! The clients in other languages, as child processes.

use std::fs::{self, File};
use std::io::{Read, Seek};
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
    /// How lines on stderr end that are no complaints.
    harmless: &'static [&'static str],
}

impl Program {
    /// A program in Python; `None` if the test is to be skipped.
    pub fn python(file: &'static str) -> Option<Self> {
        Some(Self {
            executable: peers::python()?,
            file: Some(path_of(file)),
            // Of the protocol's errors Proton says nothing by itself.
            environment: vec![("PN_LOG", "warning+".into())],
            harmless: &[],
        })
    }

    /// A program for Node; `None` if the test is to be skipped.
    pub fn node(file: &'static str) -> Option<Self> {
        Some(Self {
            environment: vec![("NODE_PATH", peers::node_modules()?)],
            executable: "node".into(),
            file: Some(path_of(file)),
            harmless: &[],
        })
    }

    /// A program that needs no interpreter.
    pub fn executable(path: impl Into<String>) -> Self {
        Self {
            executable: path.into(),
            file: None,
            environment: Vec::new(),
            harmless: &[],
        }
    }

    /// The program on Microsoft's Rust client; `None` if the test is to be skipped.
    #[cfg(feature = "emulator")]
    pub fn microsoft_rust() -> Option<Self> {
        peers::microsoft_rust().map(Self::executable)
    }

    /// The program on fe2o3-amqp; `None` if the test is to be skipped.
    pub fn fe2o3() -> Option<Self> {
        Some(Self {
            // What it calls an error is a close, or an end, without one.
            harmless: &["RemoteClosed", "RemoteEnded"],
            ..Self::executable(peers::fe2o3()?)
        })
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
            harmless: &[],
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
        let complaints = Complaints::of(self);
        let mut command = self.command(arguments);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints.stderr());
        let output = command.spawn().unwrap().wait_with_output();
        let output = soon(&format!("{arguments:?}"), output).await.unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(complaints.text()),
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
        let complaints = Complaints::of(self);
        let mut command = self.command(arguments);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.stderr());
        let mut child = command.spawn().unwrap();
        Running {
            stdin: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            complaints,
        }
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// Read after the program has gone: they are the last to be dropped.
    complaints: Complaints,
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
        let status = soon("the end of the program", self.child.wait());
        match status.await.unwrap().success() {
            true => Ok(left),
            false => Err(self.complaints.text()),
        }
    }
}

/// What a program writes to stderr: warnings and errors, since none is told to say more. They are logged once it has gone.
struct Complaints {
    /// Without a name, and no pipe: a program never waits until somebody reads.
    file: File,
    harmless: &'static [&'static str],
}

impl Complaints {
    fn of(program: &Program) -> Self {
        let path = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        let mut options = File::options();
        options.read(true).append(true).create_new(true);
        let file = options.open(&path).unwrap();
        fs::remove_file(path).unwrap();
        let harmless = program.harmless;
        Self { file, harmless }
    }

    fn stderr(&self) -> Stdio {
        self.file.try_clone().unwrap().into()
    }

    fn text(&self) -> String {
        let mut octets = Vec::new();
        let mut file = &self.file;
        file.rewind().unwrap();
        file.read_to_end(&mut octets).unwrap();
        String::from_utf8_lossy(&octets).into_owned()
    }
}

impl Drop for Complaints {
    fn drop(&mut self) {
        let is_harmless = |line: &str| self.harmless.iter().any(|end| line.ends_with(end));
        for line in self.text().lines().filter(|line| !is_harmless(line)) {
            tracing::warn!("{line}");
        }
    }
}
