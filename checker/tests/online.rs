//! The monitor against the judge of whole histories, on every prefix of thousands of small random ones.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use squall_checker::generate::{self, Shape};
use squall_checker::online::{Limits, Monitor, Violation};
use squall_checker::{Budget, FailedCas, ModelKind, NilRead, Reading, Verdict, judge};
use squall_history::{
    Event, F, History, Invoke, Nanos, Op, Outcome, Process, Request, Return, Value,
};

/// How many small histories each reading is tried on.
const TRIES: u64 = 4_000;

/// How many histories of some length.
const LONGER: u64 = 300;

/// How often the monitor said what.
#[derive(Debug, Default)]
struct Said {
    clean: usize,
    broken: usize,
    gave_up: usize,
}

/// What the judge says of the history so far; what is open is in doubt.
///
/// The judge says nothing of a history in which nothing was acknowledged, so a read of another key is.
fn verdict(model: ModelKind, events: &[Event], reading: &Reading) -> Option<Verdict> {
    let (time, process) = (Nanos(u64::MAX), Process(u64::MAX));
    let read = Invoke { time, process, op: Op::read("other"), node: None, request: None };
    let nothing = Return { time, process, outcome: Outcome::Ok(Value::Nil), pos: None };
    let other = [Event::Invoke(read), Event::Return(nothing)];
    let history = History::from_events(events.iter().cloned().chain(other));
    let history = history.expect("generated histories are well formed");
    let judgement = judge(&history, model, reading, &Budget::unlimited());
    judgement.why.is_none().then_some(judgement.verdict)
}

/// Feeds a history, and holds the monitor against the judge at each event.
fn compare(model: ModelKind, seed: u64, events: &[Event], reading: &Reading, said: &mut Said) {
    let mut monitor = Monitor::new(model, reading.clone(), Limits::default());
    for (n, event) in events.iter().enumerate() {
        let found = monitor.feed(event);
        let truth = verdict(model, &events[..=n], reading);
        let tell =
            |what: &str| format!("seed {seed}, event {}: {what}\n{:#?}", n + 1, &events[..=n]);
        match found {
            Some(violation) => {
                assert_eq!(truth, Some(Verdict::Invalid), "{}", tell(&violation.why));
                said.broken += 1;
                return;
            }
            None if monitor.gave_up().is_empty() => {
                assert_ne!(truth, Some(Verdict::Invalid), "{}", tell("the monitor is silent"));
            }
            None => {
                said.gave_up += 1;
                return;
            }
        }
    }
    said.clean += 1;
}

/// Compares on thousands of tiny histories with every kind of trouble.
fn compare_small(model: ModelKind) {
    for failed_cas in [FailedCas::Observation, FailedCas::Dropped] {
        for nil_read in [NilRead::Absent, NilRead::Unknown] {
            let reading = Reading { failed_cas, nil_read, initial: Value::Nil };
            let mut said = Said::default();
            for seed in 0..TRIES {
                compare(model, seed, &generate::small(model, seed), &reading, &mut said);
            }
            assert!(said.clean >= 300, "{reading}: {said:?}");
            assert!(said.broken >= 100, "{reading}: {said:?}");
        }
    }
}

/// Compares on histories that are long enough for values to be forgotten, with crashes and lies.
fn compare_longer(model: ModelKind) {
    let mut said = Said::default();
    for seed in 0..LONGER {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (clients, crashes) = (2 + (seed % 7) as usize, [0.0, 0.05, 0.3][(seed % 3) as usize]);
        let shape = Shape { model, crashes, seed, ..Shape::register(60, clients) };
        let mut events = generate::events(&shape);
        (0..seed % 4).for_each(|_| generate::lie(&mut events, &mut random));
        compare(model, seed, &events, &Reading::default(), &mut said);
    }
    assert!(said.clean >= 40, "{said:?}");
    assert!(said.broken >= 40, "{said:?}");
    assert!(said.gave_up <= said.clean + said.broken, "{said:?}");
}

#[test]
fn the_monitor_of_registers_agrees_with_the_judge_on_every_prefix() {
    compare_small(ModelKind::CasRegister);
}

#[test]
fn the_monitor_of_registers_agrees_with_the_judge_where_values_were_forgotten() {
    compare_longer(ModelKind::CasRegister);
}

