//! `amqp://user:password@host:port/address`: where to connect, as whom, and perhaps to which node.
//!
//! ```text
//! amqps://alice:s%40cret@broker.example.com:5671/orders?key=value
//! ──┬──   ──┬── ───┬────  ────────┬───────── ─┬── ──┬─── ───┬────
//! scheme  user   password       host        port  address  query
//! ```
//!
//! `user`, `password` and `address` are percent-decoded. One slash separates the authority from the address and belongs to
//! neither: `/a/b` is the address `a/b`, `//a` is the address `/a` (RabbitMQ 4 wants such: `amqp://host//queues/orders`).
//!
//! With `ws` and `wss`, path and query say what to ask the HTTP server for, and there is no address.

use std::fmt;
use std::str::FromStr;

use crate::percent::{self, PercentError};

/// What lies between TCP and AMQP: TLS, WebSocket, both or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `amqp`: no TLS, port 5672 unless given.
    Amqp,
    /// `amqps`: TLS from the first byte [5.2.1], port 5671 unless given.
    Amqps,
    /// `ws`: WebSocket without TLS, port 80 unless given. Needs the feature `websocket`.
    Ws,
    /// `wss`: WebSocket within TLS, port 443 unless given. Needs the feature `websocket`.
    Wss,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Amqp, Scheme::Amqps, Scheme::Ws, Scheme::Wss];

    /// The port used if the URL names none (C-045).
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Amqp => 5672,
            Scheme::Amqps => 5671,
            Scheme::Ws => 80,
            Scheme::Wss => 443,
        }
    }

    /// The scheme as it is written in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }

    /// Whether TLS surrounds the connection from its first byte.
    pub const fn is_tls(self) -> bool {
        matches!(self, Scheme::Amqps | Scheme::Wss)
    }

    /// Whether AMQP travels in WebSocket messages.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }

    fn parse(scheme: &str) -> Result<Scheme, UrlError> {
        let found = Scheme::ALL
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str()));
        found.ok_or_else(|| UrlPart::Scheme.expected("amqp://, amqps://, ws:// or wss://"))
    }
}

/// A parsed AMQP URL. `Debug` and `Display` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    login: Option<Login>,
    host: String,
    port: u16,
    address: Option<String>,
    query: Option<String>,
    /// Of a WebSocket: the path, as it was written.
    path: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// `[user:password@]host[:port]`
