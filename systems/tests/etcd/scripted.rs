//! An HTTP server that does what a script says, and counts what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

/// What the node does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this status and body.
    Answer(u16, &'static str),
    /// Answers so and hangs up.
    AnswerAndClose(u16, &'static str),
    /// Sends these bytes.
    Raw(&'static str),
    /// Sends these bytes and hangs up.
    RawAndClose(&'static str),
    /// Hangs up.
    Close,
    /// Leaves the request unread and hangs up, which the kernel turns into a reset.
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

    /// Ends the node and returns every request as `path body`. All clients must be gone.
    pub(crate) fn requests(self) -> Vec<String> {
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"END\r\n").unwrap();
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
    // One byte at a time, so that what is not read stays in the kernel.
    let mut input = BufReader::with_capacity(1, stream);
    loop {
        let mut first = [0];
        if input.read(&mut first).unwrap_or(0) == 0 {
            return false;
        }
        if first[0] == b'E' {
            return true;
        }
        let act = script.next().unwrap_or(Act::Silence);
        if matches!(act, Act::Reset) {
            requests.push("(left unread)".to_owned());
            return false;
        }
        requests.push(request(&mut input));
        let stream = input.get_mut();
        match act {
            Act::Answer(status, body) => say(stream, &http(status, body)),
            Act::Raw(text) => say(stream, text),
            Act::AnswerAndClose(status, body) => {
                say(stream, &http(status, body));
                return false;
            }
            Act::RawAndClose(text) => {
                say(stream, text);
                return false;
            }
            Act::Close => return false,
            Act::Silence => {}
            Act::Reset => unreachable!("handled above"),
        }
    }
}

/// Reads the rest of a request, whose first byte is gone.
fn request(input: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    input.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        input.read_line(&mut line).unwrap();
        let lower = line.trim().to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length: ") {
            length = number.parse().unwrap();
        }
        if lower.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).unwrap();
    format!("{path} {}", String::from_utf8(body).unwrap())
}

fn say(stream: &mut TcpStream, text: &str) {
    // The client may have hung up before it heard all.
    let _ = stream.write_all(text.as_bytes());
}

fn http(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
