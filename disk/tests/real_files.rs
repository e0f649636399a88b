//! The readers on files that real systems left behind, and on the same files after accidents.

use std::collections::BTreeMap;
use std::path::Path;

use squall_disk::{
    Bolt, Broken, Commands, DiskError, Layout, Log, Reading, backend, commands, etcd_wal,
    name_votes, raft_boltdb, raft_wal, read, squall_command, squall_wal,
};
use squall_history::log::{Command, Positions};
use squall_history::trace::{EntryHash, TraceEvent};

const WALS: [(&str, &[u8]); 2] = [
    ("etcd-3.4.23", include_bytes!("data/etcd-3.4.23.wal")),
    ("etcd-3.5.1", include_bytes!("data/etcd-3.5.1.wal")),
];
const DATABASES: [(&str, &[u8]); 2] = [
    ("etcd-3.4.23", include_bytes!("data/etcd-3.4.23.db")),
    ("etcd-3.5.1", include_bytes!("data/etcd-3.5.1.db")),
];
const BOLTDB: &[u8] = include_bytes!("data/raft-boltdb-2.3.1.db");
const SQUALL: &[u8] = include_bytes!("data/squall.wal");
/// Made by systems/guests/raft-wal-files with hashicorp/raft-wal 0.4.0.
const WAL_META: &[u8] = include_bytes!("data/raft-wal/wal-meta.db");
const SEGMENTS: [(&str, &[u8]); 3] = [
    (
        "00000000000000000001-0000000000000000.wal",
        include_bytes!("data/raft-wal/00000000000000000001-0000000000000000.wal"),
    ),
    (
        "00000000000000000021-0000000000000001.wal",
        include_bytes!("data/raft-wal/00000000000000000021-0000000000000001.wal"),
    ),
    (
        "00000000000000000030-0000000000000002.wal",
        include_bytes!("data/raft-wal/00000000000000000030-0000000000000002.wal"),
    ),
];

fn wal(bytes: &[u8]) -> Result<Reading, Broken> {
    let files = [("0.wal".to_owned(), bytes.to_vec())];
    etcd_wal(&files)?.reading(&["0.wal".to_owned()])
}

/// Every entry that a reading tells, by its index.
fn entries(reading: &Reading) -> BTreeMap<u64, (u64, EntryHash)> {
    let mut entries = BTreeMap::new();
    for event in &reading.events {
        if let TraceEvent::Append { index, term, hashes, .. } = event {
            entries.extend((*index..).zip(hashes.iter().map(|hash| (term.0, *hash))));
        }
    }
    entries
}

fn committed(reading: &Reading) -> u64 {
    let commits = reading.events.iter().filter_map(|event| match event {
        TraceEvent::Commit { index, .. } => Some(*index),
        _ => None,
    });
    commits.max().unwrap_or(0)
}

