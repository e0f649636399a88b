//! `squall`: parse, dispatch, map the outcome to an exit code.

mod campaign;
mod check;
mod child;
mod cli;
mod clock;
mod diff;
mod disk;
mod doctor;
mod drive;
mod exam;
mod exit_code;
mod export;
mod failure;
mod help;
mod index;
mod lie;
mod list;
mod members;
mod output;
mod pack;
mod parent;
mod progress;
mod recorder;
mod replay;
mod report;
mod run;
mod serve;
mod services;
mod show;
mod shrink;
mod spec;
mod stall;
mod states;
mod system;
mod test;
mod traces;
mod versions;
mod visited;
mod watch;
mod zoo;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::exit_code::ExitCode;
use crate::failure::Failure;

fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::Valid,
                _ => ExitCode::BadInput,
            };
            // stderr or stdout may be closed: nobody is left to tell.
            let _ = error.print();
            return code.into();
        }
    };
    match dispatch(cli.command) {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print();
            failure.code.into()
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Test(args) => test::test(&args),
        Command::Check(args) => check::command(&args),
        Command::Campaign(args) => campaign::command(&args),
        Command::Shrink(args) => shrink::command(&args),
        Command::Zoo(args) => zoo::command(&args),
        Command::Pack(args) => pack::command(&args),
        Command::Replay(args) => replay::command(&args),
        Command::Show(args) => show::show(&args),
        Command::Log(args) => show::log(&args),
        Command::Diff(args) => diff::command(&args),
        Command::Export(args) => export::command(&args),
        Command::Report(args) => report::command(&args),
        Command::Serve(args) => serve::command(&args),
        Command::Index(args) => index::command(&args),
        Command::System(args) => system::command(&args),
        Command::List(args) => list::list(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Help(args) => help::help(&args),
        Command::Node(args) => {
            squall_raft_node::run(&args).map_err(Failure::harness)?;
            Ok(ExitCode::Valid)
        }
    }
}
