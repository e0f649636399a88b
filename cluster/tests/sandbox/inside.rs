//! Cases that run in the sandbox, as the harness would.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use squall_cluster::{
    Cluster, ClusterError, Cut, DataDirs, Direct, Firewall, Means, Network, NodePlan, NodeState,
    Observation, PlainDirs, Ready, ReadyCheck, Sandbox, Sandboxed, Tcp, address, choose, enter,
};
use squall_history::{NodeName, RunDir};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::server::ASK;

type Case = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("iptables_silences_exactly_the_cut_pairs_and_heals", |w| Box::pin(iptables_cuts(w))),
    ("netlink_silences_exactly_the_cut_pairs_and_heals", |w| Box::pin(netlink_cuts(w))),
    ("a_firewall_asked_for_by_name_is_that_one", |w| Box::pin(chosen_by_name(w))),
    ("links_are_probed_without_the_nodes_help", |w| Box::pin(probed_without_help(w))),
    ("pause_stops_every_process_of_a_node", |w| Box::pin(pause(w))),
    ("kill_ends_even_children_in_sessions_of_their_own", |w| Box::pin(kill(w))),
    ("a_restarted_node_knows_its_boot", |w| Box::pin(restart(w))),
    ("a_node_that_ends_by_itself_is_reported", |w| Box::pin(exit(w))),
    ("a_node_that_crashes_at_boot_shows_its_last_words", |w| Box::pin(crash(w))),
    ("a_node_that_never_listens_is_reported_in_time", |w| Box::pin(mute(w))),
    ("readiness_can_be_a_line_or_a_command", |w| Box::pin(readiness(w))),
    ("a_run_ends_healed_and_without_processes", |w| Box::pin(end(w))),
    ("files_of_a_run_belong_to_its_user", |w| Box::pin(ownership(w))),
    ("tcp_is_capped_unless_realistic_is_asked_for", |w| Box::pin(tcp(w))),
    ("a_sandbox_can_hold_one_run_after_another", |w| Box::pin(one_after_another(w))),
    ("the_sandbox_holds_nothing_of_the_host", |w| Box::pin(isolated(w))),
];

/// The sandbox, and a place for results that was made before it was entered.
pub(crate) struct World {
    sandbox: Sandbox,
    results: tempfile::TempDir,
}

/// Enters, and runs a case there.
pub(crate) fn run(name: &str) -> ExitCode {
    let results = tempfile::tempdir().unwrap();
    let sandbox = match enter() {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            eprintln!("{error}: {}. {}", why.unwrap_or_default(), error.remedy());
            return ExitCode::from(3);
        }
    };
    if name == "nothing" {
        return ExitCode::SUCCESS;
    }
    let world = World { sandbox, results };
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).expect("a known case");
    runtime().block_on(case(&world));
    ExitCode::SUCCESS
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl World {
    fn run_dir(&self) -> RunDir {
        RunDir::create(self.results.path(), "run").unwrap()
    }

    fn network(&self, nodes: usize) -> Network {
        Network::build(&self.sandbox, &names(nodes), Tcp::Capped).unwrap()
    }

    fn plan(&self, n: usize, kind: &str) -> NodePlan {
        let name = names(n + 1).remove(n);
        let ip = address(n);
        let exe = std::env::current_exe().unwrap().display().to_string();
        NodePlan {
            versions: Vec::new(),
            joining: None,
            argv: vec![exe, "serve".into(), ip.to_string(), kind.into()],
            env: vec![("BOOT".into(), "{boot}".into())],
            ready: Ready {
                check: ReadyCheck::Tcp((ip, ASK).into()),
                within: Duration::from_secs(20),
            },
            data: PlainDirs::in_memory(&self.sandbox).path(&name),
            name,
            ip,
        }
    }

    async fn boot(&self, kinds: &[&str]) -> Arc<Sandboxed> {
        self.boot_with(kinds, Firewall::Nft).await.unwrap()
    }

    async fn boot_with(
        &self,
        kinds: &[&str],
        firewall: Firewall,
    ) -> Result<Arc<Sandboxed>, ClusterError> {
        let plans = kinds.iter().enumerate().map(|(n, kind)| self.plan(n, kind)).collect();
        self.boot_plans(plans, firewall).await
    }

    async fn boot_plans(
        &self,
        plans: Vec<NodePlan>,
        firewall: Firewall,
    ) -> Result<Arc<Sandboxed>, ClusterError> {
        let network = self.network(plans.len());
        let means = Means {
            links: choose(firewall, &network)?.plane,
            data: Box::new(PlainDirs::in_memory(&self.sandbox)),
            launch: Box::new(Direct),
            apart: Duration::ZERO,
        };
        Sandboxed::boot(network, plans, &self.run_dir(), means).await
    }
}

