//! Whole clusters under some hundred seeds: the protocol keeps its promises, and each bug breaks one of them.
//!
//! The nightly size is `cargo run --release -p squall-raft-core --features simulation --example simulate -- --seeds
//! 10000`.

use squall_raft_core::planted::{self, Planted};
use squall_raft_core::simulation::{
    AdoptsAnyTerm, IgnoresPrevTerm, LeaderOverwrites, Observer, Report, Scenario, StepRecord, run,
};
use squall_raft_core::{Effects, Rules};

/// How many seeds the correct protocol must survive.
const SEEDS: u64 = 300;
/// In how many seeds a broken rule must be found.
const BUG_SEEDS: u64 = 60;

fn must_be_clean(scenario: &Scenario) -> Report {
    let report = run(scenario, &mut ());
    if let Some(violation) = report.violations.first() {
        panic!("{violation}");
    }
    report
}

/// Runs seeds until a law of the given ones is broken; that may follow from another that is broken before.
fn must_be_found(scenario: impl Fn(u64) -> Scenario, laws: &[&str]) {
    let found = (0..BUG_SEEDS).find(|seed| {
        let scenario = Scenario { keep_going: true, ..scenario(*seed) };
        let report = run(&scenario, &mut ());
        report.violations.iter().any(|violation| laws.contains(&violation.broken.law))
    });
    assert!(found.is_some(), "none of {BUG_SEEDS} seeds broke any of {laws:?}");
}

fn bug(name: &str) -> &'static Planted {
    planted::ALL.iter().find(|bug| bug.name == name).expect("a planted bug of that name")
}

/// The simulation's form of a claim on what clients see.
fn laws(bug: &Planted) -> Vec<&'static str> {
    bug.breaks.iter().copied().filter(|claim| *claim != "linearizable").collect()
}

fn found_by_its_laws(name: &str) {
    must_be_found(|seed| Scenario::new(seed).with_bug(bug(name)), &laws(bug(name)));
}

#[test]
fn the_protocol_keeps_its_promises_and_recovers_in_hundreds_of_storms() {
    let mut total = Report::default();
    for seed in 0..SEEDS {
        let report = must_be_clean(&Scenario::new(seed));
        total.elections += report.elections;
        total.committed += report.committed;
        total.reads += report.reads;
        total.crashes += report.crashes;
    }
    // A storm in which nothing happened would prove nothing.
    assert!(total.elections > SEEDS, "{total:?}");
    assert!(total.committed > 10 * SEEDS, "{total:?}");
    assert!(total.reads > 10 * SEEDS, "{total:?}");
    assert!(total.crashes > SEEDS, "{total:?}");
}

#[test]
fn the_settings_of_planted_bugs_are_harmless_without_the_bug() {
    for bug in planted::ALL {
        for seed in 1000..1010 {
            must_be_clean(&Scenario::new(seed).with_settings(bug.settings));
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    #[derive(Default)]
    struct Recorder(Vec<Effects>);
    impl Observer for Recorder {
        fn on_step(&mut self, record: &StepRecord) {
            self.0.push(record.effects.clone());
        }
    }
    let story = |seed| {
        let mut recorder = Recorder::default();
        run(&Scenario::new(seed), &mut recorder);
        recorder.0
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}

#[test]
fn a_violation_names_the_command_that_replays_it() {
    let scenario = |seed| Scenario::new(seed).with_bug(bug("read-local-any"));
    let violation =
        (0..BUG_SEEDS).find_map(|seed| run(&scenario(seed), &mut ()).violations.into_iter().next());
    let violation = violation.expect("a stale read in dozens of storms");
    let replay = format!("--example simulate -- --seed {} --bug read-local-any", violation.seed);
    assert!(violation.to_string().ends_with(&replay), "{violation}");
}

#[test]
fn a_follower_that_answers_reads_itself_is_found() {
    found_by_its_laws("read-local-any");
}

#[test]
fn a_leader_that_answers_reads_itself_is_found() {
    found_by_its_laws("read-local-leader");
}

#[test]
fn a_read_index_before_the_no_op_is_found() {
    found_by_its_laws("readindex-no-noop");
}

#[test]
fn votes_for_those_who_lack_entries_are_found() {
    found_by_its_laws("no-uptodate-check");
}

#[test]
fn truncation_without_conflict_is_found() {
    found_by_its_laws("truncate-always");
}

#[test]
fn counting_replicas_of_old_entries_is_found() {
    found_by_its_laws("figure8");
}

#[test]
fn commitment_past_the_match_is_found() {
    found_by_its_laws("commit-past-match");
}

#[test]
fn commitment_with_one_acknowledgement_is_found() {
    found_by_its_laws("commit-one-ack");
}

fn broken_rule_found(rules: impl Rules + Clone + 'static, law: &str) {
    must_be_found(|seed| Scenario::new(seed).with_rules(rules.clone()), &[law]);
}

#[test]
fn a_leader_that_overwrites_its_log_is_found() {
    broken_rule_found(LeaderOverwrites, "leader-append-only");
}

#[test]
fn logs_that_differ_below_an_equal_entry_are_found() {
    broken_rule_found(IgnoresPrevTerm, "log-matching");
}

#[test]
fn a_term_that_goes_back_is_found() {
    broken_rule_found(AdoptsAnyTerm, "monotone-terms");
}
