//! The entries of a log with their bytes, from the first one on.

/// An entry as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    pub(crate) term: u64,
    pub(crate) kind: u64,
    pub(crate) data: &'a [u8],
}

/// A log, built record by record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents<'a> {
    entries: Vec<Raw<'a>>,
}

impl<'a> Contents<'a> {
    /// Takes an entry. One that stands where another stood replaces it, and all behind it.
    pub(crate) fn entry(&mut self, index: u64, raw: Raw<'a>) -> Result<(), String> {
        let at = index.checked_sub(1).ok_or("an entry with index 0")?;
        let at = usize::try_from(at).ok().filter(|at| *at <= self.entries.len());
        let at = at.ok_or_else(|| {
            format!(
                "entry {index} follows on entry {}: what stood between is not there",
                self.end()
            )
        })?;
        self.entries.truncate(at);
        self.entries.push(raw);
        Ok(())
    }

    /// Takes the removal of a suffix.
    pub(crate) fn truncate(&mut self, from: u64) {
        let keep = from.saturating_sub(1);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Takes a snapshot's last index. What it brought is in no log.
    pub(crate) fn snapshot(&self, index: u64) -> Result<(), String> {
        match index <= self.end() {
            true => Ok(()),
            false => Err(format!("a snapshot brought entries {} to {index}", self.end() + 1)),
        }
    }

    /// Returns the index of the last entry.
    fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn into_entries(self) -> Vec<Raw<'a>> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn raw(term: u64) -> Raw<'static> {
        Raw { term, kind: 0, data: b"" }
    }

    fn terms(contents: Contents<'_>) -> Vec<u64> {
        contents.into_entries().iter().map(|raw| raw.term).collect()
    }

    #[test]
    fn an_entry_replaces_another_and_all_behind_it() {
        let mut contents = Contents::default();
        for (index, term) in [(1, 1), (2, 1), (3, 1), (2, 2)] {
            contents.entry(index, raw(term)).unwrap();
        }
        assert_eq!(contents.snapshot(2), Ok(()));
        contents.truncate(3);
        assert_eq!(terms(contents.clone()), [1, 2]);
        contents.truncate(1);
        assert!(terms(contents).is_empty());
    }

    #[test]
    fn a_log_without_its_beginning_or_with_a_gap_tells_which_entries_are_not_there() {
        let mut contents = Contents::default();
        let told = "entry 7 follows on entry 0: what stood between is not there";
        assert_eq!(contents.entry(7, raw(1)), Err(told.to_owned()));
        contents.entry(1, raw(1)).unwrap();
        assert_eq!(contents.snapshot(5), Err("a snapshot brought entries 2 to 5".to_owned()));
        assert!(contents.entry(0, raw(1)).is_err());
    }
}