/// A data directory of etcd's with these files.
fn etcd_dir(wal: &[u8], database: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory can be made");
    for (place, bytes) in [("member/wal/0-0.wal", wal), ("member/snap/db", database)] {
        let path = dir.path().join(place);
        let parent = path.parent().expect("a file has a parent");
        std::fs::create_dir_all(parent).expect("a directory can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    }
    dir
}

#[test]
fn etcd_s_log_tells_entries_votes_and_commits() {
    for (version, bytes) in WALS {
        let reading = wal(bytes).unwrap();
        let entries = entries(&reading);
        let last = committed(&reading);
        assert!((29..=30).contains(&last), "{version}: {last}");
        assert!(entries.keys().copied().eq(1..=last), "{version}");
        assert_eq!(entries[&last].0, 2, "{version}");
        assert_eq!(reading.torn, 0);
        let own = reading.own_name.clone();
        let voted = |event: &TraceEvent| matches!(event, TraceEvent::HardState { vote, .. } if *vote == own);
        assert!(own.is_some() && reading.events.iter().any(voted), "{version}");
    }
}

#[test]
fn what_is_committed_is_told_before_anything_is_removed_and_not_behind_each_entry() {
    let mut log = Log::from_the_start();
    for index in 1..=4 {
        log.entry(index, 1, EntryHash(index)).unwrap();
        log.hard_state(1, None, index - 1);
    }
    log.truncate(2).unwrap();
    log.entry(2, 2, EntryHash(9)).unwrap();
    log.hard_state(2, None, 2);
    let told = |event: &TraceEvent| match event {
        TraceEvent::Append { index, hashes, .. } => Some(("append", *index, hashes.len())),
        TraceEvent::Commit { index, term, .. } => Some(("commit", *index, term.0 as usize)),
        TraceEvent::Truncate { from } => Some(("truncate", *from, 0)),
        _ => None,
    };
    let told: Vec<_> = log.finish().events.iter().filter_map(told).collect();
    // The first entry stands before the first hard state.
    let expected = [("append", 1, 1), ("append", 2, 3), ("commit", 3, 1), ("truncate", 2, 0)];
    assert_eq!(told[..4], expected);
    // A commit that goes back is none.
    assert_eq!(told[4..], [("append", 2, 1)]);
}

#[test]
fn etcd_s_database_tells_what_was_applied() {
    for (version, bytes) in DATABASES {
        let bolt = Bolt::open("db", bytes).unwrap();
        let backend = backend(&bolt, "db").unwrap().unwrap();
        assert_eq!(backend.consistent_index, 29, "{version}");
        assert!((25..=26).contains(&backend.revision), "{version}: {}", backend.revision);
        assert_eq!(backend.keys, 5, "{version}");
        assert!(bolt.buckets().unwrap().contains(&&b"meta"[..]));
    }
}

#[test]
fn a_data_directory_of_etcd_s_becomes_a_log_with_a_state() {
    for ((version, log), (_, database)) in WALS.into_iter().zip(DATABASES) {
        let dir = etcd_dir(log, database);
        let reading = read(Layout::Etcd, dir.path()).unwrap();
        let state = reading.events.last().unwrap();
        assert!(
            matches!(state, TraceEvent::Apply { index: 29, digest: Some(_), .. }),
            "{version}: {state:?}"
        );
        assert!(reading.notes.is_empty());
    }
}

/// How many of the commands are operations, and which are not understood.
fn operations(commands: &Commands) -> (usize, Vec<&str>) {
    let is_op = |command: &&Command| matches!(command, Command::Op(..));
    let all = || commands.entries.iter().map(|entry| &entry.command);
    let unknown = all().filter_map(|command| match command {
        Command::Unknown(what) => Some(&**what),
        Command::Op(..) | Command::Nothing => None,
    });
    (all().filter(is_op).count(), unknown.collect())
}

#[test]
fn etcd_s_log_tells_every_command_from_the_first_entry_on() {
    for ((version, bytes), (_, database)) in WALS.into_iter().zip(DATABASES) {
        let dir = etcd_dir(bytes, database);
        let commands = commands(Layout::Etcd, dir.path()).unwrap();
        assert_eq!(commands.entries.len(), entries(&wal(bytes).unwrap()).len(), "{version}");
        assert_eq!(commands.committed, committed(&wal(bytes).unwrap()), "{version}");
        assert_eq!(commands.positions, Positions::Revision);
        let (_, position) = commands.applied.unwrap();
        let (operations, unknown) = operations(&commands);
        assert_eq!(unknown, [""; 0], "{version}");
        assert!(operations > 20 && position > 20, "{version}: {operations}, {position}");
    }
}

#[test]
fn commands_are_told_without_a_database_and_not_for_raft_boltdb() {
    let dir = etcd_dir(WALS[0].1, b"no database");
    assert_eq!(commands(Layout::Etcd, dir.path()).unwrap().applied, None);
    let boltdb = tempfile::tempdir().unwrap();
    let none = commands(Layout::RaftBoltdb, boltdb.path()).unwrap_err();
    assert!(matches!(none, DiskError::NoCommands { .. }), "{none}");
}

#[test]
fn the_reference_s_log_tells_every_command() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("raft.wal"), SQUALL).unwrap();
    let commands = commands(Layout::Squall, dir.path()).unwrap();
    let (operations, unknown) = operations(&commands);
    assert_eq!((unknown, commands.positions), (vec![], Positions::Index));
    assert!(operations > 10, "{operations} of {}", commands.entries.len());
}

#[test]
fn a_broken_database_leaves_the_log_readable_and_is_named() {
    let dir = etcd_dir(WALS[0].1, &DATABASES[0].1[..70]);
    let reading = read(Layout::Etcd, dir.path()).unwrap();
    assert_eq!(entries(&reading).len(), 30);
    let note =
        "the system's own file db is broken at offset 0: no meta page is whole and of version 2";
    assert_eq!(reading.notes, [note]);
}

