//! Nodes that leave the cluster and come back.

use squall_history::schedule::{Fault, FaultOutcome, Planned, Target, Trigger};
use squall_nemesis::{Family, PlanSpec, Timing, Versions, plan};

use crate::fake::{Stage, at, ms};

fn commands(stage: &Stage) -> Vec<String> {
    let words = |line: &String| line.split_once(' ').map(|(_, words)| words.to_owned());
    stage.log().iter().filter_map(words).collect()
}

fn skipped(stage: &Stage, id: u32) -> String {
    match stage.outcome(id) {
        FaultOutcome::Skipped(why) => why,
        other => panic!("fault {id}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_let_go_and_wiped_and_made_a_member_again_before_it_starts() {
    let stage = Stage::of_members();
    let report = stage.run(vec![at(1, 100, Fault::Member, &["n2"], 500)]).await.unwrap();
    stage.assert_healed();
    assert_eq!(commands(&stage), ["remove n2", "kill n2", "wipe n2", "add n2", "start n2"]);
    assert_eq!(stage.outcome(1), FaultOutcome::Installed);
    assert!(report.lost_members.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_by_itself_when_it_is_let_go_comes_back_in_time() {
    let stage = Stage::of_members();
    stage.cluster.inner().touchy = true;
    let plan =
        vec![at(1, 100, Fault::Member, &["n2"], 500), at(2, 900, Fault::Member, &["n3"], 500)];
    stage.run(plan).await.unwrap();
    stage.assert_healed();
    assert_eq!(stage.outcome(2), FaultOutcome::Installed, "n2 is back by then");
}

#[tokio::test(start_paused = true)]
async fn one_node_is_out_at_a_time_and_other_faults_leave_it_alone() {
    let stage = Stage::of_members();
    let plan = vec![
        at(1, 100, Fault::Member, &["n2"], 2000),
        at(2, 500, Fault::Member, &["n3"], 100),
        at(3, 700, Fault::Kill, &["n2"], 100),
        at(4, 3000, Fault::Member, &["n1", "n3"], 100),
    ];
    stage.run(plan).await.unwrap();
    stage.assert_healed();
    assert_eq!(skipped(&stage, 2), "n2 is out of the cluster already (fault 1)");
    assert_eq!(skipped(&stage, 3), "n2 is down already (fault 1)");
    assert_eq!(skipped(&stage, 4), "one node at a time");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_pause_outlasts_its_removal_is_made_a_member_before_it_starts() {
    let stage = Stage::of_members();
    let plan =
        vec![at(1, 100, Fault::Pause, &["n2"], 2000), at(2, 500, Fault::Member, &["n2"], 500)];
    stage.run(plan).await.unwrap();
    stage.assert_healed();
    let commands = commands(&stage);
    assert_eq!(commands, ["pause n2", "remove n2", "kill n2", "wipe n2", "add n2", "start n2"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_not_taken_back_is_tried_again_when_all_is_healed() {
    let stage = Stage::of_members();
    stage.cluster.inner().stubborn = 1;
    let report = stage.run(vec![at(1, 100, Fault::Member, &["n2"], 500)]).await.unwrap();
    stage.assert_healed();
    assert_eq!(commands(&stage).last().map(String::as_str), Some("start n2"));
    assert!(report.lost_members.is_empty());
    let text = stage.schedule.text();
    assert!(text.contains("n2 is not wanted"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_never_taken_back_is_named_and_does_not_fail_the_run() {
    let stage = Stage::of_members();
    stage.cluster.inner().stubborn = u32::MAX;
    let report = stage.run(vec![at(1, 100, Fault::Member, &["n2"], 500)]).await.unwrap();
    let [(node, why)] = &report.lost_members[..] else { panic!("{:?}", report.lost_members) };
    assert_eq!(&*node.0, "n2");
    assert!(why.contains("not wanted"), "{why}");
    assert!(!commands(&stage).iter().any(|line| line == "start n2"), "it is no member");
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_was_refused_leaves_the_node_and_one_in_doubt_is_settled_at_the_end() {
    let refused = Stage::of_members();
    refused.cluster.inner().broken = vec!["remove n2".into()];
    let report = refused.run(vec![at(1, 100, Fault::Member, &["n2"], 500)]).await.unwrap();
    assert!(matches!(refused.outcome(1), FaultOutcome::Indeterminate(_)));
    assert!(report.lost_members.is_empty());
    assert_eq!(commands(&refused), ["remove n2"]);

    // It is a member, so another one may go.
    let again = Stage::of_members();
    again.cluster.inner().broken = vec!["remove n2".into()];
    let plan =
        vec![at(1, 100, Fault::Member, &["n2"], 500), at(2, 900, Fault::Member, &["n3"], 500)];
    again.run(plan).await.unwrap();
    again.assert_healed();
    assert_eq!(again.outcome(2), FaultOutcome::Installed);

    // The answer was lost, and the others have let it go all the same.
    let doubtful = Stage::of_members();
    doubtful.cluster.inner().broken = vec!["remove n2".into()];
    doubtful.cluster.inner().out.insert("n2".into());
    doubtful.cluster.inner().leaderless = 3;
    let report = doubtful.run(vec![at(1, 100, Fault::Member, &["n2"], 500)]).await.unwrap();
    doubtful.assert_healed();
    assert!(report.lost_members.is_empty());
    assert_eq!(commands(&doubtful), ["remove n2", "kill n2", "wipe n2", "add n2", "start n2"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_system_whose_page_does_not_say_how_stay_members() {
    let stage = Stage::set();
    let trigger = Trigger::At(ms(100));
    let fault = Planned::new(1, trigger, Fault::Member, Target::Leader, ms(100));
    stage.run(vec![fault]).await.unwrap();
    assert_eq!(skipped(&stage, 1), "the system's page does not say how members change");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_seed_a_storm_with_changes_of_members_ends_with_the_founding_ones() {
    for seed in 0..30 {
        let stage = Stage::of_members();
        let spec = PlanSpec {
            families: vec![Family::Member, Family::Kill, Family::Pause, Family::Partition],
            nodes: ["n1", "n2", "n3", "n4", "n5"].map(Into::into).to_vec(),
            time_limit: ms(10_000),
            interval: Some(ms(400)),
            seed,
            timing: Timing::default(),
            versions: Versions::default(),
        };
        let report = stage.run(plan(&spec)).await.unwrap();
        stage.assert_healed();
        assert!(report.lost_members.is_empty(), "seed {seed}");
        assert!(stage.cluster.inner().out.is_empty(), "seed {seed}");
        assert!(report.timeline().families["member"].installed > 0, "seed {seed}");
    }
}
