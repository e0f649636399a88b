//! Signals while the sandbox is entered: held back, so that none is lost and none ends half a sandbox.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::error::{self, SandboxError, Step};
use super::{SigmaskHow, libc};

/// What outer passes on to the harness.
pub(super) const FORWARDED: [Signal; 4] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Holds back what is forwarded, and the end of children; returns the mask as it was.
pub(super) fn hold() -> Result<SigSet, SandboxError> {
    // A parent may have left SIGCHLD ignored, and children would then vanish without a status.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed: the default action is.
    unsafe { sigaction(Signal::SIGCHLD, &default) }.map_err(error::of(Step::Prepare))?;
    let mut held = SigSet::empty();
    for signal in FORWARDED.into_iter().chain([Signal::SIGCHLD]) {
        held.add(signal);
    }
    held.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(error::of(Step::Prepare))
}

/// Gives the mask back.
pub(super) fn restore(inherited: &SigSet) {
    inherited.thread_set_mask().expect("a mask that was in force is valid");
}

/// Returns what outer waits for: not what our parent wants ignored (`nohup`, a background job of a script).
pub(super) fn held(inherited: &SigSet) -> SigSet {
    let mut held = SigSet::empty();
    held.add(Signal::SIGCHLD);
    for signal in FORWARDED {
        if !is_ignored(signal) && !inherited.contains(signal) {
            held.add(signal);
        }
    }
    held
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: a zeroed sigaction is a valid value of that plain C struct, and sigaction(2) with a null new action only
    // writes the old one into it.
    let (result, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(signal as i32, std::ptr::null(), &mut action), action)
    };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
