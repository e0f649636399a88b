//! Real processes in a sandbox: namespaces, links, supervision, readiness, leftovers.
//!
//! Nothing above this crate knows whether nodes live in namespaces, behind loopback proxies or on other hosts: they see
//! [`Cluster`].

mod attached;
mod control;
mod cut;
mod data;
pub mod doctor;
mod home;
mod launch;
mod leftovers;
mod links;
mod loopback;
mod netlink;
mod node;
mod output;
mod probe;
mod processes;
mod proxy;
mod ready;
mod sandbox;
mod sandboxed;
mod services;
mod supervise;
mod tcp;
mod topology;
mod traffic;

pub use attached::{Argv, AttachPlan, Attached, AttachedNode, run_command};
pub use control::{
    Applied, Cluster, ClusterError, LeaderProbe, Membership, NodeState, Observation, Rejoin,
};
pub use cut::Cut;
pub use data::{DataDirs, PlainDirs};
pub use launch::{Direct, Launch};
pub use leftovers::{Host, Leftovers};
pub use links::{Chosen, Firewall, Iptables, LinkPlane, Netlink, choose};
pub use node::{Invocation, NodePlan, Ready, ReadyCheck, VersionPlan};
pub use proxy::Counters;
pub use sandbox::{Sandbox, SandboxError, Tier, enter, enter_without_namespaces};
pub use sandboxed::{Means, Sandboxed, Stopped};
pub use services::Services;
pub use supervise::Death;
pub use tcp::{Tcp, TcpProfile};
pub use topology::{HUB, Network, Place, address};
pub use traffic::{Delay, Traffic, Treatment};
