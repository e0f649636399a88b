//! The network of one run.
//!
//! ```text
//!   hub: harness and clients, br0 10.77.0.254/24
//!   ├── v1 ═══ eth0 10.77.0.1/24   n1
//!   ├── v2 ═══ eth0 10.77.0.2/24   n2
//!   …       one veth pair and one network namespace a node
//! ```
//! Traffic between nodes crosses the bridge (and the hub's forward hook, where links are cut); traffic between harness
//! and nodes does not. Every run has the same addresses: namespaces keep parallel runs apart. Where proxies are asked
//! for, the one of n1 listens in the hub, at 10.77.0.101. Services, which help the nodes and are hurt by nothing, have a
//! namespace each as well, from 10.77.0.201 on.
//!
//! Without namespaces, the network is the host's loopback (`loopback`), with addresses of the run's own:
//!
//! ```text
//!   127.x.y.1    n1            127.x.y.101   the proxy in front of n1
//!   127.x.y.2    n2            127.x.y.102   the proxy in front of n2
//!   127.x.y.201  the first service
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::fstat;
use squall_history::NodeName;

use crate::ClusterError;
use crate::home::Home;
use crate::loopback;
use crate::netlink::{Batch, CREATE, EXCLUSIVE, Socket};
use crate::probe::Ears;
use crate::proxy::{Counters, Dialler, Post, Proxies};
use crate::sandbox::{Sandbox, Tier};
use crate::tcp::{self, Tcp, TcpProfile};

/// The address of the harness.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// How many nodes fit: more than any Raft group, and every pair of them cut fits one pipe to iptables.
const MOST_NODES: usize = 32;

/// How many services fit.
const MOST_SERVICES: usize = 16;

// Message types, attributes and flags of rtnetlink: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const NEWADDR: u16 = 20;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const AF_INET: u8 = 2;
const PREFIX: u8 = 24;
const UP: u32 = 1;

// Interface numbers are ours to choose, so that nothing must be asked for; high ones, because a kernel with tunnel
// modules puts tunl0, sit0 and others into every fresh namespace, at the lowest numbers.
const LO: i32 = 1;
const BRIDGE: i32 = 1001;
const ETH0: i32 = 1002;
const FIRST_PORT: i32 = 1011;

/// A network namespace, alive while this is.
#[derive(Debug)]
pub(crate) struct Netns {
    fd: OwnedFd,
    inode: u64,
}

impl Netns {
    /// Returns that of the calling thread.
    pub(crate) fn current() -> io::Result<Netns> {
        let fd: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net")?.into();
        let inode = fstat(&fd)?.st_ino;
        Ok(Netns { fd, inode })
    }

    /// Moves the calling thread into it. Children that it starts from then on are born there.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.fd, CloneFlags::CLONE_NEWNET)?)
    }

    /// Returns the text of links in `/proc/<pid>/ns/net` that lead here.
    pub(crate) fn link(&self) -> String {
        format!("net:[{}]", self.inode)
    }
}

/// One node's place in the network.
#[derive(Clone, Debug)]
pub struct Place {
    /// The node.
    pub node: NodeName,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Where the others reach it: its proxy's address where there is one, else its own.
    pub peer_ip: Ipv4Addr,
    /// Where its proxy listens, should one be asked for.
    pub(crate) front: Ipv4Addr,
    pub(crate) home: Arc<Home>,
}

/// The network of one run. Its links go when it is dropped; the nodes' namespaces, when their processes are gone too.
#[derive(Debug)]
pub struct Network {
    /// The nodes' places, in the order given.
    pub places: Vec<Place>,
    /// The services' places, in the order given. No link of theirs is ever cut.
    pub services: Vec<Place>,
    /// What TCP does in it.
    pub tcp: TcpProfile,
    /// How long it took to build.
    pub took: Duration,
    pub(crate) ground: Ground,
    /// None where nodes reach each other directly.
    pub(crate) proxies: Option<Arc<Proxies>>,
}

/// What a network is built on.
#[derive(Debug)]
pub(crate) enum Ground {
    /// Network namespaces and a bridge.
    Bridge {
        /// The harness's own.
        hub: Arc<Netns>,
        /// Whether packets pass.
        ears: Ears,
    },
    /// The host's loopback.
    Loopback {
        /// Keeps the addresses ours.
        _claim: loopback::Claim,
    },
}

/// Returns the address of the n-th node, counted from 0.
pub fn address(n: usize) -> Ipv4Addr {
    let last = u8::try_from(n + 1).expect("a network holds at most 32 nodes");
    Ipv4Addr::new(10, 77, 0, last)
}

