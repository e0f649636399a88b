//! A key-value node on openraft, with the library's defaults: its network, its log on disk and its state machine are here.
//! What it speaks: ../../API.md.

mod disk;
mod machine;
mod network;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Cursor;
use std::sync::Arc;

use guest_api::{Answer, Args, Change, Node, Refusal, Status, serve};
use openraft::{BasicNode, Config, Raft};
use tokio::runtime::Builder;

use crate::disk::Disk;
use crate::machine::Machine;

openraft::declare_raft_types!(
    /// Changes go in, and what came of them comes out; nothing comes of the library's own entries.
    pub(crate) Types: D = Change, R = Option<Answer>
);

type Failure = Box<dyn Error + Send + Sync>;

/// The node, as clients' connections see it.
#[derive(Clone)]
struct Handle {
    args: Args,
    number: u64,
    raft: Raft<Types>,
    machine: Machine,
}

impl Handle {
    /// Sends no command to a node that does not lead. What the library answers later is no proof that a command had no
    /// effect: it says "forward to leader" also of an entry that it has proposed and then truncated, and of which another
    /// node may still have a copy.
    fn check_leads(&self) -> Result<(), Refusal> {
        let leads = self.raft.metrics().borrow().current_leader == Some(self.number);
        if leads { Ok(()) } else { Err(Refusal::NotLeader) }
    }
}

impl Node for Handle {
    async fn read(&self, key: String) -> Result<(Answer, u64), Refusal> {
        self.check_leads()?;
        self.raft.ensure_linearizable().await.map_err(unclear)?;
        let (value, applied) = self.machine.get(&key);
        Ok((Answer::Value(value), applied))
    }

    async fn change(&self, change: Change) -> Result<(Answer, u64), Refusal> {
        self.check_leads()?;
        let written = self.raft.client_write(change).await.map_err(unclear)?;
        let answer = written.data.ok_or(Refusal::Unclear("no answer".to_owned()))?;
        Ok((answer, written.log_id.index))
    }

    async fn status(&self) -> Result<Status, Refusal> {
        let metrics = self.raft.metrics().borrow().clone();
        let leader = metrics.current_leader.and_then(|number| self.args.name(number));
        Ok(Status { id: self.args.id.clone(), leader, term: metrics.current_term })
    }
}

fn unclear(error: impl Error) -> Refusal {
    Refusal::Unclear(error.to_string())
}

fn main() -> Result<(), Failure> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Failure> {
    let args = Args::read()?;
    let number = args.number()?;
    let config = Arc::new(Config::default().validate()?);
    let disk = Disk::open(&args.data.join("log"))?;
    let machine = Machine::open(&args.data.join("snapshot"))?;
    let raft = Raft::new(number, config, network::Dialer, disk, machine.clone()).await?;
    let listener = network::listen(args.listen, raft.clone()).await?;
    if !raft.is_initialized().await? {
        // All nodes say the same, and the first to be heard founds the cluster.
        let members = (1..).zip(args.peers.iter().map(|(_, at)| BasicNode::new(at)));
        let _others_were_faster = raft.initialize(members.collect::<BTreeMap<u64, _>>()).await;
    }
    let handle = Handle { number, raft, machine, args };
    tokio::select! {
        ended = listener => Ok(ended?),
        ended = serve(handle.args.client, handle.clone()) => Ok(ended?),
    }
}
