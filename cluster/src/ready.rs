//! When a node counts as ready.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::node::{Invocation, ReadyCheck};
use crate::output::Output;

/// How often a node is asked.
pub(crate) const EVERY: Duration = Duration::from_millis(3);

/// How long one question may take: a node that hangs is asked again.
const ONE_QUESTION: Duration = Duration::from_millis(500);

/// Asks once.
pub(crate) async fn is_ready(
    check: &ReadyCheck,
    invocation: &Invocation,
    output: &Output,
    written_before: [u64; 2],
) -> bool {
    let asked = async {
        match check {
            ReadyCheck::Tcp(addr) => TcpStream::connect(addr).await.is_ok(),
            ReadyCheck::Http { addr, path } => answers(*addr, path).await.unwrap_or(false),
            ReadyCheck::Log(text) => output.says_since(written_before, text),
            ReadyCheck::Exec(argv) => succeeds(argv, invocation).await,
        }
    };
    timeout(ONE_QUESTION, asked).await.unwrap_or(false)
}

/// Describes what a node that is not ready does not do.
pub(crate) fn missing(check: &ReadyCheck) -> String {
    match check {
        ReadyCheck::Tcp(addr) => format!("did not accept connections on {addr}"),
        ReadyCheck::Http { addr, path } => {
            format!("did not answer GET http://{addr}{path} with 200")
        }
        ReadyCheck::Log(text) => format!("did not write {text:?}"),
        ReadyCheck::Exec(argv) => {
            format!("did not become ready: `{}` did not succeed", argv.join(" "))
        }
    }
}

async fn answers(addr: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.") && status.ends_with(b" 200"))
}

async fn succeeds(argv: &[String], invocation: &Invocation) -> bool {
    let Some((program, arguments)) = argv.split_first() else { return false };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}
