//! What one message costs, counted: allocations on the thread that sends or receives, and writes to its stream.
//!
//! The allocator counts by thread, so the peer runs on one of its own, and tests beside this one do not disturb.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use allocation_counter::measure;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, ConnectionOptions, Credit, Listener,
    ListenerOptions, Message, Outcome, Receiver, ReceiverOptions, Sender, SenderOptions,
    SessionOptions, memory,
};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::support::Pair;
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

/// A burst makes buffers grow; heartbeats later they are what they were.
#[test]
fn a_connection_at_rest_gives_back_what_a_burst_took() {
    const BODY: usize = 60_000;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (pair, sender, receiver) = runtime.block_on(async {
        let (near, far) = memory::pipe(4096);
        let options = ConnectionOptions::default;
        let pair = Pair::over(near, far, options(), ListenerOptions::default()).await;
        let session = pair.client.begin(SessionOptions::default()).await.unwrap();
        let (sender, receiver) = tokio::join!(
            session.attach_sender("node", SenderOptions::default()),
            async {
                let link = pair.server.accept_link().await.unwrap();
                link.accept(AcceptLinkOptions::default()).await.unwrap()
            }
        );
        let AcceptedLink::Receiver(receiver) = receiver else {
            panic!("not a receiver")
        };
        (pair, sender.unwrap(), receiver)
    });
    let burst = || {
        runtime.block_on(async {
            let bodies = (0..50).map(|_| sender.send_settled(Message::data(vec![7; BODY])));
            let sending = futures_of(bodies);
            let receiving = async {
                for _ in 0..50 {
                    receiver.recv().await.unwrap();
                }
            };
            tokio::join!(sending, receiving);
        });
    };
    let at_rest = || runtime.block_on(async { tokio::time::sleep(Duration::from_secs(300)).await });
    let after_burst = measure(burst).bytes_current;
    let kept = after_burst + measure(at_rest).bytes_current;
    assert!(
        after_burst > 100_000,
        "the burst keeps {after_burst} octets"
    );
    assert!(kept < 20_000, "{kept} octets are kept");
    drop(pair);
}

/// Runs them one beside the other.
async fn futures_of<F: Future<Output = Result<(), amqp10::SendError>>>(
    futures: impl Iterator<Item = F>,
) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(sent) => {
                sent.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        match futures.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}
