//! What a token is for: a host and a path below it (Event Hubs).

use crate::eventhubs::wire::MANAGEMENT_NODE;

/// A resource as the claims name it: host and path segments, in lower case, without scheme and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audience {
    host: String,
    path: Vec<String>,
}

impl Audience {
    /// Reads `scheme://host[:port]/path`; `None` if there is no host.
    pub(crate) fn parse(uri: &str) -> Option<Audience> {
        let (_, rest) = uri.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
            _ => authority,
        };
        if host.is_empty() {
            return None;
        }
        Some(Audience {
            host: host.to_lowercase(),
            path: segments(path),
        })
    }

    /// Everything in the namespace.
    pub(crate) fn namespace() -> Audience {
        Audience {
            host: String::new(),
            path: Vec::new(),
        }
    }

    /// True if a token for `self` is also good for `other`: same host, and `other` at or below its path.
    pub(crate) fn covers(&self, other: &Audience) -> bool {
        self.host == other.host && other.path.starts_with(&self.path)
    }

    /// True if a token for `self` is good for an entity path such as `hub/Partitions/0`, on any host.
    ///
    /// The emulator answers to every host name, so that a proxy or a custom endpoint may stand before it.
    pub(crate) fn covers_path(&self, path: &str) -> bool {
        segments(path).starts_with(&self.path)
    }

    /// True if a token for `self` is good for reading the properties of a hub: it covers the hub's management node, or
    /// names one below the hub, as that of a consumer group.
    pub(crate) fn covers_management(&self, hub: &str) -> bool {
        self.covers_path(&format!("{hub}/{MANAGEMENT_NODE}"))
            || (self.hub() == Some(&hub.to_lowercase())
                && self.path.last().is_some_and(|node| node == MANAGEMENT_NODE))
    }

    /// The first segment of the path: the hub; `None` for the namespace itself.
    pub(crate) fn hub(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(uri: &str) -> Audience {
        Audience::parse(uri).unwrap()
    }

    #[test]
    fn a_prefix_covers_what_is_below_it() {
        let hub = audience("amqps://Example.net:5671/Orders");
        assert!(hub.covers(&audience("sb://example.net/orders/Partitions/0")));
        assert!(hub.covers(&audience("sb://example.net/ORDERS/")));
        assert!(hub.covers_path("orders/ConsumerGroups/$Default/Partitions/1"));
        assert!(audience("sb://example.net/").covers(&hub));
    }

    #[test]
    fn neighbours_parents_and_other_hosts_are_not_covered() {
        let hub = audience("sb://example.net/orders");
        assert!(!hub.covers(&audience("sb://example.net/orders2")));
        assert!(!hub.covers(&audience("sb://example.net/")));
        assert!(!hub.covers(&audience("sb://other.net/orders")));
        assert!(!hub.covers_path("order"));
    }

    #[test]
    fn what_has_no_host_is_no_audience() {
        for text in ["", "orders", "sb://", "sb:///orders", "://"] {
            assert_eq!(Audience::parse(text), None, "{text}");
        }
        assert_eq!(audience("sb://[::1]:5672/a").hub(), Some("a"));
    }
}
