//! `squall system check`: exercises the adapter of a system, and says what works, what is missing and what that costs.
//!
//! It is one short run like any other, with every fault that this machine has, read by other eyes: not *is the system
//! right?* but *would squall notice if it were not?*

mod disk;
pub(crate) mod findings;

use std::str::FromStr;

use clap::Parser;
use squall_checker::{Budget, ModelKind, Verdict, judge};
use squall_history::{Claim, Format, History, Manifest, RunDir, formats};
use squall_nemesis::Family;
use squall_systems::{AttachSection, SystemSpec};
use squall_workloads::Workload;

use self::findings::{Finding, Standing};
use crate::cli::{Cli, Command, SystemArgs, SystemCheckArgs, SystemCommand, TestArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::lie::Lie;
use crate::spec::RunSpec;
use crate::{check, run, states, test};

/// Does what was asked about a system.
pub(crate) fn command(args: &SystemArgs) -> Result<ExitCode, Failure> {
    let SystemCommand::Check(args) = &args.command;
    let system = SystemSpec::read(&args.file).map_err(Failure::bad_input)?;
    let workload = workload(&system)?;
    let nodes = args.nodes.unwrap_or(system.nodes);
    let test = test_args(args, nodes, workload, &families(&system, nodes))?;
    let spec = RunSpec::resolve(&test)?;
    let sandbox = test::sandbox(&spec)?;
    let run = run::run(&spec, sandbox.as_ref())?;
    let verdict = check::judge_run(&run, &test.judging)?;
    squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    let findings = findings(&run, &system, workload)?;
    tell(&system.name, &findings);
    let broken = verdict.rows.iter().find(|row| row.verdict == Verdict::Invalid);
    if let Some(row) = broken {
        eprintln!(
            "\nThe system itself broke what it claims: {}: {}",
            row.claim.title(),
            row.summary
        );
    }
    eprintln!(
        "\nThe run is in {}; squall test --system {} is the real thing.",
        test::shown(run.path()),
        args.file.display()
    );
    let adapter = findings::exit_code(&findings);
    Ok(if broken.is_some() { ExitCode::Invalid } else { adapter })
}

/// Returns the first workload of the catalog that the system claims to have all for.
fn workload(system: &SystemSpec) -> Result<&'static Workload, Failure> {
    let catalog = squall_workloads::catalog();
    catalog.iter().find(|workload| system.lacks(workload).is_empty()).ok_or_else(|| {
        let error = anyhow::anyhow!("{} claims too little for any workload", system.name);
        Failure::bad_input(error).hint("squall list workloads says what each needs")
    })
}

/// Returns the families of faults that the page and the number of nodes allow.
fn families(system: &SystemSpec, nodes: usize) -> String {
    let commanded =
        |command: fn(&AttachSection) -> bool| system.attach.as_ref().is_none_or(command);
    let possible = [
        ("kill", commanded(|attach| attach.kill.is_some())),
        ("pause", commanded(|attach| attach.pause.is_some())),
        // One node has no links.
        ("partition", nodes > 1 && commanded(|attach| attach.cut.is_some())),
        (Family::Upgrade.name(), !system.node.versions.is_empty()),
        (Family::Member.name(), nodes > 2 && findings::tries_members(system)),
    ];
    let names: Vec<&str> =
        possible.into_iter().filter(|(_, can)| *can).map(|(name, _)| name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

/// Returns the flags of the run, as a person would type them.
fn test_args(
    args: &SystemCheckArgs,
    nodes: usize,
    workload: &Workload,
    nemesis: &str,
) -> Result<TestArgs, Failure> {
    let nodes_text = nodes.to_string();
    let words = [
        "squall",
        "test",
        "--nodes",
        &nodes_text,
        "--workload",
        workload.name,
        "--nemesis",
        nemesis,
        "--time-limit",
        "9s",
        "--nemesis-interval",
        "1s",
        "--rate",
        "300",
        "--concurrency",
        "5",
    ];
    let words = words.into_iter().map(Into::into);
    let paths = [("--system", &args.file), ("--results", &args.results)];
    let paths =
        paths.into_iter().flat_map(|(flag, path)| [flag.into(), path.as_os_str().to_owned()]);
    let parsed = Cli::try_parse_from(words.chain(paths)).map_err(Failure::harness)?;
    match parsed.command {
        Command::Test(args) => Ok(*args),
        _ => Err(Failure::harness(anyhow::anyhow!("our own flags are those of another command"))),
    }
}

fn findings(
    run: &RunDir,
    system: &SystemSpec,
    workload: &Workload,
) -> Result<Vec<Finding>, Failure> {
    let manifest = run.read_manifest()?;
    let read = formats::read_file(&run.history(), Some(Format::Squall));
    let history = read.map_err(Failure::harness)?.history;
    let timeline = check::timeline(run, &mut Vec::new())?;
    let mut findings = vec![findings::boot(system, &manifest)];
    findings.extend(findings::services(system));
    findings.extend(findings::operations(&history));
    findings.extend(findings::not_claimed(system));
    findings.extend(findings::faults(system, &manifest, &timeline, &history));
    findings.extend(findings::members(system, &manifest, &timeline, &history));
    findings.extend(findings::versions(system, &manifest, &timeline, &history));
    findings.push(findings::leader(system, &manifest));
    findings.push(findings::states(system, states::read(run)?.as_ref()));
    findings.push(disk::finding(system, &run.disks()?)?);
    findings.push(findings::trace(run.traces()?.len()));
    findings.extend(proofs(&history, &manifest, workload)?);
    Ok(findings)
}

/// Tells each lie about the run and asks the checker, with the claims that the system is held to.
fn proofs(
    history: &History,
    manifest: &Manifest,
    workload: &Workload,
) -> Result<Vec<Finding>, Failure> {
    let model = ModelKind::from_str(workload.model).map_err(Failure::harness)?;
    let proofs = Lie::CLIENTS.into_iter().map(|lie| {
        if !manifest.claims.contains(&Claim::Linearizable) {
            let cost = format!(
                "its claims do not forbid {}: nothing that clients see proves anything",
                lie.text()
            );
            return Finding::new(lie.text(), Standing::Absent, cost);
        }
        let Some((told, what)) = lie.told(history) else {
            let why =
                "the run has no read after an acknowledged write, so there was nothing to change";
            return Finding::new(lie.text(), Standing::Missing, why);
        };
        let reading = Format::Squall.default_reading();
        let rows = judge(&told, model, &reading, &Budget::default()).rows("history.jsonl");
        if rows.iter().any(|row| row.verdict == Verdict::Invalid) {
            Finding::new(lie.text(), Standing::Works, format!("found out: {what}"))
        } else {
            Finding::new(lie.text(), Standing::Wrong, format!("NOT found out: {what}"))
        }
    });
    Ok(proofs.collect())
}

/// Prints the table for people.
fn tell(name: &str, findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    eprintln!("\n{name}, as squall sees it\n");
    for Finding { what, standing, seen } in findings {
        eprintln!("  {what:<width$}  {:<7}  {seen}", standing.word());
    }
}
