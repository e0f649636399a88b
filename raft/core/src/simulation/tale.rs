//! A run in words, for people who look for the reason of a violation.

use std::fmt::Write as _;

use super::{Observer, StepRecord};
use crate::config::Recovered;
use crate::effects::{Answer, Effects, Input, Role, Transition};
use crate::message::{Envelope, Message};
use crate::raft::Status;
use crate::types::{Entry, NodeId};

/// Writes a line for each input that mattered, and one for each consequence.
#[derive(Debug, Default)]
pub struct Tale {
    /// What it has written.
    pub text: String,
}

impl Observer for Tale {
    fn on_boot(&mut self, node: NodeId, boot: u32, recovered: &Recovered) {
        let log = entries(&recovered.entries);
        let term = recovered.hard_state.term;
        self.line(format!("{node} boots for the {boot}. time in term {term} with [{log}]"));
    }

    fn on_step(&mut self, record: &StepRecord) {
        if record.input == Input::Tick && record.effects == Effects::default() {
            return;
        }
        self.line(format!(
            "{:>9} {} {}",
            millis(record.time),
            who(&record.before),
            input(&record.input)
        ));
        for line in decided(&record.effects) {
            self.line(format!("{:>9}     {line}", ""));
        }
        for envelope in &record.effects.send_now {
            self.line(format!("{:>9}     {}", "", sent(envelope)));
        }
    }

    fn on_durable(&mut self, record: &StepRecord) {
        for line in done(&record.effects) {
            self.line(format!("{:>9} {} durably {line}", millis(record.time), record.node));
        }
    }

    fn on_crash(&mut self, node: NodeId, boot: u32) {
        self.line(format!("{node} crashes in boot {boot}"));
    }
}

impl Tale {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }
}

fn millis(time_us: u64) -> String {
    format!("{}.{:03}", time_us / 1000, time_us % 1000)
}

fn who(status: &Status) -> String {
    let role = match status.role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    };
    format!("{}@{} {role}", status.id, status.term)
}

fn entries(entries: &[Entry]) -> String {
    entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn input(input: &Input) -> String {
    match input {
        Input::Tick => "ticks".to_owned(),
        Input::Receive(envelope) => format!("receives {}", received(envelope)),
        Input::Propose { token, .. } => format!("is given command {}", token.0),
        Input::Read { token } => format!("is asked read {}", token.0),
        Input::Persisted { index, term } => format!("has persisted {index}@{term}"),
    }
}

fn received(envelope: &Envelope) -> String {
    format!("{}@{} → {}", envelope.from, envelope.term, message(&envelope.message))
}

fn sent(envelope: &Envelope) -> String {
    format!("→ {} in term {}: {}", envelope.to, envelope.term, message(&envelope.message))
}

fn message(message: &Message) -> String {
    match message {
        Message::RequestVote { last_log_index, last_log_term, pre_vote } => {
            let pre = if *pre_vote { "pre-" } else { "" };
            format!("RequestVote {pre}vote last {last_log_index}@{last_log_term}")
        }
        Message::RequestVoteReply { vote_granted, pre_vote } => {
            let pre = if *pre_vote { "pre-" } else { "" };
            let word = if *vote_granted { "granted" } else { "denied" };
            format!("{pre}vote {word}")
        }
        Message::AppendEntries {
            prev_log_index,
            prev_log_term,
            entries: list,
            leader_commit,
            round,
        } => {
            let list = entries(list);
            format!(
                "AppendEntries [{list}] after {prev_log_index}@{prev_log_term} commit {leader_commit} round {}",
                round.0
            )
        }
        Message::AppendEntriesAccepted { match_index, round } => {
            format!("accepted up to {match_index} round {}", round.0)
        }
        Message::AppendEntriesRejected { prev_log_index, conflict_term, conflict_index, round } => {
            let term = conflict_term.map_or("none".to_owned(), |term| term.to_string());
            format!(
                "rejected after {prev_log_index}, conflict {conflict_index} of term {term} round {}",
                round.0
            )
        }
        Message::ReadIndex { .. } => "ReadIndex".to_owned(),
        Message::ReadIndexReply { index, .. } => match index {
            Some(index) => format!("ReadIndex is {index}"),
            None => "ReadIndex refused".to_owned(),
        },
    }
}

fn decided(effects: &Effects) -> Vec<String> {
    effects.transitions.iter().map(transition).collect()
}

fn transition(transition: &Transition) -> String {
    match transition {
        Transition::Role { role, term, last_index, last_term } => {
            format!("becomes {role:?} of term {term}, log ends at {last_index}@{last_term}")
        }
        Transition::Commit { index, counted, .. } => {
            let how = if *counted { "by counting" } else { "by word of its leader" };
            format!("commits up to {index} {how}")
        }
    }
}

fn done(effects: &Effects) -> Vec<String> {
    let mut lines = Vec::new();
    let mut persisted = String::new();
    if let Some(state) = effects.persist.hard_state {
        let vote = state.voted_for.map_or("nobody".to_owned(), |id| id.to_string());
        let _ = write!(persisted, "is in term {} with vote for {vote} ", state.term);
    }
    if let Some(from) = effects.persist.truncate_from {
        let _ = write!(persisted, "has cut its log from {from} on ");
    }
    if !effects.persist.append.is_empty() {
        let _ = write!(persisted, "has appended {}", entries(&effects.persist.append));
    }
    if !persisted.is_empty() {
        lines.push(persisted.trim_end().to_owned());
    }
    lines.extend(effects.send.iter().map(sent));
    lines.extend(
        (!effects.apply.is_empty()).then(|| format!("applies {}", entries(&effects.apply))),
    );
    lines.extend(effects.answer.iter().map(answer));
    lines
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Proposed { token, index, term } => {
            format!("has command {} at {index}@{term}", token.0)
        }
        Answer::NotLeader { token, .. } => format!("does not lead, refuses command {}", token.0),
        Answer::ReadReady { token, index, .. } => format!("serves read {} at {index}", token.0),
        Answer::ReadRefused { token, .. } => format!("refuses read {}", token.0),
    }
}
