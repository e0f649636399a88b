//! `squall check` on traces that other Rafts write: what was recorded is valid, what was damaged is invalid by the check
//! that is named, and no garbling brings the reader down.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use squall_checker::raft::Judge;
use squall_history::trace::import::{self, Format};

/// What a check said: its exit code, its lines for people, and its JSON.
struct Said {
    code: Option<i32>,
    text: String,
    json: Value,
}

impl Said {
    fn row(&self, claim: &str) -> &Value {
        let rows = self.json["rows"].as_array().expect("rows");
        rows.iter().find(|row| row["claim"] == claim).expect("a row of that claim")
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(name)
}

fn check(paths: &[PathBuf], args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    let output = command.arg("check").args(paths).args(args).arg("--json").output();
    let output = output.expect("squall starts");
    Said {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
        json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
    }
}

fn check_text(text: &str, args: &[&str]) -> Said {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace.ndjson");
    std::fs::write(&path, text).expect("the trace is written");
    check(&[path], args)
}

/// Checks that a damaged trace is invalid by this check, and that its evidence points to lines of the file.
fn must_break(text: &str, claim: &str) -> Said {
    let said = check_text(text, &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let row = said.row(claim);
    assert_eq!(row["verdict"], "invalid", "{}", said.text);
    let lines = text.lines().count() as u64;
    for evidence in row["evidence"].as_array().expect("evidence") {
        let line = evidence["line"].as_u64().expect("a line");
        assert!((1..=lines).contains(&line), "{evidence}");
        assert!(evidence["file"].as_str().is_some_and(|file| file.ends_with("trace.ndjson")));
    }
    said
}

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).expect("the fixture")
}

/// Returns the lines with more behind them.
fn with(text: &str, more: &[Value]) -> String {
    more.iter().fold(text.to_owned(), |text, line| text + &line.to_string() + "\n")
}

/// Returns the event of the last line of etcd's trace of which this is true.
fn last_event(text: &str, which: impl Fn(&Value) -> bool) -> Value {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut events = lines.map(|mut line| line["event"].take()).filter(which);
    events.by_ref().last().expect("such an event")
}

/// Says something else of a node than its last line does.
fn altered(event: &Value, alter: impl FnOnce(&mut Value)) -> Value {
    let mut event = event.clone();
    event["name"] = json!("Ready");
    alter(&mut event);
    json!({ "event": event })
}

/// A node begins with this term and log, stands for election, and wins.
fn usurper(nid: &str, term: u64, end: (u64, u64)) -> Vec<Value> {
    let event = |name: &str, term: u64, role: &str| {
        let vote = if role == "StateFollower" { "0" } else { nid };
        json!({"event": {
            "name": name, "nid": nid, "state": {"term": term, "vote": vote, "commit": 1},
            "role": role, "log": end.0, "conf": [["1", "2", "3"], []]
        }})
    };
    let mut asks = event("SendRequestVoteRequest", term, "StateCandidate");
    asks["event"]["msg"] = json!({
        "type": "MsgVote", "term": term, "from": nid, "to": "9", "entries": 0, "logTerm": end.1,
        "index": end.0, "commit": 0, "vote": "0", "reject": false, "rejectHint": 0
    });
    vec![
        event("InitState", 0, "StateFollower"),
        event("BecomeFollower", term - 1, "StateFollower"),
        event("BecomeCandidate", term, "StateCandidate"),
        asks,
        event("BecomeLeader", term, "StateLeader"),
    ]
}

