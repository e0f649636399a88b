//! One process of a client: started, greeted, asked one thing at a time, and killed when it is dropped.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use squall_workloads::{ClientError, Invocation, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time;

use super::wire::{self, Errand};

/// A line longer than this is none.
const LONGEST_LINE: usize = 1 << 20;
/// How long a client has to say hello: interpreters take their time on a busy machine.
const HELLO: Duration = Duration::from_secs(10);
/// How much of what it complained is kept.
const COMPLAINTS: usize = 400;

/// A client that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// What it said and nobody has read yet.
    said: Vec<u8>,
    complaints: Arc<Mutex<Vec<u8>>>,
    worker: usize,
    next_id: u64,
    /// The operations that it has.
    pub(super) ops: BTreeSet<String>,
}

impl Running {
    /// Starts a client and waits for its hello.
    pub(super) async fn start(
        command: &[String],
        dir: Option<&Path>,
        worker: usize,
    ) -> Result<Running, String> {
        let mut running = spawn(command, dir, worker).map_err(|error| {
            format!("failed to start the client `{}`: {error}", command.join(" "))
        })?;
        let hello = match time::timeout(HELLO, running.line()).await {
            Ok(Ok(line)) => wire::read_hello(&line),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("it said no hello within {} s", HELLO.as_secs())),
        };
        match hello {
            Ok(ops) => running.ops = ops,
            Err(why) => {
                return Err(format!(
                    "the client `{}` cannot be used: {why}{}",
                    command.join(" "),
                    running.complaint()
                ));
            }
        }
        Ok(running)
    }

    /// Whether it may be asked: it is alive, and has said nothing that was not asked.
    pub(super) fn is_quiet(&mut self) -> bool {
        // Polled once: either there is something to read, the end among it, or there is not.
        self.said.is_empty() && self.output.read_buf(&mut self.said).now_or_never().is_none()
    }

    /// Asks one thing. An error means that it must not be asked again.
    pub(super) async fn ask(
        &mut self,
        addr: &str,
        invocation: &Invocation,
        timeout_ms: u64,
    ) -> Result<Response, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let errand = Errand { id, worker: self.worker, addr, timeout_ms };
        let request = wire::write_request(errand, invocation).map_err(ClientError::Rejected)?;
        let lost =
            |why: String, complaint: String| ClientError::Unclear(format!("{why}{complaint}"));
        if let Err(error) = self.input.write_all(&request).await {
            return Err(lost(format!("the client takes no input: {error}"), self.complaint()));
        }
        let line = match self.line().await {
            Ok(line) => line,
            Err(why) => return Err(lost(why, self.complaint())),
        };
        wire::read_answer(&line, id, &invocation.op.f).map_err(ClientError::Unclear)
    }

    /// Reads one line.
    async fn line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
                let rest = self.said.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.said, rest);
                line.pop();
                return Ok(line);
            }
            if self.said.len() > LONGEST_LINE {
                return Err("the client said a line without end".to_owned());
            }
            match self.output.read_buf(&mut self.said).await {
                Ok(0) => return Err("the client ended".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("the client cannot be heard: {error}")),
            }
        }
    }

    /// Returns the last thing that it complained about, in brackets.
    fn complaint(&self) -> String {
        let complaints = self.complaints.lock().expect("no holder of this lock panics");
        let text = String::from_utf8_lossy(&complaints);
        match text.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(last) => format!(" ({})", last.trim()),
            None => String::new(),
        }
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn end(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }
}

fn spawn(command: &[String], dir: Option<&Path>, worker: usize) -> std::io::Result<Running> {
    let (program, arguments) = command.split_first().expect("a page has no empty command");
    let mut process = Command::new(program);
    process
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(dir) = dir {
        process.current_dir(dir);
    }
    let mut child = process.spawn()?;
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let errors = child.stderr.take().expect("it was piped");
    tokio::spawn(listen(errors, Arc::clone(&complaints)));
    Ok(Running {
        input: child.stdin.take().expect("it was piped"),
        output: child.stdout.take().expect("it was piped"),
        child,
        said: Vec::new(),
        complaints,
        worker,
        next_id: 1,
        ops: BTreeSet::new(),
    })
}

/// Keeps the end of what a client complains about, until it ends.
async fn listen(mut errors: ChildStderr, complaints: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = errors.read(&mut buffer).await {
        let mut kept = complaints.lock().expect("no holder of this lock panics");
        kept.extend(&buffer[..length]);
        let excess = kept.len().saturating_sub(COMPLAINTS);
        kept.drain(..excess);
    }
}
