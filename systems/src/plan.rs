//! From a system's page to what the cluster starts and where clients dial. Nothing is started here, so that it can be
//! read before it runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rand::Rng;
use squall_cluster::{NodePlan, Ready as ClusterReady, ReadyCheck as ClusterCheck};
use squall_history::NodeName;

use crate::binary::MissingBinary;
use crate::nodes::Addresses;
use crate::spec::{Ready, ReadyCheck, SystemSpec};
use crate::template::{Scope, Template, TemplateError};

/// Where one node lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name: `{id}`. Its place in the list, counted from 1, is `{n}`.
    pub name: NodeName,
    /// Its address: `{ip}`.
    pub ip: Ipv4Addr,
    /// Where the others reach it, which may be a proxy's address: `{peer}`, with the port.
    pub peer_ip: Ipv4Addr,
    /// Its data directory: `{data}`.
    pub data: PathBuf,
}

/// What a run brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Our own executable: `{squall}`.
    pub squall: PathBuf,
    /// Where the system's binaries lie: `{bin}`. Unless it is said, [`SystemSpec::bin`].
    pub bin: Option<PathBuf>,
    /// The seed of the run. `{seed}` is a number of each node's own, drawn from it.
    pub seed: u64,
    /// The bug that is planted: `{bug?}`.
    pub bug: Option<String>,
    /// Settings of the nodes; each is added to their command as `--set NAME=VALUE`.
    pub settings: Vec<(String, String)>,
    /// The version that nodes start as where that is not the first.
    pub versions: BTreeMap<NodeName, String>,
    /// Where traces are written, one file a boot: `{trace}` is `<traces>/<id>.<boot>.jsonl`.
    pub traces: PathBuf,
}

/// The variable that tells a node where to write its trace.
const TRACE: &str = "SQUALL_TRACE";
/// What the cluster replaces by the number of the boot.
const BOOT: &str = "{boot}";

