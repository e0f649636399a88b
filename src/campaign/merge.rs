//! `squall campaign merge`: the shards of one campaign, from as many machines, become one campaign.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::file::CampaignFile;
use super::journal::{self, Ended, Header, Journal, Line, Recorded, RunId};
use super::known::Known;
use super::plan::Product;
use super::storms::Done;
use super::tally::Tally;
use super::{file, finish};
use crate::cli::MergeArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::test;

/// One shard, as it was found.
struct Shard {
    dir: PathBuf,
    text: String,
    recorded: Recorded,
}

/// Joins campaigns into a new one, and says what they come to together.
pub(super) fn command(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let known = Known::read(args.known.as_deref())?;
    let mut shards = args
        .dirs
        .iter()
        .map(|dir| read(dir))
        .collect::<anyhow::Result<Vec<_>>>()
        .map_err(Failure::bad_input)?;
    shards.sort_by_key(|shard| shard.recorded.header.shard);
    one_campaign(&shards).map_err(|error| {
        Failure::bad_input(error).hint("shards of one campaign have one file and one --seed")
    })?;
    let mut file = file::parse("campaign.toml", &shards[0].text)?;
    file.part(super::time(&shards[0].recorded.header)?, 1);
    let header = &shards[0].recorded.header;
    let product = Product::of(&file, header.seed, header.bug.as_deref())?;
    let missing = missing(&shards);
    let mut shortfalls: Vec<(ExitCode, String)> =
        shards.iter().flat_map(|shard| missed(shard, &file, &product, &known)).collect();
    shortfalls.extend(missing.iter().map(|why| (ExitCode::Unknown, why.clone())));

    let dir = args.results.join(format!(
        "{}-campaign-{}-{}-merged",
        jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
        file.name,
        header.seed
    ));
    let joined = join(&shards, &dir, &missing)
        .with_context(|| format!("failed to make {}", dir.display()))
        .map_err(Failure::harness)?;
    let seconds = shards.iter().map(|shard| shard.recorded.clock()).fold(0.0, f64::max);
    let done = Done {
        ended: joined.ended().cloned().collect(),
        seconds,
        notes: joined.notes().map(str::to_owned).collect(),
    };
    eprintln!("squall: {} shards into {}", shards.len(), test::shown(&dir));
    let tally = Tally {
        file: &file,
        product: &product,
        known: &known,
        complete: missing.is_empty(),
        shortfalls,
    };
    finish(&dir, &tally.summary(&joined.header, &done), args.json)
}

fn read(dir: &Path) -> anyhow::Result<Shard> {
    let shown = dir.display();
    let recorded = journal::read(&dir.join("campaign.jsonl"))
        .with_context(|| format!("{shown} is not a campaign"))?;
    let text = fs::read_to_string(dir.join("campaign.toml"))
        .with_context(|| format!("{shown} has no campaign.toml"))?;
    Ok(Shard { dir: dir.to_owned(), text, recorded })
}

/// Shards can be joined if they are of one campaign, and no two are the same.
fn one_campaign(shards: &[Shard]) -> anyhow::Result<()> {
    let first = &shards[0];
    let Header { version, seed, bug, shard: (_, of), .. } = &first.recorded.header;
    for (n, shard) in shards.iter().enumerate().skip(1) {
        let (a, b) = (first.dir.display(), shard.dir.display());
        let header = &shard.recorded.header;
        ensure!(
            header.version == *version,
            "{a} was made by squall {version}, {b} by {}",
            header.version
        );
        ensure!(header.seed == *seed, "{a} has the seed {seed}, {b} has {}", header.seed);
        ensure!(header.bug == *bug, "{a} and {b} differ in --bug");
        ensure!(header.shard.1 == *of, "{a} is one of {of} shards, {b} one of {}", header.shard.1);
        if let Some((line, _)) = differing(&first.text, &shard.text) {
            bail!("{a} and {b} have different files: see line {line} of campaign.toml");
        }
        let before = &shards[n - 1];
        ensure!(
            header.shard != before.recorded.header.shard,
            "{} and {b} are both shard {} of {of}",
            before.dir.display(),
            header.shard.0
        );
    }
    Ok(())
}

fn differing<'a>(a: &'a str, b: &'a str) -> Option<(usize, &'a str)> {
    let longer = a.lines().count().max(b.lines().count());
    let pairs = (0..longer).map(|n| (n, a.lines().nth(n), b.lines().nth(n)));
    let mut different = pairs.filter(|(_, a, b)| a != b);
    different.next().map(|(n, a, b)| (n + 1, a.or(b).unwrap_or_default()))
}

/// A shard whose canary was missed proved nothing with its own storms, whatever the others caught.
fn missed(
    shard: &Shard,
    file: &CampaignFile,
    product: &Product,
    known: &Known,
) -> Vec<(ExitCode, String)> {
    let header = &shard.recorded.header;
    let done = Done {
        ended: shard.recorded.ended().cloned().collect(),
        seconds: shard.recorded.clock(),
        notes: Vec::new(),
    };
    let tally = Tally { file, product, known, complete: true, shortfalls: Vec::new() };
    let (summary, _) = tally.summary(header, &done);
    let missed = summary.canaries.iter().filter(|canary| !canary.caught());
    let (n, of) = header.shard;
    let told = |bug: &str| format!("shard {n} of {of} did not catch the canary {bug}");
    missed.map(|canary| (ExitCode::HarnessFailure, told(&canary.bug))).collect()
}

