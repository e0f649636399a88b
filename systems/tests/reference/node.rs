//! The client against the node itself: a cluster of one, on loopback.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use squall_cluster::LeaderProbe;
use squall_history::{Op, Outcome, Request, Value};
use squall_raft_node::{NodeArgs, server};
use squall_systems::reference::{Addresses, ReferenceConnect, ReferenceProbe};
use squall_workloads::{Client, Connect, Invocation, Response, outcome};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(10);

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs a node until the test is through.
async fn with_node<T>(test: impl AsyncFnOnce(Addresses) -> T) -> T {
    let data = tempfile::tempdir().unwrap();
    let client = free_address();
    let args = NodeArgs {
        id: "n1".into(),
        peers: format!("n1={}", free_address()),
        listen: None,
        client,
        data: data.path().to_owned(),
        seed: 1,
        bug: None,
        set: Vec::new(),
    };
    let node = server::serve(args.resolve().unwrap(), None);
    tokio::select! {
        ended = node => panic!("the node ended: {ended:?}"),
        result = test([("n1".into(), client)].into()) => result,
    }
}

/// Returns once the node leads.
async fn elected(addresses: &Addresses) {
    let probe = ReferenceProbe::new(addresses.clone());
    let end = Instant::now() + DEADLINE;
    while probe.leader().await != Some("n1".into()) {
        assert!(Instant::now() < end, "the node does not lead");
        tokio::task::yield_now().await;
    }
}

async fn ask(client: &mut dyn Client, op: Op, request: Option<Request>) -> (Outcome, Response) {
    let invocation = Invocation { op, node: "n1".into(), request };
    let response = client.invoke(&invocation, DEADLINE).await;
    (outcome(&invocation.op, response.result.clone()), response)
}

#[tokio::test]
async fn client_and_node_understand_each_other() {
    with_node(async |addresses| {
        elected(&addresses).await;
        let connect = ReferenceConnect::new(addresses);
        let mut client = connect.connect(&"n1".into(), DEADLINE).await.unwrap();
        let client = &mut *client;

        let (read, _) = ask(client, Op::read("7"), None).await;
        assert_eq!(read, Outcome::Ok(Value::Nil));
        let (write, response) = ask(client, Op::write("7", 4), None).await;
        assert_eq!(write, Outcome::Ok(4.into()));
        let written_at = response.pos.expect("a write has a position");
        let (read, response) = ask(client, Op::read("7"), None).await;
        assert_eq!(read, Outcome::Ok(4.into()));
        assert!(response.pos.unwrap() >= written_at);

        let (cas, _) = ask(client, Op::cas("7", 4, 5), None).await;
        assert_eq!(cas, Outcome::Ok((4, 5).into()));
        let (failed, _) = ask(client, Op::cas("7", 4, 6), None).await;
        let seen = Some(Value::Int(5));
        assert_eq!(failed, Outcome::Fail { error: "precondition".into(), seen });
    })
    .await;
}

#[tokio::test]
async fn an_append_that_is_sent_again_takes_effect_once_at_its_first_position() {
    with_node(async |addresses| {
        elected(&addresses).await;
        let connect = ReferenceConnect::new(addresses);
        let mut client = connect.connect(&"n1".into(), DEADLINE).await.unwrap();
        let client = &mut *client;
        let request = |sequence| Some(Request { session: 3, sequence });

        let (first, at) = ask(client, Op::append("8", 1), request(1)).await;
        let (again, still_at) = ask(client, Op::append("8", 1), request(1)).await;
        assert_eq!((first, at.pos), (again, still_at.pos));
        ask(client, Op::append("8", 2), request(2)).await;
        let (list, _) = ask(client, Op::read("8"), None).await;
        assert_eq!(list, Outcome::Ok(Value::list([1.into(), 2.into()])));
    })
    .await;
}
