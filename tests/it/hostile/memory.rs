//! What each of the named limits costs at most, measured: what a peer made us hold, in octets of the allocator.
//!
//! `cargo test --all-features --test it -- hostile::memory --nocapture` prints the figures that the documentation of `Limits`
//! rounds up.

use allocation_counter::measure;

use amqp10::{Connection, Credit, Limits, OnDrop, ReceiverOptions};
use tokio::runtime::{Builder, Runtime};

use super::sessions::{flood, options};
use super::{Attacked, BOTH, more, settled};
use crate::support::peer::{self, Peer};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Octets that are held after `work` more than before it.
fn held<T>(runtime: &Runtime, work: impl Future<Output = T>) -> (i64, T) {
    let mut output = None;
    let counted = measure(|| output = Some(runtime.block_on(work)));
    (counted.bytes_current, output.expect("it has run"))
}

/// What one of `count` things costs, and whether that is what the documentation says.
fn check(what: &str, octets: i64, count: usize, stated: i64) {
    let each = octets / count as i64;
    println!("{what}: {each} octets each");
    assert!(
        each <= stated,
        "{what}: {each} octets, and {stated} are stated"
    );
}

#[test]
fn a_session_costs_what_is_stated() {
    for attacked in BOTH {
        let runtime = runtime();
        let options = peer::client_options();
        let (mut peer, _connection) = runtime.block_on(attacked.opened(options));
        let (octets, ()) = held(&runtime, async {
            for channel in 0..200 {
                peer.send_on(channel, peer::begin()).await;
                peer.expect_begin().await;
            }
        });
        check("session", octets, 200, 2 << 10);
    }
}