#[test]
fn the_monitor_of_lists_agrees_with_the_judge_on_every_prefix() {
    compare_small(ModelKind::ListAppend);
}

#[test]
fn the_monitor_of_lists_agrees_with_the_judge_on_longer_histories() {
    compare_longer(ModelKind::ListAppend);
}

#[test]
fn a_true_history_is_never_broken_and_little_of_it_is_remembered() {
    // What is in doubt may be seen at any time, and is remembered; what was done since need not be.
    for (keys, crashes) in [(1, 0.0), (20, 0.0), (1, 0.0005)] {
        let shape = Shape { keys, crashes, ..Shape::register(40_000, 10) };
        let mut monitor =
            Monitor::new(ModelKind::CasRegister, Reading::default(), Limits::default());
        let mut most = 0;
        for event in &generate::events(&shape) {
            assert_eq!(monitor.feed(event), None);
            most = most.max(monitor.bytes());
        }
        assert_eq!(monitor.gave_up(), []);
        assert!(most < 80_000 * keys, "{most} bytes were held for {keys} keys, {crashes}");
    }
}

#[test]
fn a_stale_read_is_told_at_the_event_where_it_returns() {
    let shape = Shape::register(2_000, 10);
    let mut events = generate::events(&shape);
    assert!(generate::stale_read(&mut events, 0.9), "no read was found to make stale");
    let (model, reading) = (ModelKind::CasRegister, Reading::default());
    let mut monitor = Monitor::new(model, reading.clone(), Limits::default());

    let found: Option<Violation> = events.iter().find_map(|event| monitor.feed(event));

    let event = found.expect("a stale read is a violation").event as usize;
    assert_eq!(verdict(model, &events[..event], &reading), Some(Verdict::Invalid));
    assert_eq!(verdict(model, &events[..event - 1], &reading), Some(Verdict::Valid));
}

/// One event of a small history.
enum Does {
    Asks(u64, Op),
    /// The same, under the request with this sequence number.
    Sends(u64, Op, u64),
    Told(u64, Outcome),
}
use Does::{Asks, Sends, Told};

/// Feeds a small history, and holds the monitor against the judge at each event; returns what it said.
fn follow(model: ModelKind, does: Vec<Does>) -> Said {
    let invoke = |time, process, op, sequence: Option<u64>| {
        let request = sequence.map(|sequence| Request { session: 1, sequence });
        Event::Invoke(Invoke { time, process: Process(process), op, node: None, request })
    };
    let event = |(n, does): (u64, Does)| match does {
        Asks(process, op) => invoke(Nanos(n), process, op, None),
        Sends(process, op, sequence) => invoke(Nanos(n), process, op, Some(sequence)),
        Told(process, outcome) => {
            let process = Process(process);
            Event::Return(Return { time: Nanos(n), process, outcome, pos: None })
        }
    };
    let events: Vec<Event> = (1..).zip(does).map(event).collect();
    let mut said = Said::default();
    compare(model, 0, &events, &Reading::default(), &mut said);
    assert_eq!(said.gave_up, 0);
    said
}

fn ok(value: i64) -> Outcome {
    Outcome::Ok(Value::Int(value))
}

fn doubt() -> Outcome {
    Outcome::Info { error: "timeout".into() }
}

fn wrote(process: u64, value: i64) -> [Does; 2] {
    [Asks(process, Op::write("x", value)), Told(process, ok(value))]
}

fn saw(process: u64, value: i64) -> [Does; 2] {
    [Asks(process, Op::read("x")), Told(process, ok(value))]
}

#[test]
fn nothing_of_a_chain_of_cas_is_seen_again_once_its_last_value_was() {
    let mut does = Vec::from(wrote(0, 1));
    does.extend([Asks(1, Op::cas("x", 1, 2)), Asks(2, Op::cas("x", 2, 3)), Told(2, ok(3))]);
    does.extend(saw(0, 1));
    assert_eq!(follow(ModelKind::CasRegister, does).broken, 1);
}

#[test]
fn a_cas_in_doubt_is_acknowledged_long_after_what_it_began_from_was_replaced() {
    let mut does = Vec::from(wrote(0, 1));
    does.extend([Sends(1, Op::cas("x", 1, 2), 1), Told(1, doubt())]);
    does.extend((3..60).flat_map(|value| wrote(0, value)));
    does.extend([Sends(2, Op::cas("x", 1, 2), 1), Told(2, ok(2))]);
    does.extend(saw(0, 59));
    assert_eq!(follow(ModelKind::CasRegister, does).clean, 1);
}

