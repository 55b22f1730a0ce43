//! Processors.
mod balancer;
pub use balancer::LoadBalancing;
