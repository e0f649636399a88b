//! The state of etcd's nodes, as HashKV: a CRC of all revisions up to one, from the last compaction on.
//!
//! ```text
//! POST /v3/maintenance/status  {}                  {"header":{"revision":"118",…},"version":"3.5.35","raftAppliedIndex":"131",…}
//! POST /v3/maintenance/hashkv  {"revision":118}    {"header":{…},"hash":3469133145,"compact_revision":"-1"}   clients' port: 3.5.35, 3.7.3
//! GET  /members/hashkv         {"revision":118}    {"header":{…},"hash":3469133145,"compact_revision":-1}     peers' port
//! ```
//!
//! 3.4.23 and 3.5.1 have no such path for clients, but nodes ask each other so. (`/v3/maintenance/hash`, which they
//! have, hashes the whole file with all that is each node's own.) A revision that a node has not reached, or has compacted,
//! is answered by an error. Measured: 3.4.23, 3.5.1, 3.5.35 and 3.7.3 compute the same of the same puts.

use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use squall_history::states::State;

use super::wire;
use crate::http::{Answer, Question};
use crate::nodes::Addresses;
use crate::states::{Said, asked, each, once_equally_far};

const FOR_CLIENTS: &str = "/v3/maintenance/hashkv";
const FOR_PEERS: &str = "/members/hashkv";

/// How far a node is.
#[derive(Clone, Debug, Deserialize)]
struct Status {
    header: Header,
    version: Option<String>,
    #[serde(default, rename = "raftAppliedIndex", deserialize_with = "number")]
    applied: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    revision: u64,
}

#[derive(Debug, Deserialize)]
struct HashKv {
    header: Header,
    /// Zero is left out, like every zero.
    #[serde(default)]
    hash: u32,
    #[serde(deserialize_with = "number")]
    compact_revision: i64,
    /// Which revision was hashed; 3.7.3 says it.
    #[serde(default, deserialize_with = "some_number")]
    hash_revision: Option<u64>,
}

/// Reads a 64-bit number, which the gateway has as text and the peers' port as a number.
fn number<'de, D: Deserializer<'de>, N: TryFrom<i64>>(from: D) -> Result<N, D::Error> {
    let json = Json::deserialize(from)?;
    let number = json.as_i64().or_else(|| json.as_str()?.parse().ok());
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| serde::de::Error::custom(format!("expected a number, found {json}")))
}

fn some_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    number(from).map(Some)
}

/// Asks every node for its hash at the highest revision that all who answer have reached.
pub(crate) async fn states(clients: &Addresses, peers: &Addresses) -> Said {
    let how_far = |status: &Status| status.applied;
    let statuses = once_equally_far(clients, |_, at| status(at), how_far).await;
    let reached = statuses.values().flatten().map(|status| status.header.revision);
    let revision = reached.min().unwrap_or(0);
    let ask = |node, at| {
        let (status, peer) = (statuses[&node].clone(), peers.get(&node).copied());
        async move {
            let version = status?.version;
            hash(at, peer, revision).await?.state(revision, version)
        }
    };
    each(clients, ask).await
}

async fn status(at: SocketAddr) -> Result<Status, String> {
    let answer = asked(at, Question::post(wire::STATUS, b"{}".to_vec())).await?;
    parsed(&answer)
}

async fn hash(
    client: SocketAddr,
    peer: Option<SocketAddr>,
    revision: u64,
) -> Result<HashKv, String> {
    let body = format!("{{\"revision\":{revision}}}").into_bytes();
    let answer = asked(client, Question::post(FOR_CLIENTS, body.clone())).await?;
    match (answer.status, peer) {
        (StatusCode::NOT_FOUND, Some(peer)) => {
            let question = Question { method: Method::GET, path: FOR_PEERS.to_owned(), body };
            parsed(&asked(peer, question).await?)
        }
        (StatusCode::NOT_FOUND, None) => {
            Err(format!("{FOR_CLIENTS} is not there, and its port for peers is not known"))
        }
        (_, _) => parsed(&answer),
    }
}

fn parsed<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, String> {
    if !answer.status.is_success() {
        return Err(answer.shown());
    }
    serde_json::from_slice(&answer.body).map_err(|error| format!("garbage: {error}"))
}

impl HashKv {
    fn state(self, revision: u64, version: Option<String>) -> Result<State, String> {
        if self.header.revision < revision || ![None, Some(revision)].contains(&self.hash_revision)
        {
            let at = self.hash_revision.unwrap_or(self.header.revision);
            return Err(format!("it was asked for revision {revision}, and hashed {at}"));
        }
        Ok(State {
            position: revision,
            compacted: Some(self.compact_revision),
            version,
            digest: self.hash.to_string(),
        })
    }
}