pub(crate) struct Authority {
    pub(crate) login: Option<Login>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    pub(crate) fn parse(authority: &str) -> Result<Authority, UrlError> {
        let (login, host_and_port) = match authority.rsplit_once('@') {
            Some((login, host_and_port)) => (Some(parse_login(login)?), host_and_port),
            None => (None, authority),
        };
        let (host, port) = split_port(host_and_port)?;
        let port = port.map(parse_port).transpose()?;
        Ok(Authority { login, host, port })
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl Url {
    /// Parses `scheme://[user:password@]host[:port][/address][?query]`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] names the part that is wrong and what was expected there; it never repeats what could be a secret.
    pub fn parse(url: &str) -> Result<Url, UrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let scheme = Scheme::parse(scheme)?;
        if url.contains('#') {
            return Err(UrlPart::Fragment
                .expected("nothing; write a '#' that belongs to another part as %23"));
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Authority { login, host, port } = Authority::parse(authority)?;
        let (address, path) = match scheme.is_websocket() {
            true => (String::new(), written_path(path, query.as_deref())?),
            false => (decode_percent(path, UrlPart::Address)?, String::new()),
        };
        Ok(Url {
            scheme,
            login,
            host,
            port: port.unwrap_or(scheme.default_port()),
            address: Some(address).filter(|address| !address.is_empty()),
            query,
            path,
        })
    }

    /// Where nothing but a host is named.
    #[cfg(feature = "eventhubs")]
    pub(crate) fn of_host(scheme: Scheme, host: &str, port: Option<u16>) -> Url {
        Url {
            scheme,
            login: None,
            host: host.to_owned(),
            port: port.unwrap_or(scheme.default_port()),
            address: None,
            query: None,
            path: String::new(),
        }
    }

    /// The same at another host.
    pub(crate) fn at(&self, host: &str, port: Option<u16>) -> Url {
        Url {
            host: host.to_owned(),
            port: port.unwrap_or(self.port),
            ..self.clone()
        }
    }

    /// The same host reached by WebSocket, with TLS if it was with TLS: at `path` if it has none, and on the port of `wss` in
    /// place of that of `amqps`.
    #[cfg(feature = "eventhubs")]
    pub(crate) fn over_websocket(mut self, path: &str) -> Url {
        self.port = match (self.scheme, self.port) {
            (Scheme::Amqps, port) if port == self.scheme.default_port() => {
                Scheme::Wss.default_port()
            }
            (_, port) => port,
        };
        self.scheme = match self.scheme.is_tls() {
            true => Scheme::Wss,
            false => Scheme::Ws,
        };
        if self.path.is_empty() {
            self.path = path.trim_start_matches('/').to_owned();
        }
        self.address = None;
        self
    }

    /// `amqp`, `amqps`, `ws` or `wss`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The decoded user name, if the URL has one.
    pub fn username(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.username.as_str())
    }

    /// The decoded password, if the URL has one.
    pub fn password(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.password.as_str())
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, given or the scheme's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The decoded path without the slash that separates it from the host; `None` if nothing is left, and for `ws` and `wss`.
    ///
    /// `amqp://host/a/b` gives `a/b`, `amqp://host//queues/a` gives `/queues/a`.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// What follows the `?`, as it was written.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// For `ws` and `wss`, what the HTTP server is asked for: path and query as they were written, `/` if there are none.
    pub fn request_target(&self) -> String {
        match &self.query {
            Some(query) => format!("/{}?{query}", self.path),
            None => format!("/{}", self.path),
        }
    }

    /// `host:port`, an IPv6 address in brackets; without the port if it is the scheme's.
    #[cfg(feature = "websocket")]
    pub(crate) fn http_host(&self) -> String {
        let host_and_port = host_and_port(&self.host, self.port);
        let default_port = format!(":{}", self.scheme.default_port());
        match host_and_port.strip_suffix(&default_port) {
            Some(host) => host.to_owned(),
            None => host_and_port,
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Url, UrlError> {
        Url::parse(url)
    }
}

impl fmt::Display for Url {
    /// The URL for people: decoded, the password as `***`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        if let Some(login) = &self.login {
            write!(f, "{}:***@", login.username)?;
        }
        f.write_str(&host_and_port(&self.host, self.port))?;
        match &self.address {
            Some(address) => write!(f, "/{address}"),
            None if self.path.is_empty() => Ok(()),
            None => write!(f, "/{}", self.path),
        }
        // The query is left out: people put keys there.
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// The parts of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlPart {
    /// Before `://`.
    Scheme,
    /// Before the `@`: `user:password`.
    Login,
    /// The name or IP address.
    Host,
    /// After the host's colon.
    Port,
    /// The path after the first slash.
    Address,
    /// After a `#`.
    Fragment,
}

impl UrlPart {
    pub(crate) const fn expected(self, expected: &'static str) -> UrlError {
        UrlError {
            part: self,
            expected,
        }
    }
}

impl fmt::Display for UrlPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlPart::Scheme => "scheme",
            UrlPart::Login => "login",
            UrlPart::Host => "host",
            UrlPart::Port => "port",
            UrlPart::Address => "address",
            UrlPart::Fragment => "fragment",
        })
    }
}

/// A string that is not a URL of the kind that was wanted. It says which part is wrong, and never repeats the URL: that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL: as its {part}, expected {expected}")]
pub struct UrlError {
    part: UrlPart,
    expected: &'static str,
}

impl UrlError {
    /// The part that is wrong.
    pub fn part(&self) -> UrlPart {
        self.part
    }

