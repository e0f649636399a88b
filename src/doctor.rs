//! `squall doctor`: what this machine can inject, by which mechanism, and what to do about the rest.

use squall_cluster::doctor::{Capability, examine};

use crate::cli::DoctorArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Examines the machine and prints what was found.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let report = examine().map_err(Failure::harness)?;
    if args.json {
        let json = serde_json::to_string(&report).expect("a report is plain data");
        crate::output::print(&json);
    } else {
        let lines: Vec<String> = report.capabilities.iter().map(line).collect();
        crate::output::print(&lines.concat());
        crate::output::print(if report.can_test() {
            "The default test can run here: squall test"
        } else {
            "The default test cannot run here; the remedies above are marked with ->."
        });
    }
    Ok(if report.can_test() { ExitCode::Valid } else { ExitCode::HarnessFailure })
}

fn line(capability: &Capability) -> String {
    let mark = if capability.works { "yes" } else { "no " };
    let mut text = format!("{mark}  {:<22} {}\n", capability.name, capability.finding);
    if !capability.works {
        text.push_str(&format!("     {:<22} {}\n", "", capability.consequence));
        text.push_str(&format!("     {:<22} -> {}\n", "", capability.remedy));
    }
    text
}
