//! The monitor against the judge of whole histories, on every prefix of thousands of small random ones.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use squall_checker::generate::{self, Shape};
use squall_checker::online::{Limits, Monitor, Violation};
use squall_checker::{Budget, FailedCas, ModelKind, NilRead, Reading, Verdict, judge};
use squall_history::{Event, History, Invoke, Nanos, Op, Outcome, Process, Request, Return, Value};

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
    for keys in [1, 20] {
        let shape = Shape { keys, ..Shape::register(40_000, 10) };
        let mut monitor =
            Monitor::new(ModelKind::CasRegister, Reading::default(), Limits::default());
        let mut most = 0;
        for event in &generate::events(&shape) {
            assert_eq!(monitor.feed(event), None);
            most = most.max(monitor.bytes());
        }
        assert_eq!(monitor.gave_up(), []);
        assert!(most < 80_000 * keys, "{most} bytes were held for {keys} keys");
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
