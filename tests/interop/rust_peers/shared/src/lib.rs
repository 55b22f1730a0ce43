//! What the programs on other stacks have in common. `tests/interop/README.md` describes their command line.

mod arguments;
pub mod json;
mod tls;

pub use arguments::{Arguments, End, Node, Outcome, Settling, USER, Verb, Work};
pub use tls::{accept_tls, connect_tls};
pub use tracing_subscriber::filter::LevelFilter;

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

/// Has what the stack complains of, down to a level, written to stderr.
pub fn log(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
}

/// Octets of a body that depend on its number.
pub fn pattern(number: usize, size: usize) -> Vec<u8> {
    (number..number + size)
        .map(|position| (position % 251) as u8)
        .collect()
}

/// Fails unless this is the body of that number.
pub fn expect_pattern(number: u64, size: usize, body: &[u8]) -> Result<()> {
    match body == pattern(number as usize, size) {
        true => Ok(()),
        false => Err(format!("the body of message {number} is another").into()),
    }
}

/// What `send` prints: how many messages had which outcome.
#[derive(Default)]
pub struct Outcomes([usize; 5]);

impl Outcomes {
    pub fn count(&mut self, outcome: Outcome) {
        self.0[outcome as usize] += 1;
    }

    pub fn print(&self) {
        let [accepted, rejected, released, modified, settled] = self.0;
        println!(
            "{}",
            serde_json::json!({ "accepted": accepted, "rejected": rejected, "released": released,
                "modified": modified, "settled": settled })
        );
    }
}

/// What is printed of a message of the pattern.
pub fn print_number(number: u64) {
    println!("{}", serde_json::json!({ "number": number }));
}
