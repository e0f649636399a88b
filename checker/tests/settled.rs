//! Doubt settled by the log: never against a system that told the truth, and against every lie about what it settled.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_checker::witness::{self, Settling};
use squall_checker::{Budget, ModelKind, Reading, Row, Verdict, brute, judge};
use squall_history::log::{Applied, Command, Entry, FORMAT, Header, Log, Positions};
use squall_history::{
    Event, F, History, Invoke, Nanos, Op, Operation, Outcome, Process, Request, Return, Value,
};

const KEYS: u64 = 2;
const CLIENTS: usize = 3;

/// What a client is about.
#[derive(Clone)]
enum Client {
    Idle,
    Asked(Op, Option<Request>),
    /// It took effect, with this outcome.
    Done(Op, Option<Request>, Outcome),
}

/// A correct system with a log, whose answers tell no positions, and whose clients often give up.
struct World {
    random: ChaCha8Rng,
    values: [Value; KEYS as usize],
    /// What is committed.
    entries: Vec<Entry>,
    /// What a leader proposed last, and nobody knows to be committed.
    tail: Vec<(Op, Option<Request>)>,
    /// What stands in another node's log alone.
    elsewhere: Vec<(Op, Option<Request>)>,
    events: Vec<Event>,
    clients: Vec<(Process, Client)>,
    /// Operations whose clients gave up, and that may still be proposed.
    given_up: Vec<(Op, Option<Request>)>,
    next: u64,
    unique: bool,
    requests: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (unique, requests) = (random.random_bool(0.5), random.random_bool(0.5));
        World {
            random,
            values: Default::default(),
            entries: Vec::new(),
            tail: Vec::new(),
            elsewhere: Vec::new(),
            events: Vec::new(),
            clients: (0..CLIENTS as u64).map(|n| (Process(n), Client::Idle)).collect(),
            given_up: Vec::new(),
            next: 10,
            unique,
            requests,
        }
    }

    fn run(mut self, steps: usize) -> World {
        for _ in 0..steps {
            match self.random.random_range(0..12) {
                0 => self.push(Command::Nothing),
                1 => self.late(),
                _ => self.step(),
            }
        }
        // What is left may be proposed yet, by a leader that nobody follows, or be lost.
        let left = std::mem::take(&mut self.given_up).into_iter();
        for (op, request) in left.filter(|(op, _)| !op.f.is_read()) {
            match self.random.random_range(0..4) {
                0 => self.tail.push((op, request)),
                1 => self.elsewhere.push((op, request)),
                _ => {}
            }
        }
        self
    }

    fn time(&self) -> Nanos {
        Nanos(self.events.len() as u64 * 1_000)
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn step(&mut self) {
        let at = self.random.random_range(0..CLIENTS);
        let (process, client) = self.clients[at].clone();
        self.clients[at] = match client {
            Client::Idle => (process, self.ask(process)),
            Client::Asked(op, request) => match self.random.random_range(0..10) {
                0..3 => {
                    self.given_up.push((op, request));
                    self.gives_up(process)
                }
                _ => {
                    let outcome = self.take_effect(&op, request);
                    (process, Client::Done(op, request, outcome))
                }
            },
            Client::Done(_, _, outcome) if self.random.random_bool(0.75) => {
                self.returns(process, outcome);
                (process, Client::Idle)
            }
            Client::Done(op, Some(request), outcome) if self.random.random_bool(0.5) => {
                // It is sent again, and answered as it was then.
                let (next, _) = self.gives_up(process);
                self.invoke(next, op.clone(), Some(request));
                self.push(Command::Op(op.clone(), Some(request)));
                (next, Client::Done(op, Some(request), outcome))
            }
            Client::Done(..) => self.gives_up(process),
        };
    }

    fn gives_up(&mut self, process: Process) -> (Process, Client) {
        self.returns(process, Outcome::Info { error: "timeout".into() });
        (Process(CLIENTS as u64 + self.fresh()), Client::Idle)
    }

    fn ask(&mut self, process: Process) -> Client {
        let at = self.random.random_range(0..KEYS);
        let key = at.to_string();
        let held = self.values[at as usize].clone();
        let value = match self.unique {
            true => Value::Int(self.fresh() as i64),
            false => Value::Int(self.random.random_range(0..3)),
        };
        let op = match self.random.random_range(0..4) {
            0 => Op::read(&*key),
            1 => Op::cas(&*key, self.random.random_range(0..3), value),
            2 => Op::cas(&*key, held, value),
            _ => Op::write(&*key, value),
        };
        let named = self.requests && !op.f.is_read();
        let request = named.then(|| Request { session: self.fresh(), sequence: 1 });
        self.invoke(process, op.clone(), request);
        Client::Asked(op, request)
    }

    fn invoke(&mut self, process: Process, op: Op, request: Option<Request>) {
        let time = self.time();
        self.events.push(Event::Invoke(Invoke { time, process, op, node: None, request }));
    }

    fn returns(&mut self, process: Process, outcome: Outcome) {
        let time = self.time();
        self.events.push(Event::Return(Return { time, process, outcome, pos: None }));
    }

    /// An operation whose client gave up takes effect all the same.
    fn late(&mut self) {
        if !self.given_up.is_empty() {
            let at = self.random.random_range(0..self.given_up.len());
            let (op, request) = self.given_up.swap_remove(at);
            self.take_effect(&op, request);
        }
    }

    fn push(&mut self, command: Command) {
        let index = self.entries.len() as u64 + 1;
        self.entries.push(Entry { index, term: 1, command });
    }

    fn take_effect(&mut self, op: &Op, request: Option<Request>) -> Outcome {
        let held = &mut self.values[index(op)];
        if op.f.is_read() {
            return Outcome::Ok(held.clone());
        }
        let seen = held.clone();
        let outcome = match (&op.f, op.value.as_pair()) {
            (F::Cas, Some((old, new))) if *old == seen => {
                *held = new.clone();
                Outcome::Ok(op.value.clone())
            }
            (F::Cas, _) => Outcome::Fail { error: "precondition".into(), seen: Some(seen) },
            _ => {
                *held = op.value.clone();
                Outcome::Ok(op.value.clone())
            }
        };
        self.push(Command::Op(op.clone(), request));
        outcome
    }

    /// The newest log, whose end may be uncommitted, and of which the files may say less than is true.
    fn log(&mut self) -> Log {
        let mut entries = self.entries.clone();
        let committed = entries.len() as u64;
        let committed = match self.random.random_range(0..4) {
            0 => self.random.random_range(0..=committed),
            _ => committed,
        };
        for (op, request) in &self.tail {
            let command = Command::Op(op.clone(), *request);
            entries.push(Entry { index: entries.len() as u64 + 1, term: 2, command });
        }
        let entry = |(n, (op, request)): (usize, &(Op, Option<Request>))| {
            let command = Command::Op(op.clone(), *request);
            (
                "n1".into(),
                Entry { index: self.entries.len() as u64 + 1 + n as u64, term: 1, command },
            )
        };
        let elsewhere = self.elsewhere.iter().enumerate().map(entry).collect();
        Log { header: Header { committed, ..header() }, entries, elsewhere }
    }

    fn history(&self) -> History {
        history(self.events.clone())
    }
}

