//! Foreign histories: each form, each mistake, and where it is told.

use std::path::Path;

use super::*;
use crate::{F, Key, Op, Operation, Outcome, Process, Value};

fn read(text: &str) -> ReadHistory {
    read_bytes(Path::new("h"), text.as_bytes(), None).unwrap_or_else(|error| panic!("{error}"))
}

fn operations(text: &str) -> Vec<Operation> {
    read(text).history.operations().to_vec()
}

fn refused(text: &str, format: Option<Format>) -> String {
    read_bytes(Path::new("h"), text.as_bytes(), format).expect_err("is refused").to_string()
}

fn error(operation: &Operation) -> &str {
    match &operation.outcome {
        Outcome::Fail { error, .. } | Outcome::Info { error } => &error.0,
        Outcome::Ok(_) => "ok",
    }
}

/// Wraps the completion of one operation into a history of Jepsen.
fn returned(f: &str, value: &str, ret: &str) -> Operation {
    let text = format!(
        "{{:process 0, :type :invoke, :f :{f}, :value {value}}}\n{{:process 0, :f :{f}, {ret}}}\n"
    );
    operations(&text).remove(0)
}

const KNOSSOS: &str = "[{:process 7, :type :invoke, :f :write, :value 2}
 {:process 8, :type :invoke, :f :cas, :value [2 3]} ; a comment
 {:process 7, :type :ok, :f :write, :value 2},
 {:process :nemesis, :type :info, :f :start}
 #_ {:process 9, :type :invoke, :f :read, :value nil}
 {:process 8, :type :fail, :f :cas, :value [2 3]}]
";

#[test]
fn a_vector_a_list_and_one_map_a_line_are_the_same_history() {
    let vector = operations(KNOSSOS);
    let list = operations(&KNOSSOS.replacen('[', "(", 1).replace("]}]", "]})"));
    let lines = KNOSSOS.replacen('[', " ", 1).replace("]}]", "]} ");

    assert_eq!(vector, list);
    assert_eq!(vector, operations(&lines));
    assert_eq!(vector.len(), 2);
    assert_eq!(vector[0].op, Op { f: F::Write, key: None, value: Value::Int(2) });
    assert_eq!((vector[0].invoke_line, vector[0].return_line), (1, 3));
    assert_eq!((vector[0].invoked, vector[0].returned), (1, Some(3)));
    assert_eq!(vector[1].op.value, (2, 3).into());
}

#[test]
fn events_of_the_nemesis_are_skipped_and_counted() {
    assert_eq!(read(KNOSSOS).warnings, ["h: 1 events of the nemesis were skipped"]);
}

#[test]
fn tagged_records_of_newer_jepsens_are_read_whole() {
    let operations = operations(
        "#jepsen.history.Op{:index 1, :time 9, :type :ok, :process 6, :f :read, :value [0 1]}
         #jepsen.history.Op{:index 0, :time 5, :type :invoke, :process 6, :f :read, :value nil}",
    );

    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].outcome, Outcome::Ok((0, 1).into()));
    assert_eq!(operations[0].invoke_time.0, 5);
    assert_eq!(operations[0].invoke_line, 2, "the index orders events, not the file");
}