#[test]
fn what_etcds_raft_recorded_is_valid_and_says_what_it_leaves_open() {
    let said = check(&[fixture("etcd-raft.ndjson")], &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let judged = [
        "election-safety",
        "leader-append-only",
        "log-matching",
        "leader-completeness",
        "state-machine-safety",
        "vote-once",
        "monotone-terms",
        "commit-rule",
        "truncate-not-committed",
    ];
    for claim in judged {
        assert_eq!(said.row(claim)["verdict"], "valid", "{claim}");
    }
    let open = [
        "commit-quorum",
        "true-acks",
        "ack-not-beyond-durable",
        "acknowledged-survive",
        "read-index",
    ];
    for claim in open {
        let row = said.row(claim);
        assert_eq!(row["verdict"], "not-judged", "{claim}");
        assert!(row["summary"].as_str().is_some_and(|why| !why.is_empty()), "{claim}");
    }
    assert_eq!(said.row("election-safety")["figures"]["leaders"], 2.0);
    assert!(said.text.contains("read as etcd-raft: 495 events of 3 nodes in 5 boots"));
    assert!(
        said.text
            .contains("not judged  log-matching             commands: the trace has no hashes")
    );
}

#[test]
fn a_recorded_node_that_never_saves_its_term_is_found_out() {
    must_break(&read("etcd-raft-forgets.ndjson"), "monotone-terms");
}

#[test]
fn a_second_leader_in_a_term_is_invalid() {
    let text = read("etcd-raft.ndjson");
    let leader = last_event(&text, |event| event["name"] == "BecomeLeader");
    let (term, first) = (leader["state"]["term"].as_u64().expect("a term"), &leader["nid"]);
    let second = if first == "1" { "2" } else { "1" };
    let last = last_event(&text, |event| event["nid"] == second);
    let end = (last["log"].as_u64().expect("an index"), term);
    let said = must_break(&with(&text, &usurper(second, term, end)), "election-safety");
    assert!(said.text.contains(&format!("both lead term {term}")), "{}", said.text);
}

#[test]
fn a_log_that_ends_before_what_its_node_had_committed_is_invalid() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["state"]["commit"].as_u64() > Some(10));
    let back = altered(&last, |event| event["log"] = json!(5));
    must_break(&with(&text, &[back]), "truncate-not-committed");
}

#[test]
fn a_term_that_goes_back_within_a_boot_is_invalid() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["state"]["term"].as_u64() > Some(1));
    let back = altered(&last, |event| event["state"]["term"] = json!(1));
    must_break(&with(&text, &[back]), "monotone-terms");
}

#[test]
fn a_vote_that_changes_within_a_term_is_invalid() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["state"]["vote"] == "2" && event["nid"] == "1");
    let other = altered(&last, |event| event["state"]["vote"] = json!("3"));
    let said = must_break(&with(&text, &[other]), "vote-once");
    assert!(said.text.contains("n1 voted for n2 and for n3 in term"), "{}", said.text);
}

#[test]
fn a_leader_without_what_was_committed_before_is_invalid() {
    let text = read("etcd-raft.ndjson");
    must_break(&with(&text, &usurper("1", 9, (4, 1))), "leader-completeness");
}

#[test]
fn a_leader_that_counts_replicas_of_an_older_term_is_invalid() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["role"] == "StateLeader");
    let (term, end) = (last["state"]["term"].as_u64(), last["log"].as_u64());
    let (term, end) = (term.expect("a term"), end.expect("an index"));
    let mut lines = usurper("1", 9, (end, term));
    let mut counts = lines[4].clone();
    counts["event"]["name"] = json!("Commit");
    counts["event"]["state"]["commit"] = json!(end);
    lines.push(counts);
    must_break(&with(&text, &lines), "commit-rule");
}

#[test]
fn a_leader_whose_older_entries_follow_others_than_they_did_is_invalid() {
    let text = read("etcd-raft.ndjson");
    // The second leader of the trace began its term behind index 8, of an entry of term 1.
    let mut lines = usurper("1", 9, (20, 3));
    for (index, term) in [(8, 2), (9, 3)] {
        let mut sends = lines[4].clone();
        sends["event"]["name"] = json!("SendAppendEntriesRequest");
        sends["event"]["msg"] = lines[3]["event"]["msg"].clone();
        sends["event"]["msg"]["type"] = json!("MsgApp");
        sends["event"]["msg"]["index"] = json!(index);
        sends["event"]["msg"]["logTerm"] = json!(term);
        lines.push(sends);
    }
    must_break(&with(&text, &lines), "log-matching");
}

