//! What the judge says of small histories written by hand.

use std::time::{Duration, Instant};

use squall_checker::generate::{self, Shape};
use squall_checker::{
    Budget, Call, FailedCas, Judgement, Model, ModelKind, NilRead, Reading, Verdict, check, judge,
    verify,
};
use squall_history::{Claim, F, History, Outcome, Value, jsonl};

/// Reads a history of lines such as `0 invoke write 5`, `0 ok write 5`; keys, times and errors are filled in.
fn history(lines: &[&str]) -> History {
    let mut text = format!("{{\"squall\":\"{}\"}}\n", jsonl::FORMAT);
    for (n, line) in lines.iter().enumerate() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (process, kind, f, value) = (word(), word(), word(), word());
        let value = if value.is_empty() { "null" } else { value };
        let (value, extra) = value.split_once(' ').unwrap_or((value, ""));
        let error =
            if kind == "fail" || kind == "info" { r#","error":"precondition""# } else { "" };
        text += &format!(
            r#"{{"time":{n},"process":{process},"type":"{kind}","f":"{f}","key":"x","value":{value}{error}{extra}}}"#
        );
        text += "\n";
    }
    jsonl::read(text.as_bytes()).expect("well formed").history
}

fn judged(model: ModelKind, lines: &[&str]) -> Judgement {
    judge(&history(lines), model, &Reading::default(), &Budget::unlimited())
}

#[test]
fn a_stale_read_is_told_in_one_sentence_with_its_lines() {
    let judgement = judged(
        ModelKind::Register,
        &[
            "0 invoke write 4",
            "0 ok write 4",
            "0 invoke write 5",
            "0 ok write 5",
            "1 invoke read",
            "1 ok read 4",
        ],
    );
    assert_eq!(judgement.verdict, Verdict::Invalid);
    let rows = judgement.rows("history.jsonl");
    assert_eq!(rows[0].claim, Claim::Linearizable);
    assert_eq!(rows[0].key.as_deref(), Some("x"));
    assert_eq!(
        rows[0].summary,
        "read of 4 by process 1 began after write of 5 was acknowledged, and nobody wrote it again"
    );
    let lines: Vec<u64> = rows[0].evidence.iter().map(|evidence| evidence.line).collect();
    assert_eq!(lines, [2, 4, 6]);
}

#[test]
fn a_failed_cas_that_could_not_fail_is_a_violation_unless_it_is_dropped() {
    let lines = ["0 invoke write 4", "0 ok write 4", "1 invoke cas [4,5]", "1 fail cas [4,5]"];
    assert_eq!(judged(ModelKind::CasRegister, &lines).verdict, Verdict::Invalid);
    let reading = Reading { failed_cas: FailedCas::Dropped, ..Reading::default() };
    let dropped = judge(&history(&lines), ModelKind::CasRegister, &reading, &Budget::unlimited());
    assert_eq!(dropped.verdict, Verdict::Valid);
}

#[test]
fn a_read_of_nil_after_a_write_is_a_violation_unless_nil_is_unknown() {
    let lines = ["0 invoke write 4", "0 ok write 4", "1 invoke read", "1 ok read null"];
    assert_eq!(judged(ModelKind::Register, &lines).verdict, Verdict::Invalid);
    let reading = Reading { nil_read: NilRead::Unknown, ..Reading::default() };
    let vague = judge(&history(&lines), ModelKind::Register, &reading, &Budget::unlimited());
    assert_eq!(vague.verdict, Verdict::Valid);
}

#[test]
fn a_write_in_doubt_may_be_read_late_or_never() {
    let late = ["0 invoke write 4", "0 info write 4", "1 invoke read", "1 ok read 4"];
    assert_eq!(judged(ModelKind::Register, &late).verdict, Verdict::Valid);
    let never = ["0 invoke write 4", "0 info write 4", "1 invoke read", "1 ok read null"];
    assert_eq!(judged(ModelKind::Register, &never).verdict, Verdict::Valid);
}

