//! Changes of members by a page's calls: asked for until they are so, and never asked for again once they are.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::{LeaderProbe, Membership, Rejoin};
use squall_history::NodeName;
use squall_systems::{Setup, Site, SystemSpec};

use crate::LONG;
use crate::scripted::{Act, Scripted};

/// For changes that nobody agrees to.
const SHORT: Duration = Duration::from_millis(150);

const BOTH: &str = r#"{"members":[{"url":"10.0.0.9:70","id":5},{"url":"127.0.0.1:70","id":"x7"}]}"#;
const OTHER: &str = r#"{"members":[{"url":"10.0.0.9:70","id":5}]}"#;

struct Leads(bool);

impl LeaderProbe for Leads {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        let leader = self.0.then(|| NodeName::from("n1"));
        futures_util::future::ready(leader).boxed()
    }
}

fn membership(member: &str, leads: bool) -> Arc<dyn Membership> {
    let text = format!(
        "squall = 1\n[system]\nname = \"mine\"\n[node]\ncmd = [\"mine\"]\nready = {{ tcp = 80 }}\n\
         [net]\npeer_port = 70\n[client]\nkind = \"etcd\"\naddr = \"{{ip}}:80\"\n{member}"
    );
    let spec = SystemSpec::parse("mine.toml", &text).unwrap();
    let site = Site {
        name: "n1".into(),
        ip: [127, 0, 0, 1].into(),
        peer_ip: [127, 0, 0, 1].into(),
        data: "/data/n1".into(),
    };
    spec.membership(&[site], &Setup::default(), Arc::new(Leads(leads))).expect("a whole page")
}

/// Members by HTTP, at a node with this script.
fn by_http(script: Vec<Act>, leads: bool) -> (Scripted, Arc<dyn Membership>) {
    let node = Scripted::new(script);
    let at = format!("http://{{leader.ip}}:{}", node.address.port());
    let member = format!(
        r#"[member]
add = {{ http = "POST {at}/add", body = '{{"url":"{{new.peer}}"}}' }}
remove = {{ http = "DELETE {at}/members/{{target.member}}" }}
rejoin = "keep"
[member.list]
http = "GET {at}/members"
each = "$.members"
at = "$.url"
is = "{{target.peer}}"
id = "$.id"
"#
    );
    let membership = membership(&member, leads);
    (node, membership)
}

fn n1() -> NodeName {
    "n1".into()
}

#[tokio::test]
async fn a_member_is_removed_by_what_the_cluster_calls_it() {
    let (node, members) = by_http(vec![Act::Answer(200, BOTH), Act::Answer(200, "{}")], true);
    let applied = members.remove(&n1(), LONG).await.expect("it is removed");
    assert!(applied.commands[0].contains("DELETE http://127.0.0.1:"), "{:?}", applied.commands);
    assert_eq!(members.rejoin(), Rejoin::Keep);
    assert_eq!(node.requests(), ["/members ", "/members/x7 "]);
}

#[tokio::test]
async fn what_is_so_already_is_not_asked_for() {
    let (node, members) = by_http(vec![Act::Answer(200, OTHER), Act::Answer(200, BOTH)], true);
    members.remove(&n1(), LONG).await.expect("it is out");
    members.add(&n1(), LONG).await.expect("it is in");
    assert_eq!(node.requests(), ["/members ", "/members "]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_asked_for_again() {
    let script = vec![Act::Answer(200, OTHER), Act::Close, Act::Answer(200, BOTH)];
    let (node, members) = by_http(script, true);
    members.add(&n1(), LONG).await.expect("it was added all the same");
    assert_eq!(node.requests(), ["/members ", "/add {\"url\":\"127.0.0.1:70\"}", "/members "]);
}

#[tokio::test]
async fn a_change_that_is_refused_is_asked_for_again_within_its_time() {
    let no = [Act::Answer(200, BOTH), Act::Answer(503, "unhealthy cluster")];
    let yes = [Act::Answer(200, BOTH), Act::Answer(200, "{}")];
    let (node, members) = by_http([no.to_vec(), no.to_vec(), yes.to_vec()].concat(), true);
    members.remove(&n1(), LONG).await.expect("it is removed in the end");
    assert_eq!(node.requests().len(), 6);
}

#[tokio::test]
async fn a_change_that_nobody_agrees_to_ends_with_the_reason() {
    let script = [Act::Answer(200, BOTH), Act::Answer(503, "unhealthy cluster")];
    let (node, members) = by_http(script.into_iter().cycle().take(100).collect(), true);
    let error = members.remove(&n1(), SHORT).await.expect_err("refused").to_string();
    assert!(error.contains("was not removed within 150ms"), "{error}");
    assert!(error.contains("503") && error.contains("unhealthy cluster"), "{error}");
    assert!(node.requests().len() >= 2);

    let (node, members) = by_http(Vec::new(), false);
    let error = members.add(&n1(), SHORT).await.expect_err("no leader").to_string();
    assert!(error.contains("nobody is known to lead"), "{error}");
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn who_is_a_member_is_known_only_from_a_list_that_can_be_read() {
    for (act, known) in [
        (Act::Answer(200, BOTH), Some(true)),
        (Act::Answer(200, OTHER), Some(false)),
        (Act::Answer(200, "{\"members\":[]}"), Some(false)),
        (Act::Answer(200, "{}"), None),
        (Act::Answer(500, OTHER), None),
        (Act::Answer(200, "nonsense"), None),
        (Act::Close, None),
    ] {
        let (node, members) = by_http(vec![act.clone()], true);
        assert_eq!(members.is_member(&n1()).await, known, "{act:?}");
        assert_eq!(node.requests().len(), 1);
    }
}

#[tokio::test]
async fn commands_change_members_too() {
    let members = membership(
        "[member]\nadd = { exec = [\"true\", \"{new.id}\"] }\n\
         remove = { exec = [\"sh\", \"-c\", \"echo {target.id} stays >&2; exit 3\"] }\n",
        false,
    );
    let applied = members.add(&n1(), LONG).await.expect("a good command");
    assert_eq!(applied.commands, ["true n1"]);
    let error = members.remove(&n1(), SHORT).await.expect_err("a bad one").to_string();
    assert!(error.contains("n1 stays"), "{error}");
    assert_eq!(members.is_member(&n1()).await, None, "nobody lists them");
}
