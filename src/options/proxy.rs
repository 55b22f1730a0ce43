//! The HTTP proxy that a client goes through.

use std::fmt;

use crate::url::{Authority, Login, UrlError, UrlPart, host_and_port};

const DEFAULT_PORT: u16 = 80;

/// An HTTP proxy that is asked for a tunnel to the host (`CONNECT`), before TLS and WebSocket, which are the host's. `Debug`
/// hides the password.
///
/// The proxy is spoken to in the clear: its password can be read on the way to it, the traffic of `amqps` and `wss` cannot.
///
/// ```
/// use amqp10::{ConnectionOptions, Proxy};
///
/// # fn main() -> Result<(), amqp10::error::UrlError> {
/// let proxy = Proxy::http("http://alice:secret@proxy.example.com:3128")?.except("localhost,.internal");
/// let options = ConnectionOptions::default().proxy(proxy);
/// # let _ = options;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    login: Option<Login>,
    exceptions: Vec<String>,
}

impl Proxy {
    /// Parses `[http://][user:password@]host[:port]`; user and password are percent-decoded, the port is 80 unless given.
    /// User and password are sent with the first request, by the scheme `Basic`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] names the part that is wrong, and never repeats what could be a secret.
    pub fn http(url: &str) -> Result<Proxy, UrlError> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(UrlPart::Scheme.expected("http://")),
            None => url,
        };
        let Authority { login, host, port } =
            Authority::parse(rest.strip_suffix('/').unwrap_or(rest))?;
        if login
            .as_ref()
            .is_some_and(|login| login.username.contains(':'))
        {
            return Err(UrlPart::Login.expected("a user name without a colon"));
        }
        Ok(Proxy {
            host,
            port: port.unwrap_or(DEFAULT_PORT),
            login,
            exceptions: Vec::new(),
        })
    }

    /// The proxy that the environment names: `HTTPS_PROXY`, else `ALL_PROXY`, with `NO_PROXY` as its exceptions; each in
    /// lower case first. `None` if it names none. Nothing else in this crate looks at these variables.
    ///
    /// # Errors
    ///
    /// [`UrlError`] if the variable holds no URL of an HTTP proxy.
    pub fn from_env() -> Result<Option<Proxy>, UrlError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, UrlError> {
        let find = |names: &[&str]| {
            let mut set = names.iter().filter_map(|name| variable(name));
            set.find(|value| !value.is_empty())
        };
        let Some(url) = find(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(None);
        };
        let exceptions = find(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Ok(Some(Proxy::http(&url)?.except(&exceptions)))
    }

    /// Adds hosts that are reached without the proxy: names divided by commas, each for itself and what is below it (a dot
    /// before a name changes nothing), or `*` for all.
    pub fn except(mut self, hosts: &str) -> Proxy {
        let hosts = hosts
            .split(',')
            .map(|host| host.trim().trim_start_matches('.'));
        self.exceptions.extend(
            hosts
                .filter(|host| !host.is_empty())
                .map(str::to_ascii_lowercase),
        );
        self
    }

    /// The proxy's host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether `host` is reached through the proxy.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let matches = |exception: &String| {
            exception == "*"
                || host
                    .strip_suffix(exception.as_str())
                    .is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        !self.exceptions.iter().any(matches)
    }

    /// User and password.
    pub(crate) fn login(&self) -> Option<(&str, &str)> {
        let login = self.login.as_ref()?;
        Some((&login.username, &login.password))
    }

    /// For errors and requests.
    pub(crate) fn authority(&self) -> String {
        host_and_port(&self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = self.login.as_ref().map(|login| login.username.as_str());
        f.debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &login)
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_perhaps_a_login() {
        let proxy = Proxy::http("http://al%40ice:p%3Aw@proxy:3128/").unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy", 3128));
        assert_eq!(proxy.login(), Some(("al@ice", "p:w")));
        assert!(!format!("{proxy:?}").contains("p:w"));
        assert_eq!(Proxy::http("proxy").unwrap().port(), 80);
        assert_eq!(Proxy::http("[::1]:8080").unwrap().authority(), "[::1]:8080");
        let wrong = |url| Proxy::http(url).unwrap_err().part();
        assert_eq!(wrong("https://proxy"), UrlPart::Scheme);
        assert_eq!(wrong("socks5://proxy"), UrlPart::Scheme);
        assert_eq!(wrong("http://proxy/path"), UrlPart::Host);
        assert_eq!(wrong("http://a%3Ab:c@proxy"), UrlPart::Login);
        assert_eq!(wrong(""), UrlPart::Host);
    }

    #[test]
    fn exceptions_hold_for_a_name_and_what_is_below() {
        let proxy = Proxy::http("proxy")
            .unwrap()
            .except("localhost, .internal,10.0.0.1");
        for direct in [
            "localhost",
            "LOCALHOST",
            "internal",
            "a.b.internal",
            "10.0.0.1",
        ] {
            assert!(!proxy.is_for(direct), "{direct}");
        }
        for proxied in ["example.com", "notinternal", "internal.example.com"] {
            assert!(proxy.is_for(proxied), "{proxied}");
        }
        assert!(!Proxy::http("proxy").unwrap().except("*").is_for("a"));
    }

    #[test]
    fn the_environment_is_read_when_asked() {
        let from = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(given, _)| *given == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Proxy::from_variables(variable)
        };
        assert_eq!(from(&[]).unwrap(), None);
        assert_eq!(from(&[("https_proxy", "")]).unwrap(), None);
        let set = [
            ("ALL_PROXY", "a:1"),
            ("HTTPS_PROXY", "b:2"),
            ("NO_PROXY", "c"),
        ];
        let proxy = from(&set).unwrap().unwrap();
        assert_eq!(proxy.authority(), "b:2");
        assert!(!proxy.is_for("x.c"));
        assert!(from(&[("HTTPS_PROXY", "https://b")]).is_err());
    }
}
