//! Processes beside the nodes: a coordinator, a proxy, a stub of something that the nodes need.
//!
//! They have addresses of their own in the run's network, are hurt by no fault, and live from before the first node until
//! after the last. One that ends in between is no finding about the system: what ran without it is not what was meant.

use std::sync::Arc;
use std::time::Duration;

use squall_history::RunDir;
use tokio::task::AbortHandle;

use crate::ClusterError;
use crate::control::in_one_line;
use crate::data::DataDirs;
use crate::launch::{Direct, Launcher};
use crate::node::NodePlan;
use crate::output::Output;
use crate::sandboxed::{Stopped, bound_outputs, io_error, launcher, supervised};
use crate::supervise::{Death, Deaths, Supervised};
use crate::topology::Network;

/// The services of a run. When it is dropped, they are killed.
pub struct Services {
    running: Vec<Arc<Supervised>>,
    deaths: Arc<Deaths>,
    /// Its end is theirs.
    _launcher: Option<Launcher>,
    output_bound: Option<AbortHandle>,
}

impl Services {
    /// Starts them one after the other, each once the one before it is ready. Their output goes to `nodes/` of the run.
    pub async fn start(
        network: &Network,
        plans: Vec<NodePlan>,
        run: &RunDir,
        data: &dyn DataDirs,
    ) -> Result<Services, ClusterError> {
        let deaths = Arc::new(Deaths::default());
        if plans.is_empty() {
            let running = Vec::new();
            return Ok(Services { running, deaths, _launcher: None, output_bound: None });
        }
        let launcher = launcher(network)?;
        let mut running = Vec::new();
        for plan in plans {
            data.prepare(&plan.name).map_err(io_error("make the data directory of", &plan.name))?;
            let place = network.services.iter().find(|place| place.node == plan.name);
            let service = Arc::new(supervised(plan, place, run, &deaths)?);
            service.start(&launcher, &Direct).await?;
            service.await_ready().await?;
            running.push(service);
        }
        let outputs: Vec<Output> = running.iter().map(|service| service.output().clone()).collect();
        let output_bound = Some(tokio::spawn(bound_outputs(outputs)).abort_handle());
        Ok(Services { running, deaths, _launcher: Some(launcher), output_bound })
    }

    /// Returns the first that ended by itself, if one did.
    pub fn death(&self) -> Option<Death> {
        self.deaths.seen().into_iter().next()
    }

    /// Waits until one ends by itself.
    pub async fn first_death(&self) -> Death {
        self.deaths.after(0).await
    }

    /// Ends them, the last one first: asks, and kills those that do not end in time.
    pub async fn stop(&self, within: Duration) -> Stopped {
        let mut stopped = Stopped::default();
        for service in self.running.iter().rev() {
            match service.stop(within).await {
                Ok(true) => stopped.killed.push(service.plan.name.clone()),
                Ok(false) => {}
                Err(error) => stopped.failed.push(in_one_line(&error)),
            }
        }
        stopped
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(bound) = &self.output_bound {
            bound.abort();
        }
    }
}
