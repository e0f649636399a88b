//! Who leads, as the nodes of the reference say it themselves.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::LeaderProbe;
use squall_history::states::State;
use squall_history::{NodeName, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire;
use crate::nodes::{Addresses, dial, who_leads};
use crate::states::why;

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
    term_led(&asked(address, "status").await.ok()?)
}

/// Asks a node what state it is in.
pub(crate) async fn state(address: SocketAddr) -> Result<State, String> {
    let told = asked(address, "digest").await?;
    let position = field(&told, "applied").and_then(Value::as_int);
    let position = position.and_then(|applied| applied.try_into().ok());
    match (position, field(&told, "digest")) {
        (Some(position), Some(Value::Text(digest))) => {
            Ok(State { position, compacted: None, version: None, digest: digest.to_string() })
        }
        (_, _) => Err(format!("no state: {told}")),
    }
}

/// Asks a node something about itself.
async fn asked(address: SocketAddr, op: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = dial(address, DEADLINE).await.map_err(failed)?;
    let mut request = Vec::new();
    wire::write_question(&mut request, 1, op);
    stream.write_all(&request).await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut stream = stream.take(LONGEST_ANSWER);
    while !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            return Err("it hung up".to_owned());
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    wire::read_answer(line, 1).result.map_err(why)
}

fn term_led(state: &Value) -> Option<u64> {
    if field(state, "role") != Some(&Value::text("leader")) {
        return None;
    }
    field(state, "term")?.as_int()?.try_into().ok()
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(fields) = map else { return None };
    fields.iter().find(|(key, _)| *key == Value::text(name)).map(|(_, value)| value)
}
