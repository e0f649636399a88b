//! Everything that the nodes have said, as far as later lines must agree with it.

use std::collections::BTreeMap;

use squall_history::trace::{EntryHash, Epoch, LogPosition, TraceEvent, Voters};

use super::acks::Acks;
use super::entries::{Entries, Told};
use super::leaders::Leaders;
use super::place::{Id, Names, Place};
use super::quorum::{Config, Configs};
use super::server::{Files, Role, Server};

/// How often which kinds of events were seen, and by which nodes, a bit each: kinds that are missing switch off checks.
#[derive(Debug, Default)]
pub(super) struct Traced {
    pub(super) events: u64,
    pub(super) leaders: u64,
    pub(super) appends: u64,
    pub(super) truncates: u64,
    pub(super) votes: u64,
    pub(super) acks: u64,
    pub(super) commits: u64,
    pub(super) applies: u64,
    pub(super) reads: u64,
}

/// The highest index that was reported committed in a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) index: u64,
    pub(super) at: Place,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) names: Names,
    /// The nodes of the run, where no configuration was traced.
    pub(super) members: Vec<Id>,
    pub(super) servers: Vec<Server>,
    pub(super) entries: Entries,
    pub(super) leaders: Leaders,
    pub(super) acks: Acks,
    pub(super) configs: Configs,
    pub(super) reported: BTreeMap<Epoch, Reported>,
    pub(super) traced: Traced,
}

impl Facts {
    pub(super) fn server(&self, node: Id) -> &Server {
        &self.servers[node.at()]
    }

    pub(super) fn server_mut(&mut self, node: Id) -> &mut Server {
        &mut self.servers[node.at()]
    }

    /// Returns the number of a node, with room for what it says.
    pub(super) fn id(&mut self, name: &squall_history::NodeName) -> Id {
        let id = self.names.id(name);
        if self.servers.len() <= id.at() {
            self.servers.resize_with(id.at() + 1, Server::default);
        }
        id
    }

    pub(super) fn name(&self, id: Id) -> &str {
        self.names.name(id)
    }

    /// Returns what a reading of a node's files can show, where that is what is being told.
    pub(super) fn files(&self, node: Id) -> Option<Files> {
        self.server(node).boots.last().and_then(|boot| boot.files)
    }

    /// Returns whether all that was told was read from files.
    pub(super) fn only_files(&self) -> bool {
        self.servers.iter().flat_map(|server| &server.boots).all(|boot| boot.files.is_some())
    }

    /// Returns why absences cannot be judged over what a node said, if that is so.
    pub(super) fn complete(&self, node: Id) -> Result<(), String> {
        let name = self.name(node);
        let Some(server) = self.servers.get(node.at()).filter(|server| !server.boots.is_empty())
        else {
            return Err(format!("{name} has no trace"));
        };
        for (due, boot) in server.boots.iter().enumerate() {
            if usize::from(boot.number) != due {
                return Err(format!("trace of {name} boot {due} is not there"));
            }
            self.complete_boot(node, boot.number)?;
        }
        Ok(())
    }

    /// Returns why absences cannot be judged over one boot, if that is so.
    pub(super) fn complete_boot(&self, node: Id, number: u16) -> Result<(), String> {
        let name = self.name(node);
        let boots = &self.server(node).boots;
        let Ok(at) = boots.binary_search_by_key(&number, |boot| boot.number) else {
            return Err(format!("trace of {name} boot {number} is not there"));
        };
        match (&boots[at].missing[..], boots[at].closed) {
            ([], true) => Ok(()),
            ([], false) => Err(format!("trace of {name} boot {number} was not read to its end")),
            ([why, ..], _) => Err(format!("trace of {name} boot {number} incomplete: {why}")),
        }
    }

    /// Says of which nodes what was not judged, and why.
    pub(super) fn incomplete(&self, what: &str) -> Vec<String> {
        let everybody = (0..self.servers.len()).map(|id| Id(id as u16));
        let known =
            everybody.filter(|id| self.members.contains(id) || !self.server(*id).boots.is_empty());
        known.filter_map(|id| self.complete(id).err()).map(|why| format!("{what}: {why}")).collect()
    }

