//! How clients talk to the reference node: JSON lines over TCP, one request and one answer at a time.

mod client;
mod probe;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use squall_history::NodeName;

pub use client::ReferenceConnect;
pub use probe::ReferenceProbe;

/// Where each node listens to clients.
pub type Addresses = BTreeMap<NodeName, SocketAddr>;
