//! A node of its own, for the tests of this crate: `squall node` without squall.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use squall_raft_node::NodeArgs;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
}

fn main() -> ExitCode {
    match squall_raft_node::run(&Cli::parse().node) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}
