//! The differential tests at the size of a night: `cargo run --release -p squall-checker --example torture [seeds] [model] [from]`.
//!
//! Every engine against brute force and each other on so many small random histories of each model (80,000 by default,
//! a million in all), the first made from the seed `from`; every proof is replayed, and changes that cannot matter are
//! made. `all` stands for every model.
//!
//! Each line says which seeds are done, so that a run that was stopped goes on where its last line ended. The first
//! disagreement of a model is told, the other models go on, and the exit code is 1.
#![expect(clippy::print_stdout, reason = "its verdict is what it is for")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;

use rayon::prelude::*;
use squall_checker::ModelKind;
use squall_checker::adversary::examine;

/// Seeds of one line of output.
const CHUNK: u64 = 20_000;

/// Where the seeds begin: far from those that the tests try.
const FROM: u64 = 1_000_000;

/// How often each engine gave each verdict.
type Verdicts = BTreeMap<(String, &'static str), u64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (seeds, models) = match asked(&arguments) {
        Ok(asked) => asked,
        Err(why) => {
            println!("{why}\nusage: torture [seeds] [model, or all] [first seed]");
            return ExitCode::from(64);
        }
    };
    let disagree: Vec<_> =
        models.into_iter().filter(|model| !tortured(*model, seeds.clone())).collect();
    match disagree[..] {
        [] => ExitCode::SUCCESS,
        [..] => ExitCode::FAILURE,
    }
}

/// Reads what is asked for: the seeds and the models.
fn asked(arguments: &[String]) -> Result<(Range<u64>, Vec<ModelKind>), String> {
    let number = |n: usize, default: u64| match arguments.get(n) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|error| format!("{text:?} is no number: {error}")),
    };
    let (count, from) = (number(0, 80_000)?, number(2, FROM)?);
    let models = match arguments.get(1).map(String::as_str) {
        None | Some("all") => ModelKind::ALL.to_vec(),
        Some(name) => {
            vec![name.parse().map_err(|error: squall_checker::UnknownModel| error.to_string())?]
        }
    };
    Ok((from..from + count, models))
}

/// Examines a model from these seeds, line by line; says whether all agree.
fn tortured(model: ModelKind, seeds: Range<u64>) -> bool {
    for start in seeds.clone().step_by(CHUNK as usize) {
        let chunk = start..seeds.end.min(start + CHUNK);
        match examined(model, chunk.clone()) {
            Ok(verdicts) => println!("{model} {}..{}: {}", chunk.start, chunk.end, told(&verdicts)),
            Err(story) => {
                println!("{story}");
                return false;
            }
        }
    }
    true
}

/// Examines a model from these seeds; says how often each engine gave each verdict.
fn examined(model: ModelKind, seeds: Range<u64>) -> Result<Verdicts, String> {
    seeds
        .into_par_iter()
        .map(|seed| examine(model, seed))
        .try_fold(Verdicts::new, |mut verdicts, examined| {
            if let Some(examined) = examined? {
                *verdicts.entry((examined.engine, examined.verdict.name())).or_insert(0) += 1;
            }
            Ok::<_, String>(verdicts)
        })
        .try_reduce(Verdicts::new, |mut all, some| {
            some.into_iter().for_each(|(key, count)| *all.entry(key).or_insert(0) += count);
            Ok(all)
        })
}

fn told(verdicts: &Verdicts) -> String {
    let each =
        |((engine, verdict), count): (&(String, &str), &u64)| format!("{engine} {verdict} {count}");
    verdicts.iter().map(each).collect::<Vec<_>>().join(", ")
}
