//! Who dialled a connection.
//!
//! In network namespaces the source address tells. On loopback addresses everybody dials from 127.0.0.1, so the kernel is
//! asked for the socket on the other side, and `/proc/<pid>/fd` for its owner. A system that dials anew for each message
//! that was late leaves thousands of ended connections behind, and a look through the table of all of them is slow enough
//! to make the next message late too: the kernel is asked for the one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use squall_history::NodeName;

use crate::home::Home;
use crate::netlink::{Batch, Socket};
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
    let said = |error: io::Error| error.to_string();
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
    // "No such socket" and "nobody here answers such questions" are one error.
    diagnosed(local, remote).unwrap_or_else(|_| listed(local, remote))
}

/// Asks the kernel for one socket, by sock_diag(7).
fn diagnosed(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<u64>> {
    const BY_FAMILY: u16 = 20;
    const ANY_STATE: [u8; 4] = [0xff; 4];
    const NO_COOKIE: [u8; 8] = [0xff; 8];
    let [inet, tcp] =
        [nix::libc::AF_INET, nix::libc::IPPROTO_TCP].map(|number| number.to_ne_bytes()[0]);
    let id = pair(local, remote);
    let header = [&[inet, tcp, 0, 0], &ANY_STATE, &id[..], &[0; 4], &NO_COOKIE].concat();
    let mut question = Batch::default();
    question.message(BY_FAMILY, 0, &header);
    let answer = Socket::diagnostics()?.ask(question)?;
    // After family, state and timers comes the pair that was found: a listener, if the connection is gone.
    let number = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    match (answer.get(4..4 + id.len()), number(68)) {
        (Some(found), Some(inode)) if found == id => Ok((inode != 0).then_some(inode.into())),
        (Some(_), Some(_)) => Ok(None),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Both ends of a connection as inet_diag_sockid has them: ports, then addresses of 16 bytes, in network byte order.
fn pair(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let ports = [local.port().to_be_bytes(), remote.port().to_be_bytes()].concat();
    let ips = [local, remote].map(|end| [&end.ip().octets()[..], &[0; 12]].concat()).concat();
    [ports, ips].concat()
}

/// Looks for the socket among all, where the kernel answers no questions.
fn listed(local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
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

    /// Both ends of a connection, and where each is: the dialling one first.
    fn connected() -> ([TcpStream; 2], [SocketAddrV4; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        let (SocketAddr::V4(theirs), SocketAddr::V4(ours)) = (from, accepted.local_addr().unwrap())
        else {
            panic!("loopback is IPv4");
        };
        ([dialled, accepted], [theirs, ours])
    }

    #[test]
    fn the_socket_on_the_other_side_is_found_and_its_owner() {
        let ([dialled, _accepted], [theirs, ours]) = connected();
        let inode = listed(theirs, ours).unwrap();
        assert_eq!(diagnosed(theirs, ours).unwrap(), Some(inode), "both ways say the same");
        let socket = PathBuf::from(format!("socket:[{inode}]"));
        let link = fs::read_link(format!("/proc/self/fd/{}", dialled.as_raw_fd())).unwrap();
        assert_eq!(link, socket);
        assert!(holds(std::process::id(), &socket));
        assert!(!holds(1, &socket));
    }

    #[test]
    fn a_connection_that_its_dialler_closed_has_no_owner() {
        let ([dialled, _accepted], [theirs, ours]) = connected();
        drop(dialled);
        assert_eq!(inode(theirs, ours), None);
        // Nor has one that never was.
        assert_eq!(inode(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1), ours), None);
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