    /// Returns the first index at which these entries differ from those that stand there; beyond the end nothing does.
    pub(super) fn first_conflict(&self, node: Id, append: &Appended<'_>) -> Option<u64> {
        let log = &self.server(node).log;
        let end = log.last()?.index.saturating_add(1);
        (append.index.max(log.first())..append.end().min(end)).find(|index| {
            let hash = append.hashes[(index - append.index) as usize];
            log.slot_at(*index).is_some_and(|slot| {
                let entry = self.entries.get(slot);
                (entry.term, entry.hash) != (append.term, hash)
            })
        })
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, at: Place, event: &TraceEvent) {
        self.traced.events += 1;
        match event {
            TraceEvent::Boot { term, vote, snapshot, config, .. } => {
                let fresh = *term == Epoch::default() && vote.is_none() && snapshot.index == 0;
                self.boot(at, *term, *snapshot, fresh, config);
            }
            TraceEvent::HardState { term, .. } => self.reach(at, *term),
            TraceEvent::BecomePreCandidate { last, .. } => self.role(at, Role::Other, *last),
            TraceEvent::BecomeCandidate { term, last } => {
                self.reach(at, *term);
                self.role(at, Role::Other, *last);
            }
            TraceEvent::BecomeFollower { term, last } => {
                self.reach(at, *term);
                self.role(at, Role::Other, *last);
            }
            TraceEvent::BecomeLeader { term, last } => self.elect(at, *term, *last),
            TraceEvent::Append { index, term, prev_term, hashes, recovered } => {
                if let Some(appended) = Appended::new(*index, *term, *prev_term, hashes) {
                    self.append(at, &appended, *recovered);
                }
            }
            TraceEvent::Durable { upto } => self.durable(at, *upto),
            TraceEvent::Truncate { from } => self.truncate(at, *from),
            TraceEvent::Vote { term, prevote, .. } => {
                if !prevote {
                    self.traced.votes += 1;
                    self.reach(at, *term);
                }
            }
            TraceEvent::Ack { to, index, term, .. } => {
                let to = self.id(to);
                self.ack(at, to, *index, *term);
            }
            TraceEvent::Commit { index, term, .. } => self.commit(at, *index, *term),
            TraceEvent::Apply { index, .. } => {
                self.traced.applies += 1;
                self.server_mut(at.node).applied = Some((*index, at));
            }
            TraceEvent::Install { index, term, config, .. } => {
                self.install(at, LogPosition { index: *index, term: *term }, config);
            }
            TraceEvent::Config { config, .. } => self.configure(at, config),
            TraceEvent::ReadIndex { .. } => self.traced.reads += 1,
            TraceEvent::Snapshot { .. }
            | TraceEvent::ReadRequest { .. }
            | TraceEvent::Note { .. } => {}
        }
        let server = self.server_mut(at.node);
        server.recovering &=
            matches!(event, TraceEvent::Boot { .. } | TraceEvent::Append { recovered: true, .. });
    }

    fn reach(&mut self, at: Place, term: Epoch) {
        self.server_mut(at.node).reaches(term);
    }

    /// Recovery tells the base of the log; the entries follow. A node that never had a term has an empty log.
    fn boot(
        &mut self,
        at: Place,
        term: Epoch,
        snapshot: LogPosition,
        fresh: bool,
        config: &Voters,
    ) {
        self.configure(at, config);
        let server = self.server_mut(at.node);
        server.recovering = true;
        server.reaches(term);
        server.log.reset(snapshot, fresh && server.gapless);
        server.durable = fresh.then_some((0, at));
        server.installed = server.installed.max(snapshot.index);
        server.firm_to = 0;
    }

    fn role(&mut self, at: Place, role: Role, last: LogPosition) {
        let server = self.server_mut(at.node);
        server.role = role;
        server.confirm(last);
    }

    fn elect(&mut self, at: Place, term: Epoch, last: LogPosition) {
        self.traced.leaders += 1;
        self.reach(at, term);
        self.role(at, Role::Leader(term, at), last);
        let server = &self.servers[at.node.at()];
        self.leaders.elect(term, at, last, server.log.terms());
    }

    fn append(&mut self, at: Place, append: &Appended<'_>, recovered: bool) {
        self.traced.appends += 1;
        self.reach(at, append.term);
        let conflict = self.first_conflict(at.node, append);
        let last = self.server(at.node).log.last().map(|last| last.index);
        // Entries that are there already change nothing; those behind them are kept.
        let from = match (conflict, last) {
            (Some(conflict), _) => conflict,
            (None, Some(last)) if append.index <= last && self.holds(at.node, append.index) => {
                last.saturating_add(1)
            }
            (None, _) => append.index,
        };
        let mut slots = Vec::with_capacity(append.hashes.len());
        for (told, index) in append.told().zip(append.index..) {
            let slot = self.entries.note(told, at);
            if recovered {
                self.entries.make_firm(slot);
            }
            if index >= from {
                slots.push(slot);
            }
        }
        let server = &mut self.servers[at.node.at()];
        if conflict.is_some() {
            server.cut(from);
        }
        if let Some(first) = append.at(from)
            && !slots.is_empty()
        {
            server.log.append(from, append.term, first.prev_term, &slots);
        }
        if recovered && server.gapless && server.recovering {
            server.log.set_whole();
            server.durable = Some((append.end() - 1, at));
        }
        if server.role_leads(append.term) {
            self.leaders.appended(append.term, at.node, append.index, append.end() - 1);
        }
    }

    fn holds(&self, node: Id, index: u64) -> bool {
        self.server(node).log.slot_at(index).is_some()
    }