/// Attaches that the peer sends, and whether they are accepted.
async fn attach(
    peer: &mut Peer,
    connection: &Connection,
    count: u32,
    accepts: bool,
) -> Vec<amqp10::AcceptedLink> {
    let mut links = Vec::new();
    for handle in 0..count {
        let attach = amqp10::codec::Attach {
            handle,
            ..peer::attach_sender(&format!("link {handle}"))
        };
        peer.send(attach).await;
        if accepts {
            let link = connection.accept_link().await.unwrap();
            links.push(link.accept(Default::default()).await.unwrap());
            peer.expect_attach().await;
            peer.expect_flow().await;
        }
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    links
}

#[test]
fn a_link_costs_what_is_stated() {
    for (attacked, accepts) in [(BOTH[0], true), (BOTH[1], true), (BOTH[1], false)] {
        let runtime = runtime();
        let options = peer::client_options();
        let (mut peer, connection) = runtime.block_on(attacked.opened(options));
        runtime.block_on(peer.begin_session());
        let work = attach(&mut peer, &connection, 100, accepts);
        let (octets, _links) = held(&runtime, work);
        let what = if accepts { "link" } else { "pending link" };
        check(what, octets, 100, 4 << 10);
    }
}

#[test]
fn an_unsettled_delivery_costs_what_is_stated() {
    const COUNT: usize = 10_000;
    for attacked in BOTH {
        let runtime = runtime();
        let link = ReceiverOptions::default()
            .on_drop(OnDrop::LeaveUnsettled)
            .credit(Credit::Auto(100));
        let received = attacked.receiver(peer::client_options(), link);
        let (mut peer, receiver) = runtime.block_on(received);
        let (octets, ()) = held(&runtime, async {
            for id in 0..COUNT as u32 {
                peer.send_transfer(peer::transfer(id), b"x").await;
                drop(receiver.recv().await.unwrap());
                if id % 40 == 0 {
                    peer.read_what_there_is().await;
                }
            }
        });
        check("unsettled delivery received", octets, COUNT, 128);
    }
}

#[test]
fn an_abandoned_delivery_costs_what_is_stated() {
    const COUNT: usize = 8000;
    for attacked in BOTH {
        let runtime = runtime();
        let (mut peer, sender) = runtime.block_on(attacked.sender(peer::client_options()));
        runtime.block_on(peer.grant(0, COUNT as u32));
        let (octets, ()) = held(&runtime, async {
            for _ in 0..COUNT {
                drop(sender.send_with_receipt("x").await.unwrap());
                peer.expect_transfer().await;
            }
        });
        check("abandoned delivery", octets, COUNT, 192);
    }
}

#[test]
fn a_delivery_under_way_costs_at_most_twice_its_octets() {
    const SIZE: usize = 1 << 20;
    for attacked in BOTH {
        let runtime = runtime();
        let received = attacked.receiver(peer::client_options(), ReceiverOptions::default());
        let (mut peer, _receiver) = runtime.block_on(received);
        let (octets, ()) = held(&runtime, async {
            peer.send_transfer(more(peer::transfer(0)), b"").await;
            for _ in 0..SIZE / 4096 {
                peer.send_transfer(more(peer::continuation()), &[0; 4096])
                    .await;
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        });
        check("octet under way", octets, SIZE, 2);
    }
}

#[test]
fn what_is_queued_costs_at_most_twice_its_octets() {
    const SIZE: usize = 4 << 20;
    for attacked in BOTH {
        for size in [100, 1000, 50_000] {
            let runtime = runtime();
            let mut options = peer::client_options();
            options.limits = Limits::default().max_queued_bytes(SIZE);
            let link = ReceiverOptions::default().credit(Credit::Auto(100_000));
            let (mut peer, _receiver) = runtime.block_on(attacked.receiver(options, link));
            let (octets, ()) = held(&runtime, async {
                // The window stays shut once the limit is reached; a whole window may come then.
                for id in 0..(SIZE / (size + 128)) as u32 {
                    peer.send_transfer(settled(id), &vec![0; size]).await;
                    if id % 100 == 0 {
                        peer.read_what_there_is().await;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            });
            println!("queued, of {size} octets: {octets} octets for {SIZE}");
            assert!(octets < 2 * SIZE as i64, "{octets}");
        }
    }
}

#[test]
fn deliveries_under_way_in_many_sessions_cost_at_most_four_times_their_limit() {
    const LIMIT: usize = 1 << 20;
    for attacked in BOTH {
        let runtime = runtime();
        let options = options(Limits::default().max_partial_delivery_bytes(LIMIT));
        let (mut flood, _connection, _receivers) = runtime.block_on(flood(attacked, options, 64));
        let (octets, ()) = held(&runtime, async {
            for session in 0..64 {
                for _ in 0..32 {
                    assert!(flood.go_on(session, 8000).await);
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        println!("under way in 64 sessions: {octets} octets for {LIMIT}");
        assert!(octets < 4 * LIMIT as i64, "{octets}");
    }
}

#[test]
fn what_is_queued_in_many_sessions_costs_what_is_stated() {
    const LIMIT: usize = 1 << 20;
    for size in [100, 1000, 8000] {
        let runtime = runtime();
        let options = options(Limits::default().max_queued_bytes(LIMIT));
        let (mut flood, _connection, _receivers) =
            runtime.block_on(flood(Attacked::Listener, options, 64));
        let (octets, ()) = held(&runtime, async {
            for session in 0..64 {
                flood.fill(session, size).await;
            }
        });
        let windows: usize = (1..=64).map(|count| 4 * LIMIT / count).sum();
        println!("queued in 64 sessions, of {size} octets: {octets} octets for {LIMIT}");
        assert!(octets < (4 * LIMIT + windows) as i64, "{octets}");
    }
}

#[test]
fn output_that_is_not_read_is_bounded() {
    for attacked in BOTH {
        let runtime = runtime();
        let (mut peer, sender) = runtime.block_on(attacked.sender(peer::client_options()));
        runtime.block_on(peer.grant(0, 100_000));
        let limit = Limits::default().max_output_bytes as i64;
        let sending = runtime
            .spawn(async move { while sender.send_settled(vec![0; 10_000]).await.is_ok() {} });
        let (octets, ()) = held(&runtime, async {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        });
        sending.abort();
        // The pipe of this test holds a mebibyte of it.
        println!("output: {} octets for {limit}", octets - (1 << 20));
        assert!(octets < (1 << 20) + 3 * limit, "{octets}");
    }
}
