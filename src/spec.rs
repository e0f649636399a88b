//! One run, as it was asked for: names resolved, defaults filled in, everything checked before anything starts.

use std::collections::BTreeMap;
use std::time::Duration;

use squall_cluster::{Firewall, Tcp};
use squall_history::NodeName;
use squall_nemesis::Family;
use squall_systems::SystemSpec;
use squall_workloads::Workload;

use crate::cli::TestArgs;
use crate::failure::Failure;
use crate::{members, run, versions};

/// How many nodes the sandbox has addresses for, and more than any Raft cluster needs.
const MOST_NODES: usize = 20;

/// The families of a run that names none.
const DEFAULT_NEMESIS: &str = "kill,pause,partition";

/// What nodes live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Namespaces, or loopback addresses where these cannot be had.
    Auto,
    /// Namespaces, or nothing.
    Namespaces,
    /// Loopback addresses of the host's, each node behind a TCP proxy.
    Proxy,
}

/// Reads `--network`.
fn ground(text: &str) -> Result<Ground, Failure> {
    match text {
        "auto" => Ok(Ground::Auto),
        "namespaces" => Ok(Ground::Namespaces),
        "proxy" => Ok(Ground::Proxy),
        _ => Err(Failure::unknown("network", text, ["auto", "namespaces", "proxy"])),
    }
}

/// A run that can be started.
#[derive(Clone, Debug)]
pub(crate) struct RunSpec {
    /// How many nodes.
    pub nodes: usize,
    /// How many clients.
    pub concurrency: usize,
    /// What clients do.
    pub workload: &'static Workload,
    /// Which families of faults, in the order of the catalog.
    pub families: Vec<Family>,
    /// The planted bug, and the settings of the nodes.
    pub bug: Option<String>,
    /// Settings of the reference's nodes, the bug's own first.
    pub set: Vec<(String, String)>,
    /// The system under test.
    pub system: SystemSpec,
    /// The versions that nodes start as where that is not the page's first.
    pub versions: BTreeMap<NodeName, String>,
    /// What nodes live in.
    pub ground: Ground,
    /// How partitions are made.
    pub firewall: Firewall,
    /// How TCP behaves between nodes.
    pub tcp: Tcp,
    /// The seed of every random stream.
    pub seed: u64,
    /// Everything that needs no resolving.
    pub args: TestArgs,
}

impl RunSpec {
    /// Resolves the flags.
    pub(crate) fn resolve(args: &TestArgs) -> Result<RunSpec, Failure> {
        if let Some(nodes) = args.nodes.filter(|nodes| !(1..=MOST_NODES).contains(nodes)) {
            let error = anyhow::anyhow!("--nodes {nodes}: expected 1 to {MOST_NODES}");
            return Err(Failure::bad_input(error));
        }
        if args.time_limit < Duration::from_secs(1) {
            let error = anyhow::anyhow!("--time-limit {:?}: expected at least 1s", args.time_limit);
            return Err(Failure::bad_input(error));
        }
        let workload = workload(&args.workload)?;
        let system = system(args)?;
        let nodes = args.nodes.unwrap_or(system.nodes).min(MOST_NODES);
        if system.attach.is_some() && nodes != system.nodes {
            let error = anyhow::anyhow!(
                "--nodes {nodes}: {} names the {} nodes of its cluster",
                system.name,
                system.nodes
            );
            return Err(Failure::bad_input(error));
        }
        let lacks = system.lacks(workload);
        if !lacks.is_empty() {
            let error = anyhow::anyhow!(
                "{} does not claim what workload {} needs: {}",
                system.name,
                workload.name,
                lacks.join(", ")
            );
            return Err(Failure::bad_input(error));
        }
        Ok(RunSpec {
            nodes,
            concurrency: concurrency(&args.concurrency, nodes)?,
            workload,
            families: families(args.nemesis.as_deref().unwrap_or(DEFAULT_NEMESIS), &system)?,
            versions: versions::initial(args.versions.as_deref(), &system, nodes)?,
            system,
            ground: ground(&args.network)?,
            firewall: run::firewall(&args.firewall)?,
            tcp: run::tcp(&args.tcp)?,
            bug: bug(args.bug.as_deref())?,
            set: settings(args)?,
            seed: args.seed.unwrap_or_else(seed_of_now),
            args: args.clone(),
        })
    }
}

