//! The history file against every cut, flip and oddity.

use super::*;
use crate::{Event, F, HistoryBuilder, Key, Nanos, NodeName, Op, Process, Reason, Request, Value};

/// Writes a history as the recorder does.
fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut open: Vec<&Invoke> = Vec::new();
    for event in events {
        match event {
            Event::Invoke(invoke) => {
                open.push(invoke);
                writer.invoke(invoke).unwrap();
            }
            Event::Return(ret) => {
                let at = open.iter().position(|invoke| invoke.process == ret.process).unwrap();
                writer.complete(open.remove(at), ret).unwrap();
            }
        }
    }
    writer.flush().unwrap();
    writer.out
}

fn invoke(process: u64, time: u64, op: Op) -> Event {
    let (node, request) = (Some("n1".into()), Some(Request { session: 3, sequence: time }));
    Event::Invoke(Invoke { time: Nanos(time), process: Process(process), op, node, request })
}

fn ret(process: u64, time: u64, outcome: Outcome) -> Event {
    let pos = matches!(outcome, Outcome::Ok(_)).then_some(118);
    Event::Return(Return { time: Nanos(time), process: Process(process), outcome, pos })
}

fn every_kind() -> Vec<Event> {
    let fail = |error: &str, seen| Outcome::Fail { error: error.into(), seen };
    vec![
        invoke(0, 1, Op::write("7", 5)),
        invoke(1, 2, Op::cas("7", 5, 6)),
        invoke(2, 3, Op::read("7")),
        ret(0, 4, Outcome::Ok(Value::Int(5))),
        ret(1, 4, fail("precondition", Some(Value::Nil))),
        ret(2, 5, fail("timeout", None)),
        invoke(0, 6, Op::append("list", "a \"quoted\" ünï\n")),
        invoke(1, 6, Op::of(F::Other("drain".into()), Value::Nil)),
        ret(0, 7, Outcome::Info { error: "reset: by \"peer\"".into() }),
        ret(1, 8, Outcome::Ok(Value::list([Value::Int(1), Value::list([Value::Nil])]))),
        invoke(3, u64::MAX, Op::write("7", Value::map([("a".into(), true.into())]))),
    ]
}

fn read_text(text: &str) -> Result<Read, ReadError> {
    read(text.as_bytes())
}

/// Reads lines behind a good header.
fn lines(lines: &str) -> Result<Read, ReadError> {
    read_text(&format!("{{\"squall\":\"history/1\"}}\n{lines}"))
}

fn told(text: &str) -> String {
    lines(text).unwrap_err().to_string()
}

const INVOKE: &str = r#"{"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}"#;
const OK: &str = r#"{"time":2,"process":0,"type":"ok","f":"write","key":"x","value":1}"#;

#[test]
fn every_kind_of_event_comes_back_as_it_was_written() {
    let events = every_kind();

    let read = read(&*written(&events)).unwrap();

    let mut expected = History::from_events(events).unwrap().operations().to_vec();
    // The file has a first line that is no event.
    for operation in &mut expected {
        operation.invoke_line += 1;
        operation.return_line += u32::from(operation.return_line > 0);
    }
    assert_eq!(read.history.operations(), expected);
    assert_eq!((read.history.events(), read.torn), (11, None));
}

#[test]
fn lines_look_as_the_documentation_says() {
    let op = Op::cas("7", 5, 6);
    let node = Some(NodeName::from("n1"));
    let asked = Invoke { time: Nanos(1), process: Process(3), op, node, request: None };
    let mut writer = Writer::new(Vec::new()).unwrap();
    let (error, seen) = (Reason::from("precondition"), Some(Value::Int(4)));
    let outcome = Outcome::Fail { error, seen };
    writer.invoke(&asked).unwrap();
    writer
        .complete(&asked, &Return { time: Nanos(2), process: Process(3), outcome, pos: Some(9) })
        .unwrap();

    let expected = r#"{"squall":"history/1"}
{"time":1,"process":3,"type":"invoke","f":"cas","key":"7","value":[5,6],"node":"n1"}
{"time":2,"process":3,"type":"fail","f":"cas","key":"7","value":[5,6],"node":"n1","pos":9,"error":"precondition","seen":4}
"#;
    assert_eq!(String::from_utf8(writer.out).unwrap(), expected);
}

