//! Who leads is what the nodes say; the highest term is right.

use squall_cluster::LeaderProbe;
use squall_history::NodeName;
use squall_history::states::State;
use squall_systems::SystemSpec;
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

#[tokio::test]
async fn a_node_that_says_no_whole_state_says_why_or_what() {
    let state = |position, digest: &str| {
        Ok(State { position, compacted: None, version: None, digest: digest.to_owned() })
    };
    for (act, expected) in [
        (Act::Say("{\"id\":ID,\"ok\":{\"applied\":7,\"digest\":\"ab\"}}\n"), state(7, "ab")),
        (Act::Say("{\"id\":ID,\"fail\":\"malformed: no\"}\n"), Err("malformed: no".to_owned())),
        (Act::SayAndClose("{\"id\":ID"), Err("it hung up".to_owned())),
    ] {
        let node = Scripted::new(vec![act]);
        let probe = SystemSpec::reference().state_probe([("n1".into(), node.address)].into());
        let said = probe.expect("the reference is asked").ask().await;
        assert_eq!(said[&NodeName::from("n1")], expected);
        assert_eq!(node.requests(), ["{\"id\":1,\"op\":\"digest\"}"]);
    }
    let node = Scripted::new(vec![Act::Say("{\"id\":ID,\"ok\":{\"applied\":7}}\n")]);
    let probe = SystemSpec::reference().state_probe([("n1".into(), node.address)].into());
    let said = probe.expect("the reference is asked").ask().await;
    assert!(said[&NodeName::from("n1")].is_err(), "{said:?}");
    node.requests();
}
