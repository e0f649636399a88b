//! Each thing that can go wrong is mapped to fail or info, and no invocation makes more than one request.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use squall_cluster::LeaderProbe;
use squall_history::{Op, Outcome, Value};
use squall_systems::etcd::{EtcdConnect, EtcdProbe};
use squall_workloads::{Client, ClientError, Connect, Invocation, Response, outcome};
use tokio::time::Instant;

use crate::scripted::{Act, Scripted};

/// Long enough for an answer on a busy machine.
const LONG: Duration = Duration::from_secs(10);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(50);
const WROTE: &str = r#"{"header":{"revision":"118"}}"#;

async fn dial(address: SocketAddr) -> Box<dyn Client> {
    let connector = EtcdConnect::new([("n1".into(), address)].into());
    connector.connect(&"n1".into(), LONG).await.unwrap()
}

fn asking(op: &Op) -> Invocation {
    Invocation { op: op.clone(), node: "n1".into(), request: None }
}

fn operations() -> [Op; 3] {
    [Op::read("7"), Op::write("7", 5), Op::cas("7", 4, 5)]
}

fn fail(reason: &str) -> Outcome {
    Outcome::Fail { error: reason.into(), seen: None }
}

/// Makes one invocation on a new connection and returns the answer and what the node was sent.
async fn once(op: &Op, act: Act, timeout: Duration) -> (Response, Vec<String>) {
    let node = Scripted::new(vec![act]);
    let mut client = dial(node.address).await;
    let response = client.invoke(&asking(op), timeout).await;
    drop(client);
    (response, node.requests())
}

/// Checks that the act leads to this doubt for every operation, by exactly one request each, and that the connection
/// sends nothing afterwards.
async fn is_doubt(act: Act, timeout: Duration, reason: &str) {
    for op in operations() {
        let node = Scripted::new(vec![act.clone()]);
        let mut client = dial(node.address).await;
        let response = client.invoke(&asking(&op), timeout).await;
        let again = client.invoke(&asking(&op), timeout).await;
        assert!(matches!(again.result, Err(ClientError::Refused(_))), "{act:?}: {again:?}");
        drop(client);
        let requests = node.requests();
        assert_eq!(requests.len(), 1, "{op} with {act:?} was sent as {requests:?}");
        let outcome = outcome(&op, response.result);
        let text = match &outcome {
            Outcome::Fail { error, .. } if op.f.is_read() => error,
            Outcome::Info { error } if !op.f.is_read() => error,
            _ => panic!("{op} with {act:?} ended as {outcome:?}"),
        };
        assert!(text.0.starts_with(reason), "{op} with {act:?} ended as {outcome:?}");
    }
}

