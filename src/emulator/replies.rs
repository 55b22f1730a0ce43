//! On which of a connection's links a reply to a request goes (Event Hubs).

use std::sync::Mutex;

use super::nodes::Node;
use crate::codec::Str;
use crate::lock::lock;
use crate::{Sender, Session};

/// Most links that one connection may open for replies.
const MAX_REPLY_LINKS: usize = 1024;

/// The links of one connection that carry replies.
#[derive(Debug, Default)]
pub(crate) struct ReplyLinks(Mutex<Vec<ReplyLink>>);

/// A link from a node to the peer.
#[derive(Clone, Debug)]
pub(crate) struct ReplyLink {
    pub(crate) node: Node,
    pub(crate) session: Session,
    pub(crate) target: Option<Str>,
    pub(crate) settled: bool,
    pub(crate) sender: Sender,
}

/// There is no room for another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyReplyLinks;

impl ReplyLinks {
    /// Keeps a link until it is closed.
    pub(crate) fn add(&self, link: ReplyLink) -> Result<(), TooManyReplyLinks> {
        let mut links = lock(&self.0);
        links.retain(|link| !link.sender.is_detached());
        if links.len() >= MAX_REPLY_LINKS {
            return Err(TooManyReplyLinks);
        }
        links.push(link);
        Ok(())
    }

    /// The link for a reply of `node` to a request that came in `session`.
    pub(crate) fn find(
        &self,
        node: Node,
        session: &Session,
        reply_to: Option<&str>,
    ) -> Option<ReplyLink> {
        let mut links = lock(&self.0);
        links.retain(|link| !link.sender.is_detached());
        let chosen = choose(reply_to, &links, |link| Terms {
            target: link.target.as_deref(),
            name: link.sender.name(),
            serves: link.node == node && link.session == *session,
        });
        chosen.cloned()
    }
}

/// What counts when a link is chosen.
struct Terms<'a> {
    target: Option<&'a str>,
    name: &'a str,
    /// From the node that replies, in the session of the request.
    serves: bool,
}

/// The newest link whose target is `reply_to`; else whose name is; else that serves the request's node and session.
/// Clients use all three ways.
fn choose<'a, L>(
    reply_to: Option<&str>,
    links: &'a [L],
    terms: impl Fn(&'a L) -> Terms<'a>,
) -> Option<&'a L> {
    let newest =
        |holds: &dyn Fn(Terms<'a>) -> bool| links.iter().rev().find(|link| holds(terms(link)));
    reply_to
        .and_then(|to| {
            newest(&|terms| terms.target == Some(to)).or_else(|| newest(&|terms| terms.name == to))
        })
        .or_else(|| newest(&|terms| terms.serves))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Link = (&'static str, &'static str, bool);

    fn chosen(reply_to: Option<&str>, links: &[Link]) -> Option<usize> {
        let found = choose(reply_to, links, |(target, name, serves)| Terms {
            target: Some(target),
            name,
            serves: *serves,
        })?;
        links.iter().position(|link| std::ptr::eq(link, found))
    }

    const LINKS: &[Link] = &[
        ("rust_amqp_cbs", "a", true),
        ("$cbs", "cbs-1", true),
        ("other", "rust_amqp_cbs", false),
        ("$cbs", "cbs-2", true),
        ("$cbs", "cbs-3", false),
    ];

    #[test]
    fn the_target_comes_before_the_name_and_the_name_before_the_session() {
        assert_eq!(chosen(Some("rust_amqp_cbs"), LINKS), Some(0));
        assert_eq!(chosen(Some("cbs-1"), LINKS), Some(1));
        assert_eq!(chosen(Some("cbs-3"), LINKS), Some(4));
    }

    #[test]
    fn without_a_reply_address_the_newest_of_the_session_is_taken() {
        assert_eq!(chosen(None, LINKS), Some(3));
        assert_eq!(chosen(Some("unknown"), LINKS), Some(3));
        assert_eq!(chosen(None, &[("$cbs", "x", false)]), None);
    }
}
