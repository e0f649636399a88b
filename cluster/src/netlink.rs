//! Speaking netlink: messages of nested attributes, many in one send.
//!
//! Written by hand because it is small and because the batch is the point: a network of five nodes is seven sends, a
//! partition is one. Of the crates, `rtnetlink` is an async client that asks and awaits one thing at a time, `neli`
//! brings macros and generics larger than this file and knows nothing of nf_tables, and those that do are under the
//! GPL or wrap C libraries.
//!
//! ```text
//! message    u32 length | u16 type | u16 flags | u32 sequence | u32 port | fixed header | attributes
//! attribute  u16 length | u16 type | payload | zeros up to a multiple of 4
//! ```
//! Everything is in the byte order of the machine, except what nf_tables puts into attributes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

/// The message makes something.
pub(crate) const CREATE: u16 = 0x400;
/// The message fails where the thing exists.
pub(crate) const EXCLUSIVE: u16 = 0x200;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;
/// The type of a message that carries the outcome of another.
const ERROR: u16 = 2;

/// The kernel answers within microseconds; this deadline only keeps a broken one from hanging us.
const ANSWER_WITHIN_S: i64 = 2;

/// Builds messages back to back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the last message starts.
    last: usize,
    /// How many messages there are.
    count: u32,
    /// The message after which the kernel shall say that all went well; the last unless told otherwise.
    acknowledged: Option<usize>,
}

impl Batch {
    /// Begins a message with its fixed header, such as an ifinfomsg.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, header: &[u8]) -> &mut Batch {
        self.last = self.bytes.len();
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(header);
        self.count += 1;
        self.close_message()
    }

    /// Adds an attribute.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Batch {
        let length = u16::try_from(payload.len() + 4).expect("our attributes are small");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(payload);
        self.close_message()
    }

    /// Adds an attribute that holds text, ended by a zero.
    pub(crate) fn text(&mut self, kind: u16, text: &str) -> &mut Batch {
        let mut payload = text.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload)
    }

    /// Adds an attribute that holds a number in the machine's byte order, as rtnetlink wants it.
    pub(crate) fn number(&mut self, kind: u16, number: u32) -> &mut Batch {
        self.attribute(kind, &number.to_ne_bytes())
    }

    /// Adds an attribute that holds a number in network byte order, as nf_tables wants it.
    pub(crate) fn big(&mut self, kind: u16, number: u32) -> &mut Batch {
        self.attribute(kind, &number.to_be_bytes())
    }

    /// Adds an attribute that holds others.
    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Batch)) -> &mut Batch {
        self.nest_after(kind, &[], inside)
    }

    /// Adds an attribute that holds a fixed header and others.
    pub(crate) fn nest_after(
        &mut self,
        kind: u16,
        header: &[u8],
        inside: impl FnOnce(&mut Batch),
    ) -> &mut Batch {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        self.bytes.extend(header);
        inside(self);
        let length = u16::try_from(self.bytes.len() - start).expect("our nests are small");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.close_message()
    }

    /// Asks for the kernel's word after this message instead of the last.
    pub(crate) fn acknowledge_here(&mut self) -> &mut Batch {
        self.acknowledged = Some(self.last);
        self
    }

    /// Pads, and writes the length of the last message.
    fn close_message(&mut self) -> &mut Batch {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let length = u32::try_from(self.bytes.len() - self.last).expect("our messages are small");
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
        self
    }
}

/// A netlink socket; it belongs to the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    /// The sequence number of the next message.
    next: u32,
}

