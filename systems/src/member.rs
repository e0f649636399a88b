//! Changes who belongs to the cluster, by the calls of a page's `[member]`.
//!
//! A change is asked for until it is so, within its time: where the page lists the members, by looking first, so that an
//! answer that was lost is not asked for again. A command (`exec`) must take what is so already for success.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Method;
use serde_json::Value as Json;
use squall_cluster::{Applied, ClusterError, LeaderProbe, Membership, Rejoin, run_command};
use squall_history::NodeName;
use tokio::time::{Instant, sleep, timeout};

use crate::http::{Answer, Http, Question};
use crate::member_file::ID;
use crate::nodes::dial;
use crate::plan::{self, PlanError, Setup, Site};
use crate::spec::{AdminCall, MemberList, MemberSection, SystemSpec};
use crate::template::{Scope, Template, TemplateError};
use crate::text::head;

/// How long one call may take. A change of members is a round of the log; one that takes longer has no majority.
const ONE_CALL: Duration = Duration::from_secs(2);
/// How long to wait before asking again.
const BETWEEN: Duration = Duration::from_millis(100);

/// The names of the node that a call is about, and of the one that leads.
const ABOUT: [&str; 2] = ["target", "new"];
const LEADER: &str = "leader.";

impl SystemSpec {
    /// Whether its page says how a node leaves the cluster and comes back.
    pub fn changes_members(&self) -> bool {
        self.member.add.is_some() && self.member.remove.is_some()
    }

    /// Returns who changes the members of a cluster, where the page says how.
    pub fn membership(
        &self,
        sites: &[Site],
        setup: &Setup,
        leader: Arc<dyn LeaderProbe>,
    ) -> Option<Arc<dyn Membership>> {
        let section = self.changes_members().then(|| self.member.clone())?;
        let nodes = plan::nodes_values(self, sites, setup);
        let named = sites.iter().map(|site| site.name.clone()).zip(nodes.iter().cloned());
        Some(Arc::new(ByCalls { section, names: named.collect(), nodes, leader }))
    }
}

/// Changes members by calls.
struct ByCalls {
    section: MemberSection,
    /// What names stand for at each node.
    names: BTreeMap<NodeName, BTreeMap<String, String>>,
    /// The same, for `{nodes:…}`.
    nodes: Vec<BTreeMap<String, String>>,
    leader: Arc<dyn LeaderProbe>,
}

/// What a member must be in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    In,
    Out,
}

impl ByCalls {
    /// Asks until it is so.
    async fn bring_about(
        &self,
        wanted: Wanted,
        node: &NodeName,
        within: Duration,
    ) -> Result<Applied, ClusterError> {
        let began = Instant::now();
        loop {
            let tried = timeout(ONE_CALL * 2, self.try_once(wanted, node)).await;
            let why = match tried {
                Ok(Ok(commands)) => return Ok(Applied { took: began.elapsed(), commands }),
                Ok(Err(why)) => why,
                Err(_) => "no answer".to_owned(),
            };
            if began.elapsed() >= within {
                let what = match wanted {
                    Wanted::In => "added",
                    Wanted::Out => "removed",
                };
                let why = format!("{node} was not {what} within {within:?}: {why}");
                return Err(ClusterError::Other(why));
            }
            sleep(BETWEEN).await;
        }
    }

    async fn try_once(&self, wanted: Wanted, node: &NodeName) -> Result<Vec<String>, String> {
        let mut scope = self.scope(node).await;
        if let Some(list) = &self.section.list {
            let found = self.find(list, &scope).await?;
            if found.is_some() == (wanted == Wanted::In) {
                return Ok(vec![format!(
                    "# {node} is {} already",
                    if wanted == Wanted::In { "a member" } else { "out" }
                )]);
            }
            let id = found.map(|id| (format!("{}.{ID}", ABOUT[0]), id));
            scope.values.extend(id);
        }
        let call = match wanted {
            Wanted::In => &self.section.add,
            Wanted::Out => &self.section.remove,
        };
        match call {
            Some(AdminCall::Http { request, body }) => {
                let (answer, command) = ask(request, body.as_ref(), &scope).await?;
                match answer.status.is_success() {
                    true => Ok(vec![command]),
                    false => Err(format!("{}: {}", answer.status, shown(&answer))),
                }
            }
            Some(AdminCall::Exec(words)) => {
                let argv = plan::words(words, &scope).map_err(told)?;
                run_command(&argv).await.map_err(|error| error.to_string())?;
                Ok(vec![argv.join(" ")])
            }
            None => Err("the page does not say how".to_owned()),
        }
    }

