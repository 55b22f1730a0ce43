//! Large bodies are not copied more often than they must be. The allocator counts by thread, so the emulator runs on one of
//! its own.

use std::sync::mpsc;

use allocation_counter::measure;
use amqp10::eventhubs::Event;
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::*;

const BODY: usize = 16 << 20;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An emulator on a thread of its own, until the sender is dropped; and how to connect to it.
fn elsewhere() -> (String, oneshot::Sender<()>) {
    let (told, address) = mpsc::channel();
    let (alive, dropped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let options = EmulatorOptions::default().max_message_size(2 * BODY as u64);
            let emulator = start(options).await;
            told.send(emulator.connection_string_for(HUB)).unwrap();
            let _ = dropped.await;
        });
    });
    (address.recv().unwrap(), alive)
}

#[test]
fn a_large_body_is_sent_without_a_copy_and_received_with_one() {
    let (address, _alive) = elsewhere();
    let runtime = runtime();
    let client = Client::connect(&address, ClientOptions::default());
    let client = runtime.block_on(client).unwrap();
    let producer = producer(&client);
    let mut consumer = runtime.block_on(from_start(&client, "0"));
    runtime
        .block_on(producer.send_to(to("1"), "attached"))
        .unwrap();
    runtime
        .block_on(producer.send_to(to("0"), "attached"))
        .unwrap();
    runtime.block_on(next(&mut consumer));

    let body = Bytes::from(vec![7; BODY]);
    let event = || Event::new(body.clone()).with_property("p", "v");
    // To a partition that nobody reads, so that sending alone is counted.
    let sent = measure(|| {
        let sent = runtime.block_on(soon(producer.send_to(to("1"), event())));
        sent.unwrap();
    });
    println!("sent: {sent:?}");
    assert!(sent.bytes_max < BODY as u64 / 8, "{sent:?}");
    assert!(sent.bytes_total < BODY as u64 / 2, "{sent:?}");

    runtime
        .block_on(soon(producer.send_to(to("0"), event())))
        .unwrap();
    let mut received = None;
    let counted = measure(|| received = Some(runtime.block_on(next(&mut consumer))));
    println!("received: {counted:?}");
    let received = received.unwrap();
    assert_eq!(received.body().len(), BODY);
    // Read buffers, and one buffer that grows to what is joined in it.
    assert!(counted.bytes_total < 6 * BODY as u64, "{counted:?}");
    assert!(counted.bytes_current < 9 * BODY as i64 / 4, "{counted:?}");
    // What is handed out is the joined delivery itself.
    let copies = measure(|| drop((received.body_bytes(), received.body_bytes())));
    assert!(copies.bytes_total < 1000, "{copies:?}");
}
