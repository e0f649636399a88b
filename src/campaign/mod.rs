//! `squall campaign`: many storms from one file, judged one by one, with canaries among them.

mod agenda;
mod file;
mod journal;
mod known;
mod lies;
mod merge;
mod plan;
mod seen;
mod storms;
mod tally;
mod width;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use squall_report::campaign as pages;

use self::file::CampaignFile;
use self::journal::{Header, Journal, Recorded};
use self::known::Known;
pub(crate) use self::plan::Product;
use self::storms::Storms;
use crate::cli::{CampaignArgs, CampaignCommand};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, spec, test};

/// The campaigns that come with squall.
const PRESETS: [(&str, &str); 3] = [
    ("smoke", include_str!("presets/smoke.toml")),
    ("ci", include_str!("presets/ci.toml")),
    ("nightly", include_str!("presets/nightly.toml")),
];

/// Runs a campaign, or goes on with one.
pub(crate) fn command(args: &CampaignArgs) -> Result<ExitCode, Failure> {
    if let Some(CampaignCommand::Merge(args)) = &args.command {
        return merge::command(args);
    }
    if args.init {
        output::print(PRESETS[0].1);
        return Ok(ExitCode::Valid);
    }
    let known = Known::read(args.known.as_deref())?;
    let (dir, file, recorded) = match &args.resume {
        Some(dir) => resume(dir)?,
        None => begin(args)?,
    };
    let journal = Journal::resume(&dir.join("campaign.jsonl"))
        .context("failed to open the campaign's journal")
        .map_err(Failure::harness)?;
    let product = Product::of(&file, recorded.header.seed, recorded.header.bug.as_deref())?;
    let (place, seed) = (test::shown(&dir), recorded.header.seed);
    eprintln!("squall: {place}, seed {seed}, {} combinations", product.len());
    let storms = Storms { args, file: &file, dir: &dir, product: &product, known: &known };
    let (complete, ended) = storms.run(&recorded, journal)?;
    let tally = tally::Tally {
        file: &file,
        product: &product,
        known: &known,
        complete,
        shortfalls: Vec::new(),
    };
    finish(&dir, &tally.summary(&recorded.header, &ended), args.json)
}

/// Writes the pages of a campaign, and tells what it comes to.
fn finish(
    dir: &Path,
    (summary, code): &(pages::CampaignSummary, ExitCode),
    json: bool,
) -> Result<ExitCode, Failure> {
    write(dir, summary)?;
    eprint!("{}", pages::text(summary));
    eprintln!("index   {}", test::shown(&dir.join("index.html")));
    if json {
        output::print(&serde_json::to_string(summary).expect("a summary is plain data"));
    }
    Ok(*code)
}

/// Makes the campaign's directory, with the file in it: what goes on later needs nothing else.
fn begin(args: &CampaignArgs) -> Result<(PathBuf, CampaignFile, Recorded), Failure> {
    let (name, text) = text(args)?;
    let mut file = file::parse(&name, &text)?;
    let shard = shard(args.shard.as_deref())?;
    file.part(args.time, shard.1);
    if let Some(bug) = &args.bug {
        spec::known_bug(bug)?;
    }
    let seed = args.seed.or(file.seed).unwrap_or_else(spec::seed_of_now);
    let header = Header {
        squall: Header::FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed,
        shard,
        time: args.time.map(squall_history::schedule::duration::print),
        bug: args.bug.clone(),
    };
    // An empty product is told before anything is made.
    Product::of(&file, seed, args.bug.as_deref())?;
    let started = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let dir = args.results.join(format!("{started}-campaign-{}-{seed}", file.name));
    let made = std::fs::create_dir_all(&args.results)
        .and_then(|()| std::fs::create_dir(&dir))
        .and_then(|()| std::fs::create_dir(dir.join("runs")))
        .and_then(|()| std::fs::write(dir.join("campaign.toml"), &text))
        .and_then(|()| Journal::create(&dir.join("campaign.jsonl"), &header).map(|_| ()));
    made.with_context(|| format!("failed to make {}", dir.display()))
        .map_err(|error| Failure::harness(error).hint("choose another place with --results DIR"))?;
    let dir =
        dir.canonicalize().context("failed to find the campaign").map_err(Failure::harness)?;
    Ok((dir, file, Recorded { header, lines: Vec::new() }))
}

