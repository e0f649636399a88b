//! Who leads, as a page says that the nodes tell it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Method;
use serde_json::Value as Json;
use squall_cluster::LeaderProbe;
use squall_history::NodeName;

use super::JsonPath;
use crate::http::{Http, Question};
use crate::nodes::{Addresses, dial, who_leads};

/// A node that answers takes a few milliseconds; one that is paused or dead never does.
const DEADLINE: Duration = Duration::from_millis(200);

/// How a node is asked whether it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaderQuestion {
    /// Such as `GET`.
    pub method: Method,
    /// Such as `/status`.
    pub path: String,
    /// Where the answer says it: the leader's name, or the node's role.
    pub at: JsonPath,
    /// What stands there if the node leads; `{id}` is the node's own name.
    pub is: String,
    /// Where the node's term stands. Without it, an old leader that does not know of the new one may be named.
    pub term: Option<JsonPath>,
}

/// Asks every node whether it leads.
#[derive(Clone, Debug)]
pub(crate) struct HttpProbe {
    addresses: Addresses,
    question: LeaderQuestion,
}

impl HttpProbe {
    pub(crate) fn new(addresses: Addresses, question: LeaderQuestion) -> HttpProbe {
        HttpProbe { addresses, question }
    }

    async fn leads(&self, node: NodeName, address: SocketAddr) -> Option<u64> {
        let LeaderQuestion { method, path, at, is, term } = &self.question;
        let mut http = Http::new(dial(address, DEADLINE).await.ok()?).await.ok()?;
        let question = Question { method: method.clone(), path: path.clone(), body: Vec::new() };
        let answer = http.ask(question).await.ok()?;
        let json: Json = serde_json::from_slice(&answer.body).ok()?;
        let found = match at.find(&json)? {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let leads = answer.status.is_success() && found == is.replace("{id}", &node.0);
        let term = term.as_ref().and_then(|path| number(path.find(&json)?)).unwrap_or(0);
        leads.then_some(term)
    }
}

/// Reads a number, or a text that is one.
pub(super) fn number(json: &Json) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

impl LeaderProbe for HttpProbe {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        let leads = |node: &NodeName, address| self.leads(node.clone(), address);
        async move { who_leads(&self.addresses, DEADLINE, leads).await }.boxed()
    }
}
