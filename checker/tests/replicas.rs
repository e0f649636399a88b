//! What nodes say of their own states, compared where that is sound.

use squall_checker::{Row, Verdict, replicas};
use squall_history::Nanos;
use squall_history::log::{Applied, Command, Entry, Header, Log, Positions};
use squall_history::states::{Answer, State, States};

/// What a node answered, or why it did not.
fn answer(node: &str, state: Result<State, &str>) -> Answer {
    Answer { node: node.into(), time: Nanos(9), state: state.map_err(str::to_owned) }
}

fn at(position: u64, digest: &str) -> State {
    let version = Some("3.5.1".to_owned());
    State { position, compacted: Some(-1), version, digest: digest.to_owned() }
}

fn judged(answers: Vec<Answer>, log: Option<&Log>) -> Row {
    let states = States::new(Positions::Revision, answers);
    // What is judged comes from a file.
    let states = States::read(states.to_text().as_bytes()).expect("what was written is read");
    replicas::judge(&states, log)
}

fn log(elsewhere: bool, missing: bool, applied: [u64; 2]) -> Log {
    let entry = Entry { index: 1, term: 2, command: Command::Nothing };
    let [n1, n2] = applied;
    let applied = [("n1", n1), ("n2", n2)];
    let applied = applied.map(|(node, index)| Applied { node: node.into(), index, position: 1 });
    let header = Header {
        squall: squall_history::log::FORMAT.to_owned(),
        node: Some("n1".into()),
        positions: Positions::Revision,
        committed: 1,
        applied: applied.into(),
        lacks: Vec::new(),
        alive: Vec::new(),
        gone: Vec::new(),
        missing: missing.then(|| "n3: it is gone".to_owned()).into_iter().collect(),
    };
    let other = Entry { term: 1, ..entry.clone() };
    let elsewhere = elsewhere.then(|| ("n2".into(), other)).into_iter().collect();
    Log { header, entries: vec![entry], elsewhere }
}

#[test]
fn equal_digests_at_one_position_are_one_state() {
    let row = judged(["n1", "n2", "n3"].map(|node| answer(node, Ok(at(118, "ab")))).into(), None);
    assert_eq!(row.verdict, Verdict::Valid);
    assert_eq!(row.summary, "n1, n2 and n3 are in one state at revision 118");
    assert!(row.not_judged.is_empty(), "{row:?}");
}

#[test]
fn different_digests_at_one_position_are_a_violation_that_names_who_differs() {
    let answers = [("n1", "ab"), ("n2", "cd"), ("n3", "ab")];
    let row = judged(answers.map(|(node, digest)| answer(node, Ok(at(118, digest)))).into(), None);
    assert_eq!(row.verdict, Verdict::Invalid);
    let told = "at revision 118 the states differ: n2 has cd, n1 and n3 have ab";
    assert_eq!(row.summary, told);
    let lines: Vec<u64> = row.evidence.iter().map(|line| line.line).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn a_damaged_answer_of_any_node_is_found_out() {
    for damaged in ["n1", "n2", "n3"] {
        let digest = |node: &str| if node == damaged { "ac" } else { "ab" };
        let answers = ["n1", "n2", "n3"].map(|node| answer(node, Ok(at(118, digest(node)))));
        let row = judged(answers.into(), None);
        assert_eq!(row.verdict, Verdict::Invalid);
        assert!(row.summary.contains(&format!(": {damaged} has ac, ")), "{row:?}");
    }
}

#[test]
fn states_at_different_positions_contradict_nobody() {
    let row = judged(
        vec![
            answer("n1", Ok(at(118, "ab"))),
            answer("n2", Ok(at(117, "cd"))),
            answer("n3", Ok(at(118, "ab"))),
        ],
        None,
    );
    assert_eq!(row.verdict, Verdict::Valid);
    assert_eq!(row.summary, "n1 and n3 are in one state at revision 118");
    let why = "n2: nobody else told the state at revision 117, compacted -1, version 3.5.1";
    assert_eq!(row.not_judged, [why]);
}

#[test]
fn a_digest_after_another_compaction_covers_other_states() {
    let compacted = State { compacted: Some(40), ..at(118, "cd") };
    let row = judged(vec![answer("n1", Ok(at(118, "ab"))), answer("n2", Ok(compacted))], None);
    assert_eq!(row.verdict, Verdict::NotJudged);
    assert_eq!(row.summary, "no two nodes told their state at one position");
    assert_eq!(row.not_judged.len(), 2);
}

#[test]
fn another_version_may_compute_another_digest() {
    let newer = State { version: Some("3.7.3".to_owned()), ..at(118, "cd") };
    let row = judged(vec![answer("n1", Ok(at(118, "ab"))), answer("n2", Ok(newer))], None);
    assert_eq!(row.verdict, Verdict::NotJudged);
}

#[test]
fn who_could_not_be_asked_is_named_and_is_no_violation() {
    let dead = answer("n3", Err("refused"));
    let row = judged(
        vec![answer("n1", Ok(at(9, "ab"))), answer("n2", Ok(at(9, "ab"))), dead.clone()],
        None,
    );
    assert_eq!(
        (row.verdict, &row.not_judged[..]),
        (Verdict::Valid, &["n3: refused".to_owned()][..])
    );
    let row = judged(vec![answer("n1", Ok(at(9, "ab"))), dead.clone(), dead], None);
    assert_eq!(row.verdict, Verdict::NotJudged, "one node alone proves nothing");
}

#[test]
fn one_node_that_answers_twice_proves_nothing_of_replicas() {
    let twice = vec![answer("n1", Ok(at(9, "ab"))), answer("n1", Ok(at(9, "ab")))];
    assert_eq!(judged(twice, None).verdict, Verdict::NotJudged);
}

#[test]
fn equal_logs_are_named_only_where_every_log_was_read_and_none_has_more() {
    let told = |log: &Log| {
        let answers = vec![answer("n1", Ok(at(9, "ab"))), answer("n2", Ok(at(9, "cd")))];
        let row = judged(answers, Some(log));
        assert_eq!(row.verdict, Verdict::Invalid);
        row.summary.split_once("; ").map(|(_, said)| said.to_owned())
    };
    let equal = "the logs are equal, and all of them is applied up to 7".to_owned();
    assert_eq!(told(&log(false, false, [7, 7])), Some(equal));
    assert_eq!(told(&log(false, false, [7, 8])), Some("the logs agree".to_owned()));
    assert_eq!(told(&log(true, false, [7, 7])), None);
    assert_eq!(told(&log(false, true, [7, 7])), None);
}
