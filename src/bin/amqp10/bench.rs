//! `amqp10 bench`: how many messages a second, over one connection, one session and one link.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use amqp10::codec::Role;
use amqp10::sasl::SaslMechanism;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, ConnectionOptions, Credentials, Credit, Listener,
    ListenerOptions, Outcome, Receipt, Receiver, ReceiverOptions, SaslServerOptions, Sender,
    SenderOptions, Session, SessionOptions,
};
use bytes::Bytes;
use clap::ValueEnum;
use tokio::runtime::Runtime;

use crate::failure::Failure;
use crate::target;

/// How long the peer may neither give credit, nor settle or send a message.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// With more messages than this, latencies are not kept.
const MAX_LATENCIES: u64 = 200_000;

/// Measures throughput, or latency with a window of 1.
///
/// `send` connects, sends COUNT messages with WINDOW of them unsettled at most, and prints the result as one line of JSON.
/// `recv` listens, takes one connection and one link, accepts each message, prints nothing and ends with the connection.
/// `pull` connects and receives from a node of a broker, accepting each message, and prints its own line.
///
/// To measure this stack against itself, run `amqp10 bench recv 127.0.0.1:5680 1000000 100 1000` in one terminal, and the
/// same with `send` in another.
#[derive(clap::Args)]
#[command(after_help = "\
Environment:
  SASL=1     log in with SASL PLAIN as guest/guest; otherwise AMQP is spoken without SASL
  RT=multi   two worker threads in place of one
  CREDIT=N   link credit of the receiver; otherwise max(2 * WINDOW, 10)")]
pub struct Arguments {
    /// Which end to be
    mode: Mode,
    /// Where to connect or to listen, as HOST:PORT
    address: String,
    /// Messages in all
    count: u64,
    /// Octets of each message's body, one data section
    #[arg(value_parser = target::octets)]
    size: usize,
    /// Messages that may be unsettled at a time; 1 measures latency
    #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(u32::MAX / 2)))]
    window: u32,
    /// Address of the node to send to or to receive from
    #[arg(default_value = "bench")]
    node: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Connect and send
    Send,
    /// Listen and receive
    Recv,
    /// Connect and receive
    Pull,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match arguments.mode {
            Mode::Send => send(arguments).await,
            Mode::Recv => listen(arguments).await,
            Mode::Pull => pull(arguments).await,
        }
    })
}

fn runtime() -> Result<Runtime, Failure> {
    let mut builder = match std::env::var("RT").as_deref() {
        Ok("multi") => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    Ok(builder.worker_threads(2).enable_all().build()?)
}

impl Arguments {
    fn credit(&self) -> Credit {
        let given = std::env::var("CREDIT")
            .ok()
            .and_then(|credit| credit.parse().ok());
        Credit::Auto(given.unwrap_or((2 * self.window).max(10)))
    }

    async fn connect(&self) -> Result<(Connection, Session), Failure> {
        let credentials = match std::env::var_os("SASL") {
            Some(_) => Credentials::plain("guest", "guest"),
            None => Credentials::None,
        };
        let options = ConnectionOptions::default()
            .credentials(credentials)
            .allow_plain_without_tls(true);
        let connection = Connection::open(&format!("amqp://{}", self.address), options).await?;
        let session = connection.begin(SessionOptions::default()).await?;
        Ok((connection, session))
    }
}

async fn send(arguments: &Arguments) -> Result<(), Failure> {
    let (connection, session) = arguments.connect().await?;
    let sender = session
        .attach_sender(arguments.node.as_str(), SenderOptions::default())
        .await?;
    let body = Bytes::from(vec![b'x'; arguments.size]);
    let mut meter = Meter::start(arguments.count);
    let progress = Cell::new(0);
    if arguments.window <= 1 {
        let sent = send_one_by_one(&sender, &body, &mut meter, &progress);
        unless_silent(&progress, sent).await?;
    } else {
        let sent = send_pipelined(&sender, &body, arguments, &progress);
        unless_silent(&progress, sent).await?;
    }
    meter.print("amqp10")?;
    sender.close().await?;
    connection.close().await?;
    Ok(())
}

async fn send_one_by_one(
    sender: &Sender,
    body: &Bytes,
    meter: &mut Meter,
    progress: &Cell<u64>,
) -> Result<(), Failure> {
    for _ in 0..meter.count {
        let start = Instant::now();
        expect_accepted(sender.send(body.clone()).await?)?;
        meter.add_latency(start.elapsed());
        progress.set(progress.get() + 1);
    }
    Ok(())
}

async fn send_pipelined(
    sender: &Sender,
    body: &Bytes,
    arguments: &Arguments,
    progress: &Cell<u64>,
) -> Result<(), Failure> {
    let window = arguments.window as usize;
    let mut in_flight: VecDeque<Receipt> = VecDeque::new();
    for _ in 0..arguments.count {
        if in_flight.len() >= window
            && let Some(oldest) = in_flight.pop_front()
        {
            expect_accepted(oldest.await?)?;
            progress.set(progress.get() + 1);
        }
        in_flight.push_back(sender.send_with_receipt(body.clone()).await?);
        progress.set(progress.get() + 1);
    }
    for receipt in in_flight {
        expect_accepted(receipt.await?)?;
        progress.set(progress.get() + 1);
    }
    Ok(())
}

fn expect_accepted(outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Accepted => Ok(()),
        other => Err(Failure::new(format!(
            "a message was not accepted: {other:?}"
        ))),
    }
}

