//! What a client counts, seen by a recorder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use amqp10::emulator::Fault;
use amqp10::eventhubs::BatchOptions;
use amqp10::eventhubs::auth::{SasKey, TokenError, TokenFn};
use amqp10::eventhubs::checkpoint::MemoryCheckpointStore;
use amqp10::eventhubs::processor::{Processor, ProcessorOptions};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use super::authorization::{KEY_NAME, key};
use super::*;

/// One value; of a histogram the last.
#[derive(Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        let add = |value| Some((f64::from_bits(value) + by as f64).to_bits());
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn absolute(&self, value: u64) {
        self.set(value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, by: f64) {
        let add = |value| Some((f64::from_bits(value) + by).to_bits());
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn decrement(&self, by: f64) {
        GaugeFn::increment(self, -by);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.set(value);
    }
}

/// Keeps every instrument under its name and the values of its labels.
#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<BTreeMap<String, Arc<Cell>>>>);

impl Notebook {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key.labels().map(|label| format!(" {}", label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn value(&self, name: &str) -> f64 {
        let cells = self.0.lock().unwrap();
        let Some(cell) = cells.get(&format!("eventhubs_{name}")) else {
            panic!("no {name} in {:?}", cells.keys());
        };
        f64::from_bits(cell.0.load(Ordering::Relaxed))
    }

    fn names(&self) -> Vec<String> {
        let cells = self.0.lock().unwrap();
        let name = |key: &String| key.split(' ').next().unwrap().to_owned();
        cells.keys().map(name).collect()
    }
}

impl Recorder for Notebook {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

/// Runs a test whose clients count in the notebook, and no others.
fn counted(test: impl AsyncFnOnce(Notebook)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let notebook = Notebook::default();
    metrics::with_local_recorder(&notebook, || runtime.block_on(test(notebook.clone())));
}

#[test]
fn what_goes_out_and_comes_in_is_counted() {
    counted(async |notebook| {
        let emulator = emulator().await;
        let client = client(&emulator).await;
        let producer = producer(&client);
        producer.send("to any").await.unwrap();
        let mut batch = producer
            .create_batch(BatchOptions::partition("1"))
            .await
            .unwrap();
        for number in 0..10 {
            batch.try_add(number.to_string()).unwrap();
        }
        let (octets, capacity) = (batch.size_in_bytes(), batch.max_size_in_bytes());
        producer.send_batch(batch).await.unwrap();
        assert_eq!(notebook.value("events_sent_total orders "), 1.0);
        assert_eq!(notebook.value("events_sent_total orders 1"), 10.0);
        assert_eq!(notebook.value("bytes_sent_total orders 1"), octets as f64);
        assert_eq!(notebook.value("batch_events orders 1"), 10.0);
        let fill = octets as f64 / capacity as f64;
        assert_eq!(notebook.value("batch_fill_ratio orders 1"), fill);
        assert_eq!(notebook.value("publications_in_flight orders 1"), 0.0);
        assert!(notebook.value("link_credit orders 1") > 0.0);
        let unknown = producer.send_to(to("77"), "x").await;
        assert!(unknown.is_err());
        assert_eq!(notebook.value("send_failures_total orders 77"), 1.0);

        let options = ConsumerOptions::default()
            .position(Position::earliest())
            .track_last_enqueued(true);
        let mut consumer = client.consumer("1", options).await.unwrap();
        let group = "orders 1 $Default";
        for behind in (0..10).rev() {
            consumer.recv().await.unwrap();
            let lag = notebook.value(&format!("consumer_lag_events {group}"));
            assert_eq!(lag, f64::from(behind));
        }
        let received = notebook.value(&format!("events_received_total {group}"));
        assert_eq!(received, 10.0);
        assert!(notebook.value(&format!("bytes_received_total {group}")) > 10.0);
        assert!(
            consumer
                .recv_batch(1, Duration::from_secs(1))
                .await
                .unwrap()
                .is_empty()
        );
        // Topped up when half of it is used.
        assert_eq!(notebook.value(&format!("link_credit {group}")), 290.0);
    });
}

#[test]
fn what_befalls_a_client_is_counted() {
    counted(async |notebook| {
        let clock = simulated_clock();
        let emulator = start(EmulatorOptions::default().clock(clock.clone())).await;
        let text = emulator.connection_string();
        let client = Client::connect(&text, options(&emulator).clock(clock))
            .await
            .unwrap();
        let producer = producer(&client);
        producer.send_to(to("0"), "x").await.unwrap();
        assert_eq!(notebook.value("connects_total orders"), 1.0);
        assert_eq!(notebook.value("links_attached_total orders"), 1.0);
        emulator.close_connections();
        tokio::time::sleep(Duration::from_secs(1)).await;
        producer.send_to(to("0"), "x").await.unwrap();
        assert_eq!(notebook.value("connects_total orders"), 2.0);
        assert_eq!(notebook.value("reconnects_total orders"), 1.0);
        assert!(notebook.value("connections_lost_total orders") >= 1.0);
        tokio::time::sleep(Duration::from_secs(7200)).await;
        assert!(notebook.value("token_renewals_total orders ok") >= 1.0);
        assert_eq!(notebook.value("token_renewals_total orders failed"), 0.0);
    });
}

#[test]
fn partitions_claimed_and_left_are_counted() {
    counted(async |notebook| {
        let emulator = emulator().await;
        let client = client(&emulator).await;
        let store = Arc::new(MemoryCheckpointStore::default());
        let processor = Processor::start(client, store, ProcessorOptions::default()).unwrap();
        let mut held = Vec::new();
        while held.len() < PARTITIONS as usize {
            held.push(soon(processor.next_partition()).await.unwrap());
        }
        let of_group = |name: &str| notebook.value(&format!("{name} orders $Default"));
        assert_eq!(of_group("partitions_claimed_total"), 4.0);
        assert_eq!(of_group("partitions_owned"), 4.0);
        drop(held);
        soon(processor.shutdown(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(of_group("partitions_owned"), 0.0);
        assert_eq!(of_group("partitions_lost_total"), 0.0);
    });
}

#[test]
fn throttles_and_retries_are_counted_one_by_one() {
    counted(async |notebook| {
        let emulator = emulator().await;
        let client = client(&emulator).await;
        let producer = client.producer(ProducerOptions::default().retry_unknown(true));
        producer.send_to(to("0"), "x").await.unwrap();
        let counts =
            || ["throttles", "retries"].map(|name| notebook.value(&format!("{name}_total orders")));
        assert_eq!(counts(), [0.0, 0.0]);
        emulator.inject(Fault::throttle(2));
        producer.send_to(to("0"), "x").await.unwrap();
        assert_eq!(counts(), [2.0, 0.0]);
        emulator.inject(Fault::lose_outcomes(1));
        producer.send_to(to("0"), "x").await.unwrap();
        assert_eq!(counts(), [2.0, 1.0]);
        assert_eq!(notebook.value("events_sent_total orders 0"), 3.0);
        assert_eq!(notebook.value("links_lost_total orders"), 1.0);
    });
}

#[test]
fn renewals_that_fail_are_counted() {
    counted(async |notebook| {
        let clock = simulated_clock();
        let emulator = start(EmulatorOptions::default().clock(clock.clone())).await;
        let text = emulator.connection_string();
        let key = SasKey::new(KEY_NAME, key(&text));
        let asked = AtomicU64::new(0);
        // The second and the third time, there is none.
        let source = TokenFn::new(move |resource: String, now| {
            let token = match asked.fetch_add(1, Ordering::Relaxed) {
                1 | 2 => Err(TokenError::fatal("no token today")),
                _ => Ok(key.sign(&resource, now + Duration::from_secs(3600))),
            };
            async move { token }
        });
        let options = options(&emulator).clock(clock).token_source(source);
        let client = Client::connect(&text, options).await.unwrap();
        // It has a link, whose token is renewed.
        let producer = producer(&client);
        producer.send_to(to("0"), "x").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3500)).await;
        assert_eq!(notebook.value("token_renewals_total orders failed"), 2.0);
        assert_eq!(notebook.value("token_renewals_total orders ok"), 1.0);
    });
}

#[test]
fn partitions_that_another_takes_are_counted_as_lost() {
    counted(async |notebook| {
        let emulator = emulator().await;
        let store = Arc::new(MemoryCheckpointStore::default());
        let processor = async |owner: &str| {
            let options = ProcessorOptions::default().owner(owner);
            Processor::start(client(&emulator).await, store.clone(), options).unwrap()
        };
        let one = processor("one").await;
        let mut held = Vec::new();
        while held.len() < PARTITIONS as usize {
            held.push(soon(one.next_partition()).await.unwrap());
        }
        let two = processor("two").await;
        let mut taken = Vec::new();
        while taken.len() < PARTITIONS as usize / 2 {
            taken.push(two.next_partition().await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        held.retain(|held| held.partition().stop_reason().is_none());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(held.len(), 2);
        let of_group = |name: &str| notebook.value(&format!("{name} orders $Default"));
        assert_eq!(of_group("partitions_lost_total"), 2.0);
        assert_eq!(of_group("partitions_claimed_total"), 6.0);
        assert_eq!(of_group("partitions_owned"), 4.0);
    });
}

/// The table in the module's documentation is all there is, and all of it is.
#[test]
fn every_name_is_in_the_table_and_every_row_is_a_name() {
    counted(async |notebook| {
        let emulator = emulator().await;
        let client = client(&emulator).await;
        producer(&client).send_to(to("0"), "x").await.unwrap();
        let _consumer = from_start(&client, "0").await;
        let store = Arc::new(MemoryCheckpointStore::default());
        let _processor = Processor::start(client, store, ProcessorOptions::default());
        let module = include_str!("../../../src/eventhubs/metrics/mod.rs");
        let rows = module
            .lines()
            .filter_map(|line| line.strip_prefix("//! | `"));
        let mut rows: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
        let mut names = notebook.names();
        names.dedup();
        rows.sort_unstable();
        assert_eq!(names, rows);
    });
}
