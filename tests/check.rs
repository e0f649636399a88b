//! `squall check` on history files of every format: each verdict, its engine, coverage and core, and bad input.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a check said: its exit code, its lines for people and its JSON.
struct Said {
    code: Option<i32>,
    text: String,
    json: Option<Value>,
}

fn check(history: &[u8], args: &[&str]) -> Said {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("h");
    std::fs::write(&path, history).expect("the history is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.arg("check").arg(&path).arg("--json").args(args);
    let output = command.output().expect("squall starts");
    let text = String::from_utf8_lossy(&output.stderr).replace(&*folder(dir.path()), "");
    Said { code: output.status.code(), text, json: serde_json::from_slice(&output.stdout).ok() }
}

fn folder(dir: &Path) -> String {
    format!("{}/", dir.display())
}

impl Said {
    fn row(&self) -> &Value {
        &self.json.as_ref().expect("JSON on stdout")["rows"][0]
    }
}

/// One write of 1, one of 2, and a read that says what is given: each format by its name, its model, and the file.
fn formats(read: u32) -> [(&'static str, &'static str, String); 4] {
    let squall = format!(
        r#"{{"squall":"history/1"}}
{{"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}}
{{"time":2,"process":0,"type":"ok","f":"write","key":"x","value":1}}
{{"time":3,"process":0,"type":"invoke","f":"write","key":"x","value":2}}
{{"time":4,"process":0,"type":"ok","f":"write","key":"x","value":2}}
{{"time":5,"process":1,"type":"invoke","f":"read","key":"x"}}
{{"time":6,"process":1,"type":"ok","f":"read","key":"x","value":{read}}}
"#
    );
    let edn = format!(
        "[{{:process 0, :type :invoke, :f :write, :value 1}}
{{:process 0, :type :ok, :f :write, :value 1}}
{{:process :nemesis, :type :info, :f :start, :value nil}}
{{:process 0, :type :invoke, :f :write, :value 2}}
{{:process 0, :type :ok, :f :write, :value 2}}
{{:process 1, :type :invoke, :f :read, :value nil}}
{{:process 1, :type :ok, :f :read, :value {read}}}]
"
    );
    let log = format!(
        "INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 0\t:invoke\t:write\t2
INFO  jepsen.util - 0\t:ok\t:write\t2
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\t{read}
"
    );
    let kv = format!(
        r#"{{:process 0, :type :invoke, :f :put, :key "x", :value "1"}}
{{:process 0, :type :ok, :f :put, :key "x", :value "1"}}
{{:process 0, :type :invoke, :f :put, :key "x", :value "2"}}
{{:process 0, :type :ok, :f :put, :key "x", :value "2"}}
{{:process 1, :type :invoke, :f :get, :key "x", :value nil}}
{{:process 1, :type :ok, :f :get, :key "x", :value "{read}"}}
"#
    );
    [
        ("squall", "cas-register", squall),
        ("edn", "cas-register", edn),
        ("etcd-log", "cas-register", log),
        ("porcupine-kv", "kv", kv),
    ]
}

#[test]
fn a_history_that_has_an_order_is_valid_in_every_format() {
    for (format, model, history) in formats(2) {
        for args in [vec!["--model", model], vec!["--model", model, "--format", format]] {
            let said = check(history.as_bytes(), &args);
            assert_eq!(said.code, Some(0), "{format}: {}", said.text);
            let row = said.row();
            assert_eq!((&row["verdict"], &row["claim"]), (&"valid".into(), &"linearizable".into()));
            assert!(said.text.contains(&format!("read as {format}: ")), "{}", said.text);
            let basis = "decided by register zones from 1 reads, 2 writes, 0 cas, 0 failed cas";
            assert!(said.text.contains(basis), "{}", said.text);
            assert_eq!(
                (&row["figures"]["reads"], &row["figures"]["writes"]),
                (&1.0.into(), &2.0.into())
            );
        }
    }
}

#[test]
fn a_stale_read_is_invalid_in_every_format_with_its_core_in_words_and_as_a_circle() {
    for (format, model, history) in formats(1) {
        let said = check(history.as_bytes(), &["--model", model]);
        assert_eq!(said.code, Some(1), "{format}: {}", said.text);
        let row = said.row();
        assert_eq!(
            (&row["verdict"], &row["engine"]),
            (&"invalid".into(), &"register zones".into())
        );
        let explanation = &row["explanation"];
        assert_eq!(explanation["operations"].as_array().map(Vec::len), Some(3), "{row:#}");
        let one = if model == "kv" { "\"1\"" } else { "1" };
        let two = if model == "kv" { "\"2\"" } else { "2" };
        let contradiction = format!(
            "read of {one} by process 1 began after write of {two} was acknowledged, and nobody wrote it again"
        );
        assert_eq!(explanation["contradiction"], Value::from(&*contradiction));
        assert!(said.text.contains(&contradiction), "{}", said.text);
        // The lines are those of the file, which differ: a header, an event of the nemesis.
        for line in explanation["operations"].as_array().expect("operations") {
            let place = format!("h:{}", line["line"]);
            assert!(said.text.contains(&place), "{place} in {}", said.text);
        }
        let kinds: Vec<&str> = explanation["cycle"]["edges"]
            .as_array()
            .expect("a circle")
            .iter()
            .map(|edge| edge["kind"].as_str().expect("a kind"))
            .collect();
        assert_eq!(kinds, ["real-time", "overwritten"], "{row:#}");
    }
}

#[test]
fn what_was_not_decided_is_unknown_with_the_reason_and_exit_code_2() {
    for (format, model, history) in formats(2) {
        let said = check(history.as_bytes(), &["--model", model, "--deadline", "0s"]);
        assert_eq!(said.code, Some(2), "{format}: {}", said.text);
        assert!(said.text.contains("the deadline of 0ns passed"), "{}", said.text);
    }
    let failed = "{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :fail, :f :write, :value 1}
";
    let said = check(failed.as_bytes(), &["--model", "register"]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(
        said.text.contains("nothing exercised: no operation was acknowledged"),
        "{}",
        said.text
    );
    let said = check(b"[]", &["--model", "register"]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("nothing exercised"), "{}", said.text);
}

#[test]
fn an_operation_that_the_model_does_not_have_leaves_the_verdict_open() {
    let [_, (_, model, edn), _, _] = formats(2);
    let said = check(edn.replace(":f :read", ":f :raed").as_bytes(), &["--model", model]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(
        said.text.contains("line 6: model cas-register has no operation `raed`"),
        "{}",
        said.text
    );
}

#[test]
fn how_a_failed_cas_and_a_read_of_nil_are_meant_is_said_and_can_be_chosen() {
    let cas = "{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 0, :type :invoke, :f :cas, :value [1 2]}
{:process 0, :type :fail, :f :cas, :value [1 2]}
";
    let reading = |args: &[&str]| {
        let said = check(cas.as_bytes(), &[&["--model", "cas-register"], args].concat());
        (said.code, said.text)
    };
    let (code, text) = reading(&[]);
    assert!(code == Some(0) && text.contains("read as edn: a failed cas is dropped"), "{text}");
    let (code, text) = reading(&["--failed-cas", "observation"]);
    assert!(code == Some(1) && text.contains("a failed cas is an observation"), "{text}");

    let nil = "{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value nil}
";
    let code =
        |args: &[&str]| check(nil.as_bytes(), &[&["--model", "register"], args].concat()).code;
    assert_eq!(code(&[]), Some(0));
    assert_eq!(code(&["--nil-read", "absent"]), Some(1));
}

#[test]
fn bad_input_is_exit_code_64_with_the_line_what_was_expected_and_a_hint() {
    let said = |history: &[u8], args: &[&str]| {
        let said = check(history, args);
        assert_eq!(said.code, Some(64), "{}", said.text);
        assert!(said.json.is_none(), "no verdict on what cannot be read");
        assert!(!said.text.contains("panicked"), "{}", said.text);
        said.text
    };
    let register = ["--model", "register"];
    let [_, (_, _, edn), _, _] = formats(2);
    let cases: [(String, &str); 5] = [
        (edn.replacen(":invoke", ":invok", 1), "h:1: "),
        (
            edn.replacen("[{:process 0, :type :invoke, :f :write, :value 1}", "[", 1),
            "h: line 2: process 0 returns",
        ),
        (
            edn.replacen("{:process 0, :type :ok, :f :write, :value 1}", "", 1),
            "h: line 4: process 0 invokes",
        ),
        (edn[..edn.len() - 3].to_owned(), "the file ends inside"),
        (format!("{{:process 0, :type :invoke, :f :write, :value {}", "[".repeat(10_000)), "deep"),
    ];
    for (history, part) in cases {
        let text = said(history.as_bytes(), &register);
        assert!(text.contains(part), "{part} in {text}");
    }
    let after_info = "{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :info, :f :write, :value 1}
{:process 0, :type :invoke, :f :write, :value 2}
";
    assert!(said(after_info.as_bytes(), &register).contains("line 3: process 0"));
    let not_text = [edn.as_bytes(), b"\xff\xfe{:process 3}\n"].concat();
    assert!(said(&not_text, &register).contains("h:8: expected UTF-8"));
    assert!(said(b"", &register).contains("h:1: expected a history, found an empty file"));
    assert!(said(b"", &["--model", "register", "--format", "squall"]).contains("an empty file"));
    assert!(said(b"what is this?\n", &register).contains("name its format: squall, edn"));
    assert!(said(edn.as_bytes(), &[]).contains("needs --model"));
    assert!(said(edn.as_bytes(), &["--model", "regster"]).contains("did you mean register?"));
    assert!(said(edn.as_bytes(), &["--model", "register", "--format", "end"]).contains("edn"));
    let once = said(b"{\"squall\":\"history/9\"}\n", &register);
    assert_eq!(once.matches("expected").count(), 1, "told once: {once}");
}

#[test]
fn a_history_of_any_format_is_exported_as_edn_and_judged_the_same() {
    let squall = |args: &[&std::ffi::OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_squall")).args(args).output();
        output.expect("squall starts")
    };
    let dir = tempfile::tempdir().expect("a directory");
    for (code, read) in [(0, 2), (1, 1)] {
        for (format, model, history) in formats(read) {
            let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
            std::fs::write(&from, history).expect("written");
            let exported = squall(&["export".as_ref(), from.as_ref(), "-o".as_ref(), to.as_ref()]);
            assert_eq!(exported.status.code(), Some(0), "{format}: {exported:?}");
            let edn = std::fs::read_to_string(&to).expect("exported");
            assert!(edn.starts_with("{:process 0, :type :invoke, :f :write"), "{edn}");
            assert_eq!(edn.lines().count(), 6, "{edn}");
            let to_stdout = squall(&["export".as_ref(), from.as_ref()]);
            assert_eq!(String::from_utf8_lossy(&to_stdout.stdout), edn);
            let said = check(edn.as_bytes(), &["--model", model]);
            assert_eq!(said.code, Some(code), "{format}: {}", said.text);
        }
    }
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/exhibits/read-local-leader");
    let exported = squall(&["export".as_ref(), run.as_ref()]);
    let said = check(&exported.stdout, &["--model", "cas-register", "--format", "edn"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
}

/// A run of a register, whose log and whose clients are given.
fn run_with(log: &str) -> tempfile::TempDir {
    let exhibits = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/exhibits/clean");
    let manifest = std::fs::read(exhibits.join("run.json")).expect("run.json");
    let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["claims"] = serde_json::json!(["linearizable", "log-witness", "linearizable-settled"]);
    let history = r#"{"squall":"history/1"}
{"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}
{"time":2,"process":0,"type":"ok","f":"write","key":"x","value":1}
{"time":3,"process":1,"type":"invoke","f":"write","key":"x","value":2}
{"time":4,"process":1,"type":"info","f":"write","key":"x","value":2,"error":"timeout"}
{"time":5,"process":2,"type":"invoke","f":"read","key":"x"}
{"time":6,"process":2,"type":"ok","f":"read","key":"x","value":2}
"#;
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
    write("run.json", &manifest.to_string()).expect("run.json");
    write("history.jsonl", history).expect("history.jsonl");
    write("log.jsonl", log).expect("log.jsonl");
    dir
}

#[test]
fn what_only_a_write_that_no_log_has_could_have_left_is_refused_by_the_log_alone() {
    let header = r#"{"squall":"log/1","node":"n1","positions":"index","committed":1"#;
    let entry = r#"{"index":1,"term":1,"f":"write","key":"x","value":1}"#;
    let verdicts = |more: &str, entries: &str| {
        let dir = run_with(&format!("{header}{more}}}\n{entry}\n{entries}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        let output =
            command.arg("check").arg(dir.path()).arg("--json").output().expect("squall starts");
        let verdict: Value = serde_json::from_slice(&output.stdout).expect("a verdict");
        let rows = verdict["rows"].as_array().expect("rows").iter();
        let rows = rows.map(|row| format!("{} {}", row["verdict"], row["claim"]).replace('"', ""));
        (output.status.code(), rows.collect::<Vec<_>>().join(", "))
    };
    let said = |settled: &str| {
        format!("valid linearizable, not-judged log-witness, {settled} linearizable-settled")
    };
    assert_eq!(verdicts("", ""), (Some(1), said("invalid")));
    assert_eq!(verdicts(r#","alive":["n2"]"#, ""), (Some(0), said("not-judged")));
    assert_eq!(verdicts(r#","gone":["n2: wiped"]"#, ""), (Some(0), said("not-judged")));
    assert_eq!(verdicts(r#","missing":["n2: compacted"]"#, ""), (Some(0), said("not-judged")));
    let tail = r#"{"index":2,"term":1,"f":"write","key":"x","value":2}"#;
    assert_eq!(verdicts("", tail), (Some(0), said("not-judged")));
}
