//! A stage for golden scripts: servers, their disks and what is under way between them, each moved by a command.

mod notation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use squall_raft_core::invariants::{self, Before};
use squall_raft_core::{
    Config, Effects, Entry, EntryKind, Envelope, Index, Input, Membership, NodeId, Paper, Persist,
    Raft, Recovered, Role, Rules, Term, Token, planted,
};

use notation::Names;

/// A tick of the scripts: elections after 15 to 30, heartbeats after 5, retries after 10.
const TICK: Duration = Duration::from_millis(10);
/// A script that delivers more messages than that at once has gone astray.
const TOO_MANY: usize = 1000;

type Done = Result<(), Box<dyn Error>>;

/// A server with its disk.
#[derive(Debug)]
struct Actor {
    raft: Option<Raft>,
    disk: Recovered,
    boots: u64,
    /// The disk waits for a command, with the effects of steps.
    slow: bool,
    pending: VecDeque<Effects>,
}

/// The stage.
#[derive(Debug)]
pub(crate) struct Stage {
    config: Config,
    rules: Arc<dyn Rules>,
    lawful: bool,
    actors: BTreeMap<NodeId, Actor>,
    under_way: VecDeque<Envelope>,
    held: Vec<Envelope>,
    cut: BTreeSet<NodeId>,
    names: Names,
    output: String,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            config: Config::new(NodeId(1), Membership::default(), TICK),
            rules: Arc::new(Paper),
            lawful: true,
            actors: BTreeMap::new(),
            under_way: VecDeque::new(),
            held: Vec::new(),
            cut: BTreeSet::new(),
            names: Names::default(),
            output: String::new(),
        }
    }
}

impl Stage {
    pub(crate) fn take_output(&mut self) -> String {
        std::mem::take(&mut self.output)
    }

    fn say(&mut self, line: impl AsRef<str>) {
        self.output.push_str(line.as_ref());
        self.output.push('\n');
    }

    pub(crate) fn set_up(&mut self, servers: u64, settings: &BTreeMap<String, String>) -> Done {
        self.config.membership = (1..=servers).map(NodeId).collect();
        self.config.pre_vote = false;
        self.config.check_quorum = false;
        for (name, value) in settings {
            match name.as_str() {
                "bug" => self.plant(value)?,
                _ => self.config.set(name, value, TICK)?,
            }
        }
        for id in (1..=servers).map(NodeId) {
            let disk = Recovered::default();
            let pending = VecDeque::new();
            self.actors.insert(id, Actor { raft: None, disk, boots: 0, slow: false, pending });
            self.start(id)?;
        }
        Ok(())
    }

    fn plant(&mut self, name: &str) -> Done {
        let bug = planted::ALL.iter().find(|bug| bug.name == name).ok_or("no such bug")?;
        self.rules = (bug.rules)();
        self.lawful = false;
        Ok(())
    }

    pub(crate) fn with_log(&mut self, id: &str, terms: &[u64], term: Option<u64>) -> Done {
        let id = self.id(id)?;
        let entry = |(offset, term): (usize, &u64)| Entry {
            index: Index(offset as u64 + 1),
            term: Term(*term),
            kind: EntryKind::Command,
            data: Vec::new(),
        };
        let actor = self.actor(id)?;
        actor.disk.entries = terms.iter().enumerate().map(entry).collect();
        actor.disk.hard_state.term = Term(term.or(terms.last().copied()).unwrap_or_default());
        self.start(id)
    }

    fn start(&mut self, id: NodeId) -> Done {
        let config = Config { id, ..self.config.clone() };
        let rules = Arc::clone(&self.rules);
        let actor = self.actor(id)?;
        actor.boots += 1;
        let seed = id.0 + 100 * actor.boots;
        actor.raft = Some(Raft::new(config, rules, actor.disk.clone(), seed));
        Ok(())
    }

    fn id(&self, name: &str) -> Result<NodeId, Box<dyn Error>> {
        let id = name.strip_prefix('n').and_then(|number| number.parse().ok()).map(NodeId);
        id.filter(|id| self.actors.contains_key(id)).ok_or(format!("no server {name}").into())
    }

    fn actor(&mut self, id: NodeId) -> Result<&mut Actor, Box<dyn Error>> {
        self.actors.get_mut(&id).ok_or(format!("no server {id}").into())
    }