fn names(nodes: usize) -> Vec<NodeName> {
    (1..=nodes).map(|n| NodeName::from(format!("n{n}").as_str())).collect()
}

fn node(n: usize) -> NodeName {
    NodeName::from(format!("n{n}").as_str())
}

/// Asks a node over a connection from the hub.
async fn ask(ip: Ipv4Addr, question: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect((ip, ASK)).await.unwrap());
    stream.write_all(format!("{question}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    answer.trim_end().to_owned()
}

fn cut(pairs: &[(usize, usize)]) -> Cut {
    Cut { pairs: pairs.iter().map(|(from, to)| (node(*from), node(*to))).collect() }
}

fn ring() -> Cut {
    let apart = |a: usize, b: usize| !matches!((a + 5 - b) % 5, 0 | 1 | 4);
    let pairs = (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b)));
    cut(&pairs.filter(|(a, b)| apart(*a, *b)).collect::<Vec<_>>())
}

fn halves() -> Cut {
    let pairs = (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b)));
    cut(&pairs.filter(|(a, b)| (*a <= 2) != (*b <= 2)).collect::<Vec<_>>())
}

async fn iptables_cuts(world: &World) {
    let network = world.network(5);
    if let Err(error) = choose(Firewall::Iptables, &network) {
        assert!(!crate::required("iptables"), "{error}");
        return println!("skipped: {error}");
    }
    cuts(world, network, Firewall::Iptables).await;
}

async fn netlink_cuts(world: &World) {
    let network = world.network(5);
    cuts(world, network, Firewall::Nft).await;
}

async fn cuts(world: &World, network: Network, firewall: Firewall) {
    let means = Means {
        links: choose(firewall, &network).unwrap().plane,
        data: Box::new(PlainDirs::in_memory(&world.sandbox)),
        launch: Box::new(Direct),
        apart: Duration::ZERO,
    };
    let plans = (0..5).map(|n| world.plan(n, "plain")).collect();
    let cluster = Sandboxed::boot(network, plans, &world.run_dir(), means).await.unwrap();
    let isolated: Vec<(usize, usize)> = (2..=5).flat_map(|n| [(1, n), (n, 1)]).collect();
    let scenes = [
        Cut::default(),
        cut(&isolated),
        halves(),
        cut(&[(2, 3)]),
        ring(),
        cut(&[(4, 1), (5, 1)]),
        Cut::default(),
    ];
    for (n, scene) in scenes.iter().enumerate() {
        let applied = cluster.cut(scene).await.unwrap();
        assert!(applied.took < Duration::from_secs(2), "{applied:?}");
        assert_eq!(applied.commands.len(), 1);
        check_traffic(scene, &format!("word{n}")).await;
        let seen = cluster.probe_cut(scene).await;
        assert!(matches!(seen, Observation::Confirmed(_)), "{seen:?}");
        let wrong = cluster.probe_cut(&cut(&[(3, 4), (1, 5)])).await;
        assert!(matches!(wrong, Observation::Refuted(_)), "{wrong:?}");
    }
}

