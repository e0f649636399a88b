//! Every engine against brute force and each other, every proof replayed, on small random histories of every model.

use std::collections::BTreeMap;

use squall_checker::adversary::examine;
use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, ModelKind, Reading, Verdict, judge, verify};

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

/// Examines a model; each of these engines must have said both yes and no, so many times.
fn agrees(model: ModelKind, engines: &[(&str, usize)]) {
    let verdicts = examined(model);
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
    agrees(ModelKind::Stack, &[("search", 50)]);
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
