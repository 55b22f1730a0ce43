//! The examples that Qpid Proton comes with, unchanged: as clients of `amqp10 broker`, and those that listen, with our client.

mod cpp;
mod listening;
mod python;

use tokio::sync::{Mutex, MutexGuard};

use super::program::{Program, Running};
use super::soon;

/// The port that some examples have written into them. One test at a time has it.
static DEFAULT_PORT: Mutex<()> = Mutex::const_new(());

/// `amqp10 broker`, which runs until it is dropped.
struct Served {
    _program: Running,
    /// Host and port.
    address: String,
    _default_port: Option<MutexGuard<'static, ()>>,
}

impl Served {
    async fn start() -> Self {
        Self::with(&["--port", "0"]).await
    }

    async fn on_the_default_port() -> Self {
        let default_port = soon("the port 5672", DEFAULT_PORT.lock()).await;
        let mut served = Self::with(&["--port", "5672"]).await;
        served._default_port = Some(default_port);
        served
    }

    async fn with(arguments: &[&str]) -> Self {
        let mut program = Program::amqp10().start(&[&["broker"], arguments].concat());
        let Some(url) = program.line().await else {
            panic!("the broker does not start: {:?}", program.end().await);
        };
        Self {
            address: url.replace("amqp://localhost", "127.0.0.1"),
            _program: program,
            _default_port: None,
        }
    }

    /// The address of a node of it, without a scheme.
    fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

/// Runs an example to its end; the lines that it printed.
async fn run(example: &Program, arguments: &[&str]) -> Vec<String> {
    let printed = example.run(arguments).await;
    let printed = printed.unwrap_or_else(|error| panic!("{example:?} {arguments:?}: {error}"));
    printed.lines().map(str::to_owned).collect()
}

/// The next lines of an example that runs.
async fn next_lines(example: &mut Running, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let line = example.line().await;
        lines.push(line.unwrap_or_else(|| panic!("only {lines:?}")));
    }
    lines
}

const REQUESTS: [&str; 4] = [
    "Twas brillig, and the slithy toves",
    "Did gire and gymble in the wabe.",
    "All mimsy were the borogroves,",
    "And the mome raths outgrabe.",
];

/// What the examples `client` print when `server` answers them.
fn replies() -> Vec<String> {
    let reply = |request: &&str| format!("{request} => {}", request.to_uppercase());
    REQUESTS.iter().map(reply).collect()
}

/// What the examples that receive print of the colours that `colour_send` has sent.
fn of_colour(colour: &str) -> Vec<String> {
    let first = if colour == "green" { 1 } else { 2 };
    (first..=100)
        .step_by(2)
        .map(|number| format!("{colour} {number}"))
        .collect()
}
