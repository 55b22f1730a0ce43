//! The processors, as processes that are killed, stopped and started again.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::judge::Ledger;
use super::{Dice, PROCESSORS};

/// How long a processor that was told to stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Crew {
    members: Vec<Member>,
    dice: Dice,
    address: String,
    folder: PathBuf,
    ledger: Arc<Ledger>,
    pub restarts: usize,
}

struct Member {
    name: String,
    process: Child,
    /// Reads what it tells.
    reader: JoinHandle<()>,
}

impl Crew {
    pub fn new(seed: u64, address: &str, folder: &Path, ledger: &Arc<Ledger>) -> io::Result<Self> {
        let mut crew = Self {
            members: Vec::new(),
            dice: Dice(seed ^ 0x5EED),
            address: address.to_owned(),
            folder: folder.to_owned(),
            ledger: ledger.clone(),
            restarts: 0,
        };
        for number in 0..PROCESSORS {
            let member = crew.start(format!("processor-{number}"))?;
            crew.members.push(member);
        }
        Ok(crew)
    }

    /// The names of those that are alive.
    pub fn names(&self) -> Vec<&str> {
        self.members
            .iter()
            .map(|member| member.name.as_str())
            .collect()
    }

    /// Kills or stops one after the other until the end, and starts another in its place.
    pub async fn trouble(&mut self, end: Instant) -> Result<(), Box<dyn Error + Send + Sync>> {
        loop {
            let pause = Duration::from_millis(5_000 + self.dice.roll(10_000));
            // The last ones need time to come to rest.
            if Instant::now() + pause > end {
                sleep_until(end).await;
                return Ok(());
            }
            sleep(pause).await;
            let which = self.dice.roll(PROCESSORS as u64) as usize;
            let member = self.members.swap_remove(which);
            self.restarts += 1;
            // Under its old name, it may take its partitions again at once.
            let name = match self.dice.roll(3) {
                0 => member.name.clone(),
                _ => format!("processor-{}", PROCESSORS + self.restarts),
            };
            match self.dice.roll(2) {
                0 => member.kill().await?,
                _ => member.stop().await?,
            }
            sleep(Duration::from_millis(self.dice.roll(3_000))).await;
            let member = self.start(name)?;
            self.members.push(member);
        }
    }

    pub async fn stop(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for member in self.members {
            member.stop().await?;
        }
        Ok(())
    }

    fn start(&self, name: String) -> io::Result<Member> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--processor", &name, &self.address])
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().expect("it was piped");
        let ledger = self.ledger.clone();
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(id)) = lines.next_line().await {
                ledger.processed(&id);
            }
        });
        Ok(Member {
            name,
            process,
            reader,
        })
    }
}

impl Member {
    async fn kill(mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.process.kill().await?;
        // What it had told before is in the pipe.
        Ok(self.reader.await?)
    }

    /// Ends its input, and waits for its end.
    async fn stop(mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        drop(self.process.stdin.take());
        let Ok(status) = timeout(STOP_TIMEOUT, self.process.wait()).await else {
            return Err(format!("{} did not stop", self.name).into());
        };
        match status?.success() {
            true => Ok(self.reader.await?),
            false => Err(format!("{} has failed", self.name).into()),
        }
    }
}
