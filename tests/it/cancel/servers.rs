//! Futures that start and stop the broker and the emulator.

#[cfg(feature = "broker")]
use amqp10::broker::{Broker, BrokerOptions};
#[cfg(feature = "emulator")]
use amqp10::emulator::{Emulator, EmulatorOptions, HubOptions, Persistence};

use super::*;
#[cfg(feature = "emulator")]
use crate::support::folder::Folder;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        #[cfg(feature = "broker")]
        ("Broker::start", starting_and_stopping_a_broker),
        #[cfg(feature = "broker")]
        ("Broker::in_process", a_broker_in_process_starts_at_once),
        #[cfg(feature = "broker")]
        ("Broker::shutdown", starting_and_stopping_a_broker),
        #[cfg(feature = "emulator")]
        (
            "Emulator::start",
            an_emulator_that_does_not_start_leaves_its_folder_free,
        ),
        #[cfg(feature = "emulator")]
        (
            "Emulator::in_process",
            an_emulator_that_does_not_start_leaves_its_folder_free,
        ),
        #[cfg(feature = "emulator")]
        (
            "Emulator::shutdown",
            an_emulator_stops_although_nobody_waits,
        ),
        #[cfg(feature = "emulator")]
        ("Emulator::create_hub", hubs_come_and_go_as_a_whole),
        #[cfg(feature = "emulator")]
        ("Emulator::delete_hub", hubs_come_and_go_as_a_whole),
    ],
};

#[cfg(feature = "broker")]
#[tokio::test]
async fn starting_and_stopping_a_broker() {
    after_each_poll(async |polls| {
        let Some(broker) = poll_times(polls, Broker::start(BrokerOptions::default())).await else {
            return false;
        };
        let url = format!("amqp://{}", broker.as_ref().unwrap().local_addr().unwrap());
        let options = ConnectionOptions::default();
        let connection = Connection::open(&url, options).await.unwrap();
        let _ = poll_times(1, broker.unwrap().shutdown()).await;
        let closed = timeout(LONG, connection.closed()).await;
        closed.expect("it stops in the background");
        true
    })
    .await;
}

#[cfg(feature = "broker")]
#[tokio::test(start_paused = true)]
async fn a_broker_in_process_starts_at_once() {
    let broker = poll_times(1, Broker::in_process(BrokerOptions::default())).await;
    broker.expect("a broker at the first poll").unwrap();
}

#[cfg(feature = "emulator")]
fn options(folder: &Folder) -> EmulatorOptions {
    let kept = Persistence::new(&folder.0).file_bytes(64 * 1024);
    EmulatorOptions::default()
        .hub("orders", 1)
        .port(0)
        .persistence(kept)
}

/// Starts as soon as whoever stops has left the folder.
#[cfg(feature = "emulator")]
async fn start(options: EmulatorOptions) -> Emulator {
    let starting = async {
        loop {
            match Emulator::in_process(options.clone()).await {
                Ok(emulator) => return emulator,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(LONG, starting).await.expect("the folder is free")
}

#[cfg(feature = "emulator")]
#[tokio::test]
async fn an_emulator_that_does_not_start_leaves_its_folder_free() {
    let folder = Folder::new();
    for is_listening in [true, false] {
        after_each_poll(async |polls| {
            let is_over = match is_listening {
                true => poll_times(polls, Emulator::start(options(&folder)))
                    .await
                    .is_some(),
                false => poll_times(polls, Emulator::in_process(options(&folder)))
                    .await
                    .is_some(),
            };
            start(options(&folder)).await.shutdown().await;
            is_over
        })
        .await;
    }
}

#[cfg(feature = "emulator")]
#[tokio::test]
async fn an_emulator_stops_although_nobody_waits() {
    let folder = Folder::new();
    let polls = after_each_poll(async |polls| {
        let emulator = start(options(&folder)).await;
        let options = ConnectionOptions::default();
        let connection = Connection::open_with_stream(emulator.connect(), options);
        let connection = connection.await.unwrap();
        let stopped = poll_times(polls, emulator.shutdown()).await;
        let closed = timeout(LONG, connection.closed()).await;
        closed.expect("it stops in the background");
        stopped.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[cfg(feature = "emulator")]
#[tokio::test]
async fn hubs_come_and_go_as_a_whole() {
    let folder = Folder::new();
    after_each_poll(async |polls| {
        let emulator = start(options(&folder)).await;
        let is_there = |emulator: &Emulator| emulator.hubs().iter().any(|hub| hub.name == "audit");
        let audit = || HubOptions::new("audit", 2);
        let made = poll_times(polls, emulator.create_hub(audit())).await;
        // The next change waits for the one that nobody waits for.
        match emulator.create_hub(audit()).await {
            Ok(()) => assert!(made.is_none()),
            Err(error) => assert!(error.to_string().contains("audit"), "{error}"),
        }
        assert!(is_there(&emulator));
        let deleted = poll_times(polls, emulator.delete_hub("audit")).await;
        if let Err(error) = emulator.delete_hub("audit").await {
            assert!(error.to_string().contains("audit"), "{error}");
        }
        assert!(!is_there(&emulator));
        emulator.shutdown().await;
        assert!(!is_there(&start(options(&folder)).await));
        made.is_some() && deleted.is_some()
    })
    .await;
}
