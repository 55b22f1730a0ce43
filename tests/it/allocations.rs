//! What one message costs, counted: allocations on the thread that sends or receives, and writes to its stream.
//!
//! The allocator counts by thread, so the peer runs on one of its own, and tests beside this one do not disturb.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use allocation_counter::measure;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, ConnectionOptions, Credit, Listener,
    ListenerOptions, Message, Outcome, Receiver, ReceiverOptions, Sender, SenderOptions,
    SessionOptions, memory,
};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::support::io::{Control, Faults, RoughStream};

const IN_FLIGHT: usize = 512;
const WARM_UP: usize = 20_000;
const MESSAGES: usize = 20_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A client on this thread, and a peer on another that accepts whatever it gets, or sends without end.
struct Bench {
    runtime: Runtime,
    connection: Connection,
    control: Arc<Control>,
    peer: JoinHandle<()>,
}

impl Bench {
    fn new() -> Self {
        let (near, far) = memory::pipe(256 << 10);
        let (near, control) = RoughStream::new(near, Faults::default());
        let peer = std::thread::spawn(move || {
            runtime().block_on(async {
                let options = ListenerOptions::default();
                let incoming = Listener::accept_stream(far, &options).await;
                let connection = incoming.unwrap().accept().await.unwrap();
                while let Ok(link) = connection.accept_link().await {
                    let options = AcceptLinkOptions::default()
                        .auto_accept(true)
                        .credit(Credit::Auto(2000));
                    match link.accept(options).await.unwrap() {
                        AcceptedLink::Receiver(receiver) => {
                            tokio::spawn(async move { while receiver.recv().await.is_ok() {} });
                        }
                        AcceptedLink::Sender(sender) => drop(tokio::spawn(send_for_ever(sender))),
                    }
                }
            });
        });
        let runtime = runtime();
        let connection = runtime
            .block_on(Connection::open_with_stream(
                near,
                ConnectionOptions::default(),
            ))
            .unwrap();
        Self {
            runtime,
            connection,
            control,
            peer,
        }
    }

    fn sender(&self) -> Sender {
        self.runtime.block_on(async {
            let session = self
                .connection
                .begin(SessionOptions::default())
                .await
                .unwrap();
            let attached = session
                .attach_sender("node", SenderOptions::default())
                .await;
            attached.unwrap()
        })
    }

    fn receiver(&self) -> Receiver {
        self.runtime.block_on(async {
            let session = self
                .connection
                .begin(SessionOptions::default())
                .await
                .unwrap();
            let options = ReceiverOptions::default().credit(Credit::Auto(1000));
            session.attach_receiver("node", options).await.unwrap()
        })
    }

    /// Allocations and writes for each of the messages of `work`, after a first round of it.
    fn count(&self, mut work: impl AsyncFnMut(usize)) -> (f64, f64) {
        self.runtime.block_on(work(WARM_UP));
        let before = self.control.writes();
        let allocated = measure(|| self.runtime.block_on(work(MESSAGES)));
        let writes = self.control.writes() - before;
        let each = |count: f64| count / MESSAGES as f64;
        (each(allocated.count_total as f64), each(writes as f64))
    }

    fn finish(self) {
        let Self {
            runtime,
            connection,
            peer,
            ..
        } = self;
        let _ = runtime.block_on(connection.close());
        peer.join().unwrap();
    }
}

fn message() -> Message {
    Message::data(Bytes::from_static(&[7; 100]))
}

async fn send_for_ever(sender: Sender) {
    let mut receipts = VecDeque::with_capacity(IN_FLIGHT);
    while let Ok(receipt) = sender.send_with_receipt(message()).await {
        if receipts.len() == IN_FLIGHT {
            let _ = receipts.pop_front().unwrap().await;
        }
        receipts.push_back(receipt);
    }
}

#[test]
fn an_accepted_send_costs_one_allocation_at_most() {
    let bench = Bench::new();
    let sender = bench.sender();
    let mut receipts = VecDeque::with_capacity(IN_FLIGHT);
    let (allocations, writes) = bench.count(async |count| {
        for _ in 0..count {
            if receipts.len() == IN_FLIGHT {
                let receipt: amqp10::Receipt = receipts.pop_front().unwrap();
                assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
            }
            receipts.push_back(sender.send_with_receipt(message()).await.unwrap());
        }
    });
    println!("accepted send: {allocations} allocations, {writes} writes");
    assert!(allocations <= 1.0, "{allocations} allocations");
    assert!(writes <= 0.05, "{writes} writes");
    drop((receipts, sender));
    bench.finish();
}

#[test]
fn tasks_that_each_wait_for_their_outcome_share_writes() {
    let bench = Bench::new();
    let sender = bench.sender();
    let (allocations, writes) = bench.count(async |count| {
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for _ in 0..count / IN_FLIGHT {
                        assert_eq!(sender.send(message()).await.unwrap(), Outcome::Accepted);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("send by tasks: {allocations} allocations, {writes} writes");
    assert!(allocations <= 1.0, "{allocations} allocations");
    assert!(writes <= 0.05, "{writes} writes");
    drop(sender);
    bench.finish();
}

#[test]
fn a_settled_send_costs_no_allocation() {
    let bench = Bench::new();
    let sender = bench.sender();
    let (allocations, writes) = bench.count(async |count| {
        for _ in 0..count {
            sender.send_settled(message()).await.unwrap();
        }
    });
    println!("settled send: {allocations} allocations, {writes} writes");
    // Reading the peer's flows takes a buffer now and then: none belongs to a message.
    assert!(allocations <= 0.02, "{allocations} allocations");
    assert!(writes <= 0.05, "{writes} writes");
    drop(sender);
    bench.finish();
}

#[test]
fn a_received_delivery_costs_one_allocation_at_most() {
    let bench = Bench::new();
    let receiver = bench.receiver();
    let (allocations, writes) = bench.count(async |count| {
        for _ in 0..count {
            let delivery = receiver.recv().await.unwrap();
            assert_eq!(delivery.message().unwrap(), message());
            delivery.accept().unwrap();
        }
    });
    println!("received delivery: {allocations} allocations, {writes} writes");
    assert!(allocations <= 1.0, "{allocations} allocations");
    assert!(writes <= 0.05, "{writes} writes");
    drop(receiver);
    bench.finish();
}
