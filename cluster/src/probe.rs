//! Whether packets pass, seen from the receivers' side.
//!
//! The harness holds a UDP socket open in each node's namespace, so it can send as a node and listen as a node without
//! the node's help: also where its process is paused or dead. A probe is one datagram for each ordered pair; a pair is
//! silent if none of its datagrams arrived while those of open pairs, sent at the same moments, did.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use squall_history::NodeName;

use crate::topology::{Netns, Place};
use crate::{Cut, Observation};

/// Above the range from which the kernel picks ports for clients.
const PORT: u16 = 61_077;

/// After this, what was not heard is sent again: the machine may be busy.
const AGAIN_AFTER: Duration = Duration::from_millis(25);

/// After this, what was not heard counts as silent, though it should be heard. On a starved machine the kernel thread that
/// delivers packets waits for its turn too.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// How long strays may take once everything that should be heard was. Delivery over a bridge takes microseconds.
const STRAYS_WITHIN: Duration = Duration::from_millis(8);

type Pair = (NodeName, NodeName);

/// The harness's own sockets in the nodes' namespaces.
#[derive(Debug)]
pub(crate) struct Ears {
    ears: BTreeMap<NodeName, (Ipv4Addr, UdpSocket)>,
    /// The number of the next probe. One probe at a time: they share the sockets.
    next: Mutex<u64>,
}

impl Ears {
    /// Opens one in each namespace. Wanders through them with the calling thread.
    pub(crate) fn open(places: &[Place], homes: &[Arc<Netns>]) -> io::Result<Ears> {
        let mut ears = BTreeMap::new();
        for (place, netns) in places.iter().zip(homes) {
            netns.enter()?;
            let socket = UdpSocket::bind((place.ip, PORT))?;
            socket.set_nonblocking(true)?;
            ears.insert(place.node.clone(), (place.ip, socket));
        }
        Ok(Ears { ears, next: Mutex::new(1) })
    }

    /// Looks whether exactly the cut's pairs are silent. Blocks for about 10 ms, at most a second.
    pub(crate) fn probe(&self, cut: &Cut) -> Observation {
        let mut next = self.next.lock().expect("a probe does not panic");
        let number = *next;
        *next += 1;
        match self.listen(number, cut) {
            Ok(heard) => self.judge(cut, &heard),
            Err(error) => {
                Observation::Unclear(format!("probe datagrams could not be sent: {error}"))
            }
        }
    }

    /// Sends one datagram for each pair, again where it must be, and returns the pairs that were heard.
    fn listen(&self, number: u64, cut: &Cut) -> io::Result<BTreeSet<Pair>> {
        let expected: BTreeSet<Pair> =
            self.pairs().filter(|pair| !cut.pairs.contains(pair)).collect();
        let started = Instant::now();
        let mut heard = BTreeSet::new();
        for round in 1.. {
            self.send(number, &heard, cut)?;
            self.hear(number, &mut heard, started + AGAIN_AFTER * round, &expected)?;
            if expected.is_subset(&heard) || started.elapsed() >= GIVE_UP_AFTER {
                break;
            }
        }
        let strays_until = Instant::now() + STRAYS_WITHIN;
        self.hear(number, &mut heard, strays_until, &self.pairs().collect())?;
        Ok(heard)
    }

    fn pairs(&self) -> impl Iterator<Item = Pair> {
        let nodes = || self.ears.keys();
        nodes().flat_map(move |from| {
            nodes().filter(move |to| *to != from).map(|to| (from.clone(), to.clone()))
        })
    }

    /// Sends over the links that are cut first: what passes them by mistake arrives before what is waited for.
    fn send(&self, number: u64, heard: &BTreeSet<Pair>, cut: &Cut) -> io::Result<()> {
        let unheard = self.pairs().filter(|pair| !heard.contains(pair));
        let (first, then): (Vec<Pair>, Vec<Pair>) =
            unheard.partition(|pair| cut.pairs.contains(pair));
        for pair in first.into_iter().chain(then) {
            let (_, from) = &self.ears[&pair.0];
            let (to, _) = &self.ears[&pair.1];
            from.send_to(&number.to_be_bytes(), (*to, PORT))?;
        }
        Ok(())
    }

    /// Reads what arrives until the deadline, or until all of these were heard.
    fn hear(
        &self,
        number: u64,
        heard: &mut BTreeSet<Pair>,
        deadline: Instant,
        all: &BTreeSet<Pair>,
    ) -> io::Result<()> {
        loop {
            for (to, (_, socket)) in &self.ears {
                self.drain(number, to, socket, heard);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if all.is_subset(heard) || left.is_zero() {
                return Ok(());
            }
            self.await_datagram(left)?;
        }
    }

    fn drain(&self, number: u64, to: &NodeName, socket: &UdpSocket, heard: &mut BTreeSet<Pair>) {
        let mut buffer = [0; 16];
        // An error says that nothing is there; one of the network would show as silence.
        while let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut buffer) {
            // Datagrams of an earlier probe may have been on their way.
            if buffer[..length] == number.to_be_bytes()
                && let Some(from) = self.at(*from.ip())
            {
                heard.insert((from, to.clone()));
            }
        }
    }

    fn at(&self, ip: Ipv4Addr) -> Option<NodeName> {
        self.ears.iter().find(|(_, (at, _))| *at == ip).map(|(node, _)| node.clone())
    }

    fn await_datagram(&self, within: Duration) -> io::Result<()> {
        let sockets = self.ears.values();
        let mut fds: Vec<PollFd<'_>> =
            sockets.map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        // Rounded up, so that the last millisecond is no busy loop.
        let millis = u16::try_from(within.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn judge(&self, cut: &Cut, heard: &BTreeSet<Pair>) -> Observation {
        let strays: Vec<Pair> =
            self.pairs().filter(|pair| cut.pairs.contains(pair) && heard.contains(pair)).collect();
        let missing: Vec<Pair> = self
            .pairs()
            .filter(|pair| !cut.pairs.contains(pair) && !heard.contains(pair))
            .collect();
        let silent = cut.pairs.len();
        if strays.is_empty() && missing.is_empty() {
            return Observation::Confirmed(format!(
                "probe datagrams: {silent} of {} directed pairs are silent, as cut, and the others are heard",
                self.pairs().count()
            ));
        }
        let mut faults = Vec::new();
        if !strays.is_empty() {
            faults.push(format!("heard though cut: {}", list(&strays)));
        }
        if !missing.is_empty() {
            faults.push(format!("silent for {GIVE_UP_AFTER:?} though not cut: {}", list(&missing)));
        }
        Observation::Refuted(format!("probe datagrams: {}", faults.join("; ")))
    }
}

fn list(pairs: &[Pair]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(from, to)| format!("{from}→{to}")).collect();
    pairs.join(", ")
}
