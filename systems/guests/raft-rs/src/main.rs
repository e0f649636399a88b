//! A key-value node on TiKV's raft-rs, with the library's defaults: what it leaves to its user (the loop, the network, the
//! disk, the clock) is here and nowhere else. What it speaks: ../../API.md.

mod disk;
mod links;
mod peer;
mod trace;

use std::error::Error;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use guest_api::{Answer, Args, Change, Node, Refusal, Status, serve};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::peer::{Input, Peer};

/// How many inputs may wait for the loop.
const INPUTS: usize = 1024;

/// The loop, as clients' connections see it.
#[derive(Clone)]
struct Handle(SyncSender<Input>);

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

impl Handle {
    async fn ask<T>(&self, input: impl FnOnce(Reply<T>) -> Input) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(input(reply)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::NotProposed("too many requests".to_owned()),
            TrySendError::Disconnected(_) => Refusal::NotProposed("the node has ended".to_owned()),
        })?;
        answer.await.unwrap_or(Err(Refusal::Unclear("no answer".to_owned())))
    }
}

impl Node for Handle {
    async fn read(&self, key: String) -> Result<(Answer, u64), Refusal> {
        self.ask(|reply| Input::Read { key, reply }).await
    }

    async fn change(&self, change: Change) -> Result<(Answer, u64), Refusal> {
        self.ask(|reply| Input::Change { change, reply }).await
    }

    async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Input::Status).await
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::read()?;
    let (inputs, outlet) = sync_channel(INPUTS);
    let links = links::start(&args, inputs.clone())?;
    let peer = Peer::open(args.clone(), links)?;
    thread::spawn(move || {
        // A node that cannot keep its promises to the library must not go on.
        if let Err(error) = peer.run(&outlet) {
            eprintln!("raft-rs: {error}");
            std::process::exit(1);
        }
    });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(serve(args.client, Handle(inputs)))?)
}
