//! The shell's decisions on which safety rests: what reaches the disk, what waits for it, when a client is answered.

use std::fmt;

use squall_raft_core::{HardState, Message};

/// The rules as paper and thesis give them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thesis;

impl ShellRules for Thesis {}

/// The decisions. A planted bug is another implementation of one of them.
pub trait ShellRules: fmt::Debug + Send + Sync {
    /// What is written to disk for a term and vote: both (paper Figure 2, persistent state).
    fn persists(&self, hard_state: HardState) -> HardState {
        hard_state
    }

    /// Whether a message that claims this step must wait until the disk holds it: always (paper Figure 2: "updated on
    /// stable storage before responding to RPCs").
    fn waits_for_disk(&self, _message: &Message) -> bool {
        true
    }

    /// Whether a client is told of its command as soon as the leader's log has it: never, only once it is applied
    /// (paper §5.3: "the leader applies the entry … and returns the result").
    fn answers_on_append(&self) -> bool {
        false
    }

    /// Whether a request that was applied before is answered and not applied again (paper §8, thesis §6.3).
    fn remembers_requests(&self) -> bool {
        true
    }
}
