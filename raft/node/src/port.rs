//! The client port's connections.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::protocol::{self, LONGEST_LINE, Reply};
use crate::server::{ClientRequest, Event};

/// Replies that wait for a client that does not read them; one that has more outstanding is cut off.
const REPLIES: usize = 256;

/// Listens to clients until the node ends.
pub(crate) async fn listen(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A client that ends is no news.
                let serving = serve(stream, events.clone());
                tokio::spawn(async move { serving.await.ok() });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, events: mpsc::Sender<Event>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (replies, mut waiting) = mpsc::channel::<Vec<u8>>(REPLIES);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        tokio::select! {
            read = stream.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                    let asked = protocol::read_request(&buffer[..end]);
                    buffer.drain(..=end);
                    match asked {
                        Ok((id, asked)) => {
                            let request = ClientRequest { id, asked, replies: replies.clone() };
                            if events.send(Event::Client(request)).await.is_err() {
                                return Ok(());
                            }
                        }
                        Err((id, why)) => {
                            let reply = Reply { id, fail: Some(&why), ..Reply::default() };
                            stream.write_all(&reply.to_line()).await?;
                        }
                    }
                }
                if buffer.len() > LONGEST_LINE {
                    let why = format!("malformed: a line of more than {LONGEST_LINE} bytes");
                    let reply = Reply { fail: Some(&why), ..Reply::default() };
                    return stream.write_all(&reply.to_line()).await;
                }
            }
            Some(mut reply) = waiting.recv() => {
                while let Ok(more) = waiting.try_recv() {
                    reply.extend_from_slice(&more);
                }
                stream.write_all(&reply).await?;
            }
        }
    }
}
