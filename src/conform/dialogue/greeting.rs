//! From nothing to a connection that is open: headers, SASL, opens; on either side.

use bytes::Bytes;
use tokio::time::Instant;

use super::hears::unexpected;
use super::wire::Heard;
use super::{Dialogue, frames};
use crate::codec::sasl::{SaslCode, SaslFrame, SaslInit, SaslMechanisms, SaslOutcome};
use crate::codec::{Open, ProtocolHeader, Symbol, frame};
use crate::conform::case::{Side, Stop};

const ANONYMOUS: Symbol = Symbol::from_static("ANONYMOUS");
const PLAIN: Symbol = Symbol::from_static("PLAIN");

impl Dialogue {
    /// A new connection with headers and opens exchanged, and a SASL layer if the peer wants one; gives the peer's open.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if the peer says something else, or nothing in time; [`Stop::Skip`] if no client comes.
    pub async fn open(&mut self) -> Result<Open, Stop> {
        self.open_with(frames::open()).await
    }

    /// The same, with this open.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open).
    pub async fn open_with(&mut self, open: Open) -> Result<Open, Stop> {
        self.greet().await?;
        match self.target.side {
            Side::Listener => {
                self.send_on(0, open).await?;
                self.expect_open().await
            }
            Side::Client => {
                let remote = self.expect_open().await?;
                self.send_on(0, open).await?;
                Ok(remote)
            }
        }
    }

    /// A new connection with headers exchanged, and a SASL layer if the peer wants one. No open was sent.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if the peer says something else, or nothing in time; [`Stop::Skip`] if no client comes.
    pub async fn greet(&mut self) -> Result<(), Stop> {
        match self.target.side {
            Side::Client => {
                self.connect().await?;
                self.answer_greeting().await
            }
            Side::Listener if self.target.wants_sasl() => self.greet_with_sasl().await,
            Side::Listener => {
                self.connect().await?;
                self.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
                match self.next_header().await {
                    Ok(ProtocolHeader::AMQP) => Ok(()),
                    Ok(ProtocolHeader::TLS) => Err(Stop::skip("the listener wants TLS")),
                    // Some that want a login say so by hanging up.
                    Ok(_) | Err(_) => {
                        self.target.insists_on_sasl();
                        self.greet_with_sasl().await
                    }
                }
            }
        }
    }

    /// A new connection to a listener up to its sasl-mechanisms, which are given.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the listener speaks no SASL; [`Stop::Fail`] if it says something else, or nothing in time.
    pub async fn greet_sasl(&mut self) -> Result<Vec<Symbol>, Stop> {
        self.connect().await?;
        self.send_bytes(&ProtocolHeader::SASL.to_bytes()).await?;
        match self.next_header().await? {
            ProtocolHeader::SASL => self.expect_mechanisms().await,
            other => Err(Stop::Skip(format!("the listener wants {other}"))),
        }
    }

    async fn greet_with_sasl(&mut self) -> Result<(), Stop> {
        self.pass_sasl().await?;
        self.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await?;
        // Its own comes now, or with its open.
        self.wire()?.0.is_header_due = true;
        Ok(())
    }

    async fn pass_sasl(&mut self) -> Result<(), Stop> {
        self.greet_sasl().await?;
        let login = self.login();
        self.send_sasl(&login).await?;
        match self.expect_outcome().await? {
            SaslCode::Ok => Ok(()),
            _ => Err(Stop::skip("the listener does not let this login in")),
        }
    }

    /// A new connection to a listener, and a SASL layer if it wants one: the header of AMQP is the next to be sent.
    ///
    /// # Errors
    ///
    /// As those of [`greet`](Self::greet).
    pub async fn log_in(&mut self) -> Result<(), Stop> {
        if self.target.wants_sasl() {
            return self.pass_sasl().await;
        }
        // Whether it insists on SASL is known once it was greeted.
        self.greet().await?;
        self.hang_up().await?;
        match self.target.wants_sasl() {
            true => self.pass_sasl().await,
            false => self.connect().await,
        }
    }

