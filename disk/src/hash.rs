//! The hash of a command in events: FNV-1a, 64 bits.

use squall_history::trace::EntryHash;

/// Returns the hash of a command: over its kind and its bytes.
pub(crate) fn command(kind: u8, data: &[u8]) -> EntryHash {
    EntryHash(more(more(START, &[kind]), data))
}

/// Where a hash begins.
pub(crate) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a hash.
pub(crate) fn more(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(hash, step)
}