    /// Returns what names stand for in a call about a node, at this moment.
    async fn scope(&self, node: &NodeName) -> Scope {
        let leader = self.leader.leader().await;
        let mut values = self.names.get(node).cloned().unwrap_or_default();
        let about = values.clone();
        for side in ABOUT {
            values.extend(
                about.iter().map(|(name, value)| (format!("{side}.{name}"), value.clone())),
            );
        }
        let led = leader.and_then(|leader| self.names.get(&leader)).into_iter().flatten();
        values.extend(led.map(|(name, value)| (format!("{LEADER}{name}"), value.clone())));
        Scope { values, nodes: self.nodes.clone(), joins: true }
    }

    /// Returns what the cluster calls the node, if it is a member.
    async fn find(&self, list: &MemberList, scope: &Scope) -> Result<Option<String>, String> {
        let (answer, _) = ask(&list.request, list.body.as_ref(), scope).await?;
        let wrong = |what: &str| format!("{what} in the list of members: {}", shown(&answer));
        if !answer.status.is_success() {
            return Err(wrong(&answer.status.to_string()));
        }
        let json: Json = serde_json::from_slice(&answer.body).map_err(|_| wrong("no JSON"))?;
        let members = list.each.find(&json).and_then(Json::as_array);
        let members = members.ok_or_else(|| wrong(&format!("no list at {}", list.each)))?;
        let is = plan::filled(&list.is, scope).map_err(told)?.unwrap_or_default();
        let this =
            |member: &&Json| list.at.find(member).and_then(Json::as_str) == Some(is.as_str());
        let Some(member) = members.iter().find(this) else { return Ok(None) };
        match list.id.find(member) {
            Some(Json::String(id)) => Ok(Some(id.clone())),
            Some(id) => Ok(Some(id.to_string())),
            None => Err(wrong(&format!("no {}", list.id))),
        }
    }
}

impl Membership for ByCalls {
    fn remove<'a>(
        &'a self,
        node: &'a NodeName,
        within: Duration,
    ) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.bring_about(Wanted::Out, node, within))
    }

    fn add<'a>(
        &'a self,
        node: &'a NodeName,
        within: Duration,
    ) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.bring_about(Wanted::In, node, within))
    }

    fn is_member<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move {
            let list = self.section.list.as_ref()?;
            let scope = self.scope(node).await;
            let found = timeout(ONE_CALL, self.find(list, &scope)).await.ok()?;
            found.ok().map(|found| found.is_some())
        })
    }

    fn rejoin(&self) -> Rejoin {
        self.section.rejoin
    }
}

fn told(error: PlanError) -> String {
    if let PlanError::Template { source: TemplateError::Unset { name }, .. } = &error
        && name.starts_with(LEADER)
    {
        return "nobody is known to lead".to_owned();
    }
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn shown(answer: &Answer) -> String {
    String::from_utf8_lossy(&head(&answer.body)).trim().to_owned()
}

/// Asks once, and returns the answer and what was asked, for people.
async fn ask(
    request: &Template,
    body: Option<&Template>,
    scope: &Scope,
) -> Result<(Answer, String), String> {
    let filled = |template: &Template| plan::filled(template, scope).map_err(told);
    let text = filled(request)?.unwrap_or_default();
    let body = body.map(filled).transpose()?.flatten().unwrap_or_default();
    let wrong =
        || format!("expected a request such as POST http://10.77.0.1:2379/…, found {text:?}");
    let (method, url) = text.split_once(' ').ok_or_else(wrong)?;
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let address: SocketAddr = rest[..slash].parse().map_err(|_| wrong())?;
    let path = if slash == rest.len() { "/" } else { &rest[slash..] };
    let method: Method = method.parse().map_err(|_| wrong())?;
    let question = Question { method, path: path.to_owned(), body: body.clone().into_bytes() };
    let asked = async {
        let stream = dial(address, ONE_CALL).await.map_err(|error| error.to_string())?;
        let mut http = Http::new(stream).await.map_err(|error| format!("{error:?}"))?;
        http.ask(question).await.map_err(|error| format!("{error:?}"))
    };
    let answer = timeout(ONE_CALL, asked).await.map_err(|_| format!("{text}: no answer"))?;
    let answer = answer.map_err(|why| format!("{text}: {why}"))?;
    Ok((answer, format!("curl -X {text} -d '{body}'")))
}
