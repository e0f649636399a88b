//! HTTP by templates: every answer means what the page says, and no invocation makes more than one request.

use std::time::Duration;

use squall_history::states::State;
use squall_history::{NodeName, Op, Outcome, Value};
use squall_systems::SystemSpec;
use squall_workloads::{Response, outcome};

use crate::scripted::{Act, Scripted};
use crate::{LONG, asking, dial, system};

/// For answers that never come.
const SHORT: Duration = Duration::from_millis(50);

fn kv() -> SystemSpec {
    system(
        r#"kind = "http"
fail = [{ status = 421, not_leader = true }, { body = "no leader" }]
leader = { http = "GET /status", at = "$.leader", is = "{id}", term = "$.term" }
[client.read]
http = "GET /kv/{key}"
ok = [{ status = 200, value = "$.value", pos = "$.pos" }, { status = 404, absent = true }]
[client.write]
http = "PUT /kv/{key}"
body = '{"value":{value}}'
ok = { status = 200, pos = "$.pos" }
[client.cas]
http = "POST /kv/{key}/cas"
body = '{"key":"{key}","old":{old},"new":{value}}'
ok = { status = 200 }
precondition = { status = 409, seen = "$.seen" }
"#,
    )
}

/// Makes one invocation on a new connection and returns the answer and what the node was sent.
async fn once(op: &Op, act: Act, timeout: Duration) -> (Response, Vec<String>) {
    let node = Scripted::new(vec![act]);
    let mut client = dial(&kv(), node.address).await;
    let response = client.invoke(&asking(op), timeout).await;
    drop(client);
    (response, node.requests())
}

async fn ends(op: &Op, act: Act) -> Outcome {
    let (response, requests) = once(op, act.clone(), LONG).await;
    assert_eq!(requests.len(), 1, "{op} with {act:?} was sent as {requests:?}");
    outcome(op, response.result)
}

fn fail(reason: &str) -> Outcome {
    Outcome::Fail { error: reason.into(), seen: None }
}

#[tokio::test]
async fn an_operation_is_the_request_that_the_page_describes() {
    let (response, requests) =
        once(&Op::write("7", 5), Act::Answer(200, "{\"pos\":118}"), LONG).await;
    assert_eq!(response, Response { result: Ok(Value::Nil), pos: Some(118), leader: None });
    assert_eq!(requests, ["/kv/7 {\"value\":5}"]);
    let (_, requests) = once(&Op::cas("a \"b\"", 4, 5), Act::Answer(200, "{}"), LONG).await;
    assert_eq!(requests, ["/kv/a%20%22b%22/cas {\"key\":\"a \\\"b\\\"\",\"old\":4,\"new\":5}"]);
}

#[tokio::test]
async fn a_read_takes_the_value_from_where_the_page_says() {
    let read = Op::read("7");
    for (status, body, value) in [
        (200, "{\"value\":5}", Value::Int(5)),
        (200, "{\"value\":\"5\"}", Value::Int(5)),
        (200, "{\"value\":null}", Value::Nil),
        (404, "no such key", Value::Nil),
    ] {
        assert_eq!(ends(&read, Act::Answer(status, body)).await, Outcome::Ok(value), "{body}");
    }
}

#[tokio::test]
async fn a_failed_cas_tells_what_it_saw() {
    let seen = Outcome::Fail { error: "precondition".into(), seen: Some(Value::Int(7)) };
    assert_eq!(ends(&Op::cas("7", 4, 5), Act::Answer(409, "{\"seen\":7}")).await, seen);
}

#[tokio::test]
async fn only_what_the_page_calls_certain_is_fail() {
    let write = Op::write("7", 5);
    assert_eq!(ends(&write, Act::Answer(421, "")).await, fail("not-leader"));
    let refused = ends(&write, Act::Answer(503, "there is no leader")).await;
    assert_eq!(refused, fail("rejected: HTTP 503 there is no leader"));
}

