//! What can be chosen about a broker, and reading a file of users.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::sasl::SaslMechanism;
use crate::{SaslServerOptions, TlsServerConfig};

/// Options of a [`Broker`](super::Broker). The default listens on a free port of loopback without TLS, lets everyone in and
/// creates nodes when they are used.
///
/// What clients can make the broker keep is bounded: messages by [`max_bytes`](Self::max_bytes) for all queues together, and
/// for each connection 16 MiB of deliveries that wait for the broker, 64 MiB of deliveries that have not arrived completely,
/// [`max_transaction_bytes`](Self::max_transaction_bytes) for each transaction, of which there are at most 64, and 256 KiB of
/// output in each direction.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerOptions {
    /// Where to listen. Default a free port of loopback.
    pub address: SocketAddr,
    /// Our certificate; with it TLS is required. Default none.
    pub tls: Option<TlsServerConfig>,
    /// Who may connect, and how: [`read_users`] reads it from a file. Default everyone, by ANONYMOUS, by PLAIN with any
    /// password, or without SASL.
    pub sasl: Option<SaslServerOptions>,
    /// The addresses of the only nodes there are. Default none: nodes are created when they are used, and go when they are
    /// empty and no link uses them.
    pub nodes: Option<Vec<String>>,
    /// The queue of messages that were rejected. Default `dead-letters`. They do not expire there. What is rejected from it is
    /// gone, and so is what it has no room for.
    pub dead_letter_queue: String,
    /// Refuses durable messages, as the standard asks of a node that loses them when it stops [3.2.1]. Default no: they are
    /// accepted, and kept in memory like all others, because many clients send nothing else.
    pub refuse_durable: bool,
    /// The largest message, in octets. Default 64 MiB, which is the most: with more the broker does not start.
    pub max_message_size: u64,
    /// Messages that a queue holds. Default 1 000 000.
    pub max_queue_messages: usize,
    /// Octets of messages that a queue holds. Default 256 MiB.
    pub max_queue_bytes: usize,
    /// Octets of messages in all queues together. Default 1 GiB.
    pub max_bytes: usize,
    /// Queues, topics and subscriptions together. Default 10 000.
    pub max_nodes: usize,
    /// Connections at once. Default 1000.
    pub max_connections: usize,
    /// Links of one connection. Default 1024.
    pub max_links: usize,
    /// Octets that the messages and outcomes of one transaction may have. Default 64 MiB.
    pub max_transaction_bytes: usize,
    /// Deliveries that a sender may have under way on one link. Default 300.
    pub credit: u32,
    /// A link that a client attaches under the name that it uses on another connection takes that one's place [2.6.1], and
    /// its subscription to a topic. Clients are told apart by their container-id. If not, both links live, but a subscription
    /// that another connection uses is locked. Default yes.
    pub link_stealing: bool,
    /// How long a shutdown waits for connections to close. Default 5 s.
    pub shutdown_timeout: Duration,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            tls: None,
            sasl: None,
            nodes: None,
            dead_letter_queue: "dead-letters".into(),
            refuse_durable: false,
            max_message_size: MAX_MESSAGE_SIZE,
            max_queue_messages: 1_000_000,
            max_queue_bytes: 256 << 20,
            max_bytes: 1 << 30,
            max_nodes: 10_000,
            max_connections: 1000,
            max_links: 1024,
            max_transaction_bytes: 64 << 20,
            credit: 300,
            link_stealing: true,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// What a session keeps of deliveries that have not arrived completely.
pub(super) const MAX_MESSAGE_SIZE: u64 = 64 << 20;

