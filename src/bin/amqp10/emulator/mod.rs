//! `amqp10 emulator`: an Event Hubs namespace as a program.

mod quantity;
mod rules;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use amqp10::TlsServerConfig;
use amqp10::emulator::{Emulator, EmulatorOptions, HubOptions, Persistence, ROOT_KEY_NAME};

use self::rules::Rules;
use crate::failure::{Context, Failure};
use crate::signals::ended_from_outside;

/// Runs an Event Hubs namespace on this machine until it is interrupted.
///
/// The first line of its output is the connection string, for this tool and for any Event Hubs client that speaks AMQP. With
/// one hub, the string names it (EntityPath); with several, clients say which one they mean.
///
///   amqp10 emulator --hub orders:4 --hub audit:1 --group orders:billing
///
/// Events are kept in memory, or with --data in a folder, where they survive the end of the program.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 5672)]
    port: u16,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// A hub and its number of partitions; may be repeated [default: events:4]
    #[arg(long = "hub", value_name = "NAME:PARTITIONS", value_parser = hub)]
    hubs: Vec<(String, u32)>,
    /// A consumer group of a hub, besides $Default; may be repeated
    #[arg(long = "group", value_name = "HUB:GROUP", value_parser = group)]
    groups: Vec<(String, String)>,
    /// Configuration file of the official emulator: more hubs and their consumer groups. The key is then that emulator's,
    /// SAS_KEY_VALUE, unless --key is another: connection strings written for it can be used as they are
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in this folder, and find it there the next time
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// With --data: acknowledge events when the storage device has them, so that they survive a power cut
    #[arg(long, requires = "data")]
    sync: bool,
    /// Answer GET /health on this port [the official emulator: 5300]
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// Serve TLS with a certificate for localhost made now; the file is written, for clients to trust
    #[arg(long, value_name = "CA_FILE", conflicts_with = "tls")]
    generate_tls: Option<PathBuf>,
    /// Serve TLS, with a certificate chain and its key (PEM files)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Value of the shared access key, any text [default: a new random one each time, or of --fault-seed]
    #[arg(long, env = "AMQP10_EMULATOR_KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    rules: Rules,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let emulator = Emulator::start(arguments.options()?).await?;
    if emulator.hubs().is_empty() {
        let (name, partitions) = DEFAULT_HUB;
        emulator
            .create_hub(HubOptions::new(name, partitions))
            .await?;
    }
    if let (Some(file), Some(authority)) = (&arguments.generate_tls, emulator.ca_pem()) {
        std::fs::write(file, authority).context(format!("cannot write {}", file.display()))?;
    }
    let connection_string = match emulator.hubs().as_slice() {
        [hub] => emulator.connection_string_for(&hub.name),
        _ => emulator.connection_string(),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{connection_string}")
        .and_then(|()| stdout.flush())
        .map_err(Failure::output)?;
    ended_from_outside().await;
    emulator.shutdown().await;
    Ok(())
}

const DEFAULT_HUB: (&str, u32) = ("events", 4);

/// The text of the official emulator's key, the same everywhere: no secret.
const OFFICIAL_KEY_VALUE: &str = "SAS_KEY_VALUE";

impl Arguments {
    fn options(&self) -> Result<EmulatorOptions, Failure> {
        let mut options = self.configured()?;
        options = options.address(SocketAddr::new(self.bind, self.port));
        for (name, partitions) in &self.hubs {
            options = options.hub(name, *partitions);
        }
        for (hub, group) in &self.groups {
            let mut hubs = options.hubs.iter();
            if !hubs.any(|present| present.name.eq_ignore_ascii_case(hub)) {
                return Err(Failure::new(format!(
                    "--group {hub}:{group} names a hub that is not there: add --hub {hub}:PARTITIONS"
                )));
            }
            options = options.consumer_group(hub, group);
        }
        if let Some(key) = &self.key {
            let name = options.key_name.clone();
            options = options.key(name, key);
        }
        if let Some(folder) = &self.data {
            options = options.persistence(Persistence::new(folder).sync(self.sync));
        }
        if let Some(port) = self.health_port {
            options = options.health_address(SocketAddr::new(self.bind, port));
        }
        if self.generate_tls.is_some() {
            options = options.tls_generated();
        }
        options = self.rules.apply(options);
        if let Some([certificate, key]) = self.tls.as_deref() {
            let chain = std::fs::read(certificate)
                .context(format!("cannot read {}", certificate.display()))?;
            let key = std::fs::read(key).context(format!("cannot read {}", key.display()))?;
            let tls = TlsServerConfig::from_pem(&chain, &key);
            options = options.tls(tls.context("cannot serve TLS with that certificate")?);
        }
        Ok(options)
    }

    /// What the configuration file says, if there is one.
    fn configured(&self) -> Result<EmulatorOptions, Failure> {
        let Some(file) = &self.config else {
            return Ok(EmulatorOptions::default());
        };
        let text =
            std::fs::read_to_string(file).context(format!("cannot read {}", file.display()))?;
        let options =
            EmulatorOptions::from_json(&text).context(format!("cannot use {}", file.display()))?;
        Ok(options.key(ROOT_KEY_NAME, OFFICIAL_KEY_VALUE))
    }
}

fn hub(text: &str) -> Result<(String, u32), String> {
    let expected = || "expected NAME:PARTITIONS, for example orders:4".to_owned();
    let (name, partitions) = text.rsplit_once(':').ok_or_else(expected)?;
    let partitions = partitions.parse().map_err(|_| expected())?;
    Ok((name.to_owned(), partitions))
}

fn group(text: &str) -> Result<(String, String), String> {
    let (hub, group) = text
        .split_once(':')
        .ok_or("expected HUB:GROUP, for example orders:billing")?;
    Ok((hub.to_owned(), group.to_owned()))
}
