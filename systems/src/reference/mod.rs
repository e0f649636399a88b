//! How clients talk to the reference node: JSON lines over TCP, one request and one answer at a time.

mod client;
mod probe;
mod wire;

pub use client::ReferenceConnect;
pub use probe::ReferenceProbe;
pub(crate) use probe::state;

pub use crate::nodes::Addresses;
