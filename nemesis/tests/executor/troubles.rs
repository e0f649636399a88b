//! Plans that meet trouble: nothing is dropped silently, and the cluster ends whole.

use std::io::{self, Write};

use squall_cluster::NodeState;
use squall_history::schedule::{Fault, FaultOutcome, Shape};
use squall_history::{Nanos, NodeName};
use squall_nemesis::{Journal, NemesisError};

use crate::fake::{HEAL_BY, Stage, at, isolate, ms};

#[tokio::test(start_paused = true)]
async fn a_fault_that_a_probe_refutes_is_indeterminate_and_healed_all_the_same() {
    let stage = Stage::set();
    stage.cluster.inner().idle = vec!["pause".into(), "cut n".into()];

    let plan = vec![at(1, 0, Fault::Pause, &["n1"], 100), at(2, 0, isolate(), &["n2"], 100)];
    stage.run(plan).await.unwrap();

    let why = "n1 is Running, not Paused".to_owned();
    assert_eq!(stage.outcome(1), FaultOutcome::Indeterminate(why));
    assert_eq!(stage.outcome(2), FaultOutcome::Indeterminate("silent are".into()));
    assert!(stage.log().last().unwrap().ends_with("ms cut"), "{:?}", stage.log());
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_late_on_a_busy_machine_gets_another_chance() {
    let stage = Stage::set();
    stage.cluster.inner().blind = 5;

    stage.run(vec![at(1, 0, isolate(), &["n1"], 100)]).await.unwrap();

    let fault = &stage.faults()[&1];
    assert_eq!(fault.outcome, FaultOutcome::Installed);
    assert_eq!(fault.healed, Some(FaultOutcome::Healed));
    // The length of a fault counts from its installation, not from its probe.
    assert!(fault.to.unwrap() < Nanos::from(ms(300)), "{:?}", fault.to);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_cannot_be_installed_is_indeterminate_with_the_reason() {
    let stage = Stage::set();
    stage.cluster.inner().broken = vec!["kill".into()];

    stage.run(vec![at(1, 0, Fault::Kill, &["n1", "n2"], 100)]).await.unwrap();

    let FaultOutcome::Indeterminate(why) = stage.outcome(1) else { panic!("not indeterminate") };
    assert!(why.contains("cannot kill n1") && why.contains("cannot kill n2"), "{why}");
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn a_shape_that_cannot_be_had_is_skipped_with_the_reason() {
    let stage = Stage::set();
    let bridge = Fault::Partition { shape: Shape::Bridge };

    stage.run(vec![at(1, 0, bridge, &["n1", "n2"], 100)]).await.unwrap();

    assert_eq!(stage.outcome(1), FaultOutcome::Skipped("a bridge is one node, not 2".into()));
    assert!(stage.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_fails_is_an_error_and_the_rest_is_healed() {
    let stage = Stage::set();
    stage.cluster.inner().broken = vec!["resume n1".into()];
    let plan = vec![
        at(1, 0, Fault::Pause, &["n1"], 100),
        at(2, 0, Fault::Kill, &["n2"], 5000),
        at(3, 0, isolate(), &["n3"], 5000),
        at(4, 500, Fault::Kill, &["n4"], 100),
    ];

    let error = stage.run(plan).await.unwrap_err();

    assert!(matches!(&error, NemesisError::Heal { what, .. } if what == "resume n1"), "{error}");
    let inner = stage.cluster.inner();
    let mut whole = inner.states.iter().filter(|(name, _)| **name != NodeName::from("n1"));
    assert!(whole.all(|(_, state)| *state == NodeState::Running) && inner.cut.is_healed());
    drop(inner);
    assert_eq!(stage.outcome(4), FaultOutcome::Skipped("the nemesis had failed".into()));
}

#[tokio::test(start_paused = true)]
async fn the_first_cause_is_kept() {
    let stage = Stage::set();
    stage.cluster.inner().broken = vec!["start".into(), "cut".into()];
    let plan = vec![at(1, 0, Fault::Kill, &["n1"], 100), at(2, 0, isolate(), &["n2"], 5000)];

    let error = stage.run(plan).await.unwrap_err();

    assert!(matches!(&error, NemesisError::Heal { what, .. } if what == "start n1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_a_probe_refutes_is_an_error() {
    let stage = Stage::set();
    stage.cluster.inner().idle = vec!["resume".into()];

    let error = stage.run(vec![at(1, 0, Fault::Pause, &["n1"], 100)]).await.unwrap_err();

    assert!(matches!(&error, NemesisError::NotHealed { .. }), "{error}");
    assert!(error.to_string().contains("n1 is Paused, not Running"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_by_itself_after_its_restart_is_the_systems_failure_not_ours() {
    let stage = Stage::set();
    stage.cluster.inner().crashing = vec!["n1".into()];

    let plan = vec![at(1, 0, Fault::Kill, &["n1"], 100), at(2, 500, Fault::Kill, &["n1"], 100)];
    let report = stage.run(plan).await.unwrap();

    assert_eq!(report.ended, [NodeName::from("n1")]);
    let healed = stage.faults()[&1].healed.clone();
    assert!(matches!(healed, Some(FaultOutcome::Indeterminate(_))), "{healed:?}");
    assert_eq!(stage.outcome(2), FaultOutcome::Skipped("n1 had ended by itself".into()));
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_an_error_and_everything_is_healed_all_the_same() {
    let stage = Stage::set();
    let journal = Journal::new(Full(300), stage.commands.clone()).unwrap();
    let plan = vec![
        at(1, 0, Fault::Kill, &["n1"], 5000),
        at(2, 0, isolate(), &["n2"], 5000),
        at(3, 0, Fault::Pause, &["n3"], 5000),
    ];

    let error = stage.drive(stage.nemesis_with(plan, HEAL_BY, journal)).await.unwrap_err();

    assert!(matches!(error, NemesisError::Journal(_)), "{error}");
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn every_line_is_in_the_file_before_the_next_step() {
    let stage = Stage::set();
    let nemesis = stage.nemesis(vec![at(1, 100, Fault::Kill, &["n1"], 5000)]);
    let run = tokio::spawn(nemesis.run(stage.acknowledged.subscribe(), stage.stop.subscribe()));

    tokio::time::sleep(ms(200)).await;

    assert_eq!(stage.outcome(1), FaultOutcome::Installed);
    assert_eq!(stage.faults()[&1].to, None);
    stage.stop.send_replace(true);
    run.await.unwrap().unwrap();
    assert!(stage.faults()[&1].to.is_some_and(|to| to < Nanos::from(ms(300))));
}
