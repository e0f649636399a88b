//! The network between nodes: one TCP connection in each direction, whose messages may be lost, which Raft allows.
//!
//! ```text
//! message   length u32 LE │ protobuf
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use guest_api::Args;
use protobuf::Message as _;
use raft::eraftpb::Message;

use crate::peer::Input;

/// How many messages may wait for a peer. What does not fit is lost.
const WAITING: usize = 1024;
const DIAL: Duration = Duration::from_millis(500);
const STUCK: Duration = Duration::from_secs(2);
const LONGEST: u32 = 64 << 20;

/// The ways out, by the number of the peer.
#[derive(Debug)]
pub(crate) struct Links(BTreeMap<u64, SyncSender<Message>>);

impl Links {
    /// Sends what can be sent, and says nothing of the rest.
    pub(crate) fn send(&self, messages: Vec<Message>) {
        for message in messages {
            if let Some(link) = self.0.get(&message.to) {
                let _lost = link.try_send(message);
            }
        }
    }
}

/// Listens, and makes a way out to each peer.
pub(crate) fn start(args: &Args, inputs: SyncSender<Input>) -> io::Result<Links> {
    let mut links = BTreeMap::new();
    for (number, (id, address)) in (1..).zip(args.peers.clone()) {
        if id == args.id {
            let (listener, inputs) = (TcpListener::bind(args.listen)?, inputs.clone());
            thread::spawn(move || accept(&listener, &inputs));
        } else {
            let (link, messages) = sync_channel(WAITING);
            let inputs = inputs.clone();
            thread::spawn(move || deliver(number, address, &messages, &inputs));
            links.insert(number, link);
        }
    }
    Ok(Links(links))
}

fn accept(listener: &TcpListener, inputs: &SyncSender<Input>) {
    for stream in listener.incoming().flatten() {
        let inputs = inputs.clone();
        thread::spawn(move || receive(stream, &inputs));
    }
}

fn receive(mut stream: TcpStream, inputs: &SyncSender<Input>) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(io::Error::other("a message without end"));
        }
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body)?;
        let message = Message::parse_from_bytes(&body).map_err(io::Error::other)?;
        inputs.send(Input::Message(message)).map_err(io::Error::other)?;
    }
}

/// Sends a peer's messages for as long as there are any. One that cannot be sent is lost, and the library is told.
fn deliver(
    peer: u64,
    address: SocketAddr,
    messages: &Receiver<Message>,
    inputs: &SyncSender<Input>,
) {
    let mut open = None;
    for message in messages {
        match write(open.take(), address, &message) {
            Ok(stream) => open = Some(stream),
            Err(_) => {
                let _it_is_a_hint = inputs.try_send(Input::Unreachable(peer));
            }
        }
    }
}

fn write(open: Option<TcpStream>, at: SocketAddr, message: &Message) -> io::Result<TcpStream> {
    let mut stream = match open {
        Some(stream) => stream,
        None => dial(at)?,
    };
    let body = message.write_to_bytes().map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    stream.write_all(&bytes)?;
    Ok(stream)
}

fn dial(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at, DIAL)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(STUCK))?;
    Ok(stream)
}
