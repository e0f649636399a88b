//! A campaign as JUnit XML: a test case for each cause, canary and floor, and for each combination of storms.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::text::{counts, told};
use super::{CampaignSummary, Cause};

/// Returns the summary as JUnit XML.
pub fn junit(summary: &CampaignSummary) -> Result<String, SerializeError> {
    let mut report = Report::new(format!("squall campaign {}", summary.name));
    let mut storms = TestSuite::new("storms");
    storms.add_property(("seed", summary.seed.to_string().as_str()));
    for (label, ended) in &summary.combinations {
        let unmuted = ended.invalid - ended.muted;
        let status = match (unmuted, ended.failed, ended.unknown) {
            (0, 0, 0) => TestCaseStatus::success(),
            (0, _, _) => broken(NonSuccessKind::Error, counts(ended)),
            _ => broken(NonSuccessKind::Failure, counts(ended)),
        };
        storms.add_test_case(TestCase::new(label.clone(), status));
    }
    let mut causes = TestSuite::new("causes");
    causes.add_test_cases(summary.causes.iter().map(cause));
    let mut duties = TestSuite::new("floors and canaries");
    for floor in &summary.floors {
        let says = format!("{} of at least {}", floor.reached, floor.wanted);
        duties.add_test_case(duty(format!("floor {}", floor.name), floor.met(), says));
    }
    for canary in &summary.canaries {
        duties.add_test_case(duty(format!("canary {}", canary.bug), canary.caught(), told(canary)));
    }
    report.add_test_suites([storms, causes, duties]);
    report.to_string()
}

fn broken(kind: NonSuccessKind, says: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(says);
    status
}

fn duty(name: String, done: bool, says: String) -> TestCase {
    let status = if done { TestCaseStatus::success() } else { broken(NonSuccessKind::Error, says) };
    TestCase::new(name, status)
}

fn cause(cause: &Cause) -> TestCase {
    let status = match &cause.muted {
        Some(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("known: {reason}"));
            status
        }
        None => {
            let says = format!("{} ({})", cause.signature.says, cause.standing());
            broken(NonSuccessKind::Failure, says)
        }
    };
    TestCase::new(cause.signature.id.clone(), status)
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    #[test]
    fn a_cause_is_a_failure_a_known_one_is_skipped_and_a_missed_canary_is_an_error() {
        let mut summary = summary();
        let xml = junit(&summary).expect("XML");
        assert!(xml.contains(r#"failures="2""#), "{xml}");
        assert!(xml.contains("two &lt;entries&gt; at 7@3"), "{xml}");
        summary.causes[0].muted = Some("issue 12".to_owned());
        summary.combinations[0].1.muted = 2;
        summary.canaries[0].caught_by.clear();
        let xml = junit(&summary).expect("XML");
        assert!(xml.contains(r#"failures="0""#) && xml.contains("known: issue 12"), "{xml}");
        assert!(xml.contains("figure8 MISSED"), "{xml}");
    }
}