impl BrokerOptions {
    /// Sets [`address`](Self::address).
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets [`tls`](Self::tls).
    pub fn tls(mut self, tls: impl Into<TlsServerConfig>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Sets [`sasl`](Self::sasl).
    pub fn sasl(mut self, sasl: SaslServerOptions) -> Self {
        self.sasl = Some(sasl);
        self
    }

    /// Sets [`nodes`](Self::nodes).
    pub fn nodes<N: Into<String>>(mut self, addresses: impl IntoIterator<Item = N>) -> Self {
        self.nodes = Some(addresses.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`dead_letter_queue`](Self::dead_letter_queue).
    pub fn dead_letter_queue(mut self, name: impl Into<String>) -> Self {
        self.dead_letter_queue = name.into();
        self
    }

    /// Sets [`refuse_durable`](Self::refuse_durable).
    pub fn refuse_durable(mut self, refuse: bool) -> Self {
        self.refuse_durable = refuse;
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size), in octets.
    pub fn max_message_size(mut self, octets: u64) -> Self {
        self.max_message_size = octets;
        self
    }

    /// Sets [`max_queue_messages`](Self::max_queue_messages).
    pub fn max_queue_messages(mut self, messages: usize) -> Self {
        self.max_queue_messages = messages;
        self
    }

    /// Sets [`max_queue_bytes`](Self::max_queue_bytes).
    pub fn max_queue_bytes(mut self, octets: usize) -> Self {
        self.max_queue_bytes = octets;
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    pub fn max_bytes(mut self, octets: usize) -> Self {
        self.max_bytes = octets;
        self
    }

    /// Sets [`max_nodes`](Self::max_nodes).
    pub fn max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Sets [`max_connections`](Self::max_connections).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets [`max_links`](Self::max_links).
    pub fn max_links(mut self, links: usize) -> Self {
        self.max_links = links;
        self
    }

    /// Sets [`max_transaction_bytes`](Self::max_transaction_bytes).
    pub fn max_transaction_bytes(mut self, octets: usize) -> Self {
        self.max_transaction_bytes = octets;
        self
    }

    /// Sets [`credit`](Self::credit).
    pub fn credit(mut self, credit: u32) -> Self {
        self.credit = credit;
        self
    }

    /// Sets [`link_stealing`](Self::link_stealing).
    pub fn link_stealing(mut self, steal: bool) -> Self {
        self.link_stealing = steal;
        self
    }

    /// Sets [`shutdown_timeout`](Self::shutdown_timeout).
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.shutdown_timeout = limit;
        self
    }
}

/// Reads a file of users: one `name:password` a line; empty lines and those that begin with `#` mean nothing. A password may
/// contain colons. They log in by PLAIN and, with the feature `scram`, by SCRAM-SHA-512, -256 and -1: then only keys made of
/// the passwords are kept, which costs milliseconds for each user.
///
/// # Errors
///
/// The number of the first line that is no such pair, or, for SCRAM, has characters that RFC 4013 forbids. What stands there is
/// not repeated.
pub fn read_users(file: &str) -> Result<SaslServerOptions, UsersError> {
    let mut users = Users::new();
    for (index, line) in file.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = UsersError { line: index + 1 };
        let (name, password) = line.split_once(':').ok_or(wrong)?;
        users = with_user(users, name, password).ok_or(wrong)?;
    }
    Ok(SaslServerOptions::default()
        .mechanisms(MECHANISMS)
        .authenticator(users))
}

#[cfg(feature = "scram")]
use crate::sasl::SaltedUsers as Users;
#[cfg(not(feature = "scram"))]
use crate::sasl::StaticUsers as Users;

/// The strongest first.
#[cfg(feature = "scram")]
const MECHANISMS: [SaslMechanism; 4] = [
    SaslMechanism::Scram(crate::sasl::ScramHash::Sha512),
    SaslMechanism::Scram(crate::sasl::ScramHash::Sha256),
    SaslMechanism::Scram(crate::sasl::ScramHash::Sha1),
    SaslMechanism::Plain,
];
#[cfg(not(feature = "scram"))]
const MECHANISMS: [SaslMechanism; 1] = [SaslMechanism::Plain];

#[cfg(feature = "scram")]
fn with_user(users: Users, name: &str, password: &str) -> Option<Users> {
    users.user(name, password).ok()
}

#[cfg(not(feature = "scram"))]
fn with_user(users: Users, name: &str, password: &str) -> Option<Users> {
    (!name.is_empty() && !password.is_empty()).then(|| users.user(name, password))
}

/// A line of a file of users is not `name:password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the users is not of the form name:password, or has characters that neither may have"
)]
pub struct UsersError {
    /// The line's number, from 1.
    pub line: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_lines() {
        let users = read_users("# staff\n\nana:se:cret\r\nbob:x\n").unwrap();
        let shown = format!("{:?}", users.authenticator);
        assert!(shown.contains("ana") && shown.contains("bob"), "{shown}");
        assert!(!shown.contains("se:cret"));
        assert!(users.require);
        assert_eq!(read_users("ana:x\nbob").unwrap_err().line, 2);
        for wrong in [":x", "ana:"] {
            assert_eq!(read_users(wrong).unwrap_err().line, 1);
        }
    }
}
