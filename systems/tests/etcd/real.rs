//! The client against etcd itself: a cluster of one, on loopback, started as its page says.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use squall_history::{NodeName, Op, Outcome, Value};
use squall_systems::{Addresses, Setup, Site, SystemSpec, client_addresses, plan};
use squall_workloads::{Client, Connect, Invocation, outcome};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(20);

/// Ends with the test, whatever its outcome.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the page, or nothing where the binary is not there and nobody insists.
fn page(name: &str) -> Option<SystemSpec> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), &format!("{name}.toml")].iter().collect();
    let spec = SystemSpec::read(&path).unwrap();
    let Err(missing) = spec.check_binary() else { return Some(spec) };
    let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
    assert!(!required.contains("etcd"), "SQUALL_REQUIRE={required}: {missing}");
    eprintln!("not tested: {missing}");
    None
}

/// Waits until a client is told that its write happened.
async fn client(connect: &dyn Connect) -> Box<dyn Client> {
    let end = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < end, "no write was acknowledged in time");
        let Ok(mut client) = connect.connect(&"n1".into(), DEADLINE).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if ask(&mut *client, Op::write("x", 1)).await.0 == Outcome::Ok(Value::Int(1)) {
            return client;
        }
    }
}

async fn ask(client: &mut dyn Client, op: Op) -> (Outcome, Option<u64>) {
    let invocation = Invocation { op: op.clone(), node: "n1".into(), request: None };
    let response = client.invoke(&invocation, DEADLINE).await;
    (outcome(&op, response.result), response.pos)
}

/// Starts one node at an address of its own, where the ports of the page are free.
fn start(spec: &SystemSpec, ip: Ipv4Addr, data: PathBuf) -> (Running, Box<dyn Connect>) {
    for port in [2379, 2380] {
        drop(TcpListener::bind(SocketAddr::from((ip, port))).unwrap());
    }
    let sites = [Site { name: "n1".into(), ip, peer_ip: ip, data }];
    let setup = Setup::default();
    let plan = plan(spec, &sites, &setup).unwrap().remove(0);
    let mut command = Command::new(&plan.argv[0]);
    command.args(&plan.argv[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Running(command.spawn().unwrap());
    let addresses = client_addresses(spec, &sites, &setup).unwrap();
    (child, Box::new(squall_systems::etcd::EtcdConnect::new(addresses)))
}

async fn speaks(name: &str, ip: [u8; 4]) {
    let Some(spec) = page(name) else { return };
    let data = tempfile::tempdir().unwrap();
    let (_node, connect) = start(&spec, ip.into(), data.path().join("n1"));
    let mut client = client(&*connect).await;
    let (wrote, at) = ask(&mut *client, Op::write("7", 4)).await;
    assert_eq!(wrote, Outcome::Ok(Value::Int(4)));
    assert_eq!(ask(&mut *client, Op::read("7")).await, (Outcome::Ok(Value::Int(4)), at));
    let (swapped, next) = ask(&mut *client, Op::cas("7", 4, 5)).await;
    assert_eq!((swapped, next), (Outcome::Ok((4, 5).into()), at.map(|at| at + 1)));
    let (failed, seen_at) = ask(&mut *client, Op::cas("7", 4, 6)).await;
    let seen = Some(Value::Int(5));
    assert_eq!(failed, Outcome::Fail { error: "precondition".into(), seen });
    assert_eq!(seen_at, next);
    assert_eq!(ask(&mut *client, Op::read("nothing")).await, (Outcome::Ok(Value::Nil), next));
    let from_nothing = Op { value: Value::list([Value::Nil, 1.into()]), ..Op::cas("new", 0, 1) };
    let (made, _) = ask(&mut *client, from_nothing.clone()).await;
    assert_eq!(made, Outcome::Ok(from_nothing.value.clone()));
    let (failed, _) = ask(&mut *client, from_nothing).await;
    assert_eq!(failed, Outcome::Fail { error: "precondition".into(), seen: Some(Value::Int(1)) });
    let (absent, _) = ask(&mut *client, Op::cas("absent", 1, 2)).await;
    assert_eq!(absent, Outcome::Fail { error: "precondition".into(), seen: Some(Value::Nil) });
    let addresses = [("n1".into(), SocketAddr::from((Ipv4Addr::from(ip), 2379)))].into();
    let states = spec.state_probe(Addresses::clone(&addresses)).expect("etcd is asked");
    let said = states.ask().await.remove(&NodeName::from("n1")).expect("it was asked");
    let state = said.expect("it answers");
    assert_eq!((Some(state.position), state.compacted), (next.map(|at| at + 1), Some(-1)));
    assert_eq!(state.version.as_deref(), name.strip_prefix("etcd-"));
    let probe = spec.leader_probe(addresses);
    assert_eq!(probe.leader().await, Some("n1".into()));
}

#[tokio::test]
async fn etcd_3_4_answers_as_documented() {
    speaks("etcd-3.4.23", [127, 77, 34, 23]).await;
}

#[tokio::test]
async fn etcd_3_5_answers_as_documented() {
    speaks("etcd-3.5.1", [127, 77, 35, 1]).await;
}
