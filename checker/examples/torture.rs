//! The differential tests at the size of a night: `cargo run --release -p squall-checker --example torture [seeds] [model]`.
//!
//! Every engine against brute force and each other on so many small random histories of each model (80,000 by default,
//! a million in all); every proof is replayed, and changes that cannot matter are made. Ends with 1 at the first
//! disagreement, which it tells.
#![expect(clippy::print_stdout, reason = "its verdict is what it is for")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use rayon::prelude::*;
use squall_checker::ModelKind;
use squall_checker::adversary::examine;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seeds = arguments.next().and_then(|seeds| seeds.parse().ok()).unwrap_or(80_000_u64);
    let only: Option<ModelKind> = arguments.next().and_then(|name| name.parse().ok());
    for model in ModelKind::ALL.into_iter().filter(|model| only.is_none_or(|only| only == *model)) {
        match tortured(model, seeds) {
            Ok(verdicts) => println!("{model}: {verdicts}"),
            Err(story) => {
                println!("{story}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Examines a model from so many seeds; says how often each engine gave each verdict.
fn tortured(model: ModelKind, seeds: u64) -> Result<String, String> {
    let verdicts = (0..seeds)
        .into_par_iter()
        .map(|seed| examine(model, 1_000_000 + seed))
        .try_fold(BTreeMap::new, |mut verdicts, examined| {
            if let Some(examined) = examined? {
                *verdicts.entry((examined.engine, examined.verdict.name())).or_insert(0_u64) += 1;
            }
            Ok::<_, String>(verdicts)
        })
        .try_reduce(BTreeMap::new, |mut all, some| {
            some.into_iter().for_each(|(key, count)| *all.entry(key).or_insert(0) += count);
            Ok(all)
        })?;
    let each =
        |((engine, verdict), count): (&(String, &str), &u64)| format!("{engine} {verdict} {count}");
    Ok(verdicts.iter().map(each).collect::<Vec<_>>().join(", "))
}