impl RunSpec {
    /// Whether a family that this machine cannot inject is left out and listed, because nobody asked for it by name.
    pub(crate) fn left_out_if_unavailable(&self, family: Family) -> bool {
        let named = self.args.nemesis.as_deref().filter(|text| *text != "all");
        let by_file = self.args.schedule.is_some();
        !by_file
            && named.is_none_or(|text| !text.split(',').any(|name| name.trim() == family.name()))
    }
}

/// Reads `10` or `3n`.
fn concurrency(text: &str, nodes: usize) -> Result<usize, Failure> {
    let number = match text.strip_suffix('n') {
        Some("") => Ok(nodes),
        Some(factor) => factor.parse::<usize>().map(|factor| factor * nodes),
        None => text.parse(),
    };
    number.ok().filter(|number| (1..=1000).contains(number)).ok_or_else(|| {
        let error = anyhow::anyhow!(
            "--concurrency {text}: expected 1 to 1000, or a multiple of the nodes such as 3n"
        );
        Failure::bad_input(error)
    })
}

fn workload(name: &str) -> Result<&'static Workload, Failure> {
    let catalog = squall_workloads::catalog();
    catalog.iter().find(|workload| workload.name == name).ok_or_else(|| {
        Failure::unknown("workload", name, catalog.iter().map(|workload| workload.name))
    })
}

fn families(text: &str, system: &SystemSpec) -> Result<Vec<Family>, Failure> {
    let families = squall_nemesis::parse_families(text).map_err(Failure::bad_input)?;
    members::check(&families, system)?;
    versions::families(text, families, system)
}

fn bug(name: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(name) = name else { return Ok(None) };
    known_bug(name)?;
    Ok(Some(name.to_owned()))
}

/// Returns the bug of this name.
pub(crate) fn known_bug(
    name: &str,
) -> Result<&'static squall_raft_node::planted::Planted, Failure> {
    let bugs = squall_raft_node::planted::all();
    bugs.iter()
        .find(|bug| bug.name == name)
        .ok_or_else(|| Failure::unknown("bug", name, bugs.iter().map(|bug| bug.name)))
}

/// Returns the settings of the bug, or of the bug whose settings alone are wanted, and then the user's, which win.
fn settings(args: &TestArgs) -> Result<Vec<(String, String)>, Failure> {
    let mut settings = Vec::new();
    if let Some(name) = args.bug.as_deref().or(args.settings_of.as_deref()) {
        let bug = known_bug(name)?;
        settings
            .extend(bug.settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    }
    for setting in &args.set {
        let Some((name, value)) = setting.split_once('=') else {
            let error =
                anyhow::anyhow!("--set {setting}: expected NAME=VALUE, such as pre-vote=false");
            return Err(Failure::bad_input(error));
        };
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

/// A seed that people can type.
pub(crate) fn seed_of_now() -> u64 {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    (nanos / 1000).rem_euclid(1_000_000_007) as u64
}

/// Returns the system under test; bugs and settings are the reference's.
fn system(args: &TestArgs) -> Result<SystemSpec, Failure> {
    let Some(file) = &args.system else { return Ok(SystemSpec::reference()) };
    if args.bug.is_some() || args.settings_of.is_some() || !args.set.is_empty() {
        let error = anyhow::anyhow!(
            "--bug, --settings-of and --set are for the reference, and not for --system"
        );
        return Err(Failure::bad_input(error));
    }
    let spec = SystemSpec::read(file).map_err(Failure::bad_input)?;
    spec.connect(Default::default()).map_err(Failure::bad_input)?;
    spec.check_binary().map_err(Failure::bad_input)?;
    Ok(spec)
}