#[test]
fn a_line_goes_out_in_one_write() {
    struct Writes(Vec<String>);
    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Writes(Vec::new())).unwrap();
    writer.out.0.clear();
    let Event::Invoke(asked) = invoke(0, 1, Op::cas("7", 5, 6)) else { unreachable!() };

    writer.invoke(&asked).unwrap();

    assert_eq!(writer.out.0.len(), 1);
    assert!(writer.out.0[0].ends_with("}\n"));
}

#[test]
fn a_torn_last_line_is_left_out_wherever_it_was_cut() {
    let whole = format!("{INVOKE}\n");
    for cut in 1..OK.len() {
        let read = lines(&format!("{whole}{}", &OK[..cut])).unwrap();
        assert_eq!(read.torn, Some(3), "cut behind {cut} bytes");
        assert_eq!(read.history.events(), 1);
    }
}

#[test]
fn a_last_line_that_only_lacks_its_end_is_read() {
    let read = lines(&format!("{INVOKE}\n{OK}")).unwrap();

    assert_eq!((read.torn, read.history.events()), (None, 2));
}

#[test]
fn a_last_line_that_is_whole_but_wrong_is_not_torn() {
    let wrong = r#"{"time":2,"process":0,"type":"info","f":"write","key":"x","value":1}"#;

    assert!(told(&format!("{INVOKE}\n{wrong}")).ends_with("missing field `error`"));
}

#[test]
fn a_torn_line_in_the_middle_is_refused() {
    let error = told(&format!("{INVOKE}\n{}\n{OK}\n", &OK[..40]));

    assert!(error.starts_with("line 3: expected an event such as {\"time\":1,"), "{error}");
    assert!(error.ends_with("EOF while parsing a string (column 40)"), "{error}");
}

#[test]
fn an_empty_line_is_refused() {
    assert!(told(&format!("{INVOKE}\n\n{OK}\n")).starts_with("line 3: expected an event"));
}

#[test]
fn an_unknown_version_is_refused() {
    let told = |text: &str| read_text(text).unwrap_err().to_string();

    let expected = r#"line 1: expected {"squall":"history/1"}, found "#;
    assert_eq!(
        told("{\"squall\":\"history/2\"}\n"),
        format!("{expected}{:?}", r#"{"squall":"history/2"}"#)
    );
    assert_eq!(told(""), format!("{expected}\"\""));
    assert_eq!(told(OK), format!("{expected}{OK:?}"));
    assert!(read(&b"\xff\xfe\n"[..]).unwrap_err().to_string().starts_with(expected));
}

#[test]
fn a_history_without_events_is_empty() {
    let read = lines("").unwrap();

    assert_eq!((read.history.operations().len(), read.torn), (0, None));
}

#[test]
fn an_unknown_type_is_told_with_the_known_ones() {
    let error = told(&INVOKE.replace("invoke", "begin"));
    // The last line has no end, but it is whole.
    assert!(
        error.contains("unknown variant `begin`, expected one of `invoke`, `ok`, `fail`, `info`")
    );
    assert!(error.starts_with("line 2: "));
}

#[test]
fn what_is_not_utf_8_is_told_with_line_and_byte() {
    let mut file = b"{\"squall\":\"history/1\"}\n".to_vec();
    file.extend_from_slice(&INVOKE.replace('x', "\u{1}").into_bytes());
    let at = file.iter().position(|byte| *byte == 1).unwrap();
    file[at] = 0xff;
    file.push(b'\n');

    let error = read(&*file).unwrap_err().to_string();

    assert!(error.starts_with("line 2: ") && error.ends_with("byte 58 is not UTF-8"), "{error}");
}

#[test]
fn values_that_are_nested_too_deep_are_refused() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);

    let error = told(&(INVOKE.replace("\"value\":1", &format!("\"value\":{deep}")) + "\n"));

    assert!(error.contains("line 2: ") && error.contains("recursion limit exceeded"), "{error}");
}

#[test]
fn a_line_without_an_end_does_not_fill_the_memory() {
    /// Spaces for ever.
    struct Endless;
    impl io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            into.fill(b' ');
            Ok(into.len())
        }
    }

    let error = read(io::BufReader::with_capacity(1 << 20, Endless)).unwrap_err().to_string();

    assert!(error.starts_with("line 1: ") && error.ends_with("longer than 64 MiB"), "{error}");
}

