//! `squall list`: what there is, one line each, with what it needs and finds.

use std::path::{Path, PathBuf};

use squall_history::Claim;
use squall_systems::{MissingBinary, SystemSpec};

use crate::cli::ListArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

const KINDS: [&str; 5] = ["workloads", "faults", "checks", "systems", "bugs"];

/// Prints one list, or all.
pub(crate) fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let text = match args.what.as_deref() {
        Some(kind) if KINDS.contains(&kind) => table(&rows(kind)),
        Some(other) => return Err(Failure::unknown("list", other, KINDS)),
        None => {
            let lists: Vec<String> = KINDS
                .iter()
                .map(|kind| format!("{kind}\n{}", indent(&table(&rows(kind)))))
                .collect();
            lists.join("\n")
        }
    };
    crate::output::print(&text);
    Ok(ExitCode::Valid)
}

fn rows(kind: &str) -> Vec<(String, String)> {
    match kind {
        "workloads" => squall_workloads::catalog()
            .iter()
            .map(|workload| {
                let text = format!(
                    "{}; needs {}; finds {}",
                    workload.summary,
                    workload.needs.join(", "),
                    workload.finds
                );
                (workload.name.to_owned(), text)
            })
            .collect(),
        "faults" => squall_nemesis::families()
            .iter()
            .map(|family| {
                let text =
                    format!("{}; needs {}; finds {}", family.summary, family.needs, family.finds);
                (family.name.to_owned(), text)
            })
            .collect(),
        "checks" => Claim::ALL
            .iter()
            .map(|claim| {
                (claim.name().to_owned(), format!("{} ({})", claim.title(), claim.source()))
            })
            .collect(),
        "systems" => systems(Path::new("systems")),
        _ => squall_raft_node::planted::all()
            .iter()
            .map(|bug| {
                let settings: Vec<String> =
                    bug.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let settings = if settings.is_empty() {
                    String::new()
                } else {
                    format!("; sets {}", settings.join(", "))
                };
                let flags = crate::exam::flags(bug.name);
                let text = format!(
                    "{}{settings}; try squall test --bug {} {flags}",
                    bug.summary, bug.name
                );
                (bug.name.to_owned(), text)
            })
            .collect(),
    }
}

/// Returns the reference, and every page in a directory with whether it can be started.
fn systems(dir: &Path) -> Vec<(String, String)> {
    let reference = "the reference Raft, planted bugs included; the default";
    let mut rows = vec![("squall-raft".to_owned(), reference.to_owned())];
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    pages.retain(|path| path.extension().is_some_and(|it| it == "toml"));
    pages.sort();
    rows.extend(pages.iter().filter_map(|page| system(page)));
    rows
}

/// Returns what a page describes; none where it is no page of a system, or the reference's own.
fn system(page: &Path) -> Option<(String, String)> {
    let name = page.file_stem()?.to_string_lossy().into_owned();
    let text = match SystemSpec::read(page) {
        Ok(spec) if spec.name == SystemSpec::reference().name => return None,
        Ok(spec) => match spec.check_binary() {
            Ok(()) => format!("squall test --system {}", page.display()),
            Err(MissingBinary { fetch: Some(fetch), .. }) => {
                format!("not here yet; get it with {fetch}")
            }
            Err(missing) => missing.to_string(),
        },
        // A Cargo.toml, for instance.
        Err(_) if !std::fs::read_to_string(page).ok()?.contains("[system]") => return None,
        Err(error) => format!("cannot be used: {error}"),
    };
    Some((name, text))
}

fn table(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, text)| format!("{name:<width$}  {text}\n")).collect()
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