/// TCP needs both directions, UDP one. The questions themselves come from the hub, which is never cut off.
async fn check_traffic(cut: &Cut, word: &str) {
    let pairs =
        || (0..5usize).flat_map(|a| (0..5usize).filter(move |b| *b != a).map(move |b| (a, b)));
    let is_cut = |a: usize, b: usize| cut.pairs.contains(&(node(a + 1), node(b + 1)));
    let is_open = |a: usize, b: usize| !is_cut(a, b) && !is_cut(b, a);
    let dials = pairs().map(|(a, b)| async move {
        ask(address(a), &format!("udp {} {word}", address(b))).await;
        // A busy machine may be slow to connect; that nobody does so takes a moment to see.
        let millis = if is_open(a, b) { 10_000 } else { 200 };
        ((a, b), ask(address(a), &format!("tcp {} {millis}", address(b))).await)
    });
    for ((a, b), reached) in join_all(dials).await {
        assert_eq!(reached, is_open(a, b).to_string(), "tcp from {a} to {b} under {cut:?}");
    }
    for to in 0..5 {
        let expected: BTreeSet<String> = (0..5)
            .filter(|from| *from != to && !is_cut(*from, to))
            .map(|from| address(from).to_string())
            .collect();
        let mut heard = BTreeSet::new();
        for _ in 0..100 {
            let said = ask(address(to), &format!("heard {word}")).await;
            heard = said.split_whitespace().map(str::to_owned).collect();
            if heard == expected {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(heard, expected, "udp heard by {to} under {cut:?}");
    }
}

async fn chosen_by_name(world: &World) {
    let network = world.network(2);
    let nft = choose(Firewall::Nft, &network).unwrap();
    assert_eq!(nft.plane.name(), "nft");
    let auto = choose(Firewall::Auto, &network);
    match choose(Firewall::Iptables, &network) {
        Ok(iptables) => {
            assert_eq!(iptables.plane.name(), "iptables");
            assert_eq!(auto.unwrap().plane.name(), "iptables");
        }
        Err(error) => {
            assert!(!crate::required("iptables"), "{error}");
            println!("skipped iptables: {error}");
        }
    }
}

async fn probed_without_help(world: &World) {
    let cluster = world.boot(&["plain", "plain", "plain"]).await;
    cluster.kill(&node(1)).await.unwrap();
    cluster.pause(&node(2)).await.unwrap();
    for scene in [cut(&[(1, 2), (2, 1)]), cut(&[(3, 2)]), Cut::default()] {
        cluster.cut(&scene).await.unwrap();
        let seen = cluster.probe_cut(&scene).await;
        assert!(matches!(seen, Observation::Confirmed(_)), "{seen:?}");
    }
}

async fn pause(world: &World) {
    let cluster = world.boot(&["family", "plain"]).await;
    let n1 = node(1);
    let applied = cluster.pause(&n1).await.unwrap();
    assert!(applied.commands[0].starts_with("kill -STOP "), "{applied:?}");
    assert_eq!(applied.commands[0].split(' ').count(), 4, "node and child: {applied:?}");
    assert_eq!(cluster.state(&n1), NodeState::Paused);
    assert!(confirmed(&cluster, 1, NodeState::Paused).await);
    assert!(!confirmed(&cluster, 1, NodeState::Running).await);
    assert!(confirmed(&cluster, 2, NodeState::Running).await);
    // The kernel accepts the connection, but nobody answers.
    let silent = timeout(Duration::from_millis(100), ask(address(0), "boot")).await;
    assert!(silent.is_err());
    cluster.resume(&n1).await.unwrap();
    assert_eq!(ask(address(0), "boot").await, "0");
    assert_eq!(cluster.state(&n1), NodeState::Running);
    assert!(confirmed(&cluster, 1, NodeState::Running).await);
}

async fn confirmed(cluster: &Sandboxed, n: usize, want: NodeState) -> bool {
    matches!(cluster.probe_state(&node(n), want).await, Observation::Confirmed(_))
}

async fn kill(world: &World) {
    let cluster = world.boot(&["family", "plain"]).await;
    // A paused node can be killed too.
    cluster.pause(&node(1)).await.unwrap();
    assert!(!confirmed(&cluster, 1, NodeState::Killed).await);
    cluster.kill(&node(1)).await.unwrap();
    assert_eq!(cluster.state(&node(1)), NodeState::Killed);
    assert!(confirmed(&cluster, 1, NodeState::Killed).await);
    assert!(confirmed(&cluster, 2, NodeState::Running).await);
    assert!(cluster.exited().is_empty(), "a kill of ours is no death of its own");
    assert!(cluster.pause(&node(1)).await.is_err(), "nothing is there to be paused");
}

async fn restart(world: &World) {
    let cluster = world.boot(&["plain"]).await;
    let refused = cluster.start(&node(1)).await.expect_err("it runs");
    assert_eq!(refused.to_string(), "n1 runs already");
    for boot in 1..=3 {
        cluster.kill(&node(1)).await.unwrap();
        let started = cluster.start(&node(1)).await.unwrap();
        assert!(started.commands[0].contains(&format!("BOOT={boot} ")), "{started:?}");
        cluster.await_node(&node(1)).await.unwrap();
        assert_eq!(ask(address(0), "boot").await, boot.to_string());
    }
    assert_eq!(cluster.boots(&node(1)), 4);
}

async fn exit(world: &World) {
    let cluster = world.boot(&["plain", "plain"]).await;
    let dies = cluster.next_exit(0);
    let asks = timeout(Duration::from_secs(5), ask(address(1), "exit 9"));
    let (death, _) = tokio::join!(dies, asks);
    assert_eq!((death.node, death.status.as_str()), (node(2), "exit code 9"));
    assert!(death.tail.contains("node of boot 0 is up"), "{}", death.tail);
    assert_eq!(cluster.state(&node(2)), NodeState::Exited { code: Some(9) });
    assert_eq!(cluster.exited().len(), 1);
    assert!(confirmed(&cluster, 2, NodeState::Exited { code: None }).await);
    cluster.start(&node(2)).await.unwrap();
    cluster.await_ready().await.unwrap();
}

async fn crash(world: &World) {
    let error = world.boot_with(&["plain", "crash"], Firewall::Nft).await.expect_err("n2 dies");
    let text = error.to_string();
    assert!(text.starts_with("n2 ended by itself (exit code 7)"), "{text}");
    assert!(text.ends_with("cannot open the log: it is on fire"), "{text}");
    await_emptiness().await;
}

/// What was started goes with the cluster that could not be booted.
async fn await_emptiness() {
    for _ in 0..200 {
        if squall_cluster::Leftovers::in_sandbox().is_empty() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("left: {}", squall_cluster::Leftovers::in_sandbox());
}

async fn mute(world: &World) {
    let mut plan = world.plan(0, "mute");
    plan.ready.within = Duration::from_millis(150);
    let error = world.boot_plans(vec![plan], Firewall::Nft).await.expect_err("n1 is mute");
    let text = error.to_string();
    assert!(text.starts_with("n1 did not accept connections on 10.77.0.1:7000 within"), "{text}");
    assert!(text.ends_with("I am here, but I do not listen"), "{text}");
}

async fn readiness(world: &World) {
    let mut plans = vec![world.plan(0, "plain"), world.plan(1, "mute")];
    plans[0].ready.check = ReadyCheck::Log("node of boot 0 is up".into());
    plans[1].ready.check =
        ReadyCheck::Exec(["sh", "-c", "test \"$BOOT\" = 0"].map(str::to_owned).into());
    world.boot_plans(plans, Firewall::Nft).await.unwrap();
}

async fn end(world: &World) {
    let cluster = world.boot(&["plain", "stubborn", "family", "plain", "plain"]).await;
    cluster.cut(&halves()).await.unwrap();
    cluster.pause(&node(4)).await.unwrap();
    cluster.kill(&node(5)).await.unwrap();
    let stopped = cluster.stop_all(Duration::from_millis(300)).await;
    assert_eq!(stopped.killed, [node(2)], "{stopped:?}");
    assert!(stopped.failed.is_empty(), "{stopped:?}");
    assert!(cluster.leftovers().is_empty(), "{}", cluster.leftovers());
    let healed = cluster.probe_cut(&Cut::default()).await;
    assert!(matches!(healed, Observation::Confirmed(_)), "{healed:?}");
    assert!(cluster.exited().is_empty(), "{:?}", cluster.exited());
}

async fn ownership(world: &World) {
    let cluster = world.boot(&["plain"]).await;
    let run = world.run_dir();
    std::fs::write(cluster.data().path(&node(1)).join("wal"), "entry").unwrap();
    let kept = cluster.keep_data(&node(1), &run).await.unwrap();
    assert_eq!(std::fs::read(kept.join("wal")).unwrap(), b"entry");
    // Root inside is the calling user outside.
    let log = world.results.path().join("run/nodes/n1/stdout.log");
    assert_eq!(std::fs::metadata(log).unwrap().uid(), 0);
    assert_eq!(std::fs::metadata(kept.join("wal")).unwrap().uid(), 0);
}

async fn one_after_another(world: &World) {
    for firewall in [Firewall::Nft, Firewall::Nft, Firewall::Auto] {
        let cluster = world.boot_with(&["plain", "plain"], firewall).await.unwrap();
        let scene = cut(&[(1, 2)]);
        cluster.cut(&scene).await.unwrap();
        let seen = cluster.probe_cut(&scene).await;
        assert!(matches!(seen, Observation::Confirmed(_)), "{seen:?}");
        cluster.stop_all(Duration::from_secs(2)).await;
        cluster.data().discard().unwrap();
    }
}

async fn tcp(world: &World) {
    let retries = |network: &Network| network.tcp.settings["net.ipv4.tcp_retries2"].clone();
    let network = world.network(2);
    assert_eq!(retries(&network), "255");
    drop(network);
    // The hub keeps what it was given, so the profile is looked at in a sandbox of its own.
    let exe = std::env::current_exe().unwrap();
    let output = std::process::Command::new(exe).args(["outside", "realistic"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "15");
}

async fn isolated(world: &World) {
    let links = std::fs::read_to_string("/proc/self/net/dev").unwrap();
    assert!(!links.contains("eth0"), "{links}");
    assert_eq!(std::process::id(), 2);
    assert_eq!(squall_cluster::Leftovers::in_sandbox().processes, []);
    assert!(world.sandbox.data().read_dir().unwrap().next().is_none());
    assert!(world.results.path().exists(), "results stay where they are");
}

/// A run that goes on until it is killed.
pub(crate) fn storm() -> ExitCode {
    let results = tempfile::tempdir().unwrap();
    let Ok(sandbox) = enter() else { return ExitCode::from(3) };
    let world = World { sandbox, results };
    runtime().block_on(async {
        let kinds = ["plain", "stubborn", "family", "plain", "plain"];
        let cluster = world.boot_with(&kinds, Firewall::Auto).await.unwrap();
        cluster.pause(&node(4)).await.unwrap();
        loop {
            cluster.cut(&halves()).await.unwrap();
            cluster.kill(&node(5)).await.unwrap();
            cluster.cut(&Cut::default()).await.unwrap();
            cluster.start(&node(5)).await.unwrap();
        }
    })
}
