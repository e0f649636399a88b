//! Traces of simulated clusters, told by the same [`Recorder`] that a real node writes with.
//!
//! The simulation stands for network, disk and clients; what each node would have written at each moment is recorded.
//! So a broken rule leaves the trace that a real node with that rule would leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use squall_raft_core::simulation::{Observer, Scenario, StepRecord, Violation, run};
use squall_raft_core::{
    Answer, Config, Effects, Envelope, Index, Input, Membership, Message, NodeId, Paper, Position,
    Raft, Recovered, Term,
};
use squall_raft_node::TICK;
use squall_raft_node::rules::ShellRules;
use squall_raft_node::trace::{Asked, Recorder};

/// What a node wrote in one boot: `n1.0.jsonl` and its lines.
pub(crate) type Files = BTreeMap<String, String>;

/// Records every node of a scenario, up to a time.
pub(crate) struct Recording {
    membership: Membership,
    shell: Arc<dyn ShellRules>,
    /// Nothing that happens later, in simulated microseconds, is recorded: as if all nodes were killed then.
    until: u64,
    now: u64,
    traces: BTreeMap<(NodeId, u32), (Recorder, Vec<u8>)>,
}

impl Recording {
    pub(crate) fn new(servers: u64, shell: Arc<dyn ShellRules>, until: u64) -> Recording {
        let membership = (1..=servers).map(NodeId).collect();
        Recording { membership, shell, until, now: 0, traces: BTreeMap::new() }
    }

    /// Returns what was written, by file.
    pub(crate) fn files(mut self) -> Files {
        self.traces.values_mut().for_each(|(recorder, lines)| lines.append(&mut recorder.take()));
        let named = self.traces.into_iter().map(|((node, boot), (_, lines))| {
            (format!("{node}.{boot}.jsonl"), String::from_utf8(lines).expect("JSON is UTF-8"))
        });
        named.collect()
    }

    /// Returns the trace of a boot, where it is recorded still.
    fn recorder(&mut self, record: &StepRecord) -> Option<&mut Recorder> {
        self.now = record.time;
        if record.time > self.until {
            return None;
        }
        self.traces.get_mut(&(record.node, record.boot)).map(|(recorder, _)| recorder)
    }
}

impl Observer for Recording {
    fn on_boot(&mut self, node: NodeId, boot: u32, recovered: &Recovered) {
        if self.now > self.until {
            return;
        }
        let mut recorder = Recorder::new(node, boot);
        recorder.boot(self.now * 1000, recovered, &self.membership);
        self.traces.insert((node, boot), (recorder, Vec::new()));
    }

    fn on_step(&mut self, record: &StepRecord) {
        let shell = Arc::clone(&self.shell);
        let Some(recorder) = self.recorder(record) else { return };
        let Effects { transitions, persist, send, .. } = &record.effects;
        recorder.changed(record.time * 1000, transitions, persist);
        for envelope in send.iter().filter(|one| !shell.waits_for_disk(&one.message)) {
            recorder.sends(record.time * 1000, envelope, asked(&record.input));
        }
    }

    fn on_durable(&mut self, record: &StepRecord) {
        let shell = Arc::clone(&self.shell);
        let Some(recorder) = self.recorder(record) else { return };
        let Effects { transitions, persist, send, apply, answer, .. } = &record.effects;
        let time = record.time * 1000;
        let hard_state = persist.hard_state.map(|hard_state| shell.persists(hard_state));
        recorder.synced(time, hard_state, persist.append.last().map(|entry| entry.index.0));
        for envelope in send.iter().filter(|one| shell.waits_for_disk(&one.message)) {
            recorder.sends(time, envelope, asked(&record.input));
        }
        recorder.committed(time, transitions);
        apply.iter().for_each(|entry| recorder.applied(time, entry));
        for one in answer {
            if let Answer::ReadReady { token, index, term } = one {
                recorder.read_index(time, token.0, index.0, term.0);
            }
        }
    }
}

fn asked(input: &Input) -> Option<Asked> {
    match input {
        Input::Receive(envelope) => Asked::of(envelope),
        Input::Tick | Input::Propose { .. } | Input::Read { .. } | Input::Persisted { .. } => None,
    }
}

/// Runs a scenario, with three servers unless it says otherwise, and records it up to a time in simulated microseconds.
/// Its disks sync at once, as a node waits for its own, and it goes on after a violation.
pub(crate) fn record(
    scenario: Scenario,
    shell: Arc<dyn ShellRules>,
    until: u64,
) -> (Files, Option<Violation>) {
    let servers = scenario.servers.unwrap_or(3);
    let scenario = Scenario {
        servers: Some(servers),
        instant_disk: true,
        keep_going: true,
        storm_ms: scenario.storm_ms.min(until / 1000 + 1),
        ..scenario
    };
    let mut recording = Recording::new(servers, shell, until);
    let report = run(&scenario, &mut recording);
    (recording.files(), report.violations.into_iter().min_by_key(|violation| violation.time))
}

/// Records the third of three servers: it votes for the first, is killed, and is asked by the second for a vote in the
/// same term. What it remembers is what the shell's rules let it persist.
pub(crate) fn record_voter_restart(shell: Arc<dyn ShellRules>) -> Files {
    let mut recording = Recording::new(3, Arc::clone(&shell), u64::MAX);
    let mut recovered = Recovered::default();
    for (boot, candidate) in [(0, NodeId(1)), (1, NodeId(2))] {
        let voter = NodeId(3);
        recording.on_boot(voter, boot, &recovered);
        let mut config = Config::new(voter, recording.membership.clone(), TICK);
        config.check_quorum = false;
        let mut raft = Raft::new(config, Arc::new(Paper), recovered.clone(), 1);
        let (last_log_index, last_log_term) = (Index(0), Term(0));
        let message = Message::RequestVote { last_log_index, last_log_term, pre_vote: false };
        let envelope = Envelope { from: candidate, to: voter, term: Term(1), message };
        let (before, input) = (raft.status(), Input::Receive(envelope));
        let effects = raft.step(input.clone());
        if let Some(hard_state) = effects.persist.hard_state {
            recovered.hard_state = shell.persists(hard_state);
        }
        let (after, prev, time) = (raft.status(), Position::default(), 1_000);
        let record = StepRecord { node: voter, boot, time, before, input, effects, after, prev };
        recording.on_step(&record);
        recording.on_durable(&record);
    }
    recording.files()
}
