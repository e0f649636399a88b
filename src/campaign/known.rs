//! `known.toml`: signatures that people know of, each with a reason and an expiry. A muted failure is still counted and shown.

use std::path::Path;

use anyhow::Context;
use jiff::civil::Date;
use serde::Deserialize;

use crate::failure::Failure;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    signature: String,
    reason: String,
    until: String,
}

/// What is muted today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    muted: Vec<(String, String)>,
    /// Entries that no longer mute anything, in words.
    pub expired: Vec<String>,
}

impl Known {
    /// Reads the file that was named, or `known.toml` where there is one.
    pub(crate) fn read(named: Option<&Path>) -> Result<Known, Failure> {
        let path = named.unwrap_or(Path::new("known.toml"));
        if named.is_none() && !path.exists() {
            return Ok(Known::default());
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))
            .map_err(Failure::bad_input)?;
        let today = jiff::Zoned::now().date();
        Known::parse(&text, today)
            .with_context(|| path.display().to_string())
            .map_err(Failure::bad_input)
    }

    fn parse(text: &str, today: Date) -> anyhow::Result<Known> {
        let file: File = toml::from_str(text)?;
        let mut known = Known::default();
        for entry in file.known {
            let until: Date = entry.until.parse().with_context(|| {
                format!("until = {:?}: expected a date such as 2026-12-31", entry.until)
            })?;
            if entry.reason.trim().is_empty() {
                anyhow::bail!("{} is muted without a reason", entry.signature);
            }
            if until < today {
                known.expired.push(format!("{} was known until {until}", entry.signature));
            } else {
                known.muted.push((entry.signature, entry.reason));
            }
        }
        Ok(known)
    }

    /// Returns whether anything is muted.
    pub(crate) fn mutes(&self) -> bool {
        !self.muted.is_empty()
    }

    /// Returns why a signature is muted, if it is.
    pub(crate) fn reason(&self, signature: &str) -> Option<&str> {
        let found = self.muted.iter().find(|(muted, _)| muted == signature);
        found.map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[[known]]\nsignature = \"log-matching-1\"\nreason = \"bug 12\"\nuntil = \"2026-06-30\"\n";

    fn day(text: &str) -> Date {
        text.parse().expect("a date")
    }

    #[test]
    fn a_signature_is_muted_to_the_end_of_its_last_day_and_not_after() {
        let known = Known::parse(FILE, day("2026-06-30")).expect("right");
        assert_eq!(known.reason("log-matching-1"), Some("bug 12"));
        assert_eq!(known.reason("log-matching-2"), None);
        let later = Known::parse(FILE, day("2026-07-01")).expect("right");
        assert_eq!(later.reason("log-matching-1"), None);
        assert!(known.mutes() && !later.mutes());
        assert_eq!(later.expired, ["log-matching-1 was known until 2026-06-30"]);
    }

    #[test]
    fn a_mute_without_reason_or_date_is_refused() {
        let today = day("2026-01-01");
        assert!(Known::parse(&FILE.replace("bug 12", " "), today).is_err());
        assert!(Known::parse(&FILE.replace("2026-06-30", "soon"), today).is_err());
        assert!(Known::parse(&FILE.replace("until", "til"), today).is_err());
    }
}
