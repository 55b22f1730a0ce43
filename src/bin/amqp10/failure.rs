//! How a command fails: one sentence on stderr, and an exit status.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Why a command ends before it is done.
#[derive(Debug)]
pub enum Failure {
    /// With this to say.
    Said(String),
    /// Whoever read our output has seen enough. That is nobody's fault.
    OutputClosed,
    /// By a signal.
    Interrupted,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self::Said(message.into())
    }

    /// Writing to stdout failed.
    pub fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Said(format!("cannot write the output: {error}")),
        }
    }

    /// Says what was tried, in front of what went wrong.
    pub fn context(self, tried: impl Display) -> Self {
        match self {
            Self::Said(message) => Self::Said(format!("{tried}: {message}")),
            other => other,
        }
    }

    /// Says it on stderr, and in the exit status.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Said(message) => {
                // If stderr is closed, the status has to do.
                let _ = writeln!(io::stderr(), "error: {message}");
                ExitCode::FAILURE
            }
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Adds what was tried to whatever a step of a command fails with.
pub trait Context<T> {
    fn context(self, tried: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, tried: impl Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().context(tried))
    }
}

/// Waits for the peer, but not for ever.
pub async fn within<T, E: Into<Failure>>(
    limit: Duration,
    awaited: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Failure::new(format!(
            "{awaited} did not come within {} s (see --timeout)",
            limit.as_secs_f64()
        ))),
    }
}
