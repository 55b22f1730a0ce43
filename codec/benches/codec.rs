//! Time and allocations of encoding and decoding: `cargo bench -p amqp10-codec --bench codec`, with parts of the
//! names of operations to measure only those.
//!
//! Prints, for each operation, the octets, nanoseconds (the best of several runs) and allocations it takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use amqp10_codec::{
    Attach, Begin, DeliveryTag, Disposition, Encode, Fields, Flow, Map, Message, Open, Outcome,
    Performative, Properties, Role, Sections, Source, Symbol, Target, Timestamp, Transfer, Value,
    Writer, decode_value, frame,
};
use bytes::{Bytes, BytesMut};

const BODY: usize = 1024;
const RUNS: usize = 400;
const RUN_NANOS: f64 = 300_000.0;

struct CountingAllocator;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// Only the benchmark counts, by wrapping the system's allocator; the crate itself has no unsafe code.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Runs an operation often enough to measure it, and prints what it took. The runs are short and many, and the
/// best one counts, so that other work on the machine does not show.
fn measure(name: &str, octets: usize, mut operation: impl FnMut()) {
    let mut wanted = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    if wanted.peek().is_some() && !wanted.any(|part| name.contains(&part)) {
        return;
    }
    let mut run = |count: u32| {
        let start = Instant::now();
        (0..count).for_each(|_| operation());
        start.elapsed().as_nanos() as f64 / f64::from(count)
    };
    let estimate = (0..20).map(|_| run(64)).fold(f64::INFINITY, f64::min);
    let count = (RUN_NANOS / estimate).max(1.0) as u32;
    let best = (0..RUNS).map(|_| run(count)).fold(f64::INFINITY, f64::min);
    let before = ALLOCATIONS.load(Relaxed);
    run(1024);
    let allocations = (ALLOCATIONS.load(Relaxed) - before) as f64 / 1024.0;
    println!("{name:34} {octets:>7} {best:>10.1} {allocations:>10.2}");
}

fn frame_of(performative: &Performative, payload: &[u8], out: &mut BytesMut) {
    let mark = frame::start(out, frame::TYPE_AMQP, 0);
    performative.encode(&mut Writer::new(out));
    out.extend_from_slice(payload);
    frame::finish(out, mark);
}

/// Encodes into one buffer again and again, and decodes out of a large buffer, as a connection does.
fn measure_frame(name: &str, performative: Performative, payload: &[u8]) {
    let mut one = BytesMut::new();
    frame_of(&performative, payload, &mut one);
    let one = one.freeze();

    let mut out = BytesMut::with_capacity(65536);
    measure(&format!("{name}/encode"), one.len(), || {
        out.clear();
        frame_of(black_box(&performative), payload, &mut out);
        black_box(&out);
    });

    let many = one.repeat(256);
    let mut buffer = BytesMut::new();
    measure(&format!("{name}/decode"), one.len(), || {
        if buffer.is_empty() {
            buffer = BytesMut::from(&many[..]);
        }
        let raw = frame::split(&mut buffer, u32::MAX).unwrap().unwrap();
        black_box(frame::decode_amqp(raw).unwrap());
    });
}

fn open() -> Open {
    Open {
        container_id: "3b1c7e4c-bench-container".into(),
        hostname: Some("localhost".into()),
        max_frame_size: 65536,
        channel_max: 255,
        idle_time_out: Some(60_000),
        properties: Fields::new()
            .with_static("product", "bench")
            .with_static("version", "1.0")
            .with_static("platform", "linux"),
        ..Open::default()
    }
}

fn begin() -> Begin {
    Begin {
        incoming_window: 2048,
        outgoing_window: 2048,
        handle_max: 255,
        ..Begin::default()
    }
}

fn attach() -> Attach {
    Attach {
        source: Some(Source::new("client-local")),
        target: Some(Target::new("eventhub/Partitions/0").into()),
        initial_delivery_count: Some(0),
        max_message_size: Some(1 << 20),
        ..Attach::new("bench-sender", 0, Role::Sender)
    }
}

