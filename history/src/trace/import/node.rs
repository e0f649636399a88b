//! What is told of one node, from one line of its trace to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{CommitBy, EntryHash, Epoch, LogPosition, TraceEvent, Voters};
use super::teller::{Now, Promise, Role, What};
use crate::NodeName;

/// Stands for the hash of a command where the trace has none. All are alike, so no two commands contradict each other.
const UNHASHED: EntryHash = EntryHash(0);

/// More new entries from one line to the next are not believed: a trace that says so is damaged.
const PLAUSIBLE: u64 = 1 << 16;

/// An event, on its way to its number.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) line: u32,
    /// For display alone.
    pub(super) time: u64,
    pub(super) event: TraceEvent,
    /// Something went untold before it.
    pub(super) gap: bool,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) line: u32,
    pub(super) time: u64,
}

/// A term that a node leads.
#[derive(Clone, Debug)]
struct Reign {
    term: u64,
    /// The end of its log at its election.
    end: LogPosition,
    elected: At,
    /// The place of its election among what was told of the boot.
    told: usize,
    /// Entries that it had from earlier terms: their terms by index, and where it first says so.
    inherited: BTreeMap<u64, (Epoch, At)>,
}

/// What is known of a node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) boots: Vec<Vec<Told>>,
    /// It has begun, and has not said yet what it recovered.
    recovering: bool,
    now: Option<Now>,
    /// It began with an empty log, and nobody has sent it anything since.
    alone: bool,
    /// Where its present vote was first seen.
    voted: Option<At>,
    /// The last entry of its log, where its term is known.
    end: Option<LogPosition>,
    /// What it last said of the end of its log as a candidate, and in which term.
    asked: Option<(u64, LogPosition)>,
    /// It stands in this term, and that is not told yet.
    stands: Option<(u64, At)>,
    reign: Option<Reign>,
    /// The term and the commit index that were told last in this boot.
    told: (u64, Option<u64>),
    /// Something went untold.
    gap: bool,
    /// The terms that it won; and those of them that a restart took back, so that votes in them bind nobody.
    won: BTreeSet<u64>,
    died: BTreeSet<u64>,
}

impl Node {
    /// Returns whether anything was told of it, or could be.
    pub(super) fn has_begun(&self) -> bool {
        !self.boots.is_empty()
    }

    /// Takes the next line of this node. Returns whether it won an election that cannot be told.
    pub(super) fn hear(&mut self, at: At, now: Now, what: &What) -> bool {
        match (what, self.recovering) {
            (What::Begins, _) => self.begins(),
            (What::Follows, true) => self.recovers(at, now),
            // Before it follows for the first time, what it is has not been recovered yet.
            (_, true) => {}
            (_, false) => return self.lives(at, now, what),
        }
        false
    }

    fn lives(&mut self, at: At, now: Now, what: &What) -> bool {
        match self.now.take() {
            Some(before) => self.changes(at, &before, &now),
            None => {
                // The trace does not say how this boot began.
                self.exists();
                self.gap = true;
                self.voted = Some(at);
                self.end = (now.last == 0).then(LogPosition::default);
            }
        }
        self.commits(at, &now, what);
        let untold = self.acts(at, &now, what);
        self.now = Some(now);
        untold
    }

    /// Makes room for what is told of it.
    pub(super) fn exists(&mut self) {
        if self.boots.is_empty() {
            self.boots.push(Vec::new());
        }
    }

    fn begins(&mut self) {
        self.reign_ends();
        let (won, died) = (std::mem::take(&mut self.won), std::mem::take(&mut self.died));
        let mut boots = std::mem::take(&mut self.boots);
        boots.push(Vec::new());
        *self = Node { boots, won, died, recovering: true, ..Node::default() };
    }

    fn recovers(&mut self, at: At, now: Now) {
        self.recovering = false;
        self.died.extend(self.won.iter().copied().filter(|won| *won > now.term));
        let boot = TraceEvent::Boot {
            term: now.term.into(),
            vote: now.vote.clone().filter(|_| !self.died.contains(&now.term)),
            snapshot: LogPosition::default(),
            applied: 0,
            config: Voters::default(),
        };
        self.tell(at, boot);
        // Which entries it recovered is not told.
        self.gap = true;
        self.end = (now.last == 0).then(LogPosition::default);
        self.alone = now.last == 0;
        self.voted = Some(at);
        self.told = (now.term, None);
        if now.commit > 0 {
            self.committed(at, &now, None);
        }
        self.now = Some(now);
    }

