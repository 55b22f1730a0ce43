//! What the ends of many links cost, counted in nodes that are looked at.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::broker::filter::Filters;
use crate::broker::queue::DistributionMode;
use crate::broker::subscription::Terminus;
use crate::codec::{Role, Source};

const LINKS: usize = 1000;

fn attach_to(nodes: &mut Nodes, names: impl Iterator<Item = NodeName>) -> Vec<LinkId> {
    let site = Site {
        connection: 1,
        session: 1,
    };
    let attach = |name: NodeName| {
        let identity = LinkIdentity {
            container_id: "client".into(),
            name: name.name.clone(),
            role: Role::Receiver,
        };
        let (link, _expelled) = nodes.announce(identity, site);
        nodes.find(&name).unwrap();
        let (mode, terminus) = (
            DistributionMode::Move,
            Terminus::from(&Source::new(name.name.as_str())),
        );
        nodes
            .attach_consumer(
                link,
                &name,
                mode,
                Filters::default(),
                terminus,
                Arc::default(),
            )
            .unwrap();
        link
    };
    names.map(attach).collect()
}

fn named(kind: NodeKind) -> impl Iterator<Item = NodeName> {
    (0..LINKS).map(move |number| NodeName::new(kind, format!("node {number}").as_str()))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_with_a_thousand_links_costs_a_few_looks_for_each() {
    for kind in [NodeKind::Queue, NodeKind::Topic] {
        let mut nodes = Nodes::new(BrokerOptions::default()).unwrap();
        let links = attach_to(&mut nodes, named(kind));
        for link in links {
            nodes.end_link(link, LinkEnd::ConnectionClosed, Instant::now());
        }
        nodes.end_scope(Scope::Connection(1), Instant::now());
        assert!(
            nodes.by_name.is_empty(),
            "they are deleted with their links"
        );
        assert!(nodes.queues.is_empty() && nodes.subscriptions.len() == 0);
        let looked_at = nodes.looked_at.get();
        assert!(
            looked_at <= 4 * LINKS,
            "{looked_at} looks for {LINKS} links"
        );
    }
}

#[test]
fn a_node_that_nobody_came_to_use_goes_with_the_next_link() {
    let mut nodes = Nodes::new(BrokerOptions::default()).unwrap();
    nodes
        .find(&NodeName::new(NodeKind::Queue, "for nothing"))
        .unwrap();
    let used = NodeName::new(NodeKind::Queue, "used");
    let links = attach_to(&mut nodes, [used.clone(), used.clone()].into_iter());
    nodes.end_link(links[0], LinkEnd::Closed, Instant::now());
    assert_eq!(nodes.by_name.keys().collect::<Vec<_>>(), [&used]);
    nodes.end_link(links[1], LinkEnd::Closed, Instant::now());
    assert!(nodes.by_name.is_empty());
}

#[test]
fn a_link_to_a_node_that_was_deleted_and_made_again_does_not_count_at_the_new_one() {
    let mut nodes = Nodes::new(BrokerOptions::default()).unwrap();
    let name = NodeName::new(NodeKind::Queue, "again");
    let old = attach_to(&mut nodes, [name.clone()].into_iter());
    nodes.delete(&name);
    let new = attach_to(&mut nodes, [name.clone()].into_iter());
    nodes.end_link(old[0], LinkEnd::Expelled, Instant::now());
    assert!(nodes.by_name.contains_key(&name), "the new link uses it");
    nodes.end_link(new[0], LinkEnd::Closed, Instant::now());
    assert!(nodes.by_name.is_empty());
}
