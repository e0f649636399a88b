//! Commitment (thesis §3.6.2): how far the log is fixed for ever, and what the state machine gets.

use crate::effects::Transition;
use crate::raft::{Raft, RoleState};
use crate::rules::CommitView;
use crate::types::{Index, NodeId};

impl Raft {
    /// Counts replicas, after one of them has grown.
    ///
    /// A leader may commit before its own disk is done, if a majority of others is (thesis §10.2.1).
    pub(crate) fn advance_leader_commit(&mut self) {
        let RoleState::Leader(leading) = &self.role else { return };
        let match_index = |id: NodeId| match leading.progress.get(&id) {
            Some(progress) => progress.match_index,
            None => self.durable_index,
        };
        let view = CommitView {
            commit_index: self.commit_index,
            term: self.term(),
            log: &self.log,
            membership: &self.membership,
            match_index: &match_index,
        };
        let commit_index = self.rules.leader_commit_index(&view);
        if commit_index != self.commit_index {
            self.commit_to(commit_index, true);
            self.begin_round();
        }
    }

    /// Moves the commit index.
    pub(crate) fn commit_to(&mut self, index: Index, counted: bool) {
        if index == self.commit_index {
            return;
        }
        self.commit_index = index;
        self.effects.transitions.push(Transition::Commit { index, term: self.term(), counted });
    }

    /// Hands the state machine what is committed, in order, each entry once a boot.
    pub(crate) fn apply_committed(&mut self) {
        while self.last_applied < self.commit_index {
            let Some(entry) = self.log.entry(self.last_applied.next()) else { return };
            self.last_applied = entry.index;
            self.effects.apply.push(entry.clone());
        }
    }
}