    /// Tells what happened between two lines.
    fn changes(&mut self, at: At, before: &Now, now: &Now) {
        self.vote_changes(at, before, now);
        let other = self.reign.as_ref().is_some_and(|reign| reign.term != now.term);
        if other || (before.leads() && !now.leads()) {
            self.loses_track();
        }
        if now.last < before.last {
            self.tell(at, TraceEvent::Truncate { from: now.last + 1 });
            self.end = self.end_after_truncation(now.last);
        } else if now.last > before.last {
            self.grows(at, before.last, now);
        }
    }

    fn vote_changes(&mut self, at: At, before: &Now, now: &Now) {
        if (before.term, &before.vote) == (now.term, &now.vote) {
            return;
        }
        if before.term == now.term
            && let (Some(one), Some(two)) = (&before.vote, &now.vote)
        {
            let vote = |to: &NodeName| TraceEvent::Vote {
                to: to.clone(),
                term: now.term.into(),
                prevote: false,
            };
            self.tell(self.voted.unwrap_or(at), vote(one));
            self.tell(at, vote(two));
        }
        self.voted = Some(at);
    }

    fn end_after_truncation(&self, last: u64) -> Option<LogPosition> {
        match &self.reign {
            Some(reign) if last > reign.end.index => {
                Some(LogPosition { index: last, term: reign.term.into() })
            }
            Some(reign) if last == reign.end.index => Some(reign.end),
            _ => (last == 0).then(LogPosition::default),
        }
    }

    /// A leader's log grows by entries of its term. What others take over is not told.
    fn grows(&mut self, at: At, last: u64, now: &Now) {
        if self.alone && last == 0 && now.term == 1 {
            // What is in a log before anybody sent anything is what the cluster was founded with.
            self.end = Some(LogPosition { index: now.last, term: Epoch(1, 0) });
            return;
        }
        let known = self.end.filter(|end| end.index == last);
        let grown = now.last - last;
        self.end = None;
        let (Some(reign), Some(end), true) = (&self.reign, known, grown <= PLAUSIBLE) else {
            return self.loses_track();
        };
        if reign.term != now.term {
            return self.loses_track();
        }
        let term = Epoch::from(now.term);
        self.end = Some(LogPosition { index: now.last, term });
        self.tell(at, append(last + 1, term, end.term, grown, Made::Now));
    }

    /// A commit tells the current term too, so a term that is news is told with what was committed before.
    fn commits(&mut self, at: At, now: &Now, what: &What) {
        let (term, commit) = self.told;
        if term == now.term && commit.is_some_and(|commit| now.commit <= commit) {
            return;
        }
        let by = match what {
            What::Counts if now.leads() => Some(CommitBy::Count),
            // What it knew when it won, it had learned as a follower.
            What::Wins => Some(CommitBy::Leader),
            _ if now.leads() => None,
            _ => Some(CommitBy::Leader),
        };
        self.committed(at, now, by);
    }

    fn committed(&mut self, at: At, now: &Now, by: Option<CommitBy>) {
        self.told = (now.term, Some(now.commit));
        // Before the first term nothing is committed by anybody; the log may begin at a snapshot.
        if now.term > 0 {
            let term = now.term.into();
            self.tell(at, TraceEvent::Commit { index: now.commit, term, by });
        }
    }

    fn acts(&mut self, at: At, now: &Now, what: &What) -> bool {
        match what {
            What::Stands => self.stands = Some((now.term, at)),
            What::Asks(end) => self.asks(now, *end),
            What::Wins => return !self.wins(at, now),
            What::Holds(entry) => self.holds(at, now, *entry),
            What::Follows => self.follows(now),
            What::Hears => self.alone = false,
            What::Begins | What::Counts | What::Got { .. } | What::Other => {}
        }
        false
    }

    /// As a follower it may have its last entries replaced by as many others, and no line shows it.
    fn follows(&mut self, now: &Now) {
        self.loses_track();
        self.end = (now.last == 0).then(LogPosition::default);
    }

    fn asks(&mut self, now: &Now, end: LogPosition) {
        self.asked = Some((now.term, end));
        if end.index == now.last {
            self.end = Some(end);
            self.stood(now.term, end);
        }
    }

    fn stood(&mut self, term: u64, last: LogPosition) {
        if let Some((_, at)) = self.stands.take_if(|(stands, _)| *stands == term) {
            self.gap = true;
            self.tell(at, TraceEvent::BecomeCandidate { term: term.into(), last });
        }
    }