    fn step(&mut self, id: NodeId, input: Input) -> Done {
        let lawful = self.lawful;
        let actor = self.actor(id)?;
        let Some(raft) = &mut actor.raft else { return Ok(()) };
        let before = Before::of(raft);
        let mut effects = raft.step(input);
        if lawful {
            invariants::check_state(raft).map_err(|broken| broken.to_string())?;
            invariants::check_step(&before, raft).map_err(|broken| broken.to_string())?;
        }
        let who = format!("{id}@{}", raft.status().term);
        let log = raft.log().clone();
        for envelope in std::mem::take(&mut effects.send_now) {
            self.send(envelope);
        }
        for transition in &effects.transitions {
            let line = notation::transition(transition, &log);
            self.say(format!("{who} {line}"));
        }
        let actor = self.actor(id)?;
        if actor.slow && !(actor.pending.is_empty() && effects.persist.is_empty()) {
            actor.pending.push_back(effects);
            return Ok(());
        }
        self.perform(id, effects)
    }

    /// Does what a step demands, in the order of the contract.
    fn perform(&mut self, id: NodeId, effects: Effects) -> Done {
        let actor = self.actor(id)?;
        write(&mut actor.disk, &effects.persist);
        if let Some(from) = effects.persist.truncate_from {
            self.say(format!("{id} truncates its log from {from} on"));
        }
        effects.send.into_iter().for_each(|envelope| self.send(envelope));
        for answer in &effects.answer {
            let line = self.names.answer(answer);
            self.say(format!("{id} answers {line}"));
        }
        match effects.persist.append.last() {
            Some(last) => self.step(id, Input::Persisted { index: last.index, term: last.term }),
            None => Ok(()),
        }
    }

    fn send(&mut self, envelope: Envelope) {
        let lost = self.cut.contains(&envelope.from) != self.cut.contains(&envelope.to);
        let arrow = if lost { "⇸" } else { "→" };
        let line = self.names.message(&envelope.message);
        self.say(format!("{}@{} {arrow} {} {line}", envelope.from, envelope.term, envelope.to));
        if !lost {
            self.under_way.push_back(envelope);
        }
    }

    pub(crate) fn campaign(&mut self, id: &str) -> Done {
        let id = self.id(id)?;
        for _ in 0..=*self.config.election_ticks.end() {
            let before = self.actor(id)?.raft.as_ref().map(Raft::status);
            self.step(id, Input::Tick)?;
            let after = self.actor(id)?.raft.as_ref().map(Raft::status);
            let role =
                |status: Option<squall_raft_core::Status>| status.map(|one| (one.role, one.term));
            if role(before) != role(after) {
                return Ok(());
            }
        }
        Err(format!("{id} does not stand").into())
    }

    pub(crate) fn tick(&mut self, id: &str, count: u32) -> Done {
        let id = self.id(id)?;
        (0..count).try_for_each(|_| self.step(id, Input::Tick))
    }

    fn link(
        &self,
        from: &Option<String>,
        to: &Option<String>,
    ) -> Result<impl Fn(&Envelope) -> bool + use<>, Box<dyn Error>> {
        let from = from.as_ref().map(|name| self.id(name)).transpose()?;
        let to = to.as_ref().map(|name| self.id(name)).transpose()?;
        Ok(move |envelope: &Envelope| {
            from.is_none_or(|id| id == envelope.from) && to.is_none_or(|id| id == envelope.to)
        })
    }