    /// What should have been there.
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

fn parse_login(login: &str) -> Result<Login, UrlError> {
    let (username, password) = login
        .split_once(':')
        .ok_or_else(|| UrlPart::Login.expected("user:password"))?;
    if username.is_empty() {
        return Err(UrlPart::Login.expected("a user name before the colon"));
    }
    Ok(Login {
        username: decode_percent(username, UrlPart::Login)?,
        password: decode_percent(password, UrlPart::Login)?,
    })
}

/// Splits `host[:port]`, where an IPv6 address stands in brackets because it has colons of its own.
fn split_port(host_and_port: &str) -> Result<(String, Option<&str>), UrlError> {
    if let Some(rest) = host_and_port.strip_prefix('[') {
        let (address, rest) = rest
            .split_once(']')
            .ok_or_else(|| UrlPart::Host.expected("a ']' after the IPv6 address"))?;
        // A zone (`fe80::1%eth0`) is for the resolver to judge.
        let digits = address.split('%').next().unwrap_or_default();
        if digits.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(UrlPart::Host.expected("an IPv6 address between '[' and ']'"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address.to_owned(), Some(port))),
            None if rest.is_empty() => Ok((address.to_owned(), None)),
            None => Err(UrlPart::Port.expected("':' and a number, or nothing, after the ']'")),
        };
    }
    let (host, port) = match host_and_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_and_port, None),
    };
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    match host.bytes().all(is_name) {
        true if !host.is_empty() => Ok((host.to_owned(), port)),
        true => Err(UrlPart::Host.expected("a host name or an IP address")),
        false => Err(UrlPart::Host
            .expected("letters, digits, '-', '.' and '_', or an IPv6 address in brackets")),
    }
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    let expected = || UrlPart::Port.expected("a number from 1 to 65535");
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(expected()); // `parse` would take "+5672"
    }
    digits
        .parse()
        .ok()
        .filter(|&port| port != 0)
        .ok_or_else(expected)
}

/// The path of an HTTP request is handed on as it was written, so nothing in it may end the request's line.
fn written_path(path: &str, query: Option<&str>) -> Result<String, UrlError> {
    let is_graphic = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
    match is_graphic(path) && query.is_none_or(is_graphic) {
        true => Ok(path.to_owned()),
        false => Err(UrlPart::Address.expected("printable ASCII; write all else as %XX")),
    }
}