#[test]
fn votes_are_for_nodes_of_the_run_where_they_are_known() {
    let mut reading = wal(WALS[0].1).unwrap();
    name_votes(vec![(&"n1".into(), &mut reading)]);
    let voted = |event: &TraceEvent| matches!(event, TraceEvent::HardState { vote: Some(vote), .. } if *vote == "n1".into());
    assert!(reading.events.iter().any(voted));
}

#[test]
fn a_changed_byte_of_etcd_s_log_is_found_by_its_checksum() {
    let mut bytes = WALS[0].1.to_vec();
    let key = bytes.windows(2).position(|two| two == b"k3").unwrap();
    bytes[key] ^= 1;
    let broken = wal(&bytes).unwrap_err();
    assert_eq!(broken.file, "0.wal");
    assert!(broken.offset < key as u64 && broken.why.contains("checksum"), "{broken}");
}

#[test]
fn a_log_that_was_cut_off_in_a_frame_is_torn_and_not_broken() {
    let bytes = WALS[1].1;
    let reading = wal(&bytes[..2000]).unwrap();
    assert!(reading.torn > 0);
    let kept = entries(&reading);
    assert!(!kept.is_empty() && kept.len() < 30);
    let whole = entries(&wal(bytes).unwrap());
    assert!(kept.iter().all(|(index, entry)| whole[index] == *entry));
}

#[test]
fn a_sector_that_never_reached_the_file_is_a_torn_write() {
    let mut bytes = WALS[1].1.to_vec();
    bytes[2048..].fill(0);
    assert!(wal(&bytes).unwrap().torn > 0);
    // In a file that others follow, the same is damage.
    let files = [("0.wal".to_owned(), bytes), ("1.wal".to_owned(), WALS[1].1.to_vec())];
    assert_eq!(etcd_wal(&files).unwrap_err().file, "0.wal");
}

#[test]
fn files_of_another_log_do_not_continue_this_one() {
    let files =
        [("0.wal".to_owned(), WALS[0].1.to_vec()), ("1.wal".to_owned(), WALS[1].1.to_vec())];
    let broken = etcd_wal(&files).unwrap_err();
    assert_eq!((broken.file.as_str(), broken.offset), ("1.wal", 0));
    assert_eq!(broken.why, "the checksum of the file before it is another");
}

#[test]
fn the_older_meta_page_holds_where_the_newer_one_is_broken() {
    let bytes = DATABASES[0].1;
    let newest = Bolt::open("db", bytes).unwrap().txid;
    let mut damaged = bytes.to_vec();
    let page = if newest.is_multiple_of(2) { 0 } else { 4096 };
    damaged[page + 16 + 40] ^= 1;
    assert_eq!(Bolt::open("db", &damaged).unwrap().txid, newest - 1);
}

#[test]
fn a_tree_that_runs_in_a_circle_is_broken() {
    let mut bytes = DATABASES[1].1.to_vec();
    // Every page claims to be a branch whose first child is page 3.
    for page in (2 * 4096..bytes.len()).step_by(4096) {
        bytes[page + 8..page + 12].copy_from_slice(&[1, 0, 1, 0]);
        bytes[page + 24..page + 32].copy_from_slice(&3u64.to_le_bytes());
    }
    let bolt = Bolt::open("db", &bytes).unwrap();
    assert!(backend(&bolt, "db").unwrap_err().why.contains("no tree"));
}

