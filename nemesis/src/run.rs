//! Carries a plan out: the one task that owns what is in force, and that ends with everything healed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use squall_cluster::{Cluster, ClusterError, LeaderProbe, Membership, NodeState, Observation};
use squall_history::schedule::{
    Fault, FaultOutcome, Happened, Line, Phase, Planned, Resolved, Target, Timeline,
};
use squall_history::{Nanos, NodeName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::agenda::{Agenda, Step};
use crate::leader::{self, LeaderWatch};
use crate::member::Members;
use crate::partition::Cuts;
use crate::process::{Hold, Holds, Steps, revive};
use crate::random::target_stream;
use crate::shell::{self, Done};
use crate::target::{self, Scene};
use crate::traffic::{self, Treatments};
use crate::upgrade::{self, Versions};
use crate::{Cmd, Journal, grudge};

/// What the nemesis acts on.
#[derive(Clone)]
pub struct World {
    /// The processes and links.
    pub cluster: Arc<dyn Cluster>,
    /// Who leads.
    pub leader: Arc<dyn LeaderProbe>,
    /// The recorder's clock.
    pub clock: Arc<dyn Fn() -> Nanos + Send + Sync>,
    /// The versions of the system.
    pub versions: Versions,
    /// Who changes the cluster's members, where the system's page says how.
    pub membership: Option<Arc<dyn Membership>>,
}

/// A plan that is about to happen.
pub struct Nemesis {
    plan: Vec<Planned>,
    heal_by: Duration,
    seed: u64,
    world: World,
    journal: Journal,
    in_force: watch::Sender<String>,
    leader_changes: watch::Sender<u32>,
}

/// What came of a plan. Every fault in it is healed.
#[derive(Clone, Debug, PartialEq)]
pub struct NemesisReport {
    /// Every line that was written to `schedule.jsonl`.
    pub lines: Vec<Line>,
    /// How often another leader was seen than before, while somebody had to look.
    pub leader_changes: u32,
    /// Nodes that ended by themselves, which no heal brings back.
    pub ended: Vec<NodeName>,
    /// Nodes that are out of the cluster for good, and why.
    pub lost_members: Vec<(NodeName, String)>,
    /// When everything was healed.
    pub healed: Nanos,
}

impl NemesisReport {
    /// Returns what was in force when.
    pub fn timeline(&self) -> Timeline {
        Timeline::from_lines(&self.lines)
    }
}

/// Says why the harness, not the system, failed. It is the first cause; what could be healed was healed all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NemesisError {
    /// The end of a fault could not be carried out.
    #[error("failed to heal a fault: {what}")]
    Heal {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: ClusterError,
    },
    /// The end of a fault was carried out, and a probe shows that it did not help.
    #[error("a fault did not heal: {what}: {why}")]
    NotHealed {
        /// What was done.
        what: String,
        /// What the probe saw.
        why: String,
    },
    /// What happened could not be written down.
    #[error("failed to write down the faults")]
    Journal(#[source] io::Error),
}

impl Nemesis {
    /// Takes a plan, and the moment of the load by which everything is healed ([`crate::heal_by`]). Nothing happens yet.
    pub fn new(
        plan: Vec<Planned>,
        heal_by: Duration,
        seed: u64,
        world: World,
        journal: Journal,
    ) -> Nemesis {
        let (in_force, _) = watch::channel(String::new());
        let (leader_changes, _) = watch::channel(0);
        Nemesis { plan, heal_by, seed, world, journal, in_force, leader_changes }
    }

    /// Returns what is in force, for people: `kill n2; partition isolate n4`. Empty where nothing is.
    pub fn in_force(&self) -> watch::Receiver<String> {
        self.in_force.subscribe()
    }

    /// Returns how often another leader was seen than before.
    pub fn leader_changes(&self) -> watch::Receiver<u32> {
        self.leader_changes.subscribe()
    }

    /// Carries the plan out; times count from now. Returns when all is healed: after the last fault, or soon after `stop`
    /// turns true or its sender is gone.
    ///
    /// `acknowledged` tells how many operations were acknowledged so far.
    pub async fn run(
        self,
        mut acknowledged: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<NemesisReport, NemesisError> {
        let mut storm = Storm::new(self);
        storm.follow_plan(&mut acknowledged, &mut stop).await;
        storm.calm().await
    }
}

/// A nemesis at work.
struct Storm {
    world: World,
    seed: u64,
    start: Instant,
    agenda: Agenda,
    leaders: LeaderWatch,
    faults: BTreeMap<u32, InForce>,
    holds: Holds,
    members: Members,
    lost_members: Vec<(NodeName, String)>,
    cuts: Cuts,
    treatments: Treatments,
    /// Bytes were delayed, held or dropped, and have not been let pass since.
    traffic_is_shaped: bool,
    /// A cut was applied, and no empty one has been since.
    links_are_cut: bool,
    journal: Journal,
    in_force: watch::Sender<String>,
    leader_changes: watch::Sender<u32>,
    ended: BTreeSet<NodeName>,
    failure: Option<NemesisError>,
}

struct InForce {
    fault: Fault,
    text: String,
}

impl Storm {
    fn new(nemesis: Nemesis) -> Storm {
        let Nemesis { plan, heal_by, seed, world, mut journal, in_force, leader_changes } = nemesis;
        for planned in &plan {
            journal.line(Line::Plan(planned.clone()));
        }
        let start = Instant::now();
        Storm {
            leaders: LeaderWatch::start(Arc::clone(&world.leader), start),
            agenda: Agenda::new(plan, heal_by),
            faults: BTreeMap::new(),
            holds: Holds::default(),
            members: Members::default(),
            lost_members: Vec::new(),
            cuts: Cuts::default(),
            treatments: Treatments::default(),
            traffic_is_shaped: false,
            links_are_cut: false,
            ended: BTreeSet::new(),
            failure: None,
            world,
            seed,
            start,
            journal,
            in_force,
            leader_changes,
        }
    }

    async fn follow_plan(
        &mut self,
        acknowledged: &mut watch::Receiver<u64>,
        stop: &mut watch::Receiver<bool>,
    ) {
        while !self.has_failed() && !is_stopped(stop) {
            match self.agenda.next(self.start.elapsed()) {
                Some(step) => self.take(step).await,
                None if self.agenda.is_done() => return,
                None => self.wait(acknowledged, stop).await,
            }
        }
    }

    fn has_failed(&mut self) -> bool {
        if let Some(error) = self.journal.failure() {
            self.fail(NemesisError::Journal(error));
        }
        self.failure.is_some()
    }

    /// Keeps the first cause.
    fn fail(&mut self, error: NemesisError) {
        tracing::error!(%error, "the nemesis failed");
        self.failure.get_or_insert(error);
    }

    /// Waits until the agenda may have something to do.
    async fn wait(
        &mut self,
        acknowledged: &mut watch::Receiver<u64>,
        stop: &mut watch::Receiver<bool>,
    ) {
        self.leaders.want(self.agenda.wants_leader());
        let wake = self.start + self.agenda.wake().unwrap_or_default();
        tokio::select! {
            _ = stop.changed() => {}
            () = sleep_until(wake) => {}
            sighting = self.leaders.changed() => {
                self.leader_changes.send_replace(sighting.changes);
                self.agenda.sighted(sighting);
            }
            Ok(()) = acknowledged.changed(), if self.agenda.wants_count() => {
                self.agenda.acknowledged(*acknowledged.borrow_and_update());
            }
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Install(planned) => self.install(planned).await,
            Step::Heal(id) => self.heal(id).await,
            Step::Skip(planned, why) => self.skip(planned.id, why),
        }
    }

    fn skip(&mut self, id: u32, why: String) {
        self.agenda.skipped(id);
        self.outcome(
            id,
            Phase::Install,
            (self.world.clock)(),
            &[],
            FaultOutcome::Skipped(why),
            None,
        );
    }

    async fn install(&mut self, planned: Planned) {
        let mut rng = target_stream(self.seed, planned.id);
        let among = match &planned.fault {
            Fault::Upgrade { version, .. } => {
                let (cluster, versions) = (&*self.world.cluster, &self.world.versions);
                versions.candidates(&planned.target, version.as_deref(), cluster)
            }
            Fault::Member => {
                let (cluster, membership) = (&*self.world.cluster, self.membership());
                self.members.candidates(&planned.target, cluster, membership.as_deref()).await
            }
            _ => Ok(self.world.cluster.nodes().to_vec()),
        };
        let targets = match among {
            Ok(among) => self.resolve(&planned.target, &among, &mut rng).await,
            Err(why) => Err(why),
        };
        let targets = match targets {
            Ok(targets) => targets,
            Err(why) => return self.skip(planned.id, why),
        };
        let receivers = match planned.fault.receivers() {
            None => Vec::new(),
            Some(target) => match self.resolve_among_all(target, &mut rng).await {
                Ok(receivers) => receivers,
                Err(why) => return self.skip(planned.id, format!("\"to\": {why}")),
            },
        };
        let ring = target::ring(self.world.cluster.nodes(), &mut rng);
        match self.decide(&planned, targets, &receivers, &ring) {
            Ok((resolved, steps)) => self.inflict(planned, resolved, steps).await,
            Err((resolved, why)) => {
                self.journal.line(Line::Resolved(resolved));
                self.skip(planned.id, why);
            }
        }
    }

    async fn resolve_among_all(
        &mut self,
        wanted: &Target,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<NodeName>, String> {
        let all = self.world.cluster.nodes().to_vec();
        self.resolve(wanted, &all, rng).await
    }

    /// Turns a target into nodes, of which only these come into question.
    async fn resolve(
        &mut self,
        wanted: &Target,
        nodes: &[NodeName],
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<NodeName>, String> {
        let cluster = &*self.world.cluster;
        let leader = match target::asks_for_leader(wanted) {
            true => leader::ask(&*self.world.leader).await,
            false => None,
        };
        let leader = leader.filter(|leader| nodes.contains(leader));
        let mut running = nodes.to_vec();
        running.retain(|node| cluster.state(node) == NodeState::Running);
        let hits = self.agenda.hits();
        let scene = Scene { nodes, running: &running, leader: leader.as_ref(), hits: &hits };
        target::resolve(wanted, &scene, rng)
    }

    /// Decides what a fault takes, given what is in force; or why it takes nothing.
    fn decide(
        &mut self,
        planned: &Planned,
        targets: Vec<NodeName>,
        receivers: &[NodeName],
        ring: &[NodeName],
    ) -> Result<(Resolved, Steps), (Resolved, String)> {
        let (id, time) = (planned.id, (self.world.clock)());
        let resolved =
            |nodes| Resolved { id, time, nodes, cut: Vec::new(), versions: BTreeMap::new() };
        let hold = match planned.fault {
            Fault::Kill => Hold::Killed,
            Fault::Pause => Hold::Paused,
            Fault::Upgrade { .. } => {
                return self.decide_upgrade(planned, resolved(targets));
            }
            Fault::Member => return self.decide_member(resolved(targets)),
            Fault::Partition { shape } => {
                return match grudge::grudge(shape, &targets, ring) {
                    Ok(grudge) => Ok(self.decide_cut(resolved(grudge.nodes), grudge.cut)),
                    Err(why) => Err((resolved(targets), why)),
                };
            }
            Fault::Delay { .. } | Fault::Hold { .. } | Fault::Drop { .. } => {
                return self.decide_traffic(planned, resolved(targets), receivers);
            }
        };
        let cluster = &*self.world.cluster;
        let steps = self.holds.install(id, hold, &targets, |node| cluster.state(node));
        match steps.hit.is_empty() {
            true => Err((resolved(targets), steps.notes.join("; "))),
            false => Ok((resolved(steps.hit.clone()), steps)),
        }
    }

    fn membership(&self) -> Option<Arc<dyn Membership>> {
        self.world.membership.clone()
    }

    fn decide_member(
        &mut self,
        mut resolved: Resolved,
    ) -> Result<(Resolved, Steps), (Resolved, String)> {
        let id = resolved.id;
        resolved.nodes.truncate(1);
        let cluster = &*self.world.cluster;
        let mut steps =
            self.holds.install(id, Hold::Killed, &resolved.nodes, |node| cluster.state(node));
        self.members.removal(id, &mut steps);
        match steps.hit.is_empty() {
            true => Err((resolved, steps.notes.join("; "))),
            false => Ok((resolved, steps)),
        }
    }

    fn decide_upgrade(
        &mut self,
        planned: &Planned,
        mut resolved: Resolved,
    ) -> Result<(Resolved, Steps), (Resolved, String)> {
        let Fault::Upgrade { version, signal } = &planned.fault else {
            return Err((resolved, "it is no upgrade".to_owned()));
        };
        let cluster = &*self.world.cluster;
        let (going, staying) =
            self.world.versions.destinations(&resolved.nodes, version.as_deref(), cluster);
        let nodes: Vec<NodeName> = going.keys().cloned().collect();
        let mut steps =
            self.holds.install(planned.id, Hold::Killed, &nodes, |node| cluster.state(node));
        steps.notes.splice(..0, staying);
        upgrade::retire(&mut steps, *signal, &going);
        if steps.hit.is_empty() {
            return Err((resolved, steps.notes.join("; ")));
        }
        resolved.nodes.clone_from(&steps.hit);
        resolved.versions = going;
        resolved.versions.retain(|node, _| steps.hit.contains(node));
        Ok((resolved, steps))
    }

    fn decide_traffic(
        &mut self,
        planned: &Planned,
        resolved: Resolved,
        receivers: &[NodeName],
    ) -> Result<(Resolved, Steps), (Resolved, String)> {
        let treatment = traffic::treatment(&planned.fault).unwrap_or_default();
        let added = traffic::between(&resolved.nodes, receivers, treatment);
        if added.links.is_empty() {
            return Err((resolved, "sender and receiver are one node".to_owned()));
        }
        let notes = vec![added.to_string()];
        let union = self.treatments.install(resolved.id, added);
        let hit = resolved.nodes.clone();
        Ok((resolved, Steps { cmds: vec![Cmd::Shape(union)], hit, notes }))
    }

    fn decide_cut(
        &mut self,
        mut resolved: Resolved,
        cut: squall_cluster::Cut,
    ) -> (Resolved, Steps) {
        resolved.cut = cut.pairs.iter().cloned().collect();
        let union = self.cuts.install(resolved.id, cut);
        let hit = resolved.nodes.clone();
        (resolved, Steps { cmds: vec![Cmd::Cut(union)], hit, notes: Vec::new() })
    }

    async fn inflict(&mut self, planned: Planned, resolved: Resolved, steps: Steps) {
        let id = planned.id;
        let text = planned.fault.text(&resolved.nodes);
        self.journal.line(Line::Resolved(resolved));
        self.show(id, Some(InForce { fault: planned.fault.clone(), text: text.clone() }));
        let carried = self.carry_out(&format!("fault {id}, install {text}"), steps.cmds).await;
        self.agenda.installed(&planned, steps.hit, carried.at);
        let (result, probe) = judge(&carried, steps.notes, FaultOutcome::Installed);
        self.outcome(id, Phase::Install, carried.time, &carried.done, result, probe);
    }

    async fn heal(&mut self, id: u32) {
        let Some(InForce { fault, text }) = self.faults.remove(&id) else { return };
        let steps = match fault {
            Fault::Kill | Fault::Pause | Fault::Upgrade { .. } => {
                let cluster = &*self.world.cluster;
                self.holds.heal(id, |node| cluster.state(node))
            }
            Fault::Member => {
                let cluster = &*self.world.cluster;
                let mut steps = self.holds.heal(id, |node| cluster.state(node));
                self.members.bring_back(id, &mut steps, |node| cluster.state(node));
                steps
            }
            Fault::Partition { .. } => {
                Steps { cmds: vec![Cmd::Cut(self.cuts.heal(id))], ..Steps::default() }
            }
            Fault::Delay { .. } | Fault::Hold { .. } | Fault::Drop { .. } => {
                Steps { cmds: vec![Cmd::Shape(self.treatments.heal(id))], ..Steps::default() }
            }
        };
        let carried = self.carry_out(&format!("fault {id}, heal {text}"), steps.cmds).await;
        self.agenda.healed(id, carried.at);
        self.show(id, None);
        let (result, probe) = judge(&carried, steps.notes, FaultOutcome::Healed);
        self.outcome(id, Phase::Heal, carried.time, &carried.done, result, probe);
        self.check_heal(carried);
    }

    async fn carry_out(&mut self, why: &str, cmds: Vec<Cmd>) -> Carried {
        let (cluster, membership) = (Arc::clone(&self.world.cluster), self.membership());
        let cmds = self.members.adjust(cmds);
        let done = shell::run(&*cluster, membership.as_deref(), &cmds).await;
        let (time, at) = ((self.world.clock)(), self.start.elapsed());
        if !cmds.is_empty() {
            self.journal.commands(time, why, &pasteable(&cmds, &done));
        }
        for (cmd, done) in cmds.iter().zip(&done) {
            self.members.learn(cmd, done);
            if let Cmd::Cut(cut) = cmd {
                self.links_are_cut = done.is_err() || !cut.is_healed();
            }
            if let Cmd::Shape(traffic) = cmd {
                self.traffic_is_shaped = done.is_err() || !traffic.is_untouched();
            }
        }
        let seen = shell::probe(&*cluster, &cmds).await;
        Carried { cmds, done, seen, time, at }
    }

    /// A heal that did not help is the harness's failure, unless the node ended by itself: that is the system's own.
    fn check_heal(&mut self, carried: Carried) {
        let Carried { cmds, done, seen, .. } = carried;
        for ((cmd, done), seen) in cmds.iter().zip(done).zip(seen) {
            // Whether the others take a node back is their affair; it is tried again at the end.
            let is_theirs = matches!(cmd, Cmd::Add(_) | Cmd::Restore(_));
            if is_theirs || self.ended_by_itself(cmd) {
                continue;
            }
            let what = cmd.to_string();
            match (done, seen) {
                (Err(source), _) => self.fail(NemesisError::Heal { what, source }),
                (Ok(_), Observation::Refuted(why)) => {
                    self.fail(NemesisError::NotHealed { what, why });
                }
                (Ok(_), Observation::Confirmed(_) | Observation::Unclear(_)) => {}
            }
        }
    }

    fn ended_by_itself(&mut self, cmd: &Cmd) -> bool {
        let (Cmd::Kill(node)
        | Cmd::Retire { node, .. }
        | Cmd::Remove(node)
        | Cmd::Add(node)
        | Cmd::Restore(node)
        | Cmd::Start(node)
        | Cmd::Pause(node)
        | Cmd::Resume(node)) = cmd
        else {
            return false;
        };
        let ended = matches!(self.world.cluster.state(node), NodeState::Exited { .. });
        if ended {
            self.ended.insert(node.clone());
        }
        ended
    }

    fn show(&mut self, id: u32, fault: Option<InForce>) {
        match fault {
            Some(fault) => self.faults.insert(id, fault),
            None => self.faults.remove(&id),
        };
        let texts: Vec<_> = self.faults.values().map(|fault| fault.text.as_str()).collect();
        self.in_force.send_replace(texts.join("; "));
    }

    fn outcome(
        &mut self,
        id: u32,
        phase: Phase,
        time: Nanos,
        done: &[Done],
        result: FaultOutcome,
        probe: Option<String>,
    ) {
        let took = done.iter().flatten().map(|applied| applied.took).max().unwrap_or_default();
        let happened = Happened { id, phase, time, result, took: took.into(), probe };
        self.journal.line(Line::Outcome(happened));
    }

    /// Heals what is in force, writes down what will not be, and looks for anything that was left behind.
    async fn calm(mut self) -> Result<NemesisReport, NemesisError> {
        let why = match self.failure {
            Some(_) => "the nemesis had failed",
            None => "the run was stopped",
        };
        for step in self.agenda.abandon(why) {
            self.take(step).await;
        }
        self.sweep().await;
        self.has_failed();
        match self.failure {
            Some(error) => Err(error),
            None => Ok(NemesisReport {
                healed: (self.world.clock)(),
                leader_changes: self.leaders.changes(),
                ended: self.ended.into_iter().collect(),
                lost_members: self.lost_members,
                lines: self.journal.into_lines(),
            }),
        }
    }

    /// Revives every node that is not running and mends the links, should a heal have failed.
    async fn sweep(&mut self) {
        let cluster = Arc::clone(&self.world.cluster);
        let nodes = cluster.nodes().iter().filter(|node| !self.members.is_out(node));
        let mut cmds: Vec<_> = nodes.filter_map(|node| revive(node, cluster.state(node))).collect();
        if self.links_are_cut {
            cmds.push(Cmd::Cut(squall_cluster::Cut::default()));
        }
        if self.traffic_is_shaped {
            cmds.push(Cmd::Shape(squall_cluster::Traffic::default()));
        }
        let carried = self.carry_out("left over at the end", cmds).await;
        self.check_heal(carried);
        self.restore_members().await;
        for node in cluster.nodes() {
            if matches!(cluster.state(node), NodeState::Exited { .. }) {
                self.ended.insert(node.clone());
            }
        }
    }
}

impl Storm {
    /// Brings back the nodes that are out of the cluster, or may be, now that nothing else is in force.
    async fn restore_members(&mut self) {
        for (node, id) in self.members.missing() {
            let restore = vec![Cmd::Restore(node.clone())];
            let carried = self.carry_out(&format!("fault {id}, members"), restore).await;
            if let Some(Err(error)) = carried.done.first() {
                let why = format!("{node} is not a member again: {error}");
                tracing::warn!(%why, "the founding members are not restored");
                self.lost_members.push((node, why));
            }
            let (result, probe) = judge(&carried, Vec::new(), FaultOutcome::Healed);
            self.outcome(id, Phase::Heal, carried.time, &carried.done, result, probe);
        }
    }
}

fn is_stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// Commands that were run, and what came of them.
struct Carried {
    cmds: Vec<Cmd>,
    done: Vec<Done>,
    seen: Vec<Observation>,
    /// When the commands had returned, on the recorder's clock.
    time: Nanos,
    /// The same, since the start of the load.
    at: Duration,
}

/// Returns what a person could paste.
fn pasteable(cmds: &[Cmd], done: &[Done]) -> Vec<String> {
    let mut lines = Vec::new();
    for (cmd, done) in cmds.iter().zip(done) {
        match done {
            Ok(applied) => lines.extend(applied.commands.iter().cloned()),
            Err(error) => lines.push(format!("# {cmd}: {error}")),
        }
    }
    lines
}

/// Returns what to record: success only if every command returned and every probe confirms it.
fn judge(
    carried: &Carried,
    notes: Vec<String>,
    success: FaultOutcome,
) -> (FaultOutcome, Option<String>) {
    let mut doubts: Vec<_> = carried
        .done
        .iter()
        .filter_map(|done| done.as_ref().err())
        .map(ToString::to_string)
        .collect();
    let mut proofs = Vec::new();
    for seen in &carried.seen {
        match seen {
            Observation::Confirmed(how) => proofs.push(how.clone()),
            Observation::Refuted(why) | Observation::Unclear(why) => doubts.push(why.clone()),
        }
    }
    proofs.extend(notes);
    let probe = (!proofs.is_empty()).then(|| proofs.join("; "));
    match doubts.is_empty() {
        true => (success, probe),
        false => (FaultOutcome::Indeterminate(doubts.join("; ")), probe),
    }
}