#[test]
fn a_write_that_was_in_doubt_may_be_seen_though_another_attempt_at_it_failed() {
    let write = || Op::write("x", 1);
    let failed = Outcome::Fail { error: "refused".into(), seen: None };
    let mut does = vec![Sends(1, write(), 1), Told(1, doubt()), Sends(2, write(), 1)];
    does.push(Told(2, failed));
    does.extend(saw(0, 1));
    assert_eq!(follow(ModelKind::Register, does).clean, 1);
}

#[test]
fn a_write_that_was_sent_again_and_acknowledged_is_not_overlooked() {
    let write = || Op::write("x", 1);
    let mut does = vec![Sends(1, write(), 1), Told(1, doubt()), Sends(2, write(), 1)];
    does.push(Told(2, ok(1)));
    does.extend([Asks(0, Op::read("x")), Told(0, Outcome::Ok(Value::Nil))]);
    assert_eq!(follow(ModelKind::Register, does).broken, 1);
}

#[test]
fn two_reads_of_a_list_that_agree_only_in_their_last_elements_are_told() {
    let append = |n: i64| Op { f: F::Append, ..Op::write("x", n) };
    let read = |seen: [i64; 3]| {
        let seen = Value::list(seen.map(Value::Int));
        [Asks(0, Op::read("x")), Told(0, Outcome::Ok(seen))]
    };
    let mut does: Vec<Does> = (1..=3).map(|n| Asks(n as u64, append(n))).collect();
    does.extend((1..=3).map(|n| Told(n as u64, ok(n))));
    does.extend(read([1, 2, 3]).into_iter().chain(read([2, 1, 3])));
    assert_eq!(follow(ModelKind::ListAppend, does).broken, 1);
}

/// Writes with a request each, one after the other.
fn requests(count: u64) -> Vec<Event> {
    let write = |n: u64| {
        let (process, request) = (Process(0), Request { session: 1, sequence: n });
        let (op, time) = (Op::write("x", n as i64), Nanos(2 * n));
        let invoke = Invoke { time, process, op, node: None, request: Some(request) };
        let outcome = Outcome::Ok(Value::Int(n as i64));
        let ret = Return { time: Nanos(2 * n + 1), process, outcome, pos: None };
        [Event::Invoke(invoke), Event::Return(ret)]
    };
    (1..=count).flat_map(write).collect()
}

#[test]
fn requests_that_have_their_answer_are_forgotten_and_one_of_long_ago_is_not_taken_for_new() {
    let mut monitor = Monitor::new(ModelKind::Register, Reading::default(), Limits::default());
    let events = requests(20_000);
    for event in &events {
        assert_eq!(monitor.feed(event), None);
    }
    assert_eq!(monitor.gave_up(), []);
    assert!(monitor.bytes() < 100_000, "{} bytes are held", monitor.bytes());

    assert_eq!(monitor.feed(&events[0]), None);

    assert_eq!(monitor.gave_up()[0].why, "a request of long ago is sent");
    assert_eq!(monitor.gave_up()[0].event, 40_001);
}

#[test]
fn a_monitor_that_would_hold_too_much_says_so_and_lets_go_of_everything() {
    let limits = Limits { bytes: 50_000 };
    let mut monitor = Monitor::new(ModelKind::ListAppend, Reading::default(), limits);
    let shape = Shape { model: ModelKind::ListAppend, ..Shape::register(2_000, 5) };
    let mut most = 0;
    for event in &generate::events(&shape) {
        assert_eq!(monitor.feed(event), None);
        most = most.max(monitor.bytes());
    }

    assert!(monitor.is_over());
    assert!(monitor.gave_up()[0].why.starts_with("it would hold more than"), "{monitor:?}");
    assert!(most <= limits.bytes && monitor.bytes() < 1_000, "{most}");
}

#[test]
fn what_no_engine_follows_is_said_before_the_first_event() {
    let monitor = Monitor::new(ModelKind::FifoQueue, Reading::default(), Limits::default());

    assert!(monitor.is_over());
    assert_eq!(
        monitor.gave_up()[0].to_string(),
        "nothing from event 0 on, because histories of model fifo-queue are judged when they are complete"
    );
}
