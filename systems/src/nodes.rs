//! What every client and every probe does with the nodes of a system: find them, dial them, ask them all who leads.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use squall_history::NodeName;
use squall_workloads::{ClientError, Response};
use tokio::net::TcpStream;
use tokio::time;

/// Where each node listens to clients.
pub type Addresses = BTreeMap<NodeName, SocketAddr>;

/// Opens a connection within the timeout.
pub(crate) async fn dial(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = time::timeout(timeout, TcpStream::connect(address)).await??;
    // A request is one small write; waiting for more to send would cost up to 40 ms.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Dials a node for a client. Nothing was sent, whatever went wrong.
pub(crate) async fn dial_node(
    addresses: &Addresses,
    node: &NodeName,
    timeout: Duration,
) -> Result<TcpStream, ClientError> {
    let Some(address) = addresses.get(node) else {
        return Err(ClientError::Refused(format!("no address of {node} is known")));
    };
    dial(*address, timeout).await.map_err(|error| ClientError::Refused(error.to_string()))
}

/// Looks whether a node has hung up since its last answer. If it has, nothing of this operation was sent, which spares
/// the checker an operation in doubt for every idle connection of a node that was killed.
pub(crate) fn still_open(stream: &TcpStream) -> Result<(), ClientError> {
    let mut unasked = [0; 1];
    match stream.try_read(&mut unasked) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(ClientError::Refused(error.to_string())),
        Ok(0) => Err(ClientError::Refused("the node had closed the connection".to_owned())),
        Ok(_) => Err(ClientError::Refused("the node had said more than asked".to_owned())),
    }
}

/// Asks every node which term it leads, and returns who leads the highest. Nodes that are paused or dead never answer,
/// and must not hold up the others: each has until the deadline.
pub(crate) async fn who_leads<Asked>(
    addresses: &Addresses,
    deadline: Duration,
    term_led: impl Fn(&NodeName, SocketAddr) -> Asked,
) -> Option<NodeName>
where
    Asked: Future<Output = Option<u64>>,
{
    let asked = addresses.iter().map(|(node, address)| {
        let term = time::timeout(deadline, term_led(node, *address));
        async move { Some((term.await.ok()??, node)) }
    });
    let answers = join_all(asked).await;
    // A leader that was cut off does not know yet that it was deposed: the highest term is right.
    answers.into_iter().flatten().max().map(|(_, node)| node.clone())
}

/// Whether an answer may still come that belongs to no later operation, so that the connection is of no more use.
pub(crate) fn spends(response: &Response) -> bool {
    match &response.result {
        Ok(_)
        | Err(
            ClientError::NotLeader | ClientError::Precondition { .. } | ClientError::Rejected(_),
        ) => false,
        Err(
            ClientError::Refused(_)
            | ClientError::Timeout
            | ClientError::Reset(_)
            | ClientError::Unclear(_),
        ) => true,
    }
}
