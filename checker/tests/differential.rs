//! Every engine against brute force and each other, every proof replayed, on small random histories of every model.

use std::collections::{BTreeMap, BTreeSet};

use squall_checker::adversary::{compare, examine};
use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, ModelKind, Reading, Verdict, judge, verify};
use squall_history::{F, History, Outcome};

/// How many small histories each model is tried on.
const TRIES: u64 = 2_000;

/// Examines a model, and returns how often each engine gave each verdict.
fn examined(model: ModelKind) -> BTreeMap<(String, &'static str), usize> {
    let mut verdicts = BTreeMap::new();
    for seed in 0..TRIES {
        match examine(model, seed) {
            Ok(None) => {}
            Ok(Some(examined)) => {
                let verdict = examined.verdict.name();
                *verdicts.entry((examined.engine, verdict)).or_default() += 1;
            }
            Err(story) => panic!("{story}"),
        }
    }
    verdicts
}

/// Examines a model; each of these engines must have said both yes and no, so many times, and no less than every
/// twentieth history must be one or the other.
fn agrees(model: ModelKind, engines: &[(&str, usize)]) {
    let verdicts = examined(model);
    for verdict in [Verdict::Valid, Verdict::Invalid] {
        let of = verdicts.iter().filter(|((_, said), _)| *said == verdict.name());
        let said: usize = of.map(|(_, count)| count).sum();
        assert!(said as u64 >= TRIES / 20, "{model}: {} only {said} times", verdict.name());
    }
    for (engine, least) in engines {
        for verdict in [Verdict::Valid, Verdict::Invalid] {
            let said = verdicts.get(&((*engine).to_owned(), verdict.name())).copied().unwrap_or(0);
            assert!(said >= *least, "{model}: {engine} said {} only {said} times", verdict.name());
        }
    }
}

#[test]
fn what_a_true_object_did_is_valid_for_every_model() {
    for model in ModelKind::ALL {
        for seed in 0..40 {
            let (clients, values) = (1 + seed as usize % 4, [None, Some(3)][seed as usize % 2]);
            let crashes = [0.0, 0.2][seed as usize / 2 % 2];
            let shape = Shape { model, values, crashes, seed, ..Shape::register(30, clients) };
            let history = generate::history(&shape);
            let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
            assert_eq!(judgement.verdict, Verdict::Valid, "{model} seed {seed}");
            assert_eq!(verify(&history, model, &judgement).map(|proof| proof.orders), Ok(1));
        }
    }
}

#[test]
fn every_kind_of_operation_that_changes_something_crashes_in_the_histories() {
    for model in ModelKind::ALL {
        let histories = (0..TRIES).map(|seed| History::from_events(generate::small(model, seed)));
        let (mut met, mut crashed) = (BTreeSet::new(), BTreeSet::new());
        for history in histories {
            for operation in history.expect("well formed").operations() {
                let name = operation.op.f.name().to_owned();
                if matches!(operation.outcome, Outcome::Info { .. }) {
                    crashed.insert(name.clone());
                }
                if !operation.op.f.is_read() {
                    met.insert(name);
                }
            }
        }
        assert_eq!(met, crashed, "{model}");
        let changes = |f: &&F| !f.is_read() && !matches!(f, F::Contains);
        let known = model.functions().iter().filter(changes).count();
        assert!(met.len() + 2 >= known, "{model}: of {known} kinds only {met:?}");
    }
}

#[test]
fn registers_agree_with_brute_force() {
    agrees(ModelKind::Register, &[("register zones", 50), ("register search", 50)]);
}

#[test]
fn cas_registers_agree_with_brute_force() {
    agrees(ModelKind::CasRegister, &[("register zones", 50), ("register search", 50)]);
}

#[test]
fn several_registers_agree_with_brute_force() {
    agrees(ModelKind::MultiRegister, &[("product", 50), ("search", 50)]);
}

#[test]
fn stores_agree_with_brute_force() {
    agrees(ModelKind::Kv, &[("search", 50), ("register zones", 50)]);
}

#[test]
fn lists_agree_with_brute_force() {
    agrees(ModelKind::ListAppend, &[("list order", 50), ("search", 50)]);
}

#[test]
fn queues_agree_with_brute_force() {
    agrees(ModelKind::FifoQueue, &[("queue aspects", 50), ("search", 20)]);
    agrees(ModelKind::UnorderedQueue, &[("bag aspects", 50), ("search", 20)]);
}

#[test]
fn stacks_agree_with_brute_force() {
    agrees(ModelKind::Stack, &[("stack segments", 50), ("search", 20)]);
}

#[test]
fn sets_agree_with_brute_force() {
    agrees(ModelKind::Set, &[("set schedule", 50), ("set elements", 20)]);
}

#[test]
fn counters_agree_with_brute_force() {
    agrees(ModelKind::Counter, &[]);
}

#[test]
fn locks_agree_with_brute_force() {
    agrees(ModelKind::Mutex, &[("search", 50)]);
    agrees(ModelKind::OwnerLock, &[("lock holds", 50), ("search", 50)]);
    agrees(ModelKind::Fencing, &[("token order", 50)]);
}

/// Compares all engines on histories that no engine finishes without going wrong; both verdicts must come up.
fn engines_agree(model: ModelKind, tries: u64) {
    let mut said: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..tries {
        match compare(model, seed) {
            Ok(None) => {}
            Ok(Some(examined)) => *said.entry(examined.verdict.name()).or_default() += 1,
            Err(story) => panic!("{story}"),
        }
    }
    for verdict in [Verdict::Valid, Verdict::Invalid] {
        let count = said.get(verdict.name()).copied().unwrap_or(0);
        assert!(count >= tries / 20, "{model}: {} only {count} times", verdict.name());
    }
}

#[test]
fn the_searches_for_registers_agree_where_they_have_to_go_back() {
    engines_agree(ModelKind::Register, 500);
    engines_agree(ModelKind::CasRegister, 4_000);
}

#[test]
fn all_engines_agree_on_histories_that_are_too_long_for_brute_force() {
    let registers = [ModelKind::Register, ModelKind::CasRegister];
    for model in ModelKind::ALL.into_iter().filter(|model| !registers.contains(model)) {
        // Without its reductions a search has much to do where anything in doubt may have taken any element.
        let many = match model {
            ModelKind::FifoQueue | ModelKind::UnorderedQueue | ModelKind::Stack => 40,
            _ => 80,
        };
        engines_agree(model, many);
    }
}
