//! A connection as a client, with one session.

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::{SaslProfile, SaslScramSha256};
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Session};
use shared::{Arguments, Node, Result, connect_tls};
use tokio::net::TcpStream;

pub struct Client {
    pub address: String,
    pub session: SessionHandle<()>,
    connection: ConnectionHandle<()>,
}

impl Client {
    pub async fn open(arguments: &Arguments, node: &Node) -> Result<Self> {
        let host = node.url.host_str().ok_or("no host")?;
        let stream = TcpStream::connect((host, node.url.port().unwrap_or(5672))).await?;
        stream.set_nodelay(true)?;
        let mut builder = Connection::builder().container_id("fe2o3").hostname(host);
        if let Some(octets) = arguments.max_frame_size {
            builder = builder.max_frame_size(octets);
        }
        if let Some(profile) = profile(&arguments.mechanism, node)? {
            builder = builder.sasl_profile(profile);
        }
        let mut connection = match node.url.scheme() {
            "amqps" => {
                let stream = connect_tls(arguments, host, stream).await?;
                builder.open_with_stream(stream).await?
            }
            _ => builder.open_with_stream(stream).await?,
        };
        Ok(Self {
            address: node.address.clone(),
            session: Session::begin(&mut connection).await?,
            connection,
        })
    }

    pub async fn close(mut self) -> Result<()> {
        self.session.end().await?;
        self.connection.close().await?;
        Ok(())
    }
}

fn profile(mechanism: &str, node: &Node) -> Result<Option<SaslProfile>> {
    let (username, password) = node.login();
    Ok(match mechanism {
        "NONE" => None,
        "ANONYMOUS" => Some(SaslProfile::Anonymous),
        "PLAIN" => Some(SaslProfile::Plain { username, password }),
        "EXTERNAL" => Some(SaslProfile::External),
        "SCRAM-SHA-256" => Some(SaslScramSha256::new(username, password).into()),
        other => return Err(format!("no mechanism: {other}").into()),
    })
}
