//! What golden scripts print: `n1@3` a server in its term, `7@3` an entry of a term, `[]` a heartbeat.

use squall_raft_core::{
    Answer, Entry, EntryKind, Index, Log, Message, NodeId, Raft, Role, Token, Transition,
};

/// Short names for commands, reads, and followers' names of reads, which are random numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    commands: Vec<String>,
    reads: u64,
    forwarded: Vec<Token>,
}

impl Names {
    /// Tokens below are commands, from here on they are reads.
    const READS: u64 = 1000;

    pub(crate) fn command(&mut self, command: &str) -> Token {
        self.commands.push(command.to_owned());
        Token(self.commands.len() as u64 - 1)
    }

    pub(crate) fn read(&mut self) -> Token {
        self.reads += 1;
        Token(Self::READS + self.reads)
    }

    fn token(&self, token: Token) -> String {
        match token.0.checked_sub(Self::READS) {
            Some(read) => format!("read {read}"),
            None => self.commands[token.0 as usize].clone(),
        }
    }

    fn forwarded(&mut self, token: Token) -> usize {
        let known = self.forwarded.iter().position(|one| *one == token);
        known.unwrap_or_else(|| {
            self.forwarded.push(token);
            self.forwarded.len() - 1
        })
    }

    pub(crate) fn answer(&self, answer: &Answer) -> String {
        match answer {
            Answer::Proposed { token, index, term } => {
                format!("{}: at {index}@{term}", self.token(*token))
            }
            Answer::NotLeader { token, hint } => {
                format!("{}: not here{}", self.token(*token), ask(*hint))
            }
            Answer::ReadReady { token, index, term } => {
                format!("{}: ready at {index}, confirmed in term {term}", self.token(*token))
            }
            Answer::ReadRefused { token, hint } => {
                format!("{}: refused{}", self.token(*token), ask(*hint))
            }
        }
    }

    pub(crate) fn message(&mut self, message: &Message) -> String {
        match message {
            Message::RequestVote { last_log_index, last_log_term, pre_vote } => {
                format!("Request{}Vote last={last_log_index}@{last_log_term}", pre(*pre_vote))
            }
            Message::RequestVoteReply { vote_granted, pre_vote } => {
                let word = if *vote_granted { "granted" } else { "denied" };
                format!("{}Vote {word}", pre(*pre_vote))
            }
            Message::AppendEntries {
                prev_log_index,
                prev_log_term,
                entries,
                leader_commit,
                round,
            } => {
                let prev = format!("{prev_log_index}@{prev_log_term}");
                let list = list(entries);
                let round = rounds(round.0);
                format!("AppendEntries prev={prev} [{list}] commit={leader_commit}{round}")
            }
            Message::AppendEntriesAccepted { match_index, round } => {
                format!("Accepted match={match_index}{}", rounds(round.0))
            }
            Message::AppendEntriesRejected {
                prev_log_index,
                conflict_term,
                conflict_index,
                round,
            } => {
                let conflict = match conflict_term {
                    Some(term) => format!("conflict={conflict_index}@{term}"),
                    None => format!("log ends before {conflict_index}"),
                };
                format!("Rejected prev={prev_log_index} {conflict}{}", rounds(round.0))
            }
            Message::ReadIndex { token } => format!("ReadIndex #{}", self.forwarded(*token)),
            Message::ReadIndexReply { token, index } => {
                let index = index.map_or("refused".to_owned(), |index| index.to_string());
                format!("ReadIndex #{} is {index}", self.forwarded(*token))
            }
        }
    }
}

fn pre(pre_vote: bool) -> &'static str {
    if pre_vote { "Pre" } else { "" }
}

fn ask(hint: Option<NodeId>) -> String {
    hint.map_or(String::new(), |leader| format!(", ask {leader}"))
}

fn rounds(round: u64) -> String {
    if round == 0 { String::new() } else { format!(" round={round}") }
}

fn entry(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::Noop => format!("{entry} -"),
        EntryKind::Command if entry.data.is_empty() => entry.to_string(),
        EntryKind::Command | EntryKind::Config => {
            format!("{entry} {}", String::from_utf8_lossy(&entry.data))
        }
    }
}

fn list(entries: &[Entry]) -> String {
    entries.iter().map(entry).collect::<Vec<_>>().join(", ")
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

pub(crate) fn transition(transition: &Transition, log: &Log) -> String {
    match transition {
        Transition::Role { role: new, last_index, last_term, .. } => {
            format!("becomes {}, its log ends at {last_index}@{last_term}", role(*new))
        }
        Transition::Commit { index, counted, .. } => {
            let what = log.entry(*index).map_or(format!("{index}, which it lacks"), entry);
            let how = if *counted { "" } else { ", says its leader" };
            format!("commits {what}{how}")
        }
    }
}

/// Shows a log with a bar behind the committed part.
pub(crate) fn log(id: NodeId, raft: &Raft) -> String {
    let status = raft.status();
    let mut shown: Vec<String> = raft.log().entries().iter().map(entry).collect();
    let bar = status.commit_index.0.min(status.last_index.0) - raft.log().base().index.0;
    shown.insert(bar as usize, "|".to_owned());
    let line = shown.join("  ");
    let committed_beyond = status.commit_index > status.last_index;
    let end = if committed_beyond { beyond(status.commit_index) } else { String::new() };
    format!("{id}@{}: {line}{end}", status.term)
}

fn beyond(commit_index: Index) -> String {
    format!("  (but {commit_index} is committed)")
}
