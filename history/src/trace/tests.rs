//! Every event survives the way through a file; what a killed node leaves behind is read; nothing panics.

use std::path::Path;

use super::*;

fn name(name: &str) -> NodeName {
    NodeName::from(name)
}

fn position(index: u64, term: u64) -> LogPosition {
    LogPosition { index, term: term.into() }
}

fn voters() -> Voters {
    Voters { voters: vec![name("n1"), name("n2")], learners: vec![name("n3")], old: Vec::new() }
}

/// One event of every kind, with every field, then those with fields left out.
fn every_event() -> Vec<TraceEvent> {
    let term = Epoch(3, 0);
    let last = position(7, 2);
    let digest = Some(EntryHash(0xdead));
    vec![
        TraceEvent::Boot {
            term,
            vote: Some(name("n2")),
            snapshot: position(4, 1),
            applied: 4,
            config: voters(),
        },
        TraceEvent::Boot {
            term: Epoch(0, 0),
            vote: None,
            snapshot: LogPosition::default(),
            applied: 0,
            config: Voters::default(),
        },
        TraceEvent::HardState { term, vote: Some(name("n1")) },
        TraceEvent::HardState { term: Epoch(3, 2), vote: None },
        TraceEvent::BecomePreCandidate { term, last },
        TraceEvent::BecomeCandidate { term, last },
        TraceEvent::BecomeLeader { term: Epoch(3, 1), last },
        TraceEvent::BecomeFollower { term, last },
        TraceEvent::Append {
            index: 8,
            term,
            prev_term: Epoch(2, 0),
            hashes: vec![EntryHash(1), EntryHash(u64::MAX)],
            recovered: true,
        },
        TraceEvent::Durable { upto: 9 },
        TraceEvent::Truncate { from: 8 },
        TraceEvent::Vote { to: name("n2"), term, prevote: true },
        TraceEvent::Vote { to: name("n2"), term, prevote: false },
        TraceEvent::Ack { to: name("n1"), index: 9, term, prev: 7, entries: 2 },
        TraceEvent::Commit { index: 9, term, by: Some(CommitBy::Count) },
        TraceEvent::Commit { index: 9, term, by: None },
        TraceEvent::Apply { index: 9, term, hash: EntryHash(5), digest },
        TraceEvent::Apply { index: 9, term, hash: EntryHash(5), digest: None },
        TraceEvent::Snapshot { index: 9, term, digest, config: voters() },
        TraceEvent::Install { index: 9, term, digest: None, config: Voters::default() },
        TraceEvent::Config { index: 9, at: "append".to_owned(), config: voters() },
        TraceEvent::ReadRequest { token: "3-19".to_owned() },
        TraceEvent::ReadIndex { token: "r\"1".to_owned(), index: 9, term, mode: None },
        TraceEvent::ReadIndex {
            token: "1".to_owned(),
            index: 9,
            term,
            mode: Some("lease".to_owned()),
        },
        TraceEvent::Note { text: "a line\nand another".to_owned() },
    ]
}

fn header() -> Header {
    Header {
        squall: FORMAT.to_owned(),
        node: name("n1"),
        boot: 3,
        write: Some("through".to_owned()),
        state: None,
        torn: None,
    }
}

fn file(header: &Header, lines: &[Line]) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(header).unwrap();
    bytes.push(b'\n');
    for line in lines {
        serde_json::to_writer(&mut bytes, line).unwrap();
        bytes.push(b'\n');
    }
    bytes
}

fn lines(events: Vec<TraceEvent>) -> Vec<Line> {
    let count = |(seq, event)| Line { seq: seq as u64, time: 10 + seq as u64, event };
    events.into_iter().enumerate().map(count).collect()
}

fn parse(bytes: &[u8]) -> Result<Trace, ReadError> {
    let mut reader = Reader::new(bytes, Path::new("trace/n1.3.jsonl"))?;
    let lines = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok(Trace { header: reader.header().clone(), lines, survey: reader.survey() })
}

#[test]
fn every_event_is_read_as_it_was_written() {
    let written = lines(every_event());
    let trace = parse(&file(&header(), &written)).unwrap();
    assert_eq!(trace.header, header());
    assert!(trace.is_complete(), "{:?}", trace.survey);
    let numbers: Vec<u32> = trace.lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (2..2 + written.len() as u32).collect::<Vec<_>>());
    let read: Vec<Line> = trace.lines.into_iter().map(|(_, line)| line).collect();
    assert_eq!(read, written);
}

#[test]
fn every_kind_of_event_is_known_by_its_name() {
    for event in every_event() {
        let json = serde_json::to_value(&event).unwrap();
        let kind = json["event"].as_str().unwrap().to_owned();
        assert!(flat::KINDS.contains(&&*kind), "{kind}");
        // The derived reading of the schema and the flat one agree.
        assert_eq!(serde_json::from_value::<TraceEvent>(json).unwrap(), event);
    }
}

