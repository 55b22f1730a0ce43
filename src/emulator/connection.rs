//! One peer's connection: its claims, its links for replies, and a task for each of its other links (Event Hubs).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audience::Audience;
use super::claims::Claims;
use super::faults::{LinkEnd, LinkFaults, Site, Wire};
use super::link::{self, within};
use super::login::has_shown_the_key;
use super::namespace::Namespace;
use super::replies::ReplyLinks;
use crate::codec::{AmqpError, condition};

use crate::sasl::Identity;
use crate::{ConnectionError, IncomingConnection};

/// What the links of one connection share.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) claims: Claims,
    pub(crate) replies: ReplyLinks,
    /// Where its stream can be cut.
    wire: Arc<Wire>,
}

impl Peer {
    pub(crate) fn new(namespace: Arc<Namespace>, identity: &Identity, wire: Arc<Wire>) -> Peer {
        let claims = Claims::new(namespace.options.clock.clone());
        if has_shown_the_key(identity) {
            // The first claim of a connection always has room.
            let _ = claims.grant(Audience::namespace(), None);
        }
        Peer {
            namespace,
            claims,
            replies: ReplyLinks::default(),
            wire,
        }
    }

    /// What befalls a link of this peer, from now on.
    pub(crate) fn link_faults(&self, site: Site) -> LinkFaults {
        self.namespace.faults.run_link(site, self.wire.clone())
    }

    /// What the peer hears of a link that a fault ends.
    pub(crate) fn end_by_fault(&self, end: LinkEnd, path: &str) -> AmqpError {
        if end == LinkEnd::TokenExpired {
            self.claims.revoke(path);
        }
        end.error(path)
    }
}

/// Opens a connection and serves it until either side closes it: this side does when `closing` gives a new reason.
pub(crate) async fn serve(
    namespace: Arc<Namespace>,
    incoming: IncomingConnection,
    wire: Arc<Wire>,
    mut closing: watch::Receiver<&'static str>,
) -> Result<(), ConnectionError> {
    let peer = Arc::new(Peer::new(namespace, incoming.identity(), wire));
    let connection = match incoming.accept().await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "a peer went away while its connection was opened");
            return Ok(());
        }
    };
    let mut links = JoinSet::new();
    let mut had_link = false;
    let reason = loop {
        let idle = peer.namespace.options.idle(had_link);
        let limit = idle.filter(|_| links.is_empty());
        tokio::select! {
            biased; // runs of one seed are alike
            changed = closing.changed() => {
                let reason = if changed.is_ok() { *closing.borrow() } else { STOPPED };
                break AmqpError::new(condition::CONNECTION_FORCED, reason);
            }
            // Attaches are answered one after the other, so that a request finds the link for its reply.
            incoming = within(limit, connection.accept_link()) => match incoming {
                Some(Ok(incoming)) => {
                    if let Some(link) = link::admit(&peer, incoming).await {
                        had_link = true;
                        let peer = Arc::clone(&peer);
                        links.spawn(async move { link.run(&peer).await });
                    }
                }
                Some(Err(error)) => {
                    // What came before the end is still served: nobody would repeat what was sent settled.
                    while links.join_next().await.is_some() {}
                    return ended_by_peer(error);
                }
                None => break idle_too_long(idle),
            },
            Some(_) = links.join_next(), if !links.is_empty() => {}
        }
    };
    connection.close_with_error(reason).await
}

/// Why connections are closed when the emulator ends.
pub(crate) const STOPPED: &str = "The emulator is shutting down.";

/// A close by the peer is the usual end; anything else is worth a word.
fn ended_by_peer(error: ConnectionError) -> Result<(), ConnectionError> {
    match error {
        ConnectionError::RemoteClosed(None) => Ok(()),
        error => Err(error),
    }
}

fn idle_too_long(idle: Option<Duration>) -> AmqpError {
    let millis = idle.unwrap_or_default().as_millis();
    let text = format!(
        "The connection was inactive for more than the allowed {millis} milliseconds and is closed by container 'LinkTracker'."
    );
    AmqpError::new(condition::CONNECTION_FORCED, text)
}
