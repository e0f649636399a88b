//! Simulates many clusters, or tells one in words:
//!
//! ```text
//! simulate --seeds 10000                   # the nightly size; --first 5000 begins elsewhere
//! simulate --seeds 500 --bug figure8       # how often is a planted bug found, and by which law?
//! simulate --seeds 500 --settings-of figure8
//! simulate --seed 77                       # the story of one seed
//! ```
#![expect(clippy::print_stdout, reason = "a command talks to its user")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use squall_raft_core::planted::{self, Planted};
use squall_raft_core::simulation::{
    AdoptsAnyTerm, IgnoresPrevTerm, LeaderOverwrites, Report, Scenario, Tale, run,
};

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the example is the shell of the simulation")]
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&arguments) {
        Ok(options) => options.run(),
        Err(problem) => {
            println!("{problem}");
            ExitCode::from(64)
        }
    }
}

#[derive(Default)]
struct Options {
    seed: Option<u64>,
    seeds: u64,
    first: u64,
    bug: Option<String>,
    settings_of: Option<&'static Planted>,
    keep_going: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options { seeds: 1000, ..Options::default() };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            if flag == "--keep-going" {
                options.keep_going = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{flag} needs a number"));
            match flag.as_str() {
                "--seed" => options.seed = Some(number()?),
                "--seeds" => options.seeds = number()?,
                "--first" => options.first = number()?,
                "--bug" => options.bug = Some(value.clone()),
                "--settings-of" => options.settings_of = Some(planted_bug(value)?),
                _ => return Err(format!("unknown flag {flag}")),
            }
        }
        options.scenario(0).map(|_| options)
    }

    fn scenario(&self, seed: u64) -> Result<Scenario, String> {
        let settings = self.settings_of.map_or(&[] as &[_], |bug| bug.settings);
        let mut scenario = Scenario::new(seed).with_settings(settings);
        scenario.keep_going = self.keep_going;
        match self.bug.as_deref() {
            None => Ok(scenario),
            Some("leader-overwrites") => Ok(scenario.with_rules(LeaderOverwrites)),
            Some("ignores-prev-term") => Ok(scenario.with_rules(IgnoresPrevTerm)),
            Some("adopts-any-term") => Ok(scenario.with_rules(AdoptsAnyTerm)),
            Some(name) => Ok(scenario.with_bug(planted_bug(name)?)),
        }
    }

    fn run(&self) -> ExitCode {
        match self.seed {
            Some(seed) => self.tell(seed),
            None => self.run_many(),
        }
    }

    fn tell(&self, seed: u64) -> ExitCode {
        let mut tale = Tale::default();
        let Ok(scenario) = self.scenario(seed) else { return ExitCode::from(64) };
        let report = run(&scenario, &mut tale);
        println!("{}", tale.text);
        println!("{:?}", report);
        report.violations.iter().for_each(|violation| println!("{violation}"));
        exit_code(report.violations.is_empty())
    }

    fn run_many(&self) -> ExitCode {
        let mut total = Report::default();
        let mut laws: BTreeMap<&str, u64> = BTreeMap::new();
        let mut broken_seeds = 0;
        for seed in self.first..self.first + self.seeds {
            let Ok(scenario) = self.scenario(seed) else { return ExitCode::from(64) };
            let report = run(&scenario, &mut ());
            if !report.violations.is_empty() {
                broken_seeds += 1;
                if broken_seeds <= 3 {
                    println!("{}", report.violations[0]);
                }
            }
            for violation in &report.violations {
                *laws.entry(violation.broken.law).or_default() += 1;
            }
            add(&mut total, &report);
        }
        println!(
            "{} seeds: {} steps, {} elections, {} entries committed, {} reads served, {} crashes, {} other faults",
            self.seeds,
            total.steps,
            total.elections,
            total.committed,
            total.reads,
            total.crashes,
            total.other_faults
        );
        println!("{broken_seeds} seeds broke a law: {laws:?}");
        exit_code(broken_seeds == 0)
    }
}

fn exit_code(valid: bool) -> ExitCode {
    if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn add(total: &mut Report, report: &Report) {
    total.steps += report.steps;
    total.elections += report.elections;
    total.committed += report.committed;
    total.reads += report.reads;
    total.crashes += report.crashes;
    total.other_faults += report.other_faults;
}

fn planted_bug(name: &str) -> Result<&'static Planted, String> {
    let found = planted::ALL.iter().find(|bug| bug.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = planted::ALL.iter().map(|bug| bug.name).collect();
        format!("no bug {name}; there are {}", names.join(", "))
    })
}
