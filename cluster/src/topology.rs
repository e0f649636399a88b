//! The network of one run.
//!
//! ```text
//!   hub: harness and clients, br0 10.77.0.254/24
//!   ├── v1 ═══ eth0 10.77.0.1/24   n1
//!   ├── v2 ═══ eth0 10.77.0.2/24   n2
//!   …       one veth pair and one network namespace a node
//! ```
//! Traffic between nodes crosses the bridge (and the hub's forward hook, where links are cut); traffic between harness
//! and nodes does not. Every run has the same addresses: namespaces keep parallel runs apart.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::fstat;
use squall_history::NodeName;

use crate::ClusterError;
use crate::netlink::{Batch, CREATE, EXCLUSIVE, Socket};
use crate::probe::Ears;
use crate::sandbox::Sandbox;
use crate::tcp::{self, Tcp, TcpProfile};

/// The address of the harness.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// How many nodes fit: more than any Raft group, and every pair of them cut fits one pipe to iptables.
const MOST_NODES: usize = 32;

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
    pub(crate) netns: Arc<Netns>,
}

/// The network of one run. Its links go when it is dropped; the nodes' namespaces, when their processes are gone too.
#[derive(Debug)]
pub struct Network {
    /// The nodes' places, in the order given.
    pub places: Vec<Place>,
    /// What TCP does in it.
    pub tcp: TcpProfile,
    /// How long it took to build.
    pub took: Duration,
    pub(crate) hub: Arc<Netns>,
    pub(crate) ears: Ears,
}

/// Returns the address of the n-th node, counted from 0.
pub fn address(n: usize) -> Ipv4Addr {
    let last = u8::try_from(n + 1).expect("a network holds at most 32 nodes");
    Ipv4Addr::new(10, 77, 0, last)
}

impl Network {
    /// Builds the network in the namespace of the calling thread, which becomes the hub. The sandbox is the proof that
    /// this is not the host's.
    pub fn build(_inside: &Sandbox, nodes: &[NodeName], tcp: Tcp) -> Result<Network, ClusterError> {
        let started = Instant::now();
        if nodes.len() > MOST_NODES {
            return Err(ClusterError::Other(format!(
                "a network holds at most {MOST_NODES} nodes, not {}",
                nodes.len()
            )));
        }
        let failed = |source| ClusterError::Io {
            what: "build",
            whom: "the network of the nodes".into(),
            source,
        };
        // On a thread of its own, because it wanders through the namespaces.
        let built = thread::scope(|scope| scope.spawn(|| build(nodes, tcp)).join());
        let mut network = built.expect("building returns its errors").map_err(failed)?;
        network.took = started.elapsed();
        Ok(network)
    }

    /// Returns a node's place.
    pub fn place(&self, node: &NodeName) -> Option<&Place> {
        self.places.iter().find(|place| place.node == *node)
    }
}

impl Drop for Network {
    /// Makes room for the next network in the same sandbox. One that cannot go fails that one, with a reason.
    fn drop(&mut self) {
        let mut batch = Batch::default();
        for n in 0..self.places.len() {
            batch.message(DELLINK, 0, &link(port(n), 0));
        }
        batch.message(DELLINK, 0, &link(BRIDGE, 0));
        let _ = Socket::route().and_then(|mut socket| socket.send(batch));
    }
}

fn build(nodes: &[NodeName], tcp: Tcp) -> io::Result<Network> {
    let hub = Arc::new(Netns::current()?);
    let profile = tcp::apply(tcp);
    let mut in_hub = Socket::route()?;
    let mut places = Vec::new();
    let mut sockets = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        unshare(CloneFlags::CLONE_NEWNET)?;
        tcp::apply(tcp);
        sockets.push(Socket::route()?);
        let netns = Arc::new(Netns::current()?);
        places.push(Place { node: node.clone(), ip: address(n), netns });
    }
    in_hub.send(bridge_and_cables(&places))?;
    for (place, socket) in places.iter().zip(&mut sockets) {
        socket.send(node_side(place.ip))?;
    }
    // Last, so that the cables have a carrier when the bridge takes them up and they forward at once.
    in_hub.send(ports_up(places.len()))?;
    let ears = Ears::open(&places)?;
    hub.enter()?;
    Ok(Network { places, tcp: profile, took: Duration::ZERO, hub, ears })
}

fn bridge_and_cables(places: &[Place]) -> Batch {
    let mut batch = Batch::default();
    batch.message(NEWLINK, CREATE | EXCLUSIVE, &link(BRIDGE, UP)).text(IFLA_IFNAME, "br0").nest(
        IFLA_LINKINFO,
        |info| {
            info.text(INFO_KIND, "bridge");
        },
    );
    batch.message(NEWLINK, 0, &link(LO, UP));
    add_address(&mut batch, BRIDGE, HUB);
    for (n, place) in places.iter().enumerate() {
        add_cable(&mut batch, n, &place.netns);
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
fn ports_up(nodes: usize) -> Batch {
    let mut batch = Batch::default();
    // An empty batch would wait for an answer to nothing.
    batch.message(NEWLINK, 0, &link(BRIDGE, UP));
    for n in 0..nodes {
        batch.message(NEWLINK, 0, &link(port(n), UP));
    }
    batch
}

fn port(n: usize) -> i32 {
    FIRST_PORT + i32::try_from(n).expect("a network holds at most 32 nodes")
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
