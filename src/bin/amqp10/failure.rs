//! How a command fails: one sentence on stderr, and an exit status.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

/// Why a command ends with another status than 0.
#[derive(Debug)]
pub struct Failure {
    message: String,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// Says what was tried, in front of what went wrong.
    pub fn context(self, tried: impl Display) -> Self {
        Self::new(format!("{tried}: {}", self.message))
    }

    /// Says it on stderr.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::FAILURE
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
