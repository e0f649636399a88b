//! A node that does what a script says, and counts what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

/// What the node does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes; `ID` stands for the request's id.
    Say(&'static str),
    /// Sends these bytes and hangs up.
    SayAndClose(&'static str),
    /// Hangs up.
    Close,
    /// Leaves the rest of the request unread and hangs up, which the kernel turns into a reset.
    Reset,
    /// Says nothing, and reads on.
    Silence,
}

/// A node on a port of its own.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
    closed: Option<oneshot::Receiver<()>>,
}

/// No wait of the node is longer than this, whatever the client does.
const PATIENCE: Duration = Duration::from_secs(10);

impl Scripted {
    /// Follows the script, request by request, over as many connections as clients open.
    pub(crate) fn new(script: Vec<Act>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell_closed, closed) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(&listener, script, tell_closed));
        Scripted { address, thread, closed: Some(closed) }
    }

    /// Returns once the node has hung up for the first time.
    pub(crate) async fn closed(&mut self) {
        let closed = self.closed.take().expect("asked once");
        tokio::time::timeout(PATIENCE, closed).await.unwrap().unwrap();
    }

    /// Ends the node and returns every line that it was sent. All clients must be gone.
    pub(crate) fn requests(self) -> Vec<String> {
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"END\n").unwrap();
        self.thread.join().unwrap()
    }
}

fn serve(
    listener: &TcpListener,
    script: Vec<Act>,
    tell_closed: oneshot::Sender<()>,
) -> Vec<String> {
    let mut script = script.into_iter();
    let mut tell_closed = Some(tell_closed);
    let mut requests = Vec::new();
    loop {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = converse(stream, &mut script, &mut requests);
        if let Some(tell) = tell_closed.take() {
            let _ = tell.send(());
        }
        if ended {
            return requests;
        }
    }
}

/// Serves one connection to its end; true where it was the last.
fn converse(
    stream: TcpStream,
    script: &mut impl Iterator<Item = Act>,
    requests: &mut Vec<String>,
) -> bool {
    let mut input = BufReader::with_capacity(1, stream);
    loop {
        let mut first = [0];
        // The end, or a reset where the client left an answer unread.
        if input.read(&mut first).unwrap_or(0) == 0 {
            return false;
        }
        let act = (first[0] != b'E').then(|| script.next().unwrap_or(Act::Silence));
        if matches!(act, Some(Act::Reset)) {
            requests.push("(left unread)".to_owned());
            return false;
        }
        let mut line = String::from(char::from(first[0]));
        input.read_line(&mut line).unwrap();
        let Some(act) = act else { return true };
        let id = line.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next());
        let id = id.unwrap_or("?").to_owned();
        requests.push(line.trim_end().to_owned());
        let mut say = |text: &str| {
            input.get_mut().write_all(text.replace("ID", &id).as_bytes()).unwrap();
        };
        match act {
            Act::Say(text) => say(text),
            Act::SayAndClose(text) => {
                say(text);
                return false;
            }
            Act::Close => return false,
            Act::Silence => {}
            Act::Reset => unreachable!("handled above"),
        }
    }
}