impl Socket {
    /// Opens one for links and addresses.
    pub(crate) fn route() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkRoute)
    }

    /// Opens one for nf_tables.
    pub(crate) fn netfilter() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkNetFilter)
    }

    /// Opens one for questions about sockets.
    pub(crate) fn diagnostics() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkSockDiag)
    }

    fn open(protocol: SockProtocol) -> io::Result<Socket> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_WITHIN_S, 0))?;
        Ok(Socket { fd, next: 1 })
    }

    /// Sends a batch and returns the first error, if any.
    pub(crate) fn send(&mut self, mut batch: Batch) -> io::Result<()> {
        let first = self.next;
        self.next += batch.count;
        let awaited = number_messages(&mut batch, first);
        send(self.fd.as_raw_fd(), &batch.bytes, MsgFlags::empty())?;
        self.await_outcome(first, awaited)
    }

    /// Asks one question, and returns what the first message of the answer holds; an error where there is nothing to tell.
    pub(crate) fn ask(&mut self, mut question: Batch) -> io::Result<Vec<u8>> {
        let sequence = self.next;
        self.next += 1;
        question.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        send(self.fd.as_raw_fd(), &question.bytes, MsgFlags::empty())?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(no_answer()),
                other => other?,
            };
            let datagram = &buffer[..length];
            if let Some((_, errno)) = outcomes(datagram).iter().find(|(of, _)| *of == sequence) {
                return Err(Errno::from_raw(*errno).into());
            }
            if length > HEADER && read_u32(datagram, 8) == sequence {
                let end = length.min(read_u32(datagram, 0) as usize).max(HEADER);
                return Ok(datagram[HEADER..end].to_vec());
            }
        }
    }

    /// Reads outcomes until that of the acknowledged message: errors of earlier ones come before it.
    fn await_outcome(&self, first: u32, awaited: u32) -> io::Result<()> {
        let mut failed: Option<(u32, Errno)> = None;
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(failed.map_or_else(no_answer, described)),
                other => other?,
            };
            for (sequence, errno) in outcomes(&buffer[..length]) {
                // A late word about an earlier batch is not ours.
                if sequence < first {
                    continue;
                }
                if errno != 0 && failed.is_none() {
                    failed = Some((sequence - first, Errno::from_raw(errno)));
                }
                if sequence >= awaited {
                    return failed.map_or(Ok(()), |failed| Err(described(failed)));
                }
            }
        }
    }
}

/// Names the message of a batch that the kernel refused.
fn described((message, errno): (u32, Errno)) -> io::Error {
    let kind = io::Error::from(errno).kind();
    io::Error::new(kind, format!("netlink message {message} of the batch: {errno}"))
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer a netlink message")
}

/// Counts the messages on from `first`, asks for one acknowledgement, and returns its number.
fn number_messages(batch: &mut Batch, first: u32) -> u32 {
    let chosen = batch.acknowledged.unwrap_or(batch.last);
    let (mut at, mut sequence, mut awaited) = (0, first, first);
    while at < batch.bytes.len() {
        if at == chosen {
            let flags = read_u16(&batch.bytes, at + 6) | ACK;
            batch.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
            awaited = sequence;
        }
        batch.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
        at += read_u32(&batch.bytes, at) as usize;
        sequence += 1;
    }
    awaited
}

/// Returns the sequence numbers and error numbers (0: well) of the messages in a datagram.
fn outcomes(datagram: &[u8]) -> Vec<(u32, i32)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER + 4 <= datagram.len() {
        let length = read_u32(datagram, at) as usize;
        if length < HEADER {
            break;
        }
        if read_u16(datagram, at + 4) == ERROR {
            let negated = read_u32(datagram, at + HEADER).cast_signed();
            found.push((read_u32(datagram, at + 8), -negated));
        }
        at += length.next_multiple_of(4);
    }
    found
}

fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_cover_padding_between_messages_and_nests() {
        let mut batch = Batch::default();
        batch.message(16, CREATE, &[0; 16]).text(3, "br0").nest(18, |nest| {
            nest.text(1, "bridge");
        });
        batch.message(20, 0, &[0; 8]);
        let first = read_u32(&batch.bytes, 0) as usize;
        // 16 header, 16 ifinfomsg, 8 name, 4 nest, 12 kind (7 bytes and a pad).
        assert_eq!(first, 56);
        assert_eq!(read_u16(&batch.bytes, 40), 16, "the nest's length");
        assert_eq!(read_u32(&batch.bytes, first) as usize, 24);
        assert_eq!(batch.bytes.len(), first + 24);
    }

    #[test]
    fn only_the_chosen_message_asks_for_an_acknowledgement() {
        let mut batch = Batch::default();
        batch.message(1, 0, &[]);
        batch.message(2, 0, &[]).acknowledge_here();
        batch.message(3, 0, &[]);
        assert_eq!(number_messages(&mut batch, 7), 8);
        let asks: Vec<bool> =
            (0..3).map(|i| read_u16(&batch.bytes, i * 16 + 6) & ACK != 0).collect();
        assert_eq!(asks, [false, true, false]);
    }
}
