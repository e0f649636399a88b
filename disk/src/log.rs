//! A log as its file tells it, record by record, and the events that it amounts to.

use std::collections::BTreeMap;

use squall_history::NodeName;
use squall_history::trace::{EntryHash, Epoch, LogPosition, TraceEvent, Voters};

/// How many entries one event tells at most.
const RUN: usize = 256;

/// What a node's files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The name that the node has in its own files, where votes are for such names.
    pub own_name: Option<NodeName>,
    /// Events, in the order of the file: what happened to this node's log, as far back as the file goes.
    pub events: Vec<TraceEvent>,
    /// How many bytes at the end were not whole: a write that the node did not live to finish.
    pub torn: u64,
    /// What the files do not show, and why.
    pub notes: Vec<String>,
}

/// Calls the nodes in votes by the names that they have in the run, where they are known by their own files.
pub fn name_votes(mut readings: Vec<(&NodeName, &mut Reading)>) {
    let names: BTreeMap<NodeName, NodeName> = readings
        .iter()
        .filter_map(|(node, reading)| Some((reading.own_name.clone()?, NodeName::clone(node))))
        .collect();
    for event in readings.iter_mut().flat_map(|(_, reading)| &mut reading.events) {
        if let TraceEvent::Boot { vote: Some(vote), .. }
        | TraceEvent::HardState { vote: Some(vote), .. } = event
            && let Some(name) = names.get(vote)
        {
            *vote = name.clone();
        }
    }
}

/// Builds a reading, record by record.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The place before the first entry, once it is known.
    base: Option<LogPosition>,
    /// The base when the file began.
    first_base: Option<LogPosition>,
    entries: Vec<(u64, EntryHash)>,
    term: u64,
    vote: Option<NodeName>,
    commit: u64,
    /// Up to where the events say what is committed.
    told: u64,
    events: Vec<TraceEvent>,
}

impl Log {
    /// Returns a log of which nothing is known, not even where it begins.
    pub fn new() -> Log {
        Log::default()
    }

    /// Returns a log that begins at the beginning.
    pub fn from_the_start() -> Log {
        let base = Some(LogPosition::default());
        Log { base, first_base: base, ..Log::default() }
    }

    /// Returns the entry at an index.
    pub fn entry_at(&self, index: u64) -> Option<(u64, EntryHash)> {
        let offset = index.checked_sub(self.base?.index)?.checked_sub(1)?;
        self.entries.get(usize::try_from(offset).ok()?).copied()
    }

    /// Returns the index of the last entry, or of the base.
    pub fn last(&self) -> u64 {
        self.base.map_or(0, |base| base.index.saturating_add(self.entries.len() as u64))
    }

    /// Takes a term, a vote in it, and what is known to be committed.
    pub fn hard_state(&mut self, term: u64, vote: Option<NodeName>, commit: u64) {
        if (term, &vote) != (self.term, &self.vote) {
            self.tell_commit();
            self.events.push(TraceEvent::HardState { term: term.into(), vote: vote.clone() });
        }
        (self.term, self.vote) = (term, vote);
        self.commit = self.commit.max(commit);
    }

    /// Says what is committed. While terms stay and nothing is removed, the last word says all that the earlier ones
    /// said, so it is put off: some logs have one behind each entry.
    fn tell_commit(&mut self) {
        if self.commit > self.told {
            self.told = self.commit;
            let (index, term) = (self.commit, self.term.into());
            self.events.push(TraceEvent::Commit { index, term, by: None });
        }
    }

    /// Takes a snapshot's last entry. One behind the end of the log replaced it; others change nothing.
    pub fn snapshot(&mut self, index: u64, term: u64) {
        let position = LogPosition { index, term: term.into() };
        match self.base {
            None => {
                self.base = Some(position);
                self.first_base = Some(position);
            }
            Some(_) if index > self.last() => {
                self.tell_commit();
                self.base = Some(position);
                self.entries.clear();
                self.events.push(TraceEvent::Install {
                    index,
                    term: term.into(),
                    digest: None,
                    config: Voters::default(),
                });
            }
            Some(_) => {}
        }
    }

    /// Takes the removal of a suffix.
    pub fn truncate(&mut self, from: u64) -> Result<(), String> {
        let base = self.base.unwrap_or_default().index;
        if from <= base {
            return Err(format!(
                "entries are removed from {from} on, but the log begins behind {base}"
            ));
        }
        if from <= self.last() {
            self.tell_commit();
            self.cut(from);
            self.events.push(TraceEvent::Truncate { from });
        }
        Ok(())
    }

    fn cut(&mut self, from: u64) {
        let base = self.base.unwrap_or_default().index;
        let keep = from.saturating_sub(base).saturating_sub(1);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Takes an entry. One that stands where another stood replaces it, and all behind it.
    pub fn entry(&mut self, index: u64, term: u64, hash: EntryHash) -> Result<(), String> {
        if index == 0 {
            return Err("an entry with index 0".to_owned());
        }
        let Some(base) = self.base else {
            if index == 1 {
                self.base = Some(LogPosition::default());
                self.first_base = self.base;
                return self.entry(index, term, hash);
            }
            // Of what stood before it nothing is known, so that it can only be where knowledge begins.
            let position = LogPosition { index, term: term.into() };
            self.base = Some(position);
            self.first_base = Some(position);
            return Ok(());
        };
        if index <= base.index || index > self.last().saturating_add(1) {
            return Err(format!("entry {index} follows on entry {}", self.last()));
        }
        match self.entry_at(index) {
            // Written again: in the file, what stood behind it is gone. The node may know better.
            Some(known) if known == (term, hash) => self.cut(index),
            Some(_) => {
                self.tell_commit();
                self.cut(index);
                self.events.push(TraceEvent::Truncate { from: index });
            }
            None => {}
        }
        let prev_term = self.entries.last().map_or(base.term, |(term, _)| Epoch::from(*term));
        self.entries.push((term, hash));
        self.tell(index, term.into(), prev_term, hash);
        Ok(())
    }

    /// Adds the entry to the last event where that is one of its neighbours.
    fn tell(&mut self, index: u64, term: Epoch, prev_term: Epoch, hash: EntryHash) {
        if let Some(TraceEvent::Append { index: first, term: known, hashes, .. }) =
            self.events.last_mut()
            && *known == term
            && *first + hashes.len() as u64 == index
            && hashes.len() < RUN
        {
            hashes.push(hash);
            return;
        }
        self.events.push(TraceEvent::Append {
            index,
            term,
            prev_term,
            hashes: vec![hash],
            recovered: false,
        });
    }

    /// Takes the state of the state machine after an entry. Returns false where the entry is not in the log.
    pub fn applied(&mut self, index: u64, digest: EntryHash) -> bool {
        let Some((term, hash)) = self.entry_at(index) else { return false };
        let term = term.into();
        self.tell_commit();
        self.events.push(TraceEvent::Apply { index, term, hash, digest: Some(digest) });
        true
    }

    /// Ends the log.
    pub fn finish(mut self) -> Reading {
        self.tell_commit();
        let boot = TraceEvent::Boot {
            term: Epoch::default(),
            vote: None,
            snapshot: self.first_base.unwrap_or_default(),
            applied: self.first_base.unwrap_or_default().index,
            config: Voters::default(),
        };
        let events = std::iter::once(boot).chain(self.events).collect();
        Reading { events, ..Reading::default() }
    }
}