/// Returns the shards that are not there.
fn missing(shards: &[Shard]) -> Vec<String> {
    let of = shards[0].recorded.header.shard.1;
    let there = |n: u64| shards.iter().any(|shard| shard.recorded.header.shard.0 == n);
    (1..=of).filter(|n| !there(*n)).map(|n| format!("shard {n} of {of} is missing")).collect()
}

/// Writes the journal of all, and takes over the runs that were kept.
fn join(shards: &[Shard], dir: &Path, missing: &[String]) -> anyhow::Result<Recorded> {
    let runs = dir.join("runs");
    fs::create_dir_all(&runs)?;
    fs::write(dir.join("campaign.toml"), &shards[0].text)?;
    let header = Header { shard: (1, 1), ..shards[0].recorded.header.clone() };
    let mut journal = Journal::create(&dir.join("campaign.jsonl"), &header)?;
    let mut lines = Vec::new();
    let mut canaries: BTreeMap<String, u32> = BTreeMap::new();
    for shard in shards {
        let (n, of) = shard.recorded.header.shard;
        for ended in shard.recorded.ended() {
            let run = numbered(&ended.run, &mut canaries);
            if ended.kept {
                take(
                    &shard.dir.join("runs").join(ended.run.to_string()),
                    &runs.join(run.to_string()),
                )?;
            }
            lines.push(Line::Ended(Box::new(Ended { run, ..ended.clone() })));
        }
        for line in &shard.recorded.lines {
            if let Line::Note { at, text } = line {
                lines.push(Line::Note { at: *at, text: format!("shard {n} of {of}: {text}") });
            }
        }
    }
    // On one clock: shards began when they began, and each counts from there.
    lines.sort_by(|a, b| time(a).total_cmp(&time(b)));
    lines.extend(missing.iter().map(|text| Line::Note { at: 0.0, text: text.clone() }));
    lines.iter().try_for_each(|line| journal.write(line))?;
    Ok(Recorded { header, lines })
}

fn time(line: &Line) -> f64 {
    match line {
        Line::Session { at, .. } | Line::Note { at, .. } => *at,
        Line::Ended(ended) => ended.at,
        Line::Began { .. } => 0.0,
    }
}

/// Storms have numbers of their own in each shard; canaries do not, and are counted on.
fn numbered(run: &RunId, canaries: &mut BTreeMap<String, u32>) -> RunId {
    match run {
        RunId::Storm(_) | RunId::Again(..) | RunId::Lie(..) => run.clone(),
        RunId::Canary(bug, _) => {
            let tries = canaries.entry(bug.clone()).or_default();
            *tries += 1;
            RunId::Canary(bug.clone(), *tries)
        }
    }
}

/// Copies a run; a hard link is enough where it can be had, since runs are not changed any more.
fn take(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries =
        fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            take(&from, &to)?;
        } else if kind.is_file() && fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(n: u64, of: u64, change: impl Fn(&mut Shard)) -> Shard {
        let header = Header {
            squall: Header::FORMAT.to_owned(),
            version: "1".to_owned(),
            seed: 7,
            shard: (n, of),
            time: None,
            bug: None,
        };
        let recorded = Recorded { header, lines: Vec::new() };
        let mut shard = Shard { dir: format!("s{n}").into(), text: "a\nb\n".to_owned(), recorded };
        change(&mut shard);
        shard
    }

    fn refused(change: impl Fn(&mut Shard)) -> String {
        let shards = [shard(1, 3, |_| {}), shard(2, 3, change)];
        one_campaign(&shards).expect_err("refused").to_string()
    }

    #[test]
    fn shards_of_different_campaigns_are_not_joined() {
        assert!(one_campaign(&[shard(1, 3, |_| {}), shard(3, 3, |_| {})]).is_ok());
        assert_eq!(refused(|one| one.recorded.header.seed = 8), "s1 has the seed 7, s2 has 8");
        assert_eq!(
            refused(|one| one.recorded.header.shard = (1, 3)),
            "s1 and s2 are both shard 1 of 3"
        );
        assert!(refused(|one| one.recorded.header.shard = (2, 4)).ends_with("s2 one of 4"));
        assert!(
            refused(|one| one.text = "a\nc\n".to_owned()).ends_with("see line 2 of campaign.toml")
        );
        assert!(refused(|one| one.recorded.header.bug = Some("x".to_owned())).contains("--bug"));
    }

    #[test]
    fn a_shard_that_is_not_there_is_named() {
        let shards = [shard(1, 3, |_| {}), shard(3, 3, |_| {})];
        assert_eq!(missing(&shards), ["shard 2 of 3 is missing"]);
    }

    #[test]
    fn canaries_of_shards_do_not_take_each_others_names() {
        let mut canaries = BTreeMap::new();
        let canary = RunId::Canary("figure8".to_owned(), 1);
        assert_eq!(numbered(&canary, &mut canaries), canary);
        assert_eq!(numbered(&canary, &mut canaries), RunId::Canary("figure8".to_owned(), 2));
        assert_eq!(numbered(&RunId::Storm(4), &mut canaries), RunId::Storm(4));
    }
}