#[test]
fn equal_requests_take_effect_at_most_once() {
    let request = r#" ,"request":"1-1""#;
    let lines = [
        &format!("0 invoke append 1{request}"),
        &format!("0 info append 1{request}"),
        &format!("1 invoke append 1{request}"),
        &format!("1 ok append 1{request}"),
        "1 invoke read",
        "1 ok read [1,1]",
    ];
    assert_eq!(judged(ModelKind::ListAppend, &lines).verdict, Verdict::Invalid);
    let once = [lines[0], lines[1], lines[2], lines[3], "1 invoke read", "1 ok read [1]"];
    assert_eq!(judged(ModelKind::ListAppend, &once).verdict, Verdict::Valid);
}

#[test]
fn attempts_at_one_request_that_took_two_elements_took_effect_twice() {
    let request = r#" ,"request":"1-1""#;
    let asked = format!("invoke dequeue null{request}");
    let attempts = |second: &str| {
        let first = [
            "0 invoke enqueue 1".to_owned(),
            "0 ok enqueue 1".to_owned(),
            "0 invoke enqueue 2".to_owned(),
            "0 ok enqueue 2".to_owned(),
            format!("1 {asked}"),
            format!("2 {asked}"),
            format!("1 ok dequeue 1{request}"),
        ];
        let lines: Vec<String> = first.into_iter().chain([second.to_owned()]).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        judged(ModelKind::FifoQueue, &lines)
    };
    assert_eq!(attempts(&format!("2 ok dequeue 1{request}")).verdict, Verdict::Valid);
    let twice = attempts(&format!("2 ok dequeue 2{request}"));
    assert_eq!(twice.verdict, Verdict::Invalid);
    assert_eq!(
        twice.rows("f")[0].summary,
        "attempts at request 1-1 (dequeue) returned 1 to process 1 and 2 to process 2: it took effect twice"
    );
}

#[test]
fn a_history_of_failures_alone_is_unknown() {
    for lines in [&[][..], &["0 invoke write 4", "0 fail write 4"]] {
        let judgement = judged(ModelKind::Register, lines);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.rows("f")[0].summary.starts_with("nothing exercised"));
    }
}

#[test]
fn an_operation_that_the_model_does_not_have_is_named_with_its_line() {
    let judgement = judged(ModelKind::Register, &["0 invoke push 4", "0 ok push 4"]);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(
        judgement.rows("f")[0].summary,
        "line 2: model register has no operation `push`; it knows read, write, cas, delete"
    );
}

