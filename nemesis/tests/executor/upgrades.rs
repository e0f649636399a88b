//! Nodes that come back as another version.

use squall_history::NodeName;
use squall_history::schedule::{Ending, Fault, FaultOutcome, Line, Planned, Target, Trigger};
use squall_nemesis::{Family, PlanSpec, Timing, plan};

use crate::fake::{Stage, at, ms};

fn upgrade(version: Option<&str>) -> Fault {
    Fault::Upgrade { version: version.map(str::to_owned), signal: Ending::Sigterm }
}

fn runs(stage: &Stage, node: &str) -> String {
    stage.cluster.inner().versions[&NodeName::from(node)].clone()
}

fn skipped(stage: &Stage, id: u32) -> String {
    match stage.outcome(id) {
        FaultOutcome::Skipped(why) => why,
        other => panic!("fault {id}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_ends_and_comes_back_as_the_next_version_and_that_is_written_down() {
    let stage = Stage::of_versions(&["a", "b"], false);
    let killed = Fault::Upgrade { version: Some("b".into()), signal: Ending::Sigkill };
    let plan =
        vec![at(1, 100, upgrade(None), &["n2"], 500), at(2, 1000, killed, &["n1", "n2"], 500)];

    let report = stage.run(plan).await.unwrap();

    stage.assert_healed();
    let log: Vec<String> = stage.log().iter().map(|line| line.replace("ms ", " ")).collect();
    let words: Vec<&str> = log.iter().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    assert_eq!(words, ["end n2", "start n2", "kill n1", "start n1"]);
    assert_eq!((runs(&stage, "n1"), runs(&stage, "n2")), ("b".into(), "b".into()));
    let versions = report.lines.iter().filter_map(|line| match line {
        Line::Resolved(resolved) => Some(&resolved.versions),
        Line::Plan(_) | Line::Outcome(_) => None,
    });
    let versions: Vec<_> = versions.collect();
    assert_eq!(versions[0][&"n2".into()], "b");
    assert_eq!(versions[1].keys().collect::<Vec<_>>(), [&NodeName::from("n1")]);
    assert_eq!(stage.faults()[&2].nodes, ["n1".into()]);
    let text = stage.schedule.text();
    assert!(text.contains("n2 runs b already"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_symbolic_target_is_a_node_that_can_go_one_version_further() {
    let stage = Stage::of_versions(&["a", "b", "c"], false);
    stage.cluster.inner().versions.insert("n1".into(), "b".into());
    let up = |id: u32, version: &str, target| {
        let trigger = Trigger::At(ms(u64::from(id) * 300));
        Planned::new(id, trigger, upgrade(Some(version)), target, ms(100))
    };
    let plan = vec![
        // n1 leads, and is there already: another one goes.
        up(1, "b", Target::Leader),
        // n1 and the one before are one version away from c, and the others two.
        up(2, "c", Target::One),
        up(3, "c", Target::One),
        up(4, "b", Target::All),
        up(5, "b", Target::One),
    ];

    stage.run(plan).await.unwrap();

    let first = &stage.faults()[&1].nodes;
    assert!(first.len() == 1 && first[0] != "n1".into(), "{first:?}");
    let mut gone = [&stage.faults()[&2].nodes[..], &stage.faults()[&3].nodes].concat();
    gone.sort();
    let mut expected = vec![first[0].clone(), "n1".into()];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(stage.faults()[&4].nodes.len(), 3);
    let why = skipped(&stage, 5);
    assert!(why.contains("already") && why.contains("does not allow it to go back"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_or_has_no_other_version_is_left_alone() {
    let stage = Stage::of_versions(&["a", "b"], false);
    let plan = vec![
        at(1, 100, Fault::Kill, &["n1"], 1000),
        at(2, 300, upgrade(None), &["n1"], 100),
        at(3, 2000, upgrade(None), &["n1"], 100),
        at(4, 2500, upgrade(None), &["n1"], 100),
    ];
    stage.run(plan).await.unwrap();
    assert_eq!(skipped(&stage, 2), "n1 is down already (fault 1)");
    assert_eq!(stage.outcome(3), FaultOutcome::Installed);
    assert_eq!(skipped(&stage, 4), "n1 runs b, the last version");

    let single = Stage::set();
    single.run(vec![at(1, 100, upgrade(None), &["n1"], 100)]).await.unwrap();
    assert!(matches!(single.outcome(1), FaultOutcome::Skipped(_)));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_ended_stays_what_it_is() {
    let stage = Stage::of_versions(&["a", "b"], false);
    stage.cluster.inner().broken = vec!["end n1".into()];
    stage.run(vec![at(1, 100, upgrade(None), &["n1"], 100)]).await.unwrap();
    assert!(matches!(stage.outcome(1), FaultOutcome::Indeterminate(_)));
    assert_eq!(runs(&stage, "n1"), "a");
}

#[tokio::test(start_paused = true)]
async fn a_dealt_plan_rolls_every_node_to_the_newest_version_one_at_a_time() {
    for seed in 0..20 {
        let stage = Stage::of_versions(&["a", "b"], false);
        let spec = PlanSpec {
            families: vec![Family::Upgrade, Family::Partition],
            nodes: ["n1", "n2", "n3", "n4", "n5"].map(NodeName::from).to_vec(),
            time_limit: ms(10_000),
            interval: None,
            seed,
            timing: Timing::default(),
            versions: stage.versions.clone(),
        };
        let dealt = plan(&spec);
        let upgrades = dealt.iter().filter(|planned| planned.fault.family() == "upgrade").count();
        assert_eq!(upgrades, 5, "seed {seed}");

        stage.run(dealt).await.unwrap();

        stage.assert_healed();
        let all = stage.cluster.inner().versions.clone();
        assert!(all.values().all(|version| version == "b"), "seed {seed}: {all:?}");
        assert!(
            stage
                .faults()
                .values()
                .all(|fault| fault.family != "upgrade" || fault.nodes.len() == 1)
        );
    }
}

#[test]
fn upgrades_alone_end_with_the_last_node_and_where_one_may_go_back_they_do_not() {
    let count = |downgrade| {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let spec = PlanSpec {
            families: vec![Family::Upgrade],
            nodes: ["n1", "n2", "n3"].map(NodeName::from).to_vec(),
            time_limit: ms(20_000),
            interval: Some(ms(1000)),
            seed: 1,
            timing: Timing::default(),
            versions: squall_nemesis::Versions { names, downgrade },
        };
        plan(&spec).len()
    };
    assert_eq!(count(false), 3);
    assert!(count(true) > 10);
}
