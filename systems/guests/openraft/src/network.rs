//! The network between nodes: one call at a time over a TCP connection, which is dropped when a call fails.
//!
//! ```text
//! call, answer   length u32 LE │ JSON
//! ```

use std::io;
use std::net::SocketAddr;

use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, Raft};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Types;

const LONGEST: u32 = 64 << 20;

type Lost<E = RaftError<u64>> = RPCError<u64, BasicNode, E>;

#[derive(Serialize, Deserialize)]
enum Call {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<Types>),
}

/// Makes the ways to other nodes.
#[derive(Debug)]
pub(crate) struct Dialer;

impl RaftNetworkFactory<Types> for Dialer {
    type Network = Link;

    async fn new_client(&mut self, _target: u64, node: &BasicNode) -> Link {
        Link { at: node.addr.clone(), stream: None }
    }
}

/// The way to one other node.
#[derive(Debug)]
pub(crate) struct Link {
    at: String,
    stream: Option<TcpStream>,
}

impl Link {
    async fn call<T: DeserializeOwned, E: std::error::Error>(
        &mut self,
        call: Call,
    ) -> Result<T, Lost<E>> {
        // Taken out: if this call is given up, its answer must not be taken for the next one's.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => dial(&self.at).await.map_err(|error| Unreachable::new(&error))?,
        };
        let answer = exchange(&mut stream, &call).await;
        let answer = answer.map_err(|error| NetworkError::new(&error))?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Lost> {
        self.call(Call::Append(rpc)).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Lost<RaftError<u64, InstallSnapshotError>>> {
        self.call(Call::Snapshot(rpc)).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, Lost> {
        self.call(Call::Vote(rpc)).await
    }
}

/// Answers other nodes. What the library refuses is not answered: the connection ends.
pub(crate) async fn listen(at: SocketAddr, raft: Raft<Types>) -> io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(at).await?;
    Ok(tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, raft.clone()));
            }
        }
    }))
}

async fn answer(mut stream: TcpStream, raft: Raft<Types>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let body = match read(&mut stream).await? {
            Call::Append(rpc) => json(raft.append_entries(rpc).await)?,
            Call::Vote(rpc) => json(raft.vote(rpc).await)?,
            Call::Snapshot(rpc) => json(raft.install_snapshot(rpc).await)?,
        };
        write(&mut stream, &body).await?;
    }
}

fn json<T: Serialize, E: std::error::Error>(result: Result<T, E>) -> io::Result<Vec<u8>> {
    let answer = result.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(serde_json::to_vec(&answer)?)
}

async fn dial(at: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange<T: DeserializeOwned>(stream: &mut TcpStream, call: &Call) -> io::Result<T> {
    write(stream, &serde_json::to_vec(call)?).await?;
    read(stream).await
}

async fn write(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_le_bytes(), body].concat()).await
}

async fn read<T: DeserializeOwned>(stream: &mut TcpStream) -> io::Result<T> {
    let length = stream.read_u32_le().await?;
    if length > LONGEST {
        return Err(io::Error::other("a message without end"));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}