impl Network {
    /// Builds the network in the namespace of the calling thread, which becomes the hub. The sandbox is the proof that
    /// this is not the host's.
    pub fn build(inside: &Sandbox, nodes: &[NodeName], tcp: Tcp) -> Result<Network, ClusterError> {
        Network::build_with_services(inside, nodes, &[], tcp)
    }

    /// The same, with places for services beside the nodes.
    pub fn build_with_services(
        inside: &Sandbox,
        nodes: &[NodeName],
        services: &[NodeName],
        tcp: Tcp,
    ) -> Result<Network, ClusterError> {
        let started = Instant::now();
        for (what, named, most) in
            [("nodes", nodes, MOST_NODES), ("services", services, MOST_SERVICES)]
        {
            if named.len() > most {
                let found = named.len();
                return Err(ClusterError::Other(format!(
                    "a network holds at most {most} {what}, not {found}"
                )));
            }
        }
        let failed = |source| ClusterError::Io {
            what: "build",
            whom: "the network of the nodes".into(),
            source,
        };
        let built = match inside.tier {
            // On a thread of its own, because it wanders through the namespaces.
            Tier::UserNamespace | Tier::Root => {
                thread::scope(|scope| scope.spawn(|| build(nodes, services, tcp)).join())
                    .expect("building returns its errors")
            }
            Tier::Loopback => loopback::build(nodes, services),
        };
        let mut network = built.map_err(failed)?;
        network.took = started.elapsed();
        Ok(network)
    }

    /// Whether links can only be cut by proxies, because the host's own loopback is all there is.
    pub fn needs_proxies(&self) -> bool {
        matches!(self.ground, Ground::Loopback { .. })
    }

    /// Puts a proxy in front of each node, at the port at which nodes listen to each other. To be done before nodes are
    /// planned, for from then on they reach each other by other addresses.
    pub fn insert_proxies(&mut self, peer_port: u16, seed: u64) -> Result<(), ClusterError> {
        let failed = |source| ClusterError::Io {
            what: "put proxies in front of",
            whom: "the nodes".into(),
            source,
        };
        let posts: Vec<Post> = self.places.iter().map(|place| post(place, peer_port)).collect();
        let dialler = match &self.ground {
            Ground::Bridge { .. } => {
                add_fronts(&self.places).map_err(failed)?;
                let nodes = self.places.iter().map(|place| (place.ip, place.node.clone()));
                Dialler::Source(nodes.collect())
            }
            Ground::Loopback { .. } => {
                let homes = self.places.iter();
                let homes = homes.map(|place| (place.node.clone(), Arc::clone(&place.home)));
                Dialler::Owner(homes.collect())
            }
        };
        let proxies = Proxies::start(&posts, dialler, seed).map_err(failed)?;
        self.proxies = Some(Arc::new(proxies));
        for place in &mut self.places {
            place.peer_ip = place.front;
        }
        Ok(())
    }

    /// Returns what went through the proxies so far, in each direction between two nodes; empty without proxies.
    pub fn counters(&self) -> BTreeMap<(NodeName, NodeName), Counters> {
        self.proxies.as_ref().map(|proxies| proxies.counters()).unwrap_or_default()
    }

    /// Returns a node's place.
    pub fn place(&self, node: &NodeName) -> Option<&Place> {
        self.places.iter().find(|place| place.node == *node)
    }
}

impl Drop for Network {
    /// Makes room for the next network in the same sandbox. One that cannot go fails that one, with a reason.
    fn drop(&mut self) {
        if self.needs_proxies() {
            return;
        }
        let mut batch = Batch::default();
        for n in 0..self.places.len() + self.services.len() {
            batch.message(DELLINK, 0, &link(port(n), 0));
        }
        batch.message(DELLINK, 0, &link(BRIDGE, 0));
        let _ = Socket::route().and_then(|mut socket| socket.send(batch));
    }
}

