//! Measures what the sandbox costs on this machine: `cargo run --release -p squall-cluster --example network`.
//!
//! Each row is the time of one thing, done many times where it can be: least, median, 99th percentile, most.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use squall_cluster::{
    Cluster, ClusterError, Cut, DataDirs, Direct, Firewall, LinkPlane, Means, Network, NodePlan,
    Place, PlainDirs, Ready, ReadyCheck, Sandbox, SandboxError, Sandboxed, Tcp, choose, enter,
};
use squall_history::{NodeName, RunDir};

const NODES: usize = 5;
const NETLINK_ROUNDS: usize = 1000;
const IPTABLES_ROUNDS: usize = 50;
const PROCESS_ROUNDS: usize = 100;

fn main() -> ExitCode {
    let started = Instant::now();
    match enter().map_err(explain).and_then(|sandbox| {
        let names: Vec<NodeName> =
            (1..=NODES).map(|n| NodeName::from(format!("n{n}").as_str())).collect();
        let network = Network::build(&sandbox, &names, Tcp::Capped)
            .map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))?;
        println!("enter namespaces ({})     {:?}", sandbox.tier.name(), sandbox.took);
        println!("network of {NODES} nodes          {:?}", network.took);
        println!("both, as the caller sees it  {:?}", started.elapsed());
        println!("TCP                          {:?}", network.tcp.settings);
        measure(&network, Firewall::Nft, NETLINK_ROUNDS);
        measure(&network, Firewall::Iptables, IPTABLES_ROUNDS);
        measure_processes(&sandbox, network)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(3)
        }
    }
}

fn explain(error: SandboxError) -> String {
    let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
    format!("{error}{why}\n{}", error.remedy())
}

fn measure(network: &Network, firewall: Firewall, rounds: usize) {
    let started = Instant::now();
    let mut chosen = match choose(firewall, network) {
        Ok(chosen) => chosen,
        Err(error) => return println!("{error}"),
    };
    println!("{firewall}: set up           {:?}", started.elapsed());
    let cut = halves(network);
    let (cuts, heals) = (0..rounds)
        .map(|_| (apply(&mut *chosen.plane, &cut), apply(&mut *chosen.plane, &Cut::default())))
        .unzip();
    row(&format!("{firewall}: cut {} pairs", cut.pairs.len()), cuts);
    row(&format!("{firewall}: heal"), heals);
}

/// Nodes that only sleep: what is measured is ours.
fn measure_processes(sandbox: &Sandbox, network: Network) -> Result<(), String> {
    let results = tempfile::tempdir().map_err(|error| error.to_string())?;
    let run = RunDir::create(results.path(), "run").map_err(|error| error.to_string())?;
    let data = PlainDirs::in_memory(sandbox);
    let plans = network.places.iter().map(|place| sleeper(place, &data)).collect();
    let links = choose(Firewall::Nft, &network).map_err(|error| error.to_string())?.plane;
    let means =
        Means { links, data: Box::new(data), launch: Box::new(Direct), apart: Duration::ZERO };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| error.to_string())?
        .block_on(async {
            let started = Instant::now();
            let cluster = Sandboxed::boot(network, plans, &run, means).await?;
            println!("boot of {NODES} sleepers        {:?}", started.elapsed());
            let node = &cluster.nodes()[0];
            let [mut pause, mut resume, mut kill, mut start, mut probe] =
                [(); 5].map(|()| Vec::new());
            for _ in 0..PROCESS_ROUNDS {
                pause.push(cluster.pause(node).await?.took);
                resume.push(cluster.resume(node).await?.took);
                kill.push(cluster.kill(node).await?.took);
                start.push(cluster.start(node).await?.took);
                let started = Instant::now();
                cluster.probe_cut(&Cut::default()).await;
                probe.push(started.elapsed());
            }
            row("pause", pause);
            row("resume", resume);
            row("kill", kill);
            row("start", start);
            row("probe of all links", probe);
            Ok(())
        })
        .map_err(|error: ClusterError| error.to_string())
}

fn sleeper(place: &Place, data: &PlainDirs) -> NodePlan {
    NodePlan {
        versions: Vec::new(),
        joining: None,
        name: place.node.clone(),
        ip: place.ip,
        argv: ["sleep", "1000"].map(str::to_owned).into(),
        env: Vec::new(),
        ready: Ready {
            check: ReadyCheck::Exec(vec!["true".into()]),
            within: Duration::from_secs(5),
        },
        data: data.path(&place.node),
    }
}

fn apply(plane: &mut dyn LinkPlane, cut: &Cut) -> Duration {
    plane.apply(cut).expect("it worked a moment ago").took
}

fn row(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{name:24} {:?} {:?} {:?} {:?}", at(0.0), at(0.5), at(0.99), at(1.0));
}

/// The first two nodes hear nobody else, and nobody else hears them.
fn halves(network: &Network) -> Cut {
    let side = |n: usize| n < 2;
    let places = || network.places.iter().enumerate();
    let pairs = places().flat_map(|(a, from)| {
        places()
            .filter(move |(b, _)| side(a) != side(*b))
            .map(|(_, to)| (from.node.clone(), to.node.clone()))
    });
    Cut { pairs: pairs.collect() }
}