#[tokio::test]
async fn an_operation_is_one_request_and_its_answer() {
    let (response, requests) = once(&Op::write("7", 5), Act::Answer(200, WROTE), LONG).await;
    assert_eq!(response, Response { result: Ok(Value::Nil), pos: Some(118), leader: None });
    assert_eq!(requests, [r#"/v3/kv/put {"key":"Nw==","value":"NQ=="}"#]);
}

#[tokio::test]
async fn one_connection_serves_many_operations_and_keeps_after_refusals() {
    let seen = r#"{"header":{"revision":"119"},"responses":[{"response_range":{"kvs":[{"key":"Nw==","value":"OQ=="}],"count":"1"}}]}"#;
    let script = [
        Act::Answer(429, r#"{"error":"etcdserver: too many requests","code":8}"#),
        Act::Answer(200, seen),
        Act::Answer(200, r#"{"header":{"revision":"119"}}"#),
    ];
    let node = Scripted::new(script.into());
    let mut client = dial(node.address).await;
    let mut outcomes = Vec::new();
    for op in [Op::write("7", 5), Op::cas("7", 4, 5), Op::read("8")] {
        let response = client.invoke(&asking(&op), LONG).await;
        outcomes.push(outcome(&op, response.result));
    }
    let refused = fail("rejected: etcdserver: too many requests");
    let precondition = Outcome::Fail { error: "precondition".into(), seen: Some(Value::Int(9)) };
    assert_eq!(outcomes, [refused, precondition, Outcome::Ok(Value::Nil)]);
    drop(client);
    assert_eq!(node.requests().len(), 3);
}

#[tokio::test]
async fn silence_is_a_timeout_at_the_deadline() {
    let start = Instant::now();
    is_doubt(Act::Silence, SHORT, "timeout").await;
    assert!(start.elapsed() >= SHORT * 3, "gave up before the deadline");
}

#[tokio::test]
async fn a_broken_connection_is_a_reset_and_is_not_asked_again() {
    is_doubt(Act::Reset, LONG, "reset").await;
    is_doubt(Act::Close, LONG, "reset").await;
}

#[tokio::test]
async fn half_an_answer_is_none() {
    is_doubt(Act::RawAndClose("HTTP/1.1 200 OK\r\nContent-"), LONG, "reset").await;
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"header\":";
    is_doubt(Act::RawAndClose(half), LONG, "reset").await;
    is_doubt(Act::Raw(half), SHORT, "timeout").await;
}

#[tokio::test]
async fn garbage_and_errors_of_the_server_are_unclear() {
    is_doubt(Act::Raw("hello\r\n\r\n"), LONG, "unclear").await;
    is_doubt(Act::Answer(200, "hello"), LONG, "unclear").await;
    is_doubt(Act::Answer(200, "{}"), LONG, "unclear").await;
    is_doubt(Act::Answer(503, ""), LONG, "unclear: HTTP 503").await;
    is_doubt(Act::Answer(307, ""), LONG, "unclear: HTTP 307").await;
    let changed = r#"{"error":"etcdserver: leader changed","code":14}"#;
    is_doubt(Act::Answer(503, changed), LONG, "unclear: etcdserver: leader changed").await;
    let timed_out = r#"{"error":"etcdserver: request timed out","code":14}"#;
    is_doubt(Act::Answer(503, timed_out), LONG, "unclear: etcdserver: request timed out").await;
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    // Twice as long as any answer may be.
    let endless: &'static str = "x".repeat(2 << 20).leak();
    is_doubt(Act::Answer(200, endless), LONG, "unclear: an answer without end").await;
}

#[tokio::test]
async fn a_second_answer_is_never_taken_for_the_next_operations() {
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"header\":{\"revision\":\"118\"}}\
                 HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"header\":{\"revision\":\"119\"}}";
    let node = Scripted::new(vec![Act::Raw(twice), Act::Silence]);
    let mut client = dial(node.address).await;
    let first = client.invoke(&asking(&Op::write("7", 5)), LONG).await;
    assert_eq!(first.pos, Some(118));
    let second = client.invoke(&asking(&Op::write("7", 6)), SHORT).await;
    assert!(second.result.is_err(), "{second:?}");
    drop(client);
    assert_eq!(node.requests().len(), 1, "nothing was sent on the broken connection");
}

#[tokio::test]
async fn a_node_that_hung_up_before_the_operation_was_asked_nothing() {
    let mut node = Scripted::new(vec![Act::AnswerAndClose(200, WROTE)]);
    let mut client = dial(node.address).await;
    client.invoke(&asking(&Op::write("7", 5)), LONG).await;
    node.closed().await;
    // The runtime asks the kernel for news before it goes on.
    tokio::task::yield_now().await;
    let op = Op::write("7", 6);
    let response = client.invoke(&asking(&op), LONG).await;
    assert_eq!(outcome(&op, response.result), fail("refused"));
    drop(client);
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn what_etcd_has_not_is_not_sent() {
    let (response, requests) = once(&Op::append("7", 5), Act::Silence, LONG).await;
    assert!(matches!(response.result, Err(ClientError::Rejected(_))), "{response:?}");
    assert_eq!(requests, [""; 0]);
}

#[tokio::test]
async fn a_refused_connection_is_definite() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let connector = EtcdConnect::new([("n1".into(), address)].into());
    let error = connector.connect(&"n1".into(), LONG).await.err().unwrap();
    for op in operations() {
        assert_eq!(outcome(&op, Err(error.clone())), fail("refused"));
    }
}

#[tokio::test]
async fn the_leader_of_the_highest_term_leads() {
    let status = |body| Scripted::new(vec![Act::Answer(200, body)]);
    let deposed = status(r#"{"header":{"member_id":"1"},"leader":"1","raftTerm":"3"}"#);
    let leader = status(r#"{"header":{"member_id":"2"},"leader":"2","raftTerm":"4"}"#);
    let follower = status(r#"{"header":{"member_id":"3"},"leader":"2","raftTerm":"4"}"#);
    let silent = Scripted::new(vec![Act::Silence]);
    let nodes = [&deposed, &leader, &follower, &silent];
    let names = ["n1", "n2", "n3", "n4"].map(Into::into);
    let addresses = names.into_iter().zip(nodes.map(|node| node.address)).collect();
    assert_eq!(EtcdProbe::new(addresses).leader().await, Some("n2".into()));
    for node in [deposed, leader, follower, silent] {
        assert_eq!(node.requests(), ["/v3/maintenance/status {}"]);
    }
}
