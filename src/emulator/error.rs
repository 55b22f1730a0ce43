//! Why an emulator did not do what its owner asked for.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::TlsError;

/// Why an emulator did not start, or did not make or delete a hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The options make no sense; the text says which, and what was expected.
    #[error("the emulator's options are wrong: {0}")]
    Options(String),
    /// An address cannot be listened on.
    #[error("the emulator cannot listen on {address}: {error}")]
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// No certificate can be made.
    #[error("the emulator cannot serve TLS: {0}")]
    Tls(TlsError),
    /// There is a hub of this name already.
    #[error("there is a hub '{0}' already")]
    HubExists(String),
    /// There is no hub of this name.
    #[error("there is no hub '{0}'")]
    HubMissing(String),
    /// A file or folder cannot be read or written, or another emulator uses the folder.
    #[error("cannot use {}: {error}", path.display())]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// What the system says, or what is wrong with its contents.
        error: io::Error,
    },
}

impl EmulatorError {
    /// For `map_err`: the path that an operation of the system was about.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> EmulatorError {
        let path = path.to_owned();
        move |error| EmulatorError::Storage { path, error }
    }

    /// What is in a file is not what was written to it.
    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> EmulatorError {
        EmulatorError::Storage {
            path: path.to_owned(),
            error: io::Error::new(io::ErrorKind::InvalidData, what.into()),
        }
    }
}

// By hand, because `#[from]` would make a source of what the text says already.
impl From<TlsError> for EmulatorError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}