#[test]
fn every_kind_of_form_has_its_value() {
    let value = |form: &str| {
        let op = returned("write", form, &format!(":type :ok, :value {form}")).op;
        op.value
    };
    let number = |text: &str| Value::Number(text.into());

    assert_eq!(value("-5"), Value::Int(-5));
    assert_eq!(value("+5N"), Value::Int(5));
    assert_eq!(value("99999999999999999999N"), number("99999999999999999999"));
    assert_eq!(value("1/2"), number("1/2"));
    assert_eq!(value("-1.5e3M"), number("-1.5e3M"));
    assert_eq!(value("##Inf"), number("##Inf"));
    assert_eq!(value(":a/b"), "a/b".into());
    assert_eq!(value("a.b/c"), "a.b/c".into());
    assert_eq!(value(r#""a\n\"\u0041""#), "a\n\"A".into());
    assert_eq!(value(r"\a"), "a".into());
    assert_eq!(value(r"\newline"), "\n".into());
    assert_eq!(value(r"[\( \) \[]"), Value::list(["(".into(), ")".into(), "[".into()]));
    assert_eq!(value("true"), Value::Bool(true));
    assert_eq!(value("(1, ^:meta 2 #inst \"x\" #_#_3 4)"), value("[1 2 \"x\"]"));
    assert_eq!(value("#{3 1 2}"), value("[1 2 3]"));
    assert_eq!(value("{:x 1}"), Value::Map([("x".into(), Value::Int(1))].into()));
}

#[test]
fn tuples_of_independent_keys_are_split() {
    let operations = operations(
        "{:process 0, :type :invoke, :f :read, :value [:x nil]}
         {:process 0, :type :ok, :f :read, :value [:x 3]}
         {:process 0, :type :invoke, :f :cas, :value [7 [3 4]]}
         {:process 0, :type :info, :f :cas, :value nil, :error :timeout}",
    );

    assert_eq!(operations[0].op, Op::read("x"));
    assert_eq!(operations[0].outcome, Outcome::Ok(3.into()));
    assert_eq!(operations[1].op, Op::cas("7", 3, 4));
    assert_eq!(error(&operations[1]), "timeout");
}

#[test]
fn pairs_that_are_no_tuples_of_keys_stay_values() {
    let no_key = |text: &str| {
        let operations = operations(text);
        assert!(operations.iter().all(|operation| operation.op.key.is_none()), "{text}");
    };
    no_key("{:process 0, :type :invoke, :f :cas, :value [2 3]}");
    no_key("{:process 0, :type :invoke, :f :txn, :value [[:r 1 nil] [:append 1 2]]}");
    no_key(
        "{:process 0, :type :invoke, :f :write, :value [1 2]}
         {:process 1, :type :invoke, :f :read, :value nil}",
    );
}

#[test]
fn an_error_in_the_place_of_a_value_takes_no_key_away() {
    let operations = operations(
        "{:process 0, :type :invoke, :f :write, :value [1 3]}
         {:process 0, :type :info, :f :write, :value :timed-out}
         {:process 1, :type :invoke, :f :read, :value [2 nil]}
         {:process 1, :type :fail, :f :read, :value [2 nil], :error :timeout}",
    );
    let keys: Vec<_> = operations.iter().filter_map(|operation| operation.op.key.clone()).collect();
    assert_eq!(keys, ["1".into(), "2".into()]);
}

#[test]
fn what_looks_like_a_key_at_first_may_turn_out_to_be_a_value() {
    let operations = operations(
        "{:process 0, :type :invoke, :f :write, :value [1 2], :time 5}
         {:process 0, :type :ok, :f :write, :value [1 2], :time 7}
         {:process 1, :type :invoke, :f :read, :value nil, :time 8}
         {:process 1, :type :ok, :f :read, :value [1 2], :time 9}",
    );
    assert!(operations.iter().all(|operation| operation.op.key.is_none()));
    assert_eq!(operations[0].op.value, (1, 2).into());
    assert_eq!(operations[1].outcome, Outcome::Ok((1, 2).into()));
    assert_eq!(operations[1].invoke_time.0, 8);
}

#[test]
fn a_return_of_another_operation_is_refused() {
    let other_key = refused(
        "{:process 0, :type :invoke, :f :read, :value [1 nil]}
         {:process 0, :type :ok, :f :read, :value [2 3]}",
        None,
    );
    assert_eq!(
        other_key,
        "h: line 2: process 0 returns from `read 2`, but its open operation is `read 1` of line 1"
    );
    let other_function = refused(
        "{:process 0, :type :invoke, :f :read, :value nil}
         {:process 0, :type :ok, :f :write, :value nil}",
        None,
    );
    assert!(other_function.contains("returns from `write`"), "{other_function}");
}

#[test]
fn fields_that_only_we_write_have_our_name() {
    let operation = returned("cas", "[1 2]", ":type :fail, :pos 7, :seen 4, :request :x, :key 3");
    assert_eq!((operation.pos, operation.op.key), (None, None));
    assert_eq!(operation.outcome, Outcome::Fail { error: "precondition".into(), seen: None });
}

#[test]
fn indices_that_stop_leave_the_order_of_the_file() {
    let operations = operations(
        "{:process 0, :type :invoke, :f :read, :value nil, :index 9}
         {:process 0, :type :ok, :f :read, :value 1, :index 3}
         {:process 0, :type :invoke, :f :read, :value nil}",
    );
    assert_eq!(operations.len(), 2);
}

#[test]
fn a_failed_cas_is_an_observation_unless_its_error_is_of_the_way() {
    let failed = |error_text: &str| {
        let operation = returned("cas", "[1 2]", &format!(":type :fail, {error_text}"));
        assert!(matches!(operation.outcome, Outcome::Fail { .. }));
        error(&operation).to_owned()
    };

    assert_eq!(failed(""), "precondition");
    assert_eq!(failed(":error nil"), "precondition");
    assert_eq!(failed(":error :did-not-match"), "precondition");
    for reason in ["timeout", "connection-refused", "not-leader", "too-many-requests", "unknown"] {
        assert_eq!(failed(&format!(":error :{reason}")), reason);
    }
    assert_eq!(failed(":error [:socket \"broken\"]"), "[\"socket\" \"broken\"]");
}

#[test]
fn what_fails_beside_a_cas_keeps_its_error() {
    assert_eq!(error(&returned("release", "nil", ":type :fail, :error :not-held")), "not-held");
    assert_eq!(error(&returned("write", "1", ":type :fail")), "failed");
    assert_eq!(error(&returned("write", "1", ":type :info")), "unknown");
}

#[test]
fn a_write_that_returns_without_its_value_returns_its_argument() {
    assert_eq!(returned("write", "4", ":type :ok").outcome, Outcome::Ok(4.into()));
}

#[test]
fn times_that_go_back_are_replaced_by_a_count() {
    let operations = operations(
        "{:process 0, :type :invoke, :f :read, :value nil, :time 20}
         {:process 0, :type :ok, :f :read, :value 1, :time 10}",
    );
    assert_eq!(operations[0].invoke_time.0, 0);
    assert_eq!(operations[0].return_time.map(|time| time.0), Some(1));
}

#[test]
fn an_index_that_two_events_have_is_refused() {
    let message = refused(
        "{:process 0, :type :invoke, :f :read, :value nil, :index 3}
         {:process 0, :type :ok, :f :read, :value 1, :index 3}",
        None,
    );
    assert!(
        message.starts_with("h:2: expected another :index than 3, which line 1 has"),
        "{message}"
    );
}

#[test]
fn a_torn_last_line_is_left_out_with_a_warning() {
    let read = read("{:process 0, :type :invoke, :f :read, :value nil}\n{:process 0, :typ");
    assert_eq!(read.history.operations().len(), 1);
    assert_eq!(read.warnings, ["h:2: the last line is cut off and was left out"]);
}

#[test]
fn a_line_torn_within_a_letter_is_left_out_with_a_warning() {
    let mut bytes = b"{:process 0, :type :invoke, :f :read, :value nil}\n".to_vec();
    bytes.extend(&"{:process 0, :type :ok, :f :read, :value \"é".as_bytes()[..43]);
    let read = read_bytes(Path::new("h"), &bytes, None).expect("is torn");
    assert_eq!(read.warnings, ["h:2: the last line is cut off and was left out"]);
}

#[test]
fn a_cut_anywhere_in_the_last_line_leaves_the_lines_above() {
    let line =
        "#a.B{:process 0, :type :ok, :f :read, :value [1/2 \"é\\u0041\" \\newline ##Inf #{1.5}]}";
    let text = format!("{{:process 0, :type :invoke, :f :read, :value nil}}\n{line}");
    for cut in (text.len() - line.len() + 1)..text.len() {
        let read = read_bytes(Path::new("h"), &text.as_bytes()[..cut], None)
            .unwrap_or_else(|error| panic!("{}: {error}", &text[..cut.min(text.len())]));
        assert_eq!(read.history.events(), 1, "{}", &line[..line.len().min(cut)]);
        assert_eq!(read.warnings, ["h:2: the last line is cut off and was left out"]);
    }
    assert_eq!(read(&text).history.events(), 2);
}

#[test]
fn a_map_that_is_open_before_the_last_line_is_refused() {
    let message = refused(
        "{:process 0, :type :invoke, :f :read\n{:process 0, :type :ok, :f :read}\n",
        Some(Format::JepsenEdn),
    );
    assert!(message.starts_with("h:3: the file ends inside the form that was opened on line 1"));
}

#[test]
fn a_truncated_vector_names_its_lines() {
    let message = refused(&KNOSSOS[..KNOSSOS.len() - 4], None);
    assert_eq!(
        message,
        "h:6: the file ends inside the form that was opened on line 6; it is cut off; copy it again, or close what is open"
    );
    let between = KNOSSOS.trim_end().strip_suffix(']').expect("is a vector");
    assert!(refused(between, None).contains("opened on line 1"));
}

#[test]
fn an_unknown_type_is_refused_with_its_line() {
    let message = refused("\n{:process 0, :type :invok, :f :read, :value nil}", None);
    assert!(
        message.starts_with("h:2: expected :type :invoke, :ok, :fail or :info, found \"invok\"")
    );
    assert!(message.contains("did you mean \"invoke\"?"), "{message}");
}

#[test]
fn missing_fields_and_things_that_are_no_events_are_refused() {
    let edn = Some(Format::JepsenEdn);
    assert!(refused("{:type :ok, :f :read}", edn).contains("expected the field :process"));
    assert!(refused("{:process 0, :f :read}", edn).contains("expected the field :type"));
    assert!(refused("{:process 0, :type :ok}", edn).contains("expected the field :f"));
    assert!(refused("{:process -1, :type :ok, :f :read}", edn).contains("found -1"));
    assert!(refused("[1 2]", edn).contains("expected the map of an event, found a number"));
    assert!(refused("[] 3", edn).contains("expected the end of the file"));
    assert!(refused("{:a}", edn).contains("a value for the last key"));
    assert!(refused("[}", edn).contains("found '}'"));
    assert!(refused("{:a 1x}", edn).contains("expected a number, found \"1x\""));
}

#[test]
fn a_process_that_returns_without_asking_is_refused_with_its_line() {
    let message = refused("{:process 0, :type :ok, :f :read, :value 1}", None);
    assert!(message.starts_with("h: line 1: process 0 returns, but has no open operation"));
}

#[test]
fn forms_ten_thousand_deep_are_refused() {
    for open in ["[", "(", "{", "#{", "#a ", "#_", "^"] {
        for start in ["{:value ", "[", ""] {
            let text = format!("{start}{}", open.repeat(10_000));
            let message = refused(&text, Some(Format::JepsenEdn));
            assert!(message.contains("more than 128 deep"), "{open} {message}");
        }
    }
    let log = format!("INFO  jepsen.util - 4\t:invoke\t:write\t{}\n", "[".repeat(10_000));
    assert!(refused(&log, None).contains("more than 128 deep"));
}

const LOG: &str = "INFO  jepsen.core - Everything set up
INFO  jepsen.util - 4\t:invoke\t:cas\t[1 3]
INFO  jepsen.util - 2\t:invoke\t:write\t1
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 4\t:fail\t:cas\t[1 3]
INFO  jepsen.util - 2\t:info\t:write\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:read\tnil
INFO  jepsen.util - 3\t:fail\t:read\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:read\tnil
INFO  jepsen.util - 3\t:ok\t:read\t1
";

#[test]
fn a_log_of_etcd_is_read() {
    let read = read(LOG);
    let operations = read.history.operations();

    assert_eq!(read.format, Format::EtcdLog);
    assert_eq!(
        read.warnings,
        [
            "h: 1 events of the nemesis were skipped",
            "h: 1 lines are not operations and were skipped"
        ]
    );
    let errors: Vec<_> = operations.iter().map(error).collect();
    assert_eq!(errors, ["precondition", "timed-out", "timed-out", "ok"]);
    assert_eq!(operations[1].op.value, Value::Int(1));
    assert_eq!(operations[1].returned, None);
    assert_eq!(operations[2].outcome, Outcome::Fail { error: "timed-out".into(), seen: None });
    assert_eq!((operations[3].process, operations[3].invoke_line), (Process(3), 9));
}

#[test]
fn logs_of_newer_jepsens_are_read() {
    let newer =
        LOG.replace("jepsen.util - ", "[2020-06-30 14:23:33,419] jepsen worker 1 - jepsen.util ");
    assert_eq!(read(&newer).history, read(LOG).history);
}

#[test]
fn broken_lines_of_a_log_are_refused() {
    let refused = |line: &str| refused(&format!("{LOG}{line}\n"), None);
    let head = "INFO  jepsen.util - 3\t:invoke\t";

    assert!(refused("INFO  jepsen.util - 3\t:invok\t:read\tnil").contains("did you mean"));
    assert!(refused(&format!("{head}:reed\tnil")).starts_with("h:11: expected :read, :write"));
    assert!(refused(&format!("{head}:cas\t4")).contains("expected a pair [from to], found 4"));
    assert!(refused(&format!("{head}:write\tnil")).contains("expected a value, found nil"));
    assert!(refused(&format!("{head}:write")).contains("expected one value, found 0"));
    assert!(refused(&format!("{head}:cas\t[1 3")).contains("the file ends inside"));
}

#[test]
fn a_log_without_its_last_end_of_line_is_taken_with_a_warning() {
    let torn = read(&LOG[..LOG.len() - 5]);
    assert!(torn.warnings[0].starts_with("h:10: the last line is cut off"), "{:?}", torn.warnings);
    let unended = read(LOG.trim_end());
    assert!(unended.warnings[0].starts_with("h:10: the last line has no end"));
    assert_eq!(unended.history, read(LOG).history);
}

const KV: &str = r#"{:process 0, :type :invoke, :f :append, :key "4", :value "x 0 1 y"}
{:process 1, :type :invoke, :f :get, :key "4", :value nil}
{:process 0, :type :ok, :f :append, :key "4", :value "x 0 1 y"}
{:process 1, :type :ok, :f :get, :key "4", :value "x 0 1 y"}
{:process 1, :type :invoke, :f :put, :key "4", :value ""}
"#;

#[test]
fn a_key_value_history_of_porcupine_is_read() {
    let read = read(KV);
    let operations = read.history.operations();

    assert_eq!(read.format, Format::PorcupineKv);
    assert_eq!(operations[0].op, Op::append("4", "x 0 1 y"));
    assert_eq!(operations[1].op, Op::read("4"));
    assert_eq!(operations[1].outcome, Outcome::Ok("x 0 1 y".into()));
    assert_eq!(operations[2].op, Op::write("4", ""));
    assert_eq!(operations[2].op.key, Some(Key::from("4")));
}

#[test]
fn a_history_of_jepsen_is_not_read_as_one_of_porcupine() {
    let message = refused(KNOSSOS, Some(Format::PorcupineKv));
    assert!(message.starts_with("h:1: expected :f :get, :put or :append, found"), "{message}");
}

#[test]
fn formats_are_told_apart_by_their_content() {
    let detect = |text: &str| Format::detect(text.as_bytes());

    assert_eq!(detect("{\"squall\":\"history/1\"}\n"), Some(Format::Squall));
    assert_eq!(detect(" {  \"squall\" : "), Some(Format::Squall));
    assert_eq!(detect(KNOSSOS), Some(Format::JepsenEdn));
    assert_eq!(detect("; a comment\n#jepsen.history.Op{:process 0"), Some(Format::JepsenEdn));
    assert_eq!(detect("[]"), Some(Format::JepsenEdn));
    assert_eq!(detect(LOG), Some(Format::EtcdLog));
    assert_eq!(detect(KV), Some(Format::PorcupineKv));
    assert_eq!(detect(""), None);
    assert_eq!(detect("hello"), None);
    assert_eq!(Format::detect(b"\xff\xfe"), None);
}

#[test]
fn what_is_no_history_is_told_the_formats() {
    assert_eq!(
        refused("hello\nworld", None),
        "h:1: expected a history, found \"hello\"; name its format: squall, edn, etcd-log, porcupine-kv"
    );
}

#[test]
fn each_format_is_read_as_its_own_checker_reads_it() {
    assert_eq!(Format::JepsenEdn.default_reading(), Reading::jepsen());
    assert_eq!(Format::Squall.default_reading(), Reading::default());
    assert_eq!(Format::EtcdLog.default_reading(), Reading::default());
    assert_eq!(Format::PorcupineKv.default_reading(), Reading::default());
}

#[test]
fn names_are_read_back_and_a_mistyped_one_is_told() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "etcdlog".parse::<Format>().expect_err("is mistyped");
    assert_eq!(error.to_string(), "unknown format \"etcdlog\"; did you mean \"etcd-log\"?");
}

#[test]
fn bytes_that_are_no_text_are_refused_with_line_and_offset() {
    let bytes = [KV.as_bytes(), b"\xff\n"].concat();
    let error = read_bytes(Path::new("h"), &bytes, Some(Format::PorcupineKv)).expect_err("no text");
    let expected = format!("h:6: expected UTF-8, found another byte at offset {}", KV.len());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read_file(Path::new("/nowhere/h"), None).expect_err("is not there");
    assert_eq!(error.to_string(), "failed to read /nowhere/h");
}

#[test]
fn our_own_file_is_read_and_its_torn_tail_told() {
    let text = "{\"squall\":\"history/1\"}\n{\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"1\"}\n{\"ti";
    let read = read(text);
    assert_eq!(read.format, Format::Squall);
    assert_eq!(read.history.operations()[0].op, Op::read("1"));
    assert_eq!(read.warnings, ["h:3: the last line is cut off and was left out"]);
}

#[test]
fn a_history_that_is_written_as_edn_reads_as_it_was() {
    let text = "{\"squall\":\"history/1\"}
{\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"cas\",\"key\":\"7\",\"value\":[1,2],\"node\":\"n1\",\"request\":\"3-19\"}
{\"time\":2,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"key\":\"a \\\"b\\\"\",\"value\":{\"x\":[true,null,\"\\u0001é\\n\"]}}
{\"time\":3,\"process\":0,\"type\":\"fail\",\"f\":\"cas\",\"key\":\"7\",\"value\":[1,2],\"error\":\"precondition\",\"seen\":5}
{\"time\":3,\"process\":1,\"type\":\"info\",\"f\":\"write\",\"error\":\"time out!\"}
{\"time\":4,\"process\":2,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"7\"}
{\"time\":9,\"process\":2,\"type\":\"ok\",\"f\":\"read\",\"key\":\"7\",\"value\":-8,\"pos\":118}
{\"time\":9,\"process\":3,\"type\":\"invoke\",\"f\":\"write\",\"key\":\"08\",\"value\":2}
";
    let ours = read(text).history;
    let mut edn = Vec::new();
    crate::edn::write(&ours, &mut edn).expect("memory takes it");
    let edn = String::from_utf8(edn).expect("EDN is text");
    assert!(edn.starts_with(
        "{:process 0, :type :invoke, :f :cas, :value [7 [1 2]], :time 1, :index 0, :squall/node \"n1\", :squall/request \"3-19\"}\n"
    ), "{edn}");

    let theirs = read(&edn).history;
    assert_eq!(theirs.events(), ours.events());
    for (theirs, ours) in theirs.operations().iter().zip(ours.operations()) {
        let invoke_line = theirs.invoke_line + 1;
        let return_line = theirs.return_line + u32::from(theirs.return_line > 0);
        assert_eq!(&Operation { invoke_line, return_line, ..theirs.clone() }, ours, "{edn}");
    }
}

/// Changes, drops, doubles and swaps bytes, and puts towers of brackets between them; whatever comes of it, a parser
/// answers.
fn mutations(text: &str) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    const SPITEFUL: &[u8] = b"{}[]()\"\\:;#_^,\n\t 09-/N\xff\xc3nu";
    for _ in 0..2_000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len().max(1));
            if bytes.len() < 2 {
                break;
            }
            match random(5) {
                0 => bytes[at] = SPITEFUL[random(SPITEFUL.len())],
                1 => bytes.insert(at, SPITEFUL[random(SPITEFUL.len())]),
                2 => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                4 if random(8) == 0 => {
                    let tower = vec![b"[{(#"[random(4)]; 10_000];
                    drop(bytes.splice(at..at, tower));
                }
                _ => bytes[at] ^= 1 << random(8),
            }
        }
        for format in [None].into_iter().chain(Format::ALL.map(Some)) {
            if let Err(error) = read_bytes(Path::new("h"), &bytes, format) {
                assert!(error.to_string().starts_with('h'), "{error}");
            }
        }
    }
}

#[test]
fn no_mutation_of_any_history_makes_a_parser_panic() {
    let tagged =
        "#a.B{:process 0, :type :invoke, :f :w, :value #{\\a \"\\u0041\" 1/2 ##Inf ^:m {}}}\n";
    let ours = "{\"squall\":\"history/1\"}
{\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"cas\",\"key\":\"7\",\"value\":[1,-2.5e3],\"request\":\"3-19\"}
{\"time\":3,\"process\":0,\"type\":\"fail\",\"f\":\"cas\",\"key\":\"7\",\"value\":[1,2],\"error\":\"precondition\",\"seen\":{\"x\":\"\\u00e9\"}}
{\"time\":4,\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"7\",\"node\":\"n1\"}
{\"time\":5,\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"7\",\"value\":null,\"pos\":8}
";
    for text in [KNOSSOS, LOG, KV, tagged, ours] {
        mutations(text);
    }
}
