//! Each fault does what its name says, as a client sees it.

use amqp10::emulator::{Fault, Faults};
use amqp10::eventhubs::ErrorKind;

use super::*;

/// The number of events that a partition holds.
fn held(emulator: &Emulator) -> usize {
    emulator.stored(HUB, "0").len()
}

/// One try, and a short wait for its outcome.
async fn impatient(emulator: &Arc<Emulator>) -> Producer {
    let once = RetryPolicy::never().try_timeout(Duration::from_secs(5));
    let options = options(emulator).retry(once);
    let client = Client::connect(&emulator.connection_string(), options).await;
    producer(&client.unwrap())
}

async fn kind_of_failure(producer: &Producer) -> ErrorKind {
    let sent = producer.send_to(to("0"), "x").await;
    sent.expect_err("a fault was injected").kind()
}

#[tokio::test(start_paused = true)]
async fn a_busy_service_stores_nothing_for_so_many_operations() {
    let emulator = emulator().await;
    let producer = impatient(&emulator).await;
    producer.send_to(to("0"), "x").await.unwrap();
    emulator.inject(Fault::throttle(2).partition("0"));
    producer.send_to(to("1"), "elsewhere").await.unwrap();
    for _ in 0..2 {
        assert_eq!(kind_of_failure(&producer).await, ErrorKind::Busy);
    }
    producer.send_to(to("0"), "x").await.unwrap();
    assert_eq!(held(&emulator), 2);
}

#[tokio::test(start_paused = true)]
async fn lost_outcomes_are_of_stored_events_and_lost_events_are_not_stored() {
    let emulator = emulator().await;
    let producer = impatient(&emulator).await;
    emulator.inject(Fault::lose_outcomes(1));
    assert_eq!(kind_of_failure(&producer).await, ErrorKind::OutcomeUnknown);
    assert_eq!(held(&emulator), 1);
    emulator.inject(Fault::lose_events(1));
    assert_eq!(kind_of_failure(&producer).await, ErrorKind::OutcomeUnknown);
    assert_eq!(held(&emulator), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_outcome_is_waited_for_and_others_overtake_it() {
    let emulator = emulator().await;
    let producer = impatient(&emulator).await;
    let delay = Duration::from_secs(3);
    emulator.inject(Fault::delay_outcomes(1, delay));
    let began = tokio::time::Instant::now();
    let (late, ()) = tokio::join!(producer.send_to(to("0"), "x"), async {
        producer.send_to(to("0"), "x").await.unwrap();
        assert!(began.elapsed() < delay);
    });
    late.unwrap();
    assert!(began.elapsed() >= delay);
}

#[tokio::test(start_paused = true)]
async fn a_plan_happens_when_its_time_has_come() {
    let plan = Faults::plan([
        Fault::lose_outcomes(1).after_operations(3),
        Fault::throttle(1).after(Duration::from_secs(60)),
    ]);
    let emulator = start(EmulatorOptions::default().faults(plan)).await;
    let producer = impatient(&emulator).await;
    // The first operation attaches the link.
    for _ in 0..2 {
        producer.send_to(to("0"), "x").await.unwrap();
    }
    assert_eq!(kind_of_failure(&producer).await, ErrorKind::OutcomeUnknown);
    producer.send_to(to("0"), "x").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kind_of_failure(&producer).await, ErrorKind::Busy);
    let told: Vec<_> = emulator
        .fault_records()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("at operation 3: 1 outcomes lost"),
        "{told:?}"
    );
    assert!(told[1].contains("busy for 1 operations"), "{told:?}");
}

/// What ends or silences a link, with the events that were stored before and after: the consumer gets all of them.
#[tokio::test(start_paused = true)]
async fn a_consumer_outlasts_what_befalls_its_link() {
    let faults = [
        Fault::detach(),
        Fault::cut(0),
        Fault::cut(10),
        Fault::cut_incoming(10),
        Fault::expire_tokens(),
        Fault::silence(),
        Fault::slow(5, Duration::from_secs(1)),
    ];
    for fault in faults {
        let emulator = emulator().await;
        let publishing = client(&emulator).await;
        let client = client(&emulator).await;
        let mut consumer = from_start(&client, "0").await;
        let producer = publishing.producer(ProducerOptions::default().retry_unknown(true));
        publish_numbers(&producer, 0, 3).await;
        for number in 0..3 {
            assert_eq!(text(&next(&mut consumer).await), number.to_string());
        }
        emulator.inject(fault.clone().readers());
        publish_numbers(&producer, 3, 3).await;
        for number in 3..6 {
            let event = tokio::time::timeout(Duration::from_secs(600), consumer.recv()).await;
            let event = event
                .unwrap_or_else(|_| panic!("{fault}: nothing comes"))
                .unwrap();
            assert_eq!(text(&event), number.to_string(), "{fault}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stolen_partition_is_told_and_free_again() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut consumer = from_start(&client, "0").await;
    emulator.inject(Fault::steal().partition("1"));
    emulator.inject(Fault::steal().partition("0"));
    let error = soon(consumer.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{error}");
    from_start(&client, "0").await;
}

#[tokio::test(start_paused = true)]
async fn after_a_calm_nothing_goes_wrong_and_silent_links_speak() {
    let often = amqp10::emulator::FaultRates::none().lose_events(10_000);
    let emulator = start(EmulatorOptions::default().faults(Faults::seed(1).rates(often))).await;
    let client = client(&emulator).await;
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .watchdog(None);
    let mut consumer = client.consumer("0", options).await.unwrap();
    emulator.inject(Fault::silence());
    emulator.inject(Fault::cut(100_000));
    emulator.calm();
    publish_numbers(&producer(&client), 0, 1).await;
    assert_eq!(text(&next(&mut consumer).await), "0");
}

/// Signatures of different keys differ in length, and a stream would be cut elsewhere.
#[tokio::test]
async fn a_seed_chooses_the_key_unless_somebody_did() {
    let seeded = |options: EmulatorOptions| start(options.faults(Faults::seed(7)));
    let first = seeded(EmulatorOptions::default()).await.connection_string();
    let key = |text: &str| text.split("SharedAccessKey=").nth(1).unwrap().to_owned();
    assert_eq!(
        key(&first),
        key(&seeded(EmulatorOptions::default()).await.connection_string())
    );
    let chosen = seeded(EmulatorOptions::default().key("root", "mine")).await;
    assert!(chosen.connection_string().contains("SharedAccessKey=mine;"));
}
