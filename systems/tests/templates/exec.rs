//! `squall-client/1`: a client may die, hang, talk nonsense and answer twice; each is named, bounded and in doubt.

use std::sync::Arc;
use std::time::Duration;

use squall_history::{Op, Outcome, Value};
use squall_workloads::{ClientError, Connect, Response, outcome};
use tokio::time::Instant;

use crate::{LONG, asking, system};

const HELLO: &str = r#"echo '{"squall":"client/1","ops":["read","write","cas"]}'; n=0; "#;
const SHORT: Duration = Duration::from_millis(300);

/// A client as a shell script, which writes all that it hears into a file.
struct Script {
    heard: tempfile::NamedTempFile,
    connect: Arc<dyn Connect>,
}

impl Script {
    fn new(hello: &str, for_each_line: &str) -> Script {
        let heard = tempfile::NamedTempFile::new().unwrap();
        let path = heard.path().display();
        let script = format!(
            "{hello} while read -r line; do n=$((n+1)); echo \"$line\" >>{path}; {for_each_line}; done"
        );
        let system = system(&format!("exec = [\"sh\", \"-c\", '''{script}''']"));
        let address = "127.0.0.1:80".parse().unwrap();
        let connect = system.connect([("n1".into(), address)].into()).unwrap();
        Script { heard, connect }
    }

    async fn ask(&self, op: &Op, timeout: Duration) -> Response {
        let mut client = self.connect.connect(&"n1".into(), LONG).await.unwrap();
        client.invoke(&asking(op), timeout).await
    }

    fn heard(&self) -> String {
        std::fs::read_to_string(self.heard.path()).unwrap()
    }
}

fn info(error: &ClientError) -> String {
    match outcome(&Op::write("7", 5), Err(error.clone())) {
        Outcome::Info { error } => error.0.to_string(),
        other => panic!("{error:?} ended as {other:?}"),
    }
}

#[tokio::test]
async fn operations_are_lines_and_so_are_answers() {
    let script = Script::new(HELLO, r#"echo "{\"id\":$n,\"ok\":true,\"value\":5,\"pos\":118}""#);
    script.connect.prepare().await.unwrap();
    let response = script.ask(&Op::read("7"), LONG).await;
    assert_eq!(response, Response { result: Ok(Value::Int(5)), pos: Some(118), leader: None });
    assert!(script.ask(&Op::cas("7", 4, 5), LONG).await.result.is_ok());
    let heard = script.heard();
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines.len(), 2, "one process served both: {heard}");
    let read = r#"{"id":1,"worker":0,"op":"read","key":"7","addr":"127.0.0.1:80","node":"n1","timeout_ms":"#;
    assert!(lines[0].starts_with(read), "{heard}");
    let cas = r#"{"id":2,"worker":0,"op":"cas","key":"7","old":4,"value":5,"#;
    assert!(lines[1].starts_with(cas), "{heard}");
    script.connect.close().await;
}

#[tokio::test]
async fn a_client_says_what_is_certain() {
    for (answer, error) in [
        (r#"\"fail\":\"not-leader\""#, ClientError::NotLeader),
        (
            r#"\"fail\":\"precondition\",\"seen\":7"#,
            ClientError::Precondition { seen: Some(7.into()) },
        ),
        (r#"\"ok\":false,\"fail\":\"refused: no\""#, ClientError::Rejected("refused: no".into())),
        (r#"\"info\":\"timeout\""#, ClientError::Timeout),
        (r#"\"info\":\"reset\""#, ClientError::Unclear("reset".into())),
    ] {
        let script = Script::new(HELLO, &format!("echo \"{{\\\"id\\\":$n,{answer}}}\""));
        assert_eq!(script.ask(&Op::cas("7", 4, 5), LONG).await.result, Err(error));
    }
}

#[tokio::test]
async fn death_and_nonsense_are_doubt_by_name_and_nothing_is_sent_twice() {
    for (act, named) in [
        ("echo boom >&2; exit 3", "unclear: the client ended"),
        ("echo hello", "unclear: the client said \"hello\""),
        ("echo", "unclear: the client said \"\""),
        (r#"echo '{"id":99,"ok":true}'"#, "unclear: the client answered 99 instead of 1"),
        (r#"echo '{"id":1}'"#, "unclear: an answer needs exactly one"),
        (r#"echo '{"id":1,"ok":true,"info":"x"}'"#, "unclear: an answer needs exactly one"),
    ] {
        let script = Script::new(HELLO, act);
        let error = script.ask(&Op::write("7", 5), LONG).await.result.unwrap_err();
        assert!(info(&error).starts_with(named), "{act}: {error:?}");
        assert_eq!(script.heard().lines().count(), 1, "{act}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_is_killed_at_the_deadline_and_another_takes_its_place() {
    let script = Script::new(HELLO, "exec sleep 1000");
    script.connect.prepare().await.unwrap();
    for _ in 0..2 {
        let start = Instant::now();
        let error = script.ask(&Op::write("7", 5), SHORT).await.result.unwrap_err();
        assert_eq!(info(&error), "timeout");
        assert!(start.elapsed() < LONG);
    }
}

#[tokio::test]
async fn a_second_answer_is_never_taken_for_the_next_operations() {
    let twice =
        r#"echo "{\"id\":$n,\"ok\":true,\"value\":5}"; echo "{\"id\":$n,\"ok\":true,\"value\":5}""#;
    let script = Script::new(HELLO, twice);
    assert!(script.ask(&Op::read("7"), LONG).await.result.is_ok());
    // Either it is found out before the next question, and another process is asked, or by the answer's number.
    let second = script.ask(&Op::read("8"), LONG).await.result;
    match second {
        Ok(_) => assert!(script.heard().contains("\"id\":1,\"worker\":1"), "{}", script.heard()),
        Err(error) => assert!(matches!(error, ClientError::Unclear(_)), "{error:?}"),
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_used_is_told_before_the_run() {
    for (hello, why) in [
        ("echo hello;", "its first line should be"),
        (r#"echo '{"squall":"client/2","ops":[]}';"#, "it speaks \"client/2\""),
        (r#"echo '{"squall":"client/1","ops":["read","write"]}';"#, "[claims] says cas, but"),
        ("echo boom >&2; exit 3;", "the client ended"),
    ] {
        let script = Script::new(hello, "true");
        let told = script.connect.prepare().await.unwrap_err();
        assert!(told.contains(why), "{hello}: {told}");
    }
    let nobody = system("exec = [\"/no/such/client\"]").connect(Default::default()).unwrap();
    let told = nobody.prepare().await.unwrap_err();
    assert!(told.starts_with("failed to start the client `/no/such/client`"), "{told}");
}

#[tokio::test]
async fn nothing_is_left_of_a_client_that_was_closed() {
    let script = Script::new(HELLO, "true");
    script.connect.prepare().await.unwrap();
    script.connect.close().await;
    let marker = script.heard.path().display().to_string();
    let alive = std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&marker)
    });
    assert!(!alive, "a client survives");
}
