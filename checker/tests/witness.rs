//! The log as witness: it bears out what a correct system told its clients, and whatever is planted is found.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_checker::{Budget, ModelKind, Reading, Row, Verdict, judge, witness};
use squall_history::log::{Applied, Command, Entry, FORMAT, Header, Lacking, Log, Positions};
use squall_history::{
    Event, F, History, Invoke, Key, Nanos, Op, Outcome, Process, Reason, Request, Return, Value,
};

const KEYS: u64 = 3;
const CLIENTS: u64 = 4;

/// What a client is about: nothing, an operation that may still take effect, or one that did, with its answer.
enum Client {
    Idle,
    Asked(Op, Option<Request>),
    Answered(Op, Option<Request>, Outcome, u64),
}

/// A correct system with a log: changes take effect one behind the other, each while its client waits or later.
struct World {
    random: ChaCha8Rng,
    positions: Positions,
    entries: Vec<Entry>,
    values: [Value; KEYS as usize],
    revision: u64,
    events: Vec<Event>,
    clients: Vec<(Process, Client)>,
    /// Operations whose clients gave up; they may still take effect.
    given_up: Vec<(Op, Option<Request>)>,
    next: u64,
    appends: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let positions = [Positions::Index, Positions::Revision][random.random_range(0..2)];
        let appends = positions == Positions::Index && random.random_bool(0.5);
        World {
            random,
            positions,
            entries: Vec::new(),
            values: Default::default(),
            revision: 1,
            events: Vec::new(),
            clients: (0..CLIENTS).map(|n| (Process(n), Client::Idle)).collect(),
            given_up: Vec::new(),
            next: 0,
            appends,
        }
    }

    fn run(mut self, steps: usize) -> World {
        for _ in 0..steps {
            match self.random.random_range(0..20) {
                0 => self.push(Command::Nothing),
                1 => self.late(),
                _ => self.step(),
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
        let at = self.random.random_range(0..self.clients.len());
        let (process, client) =
            std::mem::replace(&mut self.clients[at], (Process(0), Client::Idle));
        self.clients[at] = match client {
            Client::Idle => (process, self.ask(process)),
            Client::Asked(op, request) => match self.random.random_range(0..10) {
                0 => {
                    self.returns(process, Outcome::Info { error: "timeout".into() }, None);
                    self.given_up.push((op, request));
                    (Process(CLIENTS + self.fresh()), Client::Idle)
                }
                1 if !op.f.is_read() => {
                    let error = Reason::from("not-leader");
                    self.returns(process, Outcome::Fail { error, seen: None }, None);
                    (process, Client::Idle)
                }
                _ => {
                    let (outcome, pos) = self.take_effect(&op, request);
                    (process, Client::Answered(op, request, outcome, pos))
                }
            },
            Client::Answered(op, request, outcome, pos) => {
                if self.random.random_range(0..15) > 0 {
                    self.returns(process, outcome, Some(pos));
                    (process, Client::Idle)
                } else {
                    self.returns(process, Outcome::Info { error: "reset".into() }, None);
                    let next = Process(CLIENTS + self.fresh());
                    // A doubtful append is sent again under its request, and answered as it was then.
                    match request {
                        Some(_) => {
                            self.invoke(next, op.clone(), request);
                            if self.random.random_bool(0.5) {
                                self.push(Command::Op(op.clone(), request));
                            }
                            (next, Client::Answered(op, request, outcome, pos))
                        }
                        None => (next, Client::Idle),
                    }
                }
            }
        };
    }

    fn ask(&mut self, process: Process) -> Client {
        let key = Key::from(self.random.random_range(0..KEYS).to_string().as_str());
        let unique = Value::Int(self.fresh() as i64);
        let held = self.values[index(&key)].clone();
        let op = match self.random.random_range(0..3) {
            0 => Op::read(key),
            _ if self.appends => Op::append(key, unique),
            1 => Op::write(key, unique),
            _ if self.random.random_bool(0.2) => Op::cas(key, Value::Int(-1), unique),
            _ => Op::cas(key, held, unique),
        };
        let sequence = 1;
        let request = (op.f == F::Append).then(|| Request { session: self.fresh(), sequence });
        self.invoke(process, op.clone(), request);
        Client::Asked(op, request)
    }

    fn invoke(&mut self, process: Process, op: Op, request: Option<Request>) {
        let time = self.time();
        self.events.push(Event::Invoke(Invoke { time, process, op, node: None, request }));
    }

    fn returns(&mut self, process: Process, outcome: Outcome, pos: Option<u64>) {
        let time = self.time();
        self.events.push(Event::Return(Return { time, process, outcome, pos }));
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

    fn take_effect(&mut self, op: &Op, request: Option<Request>) -> (Outcome, u64) {
        let held = &mut self.values[index(op.key.as_ref().expect("a key"))];
        if op.f == F::Read {
            let seen = held.clone();
            return (Outcome::Ok(seen), self.position());
        }
        let seen = held.clone();
        let changed = match (&op.f, op.value.as_pair()) {
            (F::Cas, Some((old, new))) if *old == seen => Some(new.clone()),
            (F::Cas, _) => None,
            (F::Append, _) => {
                let items = seen.as_list().unwrap_or_default().iter().cloned();
                Some(Value::list(items.chain([op.value.clone()])))
            }
            _ => Some(op.value.clone()),
        };
        self.revision += u64::from(changed.is_some());
        let outcome = match changed {
            Some(value) => {
                *held = value;
                Outcome::Ok(op.value.clone())
            }
            None => Outcome::Fail { error: "precondition".into(), seen: Some(seen) },
        };
        self.push(Command::Op(op.clone(), request));
        (outcome, self.position())
    }

    /// A last change, so that all before it are certainly committed.
    fn acknowledge_one_more(&mut self) {
        let (process, op) = (Process(1_000_000), Op::write("0", -7));
        self.invoke(process, op.clone(), None);
        let (outcome, pos) = self.take_effect(&op, None);
        self.returns(process, outcome, Some(pos));
    }

    fn position(&self) -> u64 {
        match self.positions {
            Positions::Index => self.entries.len() as u64,
            Positions::Revision => self.revision,
        }
    }

    fn log(&self) -> Log {
        let (node, index) = ("n2".into(), self.entries.len() as u64);
        let applied = Applied { node, index, position: self.revision };
        let applied = Some(applied).filter(|_| self.positions == Positions::Revision);
        let applied = applied.into_iter().collect();
        let header = Header {
            squall: FORMAT.to_owned(),
            node: Some("n2".into()),
            positions: self.positions,
            committed: 0,
            applied,
            lacks: Vec::new(),
            alive: Vec::new(),
            gone: Vec::new(),
            missing: Vec::new(),
        };
        Log { header, entries: self.entries.clone(), elsewhere: Vec::new() }
    }

    fn history(&self) -> History {
        History::from_events(self.events.clone()).expect("a history")
    }
}

fn index(key: &Key) -> usize {
    key.to_string().parse().expect("a number")
}

fn worlds() -> impl Iterator<Item = (u64, World)> {
    (0..400).map(|seed| (seed, World::new(seed).run(150)))
}

fn judged(world: &World, log: &Log) -> Row {
    witness::judge(&world.history(), log)
}

/// Numbers the entries anew, as they would stand in a file. What the state machine says of itself is left out, so that
/// the clients alone contradict the log.
fn renumbered(mut log: Log) -> Log {
    for (entry, index) in log.entries.iter_mut().zip(1..) {
        entry.index = index;
    }
    log.header.applied.clear();
    log
}

/// Returns the acknowledged changes of a history, each with its place in the log.
fn acknowledged(world: &World) -> Vec<usize> {
    let history = world.history();
    let acknowledged = history.operations().iter().filter(|operation| {
        matches!(operation.outcome, Outcome::Ok(_)) && !operation.op.f.is_read()
    });
    let mut places: Vec<usize> = acknowledged
        .map(|operation| {
            let is =
                |entry: &Entry| matches!(&entry.command, Command::Op(op, _) if *op == operation.op);
            world.entries.iter().position(is).expect("it took effect")
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Plants something in the log of each world that allows it, and returns the rows.
fn planted(plant: impl Fn(&World, &mut Log, &mut dyn Rng) -> Option<()>) -> Vec<(u64, Row)> {
    let rows = worlds().filter_map(|(seed, world)| {
        let (mut log, mut random) = (world.log(), ChaCha8Rng::seed_from_u64(seed));
        plant(&world, &mut log, &mut random)?;
        Some((seed, judged(&world, &renumbered(log))))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 100, "{} worlds allow it", rows.len());
    rows
}

#[test]
fn the_log_of_a_correct_system_gives_every_answer() {
    let (mut took, mut never) = (0.0, 0.0);
    for (seed, world) in worlds() {
        let row = judged(&world, &world.log());
        assert_eq!(row.verdict, Verdict::Valid, "seed {seed}: {row:?}");
        took += row.figures["in doubt, took effect"];
        never += row.figures["in doubt, never did"];
    }
    assert!(took > 100.0 && never > 100.0, "{took} took effect, {never} never did");
}

#[test]
fn the_order_of_a_correct_system_stands_with_the_doubt_that_its_log_settles() {
    let (mut settled, mut lists) = (0, 0);
    for (seed, world) in worlds() {
        let (history, log) = (world.history(), world.log());
        let settling =
            witness::settle(&history, &log).unwrap_or_else(|why| panic!("{seed}: {why}"));
        let model = if world.appends { ModelKind::ListAppend } else { ModelKind::CasRegister };
        let judged = |history| judge(history, model, &Reading::default(), &Budget::unlimited());
        assert_eq!(judged(&settling.history).verdict, Verdict::Valid, "seed {seed}");
        settled += settling.settled();
        lists += u32::from(world.appends && settling.settled() > 0);
    }
    assert!(settled > 400 && lists > 50, "{settled} settled, in {lists} worlds of lists");
}

#[test]
fn an_acknowledged_change_that_no_log_holds_is_lost() {
    let rows = planted(|world, log, random| {
        let places = acknowledged(world);
        let place = *places.get(random.random_range(0..places.len().max(1)))?;
        // A list whose request is repeated is put together again from the second entry.
        let (Command::Op(_, request), again) =
            (&log.entries[place].command, &log.entries[place + 1..])
        else {
            return None;
        };
        let repeated = again.iter().any(|entry| {
            matches!(&entry.command, Command::Op(_, other) if request.is_some() && other == request)
        });
        if repeated {
            return None;
        }
        log.entries.remove(place);
        Some(())
    });
    for (seed, row) in rows {
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
        assert!(row.evidence.iter().any(|line| line.file == "history.jsonl"), "{row:?}");
    }
}

#[test]
fn what_is_missing_proves_nothing_where_a_log_was_not_read() {
    let rows = planted(|world, log, _| {
        let place = *acknowledged(world).last()?;
        log.entries.truncate(place);
        log.header.missing.push("n3: gone".to_owned());
        Some(())
    });
    for (seed, row) in rows {
        assert_eq!(row.verdict, Verdict::Unknown, "seed {seed}: {row:?}");
        assert!(row.summary.ends_with("but not every log was read: n3: gone"), "{}", row.summary);
    }
}

#[test]
fn what_is_committed_is_certain_even_where_a_log_was_not_read() {
    let rows = planted(|world, log, _| {
        let place = *acknowledged(world).first()?;
        log.entries[place].command = Command::Nothing;
        log.header.committed = log.entries.len() as u64;
        log.header.missing.push("n3: gone".to_owned());
        Some(())
    });
    let found = rows.iter().filter(|(_, row)| row.verdict == Verdict::Invalid).count();
    // Where the last change is gone, nothing stands at its revision.
    assert!(rows.iter().all(|(_, row)| row.verdict >= Verdict::Unknown), "{rows:?}");
    assert!(found * 10 > rows.len() * 9, "{found} of {}", rows.len());
}

#[test]
fn two_acknowledged_changes_that_stand_the_other_way_round_are_found() {
    let rows = planted(|world, log, random| {
        let places = acknowledged(world);
        let pair = random.random_range(0..places.len().checked_sub(1)?.max(1));
        log.entries.swap(*places.get(pair)?, *places.get(pair + 1)?);
        Some(())
    });
    for (seed, row) in rows {
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
    }
}

#[test]
fn a_change_that_took_effect_twice_is_found() {
    let mut tried = 0;
    for (seed, mut world) in worlds() {
        let history = world.history();
        let acknowledged = history.operations().iter().find(|operation| {
            matches!(operation.outcome, Outcome::Ok(_)) && operation.op.f == F::Write
        });
        let Some(acknowledged) = acknowledged else { continue };
        world.take_effect(&acknowledged.op, None);
        world.acknowledge_one_more();
        let row = judged(&world, &world.log());
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
        assert!(row.summary.contains("was asked for once, and is committed at index"), "{row:?}");
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_change_that_stands_twice_and_took_effect_once_is_found() {
    let rows = planted(|world, log, random| {
        let places = acknowledged(world);
        let (last, places) = places.split_last()?;
        let place = *places.get(random.random_range(0..places.len().max(1)))?;
        let again = log.entries[place].clone();
        match &again.command {
            // A cas that compares with what is gone, and a request that is repeated, change nothing.
            Command::Op(Op { f: F::Cas, .. }, _) | Command::Op(_, Some(_)) => return None,
            _ => log.entries.insert(*last, again),
        }
        Some(())
    });
    for (seed, row) in rows {
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
    }
}

#[test]
fn a_change_that_was_refused_and_is_committed_is_found() {
    let mut tried = 0;
    for (seed, mut world) in worlds() {
        let history = world.history();
        let refused = history.operations().iter().find(|operation| {
            matches!(&operation.outcome, Outcome::Fail { error, .. } if !error.is_precondition())
                && operation.op.f != F::Cas
        });
        let Some(refused) = refused else { continue };
        // It takes effect after all, and somebody is acknowledged behind it.
        world.take_effect(&refused.op, refused.request);
        world.acknowledge_one_more();
        let row = judged(&world, &world.log());
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
        assert!(row.summary.contains("was refused (not-leader), and is committed"), "{row:?}");
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_read_that_saw_something_else_is_found() {
    let mut tried = 0;
    for (seed, mut world) in worlds() {
        let history = world.history();
        let is_read = |operation: &&squall_history::Operation| {
            operation.op.f.is_read() && matches!(operation.outcome, Outcome::Ok(_))
        };
        let Some(read) = history.operations().iter().rfind(is_read) else { continue };
        if let Event::Return(read) = &mut world.events[read.return_line as usize - 1] {
            read.outcome = Outcome::Ok(Value::Int(-3));
        }
        let row = judged(&world, &world.log());
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
        assert!(row.summary.contains("saw -3 at position"), "{}", row.summary);
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn behind_an_entry_that_is_not_understood_nothing_is_judged() {
    for (seed, world) in worlds() {
        let mut log = world.log();
        log.entries
            .insert(0, Entry { index: 1, term: 1, command: Command::Unknown("a lease".into()) });
        let row = judged(&world, &renumbered(log));
        // Reads of what was there before the first entry are judged.
        assert!(row.verdict <= Verdict::Valid, "seed {seed}: {row:?}");
        assert_eq!(row.figures["changes"], 0.0);
        assert!(
            row.not_judged.iter().any(|why| why.ends_with("behind index 1: a lease")),
            "{row:?}"
        );
        assert_eq!(row.figures["in doubt, never did"], 0.0);
    }
}

#[test]
fn a_replay_that_no_state_machine_bears_out_accuses_nobody() {
    let mut tried = 0;
    for (seed, world) in worlds() {
        let mut log = world.log();
        let Some(applied) = log.header.applied.first_mut() else { continue };
        applied.position += 1;
        let row = judged(&world, &log);
        assert_eq!(row.verdict, Verdict::Unknown, "seed {seed}: {row:?}");
        assert!(row.summary.contains("and the log amounts to"), "{}", row.summary);
        // Nor where a client was told something else, too.
        log.entries.retain(|entry| !matches!(entry.command, Command::Op(..)));
        for (entry, index) in log.entries.iter_mut().zip(1..) {
            entry.index = index;
        }
        log.header.applied[0].index = 1;
        if !log.entries.is_empty() {
            assert_eq!(judged(&world, &log).verdict, Verdict::Unknown, "seed {seed}");
        }
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_state_machine_that_lost_a_change_is_named_where_another_bears_the_replay_out() {
    let mut tried = 0;
    for (seed, world) in worlds() {
        let mut log = world.log();
        let Some(behind) = log.header.applied.first().cloned() else { continue };
        log.header.applied.push(Applied {
            node: "n1".into(),
            index: behind.index,
            position: behind.position - 1,
        });
        let row = judged(&world, &log);
        assert_eq!(row.verdict, Verdict::Invalid, "seed {seed}: {row:?}");
        assert!(row.summary.starts_with("n1's state after entry "), "{}", row.summary);
        assert!(row.summary.ends_with("is as replayed"), "{}", row.summary);
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

fn history(events: Vec<Event>) -> History {
    History::from_events(events).expect("a history")
}

fn invoke(time: u64, process: u64, op: Op, request: Option<Request>) -> Event {
    let (time, process) = (Nanos(time), Process(process));
    Event::Invoke(Invoke { time, process, op, node: None, request })
}

fn ok(time: u64, process: u64, value: impl Into<Value>, pos: u64) -> Event {
    let (time, process) = (Nanos(time), Process(process));
    Event::Return(Return { time, process, outcome: Outcome::Ok(value.into()), pos: Some(pos) })
}

fn info(time: u64, process: u64) -> Event {
    let (time, process) = (Nanos(time), Process(process));
    let outcome = Outcome::Info { error: "timeout".into() };
    Event::Return(Return { time, process, outcome, pos: None })
}

fn log(ops: &[(Op, Option<Request>)]) -> Log {
    let mut log = World::new(0).log();
    log.header.positions = Positions::Index;
    log.header.applied.clear();
    let entry = |(index, (op, request)): (u64, &(Op, Option<Request>))| Entry {
        index,
        term: 3,
        command: Command::Op(op.clone(), *request),
    };
    log.entries = (1..).zip(ops).map(entry).collect();
    log
}

#[test]
fn a_recording_of_a_leader_that_answered_too_early_names_the_write_that_was_lost_first() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/witness/reply-before-commit");
    let file = |name| std::fs::read(format!("{folder}/{name}")).expect("a recording");
    let history =
        squall_history::jsonl::read(&file("history.jsonl")[..]).expect("a history").history;
    let log = Log::read(&file("log.jsonl")[..]).expect("a log");
    let row = witness::judge(&history, &log);
    let told = "write 3 430 by process 2 was acknowledged at position 364, where the log holds no command \
                (index 364, term 2): it is in no log (and 5 times more)";
    assert_eq!((row.verdict, row.summary.as_str()), (Verdict::Invalid, told));
}

#[test]
fn a_lost_write_is_told_with_its_position_and_what_stands_there() {
    let events = vec![
        invoke(1, 0, Op::write("7", 5), None),
        ok(2, 0, 5, 2),
        invoke(3, 1, Op::write("7", 6), None),
        ok(4, 1, 6, 1),
        invoke(5, 2, Op::write("7", 8), None),
        info(6, 2),
    ];
    let log = log(&[(Op::write("7", 6), None), (Op::write("7", 8), None)]);
    let row = witness::judge(&history(events), &log);
    let told = "write 7 5 by process 0 was acknowledged at position 2, where the log holds write 7 8 (index 2, term 3): \
                it is in no log";
    assert_eq!((row.verdict, row.summary.as_str()), (Verdict::Invalid, told));
    let places: Vec<(&str, u64)> =
        row.evidence.iter().map(|line| (line.file.as_str(), line.line)).collect();
    assert_eq!(places, [("history.jsonl", 2), ("log.jsonl", 3)]);
}

#[test]
fn a_newest_log_without_what_another_node_has_committed_is_a_loss_if_all_were_read() {
    let events = vec![invoke(1, 0, Op::write("7", 6), None), ok(2, 0, 6, 1)];
    let mut log = log(&[(Op::write("7", 6), None), (Op::write("7", 8), None)]);
    log.header.lacks = vec![Lacking { node: "n1".into(), index: 2, term: 2 }];
    let row = witness::judge(&history(events.clone()), &log);
    let told =
        "n1 has committed 2@2, where n2's log, which is newer, holds write 7 8 (index 2, term 3)";
    assert_eq!((row.verdict, row.summary.as_str()), (Verdict::Invalid, told));
    // A log that was not read may be newer still, and have it.
    log.header.missing = vec!["n3: gone".to_owned()];
    let row = witness::judge(&history(events), &log);
    assert_eq!(row.verdict, Verdict::Unknown, "{row:?}");
}

#[test]
fn a_request_that_is_sent_again_began_when_it_was_sent_first() {
    let request = Some(Request { session: 4, sequence: 1 });
    let append = Op::append("7", 5);
    let events = vec![
        invoke(1, 0, append.clone(), request),
        info(2, 0),
        invoke(3, 1, Op::append("8", 6), Some(Request { session: 5, sequence: 1 })),
        ok(4, 1, 6, 2),
        invoke(5, 2, append.clone(), request),
        ok(6, 2, 5, 1),
    ];
    let other = (Op::append("8", 6), Some(Request { session: 5, sequence: 1 }));
    let log = log(&[(append.clone(), request), other, (append, request)]);
    let row = witness::judge(&history(events), &log);
    assert_eq!(row.verdict, Verdict::Valid, "{row:?}");
}

#[test]
fn a_change_in_doubt_that_stands_before_what_had_returned_before_it_began_is_found() {
    let events = vec![
        invoke(1, 0, Op::write("7", 5), None),
        ok(2, 0, 5, 2),
        invoke(3, 1, Op::write("8", 6), None),
        info(4, 1),
    ];
    let log = log(&[(Op::write("8", 6), None), (Op::write("7", 5), None)]);
    let row = witness::judge(&history(events), &log);
    let told = "write 8 6 by process 1 took effect at position 1, but write 7 5 by process 0, at 2, had returned before it began";
    assert_eq!((row.verdict, row.summary.as_str()), (Verdict::Invalid, told));
}

#[test]
fn another_change_at_a_position_proves_nothing_where_it_is_not_committed_and_a_log_was_not_read() {
    let events = || vec![invoke(1, 0, Op::write("7", 6), None), ok(2, 0, 6, 1)];
    let mut log = log(&[(Op::write("7", 5), None)]);
    (log.header.committed, log.header.missing) = (0, vec!["n3: gone".to_owned()]);
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Unknown);
    log.header.missing.clear();
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Invalid);
}

#[test]
fn what_a_client_saw_proves_nothing_where_no_state_machine_bears_the_replay_out() {
    let events = || vec![invoke(1, 0, Op::read("7"), None), ok(2, 0, 6, 1)];
    let mut log = log(&[(Op::write("7", 5), None)]);
    log.header.applied = vec![Applied { node: "n1".into(), index: 1, position: 9 }];
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Unknown);
    log.header.applied.clear();
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Invalid);
}

#[test]
fn a_state_machine_is_not_contradicted_by_one_that_has_not_got_as_far() {
    let mut log = log(&[(Op::write("7", 5), None), (Op::write("7", 6), None)]);
    let applied = |node: &str, index, position| Applied { node: node.into(), index, position };
    log.header.applied = vec![applied("n1", 2, 1), applied("n2", 1, 1)];
    let events = || vec![invoke(1, 0, Op::write("7", 5), None), ok(2, 0, 5, 1)];
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Unknown);
    log.header.applied[1] = applied("n2", 2, 2);
    assert_eq!(witness::judge(&history(events()), &log).verdict, Verdict::Invalid);
}

#[test]
fn an_increment_was_told_the_sum_to_which_the_log_amounts() {
    let add = || Op { f: F::Increment, ..Op::write("7", 2) };
    let log = log(&[(add(), None), (add(), None)]);
    let judged = |told: i64| {
        let events = vec![
            invoke(1, 0, add(), None),
            ok(2, 0, 2, 1),
            invoke(3, 0, add(), None),
            ok(4, 0, told, 2),
        ];
        witness::judge(&history(events), &log).verdict
    };
    assert_eq!(judged(4), Verdict::Valid);
    assert_eq!(judged(3), Verdict::Invalid);
}

#[test]
fn a_change_that_was_refused_may_stand_behind_all_that_is_known_to_be_committed() {
    let refused = || {
        let outcome = Outcome::Fail { error: "not-leader".into(), seen: None };
        Event::Return(Return { time: Nanos(4), process: Process(1), outcome, pos: None })
    };
    let mut log = log(&[(Op::write("7", 5), None), (Op::write("7", 6), None)]);
    log.header.committed = 0;
    let mut events = vec![invoke(1, 0, Op::write("7", 5), None), ok(2, 0, 5, 1)];
    events.extend([invoke(3, 1, Op::write("7", 6), None), refused()]);
    assert_eq!(witness::judge(&history(events.clone()), &log).verdict, Verdict::Valid);
    log.header.committed = 2;
    assert_eq!(witness::judge(&history(events), &log).verdict, Verdict::Invalid);
}

#[test]
fn without_a_log_nothing_is_judged() {
    let mut log = log(&[]);
    log.header.node = None;
    log.header.missing = vec!["n1: the files do not tell every command".to_owned()];
    let row = witness::judge(&history(vec![]), &log);
    let told = "no log was read: n1: the files do not tell every command";
    assert_eq!((row.verdict, row.summary.as_str()), (Verdict::NotJudged, told));
}
