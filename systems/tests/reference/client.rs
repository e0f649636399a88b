//! Each thing that can go wrong is mapped to fail or info, and no invocation makes more than one request.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use squall_history::{Op, Outcome, Request, Value};
use squall_systems::reference::ReferenceConnect;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response, outcome};
use tokio::time::Instant;

use crate::scripted::{Act, Scripted};

/// Long enough for an answer on a busy machine.
const LONG: Duration = Duration::from_secs(10);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(50);

fn connector(address: SocketAddr) -> ReferenceConnect {
    ReferenceConnect::new([("n1".into(), address)].into())
}

async fn dial(address: SocketAddr) -> Box<dyn Client> {
    connector(address).connect(&"n1".into(), LONG).await.unwrap()
}

fn asking(op: Op) -> Invocation {
    Invocation { op, node: "n1".into(), request: None }
}

fn operations() -> [Op; 4] {
    [Op::read("7"), Op::write("7", 5), Op::cas("7", 4, 5), Op::append("7", 5)]
}

fn fail(reason: &str) -> Outcome {
    Outcome::Fail { error: reason.into(), seen: None }
}

fn info(reason: &str) -> Outcome {
    Outcome::Info { error: reason.into() }
}

/// Makes one invocation on a new connection and returns the answer and what the node was sent.
async fn once(op: Op, act: Act, timeout: Duration) -> (Response, Vec<String>) {
    let node = Scripted::new(vec![act]);
    let mut client = dial(node.address).await;
    let response = client.invoke(&asking(op), timeout).await;
    drop(client);
    (response, node.requests())
}

/// Checks that the act leads to this doubt for every operation, by exactly one request each.
async fn is_doubt(act: Act, timeout: Duration, reason: &str) {
    for op in operations() {
        let (response, requests) = once(op.clone(), act.clone(), timeout).await;
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
async fn an_answer_is_taken_as_it_is() {
    let (response, requests) =
        once(Op::write("7", 5), Act::Say("{\"id\":ID,\"ok\":5,\"pos\":118}\n"), LONG).await;
    assert_eq!(response, Response { result: Ok(Value::Int(5)), pos: Some(118), leader: None });
    assert_eq!(requests, ["{\"id\":1,\"op\":\"write\",\"key\":\"7\",\"value\":5}"]);
}

#[tokio::test]
async fn one_connection_serves_many_operations_with_their_requests() {
    let answers = ["{\"id\":ID,\"ok\":null}\n", "{\"id\":ID,\"fail\":\"not-leader\"}\n"];
    let node =
        Scripted::new(vec![Act::Say(answers[0]), Act::Say(answers[1]), Act::Say(answers[0])]);
    let mut client = dial(node.address).await;
    let request = Some(Request { session: 3, sequence: 1 });
    let invocation = Invocation { request, ..asking(Op::append("7", 5)) };
    for _ in 0..3 {
        client.invoke(&invocation, LONG).await;
    }
    drop(client);
    let requests = node.requests();
    assert_eq!(requests.len(), 3);
    for (n, line) in requests.iter().enumerate() {
        assert!(line.starts_with(&format!("{{\"id\":{}", n + 1)), "{line}");
        assert!(line.ends_with("\"request\":\"3-1\"}"), "{line}");
    }
}

#[tokio::test]
async fn refusals_are_definite_and_keep_the_connection() {
    let node = Scripted::new(vec![
        Act::Say("{\"id\":ID,\"fail\":\"not-leader\",\"leader\":\"n2\"}\n"),
        Act::Say("{\"id\":ID,\"fail\":\"precondition\",\"seen\":9}\n"),
        Act::Say("{\"id\":ID,\"fail\":\"malformed\"}\n"),
        Act::Say("{\"id\":ID,\"ok\":[4,5]}\n"),
    ]);
    let mut client = dial(node.address).await;
    let op = Op::cas("7", 4, 5);
    let mut outcomes = Vec::new();
    for n in 0..4 {
        let response = client.invoke(&asking(op.clone()), LONG).await;
        assert_eq!(response.leader.is_some(), n == 0);
        outcomes.push(outcome(&op, response.result));
    }
    let precondition = Outcome::Fail { error: "precondition".into(), seen: Some(Value::Int(9)) };
    let malformed = fail("rejected: malformed");
    let ok = Outcome::Ok((4, 5).into());
    assert_eq!(outcomes, [fail("not-leader"), precondition, malformed, ok]);
    drop(client);
    assert_eq!(node.requests().len(), 4);
}

#[tokio::test]
async fn silence_is_a_timeout_at_the_deadline() {
    let start = Instant::now();
    is_doubt(Act::Silence, SHORT, "timeout").await;
    assert!(start.elapsed() >= SHORT * 4, "gave up before the deadline");
}

#[tokio::test]
async fn a_broken_connection_is_a_reset() {
    is_doubt(Act::Reset, LONG, "reset").await;
    is_doubt(Act::Close, LONG, "reset").await;
}

#[tokio::test]
async fn half_an_answer_is_none() {
    is_doubt(Act::SayAndClose("{\"id\":ID,\"ok\":5"), LONG, "reset").await;
    is_doubt(Act::Say("{\"id\":ID,\"ok\":5"), SHORT, "timeout").await;
}

#[tokio::test]
async fn garbage_is_unclear() {
    is_doubt(Act::Say("hello\n"), LONG, "unclear").await;
    is_doubt(Act::Say("\n"), LONG, "unclear").await;
    is_doubt(Act::Say("{\"id\":ID}\n"), LONG, "unclear").await;
    is_doubt(Act::Say("{\"id\":ID,\"info\":\"deposed\"}\n"), LONG, "unclear: deposed").await;
}

#[tokio::test]
async fn an_answer_to_another_request_is_unclear() {
    is_doubt(Act::Say("{\"id\":99,\"ok\":5}\n"), LONG, "unclear").await;
}

#[tokio::test]
async fn an_answer_in_pieces_is_whole() {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = node.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        let (stream, _) = node.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut input = BufReader::new(stream);
        input.read_line(&mut String::new()).unwrap();
        for byte in b"{\"id\":1,\"ok\":5}\n" {
            input.get_mut().write_all(&[*byte]).unwrap();
        }
    });
    let mut client = dial(address).await;
    let response = client.invoke(&asking(Op::read("7")), LONG).await;
    assert_eq!(response.result, Ok(Value::Int(5)));
    thread.join().unwrap();
}

