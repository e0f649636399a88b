//! The life of a run, in numbered steps. What it leaves behind is a run directory; judging comes after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use squall_checker::ModelKind;
use squall_cluster::{
    Applied, Attached, Chosen, Cluster, ClusterError, Cut, DataDirs, Death, Direct, Firewall,
    LeaderProbe, LinkPlane, Means, Membership, Network, NodeState, PlainDirs, Sandbox, Sandboxed,
    Services, Tcp, choose,
};
use squall_history::schedule::Planned;
use squall_history::{
    Claim, Format, Manifest, Moments, Nanos, NodeName, RunDir, Stall, State, SystemInfo,
};
use squall_nemesis::{
    Family, Journal, Nemesis, PlanSpec, Timing, World, heal_by, plan, schedule_file,
};
use squall_systems::{AttachSection, FreshKeys, Setup, Site, StateProbe, SystemSpec};
use squall_workloads::{Connect, FinalReads, Load, WorkloadSpec, final_reads};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::drive::{Driver, Ended, Pace};
use crate::failure::Failure;
use crate::progress::{self, Progress};
use crate::recorder::Recorder;
use crate::spec::RunSpec;
use crate::watch::{AtViolation, Watch};
use crate::{disk, members, services, stall, states, system, test, versions};

/// How long the healed system has to answer every final read. Past it, the run is complete without them.
const FINAL_READS: Duration = Duration::from_secs(20);
/// How long a worker rests after a failure during the load, and during the final reads, whose attempts are counted.
const REST: Duration = Duration::from_millis(20);
const FINAL_REST: Duration = Duration::from_millis(200);
/// How long the healed system has to elect a leader before the final reads begin all the same.
const LEADER: Duration = Duration::from_secs(10);
/// What stands in the manifest in place of a sandbox.
const ATTACHED: &str = "attached";
/// How long nodes have to end when asked.
const STOP: Duration = Duration::from_secs(2);

/// Runs once, and returns what was recorded. A failure of the harness is in `run.json` too.
pub(crate) fn run(spec: &RunSpec, sandbox: Option<&Sandbox>) -> Result<RunDir, Failure> {
    let clock = Clock::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
        .map_err(Failure::harness)?;
    runtime.block_on(Run::prepare(spec, sandbox, clock)?.live())
}

/// What clients and faults act on.
struct Stage {
    cluster: Arc<dyn Cluster>,
    connect: Arc<dyn Connect>,
    leader: Arc<dyn LeaderProbe>,
    /// Who changes the members, where somebody can.
    membership: Option<Arc<dyn Membership>>,
    /// Who can say what state the nodes are in.
    states: Option<StateProbe>,
    /// What we started, and end.
    ours: Option<Ours>,
}

/// Nodes that we started.
struct Ours {
    sandboxed: Arc<Sandboxed>,
    /// What runs beside them.
    services: Services,
    readings: Arc<disk::Readings>,
}

/// A run in progress.
struct Run<'a> {
    spec: &'a RunSpec,
    /// Where nodes live that we start.
    sandbox: Option<&'a Sandbox>,
    clock: Clock,
    system: SystemSpec,
    nodes: Vec<NodeName>,
    plan: Vec<Planned>,
    dir: RunDir,
    manifest: Manifest,
    stalls: Arc<Mutex<Vec<Stall>>>,
    progress: Progress,
}

