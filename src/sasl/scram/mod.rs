//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it (Y-030).
//!
//! ```text
//! client                                                  server
//! n,,n=user,r=abc                          -- init -->
//!                                     <-- challenge --    r=abcxyz,s=<salt>,i=4096
//! c=biws,r=abcxyz,p=<proof>            -- response -->
//!                <-- additional data of the outcome --    v=<signature>
//! ```
//!
//! Some servers send the last one as a challenge, before the outcome; our client takes either. Channel binding (the mechanisms
//! whose names end in `-PLUS`) is not supported.

pub(super) mod client;
mod hash;
mod keys;
pub(super) mod server;
mod text;
mod users;

pub use hash::ScramHash;
pub use keys::{ScramKeys, ScramKeysFuture};
pub use users::SaltedUsers;

/// The fewest rounds of hashing that we take part in (RFC 7677, section 4).
const MIN_ITERATIONS: u32 = 4096;

/// The most rounds of hashing that a server can make a client do: about half a second.
const MAX_ITERATIONS: u32 = 600_000;