fn index(op: &Op) -> usize {
    op.key.as_ref().expect("a key").to_string().parse().expect("a number")
}

fn header() -> Header {
    Header {
        squall: FORMAT.to_owned(),
        node: Some("n2".into()),
        positions: Positions::Index,
        committed: 0,
        applied: Vec::new(),
        lacks: Vec::new(),
        alive: Vec::new(),
        gone: Vec::new(),
        missing: Vec::new(),
    }
}

fn history(events: Vec<Event>) -> History {
    History::from_events(events).expect("a history")
}

fn verdict(history: &History) -> Verdict {
    judge(history, ModelKind::CasRegister, &Reading::default(), &Budget::unlimited()).verdict
}

/// What is said of the settled history, by the engines and by trying every order, which must agree.
fn settled_verdict(settling: &Settling<'_>) -> Verdict {
    let verdict = verdict(&settling.history);
    let orders = brute(&ModelKind::CasRegister, &settling.history, &Reading::default());
    assert_eq!(verdict != Verdict::Invalid, orders, "{:?}", settling.history);
    verdict
}

#[test]
fn a_system_that_told_the_truth_is_never_contradicted() {
    let (mut took, mut never, mut open) = (0, 0, 0);
    for seed in 0..6_000 {
        let mut world = World::new(seed).run(40);
        let (history, log) = (world.history(), world.log());
        let settling =
            witness::settle(&history, &log).unwrap_or_else(|why| panic!("{seed}: {why}"));
        assert_ne!(settled_verdict(&settling), Verdict::Invalid, "seed {seed}: {log:?}");
        took += settling.took_effect;
        never += settling.never;
        open += settling.open;
    }
    assert!(took > 1_000 && never > 1_000 && open > 1_000, "{took}, {never}, {open}");
}

