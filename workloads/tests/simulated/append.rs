//! What `append` promises.

use std::collections::{BTreeMap, BTreeSet};

use squall_history::{F, Outcome, Request, Value};
use squall_workloads::find;

use crate::store::{Done, Faults, Simulation, spec};

const STORM: Faults = Faults { dead: Vec::new(), lost_percent: 10, forgets_requests: false };

fn run(faults: Faults, operations: usize) -> (Vec<Done>, Simulation) {
    let mut load = find("append").unwrap().load(&spec(10)).unwrap();
    let mut simulation = Simulation::new(3, faults);
    let done = simulation.run(&mut *load, 10, operations);
    (done, simulation)
}

/// The attempts of each request, in the order of their ends.
fn by_request(done: &[Done]) -> BTreeMap<Request, Vec<&Done>> {
    let mut attempts: BTreeMap<Request, Vec<&Done>> = BTreeMap::new();
    for done in done {
        if let Some(request) = done.invocation.request {
            attempts.entry(request).or_default().push(done);
        }
    }
    attempts
}

fn doubled(simulation: &Simulation) -> usize {
    let lists = simulation.values().values().filter_map(Value::as_list);
    lists.map(|items| items.len() - items.iter().collect::<BTreeSet<_>>().len()).sum()
}

#[test]
fn what_is_in_doubt_is_sent_again_until_it_is_acknowledged() {
    let (done, _) = run(STORM, 10_000);
    let mut sent_again = 0;
    for (request, attempts) in by_request(&done) {
        let ops: BTreeSet<_> = attempts.iter().map(|done| done.invocation.op.to_string()).collect();
        assert_eq!(ops.len(), 1, "request {request} asks for different things: {ops:?}");
        let (last, before) = attempts.split_last().unwrap();
        let in_doubt = before.iter().any(|done| matches!(done.outcome, Outcome::Info { .. }));
        assert!(before.is_empty() || in_doubt, "{request} was sent again without doubt");
        if in_doubt && request.sequence < 100 {
            assert!(matches!(last.outcome, Outcome::Ok(_)), "{request} was abandoned in doubt");
            sent_again += 1;
        }
    }
    assert!(sent_again > 50, "only {sent_again} requests were sent again");
}

#[test]
fn what_is_in_doubt_is_sent_again_at_another_node() {
    let (done, _) = run(STORM, 10_000);
    for (request, attempts) in by_request(&done) {
        for pair in attempts.windows(2) {
            if matches!(pair[0].outcome, Outcome::Info { .. }) {
                let (first, again) = (&pair[0].invocation.node, &pair[1].invocation.node);
                assert_ne!(first, again, "request {request} goes to the same node again");
            }
        }
    }
}

#[test]
fn what_failed_without_doubt_is_not_sent_again() {
    let (done, _) = run(Faults::none(), 5_000);
    for (request, attempts) in by_request(&done) {
        assert_eq!(attempts.len(), 1, "request {request}");
    }
}

#[test]
fn a_session_counts_up_and_has_one_append_under_way() {
    let (done, _) = run(STORM, 10_000);
    let mut last = BTreeMap::new();
    for done in &done {
        let Some(request) = done.invocation.request else { continue };
        assert_eq!(request.session, done.worker as u64 + 1);
        let before: u64 = last.insert(request.session, request.sequence).unwrap_or(0);
        let is_next = request.sequence == before || request.sequence == before + 1;
        assert!(is_next, "session {} jumps from {before} to {request}", request.session);
    }
}

#[test]
fn a_store_that_forgets_requests_shows_elements_twice() {
    let (_, honest) = run(STORM, 10_000);
    assert_eq!(doubled(&honest), 0);
    let (_, forgetful) = run(Faults { forgets_requests: true, ..STORM }, 10_000);
    assert!(doubled(&forgetful) > 20, "only {} elements are twice", doubled(&forgetful));
}

#[test]
fn lists_stay_short_and_all_of_them_are_read_in_the_end() {
    let mut load = find("append").unwrap().load(&spec(10)).unwrap();
    let mut simulation = Simulation::new(3, STORM);
    let done = simulation.run(&mut *load, 10, 10_000);
    let longest = simulation.values().values().filter_map(Value::as_list).map(<[_]>::len).max();
    assert!((100..=128).contains(&longest.unwrap()), "the longest list has {longest:?} elements");
    let known: BTreeSet<_> = load.keys().into_iter().collect();
    assert!(simulation.values().keys().all(|key| known.contains(key)));
    assert!(known.len() > 20, "only {} lists in {} operations", known.len(), done.len());
}

#[test]
fn reads_go_on_while_an_append_is_in_doubt() {
    let (done, _) = run(Faults { lost_percent: 100, ..STORM }, 2_000);
    let reads = done.iter().filter(|done| done.invocation.op.f == F::Read).count();
    assert!(reads > 500, "only {reads} reads");
}
