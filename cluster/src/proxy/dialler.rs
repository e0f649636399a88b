//! Who dialled a connection.
//!
//! In network namespaces the source address tells. On loopback addresses everybody dials from 127.0.0.1, so the kernel's
//! table of connections is asked for the socket on the other side, and `/proc/<pid>/fd` for its owner.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use squall_history::NodeName;

use crate::home::Home;
use crate::processes;

/// How a proxy learns who dialled.
#[derive(Clone, Debug)]
pub(crate) enum Dialler {
    /// By the address that a connection comes from.
    Source(BTreeMap<Ipv4Addr, NodeName>),
    /// By the process that owns the dialling socket.
    Owner(Vec<(NodeName, Arc<Home>)>),
}

impl Dialler {
    /// Returns who dialled a connection from `theirs` to `ours`; none for a stranger, and for who is gone already.
    /// Reads `/proc`, so it may block.
    pub(super) fn who(&self, theirs: SocketAddrV4, ours: SocketAddrV4) -> Option<NodeName> {
        match self {
            Dialler::Source(nodes) => nodes.get(theirs.ip()).cloned(),
            Dialler::Owner(homes) => {
                let socket = PathBuf::from(format!("socket:[{}]", inode(theirs, ours)?));
                let owns = |home: &Home| {
                    let mut processes = home.processes().into_iter();
                    processes.any(|process| holds(process.pid.as_raw().unsigned_abs(), &socket))
                };
                homes.iter().find(|(_, home)| owns(home)).map(|(node, _)| node.clone())
            }
        }
    }
}

/// Looks whether the owner of a socket can be found here, with one of our own.
pub(crate) fn sees_owners() -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
    let dialled = TcpStream::connect(listener.local_addr().map_err(said)?).map_err(said)?;
    let (accepted, from) = listener.accept().map_err(said)?;
    let (SocketAddr::V4(from), SocketAddr::V4(ours)) = (from, accepted.local_addr().map_err(said)?)
    else {
        return Err("loopback is not IPv4".into());
    };
    let inode = inode(from, ours).ok_or("/proc/net/tcp does not list our own connection")?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let found = holds(std::process::id(), &socket);
    drop(dialled);
    found.then_some(()).ok_or_else(|| "/proc/<pid>/fd does not show our own sockets".into())
}

fn holds(pid: u32, socket: &Path) -> bool {
    let descriptors = processes::numbers(Path::new(&format!("/proc/{pid}/fd")));
    descriptors
        .into_iter()
        .any(|fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|link| link == socket))
}

/// Returns the number of the socket that is connected from here to there.
fn inode(local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().find_map(|line| inode_of(line, local, remote))
    })
}

/// Reads a line of `/proc/net/tcp`: number, local and remote address, state, …, and the inode as the tenth field.
fn inode_of(line: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (here, there) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
    let inode = fields.get(9)?.parse().ok()?;
    // Zero: its process has closed it, and only the kernel still knows it.
    (here == local && there == remote && inode != 0).then_some(inode)
}

/// Reads `0100007F:1F90`, in the byte order of this machine, or an IPv4 address inside an IPv6 one.
fn address(text: &str) -> Option<SocketAddrV4> {
    let (ip, port) = text.split_once(':')?;
    let ip = match ip.len() {
        8 => ip,
        32 if ip.starts_with("0000000000000000FFFF0000") => &ip[24..],
        _ => return None,
    };
    let ip = u32::from_str_radix(ip, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip.to_ne_bytes()), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_socket_on_the_other_side_is_found_and_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        let (SocketAddr::V4(theirs), SocketAddr::V4(ours)) = (from, accepted.local_addr().unwrap())
        else {
            panic!("loopback is IPv4");
        };
        let socket = PathBuf::from(format!("socket:[{}]", inode(theirs, ours).unwrap()));
        let link = fs::read_link(format!("/proc/self/fd/{}", dialled.as_raw_fd())).unwrap();
        assert_eq!(link, socket);
        assert!(holds(std::process::id(), &socket));
        assert!(!holds(1, &socket));
    }

    #[test]
    fn an_address_inside_an_ipv6_one_is_read() {
        if cfg!(target_endian = "little") {
            let plain = address("0100007F:1F90").unwrap();
            assert_eq!(plain.to_string(), "127.0.0.1:8080");
            assert_eq!(address("0000000000000000FFFF00000100007F:1F90"), Some(plain));
            assert_eq!(address("00000000000000000000000001000000:1F90"), None);
        }
    }
}