#[test]
fn one_entry_may_be_appended_by_its_hash_alone() {
    let line =
        r#"{"seq":0,"time":1,"event":"append","index":1,"term":1,"prev_term":0,"hash":"2a"}"#;
    let line: Line = serde_json::from_str(line).unwrap();
    let TraceEvent::Append { hashes, .. } = line.event else { panic!("{line:?}") };
    assert_eq!(hashes, [EntryHash(42)]);
}

#[test]
fn a_torn_last_line_is_left_out_and_said() {
    let whole = file(&header(), &lines(every_event()));
    let trace = parse(&whole[..whole.len() - 5]).unwrap();
    assert_eq!(trace.lines.len(), every_event().len() - 1);
    assert_eq!(trace.survey.torn, Some(every_event().len() as u32 + 1));
    assert!(!trace.is_complete());
}

#[test]
fn a_last_line_that_lacks_only_its_end_is_whole() {
    let whole = file(&header(), &lines(every_event()));
    let trace = parse(&whole[..whole.len() - 1]).unwrap();
    assert_eq!(trace.lines.len(), every_event().len());
    assert!(trace.is_complete());
}

#[test]
fn a_boot_that_was_killed_before_its_first_word_is_named_by_its_file() {
    for bytes in [&b""[..], b"{\"squall\":\"tra"] {
        let trace = parse(bytes).unwrap();
        assert_eq!((trace.header.node, trace.header.boot), (name("n1"), 3));
        assert!(trace.lines.is_empty());
        assert!(!trace.survey.is_complete());
    }
}

#[test]
fn a_gap_in_the_numbers_is_found() {
    let mut written = lines(every_event());
    written.remove(4);
    let trace = parse(&file(&header(), &written)).unwrap();
    assert_eq!(trace.survey.missing, [Missing::Gap { line: 6, expected: 4, found: 5 }]);
}

#[test]
fn a_header_without_write_through_makes_no_promise() {
    let header = Header { write: None, ..header() };
    let trace = parse(&file(&header, &lines(every_event()))).unwrap();
    assert_eq!(trace.survey.missing, [Missing::Buffered]);
}

#[test]
fn events_of_unknown_kinds_are_counted_and_named() {
    let mut bytes = file(&header(), &[]);
    bytes.extend(b"{\"seq\":0,\"time\":1,\"event\":\"ponder\",\"index\":\"not a number\"}\n");
    bytes.extend(b"{\"seq\":1,\"time\":1,\"event\":\"ponder\"}\n");
    bytes.extend(b"{\"seq\":2,\"time\":1,\"event\":\"durable\",\"upto\":3}\n");
    let trace = parse(&bytes).unwrap();
    assert_eq!(trace.survey.unknown, [("ponder".to_owned(), 2)].into());
    assert_eq!(trace.lines.len(), 1);
    assert_eq!(trace.survey.missing, [Missing::Unknown { kinds: "ponder".to_owned() }]);
}

#[test]
fn an_unknown_version_is_refused_with_file_and_line() {
    let error = parse(b"{\"squall\":\"trace/2\",\"node\":\"n1\",\"boot\":0}\n").unwrap_err();
    assert!(error.to_string().starts_with("trace/n1.3.jsonl:1: expected"), "{error}");
}

#[test]
fn a_broken_line_in_the_middle_is_refused_with_file_and_line() {
    for (broken, why) in [
        (&b"{\"seq\":0,\"time\":1,\"event\":\"dur\n"[..], "EOF"),
        (b"{\"seq\":0,\"time\":1,\"event\":\"durable\"}\n", "missing field `upto`"),
        (b"{\"seq\":0,\"time\":1,\"event\":\"durable\",\"upto\":-1}\n", "-1"),
        (b"{\"seq\":0,\"time\":1,\"event\":\"become_leader\",\"term\":[1,2,3]}\n", "3"),
        (b"\xff\xfe\n", "expected value"),
    ] {
        let mut bytes = file(&header(), &[]);
        bytes.extend(broken);
        bytes.extend(b"{\"seq\":1,\"time\":1,\"event\":\"durable\",\"upto\":3}\n");
        let error = parse(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("trace/n1.3.jsonl:2: expected"), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn no_change_of_any_byte_makes_the_reader_panic() {
    let whole = file(&header(), &lines(every_event()));
    let mut read = 0;
    for at in 0..whole.len() {
        for byte in [b'\n', b'"', b'{', b'9', 0, 0xff, whole[at] ^ 1] {
            let mut mutant = whole.clone();
            mutant[at] = byte;
            read += u32::from(parse(&mutant).is_ok());
        }
        read += u32::from(parse(&whole[..at]).is_ok());
    }
    assert!(read > 0);
}

#[test]
fn a_deeply_nested_line_is_refused() {
    let mut bytes = file(&header(), &[]);
    bytes.extend(b"{\"seq\":0,\"time\":1,\"event\":\"durable\",\"upto\":");
    bytes.extend(vec![b'['; 100_000]);
    bytes.push(b'\n');
    assert!(parse(&bytes).is_err());
}
