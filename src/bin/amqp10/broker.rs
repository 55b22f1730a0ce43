//! `amqp10 broker`: queues and topics in memory, as a program.

use std::future::ready;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqp10::broker::{Broker, BrokerOptions, read_users};
use amqp10::sasl::{
    AuthenticationFuture, Authenticator, Identity, LoginAttempt, PresentedCredentials,
    SaslMechanism, ScramHash, ScramKeysFuture,
};
use amqp10::{SaslServerOptions, TlsServerConfig};

use crate::failure::{Context, Failure};
use crate::signals::ended_from_outside;

/// Runs a small AMQP 1.0 broker on this machine, in memory, until it is interrupted.
///
/// NAME and queue/NAME are queues, topic/NAME topics; they are created when they are used, unless --nodes lists them. What
/// is rejected goes to the queue dead-letters. The first line of the output is the URL.
///
///   amqp10 broker --port 5672
///   amqp10 broker --users users.txt --tls server.pem server.key --nodes orders,topic/prices
///
/// The file of users has one name:password a line. They log in by SCRAM-SHA-512, -256, -1 or PLAIN.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 5672)]
    port: u16,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Serve TLS, with a certificate chain and its key (PEM files)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Require a certificate of each client, issued by an authority in this PEM file; it may log in by EXTERNAL
    #[arg(long, value_name = "CA", requires = "tls")]
    client_ca: Option<PathBuf>,
    /// Let in only these users, by SCRAM or PLAIN
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The only nodes there are, separated by commas
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    nodes: Option<Vec<String>>,
    /// Refuse durable messages, which are lost with the broker
    #[arg(long)]
    refuse_durable: bool,
    /// The largest message, in octets
    #[arg(long, value_name = "OCTETS")]
    max_message_size: Option<u64>,
    /// Messages that a queue holds
    #[arg(long, value_name = "MESSAGES")]
    max_queue_messages: Option<usize>,
    /// Octets of messages in all queues together
    #[arg(long, value_name = "OCTETS")]
    max_bytes: Option<usize>,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let scheme = match arguments.tls {
        Some(_) => "amqps",
        None => "amqp",
    };
    let broker = Broker::start(arguments.options()?).await?;
    let port = broker.local_addr().map_or(0, |address| address.port());
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{scheme}://localhost:{port}")
        .and_then(|()| stdout.flush())
        .map_err(Failure::output)?;
    ended_from_outside().await;
    broker.shutdown().await;
    Ok(())
}

impl Arguments {
    fn options(&self) -> Result<BrokerOptions, Failure> {
        let mut options = BrokerOptions::default()
            .address(SocketAddr::new(self.bind, self.port))
            .refuse_durable(self.refuse_durable);
        if let Some(nodes) = &self.nodes {
            options = options.nodes(nodes);
        }
        if let Some(octets) = self.max_message_size {
            options = options.max_message_size(octets);
        }
        if let Some(messages) = self.max_queue_messages {
            options = options.max_queue_messages(messages);
        }
        if let Some(octets) = self.max_bytes {
            options = options.max_bytes(octets);
        }
        if let Some(sasl) = self.sasl()? {
            options = options.sasl(sasl);
        }
        if let Some(tls) = self.tls()? {
            options = options.tls(tls);
        }
        Ok(options)
    }

    fn tls(&self) -> Result<Option<TlsServerConfig>, Failure> {
        let Some([certificate, key]) = self.tls.as_deref() else {
            return Ok(None);
        };
        let tls = TlsServerConfig::from_pem(&read(certificate)?, &read(key)?);
        let mut tls = tls.context("cannot serve TLS with that certificate")?;
        if let Some(authority) = &self.client_ca {
            let required = tls.require_client_certificates(&read(authority)?);
            tls = required.context(authority.display())?;
        }
        Ok(Some(tls))
    }

    fn sasl(&self) -> Result<Option<SaslServerOptions>, Failure> {
        let users = match &self.users {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text = text.context(format!("cannot read {}", file.display()))?;
                Some(read_users(&text).context(file.display())?)
            }
            None => None,
        };
        Ok(match self.client_ca {
            Some(_) => Some(with_certificates(users.unwrap_or_default())),
            None => users,
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).context(format!("cannot read {}", file.display()))
}

/// Lets in, besides the users, whoever shows a certificate.
fn with_certificates(users: SaslServerOptions) -> SaslServerOptions {
    let mut sasl = users.clone().authenticator(CertificatesAndUsers {
        users: users.authenticator,
    });
    sasl.mechanisms.insert(0, SaslMechanism::External);
    sasl
}

/// TLS has verified a certificate that comes here; the rest is judged as without.
#[derive(Debug)]
struct CertificatesAndUsers {
    users: Arc<dyn Authenticator>,
}

impl Authenticator for CertificatesAndUsers {
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a> {
        match &attempt.credentials {
            PresentedCredentials::External {
                certificate: Some(_),
                ..
            } => Box::pin(ready(Ok(Identity::anonymous()))),
            _ => self.users.authenticate(attempt),
        }
    }

    fn scram_keys<'a>(&'a self, username: &'a str, hash: ScramHash) -> ScramKeysFuture<'a> {
        self.users.scram_keys(username, hash)
    }
}