async fn listen(arguments: &Arguments) -> Result<(), Failure> {
    // Clients with SASL and without it are both welcome: this listener takes one connection and ends.
    let sasl = SaslServerOptions::default()
        .mechanisms([SaslMechanism::Anonymous, SaslMechanism::Plain])
        .require(false);
    let options = ListenerOptions::default().sasl(sasl);
    let listener = Listener::bind(arguments.address.as_str(), options).await?;
    let connection = listener.accept().await?.accept().await?;
    drop(listener);
    let no_messages = Cell::new(0);
    let attached = async { Ok(connection.accept_link().await?) };
    let link = unless_silent(&no_messages, attached).await?;
    if link.attach().role == Role::Receiver {
        return Err(Failure::new(
            "the peer attached a receiver; `send` is expected",
        ));
    }
    let options = AcceptLinkOptions::default().credit(arguments.credit());
    if let AcceptedLink::Receiver(receiver) = link.accept(options).await? {
        receive(&receiver, arguments).await?;
    }
    // The sender closes, once it has read the last outcome.
    let closed = async {
        connection.closed().await;
        Ok(())
    };
    unless_silent(&no_messages, closed).await
}

async fn pull(arguments: &Arguments) -> Result<(), Failure> {
    let (connection, session) = arguments.connect().await?;
    let options = ReceiverOptions::default().credit(arguments.credit());
    let receiver = session
        .attach_receiver(arguments.node.as_str(), options)
        .await?;
    let meter = Meter::start(arguments.count);
    receive(&receiver, arguments).await?;
    meter.print("amqp10-pull")?;
    receiver.close().await?;
    connection.close().await?;
    Ok(())
}

async fn receive(receiver: &Receiver, arguments: &Arguments) -> Result<(), Failure> {
    let progress = Cell::new(0);
    unless_silent(&progress, receive_all(receiver, arguments, &progress)).await
}

async fn receive_all(
    receiver: &Receiver,
    arguments: &Arguments,
    progress: &Cell<u64>,
) -> Result<(), Failure> {
    for _ in 0..arguments.count {
        let delivery = receiver.recv().await?;
        let body = delivery.sections()?.body()?;
        if body.as_data().map(Bytes::len) != Some(arguments.size) {
            return Err(Failure::new(format!(
                "a message does not have a body of {} octets",
                arguments.size
            )));
        }
        delivery.accept()?;
        progress.set(progress.get() + 1);
    }
    Ok(())
}

/// The result of `work`, unless the `progress` that it counts stands still for too long. One watch for all messages costs each of them nothing
/// but the counting, where a timer for each would be measured too.
async fn unless_silent<T>(
    progress: &Cell<u64>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        result = work => result,
        () = silence(progress) => Err(Failure::new(format!(
            "nothing came from the peer for {} s",
            MAX_SILENCE.as_secs()
        ))),
    }
}

async fn silence(progress: &Cell<u64>) {
    let (mut last, mut since) = (progress.get(), tokio::time::Instant::now());
    while since.elapsed() < MAX_SILENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if progress.get() != last {
            (last, since) = (progress.get(), tokio::time::Instant::now());
        }
    }
}

/// Time since the first message, and the latency of each.
struct Meter {
    start: Instant,
    count: u64,
    latencies: Vec<Duration>,
}

impl Meter {
    fn start(count: u64) -> Self {
        Self {
            start: Instant::now(),
            count,
            latencies: Vec::new(),
        }
    }

    fn add_latency(&mut self, latency: Duration) {
        if self.count <= MAX_LATENCIES {
            self.latencies.push(latency);
        }
    }

    fn print(mut self, peer: &str) -> Result<(), Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut line = serde_json::json!({
            "peer": peer,
            "count": self.count,
            "seconds": rounded(seconds, 4),
            "msgs_per_s": (self.count as f64 / seconds).round() as u64,
        });
        self.latencies.sort_unstable();
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            let rank = (self.latencies.len().saturating_sub(1) as f64 * quantile) as usize;
            if let Some(latency) = self.latencies.get(rank) {
                line[name] = rounded(latency.as_secs_f64() * 1e6, 1).into();
            }
        }
        writeln!(std::io::stdout(), "{line}").map_err(Failure::output)
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_work_but_slowness_does_not() {
        let start = tokio::time::Instant::now();
        let progress = Cell::new(0);
        let slow_then_silent = async {
            for number in 1..=5 {
                tokio::time::sleep(MAX_SILENCE - Duration::from_secs(2)).await;
                progress.set(number);
            }
            pending::<Result<(), Failure>>().await
        };
        let Err(Failure::Said(message)) = unless_silent(&progress, slow_then_silent).await else {
            panic!("it was silent");
        };
        assert!(message.contains("for 60 s"), "{message}");
        assert_eq!(progress.get(), 5);
        let silent = start.elapsed() - 5 * (MAX_SILENCE - Duration::from_secs(2));
        assert!(silent <= MAX_SILENCE + Duration::from_secs(2), "{silent:?}");
    }
}