/// Returns a campaign that comes with squall.
pub(crate) fn preset(name: &str) -> Result<CampaignFile, Failure> {
    file::parse(&format!("{name}.toml"), preset_text(name)?)
}

fn preset_text(wanted: &str) -> Result<&'static str, Failure> {
    let found = PRESETS.iter().find(|(name, _)| *name == wanted);
    let known = || PRESETS.map(|(name, _)| name);
    found.map(|(_, text)| *text).ok_or_else(|| Failure::unknown("preset", wanted, known()))
}

fn text(args: &CampaignArgs) -> Result<(String, String), Failure> {
    if let Some(path) = &args.file {
        return file::text(path).map(|text| (path.display().to_string(), text));
    }
    let names = PRESETS.map(|(name, _)| name);
    let Some(wanted) = &args.preset else {
        let error = anyhow::anyhow!("a campaign needs a file or a --preset");
        let hint = format!("presets: {}; squall campaign --init prints a file", names.join(", "));
        return Err(Failure::bad_input(error).hint(hint));
    };
    Ok((format!("{wanted}.toml"), preset_text(wanted)?.to_owned()))
}

/// Reads a campaign that was begun.
fn resume(dir: &Path) -> Result<(PathBuf, CampaignFile, Recorded), Failure> {
    let path = dir.join("campaign.jsonl");
    let recorded = journal::read(&path)
        .with_context(|| format!("{} is not a campaign that can go on", dir.display()))
        .map_err(Failure::bad_input)?;
    let mut file = file::read(&dir.join("campaign.toml"))?;
    file.part(time(&recorded.header)?, recorded.header.shard.1);
    let dir =
        dir.canonicalize().context("failed to find the campaign").map_err(Failure::harness)?;
    Ok((dir, file, recorded))
}

/// Returns the time that was asked for instead of the file's.
fn time(header: &Header) -> Result<Option<Duration>, Failure> {
    let parse = |text: &String| squall_history::schedule::duration::parse(text);
    let time = header.time.as_ref().map(parse).transpose();
    time.map_err(|why| Failure::bad_input(anyhow::anyhow!(why)))
}

/// Reads `3/16`.
fn shard(text: Option<&str>) -> Result<(u64, u64), Failure> {
    let Some(text) = text else { return Ok((1, 1)) };
    let parsed = text.split_once('/').and_then(|(n, of)| Some((n.parse().ok()?, of.parse().ok()?)));
    parsed.filter(|(n, of)| *n >= 1 && n <= of).ok_or_else(|| {
        let error = anyhow::anyhow!("--shard {text}: expected a part of the whole, such as 3/16");
        Failure::bad_input(error)
    })
}

/// Writes what people and machines read.
fn write(dir: &Path, summary: &pages::CampaignSummary) -> Result<(), Failure> {
    let page =
        pages::page(summary).context("failed to render index.html").map_err(Failure::harness)?;
    let junit =
        pages::junit(summary).context("failed to render junit.xml").map_err(Failure::harness)?;
    let markdown = pages::markdown(summary);
    let json = serde_json::to_string_pretty(summary).expect("a summary is plain data");
    for (name, text) in [
        ("index.html", &page),
        ("junit.xml", &junit),
        ("summary.md", &markdown),
        ("summary.json", &json),
    ] {
        let aside = dir.join(format!(".{name}"));
        std::fs::write(&aside, text)
            .and_then(|()| std::fs::rename(&aside, dir.join(name)))
            .with_context(|| format!("failed to write {name} of the campaign"))
            .map_err(Failure::harness)?;
    }
    step_summary(&markdown)
}

/// Adds the summary to the page of a GitHub Actions step, where there is one.
fn step_summary(markdown: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(markdown.as_bytes()))
        .context("failed to write the step summary")
        .map_err(Failure::harness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_right_and_can_run() {
        for (name, text) in PRESETS {
            let file = file::parse(name, text).expect("a preset is right");
            assert_eq!(file.name, name);
            let product = Product::of(&file, 1, None).expect("a preset can run");
            assert_eq!(product.left_out, Vec::<String>::new());
            assert!(!file.canaries.bugs.is_empty() && file.floors.runs > 0);
        }
    }

    #[test]
    fn a_shard_is_a_part_of_the_whole() {
        assert_eq!(shard(Some("3/16")).expect("right"), (3, 16));
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            assert!(shard(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
