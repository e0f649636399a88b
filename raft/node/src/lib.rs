//! A node of the reference Raft, as a process.
//!
//! [`raft/core`](squall_raft_core) decides; this shell carries out. [`server`] is the one loop; around it stand the
//! connections to peers ([`wire`] is what they speak), the write-ahead log ([`disk`]), the state machine ([`kv`],
//! [`session`]), the client port ([`protocol`]) and the trace ([`trace`]). What the shell decides for itself, where safety
//! rests on it, is in [`rules`]; [`planted`] holds wrong answers to the same questions.

pub mod command;
mod config;
pub mod disk;
pub mod kv;
mod peer;
pub mod planted;
mod port;
pub mod protocol;
pub mod rules;
pub mod server;
pub mod session;
mod ticks;
pub mod trace;
mod waiters;
pub mod wire;

pub use config::{ConfigError, NodeArgs, NodeConfig, TICK};
pub use server::ServerError;

/// Says why a node did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A flag is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It could not serve any longer.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Runs a node until it fails or is killed.
pub fn run(args: &NodeArgs) -> Result<(), NodeError> {
    let config = args.resolve()?;
    let trace = std::env::var_os("SQUALL_TRACE").map(std::path::PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    runtime.block_on(server::serve(config, trace.as_deref()))?;
    Ok(())
}
