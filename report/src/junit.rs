//! `junit.xml`: one test case a check, for CI.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use squall_checker::{Row, RunVerdict, Verdict};
use squall_history::Manifest;

/// Returns the verdict as JUnit XML.
pub fn junit(
    manifest: &Manifest,
    verdict: &RunVerdict,
) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("squall");
    let mut suite = TestSuite::new(format!("{} {}", manifest.system.name, manifest.workload));
    suite.add_test_cases(verdict.rows.iter().map(case));
    suite.add_property(("seed", manifest.seed.to_string().as_str()));
    report.add_test_suite(suite);
    report.to_string()
}

fn case(row: &Row) -> TestCase {
    let status = match row.verdict {
        Verdict::Valid => TestCaseStatus::success(),
        Verdict::NotJudged => skipped(row),
        Verdict::Invalid => failed(NonSuccessKind::Failure, row),
        Verdict::Unknown => failed(NonSuccessKind::Error, row),
    };
    let key = row.key.as_ref().map_or_else(String::new, |key| format!(" key {key}"));
    let mut case = TestCase::new(format!("{}{key}", row.claim), status);
    case.set_classname("squall");
    case
}

fn skipped(row: &Row) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(row.summary.clone());
    status
}

fn failed(kind: NonSuccessKind, row: &Row) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(row.summary.clone());
    let lines: Vec<String> = row
        .evidence
        .iter()
        .map(|evidence| format!("{} ({}:{})", evidence.text, evidence.file, evidence.line))
        .collect();
    status.set_description(lines.join("\n"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::Claim;

    #[test]
    fn a_violation_is_a_failure_and_doubt_is_an_error() {
        let broken = Row::new(Claim::LogMatching, Verdict::Invalid, "fold", "two <hashes> at 7@3");
        let doubt = Row::new(Claim::Linearizable, Verdict::Unknown, "search", "out of time");
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "squall": "run/1", "version": "0", "command": [], "replay": [], "started": "",
            "monotonic_origin": 0, "seed": 1, "system": {"name": "raft"}, "nodes": [],
            "workload": "register", "nemesis": [], "claims": [], "settings": {}, "state": "complete"
        }))
        .expect("a manifest");
        let xml = junit(&manifest, &RunVerdict::of(vec![broken, doubt], vec![])).expect("XML");
        assert!(xml.contains(r#"failures="1""#) && xml.contains(r#"errors="1""#), "{xml}");
        assert!(xml.contains("two &lt;hashes&gt; at 7@3"), "{xml}");
    }
}