#[test]
fn a_return_of_another_operation_is_told_with_both() {
    let other_function = OK.replace("write", "read");
    let other_key = OK.replace("\"x\"", "\"y\"");
    let no_key = OK.replace("\"key\":\"x\",", "");

    assert_eq!(
        told(&format!("{INVOKE}\n{other_function}\n")),
        "line 3: process 0 returns from `read x`, but its open operation is `write x` of line 2"
    );
    assert_eq!(
        told(&format!("{INVOKE}\n{other_key}\n")),
        "line 3: process 0 returns from `write y`, but its open operation is `write x` of line 2"
    );
    assert_eq!(lines(&format!("{INVOKE}\n{no_key}\n")).unwrap().history.events(), 2);
}

#[test]
fn the_laws_of_a_history_are_told_with_the_lines_of_the_file() {
    let again = told(&format!("{INVOKE}\n{INVOKE}\n"));
    let back = told(&format!("{OK}\n"));

    assert!(again.starts_with("line 3: process 0 invokes while its operation of line 2 is open"));
    assert!(back.starts_with("line 2: process 0 returns, but has no open operation"), "{back}");
}

#[test]
fn fields_may_stand_in_any_order_and_unknown_ones_are_left_alone() {
    let loose = r#" { "f":"write", "later":[1,{"a":2}], "key":"x", "value":1,
"#
    .replace('\n', "")
        + r#""type":"invoke", "process":0, "time":1 } "#;

    let fast = lines(&format!("{INVOKE}\n{OK}\n")).unwrap();
    let slow = lines(&format!("{loose}\r\n{OK}\r\n")).unwrap();

    assert_eq!(slow.history, fast.history);
}

#[test]
fn a_line_may_be_split_anywhere_by_the_reader() {
    let file = written(&every_kind());
    let whole = read(&*file).unwrap().history;

    for size in 1..64 {
        let pieces = io::BufReader::with_capacity(size, &*file);
        assert_eq!(read(pieces).unwrap().history, whole, "in pieces of {size} bytes");
    }
}

#[test]
fn equal_names_and_values_are_held_once() {
    let cas =
        r#"{"time":1,"process":0,"type":"invoke","f":"cas","key":"x","value":[1,2],"node":"n1"}"#;
    let ok = cas.replace("invoke", "ok");

    let history = lines(&format!("{cas}\n{ok}\n{cas}\n{ok}\n")).unwrap().history;

    let [first, second] = history.operations() else { panic!("two operations") };
    let text = |key: &Option<Key>| key.as_ref().unwrap().0.as_ptr();
    assert_eq!(text(&first.op.key), text(&second.op.key));
    let list = |value: &Value| value.as_list().unwrap().as_ptr();
    let Outcome::Ok(returned) = &first.outcome else { panic!("an ok") };
    assert_eq!(list(&first.op.value), list(returned));
}

#[test]
fn the_builder_and_the_file_tell_the_same_history() {
    let mut history = HistoryBuilder::new();
    let write = history.invoke(0, Op::write("x", 1));
    history.at(Nanos(2)).ok(write, 1);

    let operation = history.build().unwrap().operations()[0].clone();

    let read = lines(&format!("{INVOKE}\n{OK}\n")).unwrap().history.operations()[0].clone();
    assert_eq!(read.op, operation.op);
    assert_eq!((read.invoked, read.returned), (operation.invoked, operation.returned));
}

mod against_serde {
    use super::*;
    use crate::jsonl::scan::Reader;
    use proptest::prelude::*;

