//! What state living nodes are in, by their own words: asked once, when everything is healed and nobody writes any more.
//!
//! Nodes may be a few entries apart even then, so they are asked until they have got equally far, for a while. What they
//! say is only written down here. Whether it fits together is the checker's business.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use squall_history::NodeName;
use squall_history::log::Positions;
use squall_history::states::State;
use squall_workloads::ClientError;
use tokio::time::{self, Instant};

use crate::etcd;
use crate::http::{Answer, Http, Question};
use crate::nodes::{Addresses, dial};
use crate::reference;
use crate::rest::DigestQuestion;

/// How long nodes have to get equally far.
const EQUALLY_FAR: Duration = Duration::from_secs(1);
/// How long they rest between two questions.
const REST: Duration = Duration::from_millis(50);
/// How long one answer may take. A digest of all that a run wrote takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);

/// What each node said, or why it said nothing.
pub type Said<T = State> = BTreeMap<NodeName, Result<T, String>>;

/// Asks nodes for their state.
#[derive(Clone, Debug)]
pub struct StateProbe {
    addresses: Addresses,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// As the reference is asked.
    Reference,
    /// By HashKV, at the address for clients or, where that has no such door, at the one for peers.
    Etcd { peers: Addresses },
    /// As the page says.
    Http(DigestQuestion),
}

impl StateProbe {
    pub(crate) fn reference(addresses: Addresses) -> StateProbe {
        StateProbe { addresses, how: How::Reference }
    }

    pub(crate) fn etcd(addresses: Addresses, peers: Addresses) -> StateProbe {
        StateProbe { addresses, how: How::Etcd { peers } }
    }

    pub(crate) fn http(addresses: Addresses, question: DigestQuestion) -> StateProbe {
        StateProbe { addresses, how: How::Http(question) }
    }

    /// Returns what the positions of the answers count.
    pub fn positions(&self) -> Positions {
        match self.how {
            How::Etcd { .. } => Positions::Revision,
            How::Reference | How::Http(_) => Positions::Index,
        }
    }

    /// Asks every node. Takes 3 s at most.
    pub async fn ask(&self) -> Said {
        match &self.how {
            How::Etcd { peers } => etcd::states(&self.addresses, peers).await,
            How::Reference => {
                let ask = |_, address| reference::state(address);
                once_equally_far(&self.addresses, ask, position).await
            }
            How::Http(question) => {
                let ask = |_, address| question.ask(address);
                once_equally_far(&self.addresses, ask, position).await
            }
        }
    }
}

fn position(state: &State) -> u64 {
    state.position
}

/// Asks every node, again and again until all that answer have got equally far.
pub(crate) async fn once_equally_far<T, Asked>(
    addresses: &Addresses,
    ask: impl Fn(NodeName, SocketAddr) -> Asked,
    how_far: impl Fn(&T) -> u64,
) -> Said<T>
where
    Asked: Future<Output = Result<T, String>>,
{
    let until = Instant::now() + EQUALLY_FAR;
    loop {
        let said = each(addresses, &ask).await;
        let mut far = said.values().flatten().map(&how_far);
        let first = far.next();
        if far.all(|far| Some(far) == first) || Instant::now() >= until {
            return said;
        }
        time::sleep(REST).await;
    }
}

/// Asks every node once, all at the same time.
pub(crate) async fn each<T, Asked>(
    addresses: &Addresses,
    ask: impl Fn(NodeName, SocketAddr) -> Asked,
) -> Said<T>
where
    Asked: Future<Output = Result<T, String>>,
{
    let asked = addresses.iter().map(|(node, address)| {
        let answer = time::timeout(DEADLINE, ask(node.clone(), *address));
        async move {
            let late = |_| Err(format!("no answer within {} s", DEADLINE.as_secs()));
            (node.clone(), answer.await.unwrap_or_else(late))
        }
    });
    join_all(asked).await.into_iter().collect()
}

/// Asks a node on a connection of its own.
pub(crate) async fn asked(address: SocketAddr, question: Question) -> Result<Answer, String> {
    let stream = dial(address, DEADLINE).await.map_err(|error| error.to_string())?;
    let mut http = Http::new(stream).await.map_err(why)?;
    http.ask(question).await.map_err(why)
}

/// Says what went wrong.
pub(crate) fn why(error: ClientError) -> String {
    match error {
        ClientError::Refused(why)
        | ClientError::Rejected(why)
        | ClientError::Reset(why)
        | ClientError::Unclear(why) => why,
        ClientError::Timeout => "no answer in time".to_owned(),
        ClientError::NotLeader | ClientError::Precondition { .. } => "it did not answer".to_owned(),
    }
}
