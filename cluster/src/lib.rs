//! Real processes in a sandbox: namespaces, links, supervision, readiness, leftovers.
//!
//! Nothing above this crate knows whether nodes live in namespaces, behind loopback proxies or on other hosts: they see
//! [`Cluster`].

mod control;
mod cut;

pub use control::{Applied, Cluster, ClusterError, LeaderProbe, NodeState, Observation};
pub use cut::Cut;