#[test]
fn a_vote_that_never_left_its_node_may_be_given_again_after_a_crash() {
    let text = read("etcd-raft.ndjson");
    let mut lines = usurper("1", 9, (20, 3));
    lines.truncate(4);
    // n1 voted for itself in term 9, in memory. It crashes, comes back in term 8, and votes for n2.
    lines.extend(usurper("1", 9, (20, 3)).into_iter().take(2));
    let mut votes = lines[5].clone();
    votes["event"]["name"] = json!("Ready");
    votes["event"]["state"] = json!({"term": 9, "vote": "2", "commit": 1});
    lines.push(votes);
    let said = check_text(&with(&text, &lines), &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn a_candidate_whose_last_entry_was_replaced_by_another_may_stand_again() {
    let text = read("etcd-raft.ndjson");
    let mut lines = usurper("1", 9, (22, 3));
    lines.pop();
    // n1 loses, and as a follower has 22@3 replaced by 22@9 of the leader of term 9: its log is as long as before.
    let mut follows = lines[1].clone();
    follows["event"]["state"] = json!({"term": 9, "vote": "1", "commit": 1});
    lines.push(follows);
    lines.extend(usurper("1", 10, (22, 9)).into_iter().skip(2));
    let mut replicates = lines.last().expect("a line").clone();
    replicates["event"]["name"] = json!("Ready");
    replicates["event"]["log"] = json!(23);
    lines.push(replicates);
    let said = check_text(&with(&text, &lines), &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn an_answer_to_a_stale_leader_makes_no_leader_of_it() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["nid"] == "1");
    let term = &last["state"]["term"];
    let answer = altered(&last, |event| {
        event["name"] = json!("SendAppendEntriesResponse");
        event["msg"] = json!({
            "type": "MsgAppResp", "term": term, "from": "1", "to": "3", "entries": 0, "logTerm": 0,
            "index": 0, "commit": 0, "vote": "0", "reject": false, "rejectHint": 0
        });
    });
    let said = check_text(&with(&text, &[answer]), &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn a_file_a_node_is_judged_as_one_trace_in_any_order() {
    let text = read("etcd-raft.ndjson");
    let dir = tempfile::tempdir().expect("a directory");
    let of_node = |nid: &str| {
        let name = format!("\"nid\":\"{nid}\"");
        let lines = text.lines().filter(|line| line.contains(&name));
        let path = dir.path().join(format!("{nid}.ndjson"));
        let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
        std::fs::write(&path, lines).expect("a file is written");
        path
    };
    for order in [["1", "2", "3"], ["3", "1", "2"], ["2", "3", "1"]] {
        let said = check(&order.map(of_node), &[]);
        assert_eq!(said.code, Some(0), "{}", said.text);
        assert!(said.text.contains("495 events of 3 nodes in 5 boots"), "{}", said.text);
    }
}

#[test]
fn what_ccf_would_write_is_valid_and_its_dropped_suffix_is_no_fault() {
    let said = check(&[fixture("ccf-raft.ndjson")], &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text.contains("read as ccf-raft: 65 events of 3 nodes in 3 boots"),
        "{}",
        said.text
    );
    assert_eq!(said.row("election-safety")["figures"]["leaders"], 2.0);
    assert_eq!(said.row("truncate-not-committed")["figures"]["truncations"], 1.0);
    assert_eq!(said.row("vote-once")["figures"]["votes"], 3.0);
    assert_eq!(said.row("commit-rule")["verdict"], "valid");
}

/// Returns a line of CCF's trace.
fn ccf(function: &str, node: &str, state: (u64, u64, u64), role: &str, more: Value) -> Value {
    let (view, last, commit) = state;
    let mut message = json!({"function": function, "state": {
        "node_id": node, "current_view": view, "last_idx": last, "commit_idx": commit,
        "leadership_state": role, "membership_state": "Active", "committable_indices": []
    }});
    let fields = more.as_object().expect("fields").clone();
    message.as_object_mut().expect("a message").extend(fields);
    json!({"tag": "raft_trace", "h_ts": "99", "msg": message})
}

#[test]
fn damaged_traces_of_ccf_are_invalid_by_name() {
    let text = read("ccf-raft.ndjson");
    let asks = json!({"to_node_id": "0", "packet": {
        "msg": "raft_request_vote", "term": 3, "last_committable_idx": 5, "term_of_last_committable_idx": 3
    }});
    let granted = json!({"from_node_id": "0", "packet": {
        "msg": "raft_request_vote_response", "term": 3, "vote_granted": true
    }});
    let second = [
        ccf("become_candidate", "2", (3, 5, 4), "Candidate", json!({})),
        ccf("send_request_vote", "2", (3, 5, 4), "Candidate", asks),
        ccf("become_leader", "2", (3, 5, 4), "Leader", json!({})),
    ];
    must_break(&with(&text, &second), "election-safety");
    let back = ccf("become_follower", "1", (3, 3, 5), "Follower", json!({}));
    must_break(&with(&text, &[back]), "truncate-not-committed");
    let earlier = ccf("become_follower", "2", (2, 5, 4), "Follower", json!({}));
    must_break(&with(&text, &[earlier]), "monotone-terms");
    let twice = ["1", "2"].map(|candidate| {
        ccf("recv_request_vote_response", candidate, (3, 5, 4), "Candidate", granted.clone())
    });
    must_break(&with(&text, &twice), "vote-once");
}

#[test]
fn a_pre_vote_of_ccf_binds_nobody() {
    let text = read("ccf-raft.ndjson");
    let granted = json!({"from_node_id": "0", "packet": {
        "msg": "raft_request_pre_vote_response", "term": 3, "vote_granted": true
    }});
    let twice = ["1", "2"].map(|candidate| {
        ccf("recv_request_vote_response", candidate, (3, 5, 4), "PreVoteCandidate", granted.clone())
    });
    let said = check_text(&with(&text, &twice), &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn a_history_from_a_pipe_is_read_once() {
    let text = "{\"squall\":\"history/1\"}\n".to_owned()
        + r#"{"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}"#
        + "\n"
        + r#"{"time":2,"process":0,"type":"ok","f":"write","key":"x","value":1}"#
        + "\n";
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("h");
    std::fs::write(&path, text).expect("a history is written");
    let squall = env!("CARGO_BIN_EXE_squall");
    let line = format!("cat {} | {squall} check /dev/stdin --model register", path.display());
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("1 writes"), "{text}");
}

#[test]
fn our_own_traces_are_judged_without_a_run() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/exhibits/figure8/trace");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(run)
        .expect("an exhibit")
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    let said = check(&paths, &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert_eq!(said.row("commit-rule")["verdict"], "invalid", "{}", said.text);
}

#[test]
fn bad_input_names_the_line_and_what_to_do() {
    let text = read("etcd-raft.ndjson");
    let broken = text.replacen("\n{", "\nhello {", 3);
    let said = check_text(&broken, &[]);
    assert_eq!(said.code, Some(64), "{}", said.text);
    assert!(said.text.contains("trace.ndjson:2: expected"), "{}", said.text);

    let event = text.lines().next().expect("a line").replace("\"commit\":1", "\"commit\":\"one\"");
    let said = check_text(&(event + "\n"), &[]);
    assert_eq!(said.code, Some(64), "{}", said.text);
    assert!(said.text.contains("trace.ndjson:1:"), "{}", said.text);

    let said = check_text("{\"level\":\"info\"}\n", &["--format", "etcd-raft"]);
    assert_eq!(said.code, Some(64), "{}", said.text);
    assert!(said.text.contains("not one event"), "{}", said.text);

    let said = check_text(&text, &["--format", "etcd-raff"]);
    assert_eq!(said.code, Some(64), "{}", said.text);
    assert!(said.text.contains("did you mean etcd-raft?"), "{}", said.text);

    let said = check(&[fixture("etcd-raft.ndjson"), fixture("ccf-raft.ndjson")], &[]);
    assert_eq!(said.code, Some(64), "{}", said.text);
    assert!(said.text.contains("is etcd-raft, and"), "{}", said.text);

    let said = check_text(&text, &["--model", "cas-register"]);
    assert_eq!(said.code, Some(64), "{}", said.text);
}

#[test]
fn what_is_not_understood_is_counted_and_never_held_against_anybody() {
    let text = read("etcd-raft.ndjson");
    let last = last_event(&text, |event| event["nid"] == "2");
    let unknown = altered(&last, |event| {
        event["name"] = json!("Ponder");
        event["state"] = json!({"term": 0, "vote": "3", "commit": 0});
        event["log"] = json!(0);
    });
    let other = json!({"level": "info", "msg": "elected"});
    let torn = with(&text, &[unknown.clone(), other, unknown]) + "{\"event\":{\"name\":\"Re";
    let said = check_text(&torn, &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text.contains("events of unknown kinds were skipped: Ponder (2)"),
        "{}",
        said.text
    );
    assert!(said.text.contains("no events of a trace were skipped: 1"), "{}", said.text);
    assert!(said.text.contains("trace.ndjson:499: the last line is cut off"), "{}", said.text);
}

/// A small generator of the same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn garbled_traces_are_read_or_refused_and_judged_without_a_panic() {
    let mut dice = Dice(7);
    let (mut read_whole, mut refused) = (0, 0);
    for (name, format) in
        [("etcd-raft.ndjson", Format::EtcdRaft), ("ccf-raft.ndjson", Format::CcfRaft)]
    {
        let lines: Vec<String> = read(name).lines().map(str::to_owned).collect();
        for _ in 0..150 {
            let garbled = garble(&lines, &mut dice);
            match import::read_bytes(Path::new(name), &garbled, format) {
                Ok(import) => {
                    for trace in &import.boots {
                        assert!(trace.lines.is_sorted_by(|(_, one), (_, two)| one.seq < two.seq));
                    }
                    let mut judge = Judge::new(import.nodes());
                    import.boots.iter().for_each(|trace| judge.feed_trace(name, trace));
                    judge.finish(None, 0);
                    read_whole += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read_whole > 50 && refused > 50, "{read_whole} read, {refused} refused");
}

/// Drops, doubles and moves lines, changes digits, and now and then a byte; cuts the end off.
fn garble(lines: &[String], dice: &mut Dice) -> Vec<u8> {
    let mut lines = lines.to_vec();
    for _ in 0..1 + dice.below(8) {
        let (one, two) = (dice.below(lines.len()), dice.below(lines.len()));
        match dice.below(4) {
            0 => drop(lines.remove(one)),
            1 => lines.swap(one, two),
            2 => lines.insert(one, lines[two].clone()),
            _ => lines[one] = digits(&lines[one], dice),
        }
    }
    let mut bytes = (lines.join("\n") + "\n").into_bytes();
    if dice.below(2) == 0 {
        let at = dice.below(bytes.len());
        bytes[at] = dice.below(256) as u8;
    }
    if dice.below(2) == 0 {
        bytes.truncate(dice.below(bytes.len()));
    }
    bytes
}

fn digits(line: &str, dice: &mut Dice) -> String {
    let mut change = |letter: char| match letter.is_ascii_digit() && dice.below(6) == 0 {
        true => char::from(b'0' + dice.below(10) as u8).to_string(),
        false => letter.to_string(),
    };
    line.chars().map(&mut change).collect()
}