    /// Returns whether the election can be told: the judge takes the end of the log at its word.
    fn wins(&mut self, at: At, now: &Now) -> bool {
        let asked = self.asked.filter(|(term, _)| *term == now.term).map(|(_, end)| end);
        let known = self.end.or(asked).filter(|end| end.index == now.last && now.leads());
        let Some(last) = known else { return false };
        self.end = Some(last);
        self.stood(now.term, last);
        // Whatever the judge took for its log, it begins anew with the end that it names here.
        self.loses_track();
        self.won.insert(now.term);
        let told = self.boots.last().map_or(0, Vec::len);
        let inherited = BTreeMap::new();
        self.reign = Some(Reign { term: now.term, end: last, elected: at, told, inherited });
        self.tell(at, TraceEvent::BecomeLeader { term: now.term.into(), last });
        true
    }

    fn holds(&mut self, at: At, now: &Now, entry: LogPosition) {
        if let Some(reign) = self.reign.as_mut().filter(|reign| reign.term == now.term)
            && entry.index < reign.end.index
        {
            reign.inherited.entry(entry.index).or_insert((entry.term, at));
        }
    }

    /// Tells of a promise of this node that arrived. Returns whether it can be told: a vote in a term that this node won
    /// and a restart took back contradicts nothing.
    pub(super) fn promises(&mut self, at: At, to: &NodeName, promise: Promise) -> bool {
        match promise {
            Promise::Vote(term) if self.died.contains(&term) => return false,
            Promise::Vote(term) => {
                let vote = TraceEvent::Vote { to: to.clone(), term: term.into(), prevote: false };
                self.tell(at, vote);
            }
            Promise::Ack { term, index } => self.acknowledges(at, to.clone(), term, index),
        }
        true
    }

    /// An acknowledgement is of the log as it was when it was sent, which is not known when it arrives. It proves the term
    /// alone, so it is told where nothing of the log is known, and left out while the node leads or stands.
    fn acknowledges(&mut self, at: At, to: NodeName, term: u64, index: u64) {
        let follows = self.now.as_ref().is_some_and(|now| now.role == Role::Follower);
        if follows && self.reign.is_none() {
            self.gap = true;
            let term = term.into();
            self.tell(at, TraceEvent::Ack { to, index, term, prev: 0, entries: 0 });
        }
    }

    /// From here on its log may change without a word.
    fn loses_track(&mut self) {
        self.reign_ends();
        self.gap = true;
    }

    /// What a leader said of its older entries while it led, it had when it was elected: told there.
    pub(super) fn reign_ends(&mut self) {
        let Some(reign) = self.reign.take() else { return };
        let appends = inherited(&reign);
        let Some(boot) = self.boots.last_mut().filter(|_| !appends.is_empty()) else { return };
        let elected = &mut boot[reign.told];
        let mut gap = std::mem::take(&mut elected.gap);
        let told = appends.into_iter().map(|(at, event)| Told {
            line: at.line,
            time: at.time,
            event,
            gap: std::mem::take(&mut gap),
        });
        boot.splice(reign.told..reign.told, told.collect::<Vec<_>>());
    }

    fn tell(&mut self, at: At, event: TraceEvent) {
        let gap = std::mem::take(&mut self.gap);
        self.exists();
        let told = Told { line: at.line, time: at.time, event, gap };
        self.boots.last_mut().expect("it exists").push(told);
    }
}

/// When entries came into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Now,
    /// In an earlier term, so that they have outlived it: they are no entries that only one boot ever had in memory.
    Earlier,
}

fn append(index: u64, term: Epoch, prev_term: Epoch, entries: u64, made: Made) -> TraceEvent {
    let hashes = vec![UNHASHED; entries as usize];
    TraceEvent::Append { index, term, prev_term, hashes, recovered: made == Made::Earlier }
}

/// Returns the entries from earlier terms of which a leader told both their term and that of the one before. Terms never go
/// down along a log, so all entries between two of one term are of that term.
fn inherited(reign: &Reign) -> Vec<(At, TraceEvent)> {
    let mut known: Vec<(u64, Epoch, At)> =
        reign.inherited.iter().map(|(index, (term, at))| (*index, *term, *at)).collect();
    known.push((reign.end.index, reign.end.term, reign.elected));
    let pairs = known.windows(2).filter_map(|pair| {
        let [(from, before, one), (to, term, two)] = *pair else { return None };
        let told = to == from + 1 || (before == term && to - from <= PLAUSIBLE);
        let at = if one.line < two.line { two } else { one };
        told.then(|| (at, append(from + 1, term, before, to - from, Made::Earlier)))
    });
    pairs.collect()
}
