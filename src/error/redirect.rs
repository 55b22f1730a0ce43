//! Where a peer sends us instead: what the errors `amqp:connection:redirect` and `amqp:link:redirect` carry.

use crate::codec::{AmqpError, Fields, Value, condition};

/// Another place, as a peer names it [2.8.16], [2.8.18]. It proves nothing: whoever answers there must be authenticated as any
/// other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The host's name for its open, SASL and TLS.
    pub hostname: Option<String>,
    /// The name or address to connect to.
    pub network_host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The scheme, for example `amqps` (by convention).
    pub scheme: Option<String>,
    /// The path of a WebSocket (by convention).
    pub path: Option<String>,
    /// The node there; for links only.
    pub address: Option<String>,
}

impl Redirect {
    /// Reads it from an error; `None` if the error is no redirect (C-041, L-044).
    pub fn of(error: &AmqpError) -> Option<Self> {
        let is_redirect =
            [condition::CONNECTION_REDIRECT, condition::LINK_REDIRECT].contains(&error.condition);
        is_redirect.then(|| Self::from_lookup(|name| error.info.get(name)))
    }

    /// The places to go to if this peer fails: `failover-server-list` in the properties of an open, or in the info of an error
    /// (Z-059). Empty if there is none.
    pub fn failover_servers(fields: &Fields) -> Vec<Self> {
        let servers = fields.get("failover-server-list").and_then(Value::as_list);
        let maps = servers.into_iter().flatten().filter_map(Value::as_map);
        maps.map(|server| Self::from_lookup(|name| server.get_str(name)))
            .collect()
    }

    fn from_lookup<'a>(get: impl Fn(&str) -> Option<&'a Value>) -> Self {
        let text = |name| get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            hostname: text("hostname"),
            network_host: text("network-host"),
            port: get("port")
                .and_then(Value::as_i64)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            scheme: text("scheme"),
            path: text("path"),
            address: text("address"),
        }
    }

    /// What to connect to: the network host, else the hostname.
    pub fn host(&self) -> Option<&str> {
        let host = self.network_host.as_deref().or(self.hostname.as_deref());
        host.filter(|host| !host.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Map, Symbol};
    use crate::error::{ConnectError, ConnectionError, LinkError, SessionError};

    fn redirect(condition: Symbol) -> AmqpError {
        AmqpError {
            info: Fields::default()
                .with(Symbol::from_static("hostname"), "b.example")
                .with(Symbol::from_static("network-host"), "10.0.0.2")
                .with(Symbol::from_static("port"), 5673_u16)
                .with(Symbol::from_static("address"), "orders-2"),
            ..AmqpError::new(condition, "not here")
        }
    }

    #[test]
    fn c_041_l_044_errors_tell_where_to_go() {
        let error = redirect(condition::CONNECTION_REDIRECT);
        let found = ConnectError::Refused(error.clone()).redirect().unwrap();
        assert_eq!(found.host(), Some("10.0.0.2"));
        assert_eq!(found.hostname.as_deref(), Some("b.example"));
        assert_eq!(found.port, Some(5673));
        let closed = ConnectionError::RemoteClosed(Some(error));
        assert_eq!(closed.redirect(), Some(found.clone()));
        let session = LinkError::Session(SessionError::Connection(closed));
        assert_eq!(session.redirect(), Some(found));

        let refused = LinkError::Refused(Some(redirect(condition::LINK_REDIRECT)));
        assert_eq!(
            refused.redirect().unwrap().address.as_deref(),
            Some("orders-2")
        );
        let other = LinkError::Refused(Some(redirect(condition::NOT_FOUND)));
        assert_eq!(other.redirect(), None);
    }

    #[test]
    fn c_041_what_makes_no_sense_is_left_out() {
        let mut error = redirect(condition::CONNECTION_REDIRECT);
        error.info.insert(Symbol::from_static("port"), 70_000);
        error.info.insert(Symbol::from_static("network-host"), 1);
        let found = Redirect::of(&error).unwrap();
        assert_eq!((found.port, found.host()), (None, Some("b.example")));
        error.info = Fields::default();
        assert_eq!(Redirect::of(&error).unwrap().host(), None);
    }

    #[test]
    fn z_059_failover_servers_are_listed() {
        let server = Map::default()
            .with(Symbol::from_static("network-host"), "10.0.0.3")
            .with(Symbol::from_static("port"), 5672)
            .with(Symbol::from_static("scheme"), "amqps");
        let list = Value::List(vec![Value::Map(server), Value::Null]);
        let name = Symbol::from_static("failover-server-list");
        let servers = Redirect::failover_servers(&Fields::default().with(name, list));
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].host(), Some("10.0.0.3"));
        assert_eq!(servers[0].scheme.as_deref(), Some("amqps"));
        assert!(Redirect::failover_servers(&Fields::default()).is_empty());
    }
}
