//! `[attach]`: a cluster that somebody else started, with the user's own commands as faults.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_cluster::{AttachPlan, AttachedNode};
use squall_history::{Key, NodeName};
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};

use crate::nodes::Addresses;
use crate::plan::{PlanError, words};
use crate::spec::SystemSpec;
use crate::template::{Scope, Template};

/// `[attach]`: who is there, and what may be done to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttachSection {
    /// Where each node listens to clients: `{address}`. The first is n1.
    pub nodes: Vec<String>,
    /// Ends a node at once, and starts it again.
    pub kill: Option<(Vec<Template>, Vec<Template>)>,
    /// Makes a node stand still, and lets it go on.
    pub pause: Option<(Vec<Template>, Vec<Template>)>,
    /// Loses what `{from.id}` sends to `{to.id}`, and ends all that.
    pub cut: Option<(Vec<Template>, Vec<Template>)>,
    /// Ends with 0 while a node runs.
    pub alive: Option<Vec<Template>>,
}

impl AttachSection {
    /// Returns the nodes' names.
    pub fn names(&self) -> Vec<NodeName> {
        (1..=self.nodes.len()).map(|n| NodeName::from(format!("n{n}").as_str())).collect()
    }

    /// Returns where each node listens to clients; names of hosts are looked up.
    pub fn addresses(&self) -> Result<Addresses, PlanError> {
        self.names()
            .into_iter()
            .zip(&self.nodes)
            .map(|(name, text)| Ok((name, found(text)?)))
            .collect()
    }

    /// Returns what can be done to the cluster, with everything filled in.
    pub fn plan(&self, spec: &SystemSpec) -> Result<AttachPlan, PlanError> {
        let addresses = self.addresses()?;
        let scopes: Vec<Scope> = self.scopes(spec, &addresses);
        let filled = |words_of: Option<&Vec<Template>>, scope: &Scope| {
            words_of.map(|templates| words(templates, scope)).transpose()
        };
        let mut plan = AttachPlan::default();
        for ((name, address), scope) in addresses.iter().zip(&scopes) {
            plan.nodes.push(AttachedNode {
                name: name.clone(),
                address: *address,
                kill: filled(self.kill.as_ref().map(|pair| &pair.0), scope)?,
                start: filled(self.kill.as_ref().map(|pair| &pair.1), scope)?,
                pause: filled(self.pause.as_ref().map(|pair| &pair.0), scope)?,
                resume: filled(self.pause.as_ref().map(|pair| &pair.1), scope)?,
                alive: filled(self.alive.as_ref(), scope)?,
            });
        }
        let Some((cut, heal)) = &self.cut else { return Ok(plan) };
        plan.heal = Some(words(heal, &Scope { values: common(spec), ..Scope::default() })?);
        let named = || addresses.keys().zip(&scopes);
        for (from, sender) in named() {
            for (to, receiver) in named().filter(|(to, _)| *to != from) {
                let mut values = common(spec);
                for (side, scope) in [("from", sender), ("to", receiver)] {
                    let of = scope.values.iter();
                    values
                        .extend(of.map(|(name, value)| (format!("{side}.{name}"), value.clone())));
                }
                let argv = words(cut, &Scope { values, ..Scope::default() })?;
                plan.cut.insert((from.clone(), to.clone()), argv);
            }
        }
        Ok(plan)
    }

    fn scopes(&self, spec: &SystemSpec, addresses: &Addresses) -> Vec<Scope> {
        let nodes = addresses.iter().zip(&self.nodes).enumerate();
        nodes
            .map(|(n, ((name, address), text))| {
                let mut values = common(spec);
                values.extend([
                    ("id".to_owned(), name.to_string()),
                    ("n".to_owned(), (n + 1).to_string()),
                    ("ip".to_owned(), address.ip().to_string()),
                    ("address".to_owned(), text.clone()),
                ]);
                Scope { values, ..Scope::default() }
            })
            .collect()
    }
}

/// Returns what stands for the same at every node.
fn common(spec: &SystemSpec) -> std::collections::BTreeMap<String, String> {
    let home = spec.dir().map(|dir| ("home".to_owned(), dir.display().to_string()));
    home.into_iter().collect()
}

fn found(text: &str) -> Result<SocketAddr, PlanError> {
    let expected = "the address of a node that can be found, such as 10.0.0.1:2379 or etcd-1:2379";
    let wrong = || PlanError::Address { expected, found: text.to_owned() };
    let all: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_| wrong())?.collect();
    // Servers that are told 0.0.0.0 are not found under localhost's other address.
    let first = all.iter().find(|address| address.is_ipv4()).or(all.first());
    first.copied().ok_or_else(wrong)
}

/// Puts the same text before every key that goes over the wire: a cluster that somebody else started may hold what an
/// earlier run left in it, and a value that this run never wrote would look like a violation.
pub struct FreshKeys {
    inner: Arc<dyn Connect>,
    prefix: String,
}

impl FreshKeys {
    /// Wraps clients.
    pub fn new(inner: Arc<dyn Connect>, prefix: String) -> FreshKeys {
        FreshKeys { inner, prefix }
    }
}

impl Connect for FreshKeys {
    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        self.inner.prepare()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        Box::pin(async move {
            let inner = self.inner.connect(node, timeout).await?;
            Ok(Box::new(Fresh { inner, prefix: self.prefix.clone() }) as Box<dyn Client>)
        })
    }
}

struct Fresh {
    inner: Box<dyn Client>,
    prefix: String,
}

impl Client for Fresh {
    fn invoke<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        timeout: Duration,
    ) -> BoxFuture<'a, Response> {
        let mut renamed = invocation.clone();
        let renamed_key = renamed.op.key.as_ref().map(|key| format!("{}{key}", self.prefix));
        renamed.op.key = renamed_key.map(|key| Key::from(key.as_str()));
        Box::pin(async move { self.inner.invoke(&renamed, timeout).await })
    }
}