    /// Reads a file by serde alone.
    fn by_serde(file: &[u8]) -> Result<Read, ReadError> {
        let mut reader = Reader::by_serde_alone();
        let mut rest = file;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            reader.line(&rest[..end])?;
            rest = &rest[end + 1..];
        }
        reader.end(rest)
    }

    fn same(file: &[u8]) -> Result<(), TestCaseError> {
        let tell = |read: Result<Read, ReadError>| match read {
            Ok(read) => Ok((read.history, read.torn)),
            Err(error) => Err(error.to_string()),
        };
        prop_assert_eq!(tell(read(file)), tell(by_serde(file)));
        Ok(())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (0..5_i64).prop_map(Value::Int),
            (i64::MAX as u64 + 1..).prop_map(|number| Value::Number(number.to_string().into())),
            "[ -~]{0,6}".prop_map(Value::text),
            any::<String>().prop_map(Value::text),
        ];
        leaf.prop_recursive(3, 8, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
                proptest::collection::vec((any::<String>().prop_map(Value::text), inner), 0..3)
                    .prop_map(Value::map),
            ]
        })
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof![Just("x".to_owned()), Just("precondition".to_owned()), any::<String>()]
    }

    /// One operation and how it ended.
    fn operation() -> impl Strategy<Value = (Op, Option<Outcome>, bool, Option<u64>)> {
        let f = prop_oneof![Just("read"), Just("write"), Just("cas"), Just("drain")];
        let op = (f, proptest::option::of(word()), value()).prop_map(|(f, key, value)| Op {
            f: F::from_name(f),
            key: key.map(|key| Key(key.into())),
            value,
        });
        let outcome = prop_oneof![
            value().prop_map(Outcome::Ok),
            (word(), proptest::option::of(value()))
                .prop_map(|(error, seen)| Outcome::Fail { error: (&*error).into(), seen }),
            word().prop_map(|error| Outcome::Info { error: (&*error).into() }),
        ];
        (op, proptest::option::of(outcome), any::<bool>(), any::<Option<u64>>())
    }

    fn history() -> impl Strategy<Value = Vec<Event>> {
        proptest::collection::vec(operation(), 1..6).prop_map(|operations| {
            let mut events = Vec::new();
            for (n, (op, outcome, named, pos)) in (0..).zip(operations) {
                let (time, process) = (Nanos(n * 1_000_000), Process(n));
                let request = named.then_some(Request { session: n, sequence: 1 });
                let node = named.then(|| NodeName::from("n1"));
                events.push(Event::Invoke(Invoke { time, process, op, node, request }));
                if let Some(outcome) = outcome {
                    events.push(Event::Return(Return { time, process, outcome, pos }));
                }
            }
            events
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn whatever_is_written_is_read_back_and_serde_agrees(events in history()) {
            let file = written(&events);
            same(&file)?;
            let read = read(&*file).unwrap();
            let expected = History::from_events(events).unwrap();
            prop_assert_eq!(read.history.operations().len(), expected.operations().len());
            for (read, expected) in read.history.operations().iter().zip(expected.operations()) {
                prop_assert_eq!(&read.op, &expected.op);
                prop_assert_eq!(&read.outcome, &expected.outcome);
                prop_assert_eq!(&read.node, &expected.node);
                prop_assert_eq!((read.request, read.pos), (expected.request, expected.pos));
            }
        }

        #[test]
        fn serde_agrees_on_every_mutated_file(
            events in history(),
            mutations in proptest::collection::vec((any::<prop::sample::Index>(), mutation()), 1..4),
        ) {
            let mut file = written(&events);
            for (at, mutation) in mutations {
                mutation.apply(&mut file, at);
            }
            same(&file)?;
        }
    }

    #[derive(Clone, Debug)]
    enum Mutation {
        Replace(u8),
        Insert(u8),
        Remove,
        Cut,
    }

    impl Mutation {
        fn apply(&self, file: &mut Vec<u8>, at: prop::sample::Index) {
            if file.is_empty() {
                return;
            }
            let at = at.index(file.len());
            match self {
                Mutation::Replace(byte) => file[at] = *byte,
                Mutation::Insert(byte) => file.insert(at, *byte),
                Mutation::Remove => drop(file.remove(at)),
                Mutation::Cut => file.truncate(at),
            }
        }
    }

    fn mutation() -> impl Strategy<Value = Mutation> {
        // Bytes that mean something are drawn more often than the others.
        let telling = prop::sample::select(&b"0123456789-+.eE\"\\,:{}[]\n\r nulltrue/x"[..]);
        let byte = prop_oneof![3 => telling, 1 => any::<u8>()];
        prop_oneof![
            4 => byte.clone().prop_map(Mutation::Replace),
            4 => byte.prop_map(Mutation::Insert),
            3 => Just(Mutation::Remove),
            1 => Just(Mutation::Cut),
        ]
    }
}
