//! Acknowledged operations a second: closed-loop clients against five real nodes on loopback.
//!
//! ```text
//! cargo run --release -p squall-raft-node --example load -- --clients 10 --seconds 5 --reads 50
//! ```
//!
//! The nodes are processes with their traces on, as under `squall test`, and keep their data under `--dir`, by default
//! on tmpfs. Writes go to the leader, reads to each client's own node.
#![expect(clippy::print_stdout, reason = "a command talks to its user")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use squall_raft_node::NodeArgs;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How long the cluster may take to elect its first leader.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    node: Option<Mode>,
    #[command(flatten)]
    load: Load,
}

#[derive(Subcommand)]
enum Mode {
    /// What the load runs five times.
    #[command(hide = true)]
    Node(NodeArgs),
}

#[derive(Args, Clone)]
struct Load {
    /// Clients, each with one operation outstanding
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// How long
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Reads among a hundred operations; the rest are writes
    #[arg(long, default_value_t = 0)]
    reads: u64,
    /// How many nodes
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// Where data and traces go
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// Without traces
    #[arg(long)]
    untraced: bool,
}

fn main() -> Outcome<()> {
    let cli = Cli::parse();
    match cli.node {
        Some(Mode::Node(args)) => Ok(squall_raft_node::run(&args)?),
        None => measure(&cli.load),
    }
}

fn measure(load: &Load) -> Outcome<()> {
    let dir = tempfile::tempdir_in(&load.dir)?;
    let cluster = Cluster::start(load, dir.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut latencies, took) = runtime.block_on(run(load, cluster.clients.clone()))?;
    drop(cluster);
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / took.as_secs_f64();
    let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize];
    println!("{rate:.0} acknowledged operations a second by {} clients", load.clients);
    println!("latency: median {:?}, 99 % {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
    println!("{}", cpu("nodes", UsageWho::RUSAGE_CHILDREN, took)?);
    println!("{}", cpu("clients", UsageWho::RUSAGE_SELF, took)?);
    Ok(())
}

fn cpu(name: &str, who: UsageWho, took: Duration) -> Outcome<String> {
    let usage = getrusage(who)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let share = |time| seconds(time) / took.as_secs_f64();
    let (user, system) = (share(usage.user_time()), share(usage.system_time()));
    Ok(format!("{name}: {:.2} cores ({user:.2} user, {system:.2} system)", user + system))
}

/// The nodes; they end with it.
struct Cluster {
    nodes: Vec<Child>,
    clients: Vec<SocketAddr>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // It may have ended by itself.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

impl Cluster {
    fn start(load: &Load, dir: &Path) -> Outcome<Cluster> {
        let addresses = free_addresses(2 * load.nodes)?;
        let (peers, clients) = addresses.split_at(load.nodes);
        let named = peers.iter().enumerate().map(|(n, peer)| format!("n{}={peer}", n + 1));
        let list = named.collect::<Vec<_>>().join(",");
        let mut cluster = Cluster { nodes: Vec::new(), clients: clients.to_vec() };
        for (n, client) in clients.iter().enumerate() {
            let id = format!("n{}", n + 1);
            let mut node = Command::new(std::env::current_exe()?);
            node.args(["node", "--id", &id, "--peers", &list, "--client", &client.to_string()]);
            node.arg("--data").arg(dir.join(&id));
            if !load.untraced {
                node.env("SQUALL_TRACE", dir.join(format!("{id}.0.jsonl")));
            }
            cluster.nodes.push(node.spawn()?);
        }
        Ok(cluster)
    }
}

/// Addresses that were free a moment ago.
fn free_addresses(count: usize) -> Outcome<Vec<SocketAddr>> {
    let listeners: Result<Vec<_>, _> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    Ok(listeners?.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

/// Runs the clients; returns how long each operation took, and how long all of them together.
async fn run(load: &Load, nodes: Vec<SocketAddr>) -> Outcome<(Vec<Duration>, Duration)> {
    let leader = leader(&nodes).await?;
    let (start, length) = (Instant::now(), Duration::from_secs(load.seconds));
    let clients = (0..load.clients).map(|n| {
        let (node, reads) = (nodes[n % nodes.len()], load.reads);
        tokio::task::spawn(async move {
            client(n as u64, reads, node, leader, start + length).await.map_err(|e| e.to_string())
        })
    });
    let mut latencies = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        latencies.extend(client.await??);
    }
    Ok((latencies, start.elapsed()))
}

/// Returns where clients of the leader go, once there is one.
async fn leader(nodes: &[SocketAddr]) -> Outcome<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for node in nodes {
            let Ok(mut connection) = Connection::open(*node).await else { continue };
            if connection.ask(r#"{"id":0,"op":"status"}"#).await?["ok"]["role"] == "leader" {
                return Ok(*node);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("nobody leads".into())
}

async fn client(
    name: u64,
    reads: u64,
    node: SocketAddr,
    leader: SocketAddr,
    until: Instant,
) -> Outcome<Vec<Duration>> {
    let mut own = Connection::open(node).await?;
    let mut leader = Connection::open(leader).await?;
    let mut latencies = Vec::new();
    for sequence in 1.. {
        let begin = Instant::now();
        if begin >= until {
            break;
        }
        let key = (name + sequence) % 10;
        // Reads are spread evenly among the writes.
        let answer = if sequence * reads / 100 != (sequence - 1) * reads / 100 {
            own.ask(&format!(r#"{{"id":{sequence},"op":"read","key":"{key}"}}"#)).await?
        } else {
            let value = name << 40 | sequence;
            leader.ask(&format!(r#"{{"id":{sequence},"op":"write","key":"{key}","value":{value},"request":"{name}-{sequence}"}}"#)).await?
        };
        if answer.get("ok").is_some() {
            latencies.push(begin.elapsed());
        }
    }
    Ok(latencies)
}

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    async fn open(address: SocketAddr) -> Outcome<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), line: String::new() })
    }

    async fn ask(&mut self, request: &str) -> Outcome<Value> {
        self.stream.write_all(format!("{request}\n").as_bytes()).await?;
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        Ok(serde_json::from_str(&self.line)?)
    }
}