#[tokio::test]
async fn a_second_answer_is_never_taken_for_the_next_operations() {
    let twice = "{\"id\":ID,\"ok\":5}\n{\"id\":2,\"ok\":6}\n";
    let node = Scripted::new(vec![Act::Say(twice), Act::Silence]);
    let mut client = dial(node.address).await;
    let first = client.invoke(&asking(Op::read("7")), LONG).await;
    assert_eq!(first.result, Ok(Value::Int(5)));
    let second = client.invoke(&asking(Op::write("7", 6)), LONG).await;
    assert!(matches!(second.result, Err(ClientError::Refused(_))), "{second:?}");
    drop(client);
    assert_eq!(node.requests().len(), 1, "nothing was sent on the broken connection");
}

#[tokio::test]
async fn a_connection_that_ended_in_doubt_sends_nothing_any_more() {
    let node = Scripted::new(vec![Act::Silence]);
    let mut client = dial(node.address).await;
    client.invoke(&asking(Op::write("7", 5)), SHORT).await;
    let second = client.invoke(&asking(Op::write("7", 6)), LONG).await;
    assert!(matches!(second.result, Err(ClientError::Refused(_))), "{second:?}");
    drop(client);
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn a_node_that_hung_up_before_the_operation_was_asked_nothing() {
    let mut node = Scripted::new(vec![Act::SayAndClose("{\"id\":ID,\"ok\":5}\n")]);
    let mut client = dial(node.address).await;
    client.invoke(&asking(Op::read("7")), LONG).await;
    node.closed().await;
    // The runtime asks the kernel for news before it goes on.
    tokio::task::yield_now().await;
    let op = Op::write("7", 6);
    let response = client.invoke(&asking(op.clone()), LONG).await;
    assert_eq!(outcome(&op, response.result), fail("refused"));
    drop(client);
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn what_the_node_cannot_do_is_not_sent() {
    let op = Op { value: Value::Int(4), ..Op::cas("7", 4, 5) };
    let (response, requests) = once(op, Act::Silence, LONG).await;
    assert!(matches!(response.result, Err(ClientError::Rejected(_))), "{response:?}");
    assert_eq!(requests, [""; 0]);
}

#[tokio::test]
async fn a_refused_connection_is_definite() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connector(address).connect(&"n1".into(), LONG).await.err().unwrap();
    for op in operations() {
        assert_eq!(outcome(&op, Err(error.clone())), fail("refused"));
    }
    let unknown = connector(address).connect(&"n9".into(), LONG).await.err();
    assert_eq!(unknown, Some(ClientError::Refused("no address of n9 is known".into())));
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_in_time_is_definite() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let connector = connector(listener.local_addr().unwrap());
    let mut waiting = Vec::new();
    // The kernel's queue for a listener who does not accept is short; once it is full, connect() hangs.
    for _ in 0..20 {
        match connector.connect(&"n1".into(), SHORT).await {
            Ok(client) => waiting.push(client),
            Err(error) => {
                let op = Op::write("7", 5);
                assert_eq!(outcome(&op, Err(error)), fail("refused"));
                return;
            }
        }
    }
    panic!("{} connections were accepted by nobody", waiting.len());
}

#[test]
fn doubt_is_told_by_the_one_rule() {
    assert_eq!(outcome(&Op::write("7", 5), Err(ClientError::Timeout)), info("timeout"));
}
