//! The arguments that all guests take.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Who a node is and where everybody listens.
#[derive(Clone, Debug)]
pub struct Args {
    /// Its name, such as `n1`.
    pub id: String,
    /// All nodes, this one too, each with the address at which it listens to the others.
    pub peers: Vec<(String, SocketAddr)>,
    /// Where this node listens to the others: what they dial may be a proxy in front of it.
    pub listen: SocketAddr,
    /// Where this node listens to clients.
    pub client: SocketAddr,
    /// Where it keeps its files.
    pub data: PathBuf,
}

impl Args {
    /// Reads the process's arguments.
    pub fn read() -> Result<Args, String> {
        let words: Vec<_> = std::env::args().skip(1).collect();
        let value = |flag: &str| {
            let at = words.iter().position(|word| word == flag);
            let value = at.and_then(|at| words.get(at + 1));
            value.ok_or(format!("{flag} is missing: node --id --peers --listen --client --data"))
        };
        Ok(Args {
            id: value("--id")?.clone(),
            peers: value("--peers")?.split(',').map(peer).collect::<Result<_, _>>()?,
            listen: address(value("--listen")?)?,
            client: address(value("--client")?)?,
            data: value("--data")?.into(),
        })
    }

    /// Returns this node's number: its place among the peers, counted from 1.
    pub fn number(&self) -> Result<u64, String> {
        let place = self.peers.iter().position(|(id, _)| *id == self.id);
        place.map(|place| place as u64 + 1).ok_or(format!("{} is not among the peers", self.id))
    }

    /// Returns the name of the node with this number.
    pub fn name(&self, number: u64) -> Option<String> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        Some(self.peers.get(place)?.0.clone())
    }
}

fn peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (id, at) = text.split_once('=').ok_or(format!("{text}: expected n1=10.77.0.1:7000"))?;
    Ok((id.to_owned(), address(at)?))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
