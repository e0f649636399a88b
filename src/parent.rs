//! A run that another process manages ends with it, even if that one is killed with SIGKILL.

use anyhow::Context;
use nix::sys::{prctl, signal::Signal};
use nix::unistd::{Pid, getppid};

use crate::failure::Failure;

/// Asks the kernel to end this process when the one that started it ends. The sandbox then ends with this process.
pub(crate) fn die_with_it() -> Result<(), Failure> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGKILL)
        .context("failed to tie this process to the one that started it")
        .map_err(Failure::harness)?;
    // It may have ended before the kernel was asked.
    if getppid() != parent || parent == Pid::from_raw(1) {
        return Err(Failure::harness(anyhow::anyhow!("the process that started this one is gone")));
    }
    Ok(())
}
