//! Wherever the deadline falls, a check ends soon behind it, and says that it was the deadline.

use std::time::{Duration, Instant};

use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, ModelKind, Reading, Verdict, judge};
use squall_history::History;

/// How late a check may be on a machine that does other work beside it; hours late it never is.
const LATE: Duration = Duration::from_secs(2);

/// Judges within a deadline. Returns how long it took and whether it is unknown, which the deadline must explain.
fn within(history: &History, model: ModelKind, deadline: Duration) -> (Duration, bool) {
    let started = Instant::now();
    let judgement = judge(history, model, &Reading::default(), &Budget::within(deadline));
    let took = started.elapsed();
    let why = &judgement.rows("f")[0].summary;
    let unknown = judgement.verdict == Verdict::Unknown;
    assert!(!unknown || why.contains("deadline"), "{model}: {why}");
    (took, unknown)
}

#[test]
fn without_time_no_engine_says_anything() {
    for model in ModelKind::ALL {
        let history = generate::history(&Shape { model, ..Shape::register(50, 4) });
        assert!(within(&history, model, Duration::ZERO).1, "{model}");
    }
}

#[test]
fn wherever_the_deadline_falls_every_engine_ends_soon_behind_it() {
    for model in ModelKind::ALL {
        let history = generate::history(&Shape { model, ..Shape::register(30_000, 4) });
        let (whole, _) = within(&history, model, Duration::from_millis(400));
        for part in [8, 3] {
            let deadline = whole / part;
            // What interrupts the test once does not do so three times.
            let tries = (0..3).map(|_| within(&history, model, deadline).0);
            let took = tries.min().expect("there are three");
            assert!(took < deadline + whole / 3 + LATE / 20, "{model}: {took:?} of {deadline:?}");
        }
    }
}

#[test]
fn what_is_hard_for_a_search_ends_soon_behind_the_deadline() {
    for model in ModelKind::ALL {
        let values = Some(3);
        let shape = Shape { model, values, crashes: 0.1, ..Shape::register(20_000, 40) };
        let mut events = generate::events(&shape);
        // A lie near the end must be looked for everywhere before it.
        generate::stale_read(&mut events, 0.9);
        let history = History::from_events(events).expect("well formed");
        let (took, _) = within(&history, model, Duration::from_millis(100));
        assert!(took < LATE, "{model}: {took:?}");
    }
}
