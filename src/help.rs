//! `squall help`: a command, or a topic.

use clap::CommandFactory;

use crate::cli::{Cli, HelpArgs};
use crate::exit_code::{self, ExitCode};
use crate::failure::Failure;

/// Prints help on stdout.
pub(crate) fn help(args: &HelpArgs) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    let text = match args.topic.as_deref() {
        None => command.render_long_help().to_string(),
        Some("exit-codes") => exit_code::HELP.to_owned(),
        Some(topic) => {
            let known: Vec<String> =
                command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
            match command.find_subcommand_mut(topic) {
                Some(sub) => sub.render_long_help().to_string(),
                None => {
                    let known = known.iter().map(String::as_str).chain(["exit-codes"]);
                    return Err(Failure::unknown("help topic", topic, known));
                }
            }
        }
    };
    crate::output::print(&text);
    Ok(ExitCode::Valid)
}