/// Has the last read of its key that began after the operation return what that would have left. The black box has no
/// objection to that, as long as nobody looks behind.
fn read_of_what_it_left(history: &History, operation: &Operation) -> Option<History> {
    let left = operation.op.value.as_pair().map_or(&operation.op.value, |(_, new)| new);
    let operations = history.operations();
    let read = operations.iter().rfind(|read| {
        read.op.f.is_read()
            && read.op.key == operation.op.key
            && read.invoked > operation.invoked
            && matches!(read.outcome, Outcome::Ok(_))
    })?;
    let events = operations.iter().flat_map(|one| {
        let Operation { process, op, request, .. } = one.clone();
        let time = one.invoke_time;
        let invoke = Event::Invoke(Invoke { time, process, op, node: None, request });
        let outcome = match one.invoked == read.invoked {
            true => Outcome::Ok(left.clone()),
            false => one.outcome.clone(),
        };
        let ret =
            one.return_time.map(|time| Event::Return(Return { time, process, outcome, pos: None }));
        [Some(invoke), ret].into_iter().flatten()
    });
    let mut events: Vec<Event> = events.collect();
    events.sort_by_key(|event| match event {
        Event::Invoke(invoke) => invoke.time,
        Event::Return(ret) => ret.time,
    });
    Some(self::history(events))
}

#[test]
fn a_read_of_what_never_took_effect_is_refused_where_the_black_box_accepts_it() {
    let (mut refused, mut accepted) = (0, 0);
    for seed in 0..6_000 {
        let mut world = World::new(seed).run(40);
        if !world.unique {
            continue;
        }
        let (history, log) = (world.history(), world.log());
        let stands = |operation: &&Operation| {
            let elsewhere = log.elsewhere.iter().map(|(_, entry)| entry);
            log.entries
                .iter()
                .chain(elsewhere)
                .any(|entry| matches!(&entry.command, Command::Op(op, _) if *op == operation.op))
        };
        let absent = history.operations().iter().find(|one| {
            let in_doubt = matches!(one.outcome, Outcome::Info { .. });
            in_doubt && !one.op.f.is_read() && !stands(one)
        });
        let lie = absent.and_then(|absent| read_of_what_it_left(&history, absent));
        let Some(lie) = lie else { continue };
        let settling = witness::settle(&lie, &log).unwrap_or_else(|why| panic!("{seed}: {why}"));
        assert_eq!(settled_verdict(&settling), Verdict::Invalid, "seed {seed}: {settling:?}");
        refused += 1;
        accepted += u32::from(verdict(&lie) == Verdict::Valid);
    }
    assert!(
        refused > 200 && accepted > 50,
        "{refused} refused, {accepted} accepted by the black box"
    );
}

