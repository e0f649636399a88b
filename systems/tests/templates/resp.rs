//! RESP: every reply means one thing, and no invocation sends more than one command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use squall_history::{Op, Outcome, Value};
use squall_systems::SystemSpec;
use squall_workloads::outcome;

use crate::{LONG, asking, dial, system};

const SHORT: Duration = Duration::from_millis(50);

fn redis() -> SystemSpec {
    system(
        "kind = \"resp\"\ncas = [\"CAS\", \"{key}\", \"{old}\", \"{value}\"]\nfail = [\"NOTLEADER\"]",
    )
}

/// Says this to whatever it is asked, and returns all that it heard from its one client.
fn says(reply: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let (mut heard, mut buffer) = (String::new(), [0; 1024]);
        loop {
            match stream.read(&mut buffer).unwrap_or(0) {
                0 => return heard,
                length => heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
            }
            // The client may have hung up before it heard all.
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    (address, thread)
}

async fn ends(op: &Op, reply: &'static str) -> (Outcome, String) {
    let (address, node) = says(reply);
    let timeout = if reply.is_empty() { SHORT } else { LONG };
    let mut client = dial(&redis(), address).await;
    let response = client.invoke(&asking(op), timeout).await;
    drop(client);
    (outcome(op, response.result), node.join().unwrap())
}

#[tokio::test]
async fn operations_are_commands_and_replies_are_values() {
    let (read, heard) = ends(&Op::read("7"), "$1\r\n5\r\n").await;
    assert_eq!((read, &*heard), (Outcome::Ok(Value::Int(5)), "*2\r\n$3\r\nGET\r\n$1\r\n7\r\n"));
    assert_eq!(ends(&Op::read("7"), "$-1\r\n").await.0, Outcome::Ok(Value::Nil));
    let (wrote, heard) = ends(&Op::write("7", 5), "+OK\r\n").await;
    assert_eq!(wrote, Outcome::Ok(Value::Int(5)));
    assert_eq!(heard, "*3\r\n$3\r\nSET\r\n$1\r\n7\r\n$1\r\n5\r\n");
    let precondition = Outcome::Fail { error: "precondition".into(), seen: None };
    let cas = Op::cas("7", 4, 5);
    assert_eq!(ends(&cas, ":1\r\n").await.0, Outcome::Ok(cas.value.clone()));
    assert_eq!(ends(&cas, ":0\r\n").await.0, precondition);
}

#[tokio::test]
async fn only_known_errors_are_certain_and_nothing_is_sent_twice() {
    let write = Op::write("7", 5);
    for (reply, certain) in [
        ("-NOTLEADER n2\r\n", true),
        ("-ERR unknown command 'SET'\r\n", true),
        ("-ERR timeout\r\n", false),
        ("$-1\r\n", false),
        (":7\r\n", false),
        ("hello\r\n", false),
        ("", false),
    ] {
        let (ended, heard) = ends(&write, reply).await;
        assert_eq!(heard.matches("SET").count(), 1, "{reply:?}: {heard:?}");
        let fits = match ended {
            Outcome::Fail { .. } => certain,
            Outcome::Info { .. } => !certain,
            Outcome::Ok(_) => false,
        };
        assert!(fits, "{reply:?} was taken for {ended:?}");
    }
}

#[tokio::test]
async fn a_second_reply_is_never_taken_for_the_next_operations() {
    let (address, node) = says("+OK\r\n+OK\r\n");
    let mut client = dial(&redis(), address).await;
    assert!(client.invoke(&asking(&Op::write("7", 5)), LONG).await.result.is_ok());
    let second = client.invoke(&asking(&Op::write("7", 6)), LONG).await;
    assert!(second.result.is_err(), "{second:?}");
    drop(client);
    assert_eq!(node.join().unwrap().matches("SET").count(), 1);
}
