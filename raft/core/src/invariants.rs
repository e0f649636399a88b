//! Laws within a server's state, and between the state before a step and after it.
//!
//! Nothing here is needed to run; tests look after each step. A law that spans servers is the simulation's
//! (`simulation`, behind a feature of that name).

use std::fmt;

use crate::effects::Role;
use crate::raft::{Raft, Status};
use crate::types::{Index, Term};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name, as verdicts write it where they know it.
    pub law: &'static str,
    /// How it is broken.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.detail)
    }
}

/// What must be remembered of a state to judge the next one.
#[derive(Clone, Debug)]
pub struct Before {
    status: Status,
    /// The terms of the log, from the base on.
    terms: Vec<Term>,
    base: Index,
}

impl Before {
    /// Remembers a state.
    pub fn of(raft: &Raft) -> Before {
        let terms = raft.log().entries().iter().map(|entry| entry.term).collect();
        Before { status: raft.status(), terms, base: raft.log().base().index }
    }

    /// Returns the status as it was.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Remembers a later state, whose log is the same.
    pub fn renew(&mut self, raft: &Raft) {
        self.status = raft.status();
    }

    fn term(&self, index: Index) -> Option<Term> {
        let offset = index.0.checked_sub(self.base.0 + 1)?;
        self.terms.get(offset as usize).copied()
    }
}

fn law(holds: bool, law: &'static str, detail: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { law, detail: detail() }) }
}

/// Checks the laws within a state.
pub fn check_state(raft: &Raft) -> Result<(), Broken> {
    check_order(raft)?;
    check_log(raft)?;
    check_role(raft)?;
    check_progress(raft)
}

/// Checks all laws of a step that owes the disk no change of the log, without going through the log.
pub fn check_quiet_step(before: &Before, raft: &Raft) -> Result<(), Broken> {
    check_order(raft)?;
    check_role(raft)?;
    check_progress(raft)?;
    check_monotone(before, raft)?;
    let (old, new) = (before.status, raft.status());
    let same = (old.last_index, old.last_term) == (new.last_index, new.last_term);
    law(same, "changes-are-persisted", || {
        format!("{}'s log ends at {}, and was not written", new.id, new.last_index)
    })
}

/// Checks the laws between a state and the one before it.
pub fn check_step(before: &Before, raft: &Raft) -> Result<(), Broken> {
    check_monotone(before, raft)?;
    check_committed_prefix(before, raft)?;
    check_leader_append_only(before, raft)
}

fn check_order(raft: &Raft) -> Result<(), Broken> {
    let status = raft.status();
    law(status.commit_index <= status.last_index, "commit-within-log", || {
        format!("{} commits {} of {}", status.id, status.commit_index, status.last_index)
    })?;
    law(status.last_applied <= status.commit_index, "applied-within-commit", || {
        format!("{} applied {}, committed {}", status.id, status.last_applied, status.commit_index)
    })?;
    law(raft.durable_index() <= status.last_index, "durable-within-log", || {
        format!("{} has {} durable of {}", status.id, raft.durable_index(), status.last_index)
    })
}

fn check_log(raft: &Raft) -> Result<(), Broken> {
    let mut prev = raft.log().base();
    for entry in raft.log().entries() {
        law(entry.index == prev.index.next(), "log-without-gaps", || {
            format!("{entry} follows on {prev}")
        })?;
        law(entry.term >= prev.term, "log-terms-rise", || format!("{entry} follows on {prev}"))?;
        prev = entry.position();
    }
    let term = raft.status().term;
    law(prev.term <= term, "log-within-term", || format!("{prev} in term {term}"))
}

fn check_role(raft: &Raft) -> Result<(), Broken> {
    let status = raft.status();
    match status.role {
        Role::Follower => Ok(()),
        Role::PreCandidate => law(status.leader.is_none(), "candidate-knows-no-leader", || {
            format!("{} stands though it follows {:?}", status.id, status.leader)
        }),
        Role::Candidate | Role::Leader => {
            law(status.voted_for == Some(status.id), "candidate-votes-for-itself", || {
                format!("{} has voted for {:?}", status.id, status.voted_for)
            })
        }
    }
}

fn check_progress(raft: &Raft) -> Result<(), Broken> {
    let last_index = raft.log().last_index();
    for (id, progress) in raft.progress() {
        law(
            progress.match_index < progress.next_index
                && progress.match_index <= last_index
                && progress.next_index <= last_index.next(),
            "match-below-next",
            || format!("{id}: {}→{} of {last_index}", progress.match_index, progress.next_index),
        )?;
    }
    Ok(())
}

fn check_monotone(before: &Before, raft: &Raft) -> Result<(), Broken> {
    let (old, new) = (before.status, raft.status());
    law(new.term >= old.term, "monotone-terms", || {
        format!("{} goes from term {} back to {}", new.id, old.term, new.term)
    })?;
    let vote_kept =
        new.term != old.term || old.voted_for.is_none() || new.voted_for == old.voted_for;
    law(vote_kept, "vote-once", || {
        format!(
            "{} voted for {:?} and {:?} in term {}",
            new.id, old.voted_for, new.voted_for, new.term
        )
    })?;
    law(new.commit_index >= old.commit_index, "commit-never-falls", || {
        format!("{} goes from {} back to {}", new.id, old.commit_index, new.commit_index)
    })?;
    law(new.last_applied >= old.last_applied, "applied-never-falls", || {
        format!("{} goes from {} back to {}", new.id, old.last_applied, new.last_applied)
    })
}

fn check_committed_prefix(before: &Before, raft: &Raft) -> Result<(), Broken> {
    let committed = before.base.0 + 1..=before.status.commit_index.0;
    for index in committed.map(Index) {
        law(raft.log().term(index) == before.term(index), "truncate-not-committed", || {
            format!("{} replaced its committed entry {index}", before.status.id)
        })?;
    }
    Ok(())
}

/// A leader's log only grows, from its election on: the step that elects it must keep all, too.
fn check_leader_append_only(before: &Before, raft: &Raft) -> Result<(), Broken> {
    let leader = raft.status();
    if leader.role != Role::Leader {
        return Ok(());
    }
    for index in (before.base.0 + 1..=before.status.last_index.0).map(Index) {
        law(raft.log().term(index) == before.term(index), "leader-append-only", || {
            format!("leader {} of term {} replaced its entry {index}", leader.id, leader.term)
        })?;
    }
    Ok(())
}