/// A process that asks at a time, and is answered at another, or never.
fn asks(events: &mut Vec<(u64, Event)>, process: u64, op: Op, from: u64, to: Result<u64, u64>) {
    ends(events, process, (op.clone(), None), from, to.map(|to| (to, op.value)));
}

fn ends(
    events: &mut Vec<(u64, Event)>,
    process: u64,
    (op, request): (Op, Option<Request>),
    from: u64,
    to: Result<(u64, Value), u64>,
) {
    let process = Process(process);
    let invoke = Invoke { time: Nanos(from), process, op, node: None, request };
    events.push((from, Event::Invoke(invoke)));
    let (at, outcome) = match to {
        Ok((at, value)) => (at, Outcome::Ok(value)),
        Err(at) => (at, Outcome::Info { error: "timeout".into() }),
    };
    events.push((at, Event::Return(Return { time: Nanos(at), process, outcome, pos: None })));
}

fn ordered(mut events: Vec<(u64, Event)>) -> History {
    events.sort_by_key(|(at, _)| *at);
    history(events.into_iter().map(|(_, event)| event).collect())
}

/// Write 1, acknowledged; write 2, in doubt; and a read of 2.
fn doubtful() -> History {
    let mut events = Vec::new();
    asks(&mut events, 0, Op::write("0", 1), 1, Ok(2));
    asks(&mut events, 1, Op::write("0", 2), 3, Err(4));
    ends(&mut events, 2, (Op::read("0"), None), 5, Ok((6, 2.into())));
    ordered(events)
}

fn log_of(ops: &[Op]) -> Log {
    let entry =
        |(index, op): (u64, &Op)| Entry { index, term: 1, command: Command::Op(op.clone(), None) };
    let entries: Vec<Entry> = (1..).zip(ops).map(entry).collect();
    let committed = entries.len() as u64;
    Log { header: Header { committed, ..header() }, entries, elsewhere: Vec::new() }
}

/// How many took effect, never did, and stay in doubt.
fn counts(history: &History, log: &Log) -> (u64, u64, u64) {
    let settling = witness::settle(history, log).expect("the log is a witness");
    (settling.took_effect, settling.never, settling.open)
}

fn rows(history: &History, log: &Log) -> Vec<Row> {
    let settling = witness::settle(history, log).expect("the log is a witness");
    let judged = |history: &History| {
        judge(history, ModelKind::CasRegister, &Reading::default(), &Budget::unlimited())
    };
    settling.rows(judged(&settling.history).rows("history.jsonl"), judged(history).verdict)
}

#[test]
fn what_is_in_no_log_never_took_effect_and_a_read_of_it_names_it() {
    let (history, log) = (doubtful(), log_of(&[Op::write("0", 1)]));
    assert_eq!(verdict(&history), Verdict::Valid);
    assert_eq!(counts(&history, &log), (0, 1, 0));
    let rows = rows(&history, &log);
    let [row] = &rows[..] else { panic!("one row: {rows:?}") };
    assert_eq!(row.verdict, Verdict::Invalid);
    assert!(row.summary.ends_with("; write 0 2 by process 1 is in no log"), "{}", row.summary);
    let last = row.evidence.last().expect("evidence");
    assert_eq!((last.file.as_str(), last.line), ("history.jsonl", 3));
}

#[test]
fn what_stands_and_is_committed_took_effect() {
    let log = log_of(&[Op::write("0", 1), Op::write("0", 2)]);
    assert_eq!(counts(&doubtful(), &log), (1, 0, 0));
    assert_eq!(rows(&doubtful(), &log)[0].verdict, Verdict::Valid);
}

#[test]
fn an_entry_at_the_end_that_may_not_be_committed_settles_nothing() {
    let mut log = log_of(&[Op::write("0", 1), Op::write("0", 2)]);
    log.header.committed = 1;
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
}

