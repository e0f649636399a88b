//! Why a command could not do its work, whose fault that is, and what to try next.

use crate::exit_code::ExitCode;

/// An error with the exit code that it ends the process with.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Bad input, or a failure of the harness.
    pub code: ExitCode,
    /// What happened, with its causes.
    pub error: anyhow::Error,
    /// The next thing to try.
    pub hint: Option<String>,
}

impl Failure {
    /// The user's arguments or file are wrong.
    pub(crate) fn bad_input(error: impl Into<anyhow::Error>) -> Failure {
        Failure { code: ExitCode::BadInput, error: error.into(), hint: None }
    }

    /// squall could not do its work.
    pub(crate) fn harness(error: impl Into<anyhow::Error>) -> Failure {
        Failure { code: ExitCode::HarnessFailure, error: error.into(), hint: None }
    }

    /// A name that is not known, with the nearest one that is.
    pub(crate) fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Failure {
        let known: Vec<&str> = known.into_iter().collect();
        let nearest = known
            .iter()
            .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.7);
        let hint = match nearest {
            Some((_, candidate)) => format!("did you mean {candidate}?"),
            None => format!("known: {}", known.join(", ")),
        };
        Failure::bad_input(anyhow::anyhow!("unknown {what} {name:?}")).hint(hint)
    }

    /// Adds the next thing to try.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the error for people, on stderr.
    pub(crate) fn print(&self) {
        eprintln!("squall: {:#}", self.error);
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {hint}");
        }
    }
}

impl From<squall_history::RunDirError> for Failure {
    fn from(error: squall_history::RunDirError) -> Failure {
        Failure::harness(error)
    }
}
