//! Plans that go as planned.

use std::fmt::Write;

use squall_history::schedule::{
    Condition, Fault, FaultOutcome, Pick, Planned, Role, Shape, Target, Trigger,
};
use squall_history::{Nanos, NodeName};
use squall_nemesis::{Family, PlanSpec, Timing, Versions, plan};
use tokio::time::sleep;

use crate::fake::{HEAL_BY, Stage, at, isolate, lines_of, ms};

#[tokio::test(start_paused = true)]
async fn a_fault_is_installed_probed_healed_and_written_down() {
    let stage = Stage::set();

    let report = stage.run(vec![at(1, 500, Fault::Kill, &["n2"], 1000)]).await.unwrap();

    assert_eq!(stage.log(), ["500ms kill n2", "1502ms start n2"]);
    let fault = &stage.faults()[&1];
    assert_eq!(fault.text, "kill n2");
    assert_eq!(fault.outcome, FaultOutcome::Installed);
    assert_eq!(fault.healed, Some(FaultOutcome::Healed));
    assert_eq!(fault.from, Nanos::from(ms(502)));
    assert_eq!(fault.to, Some(Nanos::from(ms(1504))));
    assert_eq!(report.timeline().faults, std::slice::from_ref(fault));
    assert_eq!(lines_of(&report), 3);
    assert!(stage.schedule.text().contains("\"probe\":\"n2 is Killed\""));
    let commands = stage.commands.text();
    assert!(commands.contains("# 0.502 s  fault 1, install kill n2\ndo kill n2\n"), "{commands}");
    assert!(commands.contains("# 1.504 s  fault 1, heal kill n2\ndo start n2\n"), "{commands}");
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn the_faults_in_force_are_told_as_they_come_and_go() {
    let stage = Stage::set();
    let nemesis = stage
        .nemesis(vec![at(1, 100, Fault::Kill, &["n2"], 1000), at(2, 300, isolate(), &["n4"], 200)]);
    let mut in_force = nemesis.in_force();
    let run = tokio::spawn(nemesis.run(stage.acknowledged.subscribe(), stage.stop.subscribe()));

    let mut told = Vec::new();
    while in_force.changed().await.is_ok() {
        told.push(in_force.borrow_and_update().clone());
    }

    run.await.unwrap().unwrap();
    assert_eq!(told, ["kill n2", "kill n2; partition isolate n4", "kill n2", ""]);
}

#[tokio::test(start_paused = true)]
async fn every_fault_and_target_is_undone_command_by_command() {
    let shapes = Shape::ALL.map(|shape| Fault::Partition { shape });
    let hit_many = [Target::Minority, Target::Majority, Target::All, Target::Random];
    let mut story = String::new();
    for fault in [Fault::Kill, Fault::Pause].into_iter().chain(shapes) {
        let mut targets = vec![Target::One, Target::Leader, Target::NotLeader];
        if !matches!(fault, Fault::Partition { .. }) {
            targets.extend_from_slice(&hit_many);
        }
        for target in targets {
            let stage = Stage::set();
            let planned =
                Planned::new(1, Trigger::At(ms(0)), fault.clone(), target.clone(), ms(100));
            stage.run(vec![planned]).await.unwrap();
            stage.assert_healed();
            writeln!(story, "{fault}, {target:?}\n  {}", stage.log().join("\n  ")).unwrap();
        }
    }
    insta::assert_snapshot!(story);
}

#[tokio::test(start_paused = true)]
async fn a_stop_heals_what_is_in_force_and_skips_the_rest() {
    let stage = Stage::set();
    let plan = vec![
        at(1, 100, Fault::Kill, &["n1"], 5000),
        at(2, 200, Fault::Pause, &["n2"], 5000),
        at(3, 300, isolate(), &["n3"], 5000),
        at(4, 4000, Fault::Kill, &["n4"], 100),
    ];
    let stop = async {
        sleep(ms(1000)).await;
        stage.stop.send_replace(true);
    };

    let (report, ()) = tokio::join!(stage.run(plan), stop);

    stage.assert_healed();
    let healed = report.unwrap().healed;
    assert!(healed < Nanos::from(ms(1100)), "{healed}");
    assert_eq!(stage.outcome(4), FaultOutcome::Skipped("the run was stopped".into()));
    for id in 1..=3 {
        assert_eq!(stage.faults()[&id].healed, Some(FaultOutcome::Healed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_gone_counts_as_a_stop() {
    let mut stage = Stage::set();
    let nemesis = stage.nemesis(vec![at(1, 0, Fault::Kill, &["n1"], 5000)]);
    let run = tokio::spawn(nemesis.run(stage.acknowledged.subscribe(), stage.stop.subscribe()));
    sleep(ms(100)).await;

    stage.stop = tokio::sync::watch::Sender::new(false);

    assert!(run.await.unwrap().unwrap().healed < Nanos::from(ms(200)));
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn whatever_the_seed_a_dealt_plan_ends_healed_in_time() {
    for seed in 0..40 {
        let stage = Stage::set();
        let spec = PlanSpec {
            families: Family::COMMON.to_vec(),
            nodes: ["n1", "n2", "n3", "n4", "n5"].map(NodeName::from).to_vec(),
            time_limit: ms(10_000),
            interval: Some(ms(400)),
            seed,
            timing: Timing::default(),
            versions: Versions::default(),
        };

        let report = stage.run(plan(&spec)).await.unwrap();

        stage.assert_healed();
        assert!(report.healed <= Nanos::from(HEAL_BY + ms(50)), "seed {seed}: {}", report.healed);
        for (family, counts) in report.timeline().families {
            let told = counts.installed + counts.skipped + counts.indeterminate;
            assert_eq!(told, counts.planned, "seed {seed}: {family}");
            assert!(counts.installed > 0, "seed {seed}: {family} was never installed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_force_at_the_end_is_healed_by_then() {
    let stage = Stage::set();

    let report = stage.run(vec![at(1, 8000, Fault::Kill, &["n1"], 60_000)]).await.unwrap();

    assert!(report.healed < Nanos::from(HEAL_BY + ms(20)));
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_is_not_revived_by_the_end_of_its_pause() {
    let stage = Stage::set();

    let plan = vec![
        at(1, 100, Fault::Pause, &["n1"], 500),
        at(2, 300, Fault::Kill, &["n1"], 1000),
        at(3, 400, Fault::Pause, &["n1", "n2"], 100),
        at(4, 400, Fault::Kill, &["n1"], 100),
    ];
    stage.run(plan).await.unwrap();

    let on_n1: Vec<_> = stage.log().into_iter().filter(|line| line.ends_with("n1")).collect();
    assert_eq!(on_n1, ["100ms pause n1", "300ms kill n1", "1302ms start n1"]);
    let faults = stage.faults();
    assert_eq!(faults[&3].text, "pause n2");
    assert_eq!(faults[&4].outcome, FaultOutcome::Skipped("n1 is down already (fault 1, 2)".into()));
    assert!(stage.schedule.text().contains("n1 is still held (fault 2)"));
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn overlapping_partitions_cut_the_union() {
    let stage = Stage::set();
    let one_way = Fault::Partition { shape: Shape::OneWayIn };

    let plan = vec![
        at(1, 100, one_way.clone(), &["n1", "n2", "n3", "n4"], 400),
        at(2, 200, one_way, &["n2", "n3", "n4", "n5"], 800),
    ];
    stage.run(plan).await.unwrap();

    let from_n5 = " n5→n1 n5→n2 n5→n3 n5→n4";
    assert_eq!(
        stage.log(),
        [
            format!("100ms cut{from_n5}"),
            format!("200ms cut n1→n2 n1→n3 n1→n4 n1→n5{from_n5}"),
            "502ms cut n1→n2 n1→n3 n1→n4 n1→n5".to_owned(),
            "1002ms cut".to_owned(),
        ]
    );
    assert_eq!(stage.faults()[&2].cut.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_leader_is_asked_for_when_its_fault_begins() {
    let stage = Stage::set();
    let kill =
        |id, from| Planned::new(id, Trigger::At(ms(from)), Fault::Kill, Target::Leader, ms(100));
    let turn = async {
        sleep(ms(1000)).await;
        stage.leader("n4");
    };

    let (report, ()) = tokio::join!(stage.run(vec![kill(1, 500), kill(2, 1500)]), turn);

    report.unwrap();
    assert_eq!(stage.faults()[&1].text, "kill n1");
    assert_eq!(stage.faults()[&2].text, "kill n4");
    assert_eq!(stage.cluster.inner().asked, 2, "nobody else needed to know");
}

#[tokio::test(start_paused = true)]
async fn a_fault_may_wait_for_elections_acknowledgements_and_other_faults() {
    let stage = Stage::set();
    let after = |id, condition| {
        let trigger = Trigger::After(condition);
        Planned::new(id, trigger, Fault::Pause, Target::Nodes(vec!["n5".into()]), ms(50))
    };
    let plan = vec![
        after(1, Condition::Acknowledged(100)),
        after(2, Condition::LeaderElected(1)),
        Planned { delay: ms(30), ..after(3, Condition::Healed(2)) },
        after(4, Condition::Leads("n3".into())),
        after(5, Condition::LeaderElected(7)),
    ];
    let world = async {
        sleep(ms(1000)).await;
        stage.acknowledged.send_replace(99);
        sleep(ms(1000)).await;
        stage.acknowledged.send_replace(101);
        sleep(ms(1000)).await;
        stage.leader("n2");
        sleep(ms(1000)).await;
        stage.leader("n3");
    };

    let (report, ()) = tokio::join!(stage.run(plan), world);

    let faults = stage.faults();
    let began = |id| faults[&id].from.0 / 1_000_000;
    assert_eq!(began(1), 2002);
    assert!((3000..3100).contains(&began(2)), "{}", began(2));
    assert_eq!(faults[&3].from.0, faults[&2].to.unwrap().0 + 32_000_000);
    assert!((4000..4100).contains(&began(4)), "{}", began(4));
    let why = "everything is healed before the time limit".to_owned();
    assert_eq!(faults[&5].outcome, FaultOutcome::Skipped(why));
    assert_eq!(report.unwrap().leader_changes, 2);
}

#[tokio::test(start_paused = true)]
async fn a_recipe_follows_nodes_from_fault_to_fault() {
    let stage = Stage::set();
    let follower = Pick { who: Some(Role::Followers), count: Some(1), ..Pick::default() };
    let first = Planned {
        until: Some(Condition::Installed(2)),
        ..Planned::new(1, Trigger::At(ms(0)), Fault::Kill, Target::Pick(follower), ms(5000))
    };
    let second = Planned {
        delay: ms(100),
        ..Planned::new(
            2,
            Trigger::After(Condition::Installed(1)),
            Fault::Kill,
            Target::Leader,
            ms(300),
        )
    };
    let third = Planned::new(
        3,
        Trigger::After(Condition::LeadsAfter(1)),
        Fault::Kill,
        Target::Previous(1),
        ms(100),
    );
    let nemesis = stage.nemesis(vec![first, second, third]);
    let turn = async {
        sleep(ms(1000)).await;
        let follower = stage.faults()[&1].nodes[0].clone();
        stage.leader(&follower.0);
    };

    let (report, ()) = tokio::join!(stage.drive(nemesis), turn);

    report.unwrap();
    let faults = stage.faults();
    assert_eq!(faults[&2].text, "kill n1");
    assert_eq!(faults[&3].nodes, faults[&1].nodes);
    assert!(faults[&1].to.unwrap() < Nanos::from(ms(120)), "healed once the leader was killed");
    assert!(faults[&3].from > Nanos::from(ms(1000)));
    stage.assert_healed();
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_a_link_is_shaped_and_let_go() {
    let stage = Stage::set();
    let to = Box::new(Target::Nodes(vec!["n1".into(), "n2".into()]));
    let by = ms(300);
    let delay = Fault::Delay { to, by, jitter: ms(0), ramp: ms(0) };
    let report = stage.run(vec![at(1, 100, delay, &["n2", "n3"], 1000)]).await.unwrap();
    let log = stage.log();
    assert!(
        log[0].ends_with("delay n2→n1 by 300ms, delay n3→n1 by 300ms, delay n3→n2 by 300ms"),
        "{log:?}"
    );
    assert!(log[1].ends_with("let all traffic pass"), "{log:?}");
    assert_eq!(stage.outcome(1), FaultOutcome::Installed);
    assert_eq!(report.timeline().families["delay"].installed, 1);
    assert!(stage.cluster.inner().traffic.is_untouched());
}