    fn take(
        &mut self,
        from: &Option<String>,
        to: &Option<String>,
    ) -> Result<Vec<Envelope>, Box<dyn Error>> {
        let matches = self.link(from, to)?;
        let all = std::mem::take(&mut self.under_way);
        let (taken, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(matches);
        self.under_way = kept.into();
        Ok(taken)
    }

    pub(crate) fn deliver(
        &mut self,
        count: Option<usize>,
        from: &Option<String>,
        to: &Option<String>,
    ) -> Done {
        let mut taken = self.take(from, to)?;
        let rest = taken.split_off(count.unwrap_or(taken.len()).min(taken.len()));
        rest.into_iter().rev().for_each(|envelope| self.under_way.push_front(envelope));
        taken.into_iter().try_for_each(|envelope| self.step(envelope.to, Input::Receive(envelope)))
    }

    pub(crate) fn stabilize(&mut self) -> Done {
        for _ in 0..TOO_MANY {
            let Some(envelope) = self.under_way.pop_front() else { return Ok(()) };
            self.step(envelope.to, Input::Receive(envelope))?;
        }
        Err("the servers do not come to rest".into())
    }

    pub(crate) fn drop_messages(&mut self, from: &Option<String>, to: &Option<String>) -> Done {
        self.take(from, to).map(|_| ())
    }

    pub(crate) fn double(&mut self) {
        let twice = self.under_way.iter().flat_map(|one| [one.clone(), one.clone()]);
        self.under_way = twice.collect();
    }

    pub(crate) fn hold(&mut self, from: &Option<String>, to: &Option<String>) -> Done {
        let taken = self.take(from, to)?;
        self.held.extend(taken);
        Ok(())
    }

    pub(crate) fn release(&mut self) {
        self.under_way.extend(self.held.drain(..));
    }

    pub(crate) fn cut(&mut self, ids: &[String]) -> Done {
        self.cut = ids.iter().map(|id| self.id(id)).collect::<Result<_, _>>()?;
        let cut = self.cut.clone();
        self.under_way.retain(|one| cut.contains(&one.from) == cut.contains(&one.to));
        Ok(())
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn propose(&mut self, id: &str, commands: &[String]) -> Done {
        let id = self.id(id)?;
        commands.iter().try_for_each(|command| {
            let token = self.names.command(command);
            self.step(id, Input::Propose { token, data: command.clone().into_bytes() })
        })
    }

    pub(crate) fn read(&mut self, id: &str) -> Done {
        let id = self.id(id)?;
        let token: Token = self.names.read();
        self.step(id, Input::Read { token })
    }

    pub(crate) fn slow(&mut self, id: &str) -> Done {
        let id = self.id(id)?;
        self.actor(id)?.slow = true;
        Ok(())
    }

    pub(crate) fn sync(&mut self, id: &str) -> Done {
        let id = self.id(id)?;
        while let Some(effects) = self.actor(id)?.pending.pop_front() {
            self.perform(id, effects)?;
        }
        Ok(())
    }

    pub(crate) fn crash(&mut self, ids: &[String]) -> Done {
        for id in ids {
            let id = self.id(id)?;
            let actor = self.actor(id)?;
            actor.raft = None;
            actor.pending.clear();
            actor.slow = false;
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, ids: &[String]) -> Done {
        for id in ids {
            let id = self.id(id)?;
            self.start(id)?;
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = (NodeId, &Raft)> {
        self.actors.iter().filter_map(|(id, actor)| Some((*id, actor.raft.as_ref()?)))
    }

    pub(crate) fn show_logs(&mut self, ids: &[String]) -> Done {
        let ids: BTreeSet<NodeId> = ids.iter().map(|id| self.id(id)).collect::<Result<_, _>>()?;
        let shown = self.running().filter(|(id, _)| ids.is_empty() || ids.contains(id));
        let lines: Vec<String> = shown.map(|(id, raft)| notation::log(id, raft)).collect();
        lines.into_iter().for_each(|line| self.say(line));
        Ok(())
    }

    pub(crate) fn show_status(&mut self) {
        let mut lines = String::new();
        for (id, raft) in self.running() {
            let status = raft.status();
            let role = notation::role(status.role);
            let _ = write!(lines, "{id}@{} {role}", status.term);
            let leader = status.leader.filter(|_| status.role == Role::Follower);
            let _ = leader.map(|leader| write!(lines, " of {leader}"));
            lines.push('\n');
        }
        self.output.push_str(&lines);
    }

    pub(crate) fn show_progress(&mut self, id: &str) -> Done {
        let id = self.id(id)?;
        let raft = self.actor(id)?.raft.as_ref().ok_or("it does not run")?;
        let show = |(peer, one): (NodeId, &squall_raft_core::progress::Progress)| {
            format!("{peer}:{}→{}", one.match_index, one.next_index)
        };
        let line = raft.progress().map(show).collect::<Vec<_>>().join(" ");
        self.say(line);
        Ok(())
    }
}

fn write(disk: &mut Recovered, persist: &Persist) {
    if let Some(hard_state) = persist.hard_state {
        disk.hard_state = hard_state;
    }
    if let Some(from) = persist.truncate_from {
        disk.entries.truncate(from.0 as usize - 1);
    }
    disk.entries.extend(persist.append.iter().cloned());
}
