//! Tells in our words what a foreign trace shows, and no more than that.
//!
//! Such a trace is a series of moments: what a node is at each of its lines. What changed between two of them is told
//! where it can be told truly.
//!
//! - **Logs.** A log is known only as far as its terms are: a leader's own entries; its last one at its election, which it
//!   names when it asks for votes; and those that it names when it sends entries. Where a log may have changed without a
//!   word, a number of `seq` is left out, at which the judge forgets it.
//! - **Votes and acknowledgements.** One that was queued may die with its boot before it is durable and sent. So it is told
//!   where it arrives, in the boot that its giver is in: what was sent once binds all later boots. A vote that changes
//!   within a boot is told at once.
//! - **Terms.** Within a boot they are told as they come. They bind later boots where a boot recovered them, or a vote or an
//!   acknowledgement in them arrived.

use std::collections::BTreeMap;

use super::super::{FORMAT, Header, Line, LogPosition, Missing, Survey, Trace};
use super::node::{At, Node, Told};
use crate::NodeName;

/// What a node is at a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) term: u64,
    /// Its vote in that term, in memory; nothing where it has none, or does not say.
    pub(super) vote: Option<NodeName>,
    pub(super) commit: u64,
    /// The last index of its log.
    pub(super) last: u64,
    pub(super) role: Role,
}

/// What a node is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leader,
    Follower,
    /// It stands, or asks whether it could, or is on its way out.
    Other,
}

impl Now {
    pub(super) fn leads(&self) -> bool {
        self.role == Role::Leader
    }
}

/// What a line is about, beyond what the node is at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The process begins, and has not recovered anything yet.
    Begins,
    /// It follows; if it has just begun, with what it has recovered.
    Follows,
    /// It is sent entries, or a snapshot.
    Hears,
    /// It stands for election.
    Stands,
    /// It asks for votes in its term, and says where its log ends.
    Asks(LogPosition),
    /// It has won; its log has no entry of its term yet.
    Wins,
    /// It has counted replicas.
    Counts,
    /// As a leader it says what its log has at an index.
    Holds(LogPosition),
    /// Something that another node may only send once it is durable there arrived.
    Got {
        /// Who sent it.
        from: NodeName,
        /// A vote, or an acknowledgement.
        promise: Promise,
    },
    /// Nothing else.
    Other,
}

/// What binds its sender for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A vote for the receiver in this term.
    Vote(u64),
    /// The receiver leads this term, and the sender's log matches its own up to this index.
    Ack {
        /// The term of the leader, and of the sender.
        term: u64,
        /// How far.
        index: u64,
    },
}

/// One line of a foreign trace.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) node: NodeName,
    pub(super) now: Now,
    pub(super) what: What,
}

/// What could not be told, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Untold {
    /// Elections of leaders of whose logs the end is not known.
    pub(super) elections: u64,
    /// Votes that a restart may have taken back.
    pub(super) votes: u64,
}

/// Takes lines and tells events.
#[derive(Debug, Default)]
pub(super) struct Teller {
    nodes: BTreeMap<NodeName, Node>,
    /// Promises whose givers have not begun: where files follow each other node by node, their boots come later.
    early: Vec<(At, Sent)>,
    untold: Untold,
}

#[derive(Debug)]
struct Sent {
    from: NodeName,
    to: NodeName,
    promise: Promise,
}

impl Teller {
    /// Takes the next line; the time is for display alone.
    pub(super) fn hear(&mut self, line: u32, time: u64, heard: Heard) {
        let Heard { node: name, now, what } = heard;
        let at = At { line, time };
        if let What::Got { from, promise } = &what {
            let sent = Sent { from: from.clone(), to: name.clone(), promise: *promise };
            match self.nodes.get(from).is_some_and(Node::has_begun) {
                true => self.arrives(at, &sent),
                false => self.early.push((at, sent)),
            }
        }
        let node = self.nodes.entry(name).or_default();
        self.untold.elections += u64::from(node.hear(at, now, &what));
    }

    fn arrives(&mut self, at: At, sent: &Sent) {
        let giver = self.nodes.entry(sent.from.clone()).or_default();
        self.untold.votes += u64::from(!giver.promises(at, &sent.to, sent.promise));
    }

    /// Returns everything that was told, a trace for each boot, in the order of nodes and boots.
    pub(super) fn finish(mut self) -> (Vec<Trace>, Untold) {
        for (at, sent) in std::mem::take(&mut self.early) {
            self.arrives(at, &sent);
        }
        let mut traces = Vec::new();
        for (name, mut node) in self.nodes {
            node.reign_ends();
            node.exists();
            let boots = node.boots.into_iter().zip(0..);
            traces.extend(boots.map(|(told, boot)| trace(name.clone(), boot, told)));
        }
        (traces, self.untold)
    }
}

fn trace(node: NodeName, boot: u32, told: Vec<Told>) -> Trace {
    let squall = FORMAT.to_owned();
    let header = Header { squall, node, boot, write: None, state: None, torn: None };
    let mut due = 0;
    let number = |told: Told| {
        let seq = due + u64::from(told.gap);
        due = seq + 1;
        (told.line, Line { seq, time: told.time, event: told.event })
    };
    let lines = told.into_iter().map(number).collect();
    let survey = Survey { missing: vec![Missing::Foreign], ..Survey::default() };
    Trace { header, lines, survey }
}
