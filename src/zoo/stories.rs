//! What squall says of each planted bug, beside what the bug is: made from the zoo's kept runs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use squall_history::RunDir;
use squall_report::{Recorded, story};

use crate::show;

/// How many finds of a bug are told.
const FINDS: u32 = 3;

/// Returns docs/stories.md.
pub(super) fn markdown(dir: &Path, bugs: &[&str]) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Stories\n\nWhat `squall show` says of each planted bug, found by random storms, beside what the bug is. Made by \
         `squall zoo --stories`\nfrom runs as they were found: the story does not know the bug.\n",
    );
    for bug in bugs {
        let planted = squall_raft_node::planted::find(bug).context("a bug of the catalog")?;
        let _ =
            writeln!(text, "\n## {bug}\n\nThe bug: {} ({}).\n", planted.summary, planted.source);
        for n in 1..=FINDS {
            let place = dir.join(format!("{bug}-{n}"));
            if place.join("verdict.json").exists() {
                text.push_str(&told(&place)?);
            }
        }
    }
    Ok(text)
}

/// Returns the first sentence of a story and its cause.
fn told(place: &Path) -> anyhow::Result<String> {
    let run = RunDir::open(place)?;
    let verdict = show::verdict(&run).map_err(|failure| failure.error)?;
    let recorded = Recorded::read(&run)?;
    let sentences = story(&recorded, &verdict);
    let wanted = |text: &str| text.starts_with("First broken") || text.starts_with("Cause");
    let told = sentences.iter().filter(|sentence| wanted(&sentence.text));
    let told: Vec<&str> = told.map(|sentence| sentence.text.as_str()).collect();
    Ok(if told.is_empty() {
        "- Not found in this hunt.\n".to_owned()
    } else {
        format!("- {}\n", told.join(" "))
    })
}
