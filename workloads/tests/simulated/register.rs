//! What `register` promises.

use std::collections::BTreeSet;

use squall_history::{F, NodeName, Outcome, Value};
use squall_workloads::{WorkloadSpec, find};

use crate::store::{Done, Faults, Simulation, spec};

fn run(spec: &WorkloadSpec, faults: Faults, operations: usize) -> Vec<Done> {
    let mut load = find("register").unwrap().load(spec).unwrap();
    Simulation::new(spec.seed, faults).run(&mut *load, spec.concurrency, operations)
}

fn is_ok(done: &&Done) -> bool {
    matches!(done.outcome, Outcome::Ok(_))
}

/// How many cas succeed, of those that the store evaluated, in percent.
fn cas_percent(done: &[Done]) -> usize {
    let cas = || done.iter().filter(|done| done.invocation.op.f == F::Cas);
    let failed = cas().filter(|done| match &done.outcome {
        Outcome::Fail { error, .. } => error.is_precondition(),
        Outcome::Ok(_) | Outcome::Info { .. } => false,
    });
    let ok = cas().filter(is_ok).count();
    ok * 100 / (ok + failed.count())
}

fn written(done: &Done) -> Option<Value> {
    match done.invocation.op.f {
        F::Write => Some(done.invocation.op.value.clone()),
        F::Cas => done.invocation.op.value.as_pair().map(|(_, to)| to.clone()),
        _ => None,
    }
}

#[test]
fn one_cas_in_five_succeeds_however_many_clients_there_are() {
    let few = [(10, Some(5)), (10, Some(3))];
    let usual = [1, 10, 15, 30, 50, 100].map(|clients| (clients, None));
    for (clients, keys) in usual.into_iter().chain(few) {
        let spec = WorkloadSpec { keys, ..spec(clients) };
        let percent = cas_percent(&run(&spec, Faults::none(), 20_000));
        // Faults cost some, so there must be room above 20.
        assert!(percent >= 30, "{clients} clients, {keys:?} keys: {percent} % of cas succeed");
    }
}

#[test]
fn one_cas_in_five_succeeds_with_few_values_too() {
    let spec = WorkloadSpec { value_range: Some(5), ..spec(10) };
    let done = run(&spec, Faults::none(), 20_000);
    assert!(cas_percent(&done) >= 30, "{} %", cas_percent(&done));
}

#[test]
fn no_value_is_written_twice() {
    let done = run(&spec(10), Faults { lost_percent: 5, ..Faults::none() }, 20_000);
    let values: Vec<Value> = done.iter().filter_map(written).collect();
    assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), values.len());
    assert!(values.len() > 8_000, "only {} writes and cas", values.len());
}

#[test]
fn a_value_range_is_used_whole_and_not_left() {
    let spec = WorkloadSpec { value_range: Some(5), ..spec(10) };
    let values: BTreeSet<Value> =
        run(&spec, Faults::none(), 5_000).iter().filter_map(written).collect();
    assert_eq!(values, (0..5).map(Value::Int).collect());
}

#[test]
fn operations_are_mixed_and_every_key_is_used() {
    let done = run(&spec(10), Faults::none(), 20_000);
    let share = |f: F| done.iter().filter(|done| done.invocation.op.f == f).count() / 200;
    assert!((38..=42).contains(&share(F::Read)), "{} % reads", share(F::Read));
    assert!((28..=32).contains(&share(F::Write)), "{} % writes", share(F::Write));
    assert!((28..=32).contains(&share(F::Cas)), "{} % cas", share(F::Cas));
    let keys: BTreeSet<_> = done.iter().map(|done| done.invocation.op.key.clone()).collect();
    assert_eq!(keys.len(), 8);
}

#[test]
fn reads_stay_at_the_own_node_and_writes_find_the_leader() {
    let done = run(&spec(10), Faults::none(), 5_000);
    for done in &done {
        let own = NodeName::from(&*format!("n{}", done.worker % 5 + 1));
        if done.invocation.op.f == F::Read {
            assert_eq!(done.invocation.node, own);
        }
    }
    let late = &done[1_000..];
    assert!(
        late.iter()
            .filter(|done| done.invocation.op.f != F::Read)
            .all(|done| { done.invocation.node == "n2".into() })
    );
}

#[test]
fn a_dead_node_holds_no_worker() {
    let done = run(&spec(10), Faults { dead: vec!["n4".into()], ..Faults::none() }, 10_000);
    for worker in 0..10 {
        let of = |f: F| {
            done.iter().filter(move |done| done.worker == worker && done.invocation.op.f == f)
        };
        assert!(of(F::Write).filter(is_ok).count() > 200, "worker {worker} cannot write");
        // Every other read of a worker whose own node is dead makes a detour.
        assert!(of(F::Read).filter(is_ok).count() > 100, "worker {worker} cannot read");
    }
}

#[test]
fn the_same_seed_and_answers_make_the_same_operations() {
    let operations = |seed| -> Vec<String> {
        let spec = WorkloadSpec { seed, ..spec(10) };
        let done = run(&spec, Faults { lost_percent: 3, ..Faults::none() }, 2_000);
        done.iter().map(|done| format!("{} {:?}", done.worker, done.invocation)).collect()
    };
    assert_eq!(operations(7), operations(7));
    assert_ne!(operations(7), operations(8));
}

#[test]
fn only_touched_keys_are_read_in_the_end() {
    let spec = WorkloadSpec { keys: Some(1_000), ..spec(1) };
    let mut load = find("register").unwrap().load(&spec).unwrap();
    assert_eq!(load.keys(), []);
    let done = Simulation::new(1, Faults::none()).run(&mut *load, 1, 20);
    // The operation that the run left open counts too.
    let touched: BTreeSet<_> = load.keys().into_iter().collect();
    let used: BTreeSet<_> = done.iter().filter_map(|done| done.invocation.op.key.clone()).collect();
    assert!(used.is_subset(&touched) && touched.len() <= used.len() + 1);
}
