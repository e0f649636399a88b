//! The verifier believes no proof that does not hold: each of its rules refuses what was tampered with in one place.

use squall_checker::{
    Budget, CoreOperation, Finding, Judgement, KeyJudgement, ModelKind, Reading, Verdict, judge,
    verify,
};
use squall_history::{Event, History, Invoke, Nanos, Op, Outcome, Process, Return, Value};

/// One event of a small history: a process, and what it asks or is told.
enum Does {
    Asks(u64, Op),
    Told(u64, Outcome),
}
use Does::{Asks, Told};

fn history(does: impl IntoIterator<Item = Does>) -> History {
    let event = |(time, does): (u64, Does)| match does {
        Asks(process, op) => Event::Invoke(Invoke {
            time: Nanos(time),
            process: Process(process),
            op,
            node: None,
            request: None,
        }),
        Told(process, outcome) => Event::Return(Return {
            time: Nanos(time),
            process: Process(process),
            outcome,
            pos: None,
        }),
    };
    History::from_events((1..).zip(does).map(event)).expect("well formed")
}

fn ok(value: i64) -> Outcome {
    Outcome::Ok(Value::Int(value))
}

fn write(process: u64, value: i64) -> [Does; 2] {
    [Asks(process, Op::write("x", value)), Told(process, ok(value))]
}

fn read(process: u64, value: i64) -> [Does; 2] {
    [Asks(process, Op::read("x")), Told(process, ok(value))]
}

fn judged(history: &History) -> Judgement {
    let judgement = judge(history, ModelKind::Register, &Reading::default(), &Budget::unlimited());
    assert!(verify(history, ModelKind::Register, &judgement).is_ok());
    judgement
}

/// Says why a judgement is refused once something in its only key was tampered with.
fn refused(
    history: &History,
    judgement: &Judgement,
    tamper: impl FnOnce(&mut KeyJudgement),
) -> String {
    let mut tampered = judgement.clone();
    tamper(&mut tampered.keys[0]);
    let flaw = verify(history, ModelKind::Register, &tampered);
    flaw.expect_err("a proof that was tampered with does not hold").why
}

/// A write of 1, then a write of 2 while two reads are open, one of each value.
fn possible() -> History {
    let reads = [Asks(1, Op::read("x")), Asks(2, Op::read("x"))];
    let answers = [Told(1, ok(1)), Told(2, ok(2))];
    history(write(0, 1).into_iter().chain(reads).chain(write(0, 2)).chain(answers))
}

fn reordered(order: &[u32]) -> impl FnOnce(&mut KeyJudgement) {
    move |key| key.finding = Finding::Linearizable(order.to_vec())
}

#[test]
fn an_order_has_each_operation_once_and_respects_real_time_and_the_model() {
    let history = possible();
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Valid);
    let refused = |order: &[u32]| refused(&history, &judgement, reordered(order));
    assert_eq!(refused(&[0, 1, 3]), "read x is left out");
    assert_eq!(refused(&[0, 1, 1, 3, 2]), "operation 1 stands twice, or has no place here");
    assert_eq!(refused(&[0, 1, 3, 2, 9]), "operation 9 stands twice, or has no place here");
    assert_eq!(refused(&[3, 2, 0, 1]), "write x 1 had returned before one in front began");
    assert_eq!(refused(&[0, 3, 1, 2]), "the model forbids read x");
}

#[test]
fn something_is_said_of_every_key() {
    let history = possible();
    let mut judgement = judged(&history);
    judgement.keys.clear();
    let flaw = verify(&history, ModelKind::Register, &judgement).expect_err("nothing is said");
    assert_eq!((flaw.key.as_deref(), &*flaw.why), (Some("x"), "nothing is said of it"));
}

/// 1 is written, read, replaced by 2, and read again.
fn impossible() -> History {
    let steps = [write(0, 1), read(1, 1), write(0, 2), read(1, 1)];
    history(steps.into_iter().flatten())
}

fn core(key: &mut KeyJudgement) -> &mut squall_checker::Core {
    match &mut key.finding {
        Finding::Impossible(core) => core,
        Finding::Linearizable(_) | Finding::Unknown(_) => panic!("the history is impossible"),
    }
}

#[test]
fn a_core_is_made_of_what_happened_and_no_more_constrained() {
    let history = impossible();
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    let why = refused(&history, &judgement, |key| {
        let core = core(key);
        core.operations.push(core.operations[0].clone());
    });
    assert_eq!(why, "an operation stands twice in the core");
    let why = refused(&history, &judgement, |key| {
        for operation in &mut core(key).operations {
            operation.returned = operation.returned.map(|returned| returned - 1);
        }
    });
    assert!(why.ends_with("is more constrained than it was"), "{why}");
    let why = refused(&history, &judgement, |key| core(key).operations[0].invoked += 1);
    assert!(why.ends_with("is more constrained than it was"), "{why}");
    let why = refused(&history, &judgement, |key| {
        let last = core(key).operations.last_mut().expect("it has operations");
        last.operation.outcome = ok(7);
    });
    assert_eq!(why, "read x is not what happened");
}

#[test]
fn a_core_has_no_order_and_lacks_nothing_that_it_needs() {
    let history = impossible();
    let judgement = judged(&history);
    let why = refused(&history, &judgement, |key| {
        let core = core(key);
        let read = core.operations.iter().position(|op| op.index == 3).expect("the stale read");
        core.operations.remove(read);
    });
    assert_eq!(why, "the core has an order");
    // Without the write of 1 a read of it is impossible alone, and nothing was wrong with the first.
    let why = refused(&history, &judgement, |key| {
        let operation = history.operations()[1].clone();
        let (invoked, returned) = (operation.invoked, operation.returned);
        let read = CoreOperation { index: 1, operation, invoked, returned, blind: false };
        core(key).operations = vec![read];
    });
    assert_eq!(why, "write x 1 may not be left out");
}