impl<'a> Run<'a> {
    /// 1. Prepares: the plan, from the seed alone; the run directory; `run.json`.
    fn prepare(
        spec: &'a RunSpec,
        sandbox: Option<&'a Sandbox>,
        clock: Clock,
    ) -> Result<Run<'a>, Failure> {
        let mut system = spec.system.clone();
        let nodes: Vec<NodeName> =
            (1..=spec.nodes).map(|n| NodeName::from(format!("n{n}").as_str())).collect();
        let plan = spec.faults(&nodes)?;
        let started = jiff::Timestamp::now();
        let name = format!(
            "{}-{}-{}-{}",
            started.strftime("%Y%m%dT%H%M%SZ"),
            system.name,
            spec.workload.name,
            spec.seed
        );
        let dir = RunDir::create(&spec.args.results, &name).map_err(|error| {
            Failure::harness(error).hint("choose another place with --results DIR")
        })?;
        let mut manifest = manifest(spec, &system, &nodes, &plan, sandbox, clock, started);
        if members::change_in(&plan) {
            members::leave_to_clients(&mut system, &mut manifest);
        }
        dir.write_manifest(&manifest)?;
        let progress = Progress::new();
        progress.note(&format!("squall: {}", test::shown(dir.path())));
        let stalls = Arc::default();
        Ok(Run { spec, sandbox, clock, system, nodes, plan, dir, manifest, stalls, progress })
    }

    /// Lives through the steps, and writes down how far it got.
    async fn live(mut self) -> Result<RunDir, Failure> {
        let stalls = tokio::spawn(stall::watch(self.clock, Arc::clone(&self.stalls)));
        let outcome = self.storm().await;
        stalls.abort();
        self.progress.clear();
        self.manifest.state = match &outcome {
            Ok(state) => state.clone(),
            Err(failure) => State::Failed(format!("{:#}", failure.error)),
        };
        self.manifest.moments.harness_cpu = cpu_time();
        self.manifest.stalls = self.stalls.lock().expect("no holder of this lock panics").clone();
        self.dir.write_manifest(&self.manifest)?;
        outcome.map(|_| self.dir)
    }

    async fn storm(&mut self) -> Result<State, Failure> {
        // 2. and 3. The cluster: ours, or somebody else's.
        let stage = match (self.sandbox, self.system.attach.clone()) {
            (Some(sandbox), None) => self.boot(sandbox).await?,
            (_, Some(attach)) => self.attach(&attach).await?,
            (None, None) => return Err(Failure::harness(anyhow::anyhow!("there is no sandbox"))),
        };
        let Stage { cluster, connect, leader, membership, states, ours } = stage;
        self.manifest.moments.ready = Some(self.clock.now());
        self.dir.write_manifest(&self.manifest)?;

        // 4. Load and faults together, until the time limit.
        let clock = self.clock;
        let world = World {
            cluster: Arc::clone(&cluster),
            leader: Arc::clone(&leader),
            clock: Arc::new(move || clock.now()),
            versions: versions::of(&self.system),
            membership,
        };
        let mut driver = self.driver(Arc::clone(&connect))?;
        self.watch(&mut driver)?;
        let mut load = self.load()?;
        let services = ours.as_ref().map(|ours| &ours.services);
        let ended = self.drive(&mut driver, &mut *load, world, services).await?;

        // 5. Everything is healed by now; nodes that ended by themselves get another chance.
        self.manifest.moments.healed = Some(self.clock.now());
        for death in ours.iter().flat_map(|ours| ours.sandboxed.exited()) {
            let Death { node, status, .. } = &death;
            let told = match members::change_in(&self.plan) {
                // Most end when they learn that they are no member any more.
                true => format!("squall: {node} ended by itself, as one may that is removed"),
                false => format!("squall: {node} ended by itself ({status})"),
            };
            self.progress.note(&told);
            if cluster.state(&death.node) != NodeState::Running {
                // One that cannot start again answers no final read, and the run says so.
                let _ = cluster.start(&death.node).await;
            }
        }

        // 6. Final reads of every key through every node.
        self.progress.step("reading every key through every node");
        if self.system.tells_its_leader() {
            let leader = await_leader(&*leader).await;
            let leader =
                leader.map(|leader| (system::findings::LEADER.to_owned(), leader.to_string()));
            self.manifest.settings.extend(leader);
        }
        self.manifest.moments.final_reads = Some(self.clock.now());
        let left = self.final_reads(&mut driver, &load.keys()).await?;
        if left > 0 {
            self.progress.note(&format!("squall: {left} final reads were not answered"));
        }
        self.manifest.settings.insert("final reads unanswered".to_owned(), left.to_string());
        self.manifest.moments.first_ack = driver.first_ack();
        connect.close().await;
        services.map_or(Ok(()), |all| services::check(all, &self.dir))?;
        if let Some(probe) = states {
            self.progress.step("asking the nodes for their states");
            states::record(&self.dir, &probe, self.clock, &*cluster).await?;
        }

        // 7. and 8. What is ours ends here, and nothing of it may be left.
        match ours {
            Some(ours) => self.stop(&ours).await?,
            None => self.manifest.moments.stopped = Some(self.clock.now()),
        }
        Ok(match ended {
            Ended::Stopped => State::Interrupted,
            Ended::Violated => State::Stopped,
            Ended::Done | Ended::TimeUp => State::Complete,
        })
    }

    /// Takes over a cluster that somebody else started.
    async fn attach(&mut self, attach: &AttachSection) -> Result<Stage, Failure> {
        self.progress.step("looking for the nodes");
        let plan = attach.plan(&self.system).map_err(Failure::bad_input)?;
        for (family, can) in [
            (Family::Kill, attach.kill.is_some()),
            (Family::Pause, attach.pause.is_some()),
            (Family::Partition, attach.cut.is_some()),
        ] {
            if !can {
                let why = format!("[attach] of {} has no command for it", self.system.name);
                self.leave_out(family, why)?;
            }
        }
        let addresses: squall_systems::Addresses =
            plan.nodes.iter().map(|node| (node.name.clone(), node.address)).collect();
        let connect = self
            .system
            .connect_for(self.spec.workload, addresses.clone())
            .map_err(Failure::harness)?;
        connect.prepare().await.map_err(|why| Failure::bad_input(anyhow::anyhow!(why)))?;
        let prefix = format!("squall-{}-", self.clock.monotonic_origin());
        self.manifest.settings.insert("keys begin with".to_owned(), prefix.clone());
        let states = self.system.state_probe(addresses.clone());
        let leader = self.system.leader_probe(addresses);
        let cluster = Attached::to(plan).await.map_err(|error| {
            Failure::harness(error)
                .hint("the cluster must run, and be healed, before squall attaches to it")
        })?;
        let connect: Arc<dyn Connect> = Arc::new(FreshKeys::new(connect, prefix));
        let cluster = Arc::new(cluster);
        Ok(Stage { cluster, connect, leader, membership: None, states, ours: None })
    }

    /// Leaves out a family of faults that cannot be had, unless it was asked for by name.
    fn leave_out(&mut self, family: Family, why: String) -> Result<(), Failure> {
        if !self.plan.iter().any(|planned| planned.fault.family() == family.name()) {
            return Ok(());
        }
        if !self.spec.left_out_if_unavailable(family) {
            return Err(Failure::bad_input(anyhow::anyhow!("{family} cannot be had: {why}")));
        }
        self.progress.note(&format!("squall: {family} is unavailable here: {why}"));
        self.plan.retain(|planned| planned.fault.family() != family.name());
        self.manifest.nemesis.retain(|known| known != family.name());
        self.manifest.unavailable.insert(family.name().to_owned(), why);
        Ok(())
    }

    /// Builds the network and starts the nodes.
    async fn boot(&mut self, sandbox: &Sandbox) -> Result<Stage, Failure> {
        // 2. The network, and the mechanism that will cut it.
        self.progress.step("building the network");
        let tcp: Tcp = self.spec.tcp;
        let beside = self.system.service_names();
        let mut network = Network::build_with_services(sandbox, &self.nodes, &beside, tcp)
            .map_err(Failure::harness)?;
        self.system.place_services(network.services.iter().map(|place| place.ip));
        let asks = self.plan.iter().any(|planned| planned.fault.receivers().is_some());
        match self.system.peer_port {
            Some(port) if asks || network.needs_proxies() => {
                network.insert_proxies(port, self.spec.seed).map_err(Failure::harness)?;
            }
            None if asks => {
                return Err(Failure::bad_input(anyhow::anyhow!(
                    "the schedule delays, holds or drops messages, which takes proxies in front of the nodes, and the \
                     page of {} does not say at which port its nodes listen to each other: [net] peer_port",
                    self.system.name
                )));
            }
            Some(_) | None => {}
        }
        self.manifest.moments.network_took = Some((sandbox.took + network.took).into());
        for (name, value) in &network.tcp.settings {
            self.manifest.settings.insert(name.clone(), value.clone());
        }
        let links = self.links(&network)?;

        // 3. What runs beside the nodes, and then the nodes, until each is ready.
        let data = self.data(sandbox)?;
        self.manifest.settings.insert("data".to_owned(), data.name().to_owned());
        let (sites, setup) = self.places(&network, &data);
        let services = self.start_services(&network, (&sites, &setup), &data).await?;
        self.progress.step("starting the nodes");
        let dirs = sites.iter().map(|site| (site.name.clone(), site.data.clone())).collect();
        let layout = disk::layout(self.system.reader);
        let readings = Arc::new(disk::Readings::new(layout, dirs, self.clock));
        let plans = squall_systems::plan(&self.system, &sites, &setup).map_err(Failure::harness)?;
        let addresses = squall_systems::client_addresses(&self.system, &sites, &setup)
            .map_err(Failure::harness)?;
        if let Some(program) = plans.first().and_then(|plan| plan.argv.first()) {
            let path = squall_systems::binary_path(program);
            let hash = path.and_then(|path| squall_systems::binary_hash(&path).ok());
            self.manifest.system.binary_sha256 = hash.unwrap_or_default();
        }
        versions::note_binaries(&plans, &mut self.manifest);
        let connect = self
            .system
            .connect_for(self.spec.workload, addresses.clone())
            .map_err(Failure::harness)?;
        connect.prepare().await.map_err(|why| Failure::bad_input(anyhow::anyhow!(why)))?;
        let means = Means {
            links: links.plane,
            data: Box::new(data),
            launch: Box::new(Direct),
            apart: self.system.node.apart,
        };
        let cluster =
            Sandboxed::boot(network, plans, &self.dir, means).await.map_err(
                |error| match services.death() {
                    // The first cause.
                    Some(death) => services::lost(&death, &self.dir),
                    None => self.no_cluster(error),
                },
            )?;
        let states = self.system.state_probe(addresses.clone());
        versions::note_boots(&cluster, &mut self.manifest);
        let leader = self.system.leader_probe(addresses);
        let membership = self.system.membership(&sites, &setup, Arc::clone(&leader));
        let read = disk::ReadWhileStill {
            cluster: Arc::clone(&cluster) as Arc<dyn Cluster>,
            readings: Arc::clone(&readings),
        };
        let ours = Some(Ours { sandboxed: cluster, services, readings });
        Ok(Stage { cluster: Arc::new(read), connect, leader, membership, states, ours })
    }

    /// Starts what the page wants beside the nodes.
    async fn start_services(
        &mut self,
        network: &Network,
        (sites, setup): (&[Site], &Setup),
        data: &PlainDirs,
    ) -> Result<Services, Failure> {
        if !self.system.services.is_empty() {
            self.progress.step("starting the services");
            let told = services::told(&self.system);
            self.manifest.settings.insert("services".to_owned(), told);
        }
        services::start(&self.system, network, (sites, setup), data, &self.dir).await
    }

    /// Stops what we started.
    async fn stop(&mut self, ours: &Ours) -> Result<(), Failure> {
        let cluster = &ours.sandboxed;
        // 7. Stop; and nothing may be left.
        self.progress.step("stopping the nodes");
        versions::note_boots(cluster, &mut self.manifest);
        let stopped_nodes = cluster.stop_all(STOP).await;
        self.manifest.moments.stopped = Some(self.clock.now());
        let stopped_services = ours.services.stop(STOP).await;
        let failed = [stopped_nodes.failed, stopped_services.failed].concat();
        if !failed.is_empty() {
            let why = failed.join("; ");
            return Err(Failure::harness(anyhow::anyhow!("the run did not end clean: {why}")));
        }
        let leftovers = cluster.leftovers();
        if !leftovers.is_empty() {
            return Err(Failure::harness(anyhow::anyhow!(
                "something survived the run: {leftovers}"
            )));
        }

        // 8. The data of the nodes vanishes with the sandbox: keep it where somebody may want to look.
        self.keep_data(cluster, &ours.readings).await
    }

    /// Sets up what cuts links. Where nothing can, partitions are left out, unless they were asked for by name.
    fn links(&mut self, network: &Network) -> Result<Chosen, Failure> {
        let links = match choose(self.spec.firewall, network) {
            Ok(links) => links,
            Err(error) if !self.spec.left_out_if_unavailable(Family::Partition) => {
                return Err(Failure::harness(error));
            }
            Err(error) => {
                let why = error.to_string();
                self.leave_out(Family::Partition, why.clone())?;
                Chosen { plane: Box::new(NoLinks), why }
            }
        };
        let how = format!("{} ({})", links.plane.name(), links.why);
        self.manifest.settings.insert("firewall".to_owned(), how);
        Ok(links)
    }

    fn data(&self, sandbox: &Sandbox) -> Result<PlainDirs, Failure> {
        match &self.spec.args.data_dir {
            None => Ok(PlainDirs::in_memory(sandbox)),
            Some(dir) => PlainDirs::on_disk(dir, &self.dir.name())
                .with_context(|| format!("failed to make data directories below {}", dir.display()))
                .map_err(Failure::harness),
        }
    }

    fn places(&self, network: &Network, data: &PlainDirs) -> (Vec<Site>, Setup) {
        let sites = network.places.iter().map(|place| Site {
            name: place.node.clone(),
            ip: place.ip,
            peer_ip: place.peer_ip,
            data: data.path(&place.node),
        });
        let setup = Setup {
            // The very executable that runs, even if its file was replaced meanwhile.
            squall: "/proc/self/exe".into(),
            bin: None,
            seed: self.spec.seed,
            bug: self.spec.bug.clone(),
            settings: self.spec.set.clone(),
            versions: self.spec.versions.clone(),
            traces: self.dir.trace_dir(),
        };
        (sites.collect(), setup)
    }

    fn no_cluster(&self, error: ClusterError) -> Failure {
        let logs = test::shown(&self.dir.path().join("nodes"));
        Failure::harness(error).hint(format!("the nodes' output is in {logs}"))
    }

    fn driver(&self, connect: Arc<dyn Connect>) -> Result<Driver, Failure> {
        let path = self.dir.history();
        let recorder = File::create(&path)
            .and_then(Recorder::new)
            .with_context(|| format!("failed to write {}", path.display()))
            .map_err(Failure::harness)?;
        let pace = self.pace(REST);
        Ok(Driver::new(self.clock, connect, recorder, self.spec.concurrency, pace))
    }

    fn pace(&self, rest: Duration) -> Pace {
        let args = &self.spec.args;
        Pace { rest, rate: Some(args.rate), client_timeout: args.client_timeout }
    }

    fn load(&self) -> Result<Box<dyn Load>, Failure> {
        self.spec.workload.load(&self.spec.workload_spec(&self.nodes)).map_err(Failure::bad_input)
    }

    /// Drives clients and nemesis until the time limit, the first violation, Ctrl-C or a failure.
    async fn drive(
        &mut self,
        driver: &mut Driver,
        load: &mut dyn Load,
        world: World,
        services: Option<&Services>,
    ) -> Result<Ended, Failure> {
        let limit = self.spec.args.time_limit;
        let journal = Journal::create(&self.dir)
            .context("failed to write the schedule")
            .map_err(Failure::harness)?;
        let nemesis =
            Nemesis::new(self.plan.clone(), heal_by(limit), self.spec.seed, world, journal);
        let in_force = nemesis.in_force();
        let (stop, stopped) = watch::channel(false);
        let (acknowledged, acks) = watch::channel(0);
        self.manifest.moments.load = Some(self.clock.now());
        self.dir.write_manifest(&self.manifest)?;

        let until = Instant::now() + limit;
        let counts = driver.counts();
        let nemesis = tokio::spawn(nemesis.run(acks, stopped.clone()));
        let forward = tokio::spawn(forward(counts.clone(), acknowledged));
        let mut end =
            Ends::listen().context("failed to listen to signals").map_err(Failure::harness)?;
        let generator: &mut dyn squall_workloads::Generator = load;
        let outcome = {
            let drive = driver.run(generator, until, stopped.clone());
            tokio::pin!(drive);
            let follow = progress::follow(&mut self.progress, until, counts, in_force);
            tokio::pin!(follow);
            let lost = services::first_death(services);
            tokio::pin!(lost);
            let (mut pressed, mut is_lost) = (false, false);
            loop {
                tokio::select! {
                    ended = &mut drive => break ended,
                    () = &mut follow => {}
                    _ = &mut lost, if !is_lost => {
                        is_lost = true;
                        let _ = stop.send(true);
                    }
                    () = end.asked(), if !pressed => {
                        pressed = true;
                        // The receivers live as long as the run.
                        let _ = stop.send(true);
                    }
                }
            }
        };
        forward.abort();
        let ended = outcome.context("failed to write the history").map_err(Failure::harness);
        self.take_down(driver.unwatch());
        if matches!(ended, Err(_) | Ok(Ended::Violated)) {
            let _ = stop.send(true);
        }
        // Whatever ended the load, the nemesis heals first.
        self.progress.step("healing");
        let report = nemesis.await.context("the nemesis panicked").map_err(Failure::harness)?;
        let ended = ended?;
        let report = report.map_err(Failure::harness)?;
        for (node, why) in &report.lost_members {
            self.progress.note(&format!("squall: {why}"));
            self.manifest.settings.insert(format!("{node} is no member"), why.clone());
        }
        services.map_or(Ok(()), |all| services::check(all, &self.dir))?;
        if ended == Ended::Stopped {
            self.progress.note("squall: stopped; judging what there is");
        }
        Ok(ended)
    }

    /// Has the history watched while it is recorded, where its order is judged.
    fn watch(&self, driver: &mut Driver) -> Result<(), Failure> {
        if !self.manifest.claims.contains(&Claim::Linearizable) {
            return Ok(());
        }
        let model = ModelKind::from_str(self.spec.workload.model).map_err(Failure::harness)?;
        let at_violation = match self.spec.args.keep_going {
            true => AtViolation::GoOn,
            false => AtViolation::Stop,
        };
        driver.watch(Watch::new(model, Format::Squall.default_reading(), at_violation));
        Ok(())
    }

    /// Takes down what the watch saw, and what it did not.
    fn take_down(&mut self, watch: Option<Watch>) {
        let Some(watch) = watch else { return };
        let coverage = watch.coverage();
        if let Some(first) = watch.found() {
            let doing = if first.stopped { "stopped at" } else { "went on after" };
            self.progress
                .note(&format!("squall: {doing} the first violation, {first}: {}", first.why));
            self.manifest.first_violation = Some(first.clone());
        } else if coverage != Watch::EVERY_KEY {
            self.progress.note(&format!("squall: watched for violations: {coverage}"));
        }
        self.manifest.settings.insert("watched".to_owned(), coverage);
    }

    /// Returns how many reads stayed without an answer.
    async fn final_reads(
        &self,
        driver: &mut Driver,
        keys: &[squall_history::Key],
    ) -> Result<usize, Failure> {
        driver.set_pace(self.pace(FINAL_REST));
        let mut reads: FinalReads = final_reads(keys, &self.nodes, self.spec.concurrency);
        let (_stop, stopped) = watch::channel(false);
        driver
            .run(&mut reads, Instant::now() + FINAL_READS, stopped)
            .await
            .context("failed to write the history")
            .map_err(Failure::harness)?;
        Ok(reads.left() + reads.given_up().len())
    }

    async fn keep_data(
        &mut self,
        cluster: &Arc<Sandboxed>,
        readings: &disk::Readings,
    ) -> Result<(), Failure> {
        for node in &self.nodes {
            cluster.keep_data(node, &self.dir).await.map_err(Failure::harness)?;
        }
        // What the files say outlives them: a run that is valid drops them.
        let now = self.clock.monotonic_origin() + self.clock.now().0;
        let runs = |node: &&NodeName| match cluster.state(node) {
            NodeState::Running | NodeState::Paused => true,
            NodeState::Killed | NodeState::Exited { .. } => false,
        };
        let alive = self.nodes.iter().filter(runs).cloned().collect();
        disk::record_log(&self.dir, &self.system, &self.nodes, alive)?;
        let layout = disk::layout(self.system.reader);
        let counted = disk::record(&self.dir, layout, readings, &self.nodes, now).await?;
        let counted = counted.map(|counted| ("disk readings".to_owned(), counted));
        self.manifest.settings.extend(counted);
        cluster
            .data()
            .discard()
            .context("failed to remove the nodes' data")
            .map_err(Failure::harness)
    }
}

