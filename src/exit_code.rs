//! What the process says to the shell that started it.

use serde::{Deserialize, Serialize};
use squall_checker::Verdict;

/// The exit codes of every command. `squall help exit-codes` prints [`HELP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExitCode {
    /// Every judged property holds.
    Valid,
    /// A property was violated.
    Invalid,
    /// Nobody can tell.
    Unknown,
    /// squall itself failed.
    HarnessFailure,
    /// The command line or a file of the user is wrong.
    BadInput,
}

/// The page of `squall help exit-codes`.
pub(crate) const HELP: &str = "\
Exit codes

   0  valid            every property that could be judged holds
   1  invalid          a property was violated; the report shows how
   2  unknown          the run exercised too little, or a check ran out of its budget
   3  harness failure  squall could not do its work (no namespaces, a node that never came up, a full disk)
  64  bad input        wrong arguments, or a file that is not what it should be

Of many runs the worst counts: invalid > harness failure > unknown > valid. A violation is never downgraded because
the machine was slow or a fault did not take hold. `doctor` exits 0 when the default test can run here.
";

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        match verdict {
            Verdict::Valid => ExitCode::Valid,
            Verdict::Invalid => ExitCode::Invalid,
            Verdict::Unknown | Verdict::NotJudged => ExitCode::Unknown,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(match code {
            ExitCode::Valid => 0,
            ExitCode::Invalid => 1,
            ExitCode::Unknown => 2,
            ExitCode::HarnessFailure => 3,
            ExitCode::BadInput => 64,
        })
    }
}

impl ExitCode {
    /// Returns what a run in a process of its own ended with; one that was killed is a failure of the harness.
    pub(crate) fn from_status(status: std::process::ExitStatus) -> ExitCode {
        match status.code() {
            Some(0) => ExitCode::Valid,
            Some(1) => ExitCode::Invalid,
            Some(2) => ExitCode::Unknown,
            Some(64) => ExitCode::BadInput,
            _ => ExitCode::HarnessFailure,
        }
    }

    /// Returns the worse of two runs.
    pub(crate) fn worst(self, other: ExitCode) -> ExitCode {
        let badness = |code: ExitCode| match code {
            ExitCode::Valid => 0,
            ExitCode::Unknown => 1,
            ExitCode::HarnessFailure => 2,
            ExitCode::Invalid => 3,
            ExitCode::BadInput => 4,
        };
        if badness(other) > badness(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode::{HarnessFailure, Invalid, Unknown, Valid};

    #[test]
    fn a_violation_outweighs_a_harness_failure_and_that_outweighs_doubt() {
        assert_eq!(Invalid.worst(HarnessFailure), Invalid);
        assert_eq!(Unknown.worst(HarnessFailure), HarnessFailure);
        assert_eq!(Unknown.worst(Valid), Unknown);
        assert_eq!(Valid.worst(Valid), Valid);
    }
}
