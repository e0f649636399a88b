//! What a check holds is never more than it says, and never more than it may: counted by the allocator.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, Judgement, ModelKind, Reading, Verdict, judge};
use squall_history::{Event, History, Outcome, Request};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// One measures at a time: they share the allocator.
static ALONE: Mutex<()> = Mutex::new(());

/// What is small and not counted.
const SLACK: u64 = 64 << 10;

/// Judges, and returns by how many bytes the peak lay above what was held before.
fn measured(history: &History, model: ModelKind, budget: &Budget) -> (Judgement, u64) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let judgement = judge(history, model, &Reading::default(), budget);
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    (judgement, peak as u64)
}

/// Checks that a check holds no more than it says, and no more than it may when that is less.
fn keeps_to_its_memory(what: &str, model: ModelKind, history: &History) {
    // Threads and what belongs to them are made once.
    let warm = generate::history(&Shape::register(10, 2));
    measured(&warm, ModelKind::Register, &Budget::unlimited());
    let deadline = Some(Duration::from_millis(500));
    let (free, peak) = measured(history, model, &Budget { deadline, memory: None });
    let told = free.peak_bytes;
    assert!(peak <= told + SLACK, "{what} {model}: held {peak} bytes, said {told}");
    for share in [2, 8] {
        let limit = told / share;
        let (held, peak) = measured(history, model, &Budget { deadline, memory: Some(limit) });
        assert!(peak <= limit + SLACK, "{what} {model}: held {peak} bytes of {limit}");
        assert!(share < 8 || held.verdict == Verdict::Unknown, "{what} {model} in {limit} bytes");
    }
}

/// A history a little longer than a power of two, where vectors that grow are at their largest.
fn shape(model: ModelKind) -> Shape {
    Shape { model, ..Shape::register(4_100, 4) }
}

fn of(events: Vec<Event>) -> History {
    History::from_events(events).expect("well formed")
}

#[test]
fn every_engine_holds_no_more_than_it_says_and_no_more_than_it_may() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for model in ModelKind::ALL {
        keeps_to_its_memory("true", model, &generate::history(&shape(model)));
    }
}

#[test]
fn a_violation_is_shrunk_and_told_in_no_more_memory_than_there_is() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for model in ModelKind::ALL {
        let mut events = generate::events(&shape(model));
        let mut random = ChaCha8Rng::seed_from_u64(7);
        (0..20).for_each(|_| generate::lie(&mut events, &mut random));
        keeps_to_its_memory("lied", model, &of(events));
    }
}

#[test]
fn the_searches_hold_no_more_than_they_say_and_no_more_than_they_may() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for model in [ModelKind::Register, ModelKind::CasRegister, ModelKind::ListAppend] {
        let shape = Shape { values: Some(3), crashes: 0.02, ..shape(model) };
        keeps_to_its_memory("few values", model, &generate::history(&shape));
    }
    let wide = Shape { clients: 100, crashes: 0.1, ..shape(ModelKind::UnorderedQueue) };
    keeps_to_its_memory("a hundred clients", wide.model, &generate::history(&wide));
}

#[test]
fn requests_keys_and_positions_are_held_in_no_more_memory_than_there_is() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let many_keys = Shape { keys: 1_000, ..shape(ModelKind::CasRegister) };
    keeps_to_its_memory("a thousand keys", many_keys.model, &generate::history(&many_keys));
    let mut events = generate::events(&Shape { clients: 1, ..shape(ModelKind::Register) });
    for (n, event) in (1..).zip(&mut events) {
        match event {
            Event::Invoke(invoke) => invoke.request = Some(Request { session: 1, sequence: n }),
            Event::Return(ret) if matches!(ret.outcome, Outcome::Ok(_)) => ret.pos = Some(n),
            Event::Return(_) => {}
        }
    }
    keeps_to_its_memory("requests and positions", ModelKind::Register, &of(events));
}
