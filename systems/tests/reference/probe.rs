//! Who leads is what the nodes say; the highest term is right.

use squall_cluster::LeaderProbe;
use squall_history::NodeName;
use squall_systems::reference::ReferenceProbe;

use crate::scripted::{Act, Scripted};

const FOLLOWER: &str = "{\"id\":ID,\"ok\":{\"role\":\"follower\",\"term\":9}}\n";
const LEADER_OF_3: &str = "{\"id\":ID,\"ok\":{\"role\":\"leader\",\"term\":3}}\n";
const LEADER_OF_5: &str = "{\"id\":ID,\"ok\":{\"role\":\"leader\",\"term\":5}}\n";

/// Asks nodes n1, n2, … that follow one script each.
async fn leader(acts: Vec<Act>) -> Option<NodeName> {
    let nodes: Vec<Scripted> = acts.into_iter().map(|act| Scripted::new(vec![act])).collect();
    let named = nodes.iter().enumerate();
    let addresses =
        named.map(|(n, node)| (NodeName::from(&*format!("n{}", n + 1)), node.address)).collect();
    let leader = ReferenceProbe::new(addresses).leader().await;
    for node in nodes {
        node.requests();
    }
    leader
}

#[tokio::test]
async fn the_leader_of_the_highest_term_leads() {
    let acts = vec![Act::Say(FOLLOWER), Act::Say(LEADER_OF_5), Act::Say(LEADER_OF_3)];
    assert_eq!(leader(acts).await, Some("n2".into()));
}

#[tokio::test]
async fn nobody_leads_where_nobody_says_so() {
    assert_eq!(leader(vec![Act::Say(FOLLOWER), Act::Say(FOLLOWER)]).await, None);
    assert_eq!(leader(vec![]).await, None);
}

#[tokio::test]
async fn silent_and_broken_nodes_do_not_hide_the_leader() {
    let acts = vec![
        Act::Silence,
        Act::Reset,
        Act::Say("garbage\n"),
        Act::SayAndClose("{\"id\":ID"),
        Act::Say("{\"id\":ID,\"ok\":{\"role\":\"leader\"}}\n"),
        Act::Say(LEADER_OF_3),
    ];
    assert_eq!(leader(acts).await, Some("n6".into()));
}
