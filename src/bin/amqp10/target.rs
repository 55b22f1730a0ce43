//! What TARGET means, and how to get there.

use std::path::PathBuf;
use std::time::Duration;

use amqp10::eventhubs::{Client, ClientOptions, ConnectionString, RetryPolicy, Transport};
use amqp10::{Connection, ConnectionOptions, Proxy, Session, SessionOptions, TlsConfig, Url};

use crate::failure::{Context, Failure};

/// Tries after the first one, for an operation on a hub.
const RETRIES: u32 = 3;

/// How TARGET is written, for the end of a command's help.
pub const HELP: &str = "\
TARGET:
  A node of a broker is named by an AMQP URL; what follows the slash after the host is its address:
    amqp://guest:guest@localhost/orders             address `orders`
    amqp://guest:guest@localhost//queues/orders     address `/queues/orders`, as RabbitMQ 4 wants it
    amqps://alice:s%40cret@broker.example.com       TLS; the address is given by --address
    wss://broker.example.com/amqp                   WebSocket, at that path; the address is given by --address
  With a user name, SASL PLAIN is used (without TLS, the password is sent as it is); without one, SASL ANONYMOUS.

  A hub of Azure Event Hubs, or of `amqp10 emulator`, is named by a connection string:
    'Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY;EntityPath=HUB'
  The hub is its EntityPath, or given by --address. Quote it: it holds semicolons.

  Other users of a machine can see the arguments of a command: AMQP10_TARGET keeps TARGET from them.

Exit status: 0 if all went well, 1 on failure, 2 if the arguments are wrong, 130 if it was interrupted.";

/// Where to connect to, and how.
#[derive(clap::Args)]
pub struct Connecting {
    /// AMQP URL or connection string of Event Hubs, see below
    #[arg(env = "AMQP10_TARGET", hide_env_values = true)]
    target: String,
    /// Address of the node, in place of the URL's; for Event Hubs, name of the hub
    #[arg(long)]
    address: Option<String>,
    /// Longest time to connect, and longest wait for an answer of the peer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Certificates to trust for TLS (PEM), in place of the built-in roots
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// HTTP proxy to go through, as http://user:password@host:port
    #[arg(long, value_name = "URL", env = "AMQP10_PROXY", hide_env_values = true)]
    proxy: Option<String>,
    /// For Event Hubs: WebSocket on port 443 in place of AMQP on 5671
    #[arg(long)]
    websocket: bool,
}

/// What TARGET turned out to be.
pub enum Target {
    /// A node that plain AMQP reaches.
    Node { url: String, address: String },
    /// A hub of Event Hubs.
    Hub(ConnectionString),
}

impl Connecting {
    pub fn target(&self) -> Result<Target, Failure> {
        if is_connection_string(&self.target) {
            let hub: ConnectionString = self.target.parse()?;
            if hub.entity_path().is_none() && self.address.is_none() {
                return Err(Failure::new(
                    "the connection string names no hub: add EntityPath=HUB to it, or --address HUB",
                ));
            }
            return Ok(Target::Hub(hub));
        }
        if !self.target.contains("://") {
            return Err(Failure::new(
                "TARGET is neither an AMQP URL (amqp://…, amqps://…, ws://…, wss://…) nor a connection string (Endpoint=sb://…;…)",
            ));
        }
        let url = Url::parse(&self.target)?;
        let address = self.address.as_deref().or(url.address());
        let address = address.ok_or_else(|| match url.scheme().is_websocket() {
            true => Failure::new("no address: add --address"),
            false => Failure::new(format!(
                "no address: write it behind {url}, as in {url}/orders, or add --address"
            )),
        })?;
        Ok(Target::Node {
            address: address.to_owned(),
            url: self.target.clone(),
        })
    }

    pub async fn open_session(&self, url: &str) -> Result<(Connection, Session), Failure> {
        // Whoever writes a password into an `amqp` URL has chosen how it is sent.
        let options = ConnectionOptions::default().allow_plain_without_tls(true);
        let connection = Connection::open(url, self.apply_to(options)?).await?;
        let session = connection.begin(SessionOptions::default()).await?;
        Ok((connection, session))
    }

    pub async fn open_client(&self, target: ConnectionString) -> Result<Client, Failure> {
        let retry = RetryPolicy::default()
            .max_retries(RETRIES)
            .try_timeout(self.timeout);
        let mut options = ClientOptions::default().retry(retry);
        options.connection = self.apply_to(options.connection)?;
        options.hub = self.address.clone();
        if self.websocket {
            options.transport = Transport::WebSocket;
        }
        Ok(Client::connect_to(target, options).await?)
    }

    fn apply_to(&self, options: ConnectionOptions) -> Result<ConnectionOptions, Failure> {
        let proxy = self.proxy.as_deref().map(Proxy::http).transpose();
        let proxy = proxy.context("cannot use the proxy")?;
        let options = options
            .connect_timeout(self.timeout)
            .operation_timeout(self.timeout)
            .proxy(proxy);
        let Some(file) = &self.ca else {
            return Ok(options);
        };
        let tried = format!("cannot use the certificates in {}", file.display());
        let pem = std::fs::read(file).context(&tried)?;
        Ok(options.tls(TlsConfig::with_root_certificates(&pem).context(&tried)?))
    }
}

/// A connection string begins with `Key=`, a URL with `scheme://`.
fn is_connection_string(target: &str) -> bool {
    let before_equals = target.split('=').next().unwrap_or_default();
    before_equals.len() < target.len() && !before_equals.contains("://")
}

/// Whether an argument could hold a key or a password.
pub fn may_hold_secret(argument: &str) -> bool {
    let lower = argument.to_ascii_lowercase();
    lower.contains("sharedaccess") || (lower.contains("://") && lower.contains('@'))
}

/// The largest body that is made up.
const MAX_OCTETS: usize = 1 << 30;

/// Octets of a body that is made up.
pub fn octets(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(octets) if octets <= MAX_OCTETS => Ok(octets),
        _ => Err(format!("expected a number of octets up to {MAX_OCTETS}")),
    }
}

/// Seconds, as a number that may have a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected more than 0 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_connection_strings_are_told_apart() {
        assert!(is_connection_string("Endpoint=sb://host/;EntityPath=a"));
        assert!(is_connection_string("entitypath=a"));
        assert!(!is_connection_string("amqp://host/a?b=c"));
        assert!(!is_connection_string("host"));
    }

    #[test]
    fn what_could_hold_a_key_is_known() {
        assert!(may_hold_secret("Endpoint=sb://h;sharedaccesskey=k"));
        assert!(may_hold_secret("amqp://user:password@host"));
        assert!(!may_hold_secret("amqp://host/orders"));
        assert!(!may_hold_secret("--count"));
    }

    #[test]
    fn octets_are_no_more_than_memory_holds() {
        assert_eq!(octets("0"), Ok(0));
        assert_eq!(octets("1073741824"), Ok(1 << 30));
        for wrong in ["1073741825", "18446744073709551615", "-1", "many"] {
            assert!(octets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_but_not_be_none() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "NaN", "inf", "ten"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