/// Says why a page cannot be turned into a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A placeholder stands for nothing in this run.
    #[error("failed to fill in {template:?}")]
    Template {
        /// The template.
        template: String,
        /// Why.
        #[source]
        source: TemplateError,
    },
    /// There is nothing to start.
    #[error(transparent)]
    Binary(#[from] MissingBinary),
    /// A text should be an address.
    #[error("expected {expected}, found {found:?}")]
    Address {
        /// What it should be, such as `an address such as 10.77.0.1:8000`.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

/// Returns how each node is started.
pub fn plan(spec: &SystemSpec, sites: &[Site], setup: &Setup) -> Result<Vec<NodePlan>, PlanError> {
    if setup.bin.is_none() {
        spec.check_binary()?;
    }
    let scopes = scopes(spec, sites, setup);
    let nodes = sites.iter().zip(&scopes);
    nodes
        .map(|(site, scope)| {
            let mut plan = node_plan(spec, site, scope, setup)?;
            if spec.changes_members() {
                let joining = Scope { joins: true, ..scope.clone() };
                plan.joining = Some(Box::new(node_plan(spec, site, &joining, setup)?));
            }
            Ok(plan)
        })
        .collect()
}

/// Returns where each node listens to clients.
pub fn client_addresses(
    spec: &SystemSpec,
    sites: &[Site],
    setup: &Setup,
) -> Result<Addresses, PlanError> {
    let scopes = scopes(spec, sites, setup);
    let nodes = sites.iter().zip(&scopes);
    nodes
        .map(|(site, scope)| {
            let text = filled(&spec.client.addr, scope)?.unwrap_or_default();
            Ok((site.name.clone(), socket_addr(&text)?))
        })
        .collect()
}

fn node_plan(
    spec: &SystemSpec,
    site: &Site,
    scope: &Scope,
    setup: &Setup,
) -> Result<NodePlan, PlanError> {
    let settings = setup.settings.iter();
    let settings: Vec<String> = settings
        .flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")])
        .collect();
    let common_env = vec![(TRACE.to_owned(), scope.values["trace"].clone())];
    let ready = ready(&spec.node.ready, site.ip, scope)?;
    let (name, ip, data) = (site.name.clone(), site.ip, site.data.clone());
    let versions = spec.version_plans(scope, &common_env, &settings)?;
    let first = match setup.versions.get(&name) {
        Some(chosen) => versions.iter().find(|version| version.name == *chosen),
        None => versions.first(),
    };
    let (argv, env) = match first {
        Some(version) => (version.argv.clone(), version.env.clone()),
        None => {
            let mut argv = words(&spec.node.cmd, scope)?;
            argv.extend(settings);
            let mut env = common_env;
            for (name, template) in &spec.node.env {
                env.extend(filled(template, scope)?.map(|value| (name.clone(), value)));
            }
            (argv, env)
        }
    };
    Ok(NodePlan { name, ip, argv, env, versions, joining: None, ready, data })
}

/// Returns what the placeholders stand for at each node.
fn scopes(spec: &SystemSpec, sites: &[Site], setup: &Setup) -> Vec<Scope> {
    let nodes = nodes_values(spec, sites, setup);
    let scope = |values| Scope { values, nodes: nodes.clone(), joins: false };
    nodes.iter().cloned().map(scope).collect()
}

/// Returns the names of each node, for `{nodes:…}`.
pub(crate) fn nodes_values(
    spec: &SystemSpec,
    sites: &[Site],
    setup: &Setup,
) -> Vec<BTreeMap<String, String>> {
    let places = sites.iter().enumerate();
    places.map(|(n, site)| node_values(spec, n + 1, site, setup)).collect()
}

fn node_values(
    spec: &SystemSpec,
    n: usize,
    site: &Site,
    setup: &Setup,
) -> BTreeMap<String, String> {
    let path = |path: &Path| path.display().to_string();
    let trace = setup.traces.join(format!("{}.{BOOT}.jsonl", site.name));
    // A node that draws its timeouts from a seed must not draw the same ones as its peers.
    let seed = squall_workloads::stream(setup.seed, &format!("node/{}", site.name)).next_u32();
    let bin = setup.bin.clone().or_else(|| spec.bin());
    let values = [
        ("id", Some(site.name.to_string())),
        ("n", Some(n.to_string())),
        ("ip", Some(site.ip.to_string())),
        ("data", Some(path(&site.data))),
        ("peer", spec.peer_port.map(|port| format!("{}:{port}", site.peer_ip))),
        ("bin", bin.as_deref().map(path)),
        ("home", spec.dir().as_deref().map(path)),
        ("squall", Some(path(&setup.squall))),
        ("seed", Some(seed.to_string())),
        ("bug", setup.bug.clone()),
        ("trace", Some(path(&trace))),
        ("boot", Some(BOOT.to_owned())),
    ];
    let set = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    set.chain(spec.service_values()).collect()
}

pub(crate) fn words<'a>(
    templates: impl IntoIterator<Item = &'a Template>,
    scope: &Scope,
) -> Result<Vec<String>, PlanError> {
    templates.into_iter().filter_map(|template| filled(template, scope).transpose()).collect()
}

pub(crate) fn filled(template: &Template, scope: &Scope) -> Result<Option<String>, PlanError> {
    template
        .expand(scope)
        .map_err(|source| PlanError::Template { template: template.source().to_owned(), source })
}

pub(crate) fn ready(ready: &Ready, ip: Ipv4Addr, scope: &Scope) -> Result<ClusterReady, PlanError> {
    let check = match &ready.check {
        ReadyCheck::Tcp(port) => ClusterCheck::Tcp((ip, *port).into()),
        ReadyCheck::Log(text) => ClusterCheck::Log(text.clone()),
        ReadyCheck::Exec(command) => ClusterCheck::Exec(words(command, scope)?),
        ReadyCheck::Http(url) => {
            let (addr, path) = http(&filled(url, scope)?.unwrap_or_default())?;
            ClusterCheck::Http { addr, path }
        }
    };
    Ok(ClusterReady { check, within: ready.within })
}

/// Splits `http://10.77.0.1:2379/health`.
fn http(url: &str) -> Result<(SocketAddr, String), PlanError> {
    let expected = "a URL such as http://10.77.0.1:2379/health";
    let wrong = || PlanError::Address { expected, found: url.to_owned() };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let path = rest.find('/').unwrap_or(rest.len());
    let addr = rest[..path].parse().map_err(|_| wrong())?;
    let path = if path == rest.len() { "/" } else { &rest[path..] };
    Ok((addr, path.to_owned()))
}

fn socket_addr(text: &str) -> Result<SocketAddr, PlanError> {
    let expected = "an address such as 10.77.0.1:8000";
    text.parse().map_err(|_| PlanError::Address { expected, found: text.to_owned() })
}