    /// The mechanisms that a listener offers, at least one.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_mechanisms(&mut self) -> Result<Vec<Symbol>, Stop> {
        match self.expect_sasl().await? {
            SaslFrame::Mechanisms(mechanisms) => Ok(mechanisms.sasl_server_mechanisms),
            other => Err(unexpected("sasl-mechanisms", other.name())),
        }
    }

    /// How the login ended.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_outcome(&mut self) -> Result<SaslCode, Stop> {
        match self.expect_sasl().await? {
            SaslFrame::Outcome(outcome) => Ok(outcome.code),
            other => Err(unexpected("sasl-outcome", other.name())),
        }
    }

    /// Whether this program was given a user and a password.
    pub fn has_login(&self) -> bool {
        self.target.login.is_some()
    }

    /// The frame by which this program logs in: PLAIN if it was given a user, else ANONYMOUS.
    pub fn login(&self) -> SaslFrame {
        match &self.target.login {
            Some(login) => plain(&login.user, &login.password),
            None => SaslFrame::Init(SaslInit {
                mechanism: ANONYMOUS,
                initial_response: Some(Bytes::from_static(b"conform")),
                hostname: None,
            }),
        }
    }

    /// The answers that an ordinary listener gives to a client's headers and login: it lets everybody in.
    async fn answer_greeting(&mut self) -> Result<(), Stop> {
        match self.next_header().await? {
            ProtocolHeader::AMQP => {}
            ProtocolHeader::SASL => {
                self.let_in().await?;
                self.expect_header(ProtocolHeader::AMQP).await?;
            }
            other => return Err(Stop::Skip(format!("the client wants {other}"))),
        }
        self.send_bytes(&ProtocolHeader::AMQP.to_bytes()).await
    }

    /// The SASL layer of a listener, behind the client's header.
    async fn let_in(&mut self) -> Result<(), Stop> {
        self.send_bytes(&ProtocolHeader::SASL.to_bytes()).await?;
        self.offer_mechanisms().await?;
        match self.expect_sasl().await? {
            SaslFrame::Init(_) => {}
            other => return Err(unexpected("sasl-init", other.name())),
        }
        self.send_outcome(SaslCode::Ok).await
    }

    /// A listener's ANONYMOUS and PLAIN.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn offer_mechanisms(&mut self) -> Result<(), Stop> {
        let offered = SaslMechanisms {
            sasl_server_mechanisms: vec![ANONYMOUS, PLAIN],
        };
        self.send_sasl(&SaslFrame::Mechanisms(offered)).await
    }

    /// A listener's answer to a login.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn send_outcome(&mut self, code: SaslCode) -> Result<(), Stop> {
        let outcome = SaslOutcome {
            code,
            additional_data: None,
        };
        self.send_sasl(&SaslFrame::Outcome(outcome)).await
    }

    /// These eight octets.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if others come, or fewer in time.
    pub async fn expect_header(&mut self, header: ProtocolHeader) -> Result<(), Stop> {
        let came = self.next_header().await?;
        match came == header {
            true => Ok(()),
            false => Err(unexpected(&header.to_string(), &came.to_string())),
        }
    }

    /// The next eight octets, which must be a protocol header, of whatever protocol and version.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if they are none, or do not come in time.
    pub async fn next_header(&mut self) -> Result<ProtocolHeader, Stop> {
        let octets = self.read_octets(8).await?;
        let header = octets.first_chunk().and_then(ProtocolHeader::parse);
        header.ok_or_else(|| match octets.is_empty() {
            true => unexpected("a protocol header", "nothing"),
            false => unexpected("a protocol header", &format!("{octets:?}")),
        })
    }

    /// So many octets, whatever they are; fewer if the stream ends or the time is up before.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn read_octets(&mut self, count: usize) -> Result<Bytes, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        let (wire, record) = self.wire()?;
        Ok(wire.read_octets(record, count, deadline).await)
    }

    /// The next SASL frame.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_sasl(&mut self) -> Result<SaslFrame, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        let (wire, record) = self.wire()?;
        let came = match wire.hear(record, deadline).await {
            Heard::Frame(raw) => match frame::decode_sasl(raw) {
                Ok(sasl) => return Ok(sasl),
                Err(error) => format!("a frame that does not decode as such: {error}"),
            },
            Heard::End => "the end of the stream".to_owned(),
            Heard::Nothing => "nothing".to_owned(),
            Heard::NoFrame(why) => why,
        };
        Err(unexpected("a SASL frame", &came))
    }
}

/// The first and only word of PLAIN.
pub fn plain(user: &str, password: &str) -> SaslFrame {
    SaslFrame::Init(SaslInit {
        mechanism: PLAIN,
        initial_response: Some(Bytes::from(format!("\0{user}\0{password}"))),
        hostname: None,
    })
}