fn build(nodes: &[NodeName], services: &[NodeName], tcp: Tcp) -> io::Result<Network> {
    let hub = Arc::new(Netns::current()?);
    let profile = tcp::apply(tcp);
    let mut in_hub = Socket::route()?;
    let mut places = Vec::new();
    let mut sockets = Vec::new();
    let mut homes = Vec::new();
    let nodes_at = nodes.iter().enumerate().map(|(n, node)| (node, address(n), front(n)));
    // A service has no proxy.
    let services_at = services.iter().enumerate().map(|(n, name)| (name, service(n), service(n)));
    for (name, ip, front) in nodes_at.chain(services_at) {
        unshare(CloneFlags::CLONE_NEWNET)?;
        tcp::apply(tcp);
        sockets.push(Socket::route()?);
        let netns = Arc::new(Netns::current()?);
        homes.push(Arc::clone(&netns));
        let home = Arc::new(Home::Netns(netns));
        places.push(Place { node: name.clone(), ip, peer_ip: ip, front, home });
    }
    in_hub.send(bridge_and_cables(&homes))?;
    for (place, socket) in places.iter().zip(&mut sockets) {
        socket.send(node_side(place.ip))?;
    }
    // Last, so that the cables have a carrier when the bridge takes them up and they forward at once.
    in_hub.send(ports_up(places.len()))?;
    let services = places.split_off(nodes.len());
    let ears = Ears::open(&places, &homes[..nodes.len()])?;
    hub.enter()?;
    let ground = Ground::Bridge { hub, ears };
    Ok(Network { places, services, tcp: profile, took: Duration::ZERO, ground, proxies: None })
}

/// Returns the address of the n-th service, counted from 0.
fn service(n: usize) -> Ipv4Addr {
    let [a, b, c, last] = address(n).octets();
    Ipv4Addr::new(a, b, c, 200 + last)
}

/// Returns where the proxy of the n-th node listens in the hub, counted from 0.
fn front(n: usize) -> Ipv4Addr {
    let [a, b, c, last] = address(n).octets();
    Ipv4Addr::new(a, b, c, 100 + last)
}

fn post(place: &Place, peer_port: u16) -> Post {
    Post {
        node: place.node.clone(),
        listen: SocketAddr::from((place.front, peer_port)),
        target: SocketAddr::from((place.ip, peer_port)),
    }
}

/// Gives the hub the addresses of the proxies.
fn add_fronts(places: &[Place]) -> io::Result<()> {
    let mut batch = Batch::default();
    for place in places {
        add_address(&mut batch, BRIDGE, place.front);
    }
    Socket::route()?.send(batch)
}

fn bridge_and_cables(homes: &[Arc<Netns>]) -> Batch {
    let mut batch = Batch::default();
    batch.message(NEWLINK, CREATE | EXCLUSIVE, &link(BRIDGE, UP)).text(IFLA_IFNAME, "br0").nest(
        IFLA_LINKINFO,
        |info| {
            info.text(INFO_KIND, "bridge");
        },
    );
    batch.message(NEWLINK, 0, &link(LO, UP));
    add_address(&mut batch, BRIDGE, HUB);
    for (n, netns) in homes.iter().enumerate() {
        add_cable(&mut batch, n, netns);
    }
    batch
}

/// A veth pair: one end in the bridge, the other in the node's namespace as eth0.
fn add_cable(batch: &mut Batch, n: usize, netns: &Netns) {
    batch
        .message(NEWLINK, CREATE | EXCLUSIVE, &link(port(n), 0))
        .text(IFLA_IFNAME, &format!("v{}", n + 1))
        .number(IFLA_MASTER, BRIDGE.cast_unsigned())
        .nest(IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
                data.nest_after(VETH_PEER, &link(ETH0, 0), |peer| {
                    peer.text(IFLA_IFNAME, "eth0")
                        .number(IFLA_NET_NS_FD, netns.fd.as_raw_fd().cast_unsigned());
                });
            });
        });
}

fn node_side(ip: Ipv4Addr) -> Batch {
    let mut batch = Batch::default();
    add_address(&mut batch, ETH0, ip);
    batch.message(NEWLINK, 0, &link(ETH0, UP));
    batch.message(NEWLINK, 0, &link(LO, UP));
    batch
}

/// A cable cannot be made and taken up by one message: the kernel says ENOTCONN.
fn ports_up(cables: usize) -> Batch {
    let mut batch = Batch::default();
    // An empty batch would wait for an answer to nothing.
    batch.message(NEWLINK, 0, &link(BRIDGE, UP));
    for n in 0..cables {
        batch.message(NEWLINK, 0, &link(port(n), UP));
    }
    batch
}

fn port(n: usize) -> i32 {
    FIRST_PORT + i32::try_from(n).expect("a network holds at most 48 nodes and services")
}

fn add_address(batch: &mut Batch, interface: i32, ip: Ipv4Addr) {
    let [a, b, c, d] = interface.to_ne_bytes();
    // An ifaddrmsg: family, prefix length, flags, scope, interface.
    batch
        .message(NEWADDR, CREATE | EXCLUSIVE, &[AF_INET, PREFIX, 0, 0, a, b, c, d])
        .attribute(IFA_LOCAL, &ip.octets())
        .attribute(IFA_ADDRESS, &ip.octets());
}

/// An ifinfomsg: family, padding, type, interface, flags, and which of the flags are meant.
fn link(interface: i32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&interface.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}
