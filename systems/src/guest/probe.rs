//! Who leads, as nodes say it themselves.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::LeaderProbe;
use squall_history::NodeName;

use super::wire;
use crate::http::{Http, Question};
use crate::nodes::{Addresses, dial, who_leads};

/// A node that answers takes a few milliseconds; one that is paused or dead never does.
const DEADLINE: Duration = Duration::from_millis(200);

/// Asks every node for its status.
#[derive(Clone, Debug)]
pub struct GuestProbe {
    addresses: Addresses,
}

impl GuestProbe {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> GuestProbe {
        GuestProbe { addresses }
    }
}

impl LeaderProbe for GuestProbe {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        who_leads(&self.addresses, DEADLINE, |_, address| leads(address)).boxed()
    }
}

/// Returns the term that a node leads, if it says that it leads.
async fn leads(address: SocketAddr) -> Option<u64> {
    let mut http = Http::new(dial(address, DEADLINE).await.ok()?).await.ok()?;
    wire::term_led(&http.ask(Question::get(wire::STATUS)).await.ok()?)
}
