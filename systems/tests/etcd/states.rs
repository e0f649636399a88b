//! HashKV of nodes that have got equally far, at one revision, by whichever door they have.

use squall_history::NodeName;
use squall_history::states::State;
use squall_systems::{Addresses, Said, SystemSpec};

use crate::scripted::{Act, Scripted};

const ASKED_STATUS: &str = "/v3/maintenance/status {}";
const HASH: &str = r#"{"header":{"revision":"9"},"hash":77,"compact_revision":"-1"}"#;
const NO_SUCH_PATH: Act = Act::Answer(404, "Not Found\n");

/// Etcd, with nodes that listen to each other at this port.
fn etcd(peer_port: u16) -> SystemSpec {
    let page = include_str!("../../etcd-3.4.23.toml");
    let text = page.replace("peer_port = 2380", &format!("peer_port = {peer_port}"));
    SystemSpec::parse("etcd.toml", &text).unwrap()
}

fn status(revision: u64, applied: u64) -> Act {
    let body = format!(
        r#"{{"header":{{"revision":"{revision}"}},"version":"3.5.35","raftAppliedIndex":"{applied}"}}"#
    );
    Act::Answer(200, body.leak())
}

fn state(position: u64, digest: &str) -> State {
    let version = Some("3.5.35".to_owned());
    State { position, compacted: Some(-1), version, digest: digest.to_owned() }
}

async fn ask(nodes: &[&Scripted], peer_port: u16) -> Said {
    let address =
        |(n, node): (usize, &&Scripted)| (format!("n{}", n + 1).as_str().into(), node.address);
    let addresses: Addresses = nodes.iter().enumerate().map(address).collect();
    etcd(peer_port).state_probe(addresses).expect("etcd is asked").ask().await
}

/// What a single node is said to be in.
async fn alone(script: Vec<Act>) -> (Result<State, String>, Vec<String>) {
    let node = Scripted::new(script);
    let said = ask(&[&node], 1).await.remove(&NodeName::from("n1")).unwrap();
    (said, node.requests())
}

#[tokio::test]
async fn every_node_is_asked_at_the_highest_revision_that_all_have() {
    let ahead = Scripted::new(vec![status(12, 20), Act::Answer(200, HASH)]);
    let behind = Scripted::new(vec![status(9, 20), Act::Answer(200, HASH)]);
    let said = ask(&[&ahead, &behind], 1).await;
    assert_eq!(said[&NodeName::from("n1")], Ok(state(9, "77")));
    assert_eq!(said[&NodeName::from("n2")], Ok(state(9, "77")));
    for node in [ahead, behind] {
        let asked = [ASKED_STATUS, r#"/v3/maintenance/hashkv {"revision":9}"#];
        assert_eq!(node.requests(), asked);
    }
}

#[tokio::test]
async fn a_node_that_has_applied_less_is_waited_for() {
    let ahead = Scripted::new(vec![status(9, 20), status(9, 20), Act::Answer(200, HASH)]);
    let behind = Scripted::new(vec![status(8, 19), status(9, 20), Act::Answer(200, HASH)]);
    let said = ask(&[&ahead, &behind], 1).await;
    assert_eq!(said[&NodeName::from("n2")], Ok(state(9, "77")));
    let asked = [ASKED_STATUS, ASKED_STATUS, r#"/v3/maintenance/hashkv {"revision":9}"#];
    assert_eq!(behind.requests(), asked);
    drop(ahead.requests());
}

#[tokio::test]
async fn one_without_a_door_for_clients_is_asked_as_its_peers_ask_it() {
    let hash = r#"{"header":{"revision":9},"hash":77,"compact_revision":-1}"#;
    let peers = Scripted::new(vec![Act::Answer(200, hash)]);
    let clients = Scripted::new(vec![status(9, 20), NO_SUCH_PATH]);
    let said = ask(&[&clients], peers.address.port()).await;
    assert_eq!(said[&NodeName::from("n1")], Ok(state(9, "77")));
    assert_eq!(peers.requests(), [r#"/members/hashkv {"revision":9}"#]);
    drop(clients.requests());
}

#[tokio::test]
async fn what_is_no_hash_at_that_revision_is_none() {
    for (answer, why) in [
        (Act::Answer(400, "compacted"), "HTTP 400 compacted"),
        (Act::Answer(200, "hello"), "garbage"),
        (Act::Answer(200, r#"{"header":{"revision":"9"},"hash":77}"#), "garbage"),
        (
            Act::Answer(200, r#"{"header":{"revision":"8"},"hash":77,"compact_revision":"-1"}"#),
            "it was asked for revision 9, and hashed 8",
        ),
        (
            Act::Answer(
                200,
                r#"{"header":{"revision":"12"},"hash":77,"compact_revision":"-1","hash_revision":"12"}"#,
            ),
            "it was asked for revision 9, and hashed 12",
        ),
    ] {
        let (said, _) = alone(vec![status(9, 20), answer.clone()]).await;
        let told = said.expect_err("there is no hash");
        assert!(told.starts_with(why), "{answer:?}: {told}");
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_named_and_the_others_are_asked() {
    let there = Scripted::new(vec![status(9, 20), Act::Answer(200, HASH)]);
    let gone = Scripted::new(vec![Act::Close]);
    let said = ask(&[&there, &gone], 1).await;
    assert_eq!(said[&NodeName::from("n1")], Ok(state(9, "77")));
    assert!(said[&NodeName::from("n2")].is_err(), "{said:?}");
}
