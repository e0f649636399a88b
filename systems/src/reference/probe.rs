//! Who leads, as the nodes of the reference say it themselves.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::LeaderProbe;
use squall_history::{NodeName, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire;
use crate::nodes::{Addresses, dial, who_leads};

/// A node that answers takes a millisecond; one that is paused or dead never does, and must not hold up the others.
const DEADLINE: Duration = Duration::from_millis(100);
/// A state is a few hundred bytes.
const LONGEST_ANSWER: u64 = 1 << 16;

/// Asks every node for its state.
#[derive(Clone, Debug)]
pub struct ReferenceProbe {
    addresses: Addresses,
}

impl ReferenceProbe {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> ReferenceProbe {
        ReferenceProbe { addresses }
    }
}

impl LeaderProbe for ReferenceProbe {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        who_leads(&self.addresses, DEADLINE, |_, address| leads(address)).boxed()
    }
}

/// Returns the term that a node leads, if it says that it leads.
async fn leads(address: SocketAddr) -> Option<u64> {
    let mut stream = dial(address, DEADLINE).await.ok()?;
    let mut request = Vec::new();
    wire::write_status(&mut request, 1);
    stream.write_all(&request).await.ok()?;
    let mut answer = Vec::new();
    let mut stream = stream.take(LONGEST_ANSWER);
    while !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let length = answer.iter().position(|byte| *byte == b'\n')?;
    term_led(&wire::read_answer(&answer[..length], 1).result.ok()?)
}

fn term_led(state: &Value) -> Option<u64> {
    let Value::Map(fields) = state else { return None };
    let field = |name: &str| {
        fields.iter().find(|(key, _)| *key == Value::text(name)).map(|(_, value)| value)
    };
    if field("role") != Some(&Value::text("leader")) {
        return None;
    }
    field("term")?.as_int()?.try_into().ok()
}
