//! How a connection is made: with or without TLS, and as whom.

use amqp10::{ConnectionOptions, Credentials, TlsConfig, TlsServerConfig};

use crate::interop::peers;

/// The user whom every peer knows, also by the name in the client certificate.
pub const USER: &str = "tim";
pub const PASSWORD: &str = "secret";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// No SASL layer.
    None,
    Anonymous,
    Plain,
    Scram,
    External,
}

impl Login {
    /// The mechanism's name, for the command line of a peer.
    pub fn mechanism(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Anonymous => "ANONYMOUS",
            Self::Plain => "PLAIN",
            Self::Scram => "SCRAM-SHA-256",
            Self::External => "EXTERNAL",
        }
    }

    fn credentials(self) -> Credentials {
        match self {
            Self::None => Credentials::None,
            Self::Anonymous => Credentials::Anonymous,
            Self::Plain => Credentials::plain(USER, PASSWORD),
            Self::Scram => Credentials::scram(USER, PASSWORD),
            Self::External => Credentials::External,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub tls: bool,
    pub login: Login,
    /// The largest frame that we take, and the peer too if it lets us say so. Else both have their defaults.
    pub max_frame_size: Option<u32>,
}

impl Access {
    pub const fn plaintext(login: Login) -> Self {
        Self {
            tls: false,
            login,
            max_frame_size: None,
        }
    }

    pub const fn tls(login: Login) -> Self {
        Self {
            tls: true,
            ..Self::plaintext(login)
        }
    }

    pub const fn max_frame_size(self, octets: u32) -> Self {
        Self {
            max_frame_size: Some(octets),
            ..self
        }
    }

    pub fn scheme(self) -> &'static str {
        if self.tls { "amqps" } else { "amqp" }
    }

    /// What either role says of itself.
    pub fn connection_options(self) -> ConnectionOptions {
        let options = ConnectionOptions::default().allow_plain_without_tls(true);
        match self.max_frame_size {
            Some(octets) => options.max_frame_size(octets),
            None => options,
        }
    }

    /// What our client connects with.
    pub fn client_options(self) -> ConnectionOptions {
        let options = self
            .connection_options()
            .credentials(self.login.credentials());
        if !self.tls {
            return options;
        }
        let mut tls = TlsConfig::with_root_certificates(&file("authority.pem")).unwrap();
        if self.login == Login::External {
            tls = tls
                .client_certificate(&file("tim.pem"), &file("tim.key"))
                .unwrap();
        }
        options.tls(tls)
    }
}

/// What our listener shows to clients.
pub fn server_tls(login: Login) -> TlsServerConfig {
    let config = TlsServerConfig::from_pem(&file("localhost.pem"), &file("localhost.key")).unwrap();
    match login {
        Login::External => config
            .require_client_certificates(&file("authority.pem"))
            .unwrap(),
        _ => config,
    }
}

/// Path of a file that `.ci/peers/certificates` made.
pub fn path(name: &str) -> String {
    let folder = peers::certificates().expect("the cell has asked whether there are certificates");
    format!("{folder}/{name}")
}

fn file(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