#[test]
fn an_entry_in_another_log_settles_nothing() {
    let mut log = log_of(&[Op::write("0", 1)]);
    let command = Command::Op(Op::write("0", 2), None);
    log.elsewhere = vec![("n1".into(), Entry { index: 2, term: 1, command })];
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
}

#[test]
fn nothing_is_absent_while_a_node_runs() {
    let mut log = log_of(&[Op::write("0", 1)]);
    log.header.alive = vec!["n1".into()];
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
    let mut log = log_of(&[Op::write("0", 1), Op::write("0", 2)]);
    log.header.alive = vec!["n1".into()];
    assert_eq!(counts(&doubtful(), &log), (1, 0, 0), "what is committed is");
}

#[test]
fn nothing_is_absent_where_a_disk_was_wiped() {
    let mut log = log_of(&[Op::write("0", 1)]);
    log.header.gone = vec!["n3: wiped at 4 s".to_owned()];
    let settling_of = doubtful();
    let settling = witness::settle(&settling_of, &log).expect("the log is a witness");
    assert_eq!((settling.never, settling.open), (0, 1));
    assert_eq!(settling.why_open.as_deref(), Some("not every disk was read: n3: wiped at 4 s"));
}

#[test]
fn nothing_is_absent_where_a_log_was_compacted() {
    let mut log = log_of(&[Op::write("0", 1)]);
    log.header.missing = vec!["n3: its log begins at 40".to_owned()];
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
}

#[test]
fn nothing_is_absent_where_an_entry_is_not_understood() {
    let unknown = |index| Entry { index, term: 1, command: Command::Unknown("a lease".to_owned()) };
    let mut log = log_of(&[Op::write("0", 1)]);
    log.entries.push(unknown(2));
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
    let mut log = log_of(&[Op::write("0", 1)]);
    log.elsewhere = vec![("n1".into(), unknown(2))];
    assert_eq!(counts(&doubtful(), &log), (0, 0, 1));
}

#[test]
fn where_a_log_was_not_read_only_what_files_call_committed_took_effect() {
    let mut log = log_of(&[Op::write("0", 1), Op::write("0", 2), Op::write("0", 3)]);
    let mut events = Vec::new();
    asks(&mut events, 1, Op::write("0", 2), 3, Err(4));
    asks(&mut events, 2, Op::write("0", 1), 1, Ok(2));
    let position = |pos| {
        let outcome = Outcome::Ok(3.into());
        Event::Return(Return { time: Nanos(8), process: Process(5), outcome, pos: Some(pos) })
    };
    let (time, process, op) = (Nanos(7), Process(5), Op::write("0", 3));
    events.push((7, Event::Invoke(Invoke { time, process, op, node: None, request: None })));
    events.push((8, position(3)));
    let history = ordered(events);
    log.header.committed = 1;
    assert_eq!(counts(&history, &log), (1, 0, 0), "a client was told of what stands behind it");
    log.header.missing = vec!["n3: gone".to_owned()];
    assert_eq!(counts(&history, &log), (0, 0, 1), "another log may be newer");
    log.header.committed = 2;
    assert_eq!(counts(&history, &log), (1, 0, 0));
}

#[test]
fn of_equal_writes_none_is_settled_alone() {
    let twice = |answered: bool| {
        let mut events = Vec::new();
        asks(&mut events, 0, Op::write("0", 2), 1, if answered { Ok(2) } else { Err(2) });
        asks(&mut events, 1, Op::write("0", 2), 3, Err(4));
        ordered(events)
    };
    let write = || Op::write("0", 2);
    assert_eq!(counts(&twice(false), &log_of(&[])), (0, 2, 0));
    assert_eq!(counts(&twice(false), &log_of(&[write()])), (0, 0, 2), "one of the two did");
    assert_eq!(counts(&twice(false), &log_of(&[write(), write()])), (2, 0, 0));
    assert_eq!(
        counts(&twice(true), &log_of(&[write()])),
        (0, 1, 0),
        "it is the one that was answered"
    );
    assert_eq!(counts(&twice(true), &log_of(&[write(), write()])), (1, 0, 0));
    assert_eq!(
        counts(&twice(true), &log_of(&[])),
        (0, 0, 1),
        "an answer is lost, and the log no proof"
    );
}

