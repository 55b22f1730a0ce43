//! Mechanisms that this crate does not have: OAUTHBEARER, XOAUTH2, GSSAPI and whatever else a server wants (Y-031).

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;

use super::{AuthenticationFailure, Identity, SaslError};

/// A further mechanism for clients, given as [`Credentials::Custom`](crate::Credentials::Custom).
///
/// ```
/// use amqp10::Credentials;
/// use amqp10::sasl::{SaslClientExchange, SaslClientMechanism, SaslError};
/// use bytes::Bytes;
///
/// /// OAUTHBEARER (RFC 7628): a token, and nothing to challenge.
/// struct OAuthBearer {
///     token: String,
/// }
///
/// impl std::fmt::Debug for OAuthBearer {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("OAuthBearer")
///     }
/// }
///
/// impl SaslClientMechanism for OAuthBearer {
///     fn name(&self) -> &'static str {
///         "OAUTHBEARER"
///     }
///
///     fn start(&self) -> Result<Box<dyn SaslClientExchange>, SaslError> {
///         let response = format!("n,,\x01auth=Bearer {}\x01\x01", self.token);
///         Ok(Box::new(Login { response: response.into() }))
///     }
/// }
///
/// struct Login {
///     response: Bytes,
/// }
///
/// impl SaslClientExchange for Login {
///     fn initial_response(&mut self) -> Result<Option<Bytes>, SaslError> {
///         Ok(Some(self.response.clone()))
///     }
///
///     /// The server says what is wrong with the token, and expects this before it refuses.
///     fn respond(&mut self, _challenge: &[u8]) -> Result<Bytes, SaslError> {
///         Ok(Bytes::from_static(b"\x01"))
///     }
/// }
///
/// let credentials = Credentials::custom(OAuthBearer { token: "eyJh".to_owned() });
/// ```
pub trait SaslClientMechanism: fmt::Debug + Send + Sync + 'static {
    /// The registered name, in ASCII.
    fn name(&self) -> &'static str;

    /// Whether what is sent would let an eavesdropper log in: then it is treated as a password, and needs TLS or
    /// [`allow_plain_without_tls`](crate::ConnectionOptions::allow_plain_without_tls). Default `true`.
    fn needs_tls(&self) -> bool {
        true
    }

    /// Begins one login; each connection attempt is one.
    ///
    /// # Errors
    ///
    /// If there is nothing to log in with; nothing has been sent then.
    fn start(&self) -> Result<Box<dyn SaslClientExchange>, SaslError>;
}

/// One login by a [`SaslClientMechanism`].
pub trait SaslClientExchange: Send {
    /// What goes with the choice of the mechanism [5.3.3.2]; `None` if the server is to begin.
    ///
    /// # Errors
    ///
    /// End the attempt to connect.
    fn initial_response(&mut self) -> Result<Option<Bytes>, SaslError>;

    /// Answers a challenge. There are eight at most.
    ///
    /// # Errors
    ///
    /// End the attempt to connect; [`SaslError::MechanismFailed`] is made for it.
    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError>;

    /// After the outcome ok, with what came along [5.3.3.6]: the place to verify the server. Default: trusts it.
    ///
    /// # Errors
    ///
    /// End the attempt to connect.
    fn finish(&mut self, _additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }
}

/// A further mechanism for listeners, given to
/// [`SaslServerOptions::custom_mechanism`](crate::SaslServerOptions::custom_mechanism). It decides by itself who may enter: the
/// [`Authenticator`](crate::sasl::Authenticator) is not asked.
pub trait SaslServerMechanism: fmt::Debug + Send + Sync + 'static {
    /// The registered name, in ASCII.
    fn name(&self) -> &'static str;

    /// Begins one client's login.
    fn start(&self) -> Box<dyn SaslServerExchange>;
}

/// One login of a client by a [`SaslServerMechanism`].
pub trait SaslServerExchange: Send {
    /// Hears the client: its initial response, which may be missing, then its answer to each challenge, eight at most.
    ///
    /// # Errors
    ///
    /// If the client may not enter; it is told the kind of failure alone.
    fn handle<'a>(&'a mut self, response: Option<&'a [u8]>) -> SaslServerFuture<'a>;
}

/// The future that [`SaslServerExchange::handle`] returns. The handshake's deadline applies.
pub type SaslServerFuture<'a> =
    Pin<Box<dyn Future<Output = Result<SaslServerStep, AuthenticationFailure>> + Send + 'a>>;

/// What a server's mechanism does next. `Debug` hides the octets.
#[non_exhaustive]
pub enum SaslServerStep {
    /// The client is to answer this.
    Challenge(Bytes),
    /// The client may enter.
    Success {
        /// As whom.
        identity: Identity,
        /// What goes with the outcome [5.3.3.6].
        additional_data: Option<Bytes>,
    },
}

impl fmt::Debug for SaslServerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaslServerStep::Challenge(_) => f.write_str("Challenge"),
            SaslServerStep::Success { identity, .. } => f
                .debug_struct("Success")
                .field("identity", identity)
                .finish_non_exhaustive(),
        }
    }
}