#[test]
fn an_answer_to_another_transaction_than_was_asked_for_is_unknown_with_its_line() {
    let answered = |told: &str| {
        let lines = [r#"0 invoke txn [["write","a",1],["read","b",null]]"#.to_owned(), told.into()];
        judged(ModelKind::MultiRegister, &[&lines[0], &lines[1]])
    };
    let repeats = answered(r#"0 ok txn [["write","a",1],["read","b",null]]"#);
    assert_eq!(repeats.verdict, Verdict::Valid);
    let saw_another = answered(r#"0 ok txn [["write","a",1],["read","b",2]]"#);
    assert_eq!(saw_another.verdict, Verdict::Invalid);
    for told in [
        r#"0 ok txn [["write","a",1]]"#,
        r#"0 ok txn [["write","a",2],["read","b",null]]"#,
        r#"0 ok txn [["write","a",1],["read","c",null]]"#,
        r#"0 ok txn [["read","b",null],["write","a",1]]"#,
    ] {
        let judgement = answered(told);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{told}");
        let why = &judgement.rows("f")[0].summary;
        assert!(
            why.starts_with("line 2: model multi-register expects answers that repeat"),
            "{why}"
        );
    }
}

#[test]
fn a_request_that_two_processes_attempted_leaves_open_whose_lock_it_is_unless_that_is_named() {
    let judged_with = |owner: &str| {
        let line = |what: &str, n: u64| format!(r#"{what} {owner} ,"request":"1-{n}""#);
        let lines = [
            line("1 invoke acquire", 1),
            line("1 ok acquire", 1),
            line("1 invoke release", 2),
            line("1 info release", 2),
            line("2 invoke release", 2),
            line("2 ok release", 2),
        ];
        judged(ModelKind::OwnerLock, &lines.each_ref().map(String::as_str))
    };
    assert_eq!(judged_with("7").verdict, Verdict::Valid);
    let unnamed = judged_with("null");
    assert_eq!(unnamed.verdict, Verdict::Unknown);
    let why = &unnamed.rows("f")[0].summary;
    assert!(why.starts_with("line 6: processes 1 and 2 both attempted request 1-2"), "{why}");
}

#[test]
fn a_stale_read_behind_a_cas_in_doubt_is_told_by_zones_with_the_whole_chain_from_the_first_value() {
    let judgement = judged(
        ModelKind::CasRegister,
        &[
            "0 invoke cas [null,2]",
            "0 ok cas [null,2]",
            "1 invoke cas [2,4]",
            "1 info cas [2,4]",
            "0 invoke write 5",
            "0 ok write 5",
            "0 invoke read",
            "0 ok read 4",
        ],
    );
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert_eq!(judgement.engine, "register zones");
}

#[test]
fn an_element_that_was_appended_twice_is_left_out_of_a_core_as_a_whole_or_not_at_all() {
    let lines = [
        "0 invoke append 1",
        "2 invoke append 2",
        "2 info append 2",
        "1 invoke read",
        "1 ok read [1]",
        "3 invoke append 1",
        "1 invoke read",
        "0 ok append 1",
        "1 ok read [2]",
        "3 ok append 1",
    ];
    refuted(ModelKind::ListAppend, &lines);
    assert_eq!(judged(ModelKind::ListAppend, &lines).engine, "list order");
}

/// Judges, and has the proof of the violation replayed.
fn refuted(model: ModelKind, lines: &[&str]) {
    let history = history(lines);
    let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert_eq!(verify(&history, model, &judgement).map(|replayed| replayed.cores), Ok(1));
}

#[test]
fn a_dequeue_in_doubt_that_began_when_it_was_too_late_needs_no_place_in_a_core() {
    let lines = [
        "1 invoke dequeue",
        "2 invoke enqueue 2",
        "3 invoke enqueue 3",
        "2 ok enqueue 2",
        "2 invoke enqueue 5",
        "1 ok dequeue 5",
        "5 invoke dequeue",
        "3 ok enqueue 3",
        "6 invoke dequeue",
        "6 info dequeue",
        "5 ok dequeue 3",
        "2 ok enqueue 5",
    ];
    refuted(ModelKind::FifoQueue, &lines);
}

#[test]
fn a_read_of_what_nobody_had_added_is_refuted_though_somebody_had_looked_for_it() {
    let lines = [
        "0 invoke contains 0",
        "0 ok contains false",
        "0 invoke read",
        "0 ok read [0]",
        "0 invoke add 0",
        "0 ok add 0",
        "0 invoke add 0",
        "0 ok add 0",
        "0 invoke read",
        "0 ok read [0]",
    ];
    refuted(ModelKind::Set, &lines);
}

#[test]
fn no_write_leaves_a_core_for_the_sake_of_a_cas_that_changed_nothing() {
    let lines = [
        "0 invoke write 1",
        "0 ok write 1",
        "0 invoke write 2",
        "0 info write 2",
        "1 invoke cas [2,2]",
        "1 ok cas [2,2]",
        "1 invoke cas [2,1]",
        "1 info cas [2,1]",
        "2 invoke read",
        "2 ok read 2",
        "2 invoke read",
        "2 ok read 1",
        "2 invoke read",
        "2 ok read 2",
    ];
    refuted(ModelKind::CasRegister, &lines);
}

#[test]
fn a_write_that_began_too_late_for_a_cas_is_left_out_before_the_cas_becomes_optional() {
    let lines = [
        "0 invoke write 0",
        "0 ok write 0",
        "0 invoke cas [0,2]",
        "0 ok cas [0,2]",
        "0 invoke write 3",
        "0 ok write 3",
        "0 invoke cas [3,1]",
        "0 ok cas [3,1]",
        "0 invoke read",
        "1 invoke write 0",
        "0 ok read 2",
        "1 ok write 0",
    ];
    refuted(ModelKind::CasRegister, &lines);
}

#[test]
fn a_lock_may_have_been_released_by_the_first_attempt_at_a_request_that_others_made_later() {
    let lines = [
        "0 invoke acquire",
        "0 ok acquire",
        "0 invoke acquire",
        r#"1 invoke release null ,"request":"1-5""#,
        "0 ok acquire",
        r#"1 fail release null ,"request":"1-5""#,
        r#"0 invoke release null ,"request":"1-5""#,
        r#"0 info release null ,"request":"1-5""#,
    ];
    let reading = Reading { failed_cas: FailedCas::Dropped, ..Reading::default() };
    let judgement = judge(&history(&lines), ModelKind::OwnerLock, &reading, &Budget::unlimited());
    assert_eq!(judgement.verdict, Verdict::Valid);
}

#[test]
fn a_write_in_doubt_in_between_lets_no_earlier_write_leave_a_core() {
    let lines = [
        "0 invoke write 1",
        "0 ok write 1",
        "1 invoke write 2",
        "1 info write 2",
        "2 invoke write 1",
        "2 info write 1",
        "0 invoke read",
        "0 ok read 1",
        "0 invoke read",
        "0 ok read 2",
        "0 invoke read",
        "0 ok read 1",
        "0 invoke read",
        "0 ok read 2",
    ];
    refuted(ModelKind::Register, &lines);
}

/// Judges, and has the order that was found replayed.
fn ordered(model: ModelKind, lines: &[&str]) -> Judgement {
    let history = history(lines);
    let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(verify(&history, model, &judgement).map(|replayed| replayed.orders), Ok(1));
    judgement
}

#[test]
fn cas_that_lead_into_each_other_have_no_first_whatever_else_happened() {
    let lines = [
        "0 invoke write 5",
        "0 ok write 5",
        "0 invoke cas [1,2]",
        "1 invoke cas [2,1]",
        "0 ok cas [1,2]",
        "1 ok cas [2,1]",
    ];
    refuted(ModelKind::CasRegister, &lines);
    assert_eq!(judged(ModelKind::CasRegister, &lines).engine, "register zones");
}

#[test]
fn a_register_that_was_emptied_again_is_empty_twice() {
    let meanwhile = ["0 invoke delete", "1 invoke read", "1 ok read null", "0 ok delete"];
    ordered(ModelKind::Register, &meanwhile);
    let again = [
        "0 invoke write 1",
        "0 ok write 1",
        "0 invoke delete",
        "0 ok delete",
        "1 invoke read",
        "1 ok read null",
    ];
    assert_eq!(ordered(ModelKind::Register, &again).engine, "register search");
}

#[test]
fn a_write_that_returns_first_does_not_stand_for_a_cas_to_the_same_value() {
    let lines = [
        "0 invoke cas [null,2]",
        "1 invoke write 2",
        "2 invoke write 5",
        "3 invoke read",
        "3 ok read 2",
        "3 invoke read",
        "3 ok read 5",
        "3 invoke read",
        "3 ok read 2",
        "1 ok write 2",
        "0 ok cas [null,2]",
        "2 ok write 5",
        "0 invoke delete",
        "0 ok delete",
    ];
    assert_eq!(ordered(ModelKind::CasRegister, &lines).engine, "register search");
}

#[test]
fn cas_in_doubt_may_lead_to_what_was_read_by_several_steps() {
    let lines = [
        "0 invoke cas [null,1]",
        "0 info cas [null,1]",
        "1 invoke cas [1,2]",
        "1 info cas [1,2]",
        "2 invoke cas [2,3]",
        "2 info cas [2,3]",
        "3 invoke cas [9,3]",
        "3 info cas [9,3]",
        "4 invoke read",
        "4 ok read 3",
    ];
    assert_eq!(ordered(ModelKind::CasRegister, &lines).engine, "register search");
}

#[test]
fn what_is_lost_with_one_write_in_doubt_is_not_lost_with_another_that_leaves_the_same() {
    let lines = [
        "0 invoke write 2",
        "0 info write 2",
        "1 invoke cas [null,2]",
        "1 info cas [null,2]",
        "2 invoke read",
        "2 ok read 2",
        "2 invoke write 3",
        "2 ok write 3",
        "2 invoke read",
        "2 ok read 2",
    ];
    assert_eq!(ordered(ModelKind::CasRegister, &lines).engine, "register search");
    // To what a store holds something may be appended, and then the general search decides.
    let store = [
        r#"0 invoke write "b""#,
        r#"0 info write "b""#,
        r#"1 invoke cas [null,"b"]"#,
        r#"1 info cas [null,"b"]"#,
        "2 invoke read",
        r#"2 ok read "b""#,
        r#"2 invoke write "c""#,
        r#"2 ok write "c""#,
        "2 invoke read",
        r#"2 ok read "b""#,
        r#"2 invoke append "x""#,
        r#"2 ok append "x""#,
    ];
    assert_eq!(ordered(ModelKind::Kv, &store).engine, "search");
}

#[test]
fn an_empty_text_is_what_is_absent_in_a_store() {
    ordered(ModelKind::Kv, &["0 invoke read", r#"0 ok read """#]);
}

#[test]
fn increments_that_differ_are_added_up() {
    let reads = |seen: &str| {
        let read = format!("0 ok read {seen}");
        let lines =
            ["0 invoke add 1", "0 ok add 1", "0 invoke add 2", "0 ok add 2", "0 invoke read"];
        let lines: Vec<&str> = lines.into_iter().chain([&*read]).collect();
        judged(ModelKind::Counter, &lines).verdict
    };
    assert_eq!(reads("3"), Verdict::Valid);
    assert_eq!(reads("2"), Verdict::Invalid);
}

#[test]
fn increments_may_take_away() {
    let reads = |seen: &str| {
        let read = format!("0 ok read {seen}");
        let lines = ["0 invoke add -1", "0 ok add -1", "0 invoke read", &read];
        judged(ModelKind::Counter, &lines).verdict
    };
    assert_eq!(reads("-1"), Verdict::Valid);
    assert_eq!(reads("1"), Verdict::Invalid);
}

#[test]
fn a_count_is_read_as_early_as_it_may_be() {
    let lines = [
        "0 invoke increment 1",
        "0 ok increment 1",
        "1 invoke read",
        "0 invoke increment 1",
        "0 ok increment 1",
        "1 ok read 1",
    ];
    assert_eq!(ordered(ModelKind::Counter, &lines).engine, "counter groups");
}

#[test]
fn a_token_is_held_against_all_that_are_smaller() {
    let lines = [
        "2 invoke acquire",
        "3 invoke acquire",
        "3 ok acquire 3",
        "1 invoke acquire",
        "1 ok acquire 1",
        "2 ok acquire 2",
    ];
    refuted(ModelKind::Fencing, &lines);
}

#[test]
fn a_lock_that_was_refused_is_not_held() {
    let lines = ["0 invoke acquire", "0 fail acquire", "0 invoke release", "0 ok release"];
    refuted(ModelKind::OwnerLock, &lines);
}

#[test]
fn a_list_that_nobody_can_have_made_is_refuted() {
    let append = |n: u64| [format!("{n} invoke append {n}"), format!("{n} ok append {n}")];
    let read = |seen: &str| ["0 invoke read".to_owned(), format!("0 ok read {seen}")];
    let refuted = |lines: Vec<String>| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        refuted(ModelKind::ListAppend, &lines);
        assert_eq!(judged(ModelKind::ListAppend, &lines).engine, "list order");
    };
    refuted([append(1), read("[1,7]")].concat());
    // Their last elements are equal, and the appends were open together.
    let appends = [1, 2, 3].map(append);
    let half = |half: usize| appends.iter().map(move |append| append[half].clone());
    let meanwhile: Vec<String> = half(0).chain(half(1)).collect();
    refuted([&meanwhile[..], &read("[1,2,3]"), &read("[2,1,3]")].concat());
}

#[test]
fn a_queue_is_not_found_empty_and_gives_nothing_that_it_does_not_hold() {
    let put = |n: u64| [format!("{n} invoke enqueue {n}"), format!("{n} ok enqueue {n}")];
    let took = |found: &str| ["0 invoke dequeue".to_owned(), format!("0 ok dequeue {found}")];
    for (model, engine) in
        [(ModelKind::FifoQueue, "queue aspects"), (ModelKind::UnorderedQueue, "bag aspects")]
    {
        for lines in [
            [put(1), took("7")].concat(),
            [took("1"), put(1)].concat(),
            [put(1), took("null"), took("1")].concat(),
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            refuted(model, &lines);
            assert_eq!(judged(model, &lines).engine, engine);
        }
    }
}

#[test]
fn dequeues_in_doubt_take_the_elements_that_are_wanted_out_first() {
    let put = |n: u64| [format!("0 invoke enqueue {n}"), format!("0 ok enqueue {n}")];
    let took = |n: u64| ["0 invoke dequeue".to_owned(), format!("0 ok dequeue {n}")];
    let doubt = |n: u64| [format!("{n} invoke dequeue"), format!("{n} info dequeue")];
    let first = [put(1), put(2), doubt(8), took(2)].concat();
    let second = [put(3), put(4), doubt(9), took(4)].concat();
    let lines = [first, second].concat();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(ordered(ModelKind::FifoQueue, &lines).engine, "queue aspects");
}

#[test]
fn dequeues_in_doubt_take_what_is_there_before_the_queue_is_found_empty() {
    let lines = [
        "0 invoke enqueue 1",
        "0 ok enqueue 1",
        "1 invoke dequeue",
        "1 info dequeue",
        "0 invoke dequeue",
        "0 ok dequeue null",
    ];
    assert_eq!(ordered(ModelKind::FifoQueue, &lines).engine, "queue aspects");
    assert_eq!(ordered(ModelKind::UnorderedQueue, &lines).engine, "bag aspects");
}

#[test]
fn a_larger_set_lacks_nothing_that_a_smaller_one_held() {
    let add = |n: u64| [format!("{n} invoke add {n}"), format!("{n} ok add {n}")];
    let read = |seen: &str| ["0 invoke read".to_owned(), format!("0 ok read {seen}")];
    let lines = [add(1), add(2), add(3), read("[1]"), read("[2,3]")].concat();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    refuted(ModelKind::Set, &lines);
    let meanwhile = ["1 invoke add 1", "2 invoke add 2", "3 invoke add 3", "0 invoke read"];
    let later = ["0 ok read [1]", "0 invoke read", "0 ok read [2,3]", "1 ok add 1"];
    refuted(ModelKind::Set, &[meanwhile, later].concat());
}

#[test]
fn an_add_in_doubt_is_not_the_one_that_was_acknowledged() {
    let lines = [
        "0 invoke add 1",
        "0 ok add 1",
        "0 invoke remove 1",
        "0 ok remove 1",
        "1 invoke add 1",
        "1 info add 1",
        "0 invoke read",
        "0 ok read [1]",
        "0 invoke remove 1",
        "0 ok remove 1",
    ];
    assert_eq!(ordered(ModelKind::Set, &lines).engine, "search");
    // It happened at most once.
    let again = ["0 invoke read", "0 ok read [1]"];
    refuted(ModelKind::Set, &[&lines[..], &again].concat());
}

#[test]
fn a_whole_read_needs_all_that_it_saw_of_adds_and_removes_in_doubt() {
    let lines = [
        "0 invoke add 1",
        "0 ok add 1",
        "1 invoke remove 1",
        "1 info remove 1",
        "2 invoke add 2",
        "2 info add 2",
        "0 invoke read",
        "0 ok read [2]",
        "0 invoke add 1",
        "0 ok add 1",
        "0 invoke contains 1",
        "0 ok contains true",
    ];
    assert_eq!(ordered(ModelKind::Set, &lines).engine, "search");
    let gone = ["0 invoke read", "0 ok read [1]"];
    refuted(ModelKind::Set, &[&lines[..], &gone].concat());
}

#[test]
fn what_is_popped_while_another_element_is_there_lies_above_it() {
    let lines = [
        "0 invoke push 1",
        "1 invoke push 2",
        "0 ok push 1",
        "1 ok push 2",
        "0 invoke pop",
        "0 ok pop 1",
        "1 invoke pop",
        "1 ok pop 2",
    ];
    assert_eq!(ordered(ModelKind::Stack, &lines).engine, "stack segments");
}

#[test]
fn a_pop_in_doubt_took_what_lay_above_what_came_out() {
    let lines = [
        "0 invoke push 1",
        "0 ok push 1",
        "0 invoke push 2",
        "0 ok push 2",
        "1 invoke pop",
        "1 info pop",
        "0 invoke pop",
        "0 ok pop 1",
    ];
    assert_eq!(ordered(ModelKind::Stack, &lines).engine, "stack segments");
}

#[test]
fn failed_cas_that_do_not_say_what_they_saw_keep_their_order() {
    let lines = [
        "0 invoke write 1",
        "0 ok write 1",
        "1 invoke write 2",
        "2 invoke cas [1,9]",
        "2 fail cas [1,9]",
        "2 invoke cas [5,9]",
        "2 fail cas [5,9]",
        "1 ok write 2",
    ];
    assert_eq!(ordered(ModelKind::CasRegister, &lines).engine, "register zones");
}

#[test]
fn a_push_in_doubt_that_nobody_saw_troubles_no_stack() {
    let lines = [
        "0 invoke push 1",
        "0 info push 1",
        "1 invoke push 2",
        "1 ok push 2",
        "1 invoke pop",
        "1 ok pop 2",
    ];
    assert_eq!(ordered(ModelKind::Stack, &lines).engine, "stack segments");
}

#[test]
fn a_pop_in_doubt_may_have_taken_what_would_otherwise_lie_above_what_came_out() {
    let lines = [
        "9 invoke pop",
        "9 info pop",
        "0 invoke push 3",
        "1 invoke push 2",
        "1 ok push 2",
        "2 invoke push 1",
        "0 ok push 3",
        "1 invoke pop",
        "2 ok push 1",
        "1 ok pop 2",
        "0 invoke pop",
        "0 ok pop 3",
    ];
    ordered(ModelKind::Stack, &lines);
    refuted(ModelKind::Stack, &lines[2..]);
}

#[test]
fn every_state_that_may_follow_a_step_is_tried() {
    /// A counter that rises by one or two at a time, as it likes.
    struct Unsteady;

    impl Model for Unsteady {
        type State = i64;

        fn init(&self) -> i64 {
            0
        }

        fn step(&self, count: &i64, call: &Call<'_>, next: &mut Vec<i64>) {
            match (&call.op.f, call.outcome) {
                (F::Read, Outcome::Ok(seen)) if *seen == Value::Int(*count) => next.push(*count),
                (F::Read, _) => {}
                _ => next.extend([count + 1, count + 2]),
            }
        }
    }

    let reads = |seen: &str| {
        let read = format!("0 ok read {seen}");
        let lines = ["0 invoke increment", "0 ok increment", "0 invoke read", &read];
        check(&Unsteady, &history(&lines), &Budget::unlimited()).verdict
    };
    assert_eq!([reads("1"), reads("2")], [Verdict::Valid; 2]);
    assert_eq!(reads("3"), Verdict::Invalid);
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest() {
    let error = "fifoqueue".parse::<ModelKind>().unwrap_err();
    assert_eq!(error.nearest, ModelKind::FifoQueue);
    assert!(ModelKind::ALL.iter().all(|kind| kind.name().parse() == Ok(*kind)));
}

#[test]
fn positions_that_agree_are_valid_and_reads_stand_behind_the_write_they_saw() {
    let judgement = judged(
        ModelKind::Register,
        &[
            "0 invoke write 4",
            "1 invoke read",
            "1 ok read 4 ,\"pos\":7",
            "0 ok write 4 ,\"pos\":7",
            "1 invoke read",
            "1 ok read 4 ,\"pos\":9",
        ],
    );
    assert_eq!(judgement.positions.verdict(), Verdict::Valid);
}

#[test]
fn positions_against_real_time_are_a_violation_of_their_own() {
    let judgement = judged(
        ModelKind::Register,
        &["0 invoke write 4", "0 ok write 4 ,\"pos\":9", "1 invoke read", "1 ok read 4 ,\"pos\":8"],
    );
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(judgement.positions.verdict(), Verdict::Invalid);
    assert_eq!(judgement.rows("f")[1].claim, Claim::Positions);
}

#[test]
fn positions_against_the_model_are_a_violation_of_their_own() {
    let lines = [
        "0 invoke write 4",
        "1 invoke write 5",
        "0 ok write 4 ,\"pos\":8",
        "1 ok write 5 ,\"pos\":9",
        "2 invoke read",
        "2 ok read 4 ,\"pos\":10",
    ];
    let judgement = judged(ModelKind::Register, &lines);
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(judgement.positions.verdict(), Verdict::Invalid);
}

#[test]
fn a_write_in_doubt_explains_a_read_at_any_position_behind_what_had_returned() {
    let judgement = judged(
        ModelKind::Register,
        &[
            "0 invoke write 4",
            "0 info write 4",
            "1 invoke write 5",
            "1 ok write 5 ,\"pos\":9",
            "2 invoke read",
            "2 ok read 4 ,\"pos\":10",
        ],
    );
    assert_eq!(judgement.positions.verdict(), Verdict::Valid);
}

#[test]
fn a_write_in_doubt_has_no_position_before_what_had_returned_when_it_began() {
    let lines = [
        "2 invoke read",
        "1 invoke write 5",
        "1 ok write 5 ,\"pos\":7",
        "0 invoke write 4",
        "0 info write 4",
        "2 ok read 4 ,\"pos\":6",
    ];
    let judgement = judged(ModelKind::Register, &lines);
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(judgement.positions.verdict(), Verdict::Invalid);
}

#[test]
fn positions_of_writes_against_real_time_are_a_violation_although_the_model_permits_them() {
    let lines = [
        "0 invoke write 4",
        "0 ok write 4 ,\"pos\":9",
        "0 invoke write 5",
        "0 ok write 5 ,\"pos\":8",
    ];
    let judgement = judged(ModelKind::Register, &lines);
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(judgement.positions.verdict(), Verdict::Invalid);
}

#[test]
fn two_changes_at_one_position_are_a_violation() {
    let lines = [
        "0 invoke write 4",
        "1 invoke write 5",
        "0 ok write 4 ,\"pos\":8",
        "1 ok write 5 ,\"pos\":8",
    ];
    assert_eq!(judged(ModelKind::Register, &lines).positions.verdict(), Verdict::Invalid);
}

#[test]
fn a_history_without_positions_is_not_judged_by_them() {
    let judgement = judged(ModelKind::Register, &["0 invoke write 4", "0 ok write 4"]);
    assert_eq!(judgement.positions.verdict(), Verdict::NotJudged);
}

/// A queue without unique values at high concurrency: nothing can decide it soon.
fn hard() -> History {
    let mut shape = Shape::register(20_000, 40);
    shape.model = ModelKind::UnorderedQueue;
    shape.values = Some(3);
    shape.crashes = 0.1;
    generate::history(&shape)
}

#[test]
fn a_deadline_ends_the_check_as_unknown() {
    let history = hard();
    let budget = Budget::within(Duration::from_millis(150));
    let started = Instant::now();
    let judgement = judge(&history, ModelKind::UnorderedQueue, &Reading::default(), &budget);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    // A machine that does other work beside it may be late; hours late it never is.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(judgement.rows("f")[0].summary.contains("the deadline of 150ms passed"));
}

#[test]
fn a_memory_limit_ends_the_check_as_unknown() {
    let history = hard();
    let budget = Budget { deadline: None, memory: Some(8 << 20) };
    let judgement = judge(&history, ModelKind::UnorderedQueue, &Reading::default(), &budget);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.rows("f")[0].summary.contains("memory limit"));
}

#[test]
fn a_true_history_is_valid_though_the_search_starts_again_in_another_order() {
    let shape = Shape { values: Some(5), ..Shape::register(30_000, 10) };
    let budget = Budget::within(Duration::from_secs(60));
    let judgement = judge(&generate::history(&shape), shape.model, &Reading::default(), &budget);
    assert_eq!(judgement.verdict, Verdict::Valid);
}