#[test]
fn an_equal_write_that_was_refused_leaves_the_other_in_doubt() {
    let mut events = Vec::new();
    asks(&mut events, 1, Op::write("0", 2), 3, Err(4));
    asks(&mut events, 0, Op::write("0", 2), 1, Ok(2));
    if let Event::Return(ret) = &mut events[3].1 {
        ret.outcome = Outcome::Fail { error: "not-leader".into(), seen: None };
    }
    let history = ordered(events);
    assert_eq!(counts(&history, &log_of(&[Op::write("0", 2)])), (0, 0, 1));
    assert_eq!(counts(&history, &log_of(&[])), (0, 1, 0));
}

#[test]
fn entries_are_matched_by_the_identity_of_the_request() {
    let request = |session| Some(Request { session, sequence: 1 });
    let write = Op::write("0", 2);
    let mut events = Vec::new();
    ends(&mut events, 0, (write.clone(), request(1)), 1, Err(2));
    ends(&mut events, 1, (write.clone(), request(2)), 3, Err(4));
    let both = ordered(events.clone());
    let mut log = log_of(std::slice::from_ref(&write));
    log.entries[0].command = Command::Op(write.clone(), request(2));
    assert_eq!(counts(&both, &log), (1, 1, 0), "the first never did, the second took effect");
    // One that bears no request can be nobody's, or anybody's.
    ends(&mut events, 2, (write.clone(), None), 5, Err(6));
    assert_eq!(counts(&ordered(events.clone()), &log), (1, 1, 1));
    let anonymous = Entry { index: 2, term: 1, command: Command::Op(write, None) };
    log.entries.push(anonymous);
    log.header.committed = 2;
    assert_eq!(counts(&ordered(events), &log), (0, 0, 3));
}

#[test]
fn a_request_that_was_sent_again_is_one_operation() {
    let (request, write) = (Some(Request { session: 1, sequence: 1 }), Op::write("0", 2));
    let attempts = |second: Result<(u64, Value), u64>| {
        let mut events = Vec::new();
        ends(&mut events, 0, (write.clone(), request), 1, Err(2));
        ends(&mut events, 1, (write.clone(), request), 3, second);
        ordered(events)
    };
    let mut log = log_of(&[write.clone(), write.clone()]);
    for entry in &mut log.entries {
        entry.command = Command::Op(write.clone(), request);
    }
    assert_eq!(counts(&attempts(Err(4)), &log), (1, 0, 0));
    assert_eq!(counts(&attempts(Ok((4, 2.into()))), &log), (0, 0, 0), "it was answered");
    log.entries.clear();
    log.header.committed = 0;
    assert_eq!(counts(&attempts(Err(4)), &log), (0, 1, 0));
}

/// Write 1; a cas from 1 to 2, in doubt; write 3; and a read.
fn cas_in_doubt(seen: i64) -> History {
    let mut events = Vec::new();
    asks(&mut events, 0, Op::write("0", 1), 1, Ok(2));
    asks(&mut events, 1, Op::cas("0", 1, 2), 3, Err(9));
    asks(&mut events, 2, Op::write("0", 3), 4, Ok(5));
    ends(&mut events, 3, (Op::read("0"), None), 6, Ok((7, seen.into())));
    ordered(events)
}

