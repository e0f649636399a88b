//! `[[service]]`: what runs beside the nodes, which need it: a coordinator, a proxy, a stub of something outside.
//!
//! A service has an address of its own in the run's network, reachable from every node and every client, and no fault
//! hurts it. Templates of nodes, of clients and of later services name it as `{service.NAME.ip}`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use squall_cluster::NodePlan;
use squall_history::NodeName;

use crate::plan::{self, PlanError, Setup, Site};
use crate::spec::{Ready, SystemSpec};
use crate::template::{Scope, Template};

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSection {
    /// Its name.
    pub name: String,
    /// The command and its arguments.
    pub cmd: Vec<Template>,
    /// Its environment, beyond the harness's own.
    pub env: BTreeMap<String, Template>,
    /// How to find out that it serves.
    pub ready: Ready,
    /// Its address; unspecified until a run has a place for it.
    pub ip: Ipv4Addr,
    /// Where its command stands in the page: file, line and column.
    pub cmd_at: String,
}

/// The names that stand for something in a service's templates, beside earlier services'. Those of a node stand inside
/// `{nodes:…}` alone.
pub(crate) const SERVICE_NAMES: [&str; 6] = ["id", "ip", "data", "bin", "home", "squall"];

/// What `{service.NAME.ip}` begins with.
pub(crate) const PREFIX: &str = "service.";

impl SystemSpec {
    /// Returns the services' names, in the order in which they are started.
    pub fn service_names(&self) -> Vec<NodeName> {
        self.services.iter().map(|service| NodeName::from(service.name.as_str())).collect()
    }

    /// Gives the services their addresses, in the order of the page.
    pub fn place_services(&mut self, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        for (service, ip) in self.services.iter_mut().zip(addresses) {
            service.ip = ip;
        }
    }

    /// Returns what `{service.NAME.ip}` stands for.
    pub(crate) fn service_values(&self) -> impl Iterator<Item = (String, String)> {
        let services = self.services.iter();
        services.map(|service| (format!("{PREFIX}{}.ip", service.name), service.ip.to_string()))
    }
}

/// Returns how each service is started; `data` is where its directory is.
pub fn plan_services(
    spec: &SystemSpec,
    sites: &[Site],
    setup: &Setup,
    data: impl Fn(&NodeName) -> std::path::PathBuf,
) -> Result<Vec<NodePlan>, PlanError> {
    let nodes = plan::nodes_values(spec, &directly(sites), setup);
    let mut plans = Vec::new();
    for service in &spec.services {
        let name = NodeName::from(service.name.as_str());
        let data = data(&name);
        let values = values(spec, service, &data, setup);
        let scope = Scope { values, nodes: nodes.clone(), joins: false };
        let mut env = Vec::new();
        for (variable, template) in &service.env {
            let value = plan::filled(template, &scope)?;
            env.extend(value.map(|value| (variable.clone(), value)));
        }
        let argv = plan::words(&service.cmd, &scope)?;
        let ready = plan::ready(&service.ready, service.ip, &scope)?;
        let (versions, joining) = (Vec::new(), None);
        plans.push(NodePlan { name, ip: service.ip, argv, env, versions, joining, ready, data });
    }
    Ok(plans)
}

/// Proxies in front of nodes let nodes pass alone, since they must know who speaks: a service goes to the nodes themselves.
fn directly(sites: &[Site]) -> Vec<Site> {
    sites.iter().map(|site| Site { peer_ip: site.ip, ..site.clone() }).collect()
}

fn values(
    spec: &SystemSpec,
    service: &ServiceSection,
    data: &Path,
    setup: &Setup,
) -> BTreeMap<String, String> {
    let path = |path: &Path| path.display().to_string();
    let bin = setup.bin.clone().or_else(|| spec.bin());
    let values = [
        ("id", Some(service.name.clone())),
        ("ip", Some(service.ip.to_string())),
        ("data", Some(path(data))),
        ("bin", bin.as_deref().map(path)),
        ("home", spec.dir().as_deref().map(path)),
        ("squall", Some(path(&setup.squall))),
    ];
    let set = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    set.chain(spec.service_values()).collect()
}
