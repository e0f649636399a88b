//! Three real processes on loopback: they elect, replicate, serve reads everywhere, and survive restarts.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Where cargo puts the example beside this test.
fn node_binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("examples/node")
}

struct Cluster {
    dir: TempDir,
    peers: Vec<u16>,
    clients: Vec<u16>,
    nodes: Vec<Option<Child>>,
    boots: Vec<u32>,
    extra: Vec<String>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|n| self.kill(n));
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|one| one.local_addr().expect("an address").port()).collect()
}

impl Cluster {
    fn start(extra: &[&str]) -> Cluster {
        let ports = free_ports(6);
        let mut cluster = Cluster {
            dir: tempfile::tempdir().expect("a temporary directory"),
            peers: ports[..3].to_vec(),
            clients: ports[3..].to_vec(),
            nodes: vec![None, None, None],
            boots: vec![0; 3],
            extra: extra.iter().map(|&text| text.to_owned()).collect(),
        };
        (0..3).for_each(|n| cluster.boot(n));
        cluster
    }

    fn boot(&mut self, n: usize) {
        let peers: Vec<String> =
            (0..3).map(|n| format!("n{}=127.0.0.1:{}", n + 1, self.peers[n])).collect();
        let trace = self.dir.path().join(format!("n{}.{}.jsonl", n + 1, self.boots[n]));
        let node = Command::new(node_binary())
            .args(["--id", &format!("n{}", n + 1), "--peers", &peers.join(",")])
            .args(["--client", &format!("127.0.0.1:{}", self.clients[n])])
            .args(["--data".as_ref(), self.dir.path().join(format!("data{n}")).as_os_str()])
            .args(&self.extra)
            .env("SQUALL_TRACE", trace)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the example node is built beside the tests");
        self.boots[n] += 1;
        self.nodes[n] = Some(node);
    }

    fn kill(&mut self, n: usize) {
        if let Some(mut node) = self.nodes[n].take() {
            // It may have ended by itself.
            let _ = node.kill();
            let _ = node.wait();
        }
    }

    /// Asks a node once; none where it does not answer.
    fn ask(&self, n: usize, request: &Value) -> Option<Value> {
        let stream = TcpStream::connect(("127.0.0.1", self.clients[n])).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let mut request = request.clone();
        request["id"] = json!(1);
        writeln!(&stream, "{request}").ok()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Asks until the answer is `ok`.
    fn ok(&self, n: usize, request: &Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            last = self.ask(n, request);
            if let Some(answer) = last.as_ref().filter(|answer| answer.get("ok").is_some()) {
                return answer.clone();
            }
            std::thread::yield_now();
        }
        panic!("n{} never answered {request} with ok; last {last:?}", n + 1);
    }

    /// Returns who leads, once one says so.
    fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let leads = |n: &usize| {
                let status = self.ask(*n, &json!({"op": "status"}));
                status.is_some_and(|status| status["ok"]["role"] == "leader")
            };
            if let Some(leader) = (0..3).filter(|n| self.nodes[*n].is_some()).find(leads) {
                return leader;
            }
        }
        panic!("nobody leads within {PATIENCE:?}");
    }
}

#[test]
fn a_write_at_the_leader_is_read_through_every_node() {
    let cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let written = cluster.ok(leader, &json!({"op": "write", "key": "k", "value": 7}));
    for n in 0..3 {
        let read = cluster.ok(n, &json!({"op": "read", "key": "k"}));
        assert_eq!(read["ok"], 7);
        assert!(read["pos"].as_u64() >= written["pos"].as_u64(), "{read} after {written}");
    }
}

#[test]
fn a_follower_refuses_writes_and_names_the_leader() {
    let cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    // The follower hears of its leader with the first heartbeat; a read through it waits for that.
    cluster.ok(follower, &json!({"op": "read", "key": "k"}));
    let refused = cluster.ask(follower, &json!({"op": "write", "key": "k", "value": 1}));
    let refused = refused.expect("a follower answers");
    assert_eq!(refused["fail"], "not-leader");
    assert_eq!(refused["leader"], format!("n{}", leader + 1));
}

#[test]
fn acknowledged_writes_survive_the_death_of_all_nodes() {
    let mut cluster = Cluster::start(&[]);
    for value in 0..20 {
        let leader = cluster.leader();
        cluster.ok(leader, &json!({"op": "append", "key": "k", "value": value, "request": format!("1-{}", value + 1)}));
    }
    (0..3).for_each(|n| cluster.kill(n));
    (0..3).for_each(|n| cluster.boot(n));
    let read = cluster.ok(1, &json!({"op": "read", "key": "k"}));
    assert_eq!(read["ok"], json!((0..20).collect::<Vec<_>>()));
}

#[test]
fn a_repeated_request_is_answered_with_its_first_position() {
    let cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let append = json!({"op": "append", "key": "k", "value": 1, "request": "5-1"});
    let first = cluster.ok(leader, &append);
    let again = cluster.ok(leader, &append);
    assert_eq!(first["pos"], again["pos"]);
    assert_eq!(cluster.ok(leader, &json!({"op": "read", "key": "k"}))["ok"], json!([1]));
}

#[test]
fn a_leader_that_dies_is_replaced() {
    let mut cluster = Cluster::start(&[]);
    let first = cluster.leader();
    cluster.ok(first, &json!({"op": "write", "key": "k", "value": 1}));
    cluster.kill(first);
    let second = cluster.leader();
    assert_ne!(first, second);
    assert_eq!(cluster.ok(second, &json!({"op": "read", "key": "k"}))["ok"], 1);
}

#[test]
fn a_port_that_is_taken_is_told_and_ends_the_node() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(node_binary())
        .args(["--id", "n1", "--peers", &format!("n1=127.0.0.1:{port}"), "--client", "127.0.0.1:0"])
        .args(["--data".as_ref(), dir.path().as_os_str()])
        .output()
        .expect("the example node is built beside the tests");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let told = format!("failed to listen on 127.0.0.1:{port}: Address already in use");
    assert!(stderr.contains(&told), "{stderr}");
}

#[test]
fn a_disk_that_is_full_stops_the_node_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ports = free_ports(2);
    let node = node_binary();
    // Files may grow to one block; a write beyond it fails as on a full disk.
    let command = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} --id n1 --peers n1=127.0.0.1:{} --client 127.0.0.1:{} --data {}",
        node.display(),
        ports[0],
        ports[1],
        dir.path().display()
    );
    let mut node = Command::new("sh")
        .args(["-c", &command])
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh is there");
    let request = json!({"id": 1, "op": "write", "key": "k", "value": "x".repeat(4096)});
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::new();
    let status = loop {
        if let Some(status) = node.try_wait().expect("the node is our child") {
            break status;
        }
        if Instant::now() > deadline {
            // The failure is told below; the node must not outlive the test.
            let _ = node.kill();
            panic!("the node goes on after its disk failed; it answered {answers:?}");
        }
        let Ok(stream) = TcpStream::connect(("127.0.0.1", ports[1])) else { continue };
        let mut line = String::new();
        let asked = writeln!(&stream, "{request}");
        if asked.and_then(|()| BufReader::new(&stream).read_line(&mut line)).is_ok() {
            answers.push(line);
        }
    };
    let mut stderr = String::new();
    let piped = node.stderr.take().expect("stderr is piped");
    std::io::Read::read_to_string(&mut BufReader::new(piped), &mut stderr).expect("UTF-8");
    assert!(!status.success());
    assert!(stderr.contains("raft.wal: File too large"), "{stderr}");
    assert!(answers.iter().all(|answer| !answer.contains("\"ok\"")), "{answers:?}");
}