#[test]
fn a_cas_that_failed_in_the_log_changed_nothing() {
    let log = log_of(&[Op::write("0", 1), Op::write("0", 3), Op::cas("0", 1, 2)]);
    assert_eq!(counts(&cas_in_doubt(3), &log), (0, 1, 0));
    assert_eq!(rows(&cas_in_doubt(3), &log)[0].verdict, Verdict::Valid);
    let mut events = Vec::new();
    asks(&mut events, 0, Op::write("0", 1), 1, Ok(2));
    asks(&mut events, 1, Op::cas("0", 1, 2), 3, Err(9));
    asks(&mut events, 2, Op::write("0", 3), 4, Ok(8));
    ends(&mut events, 3, (Op::read("0"), None), 6, Ok((7, 2.into())));
    let history = ordered(events);
    assert_eq!(verdict(&history), Verdict::Valid, "it may have been first");
    assert_eq!(rows(&history, &log)[0].verdict, Verdict::Invalid);
}

#[test]
fn a_cas_that_succeeded_in_the_log_found_what_it_compared_with() {
    let log = log_of(&[Op::write("0", 1), Op::cas("0", 1, 2), Op::write("0", 3)]);
    assert_eq!(counts(&cas_in_doubt(3), &log), (1, 0, 0));
    assert_eq!(rows(&cas_in_doubt(3), &log)[0].verdict, Verdict::Valid);
    // Nobody could have found a 1 since it was asked for.
    let mut events = Vec::new();
    asks(&mut events, 0, Op::write("0", 1), 1, Ok(2));
    asks(&mut events, 2, Op::write("0", 3), 3, Ok(4));
    asks(&mut events, 1, Op::cas("0", 1, 2), 5, Err(6));
    let history = ordered(events);
    assert_eq!(verdict(&history), Verdict::Valid);
    let rows = rows(&history, &log);
    assert_eq!(rows[0].verdict, Verdict::Invalid);
    let told: Vec<&str> = rows[0].evidence.iter().map(|line| line.text.as_str()).collect();
    assert!(
        told.contains(&"cas 0 1→2 by process 1, which nobody answered, took effect"),
        "{told:?}"
    );
    assert!(told.contains(&"cas 0 1→2 stands at index 2"), "{told:?}");
}

#[test]
fn a_log_that_contradicts_what_clients_were_told_settles_nothing() {
    let mut events = Vec::new();
    asks(&mut events, 1, Op::write("0", 2), 3, Err(4));
    let (time, process, op) = (Nanos(5), Process(5), Op::write("0", 9));
    events.push((5, Event::Invoke(Invoke { time, process, op, node: None, request: None })));
    let outcome = Outcome::Ok(9.into());
    events.push((6, Event::Return(Return { time: Nanos(6), process, outcome, pos: Some(1) })));
    let why = witness::settle(&ordered(events), &log_of(&[Op::write("0", 1)])).err();
    let why = why.expect("it is no witness");
    assert!(why.starts_with("the log is no witness, as log-witness says: write 0 9"), "{why}");
}

#[test]
fn a_replay_that_no_state_machine_bears_out_settles_nothing() {
    let mut log = log_of(&[Op::write("0", 1)]);
    log.header.applied = vec![Applied { node: "n1".into(), index: 1, position: 9 }];
    assert!(witness::settle(&doubtful(), &log).is_err());
}

#[test]
fn without_a_log_nothing_is_settled() {
    let mut log = log_of(&[]);
    log.header.node = None;
    assert!(witness::settle(&doubtful(), &log).is_err());
}

#[test]
fn a_search_that_comes_to_no_end_takes_nothing_back_from_the_black_box() {
    let (history, log) = (doubtful(), log_of(&[Op::write("0", 1), Op::write("0", 2)]));
    let settling = witness::settle(&history, &log).expect("the log is a witness");
    let unknown =
        || Row::new(squall_history::Claim::Linearizable, Verdict::Unknown, "search", "late");
    let said = |black_box| settling.rows(vec![unknown()], black_box)[0].verdict;
    assert_eq!(said(Verdict::Valid), Verdict::NotJudged);
    assert_eq!(said(Verdict::Unknown), Verdict::Unknown);
}
