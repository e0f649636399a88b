//! The write-ahead log against every cut and every flipped byte: a torn tail is recovered, damage in the middle refused,
//! and nothing that was synced before it is ever read back changed.

use std::fs;

use squall_raft_core::{Entry, EntryKind, HardState, Index, NodeId, Persist, Recovered, Term};
use squall_raft_node::disk::{Disk, DiskError, FILE};
use tempfile::TempDir;

fn entry(index: u64, term: u64) -> Entry {
    let data = format!("command {index} of term {term}").into_bytes();
    Entry { index: Index(index), term: Term(term), kind: EntryKind::Command, data }
}

/// What a node owes in five steps: a vote, entries, more entries, a truncation with other entries, a term.
fn steps() -> Vec<Persist> {
    let vote =
        |term, candidate| Some(HardState { term: Term(term), voted_for: Some(NodeId(candidate)) });
    vec![
        Persist { hard_state: vote(1, 2), ..Persist::default() },
        Persist { append: vec![entry(1, 1), entry(2, 1)], ..Persist::default() },
        Persist { append: vec![entry(3, 1)], ..Persist::default() },
        Persist {
            hard_state: vote(2, 3),
            truncate_from: Some(Index(2)),
            append: vec![entry(2, 2), entry(3, 2)],
        },
        Persist {
            hard_state: Some(HardState { term: Term(5), voted_for: None }),
            ..Persist::default()
        },
    ]
}

/// Writes the steps, each with a sync of its own. Returns the bytes after each, and what they amount to.
fn written() -> Vec<(Vec<u8>, Recovered)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut disk, ..) = Disk::open(dir.path()).expect("an empty log opens");
    let read = || fs::read(dir.path().join(FILE)).expect("the log is there");
    let mut states = vec![(read(), Recovered::default())];
    for step in steps() {
        let mut state = states[states.len() - 1].1.clone();
        apply(&mut state, &step);
        disk.stage(&step);
        disk.sync().expect("the disk works");
        states.push((read(), state));
    }
    states
}

/// The model: what a step does to what was there.
fn apply(state: &mut Recovered, step: &Persist) {
    state.hard_state = step.hard_state.unwrap_or(state.hard_state);
    if let Some(from) = step.truncate_from {
        state.entries.retain(|entry| entry.index < from);
    }
    state.entries.extend(step.append.iter().cloned());
}

fn open(bytes: &[u8]) -> (TempDir, Result<(Recovered, usize), DiskError>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join(FILE), bytes).expect("the log can be written");
    let opened = Disk::open(dir.path()).map(|(_, recovered, torn)| (recovered, torn));
    (dir, opened)
}

#[test]
fn what_was_synced_is_recovered() {
    for (bytes, state) in written() {
        let (_dir, opened) = open(&bytes);
        assert_eq!(opened.expect("a whole log opens"), (state, 0));
    }
}

#[test]
fn a_log_that_is_cut_anywhere_holds_every_step_that_was_whole_before_the_cut() {
    let states = written();
    let whole = &states[states.len() - 1].0;
    for cut in 0..whole.len() {
        let (dir, opened) = open(&whole[..cut]);
        let (recovered, _) = opened.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let synced = states.iter().rev().find(|(bytes, _)| bytes.len() <= cut);
        let synced = synced.map_or_else(Recovered::default, |(_, state)| state.clone());
        assert_eq!(recovered, synced, "cut at {cut}");
        // What was cut off stays off: the log can be written and opened again.
        let (mut disk, again, torn) = Disk::open(dir.path()).expect("a recovered log opens");
        assert_eq!((again, torn), (recovered, 0));
        let term = HardState { term: Term(9), voted_for: None };
        disk.stage(&Persist { hard_state: Some(term), ..Persist::default() });
        disk.sync().expect("the disk works");
        drop(disk);
        let (_, last, _) = Disk::open(dir.path()).expect("it opens once more");
        assert_eq!(last.hard_state, term);
    }
}

#[test]
fn a_flipped_byte_is_refused_with_file_and_offset_unless_it_is_in_the_last_record() {
    let states = written();
    let whole = &states[states.len() - 1].0;
    let last_record = states[states.len() - 2].0.len();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let (_dir, opened) = open(&bytes);
        match opened {
            Ok((recovered, torn)) => {
                assert!(at >= last_record && torn > 0, "byte {at} was changed unseen");
                assert_eq!(recovered, states[states.len() - 2].1);
            }
            Err(DiskError::Foreign { path }) => {
                assert!(at < 16 && path.ends_with(FILE), "byte {at}");
            }
            Err(DiskError::Damaged { path, offset, .. }) => {
                assert!(path.ends_with(FILE) && offset <= at, "byte {at} but offset {offset}");
                assert!(at < last_record, "byte {at} is in the last record");
            }
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

/// Power may fail when the later pages of a write are on disk and the earlier ones are not. What was written together was
/// claimed together, by nobody yet.
#[test]
fn a_batch_whose_beginning_did_not_reach_the_disk_is_cut_off_whole() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut disk, ..) = Disk::open(dir.path()).expect("an empty log opens");
    let read = || fs::read(dir.path().join(FILE)).expect("the log is there");
    disk.stage(&Persist { append: vec![entry(1, 1)], ..Persist::default() });
    disk.sync().expect("the disk works");
    let synced = read().len();
    disk.stage(&Persist { append: vec![entry(2, 1), entry(3, 1)], ..Persist::default() });
    disk.stage(&Persist { append: vec![entry(4, 1)], ..Persist::default() });
    disk.sync().expect("the disk works");
    for lost in 1..=16 {
        let mut bytes = read();
        bytes[synced..synced + lost].fill(0);
        let (_dir, opened) = open(&bytes);
        let (recovered, torn) = opened.unwrap_or_else(|error| panic!("{lost} lost: {error}"));
        assert_eq!(recovered.entries, [entry(1, 1)]);
        assert_eq!(torn, bytes.len() - synced);
    }
}
