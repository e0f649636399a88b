//! What is known of one node at this point of its trace.

use squall_history::trace::{Epoch, LogPosition};

use super::log::Log;
use super::place::Place;

/// A boot that was fed.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    pub(super) number: u16,
    pub(super) file: String,
    /// Why absences cannot be judged over it.
    pub(super) missing: Vec<String>,
    /// It was fed to its end.
    pub(super) closed: bool,
    /// It is no boot but a reading of the node's files, counted on its own.
    pub(super) files: Option<Files>,
}

/// What a reading of a node's files can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The node did not run, so that no write was under way that a running one would have gone on with.
    pub(super) dead: bool,
    /// All of it was read: what is not there is not in the files.
    pub(super) whole: bool,
}

/// A reading that was told to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) files: Files,
    /// Its last line.
    pub(super) at: Place,
}

/// What a node is, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nobody knows: the boot has just begun, or lines are missing.
    Unknown,
    /// It leads a term, since this line.
    Leader(Epoch, Place),
    /// It does not lead.
    Other,
}

/// What a node had promised to keep when its last boot ended: committed by its own word, and durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) last: LogPosition,
    /// Where it said that so much is durable.
    pub(super) durable: Place,
    /// Where it said that so much is committed.
    pub(super) commit: Place,
}

/// A node.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) boots: Vec<Boot>,
    /// No line of this boot is missing, up to here.
    pub(super) gapless: bool,
    /// Counts unbroken stretches of lines: another number, and what was pending is void.
    pub(super) stretch: u32,
    /// The number of the next line.
    due: u64,
    pub(super) log: Log,
    pub(super) role: Role,
    /// The highest term that it named in this boot.
    pub(super) term: Option<Epoch>,
    /// How far its log is durable, where that is known.
    pub(super) durable: Option<(u64, Place)>,
    /// How far it reported its log committed, in this boot.
    pub(super) commit: Option<(u64, Place)>,
    /// The last entry that it applied in this boot.
    pub(super) applied: Option<(u64, Place)>,
    /// The configuration in force, by its place among all.
    pub(super) config: Option<u32>,
    /// The highest index that a snapshot brought it.
    pub(super) installed: u64,
    /// The highest entry that it acknowledged in the last term in which it did, with that term.
    pub(super) promised: Option<(Epoch, LogPosition, Place)>,
    /// Recovery is going on: only recovered entries have followed the boot.
    pub(super) recovering: bool,
    /// What earlier boots must have left.
    pub(super) kept: Option<Kept>,
    /// Entries up to here were found to be beyond doubt.
    pub(super) firm_to: u64,
    /// Entries up to here were reported committed in this boot.
    pub(super) marked_to: u64,
    /// The last line of this boot so far.
    pub(super) last_line: Option<Place>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            boots: Vec::new(),
            gapless: false,
            stretch: 0,
            due: 0,
            log: Log::default(),
            role: Role::Unknown,
            term: None,
            durable: None,
            commit: None,
            applied: None,
            config: None,
            installed: 0,
            promised: None,
            recovering: false,
            kept: None,
            firm_to: 0,
            marked_to: 0,
            last_line: None,
        }
    }
}

impl Server {
    /// A new boot: what stood in memory is gone, and what is on disk is to be told. Events that were read from files
    /// afterwards are not in the order in which things happened.
    pub(super) fn begin(&mut self, boot: Boot, in_order: bool) {
        self.remember();
        self.boots.push(boot);
        self.lose();
        self.gapless = in_order;
        self.due = 0;
        self.commit = None;
        self.applied = None;
        self.term = None;
        self.config = None;
        self.marked_to = 0;
        self.last_line = None;
    }

    /// Keeps what the boot that ends leaves on disk for good.
    fn remember(&mut self) {
        let (Some((durable, durable_at)), Some((commit, commit_at))) = (self.durable, self.commit)
        else {
            return;
        };
        let index = durable.min(commit);
        if let Some(term) = self.log.term_at(index)
            && self.kept.is_none_or(|kept| kept.last.index < index)
        {
            let last = LogPosition { index, term };
            self.kept = Some(Kept { last, durable: durable_at, commit: commit_at });
        }
    }

    /// Counts a line, and forgets what a missing one may have changed.
    pub(super) fn count(&mut self, seq: u64) {
        if seq != self.due {
            self.lose();
        }
        self.due = seq.saturating_add(1);
    }

    /// Forgets whatever lines that are missing may have changed.
    fn lose(&mut self) {
        self.gapless = false;
        self.stretch += 1;
        self.log.forget();
        self.role = Role::Unknown;
        self.durable = None;
        self.applied = None;
        self.config = None;
        self.recovering = false;
        self.firm_to = 0;
    }

    /// Cuts the log, and what is known of it. The node says so itself, so its next boot need not bring back what went: if
    /// that was a mistake, the truncation was.
    pub(super) fn cut(&mut self, from: u64) {
        self.log.truncate(from);
        let end = from.saturating_sub(1);
        self.firm_to = self.firm_to.min(end);
        if let Some((upto, _)) = &mut self.durable {
            *upto = (*upto).min(end);
        }
        let rest = self.log.term_at(end).map(|term| LogPosition { index: end, term });
        let left = |last: LogPosition| if last.index < from { Some(last) } else { rest };
        self.kept = self.kept.and_then(|kept| Some(Kept { last: left(kept.last)?, ..kept }));
        self.promised = self.promised.and_then(|(term, last, at)| Some((term, left(last)?, at)));
    }

    /// Takes note of an acknowledgement: its entry stays until a leader of a later term says otherwise.
    pub(super) fn promises(&mut self, term: Epoch, entry: LogPosition, at: Place) {
        let stale = self.promised.is_some_and(|(known, last, _)| {
            known > term || (known == term && last.index >= entry.index)
        });
        if !stale {
            self.promised = Some((term, entry, at));
        }
    }

    /// Takes note of a term that the node has reached. A leader that names a higher one leads no more.
    pub(super) fn reaches(&mut self, term: Epoch) {
        self.term = Some(self.term.map_or(term, |known| known.max(term)));
        if let Role::Leader(led, _) = self.role
            && term > led
        {
            self.role = Role::Other;
        }
    }

    /// Takes the node's word for the end of its log.
    pub(super) fn confirm(&mut self, last: LogPosition) {
        let known = self.log.last().map(|known| known.index);
        self.log.confirm(last, self.gapless);
        if known.is_none_or(|known| known < last.index) {
            self.durable = None;
        }
    }
}
