//! Addresses of a run's own on the host's loopback, where there are no namespaces.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use squall_history::NodeName;

use crate::home::Home;
use crate::tcp::TcpProfile;
use crate::topology::{Ground, Network, Place};

/// What no node listens at, so that it can mark a range of addresses as taken.
const CLAIM: u8 = 254;
const CLAIM_PORT: u16 = 61_078;
/// How many ranges are tried; there are 30,000.
const TRIES: u32 = 64;

/// A range 127.x.y.0/24, ours as long as this socket is bound.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: UdpSocket,
}

/// Takes a range of addresses that no other run has, and gives each node and service one.
pub(crate) fn build(nodes: &[NodeName], services: &[NodeName]) -> io::Result<Network> {
    let (claim, [x, y]) = claim()?;
    let at = |last: usize| {
        let last = u8::try_from(last).expect("a network holds at most 32 nodes");
        Ipv4Addr::new(127, x, y, last)
    };
    let place = |name: &NodeName, ip: Ipv4Addr, front: Ipv4Addr| Place {
        node: name.clone(),
        ip,
        peer_ip: ip,
        front,
        home: Arc::new(Home::marked(format!("{}/{x}.{y}/{name}", std::process::id()))),
    };
    let nodes = nodes.iter().enumerate();
    let services = services.iter().enumerate();
    Ok(Network {
        places: nodes.map(|(n, node)| place(node, at(n + 1), at(n + 101))).collect(),
        // A service has no proxy.
        services: services.map(|(n, name)| place(name, at(n + 201), at(n + 201))).collect(),
        // The host's TCP is left alone; with proxies, it never sees a loss.
        tcp: TcpProfile::default(),
        took: Duration::ZERO,
        ground: Ground::Loopback { _claim: claim },
        proxies: None,
    })
}

fn claim() -> io::Result<(Claim, [u8; 2])> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    let first = std::process::id();
    for n in 0..TRIES {
        let [x, y] = range(first.wrapping_add(n));
        match UdpSocket::bind((Ipv4Addr::new(127, x, y, CLAIM), CLAIM_PORT)) {
            Ok(socket) => return Ok((Claim { _socket: socket }, [x, y])),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Spreads numbers over the ranges 127.100.1 to 127.219.250; lower ones may be a resolver's or a container's.
fn range(n: u32) -> [u8; 2] {
    let byte = |n: u32| u8::try_from(n).expect("a remainder of less than 256 is a byte");
    [byte(100 + n / 250 % 120), byte(1 + n % 250)]
}