/// Cuts nothing: this machine has no firewall for it.
#[derive(Debug)]
struct NoLinks;

impl LinkPlane for NoLinks {
    fn name(&self) -> &'static str {
        "none"
    }

    fn apply(&mut self, cut: &Cut) -> Result<Applied, ClusterError> {
        if cut.is_healed() {
            return Ok(Applied { took: Duration::ZERO, commands: Vec::new() });
        }
        Err(ClusterError::Other("links cannot be cut on this machine".to_owned()))
    }
}

/// The signals by which people and machines end a run early: it heals, stops, and what there is is judged.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Ends {
    fn listen() -> std::io::Result<Ends> {
        Ok(Ends {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Waits until somebody leads, for a while.
async fn await_leader(probe: &dyn LeaderProbe) -> Option<NodeName> {
    let until = Instant::now() + LEADER;
    loop {
        let leader = probe.leader().await;
        if leader.is_some() || Instant::now() >= until {
            return leader;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Tells the nemesis how many operations were acknowledged.
async fn forward(
    mut counts: watch::Receiver<crate::recorder::Counts>,
    acknowledged: watch::Sender<u64>,
) {
    while counts.changed().await.is_ok() {
        let ok = counts.borrow_and_update().ok;
        acknowledged.send_replace(ok);
    }
}

/// Returns the processor time of this process so far.
fn cpu_time() -> Option<Nanos> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = |time: nix::sys::time::TimeVal| {
        (time.tv_sec() as u64) * 1_000_000 + (time.tv_usec() as u64)
    };
    Some(Nanos((micros(usage.user_time()) + micros(usage.system_time())) * 1000))
}

/// Returns the families that were asked for: by name, or by the file of a schedule.
fn requested(spec: &RunSpec, plan: &[Planned]) -> Vec<String> {
    if spec.args.schedule.is_none() {
        return spec.families.iter().map(|family| family.name().to_owned()).collect();
    }
    let families: BTreeSet<&str> = plan.iter().map(|planned| planned.fault.family()).collect();
    families.into_iter().map(str::to_owned).collect()
}

fn manifest(
    spec: &RunSpec,
    system: &SystemSpec,
    nodes: &[NodeName],
    plan: &[Planned],
    sandbox: Option<&Sandbox>,
    clock: Clock,
    started: jiff::Timestamp,
) -> Manifest {
    let print = squall_history::schedule::duration::print;
    let args = &spec.args;
    let mut settings = BTreeMap::from([
        ("concurrency".to_owned(), spec.concurrency.to_string()),
        ("rate".to_owned(), format!("{} ops/s", args.rate)),
        ("time-limit".to_owned(), print(args.time_limit)),
        ("client-timeout".to_owned(), print(args.client_timeout)),
        ("tcp".to_owned(), args.tcp.clone()),
        ("sandbox".to_owned(), sandbox.map_or(ATTACHED, |sandbox| sandbox.tier.name()).to_owned()),
        ("keys".to_owned(), spec.workload.keys(&spec.workload_spec(nodes)).to_string()),
    ]);
    if let Some(range) = args.value_range {
        settings.insert("value-range".to_owned(), range.to_string());
    }
    Manifest {
        squall: Manifest::FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        replay: test::replay(spec),
        started: started.to_string(),
        monotonic_origin: clock.monotonic_origin(),
        seed: spec.seed,
        system: SystemInfo {
            name: system.name.clone(),
            binary_sha256: String::new(),
            forwards: system.claims.forwards,
            bug: spec.bug.clone(),
            settings: spec.set.iter().cloned().collect(),
            versions: BTreeMap::new(),
            boots: BTreeMap::new(),
        },
        nodes: nodes.to_vec(),
        workload: spec.workload.name.to_owned(),
        nemesis: requested(spec, plan),
        unavailable: BTreeMap::new(),
        claims: system.claims_with(spec.workload),
        settings,
        state: State::Running,
        moments: Moments::default(),
        first_violation: None,
        stalls: Vec::new(),
    }
}

impl RunSpec {
    /// Returns what the workload is told.
    pub(crate) fn workload_spec(&self, nodes: &[NodeName]) -> WorkloadSpec {
        WorkloadSpec {
            nodes: nodes.to_vec(),
            concurrency: self.concurrency,
            keys: self.args.keys,
            value_range: self.args.value_range,
            seed: self.seed,
        }
    }

    /// Returns the faults: of a file, or dealt from the seed.
    fn faults(&self, nodes: &[NodeName]) -> Result<Vec<Planned>, Failure> {
        if let Some(file) = &self.args.schedule {
            let known = self.system.node.version_names();
            let file = schedule_file::load(file, nodes, &known).map_err(Failure::bad_input)?;
            if members::change_in(&file.plan) {
                members::check(&[Family::Member], &self.system)?;
            }
            return Ok(file.plan);
        }
        Ok(plan(&PlanSpec {
            families: self.families.clone(),
            nodes: nodes.to_vec(),
            time_limit: self.args.time_limit,
            interval: self.args.nemesis_interval,
            seed: self.seed,
            timing: Timing { election_timeout: self.system.timing.election.1 },
            versions: versions::of(&self.system),
        }))
    }
}

/// Reads `--firewall`.
pub(crate) fn firewall(text: &str) -> Result<Firewall, Failure> {
    text.parse().map_err(|_| Failure::unknown("firewall", text, ["iptables", "nft", "auto"]))
}

/// Reads `--tcp`.
pub(crate) fn tcp(text: &str) -> Result<Tcp, Failure> {
    text.parse().map_err(|_| Failure::unknown("TCP profile", text, ["capped", "realistic"]))
}