fn decode_percent(encoded: &str, part: UrlPart) -> Result<String, UrlError> {
    percent::decode(encoded).map_err(|error| match error {
        PercentError::Escape => {
            part.expected("two hexadecimal digits after each '%' (write '%' itself as %25)")
        }
        PercentError::NotUtf8 => part.expected("percent-encoded UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_part(url: &str) -> UrlPart {
        Url::parse(url).expect_err(url).part()
    }

    #[test]
    fn c_045_ports_default_by_scheme() {
        assert_eq!(Url::parse("amqp://localhost").unwrap().port(), 5672);
        assert_eq!(Url::parse("AMQPS://localhost").unwrap().port(), 5671);
        assert_eq!(Url::parse("amqps://localhost:443").unwrap().port(), 443);
    }

    #[test]
    fn credentials_are_decoded() {
        let url = Url::parse("amqp://al%40ice:p%3Aa%2Fss:word@host/q").unwrap();
        assert_eq!(url.username(), Some("al@ice"));
        assert_eq!(url.password(), Some("p:a/ss:word"));
        assert_eq!(url.host(), "host");
        assert_eq!(url.address(), Some("q"));
        assert_eq!(Url::parse("amqp://a:@host").unwrap().password(), Some(""));
    }

    #[test]
    fn exactly_one_slash_separates_the_address() {
        let address = |url| Url::parse(url).unwrap().address().map(str::to_owned);
        assert_eq!(address("amqp://host"), None);
        assert_eq!(address("amqp://host/"), None);
        assert_eq!(address("amqp://host/a/b"), Some("a/b".to_owned()));
        assert_eq!(
            address("amqp://host//queues/a"),
            Some("/queues/a".to_owned())
        );
        assert_eq!(address("amqp://host/a%2Fb%20c"), Some("a/b c".to_owned()));
        let url = Url::parse("amqp://host?heartbeat=5").unwrap();
        assert_eq!((url.address(), url.query()), (None, Some("heartbeat=5")));
    }

    #[test]
    fn ipv6_hosts_stand_in_brackets() {
        let url = Url::parse("amqp://u:p@[::1]:1234/x").unwrap();
        assert_eq!((url.host(), url.port()), ("::1", 1234));
        assert_eq!(
            Url::parse("amqp://[fe80::1]").unwrap().to_string(),
            "amqp://[fe80::1]:5672"
        );
        assert_eq!(wrong_part("amqp://::1"), UrlPart::Host);
        assert_eq!(wrong_part("amqp://[::1"), UrlPart::Host);
        assert_eq!(wrong_part("amqp://[::1]5672"), UrlPart::Port);
        assert_eq!(wrong_part("amqp://[localhost]"), UrlPart::Host);
    }

    #[test]
    fn errors_name_the_part() {
        assert_eq!(wrong_part(""), UrlPart::Scheme);
        assert_eq!(wrong_part("localhost:5672"), UrlPart::Scheme);
        assert_eq!(wrong_part("http://localhost"), UrlPart::Scheme);
        assert_eq!(wrong_part("amqp://"), UrlPart::Host);
        assert_eq!(wrong_part("amqp://ho st"), UrlPart::Host);
        assert_eq!(wrong_part("amqp://host:"), UrlPart::Port);
        assert_eq!(wrong_part("amqp://host:0"), UrlPart::Port);
        assert_eq!(wrong_part("amqp://host:65536"), UrlPart::Port);
        assert_eq!(wrong_part("amqp://host:+1"), UrlPart::Port);
        assert_eq!(wrong_part("amqp://user@host"), UrlPart::Login);
        assert_eq!(wrong_part("amqp://:p@host"), UrlPart::Login);
        assert_eq!(wrong_part("amqp://u:%zz@host"), UrlPart::Login);
        assert_eq!(wrong_part("amqp://host/%f"), UrlPart::Address);
        assert_eq!(wrong_part("amqp://host/%ff"), UrlPart::Address);
        assert_eq!(wrong_part("amqp://host/a#b"), UrlPart::Fragment);
    }

    #[test]
    fn the_path_of_a_websocket_is_handed_on_as_written() {
        let url = Url::parse("wss://u:p@host/$servicebus/websocket/?a=%20b").unwrap();
        assert_eq!((url.port(), url.address()), (443, None));
        assert!(url.scheme().is_tls() && url.scheme().is_websocket());
        assert_eq!(url.request_target(), "/$servicebus/websocket/?a=%20b");
        assert_eq!(
            url.to_string(),
            "wss://u:***@host:443/$servicebus/websocket/"
        );
        let url = Url::parse("ws://host").unwrap();
        assert_eq!((url.port(), url.request_target()), (80, "/".to_owned()));
        assert_eq!(wrong_part("ws://host/a\r\nHost:%20other"), UrlPart::Address);
        assert_eq!(wrong_part("ws://host/a b"), UrlPart::Address);
        assert_eq!(wrong_part("ws://host/?a\nb"), UrlPart::Address);
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn the_host_of_a_request_has_the_port_that_was_chosen() {
        let host = |url| Url::parse(url).unwrap().http_host();
        assert_eq!(host("wss://host/x"), "host");
        assert_eq!(host("ws://host:443"), "host:443");
        assert_eq!(host("ws://[::1]:5672"), "[::1]:5672");
        assert_eq!(host("ws://[::80]"), "[::80]");
    }

    #[test]
    fn passwords_are_never_shown() {
        let url = Url::parse("amqp://alice:hunter2@host/a?key=hunter2").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        // An unencoded slash cuts the password in two; neither half may appear in the error.
        for url in [
            "amqp://alice:hunter2/hunter2@host",
            "alice:hunter2@host",
            "amqp://a:hunter2%@h",
            "hunter2://a",
        ] {
            let error = Url::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