#[tokio::test]
async fn everything_else_is_doubt_and_is_never_sent_twice() {
    let doubtful = [
        (Act::Answer(500, ""), "unclear: HTTP 500"),
        (Act::Answer(503, "busy"), "unclear: HTTP 503 busy"),
        (Act::Answer(307, ""), "unclear: HTTP 307"),
        (Act::Answer(409, "{}"), "unclear: "),
        (Act::Raw("hello\r\n\r\n"), "unclear: no HTTP"),
        (Act::Close, "reset"),
        (Act::Reset, "reset"),
        (Act::RawAndClose("HTTP/1.1 200 OK\r\nContent-Le"), "reset"),
    ];
    for (act, reason) in doubtful {
        for op in [Op::write("7", 5), Op::cas("7", 4, 5)] {
            match ends(&op, act.clone()).await {
                Outcome::Info { error } if error.0.starts_with(reason) => {}
                other => panic!("{op} with {act:?} ended as {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_read_that_cannot_be_understood_is_no_value() {
    for body in ["hello", "{}", "{\"value\":{}}", "{\"value\":\"x\"}", "{\"value\":1.5}"] {
        let ended = ends(&Op::read("7"), Act::Answer(200, body)).await;
        assert!(matches!(ended, Outcome::Fail { .. }), "{body} was taken for {ended:?}");
    }
}

#[tokio::test]
async fn silence_is_a_timeout_after_one_request() {
    let (response, requests) = once(&Op::write("7", 5), Act::Silence, SHORT).await;
    assert_eq!(
        outcome(&Op::write("7", 5), response.result),
        Outcome::Info { error: "timeout".into() }
    );
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn what_the_page_does_not_describe_is_not_sent() {
    let (response, requests) = once(&Op::append("7", 5), Act::Silence, LONG).await;
    assert_eq!(
        outcome(&Op::append("7", 5), response.result),
        fail("rejected: unsupported: append")
    );
    assert_eq!(requests, [""; 0]);
}

#[tokio::test]
async fn the_leader_of_the_highest_term_leads() {
    let status = |body| Scripted::new(vec![Act::Answer(200, body)]);
    let deposed = status("{\"leader\":\"n1\",\"term\":3}");
    let leader = status("{\"leader\":\"n2\",\"term\":4}");
    let lost = status("{\"leader\":null,\"term\":9}");
    let nodes = [&deposed, &leader, &lost];
    let names = ["n1", "n2", "n3"].map(Into::into);
    let addresses = names.into_iter().zip(nodes.map(|node| node.address)).collect();
    let probe = kv().leader_probe(addresses);
    assert_eq!(probe.leader().await, Some("n2".into()));
    for node in [deposed, leader, lost] {
        assert_eq!(node.requests(), ["/status "]);
    }
}

#[tokio::test]
async fn a_node_that_hung_up_before_the_operation_was_asked_nothing() {
    let mut node = Scripted::new(vec![Act::AnswerAndClose(200, "{}")]);
    let mut client = dial(&kv(), node.address).await;
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
async fn a_state_is_what_stands_where_the_page_says() {
    let page = r#"kind = "http"
digest = { http = "GET /digest", value = "$.state.crc", at = "$.applied" }
[client.read]
http = "GET /kv/{key}"
ok = { status = 200, value = "$.value" }
"#;
    let state = |position, digest: &str| {
        let digest = digest.to_owned();
        Ok(State { position, compacted: None, version: None, digest })
    };
    let missing = |what: &str| Err(format!("its answer has {what}"));
    for (answer, expected) in [
        (Act::Answer(200, r#"{"applied":7,"state":{"crc":"ab"}}"#), state(7, "ab")),
        (Act::Answer(200, r#"{"applied":"7","state":{"crc":12}}"#), state(7, "12")),
        (Act::Answer(200, r#"{"applied":7}"#), missing("nothing at $.state.crc")),
        (Act::Answer(200, r#"{"state":{"crc":12}}"#), missing("no number at $.applied")),
        (Act::Answer(500, "busy"), Err("HTTP 500 busy".to_owned())),
    ] {
        let node = Scripted::new(vec![answer.clone()]);
        let probe = system(page).state_probe([("n1".into(), node.address)].into());
        let said = probe.expect("it is asked").ask().await;
        assert_eq!(said[&NodeName::from("n1")], expected, "{answer:?}");
        assert_eq!(node.requests(), ["/digest "]);
    }
    assert!(kv().state_probe(Default::default()).is_none(), "its page does not say how");
}
