//! The schedules in docs/schedules, run on a cluster whose elections are won by the longest log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use squall_cluster::{Cluster, NodeState};
use squall_history::NodeName;
use squall_history::schedule::FaultOutcome;
use squall_nemesis::schedule_file;
use tokio::time::sleep;

use crate::fake::{Fake, Stage, ms};

/// Lets a majority elect the node with the longest log; a leader stays while it runs. A leader's log grows by one entry
/// a moment, and so do those of its followers, so that one who is behind stays behind.
async fn elect(cluster: Arc<Fake>) {
    let nodes = cluster.nodes().to_vec();
    let mut logs: BTreeMap<NodeName, u32> = nodes.iter().map(|node| (node.clone(), 0)).collect();
    loop {
        let mut up = nodes.clone();
        up.retain(|node| cluster.state(node) == NodeState::Running);
        let mut leader = cluster.inner().leader.clone().filter(|leader| up.contains(leader));
        if leader.is_none() && up.len() * 2 > nodes.len() {
            leader = up.iter().max_by_key(|node| logs[*node]).cloned();
        }
        cluster.inner().leader.clone_from(&leader);
        let longest = leader.map_or(0, |leader| logs[&leader] + 1);
        for node in &up {
            logs.entry(node.clone()).and_modify(|log| *log = (*log + 1).min(longest).max(*log));
        }
        sleep(ms(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn figure_8_sets_its_scene_three_times() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schedules/figure8.jsonl");
    let stage = Stage::set();
    let file = schedule_file::load(&path, stage.cluster.nodes(), &[]).unwrap();
    let nemesis = stage.nemesis_until(file.plan, ms(45_000));
    let elections = tokio::spawn(elect(stage.cluster.clone()));

    let report = stage.drive(nemesis).await.unwrap();

    elections.abort();
    stage.assert_healed();
    let faults = stage.faults();
    assert_eq!(faults.len(), 18);
    for round in [0, 10, 20] {
        for (id, fault) in faults.range(round + 1..round + 7) {
            assert_eq!(fault.outcome, FaultOutcome::Installed, "fault {id}");
        }
        let hit = |id: u32| faults[&(round + id)].nodes.clone();
        let mut all = [hit(1), hit(2), hit(3), hit(4)].concat();
        all.sort();
        assert_eq!(all, stage.cluster.nodes(), "C and D, E, B, A");
        assert_eq!((hit(5), hit(6)), (hit(2), hit(4)));
    }
    assert!(report.healed.as_secs_f64() < 42.0, "{}", report.healed);
}
