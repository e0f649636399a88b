//! How clients talk to etcd: its JSON gateway, over HTTP/1.1, one request and one answer at a time.

mod client;
mod probe;
mod states;
mod wire;

pub use client::EtcdConnect;
pub use probe::EtcdProbe;
pub(crate) use states::states;
