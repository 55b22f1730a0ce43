//! Hostile, broken and merely odd peers: what they send is refused or taken, and costs bounded time and memory.

mod crowd;
