//! Why there is no sandbox, and what to do about it.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::libc;
use serde::{Deserialize, Serialize};

use super::setting;

/// Says why the sandbox could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A step failed.
    #[error("failed to {what}")]
    Failed {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
        /// What to do about it.
        remedy: String,
    },
    /// It was called too late.
    #[error("the sandbox must be entered before any thread is started, and there are {0}")]
    Threads(usize),
}

impl SandboxError {
    /// Returns the number of the error as the kernel gave it.
    pub fn errno(&self) -> Option<i32> {
        match self {
            SandboxError::Failed { source, .. } => source.raw_os_error(),
            SandboxError::Threads(_) => None,
        }
    }

    /// Returns what a person can do about it, in one or two sentences.
    pub fn remedy(&self) -> &str {
        match self {
            SandboxError::Failed { remedy, .. } => remedy,
            SandboxError::Threads(_) => "This is a mistake in squall; please report it.",
        }
    }
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Prepare,
    Clone,
    MapIds,
    Tie,
    PrivateRoot,
    MountProc,
    MountRun,
    MountData,
    MakeData,
    Fork,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Prepare => "prepare the sandbox",
            Step::Clone => "make user, mount, PID and network namespaces",
            Step::MapIds => "map our user into the sandbox",
            Step::Tie => "tie the sandbox's life to ours",
            Step::PrivateRoot => "make the sandbox's mounts private",
            Step::MountProc => "mount a fresh /proc in the sandbox",
            Step::MountRun => "mount a private /run in the sandbox",
            Step::MountData => "mount a tmpfs for nodes' data in the sandbox",
            Step::MakeData => "make a directory for nodes' data",
            Step::Fork => "start the harness in the sandbox",
        })
    }
}

/// What init tells outer of its failure, as JSON through a pipe.
#[derive(Serialize, Deserialize)]
struct Word {
    what: String,
    errno: i32,
    remedy: String,
}

pub(super) fn encode(error: &SandboxError) -> String {
    let word = Word {
        what: match error {
            SandboxError::Failed { what, .. } => what.clone(),
            SandboxError::Threads(_) => error.to_string(),
        },
        errno: error.errno().unwrap_or(0),
        remedy: error.remedy().to_owned(),
    };
    serde_json::to_string(&word).expect("a word is plain data")
}

/// Returns the failure that init told of; none where it said nothing, which is well.
pub(super) fn decode(said: &str) -> Option<SandboxError> {
    let Word { what, errno, remedy } = serde_json::from_str(said).ok()?;
    Some(SandboxError::Failed { what, source: io::Error::from_raw_os_error(errno), remedy })
}

/// Makes an error of a failed step.
pub(super) fn io(step: Step) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| {
        let remedy = remedy(step, source.raw_os_error().unwrap_or(0));
        SandboxError::Failed { what: step.to_string(), source, remedy }
    }
}

/// Makes an error of a failed step.
pub(super) fn of(step: Step) -> impl FnOnce(Errno) -> SandboxError {
    move |errno| io(step)(super::plain(errno))
}

/// Looks for what forbids it, and says how to allow it.
fn remedy(step: Step, errno: i32) -> String {
    let denied = errno == libc::EPERM || errno == libc::EACCES;
    let is = |path, value| setting(path).as_deref() == Some(value);
    if errno == libc::ENOSPC || is("/proc/sys/user/max_user_namespaces", "0") {
        return "The limit of namespaces is reached or 0: `sudo sysctl user.max_user_namespaces=15000`, or run \
                as root."
            .into();
    }
    if denied && is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "`sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root.".into();
    }
    if denied && is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "AppArmor restricts user namespaces: `sudo sysctl \
                kernel.apparmor_restrict_unprivileged_userns=0`, or run as root."
            .into();
    }
    if denied && step == Step::MountProc {
        return "Parts of /proc are masked, as in a container: start it with --privileged, or with \
                --security-opt systempaths=unconfined."
            .into();
    }
    if denied {
        return "A container or a security module forbids it: start the container with --privileged, or run \
                squall on the host or in a virtual machine."
            .into();
    }
    if errno == libc::EINVAL || errno == libc::ENOSYS {
        return "The kernel was built without user, PID or network namespaces: use another kernel."
            .into();
    }
    "See the reason above; `squall doctor` says what this machine can do.".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_init_arrives_whole_at_outer() {
        let failed = of(Step::MountProc)(Errno::EPERM);
        let heard = decode(&encode(&failed)).expect("a failure was told");
        assert_eq!(heard.to_string(), failed.to_string());
        assert_eq!(heard.errno(), Some(libc::EPERM));
        assert_eq!(heard.remedy(), failed.remedy());
    }

    #[test]
    fn silence_of_init_is_no_failure() {
        assert!(decode("").is_none());
    }

    #[test]
    fn an_exhausted_limit_names_the_setting() {
        assert!(of(Step::Clone)(Errno::ENOSPC).remedy().contains("user.max_user_namespaces"));
    }
}
