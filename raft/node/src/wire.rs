//! Frames between peers.
//!
//! ```text
//! hello:  "SQRAFT" version:u16 sender:u64             once, at the start of a connection
//! frame:  length:u32 crc32c:u32 payload                length and checksum are of the payload; all little-endian
//! ```
//!
//! The payload is an [`Envelope`] in postcard.

use squall_raft_core::{Envelope, NodeId};

const MAGIC: &[u8; 6] = b"SQRAFT";
const VERSION: u16 = 1;

/// The length of a hello.
pub const HELLO: usize = 16;
/// The length of what stands before a payload.
pub const HEAD: usize = 8;
/// No frame is longer; a length beyond it is garbage.
pub const LONGEST: usize = 16 << 20;

/// Says what is wrong with what a peer sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The connection does not begin as ours do.
    #[error("expected a peer's hello of version {VERSION}, found {0:?}")]
    Hello(Vec<u8>),
    /// The length cannot be right.
    #[error("a frame of {0} bytes is longer than any of ours")]
    TooLong(usize),
    /// The bytes were changed on their way.
    #[error("checksum {found:08x} of a frame, expected {expected:08x}")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// The payload is no message.
    #[error("a frame that is no message: {0}")]
    Payload(String),
}

/// Returns the hello of a node.
pub fn hello(sender: NodeId) -> [u8; HELLO] {
    let mut bytes = [0; HELLO];
    bytes[..6].copy_from_slice(MAGIC);
    bytes[6..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..].copy_from_slice(&sender.0.to_le_bytes());
    bytes
}

/// Reads a hello.
pub fn read_hello(bytes: &[u8; HELLO]) -> Result<NodeId, WireError> {
    let mut sender = [0; 8];
    sender.copy_from_slice(&bytes[8..]);
    let sender = NodeId(u64::from_le_bytes(sender));
    if *bytes == hello(sender) { Ok(sender) } else { Err(WireError::Hello(bytes.to_vec())) }
}

/// Writes a frame at the end of a buffer.
pub fn write_frame(out: &mut Vec<u8>, envelope: &Envelope) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let bytes = std::mem::take(out);
    *out = postcard::to_extend(envelope, bytes).expect("an envelope is plain data");
    let length = u32::try_from(out.len() - start - HEAD).expect("a frame is shorter than 4 GiB");
    let checksum = crc32c::crc32c(&out[start + HEAD..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// Takes the first frame of a buffer; returns it and how many bytes it took, or nothing where more must come.
pub fn read_frame(bytes: &[u8]) -> Result<Option<(Envelope, usize)>, WireError> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, expected) = (word(0) as usize, word(4));
    if length > LONGEST {
        return Err(WireError::TooLong(length));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let found = crc32c::crc32c(payload);
    if found != expected {
        return Err(WireError::Checksum { expected, found });
    }
    let envelope =
        postcard::from_bytes(payload).map_err(|error| WireError::Payload(error.to_string()))?;
    Ok(Some((envelope, HEAD + length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use squall_raft_core::{
        Config, Entry, EntryKind, Index, Membership, Message, Round, Term, Token,
    };

    fn messages() -> Vec<Message> {
        let (index, term, round, token) = (Index(7), Term(3), Round(9), Token(u64::MAX));
        let entry = Entry { index, term, kind: EntryKind::Command, data: vec![1, 2, 3] };
        vec![
            Message::RequestVote { last_log_index: index, last_log_term: term, pre_vote: true },
            Message::RequestVoteReply { vote_granted: true, pre_vote: false },
            Message::AppendEntries {
                prev_log_index: index,
                prev_log_term: term,
                entries: vec![entry],
                leader_commit: index,
                round,
            },
            Message::AppendEntriesAccepted { match_index: index, round },
            Message::AppendEntriesRejected {
                prev_log_index: index,
                conflict_term: Some(term),
                conflict_index: index,
                round,
            },
            Message::ReadIndex { token },
            Message::ReadIndexReply { token, index: None },
        ]
    }

    fn envelope(message: Message) -> Envelope {
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(4), message }
    }

    #[test]
    fn each_message_survives_the_wire() {
        let mut bytes = Vec::new();
        let sent: Vec<_> = messages().into_iter().map(envelope).collect();
        sent.iter().for_each(|envelope| write_frame(&mut bytes, envelope));
        let mut rest = &bytes[..];
        for envelope in &sent {
            let (read, length) = read_frame(rest).expect("a good frame").expect("a whole frame");
            assert_eq!(read, *envelope);
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_a_message() {
        for message in messages() {
            let mut good = Vec::new();
            write_frame(&mut good, &envelope(message));
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x40;
                assert!(!matches!(read_frame(&bad), Ok(Some(_))), "byte {at} was changed unseen");
            }
        }
    }

    #[test]
    fn half_a_frame_waits_for_the_rest() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &envelope(messages().remove(2)));
        for length in 0..bytes.len() {
            assert_eq!(read_frame(&bytes[..length]), Ok(None));
        }
    }

    #[test]
    fn the_longest_message_is_taken() {
        let entry = |index| Entry {
            index: Index(index),
            term: Term(u64::MAX),
            kind: EntryKind::Command,
            data: vec![7; crate::command::LONGEST],
        };
        let most = Config::new(NodeId(1), Membership::default(), crate::TICK).max_entries as u64;
        let sent = envelope(Message::AppendEntries {
            prev_log_index: Index(u64::MAX),
            prev_log_term: Term(u64::MAX),
            entries: (0..most).map(|n| entry(u64::MAX - n)).collect(),
            leader_commit: Index(u64::MAX),
            round: Round(u64::MAX),
        });
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &sent);
        let (read, _) = read_frame(&bytes).expect("a good frame").expect("a whole frame");
        assert_eq!(read, sent);
    }

    #[test]
    fn a_hello_of_another_version_is_refused() {
        let mut bytes = hello(NodeId(3));
        assert_eq!(read_hello(&bytes), Ok(NodeId(3)));
        bytes[6] = 9;
        assert!(read_hello(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame(&bytes);
            // The same behind a head that fits them, so that they reach the reader of messages.
            let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
            framed.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
            framed.extend_from_slice(&bytes);
            let _ = read_frame(&framed);
        }

        #[test]
        fn no_stretch_of_changed_bytes_is_taken_for_a_message(
            which in 0..messages().len(),
            at in any::<prop::sample::Index>(),
            changes in prop::collection::vec(1u8.., 1..4),
        ) {
            // A checksum of 32 bits sees any burst of 32 bits.
            let mut bytes = Vec::new();
            write_frame(&mut bytes, &envelope(messages().remove(which)));
            let at = at.index(bytes.len());
            bytes[at..].iter_mut().zip(&changes).for_each(|(byte, change)| *byte ^= change);
            prop_assert!(!matches!(read_frame(&bytes), Ok(Some(_))));
        }
    }
}