#[test]
fn raft_boltdb_tells_log_term_and_vote() {
    let reading = raft_boltdb("raft.db", BOLTDB).unwrap();
    let entries = entries(&reading);
    assert_eq!(entries.keys().copied().collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let state = |event: &TraceEvent| matches!(event, TraceEvent::HardState { term, vote: Some(_) } if term.0 == 2);
    assert!(reading.events.iter().any(state));
}

fn segments() -> BTreeMap<String, Vec<u8>> {
    SEGMENTS.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

/// Reads raft-wal's files with one segment changed.
fn with_segment(number: usize, change: impl FnOnce(&mut Vec<u8>)) -> Result<Reading, Broken> {
    let mut segments = segments();
    change(segments.get_mut(SEGMENTS[number].0).expect("the segment"));
    raft_wal("wal-meta.db", WAL_META, &segments)
}

#[test]
fn raft_wal_tells_log_term_and_vote_over_all_segments() {
    let reading = raft_wal("wal-meta.db", WAL_META, &segments()).unwrap();
    assert_eq!(reading.torn, 0);
    let entries = entries(&reading);
    // A snapshot has replaced what stood before entry 6, and of that one only the place is known.
    assert!(entries.keys().copied().eq(7..=44), "{:?}", entries.keys());
    // The entries of term 2 from 30 on were removed, and their bytes still stand in a segment.
    assert_eq!((entries[&29].0, entries[&30].0), (2, 3));
    let state = TraceEvent::HardState { term: 3.into(), vote: Some("n2".into()) };
    assert!(reading.events.contains(&state), "{:?}", reading.events);
    let commands: std::collections::BTreeSet<_> = entries.values().map(|(_, hash)| hash).collect();
    assert_eq!(commands.len(), entries.len());
}

#[test]
fn raft_wal_may_be_torn_at_the_end_of_its_newest_segment_and_nowhere_else() {
    let whole = entries(&raft_wal("wal-meta.db", WAL_META, &segments()).unwrap());
    let newest = SEGMENTS[2].1;
    let written = newest.iter().rposition(|byte| *byte != 0).expect("bytes") + 1;
    let mut lengths = Vec::new();
    for length in 0..written {
        // Cut off, or never written: both stand for a write that did not end.
        let cut = with_segment(2, |bytes| bytes.truncate(length)).unwrap();
        let zeroed = with_segment(2, |bytes| bytes[length..].fill(0)).unwrap();
        assert_eq!(entries(&cut), entries(&zeroed));
        let kept = entries(&cut);
        assert!(kept.iter().all(|(index, entry)| whole[index] == *entry));
        assert!(kept.len() < whole.len() && kept.len() >= 23, "{}", kept.len());
        lengths.push((kept.len(), cut.torn > 0));
    }
    // Three batches of five: all or nothing of each, and the cut ones are named.
    lengths.dedup();
    assert_eq!(
        lengths,
        [(23, false), (23, true), (28, false), (28, true), (33, false), (33, true)]
    );
    let broken = with_segment(1, |bytes| bytes.truncate(500)).unwrap_err();
    assert!(broken.why.contains("closed at 29, and breaks off before it"), "{broken}");
}

#[test]
fn a_damaged_batch_of_raft_wal_is_no_torn_one() {
    // In the first of three batches, with whole ones behind it.
    let broken = with_segment(2, |bytes| bytes[60] ^= 1).unwrap_err();
    assert!(broken.why.contains("others follow it"), "{broken}");
    let broken = with_segment(0, |bytes| bytes[60] ^= 1).unwrap_err();
    assert!(broken.why.contains("breaks off before it"), "{broken}");
    // In the last one nobody can tell.
    let last = SEGMENTS[2].1.iter().rposition(|byte| *byte != 0).expect("bytes");
    assert!(with_segment(2, |bytes| bytes[last - 20] ^= 1).unwrap().torn > 0);
}

#[test]
fn raft_wal_s_list_and_its_segments_must_agree() {
    let other = SEGMENTS[1].1.to_vec();
    let broken = with_segment(2, |bytes| *bytes = other).unwrap_err();
    assert!(broken.why.contains("that of another segment"), "{broken}");
    let mut segments = segments();
    // A segment is put on the list before it is made.
    segments.remove(SEGMENTS[2].0);
    let reading = raft_wal("wal-meta.db", WAL_META, &segments).unwrap();
    assert!(entries(&reading).keys().copied().eq(7..=29));
    segments.remove(SEGMENTS[0].0);
    let broken = raft_wal("wal-meta.db", WAL_META, &segments).unwrap_err();
    assert!(broken.why.contains("is listed and not there"), "{broken}");
}

#[test]
fn a_data_directory_with_raft_wal_in_it_is_found() {
    for place in ["", "wal", "raft/wal"] {
        let data = tempfile::tempdir().expect("a directory can be made");
        let dir = data.path().join(place);
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        std::fs::write(dir.join("wal-meta.db"), WAL_META).expect("a file can be written");
        for (name, bytes) in SEGMENTS {
            std::fs::write(dir.join(name), bytes).expect("a file can be written");
        }
        // One that was removed from the list, and not yet from the directory.
        std::fs::write(dir.join("00000000000000000099-0000000000000009.wal"), b"stale")
            .expect("a file can be written");
        let reading = read(Layout::RaftWal, data.path()).unwrap();
        assert_eq!(entries(&reading).len(), 38, "{place}");
    }
    let error = read(Layout::RaftWal, Path::new("/nowhere")).unwrap_err();
    assert_eq!(error.to_string(), "failed to read /nowhere/wal/wal-meta.db");
}

#[test]
fn the_reference_s_log_tells_entries_and_votes() {
    let reading = squall_wal("raft.wal", SQUALL).unwrap();
    assert_eq!(reading.torn, 0);
    let entries = entries(&reading);
    assert!(entries.len() > 20 && *entries.keys().next().unwrap() == 1);
    let votes = |event: &TraceEvent| matches!(event, TraceEvent::HardState { vote: Some(_), .. });
    assert!(reading.events.iter().any(votes));
}

#[test]
fn the_reference_s_log_may_be_torn_at_its_end_and_nowhere_else() {
    assert!(squall_wal("raft.wal", &SQUALL[..SQUALL.len() - 3]).unwrap().torn > 0);
    let mut damaged = SQUALL.to_vec();
    damaged[40] ^= 1;
    let broken = squall_wal("raft.wal", &damaged).unwrap_err();
    assert!(broken.why.contains("others follow it"), "{broken}");
    let mut later = SQUALL.to_vec();
    later[8] = 2;
    let sum = crc32c::crc32c(&later[..12]).to_le_bytes();
    later[12..16].copy_from_slice(&sum);
    assert_eq!(squall_wal("raft.wal", &later).unwrap_err().why, "unknown version 2");
}

#[test]
fn a_directory_without_the_files_is_an_error_that_names_them() {
    let error = read(Layout::Squall, Path::new("/nowhere")).unwrap_err();
    assert_eq!(error.to_string(), "failed to read /nowhere/raft.wal");
}

/// Reads bytes as every format, which must end and must not panic.
fn read_as_all(bytes: &[u8]) {
    let _ = wal(bytes);
    let _ = squall_wal("raft.wal", bytes);
    let _ = raft_boltdb("raft.db", bytes);
    let _ = raft_wal("wal-meta.db", bytes, &segments());
    let _ = with_segment(2, |segment| *segment = bytes.to_vec());
    let _ = with_segment(0, |segment| *segment = bytes.to_vec());
    let _ = squall_command(1, bytes);
    let _ = Bolt::open("db", bytes).map(|bolt| backend(&bolt, "db"));
}

#[test]
fn no_byte_makes_a_reader_panic() {
    let logs = [WALS[0].1, WALS[1].1, DATABASES[1].1, BOLTDB, &SQUALL[..2000]];
    let fixtures = logs.into_iter().chain([WAL_META, SEGMENTS[0].1, SEGMENTS[2].1]);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for fixture in fixtures {
        for _ in 0..400 {
            let mut bytes = fixture.to_vec();
            for _ in 0..=next(6) {
                let at = next(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
            }
            bytes.truncate(if next(4) == 0 { next(bytes.len()) } else { bytes.len() });
            read_as_all(&bytes);
        }
    }
}

#[test]
fn no_number_of_etcd_s_records_makes_a_log_panic() {
    // Frames whose checksums are right, so that what they say reaches the log.
    fn varint(mut number: u64, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    fn message(fields: &[(u64, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, number) in fields {
            varint(field << 3, &mut out);
            varint(*number, &mut out);
        }
        out
    }
    let mut sum = 0;
    let mut file = Vec::new();
    let mut frame = |kind: u64, data: &[u8]| {
        sum = crc32c::crc32c_append(sum, data);
        let mut record = message(&[(1, kind), (2, u64::from(sum))]);
        record.push(3 << 3 | 2);
        varint(data.len() as u64, &mut record);
        record.extend_from_slice(data);
        file.extend_from_slice(&(record.len() as u64).to_le_bytes());
        file.extend_from_slice(&record);
    };
    frame(4, &[]);
    frame(5, &message(&[(1, u64::MAX), (2, u64::MAX)]));
    frame(3, &message(&[(1, u64::MAX), (2, 1), (3, u64::MAX)]));
    frame(2, &message(&[(2, u64::MAX), (3, 0)]));
    let broken = wal(&file).unwrap_err();
    assert_eq!(broken.why, "an entry with index 0");
}