    fn durable(&mut self, at: Place, upto: u64) {
        let server = self.server_mut(at.node);
        server.durable = Some((upto, at));
        if let Role::Leader(term, _) = server.role {
            self.leaders.durable(term, at.node, upto);
        }
        self.firm(at.node, upto);
    }

    /// Entries that are durable, promised or committed cannot vanish unseen.
    fn firm(&mut self, node: Id, upto: u64) {
        let server = &mut self.servers[node.at()];
        let from = server.firm_to.saturating_add(1);
        for slot in server.log.slots(from, upto) {
            self.entries.make_firm(*slot);
        }
        let last = server.log.last().map_or(0, |last| last.index);
        server.firm_to = server.firm_to.max(upto.min(last));
    }

    fn truncate(&mut self, at: Place, from: u64) {
        self.traced.truncates += 1;
        self.server_mut(at.node).cut(from);
    }

    fn ack(&mut self, at: Place, to: Id, index: u64, term: Epoch) {
        self.traced.acks += 1;
        self.reach(at, term);
        self.firm(at.node, index);
        let server = &self.servers[at.node.at()];
        // An answer that waited for the disk while the term went on says nothing of the log as it is now.
        let own = server.term.is_some_and(|current| current <= term);
        let entry = own.then(|| server.log.term_at(index)).flatten();
        self.acks.note(at, to, term, index, entry);
        if let Some(entry) = entry.filter(|entry| *entry <= term) {
            self.server_mut(at.node).promises(term, LogPosition { index, term: entry }, at);
        }
    }

    fn commit(&mut self, at: Place, index: u64, term: Epoch) {
        self.traced.commits += 1;
        self.reach(at, term);
        self.firm(at.node, index);
        let server = &mut self.servers[at.node.at()];
        for slot in server.log.slots(server.marked_to.saturating_add(1), index) {
            self.entries.commit(*slot, term, at);
        }
        server.marked_to = server.marked_to.max(index);
        if server.commit.is_none_or(|(known, _)| known < index) {
            server.commit = Some((index, at));
        }
        let reported = self.reported.entry(term).or_insert(Reported { index, at });
        if (index, std::cmp::Reverse(at)) > (reported.index, std::cmp::Reverse(reported.at)) {
            *reported = Reported { index, at };
        }
    }

    /// A snapshot replaces the log, except for what follows its last entry in a log that has that very entry.
    fn install(&mut self, at: Place, last: LogPosition, config: &Voters) {
        let server = self.server_mut(at.node);
        if server.log.term_at(last.index) != Some(last.term) {
            server.log.reset(last, false);
        }
        server.installed = server.installed.max(last.index);
        server.applied = Some((last.index, at));
        if let Some((durable, _)) = server.durable {
            server.durable = Some((durable.max(last.index), at));
        }
        if !config.voters.is_empty() {
            self.configure(at, config);
        }
    }

    fn configure(&mut self, at: Place, config: &Voters) {
        let voters = config.voters.iter().map(|name| self.id(name)).collect::<Vec<_>>();
        let old = config.old.iter().map(|name| self.id(name)).collect::<Vec<_>>();
        let config = match voters.is_empty() {
            true => Config::new(self.members.clone(), old),
            false => Config::new(voters, old),
        };
        let number = self.configs.number(config);
        self.server_mut(at.node).config = Some(number);
    }
}

impl Server {
    fn role_leads(&self, term: Epoch) -> bool {
        matches!(self.role, Role::Leader(led, _) if led == term)
    }
}

/// Entries as a node says that it put them into its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended<'a> {
    pub(super) index: u64,
    pub(super) term: Epoch,
    pub(super) prev_term: Epoch,
    pub(super) hashes: &'a [EntryHash],
}

impl<'a> Appended<'a> {
    /// Returns nothing for an append of nothing, or beyond all indices.
    pub(super) fn new(
        index: u64,
        term: Epoch,
        prev_term: Epoch,
        hashes: &'a [EntryHash],
    ) -> Option<Appended<'a>> {
        index.checked_add(hashes.len() as u64)?;
        (!hashes.is_empty() && index > 0).then_some(Appended { index, term, prev_term, hashes })
    }

    /// Returns the index behind the last.
    pub(super) fn end(&self) -> u64 {
        self.index + self.hashes.len() as u64
    }

    /// Returns the entry at an index.
    pub(super) fn at(&self, index: u64) -> Option<Told> {
        let offset = usize::try_from(index.checked_sub(self.index)?).ok()?;
        let hash = *self.hashes.get(offset)?;
        let prev_term = if offset == 0 { self.prev_term } else { self.term };
        Some(Told { index, term: self.term, hash, prev_term })
    }

    fn told(&self) -> impl Iterator<Item = Told> + use<'a> {
        let this = *self;
        (this.index..this.end()).filter_map(move |index| this.at(index))
    }
}
