//! `amqp10 conform`: whether a listener or a client keeps to AMQP 1.0.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amqp10::conform::{self, Need, Report, RunOptions, Side, Target};
use amqp10::{TlsConfig, TlsServerConfig};
use clap::ArgGroup;

use crate::failure::{Context, Failure};
use crate::signals::unless_ended;
use crate::target::seconds;

/// Tries, rule by rule, whether a listener or a client keeps to AMQP 1.0.
///
/// A listener is connected to; --node names a queue of it that is empty and takes any message. Clients connect to this
/// program, once for each case: theirs is a program that, again and again, connects, attaches a sender to `conform` and a
/// receiver from `conform`, sends, receives, drains, closes, and connects again when anything fails.
///
///   amqp10 conform localhost:5672 --node orders --user guest --password guest
///   amqp10 conform --client 5672 --without drain
///   amqp10 conform --list --only V-
///
/// Each case ends in pass, FAIL (a MUST is broken), remark (a SHOULD is, or others may stumble) or skip. What does not pass is
/// shown with the octets to try it again.
///
/// Exit status: 0 if no MUST is broken, 1 if one is, or the peer cannot be reached.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(ArgGroup::new("tested").required(true).args(["listener", "client", "list"])))]
pub struct Arguments {
    /// Listener to test
    #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
    listener: Option<(String, u16)>,
    /// Test clients, which connect to this port; 0 picks a free one
    #[arg(long, value_name = "PORT")]
    client: Option<u16>,
    /// Print the cases, and play none
    #[arg(long)]
    list: bool,
    /// Address of the node of the listener that links are attached to
    #[arg(long, value_name = "ADDRESS", default_value = "conform")]
    node: String,
    /// Log in to the listener with this name, by PLAIN
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// The password
    #[arg(long, env = "AMQP10_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Speak TLS with the listener, trusting the certificates in this file (PEM)
    #[arg(long, value_name = "FILE", requires = "listener")]
    ca: Option<PathBuf>,
    /// Speak TLS with clients, with a certificate chain and its key (PEM files)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"], requires = "client")]
    tls: Option<Vec<PathBuf>>,
    /// Only cases with this in their name or rows
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// What the peer does not do: queue, sasl, transactions, sender, receiver, drain, close; cases that need it are skipped
    #[arg(long, value_name = "NEED", value_delimiter = ',')]
    without: Vec<Need>,
    /// The longest wait for an answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    patience: Duration,
    /// How long nothing must come to count as silence
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    silence: Duration,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = arguments.options();
    if arguments.list {
        return list(&options);
    }
    let target = arguments.target().await?;
    let report = unless_ended(play(&target, &options)).await?;
    print(&format!("\n{}\n", report.counts()))?;
    if let Some(file) = &arguments.json {
        write(file, &report.to_json())?;
    }
    if let Some(file) = &arguments.junit {
        write(file, &report.to_junit())?;
    }
    match report.counts().fail {
        0 => Ok(()),
        1 => Err(Failure::new("a MUST of the standard is broken")),
        broken => Err(Failure::new(format!(
            "{broken} cases that the standard insists on failed"
        ))),
    }
}

/// Plays the cases, and says of each what became of it as soon as that is known.
async fn play(target: &Target, options: &RunOptions) -> Result<Report, Failure> {
    let mut report = Report::default();
    for case in conform::cases().filter(|case| case.side == target.side()) {
        if options.selects(case) {
            let played = conform::play(case, target, options).await;
            print(&played.to_string())?;
            report.played.push(played);
        }
    }
    Ok(report)
}

fn list(options: &RunOptions) -> Result<(), Failure> {
    for case in conform::cases().filter(|case| options.selects(case)) {
        let side = match case.side {
            Side::Listener => "listener",
            Side::Client => "client",
        };
        print(&format!("{side:<8}  {}\n", case.name))?;
    }
    Ok(())
}

impl Arguments {
    fn options(&self) -> RunOptions {
        let options = RunOptions::default()
            .patience(self.patience)
            .silence(self.silence);
        match &self.only {
            Some(pattern) => options.only(pattern),
            None => options,
        }
    }

    async fn target(&self) -> Result<Target, Failure> {
        let target = match (&self.listener, self.client) {
            (Some((host, port)), _) => self.listener(host, *port).await?,
            (None, port) => self.clients(port.unwrap_or(0)).await?,
        };
        let target = target
            .node(&self.node)
            .without(self.without.iter().copied());
        Ok(match (&self.user, &self.password) {
            (Some(user), Some(password)) => target.login(user, password),
            _ => target,
        })
    }

    async fn listener(&self, host: &str, port: u16) -> Result<Target, Failure> {
        // One failure now, rather than one for each case.
        let reached = tokio::net::TcpStream::connect((host, port)).await;
        reached.context(format!("cannot connect to {host}:{port}"))?;
        let Some(file) = &self.ca else {
            return Ok(Target::listener(host, port));
        };
        let tried = format!("cannot use the certificates in {}", file.display());
        let pem = std::fs::read(file).context(&tried)?;
        let tls = TlsConfig::with_root_certificates(&pem).context(&tried)?;
        Ok(Target::tls_listener(host, port, tls))
    }

    async fn clients(&self, port: u16) -> Result<Target, Failure> {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let (scheme, listening) = match self.tls.as_deref() {
            Some([certificate, key]) => {
                let chain = read(certificate)?;
                let tls = TlsServerConfig::from_pem(&chain, &read(key)?);
                let tls = tls.context("cannot serve TLS with that certificate")?;
                ("amqps", Target::tls_clients(address, tls).await)
            }
            _ => ("amqp", Target::clients(address).await),
        };
        let (target, address) = listening.context(format!("cannot listen on port {port}"))?;
        print(&format!("{scheme}://localhost:{}\n", address.port()))?;
        Ok(target)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).context(format!("cannot read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).context(format!("cannot write {}", file.display()))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(Failure::output)
}

/// `host:port`, `[::1]:port`, or a host alone with the port of AMQP.
fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port),
        _ => (text, "5672"),
    };
    let port = port.parse().map_err(|_| "expected HOST:PORT".to_owned())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.is_empty() || host.contains('/') {
        true => Err("expected HOST:PORT".to_owned()),
        false => Ok((host.to_owned(), port)),
    }
}
