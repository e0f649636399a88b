//! What runs beside the nodes of a run: started before them, ended after them, and missed if it ends in between.

use squall_cluster::{ClusterError, DataDirs};
use squall_cluster::{Death, Network, PlainDirs, Services};
use squall_history::RunDir;
use squall_systems::{Setup, Site, SystemSpec, plan_services};

use crate::failure::Failure;
use crate::test;

/// Starts the services of a page, one after the other.
pub(crate) async fn start(
    system: &SystemSpec,
    network: &Network,
    (sites, setup): (&[Site], &Setup),
    data: &PlainDirs,
    run: &RunDir,
) -> Result<Services, Failure> {
    let plans = plan_services(system, sites, setup, |name| data.path(name));
    let plans = plans.map_err(Failure::harness)?;
    Services::start(network, plans, run, data).await.map_err(|error| not_there(error, run))
}

fn not_there(error: ClusterError, run: &RunDir) -> Failure {
    let logs = test::shown(&run.path().join("nodes"));
    let error = anyhow::Error::new(error).context("failed to start a service");
    Failure::harness(error).hint(format!("the services' output is in {logs}"))
}

/// Returns what a run ends with whose service has ended: no verdict, whatever the nodes did without it.
pub(crate) fn lost(death: &Death, run: &RunDir) -> Failure {
    let logs = test::shown(&run.node(&death.node));
    let error = anyhow::anyhow!("service {death}");
    Failure::harness(error).hint(format!(
        "the system ran without it, so nothing is said of the system; its output is in {logs}"
    ))
}

/// Looks whether all services still run.
pub(crate) fn check(services: &Services, run: &RunDir) -> Result<(), Failure> {
    services.death().map_or(Ok(()), |death| Err(lost(&death, run)))
}

/// Waits until a service ends by itself: for ever, where there is none.
pub(crate) async fn first_death(services: Option<&Services>) -> Death {
    match services {
        Some(services) => services.first_death().await,
        None => std::future::pending().await,
    }
}

/// Says where the services live, for `run.json`.
pub(crate) fn told(system: &SystemSpec) -> String {
    let services = system.services.iter();
    let each: Vec<String> =
        services.map(|service| format!("{} at {}", service.name, service.ip)).collect();
    each.join(", ")
}