fn flow() -> Flow {
    Flow {
        next_incoming_id: Some(100),
        incoming_window: 2048,
        outgoing_window: 2048,
        handle: Some(0),
        delivery_count: Some(100),
        link_credit: Some(300),
        ..Flow::default()
    }
}

fn transfer() -> Transfer {
    Transfer {
        delivery_id: Some(7),
        delivery_tag: Some(DeliveryTag::from(7u32.to_be_bytes())),
        message_format: Some(0),
        settled: Some(false),
        batchable: true,
        ..Transfer::default()
    }
}

fn disposition() -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: 1000,
        last: Some(1500),
        settled: true,
        state: Some(Outcome::Accepted.into()),
        batchable: false,
    }
}

fn message() -> Message {
    let properties = Properties {
        message_id: Some("id-0123456789abcdef".into()),
        to: Some("eventhub".into()),
        subject: Some("bench".into()),
        content_type: Some(Symbol::from_static("application/octet-stream")),
        correlation_id: Some(42.into()),
        creation_time: Some(Timestamp(1_700_000_000_000)),
        ..Properties::default()
    };
    Message::data(vec![b'x'; BODY])
        .with_properties(properties)
        .with_application_property("device", "sensor-17")
        .with_application_property("seq", 123_456i32)
        .with_application_property("offset", 9_876_543_210i64)
        .with_application_property("hot", true)
        .with_application_property("temp", 21.5f64)
}

fn list() -> Value {
    let item = |i: u32| match i % 8 {
        0 => Value::Uint(i),
        1 => Value::Ulong(u64::from(i) * 1_000_000_007),
        2 => Value::Long(-i64::from(i)),
        3 => Value::Bool(i % 3 == 0),
        4 => Value::Double(f64::from(i) * 1.5),
        5 => Value::from(format!("string-{i}")),
        6 => Value::Symbol(Symbol::try_from(format!("sym-{i}")).unwrap()),
        _ => Map::new().with("a", i as i32).with("b", "v").into(),
    };
    Value::List((0..1000).map(item).collect())
}

fn measure_message() {
    let message = message();
    let octets = message.to_bytes().unwrap();
    let mut out = BytesMut::with_capacity(65536);
    measure("message/encode", octets.len(), || {
        out.clear();
        black_box(&message).encode(&mut Writer::new(&mut out));
        black_box(&out);
    });
    measure("message/decode all sections", octets.len(), || {
        black_box(Message::decode(black_box(&octets).clone()).unwrap());
    });
    measure("message/decode the body only", octets.len(), || {
        black_box(
            Sections::scan(black_box(&octets).clone())
                .unwrap()
                .body()
                .unwrap(),
        );
    });
}

fn measure_list() {
    let list = list();
    let mut out = BytesMut::with_capacity(65536);
    list.encode(&mut Writer::new(&mut out));
    let octets: Bytes = out.clone().freeze();
    measure("list1000/encode", octets.len(), || {
        out.clear();
        black_box(&list).encode(&mut Writer::new(&mut out));
        black_box(&out);
    });
    measure("list1000/decode", octets.len(), || {
        black_box(decode_value(black_box(&octets).clone()).unwrap());
    });
}

fn main() {
    println!(
        "{:34} {:>7} {:>10} {:>10}",
        "operation", "octets", "ns/op", "allocs/op"
    );
    measure_frame("transfer+1KiB", transfer().into(), &[b'x'; BODY]);
    measure_message();
    measure_list();
    measure_frame("open", open().into(), &[]);
    measure_frame("begin", begin().into(), &[]);
    measure_frame("attach", attach().into(), &[]);
    measure_frame("flow", flow().into(), &[]);
    measure_frame("disposition", disposition().into(), &[]);
}
