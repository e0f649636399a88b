//! From the tables to the pages: the runs that a filter leaves, and what broke in them.

use anyhow::Context;
use rusqlite::types::ValueRef;
use rusqlite::{OpenFlags, Row, ToSql};
use squall_report::browse::{CampaignLine, CauseLine, Choices, Filter, Listing, RunLine};

use super::{FILE, Index};

/// How many runs a page shows.
pub(crate) const PAGE: u64 = 100;
/// How many causes a page shows.
const CAUSES: u64 = 30;
/// How many campaigns a page shows.
const CAMPAIGNS: u64 = 10;

/// The runs that a filter leaves. Each condition is off where the filter does not name it.
const LEFT: &str = "FROM runs WHERE (?1 IS NULL OR outcome = ?1)
    AND (?2 IS NULL OR system = ?2)
    AND (?3 IS NULL OR workload = ?3)
    AND (?4 IS NULL OR path IN (SELECT path FROM faults WHERE family = ?4))
    AND (?5 IS NULL OR path IN (SELECT path FROM signatures WHERE id = ?5))
    AND (?6 IS NULL OR substr(started, 1, 10) >= ?6)
    AND (?7 IS NULL OR substr(started, 1, 10) <= ?7)";

impl Index {
    /// Returns one page of the runs that a filter leaves.
    pub(crate) fn listing(&self, filter: &Filter) -> anyhow::Result<Listing> {
        let asked = asked(filter);
        let asked: Vec<&dyn ToSql> = asked.iter().map(|value| value as &dyn ToSql).collect();
        let count = format!("SELECT outcome, count(*) {LEFT} GROUP BY outcome ORDER BY outcome");
        let counts = self.rows(&count, &asked, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let from = PAGE * filter.page.unwrap_or(0);
        let runs =
            format!("SELECT * {LEFT} ORDER BY started DESC, path LIMIT {PAGE} OFFSET {from}");
        let mut runs = self.rows(&runs, &asked, run_line)?;
        for run in &mut runs {
            run.faults = self.rows(
                "SELECT family FROM faults WHERE path = ?1 ORDER BY family",
                &[&run.path],
                |row| row.get(0),
            )?;
        }
        let causes = format!(
            "SELECT id, count(*), max(started), min(says) FROM signatures JOIN
             (SELECT path, started {LEFT}) USING (path)
             GROUP BY id ORDER BY count(*) DESC, id LIMIT {CAUSES}"
        );
        Ok(Listing {
            counts,
            runs,
            causes: self.rows(&causes, &asked, cause_line)?,
            campaigns: self.rows(
                &format!("SELECT * FROM campaigns ORDER BY path DESC LIMIT {CAMPAIGNS}"),
                &[],
                campaign_line,
            )?,
            choices: self.choices()?,
            page: filter.page.unwrap_or(0),
            page_size: PAGE,
        })
    }

    fn choices(&self) -> anyhow::Result<Choices> {
        let all = |column: &str, table: &str| {
            let select = format!("SELECT DISTINCT {column} FROM {table} ORDER BY {column}");
            self.rows(&select, &[], |row| row.get(0))
        };
        Ok(Choices {
            outcomes: all("outcome", "runs")?,
            systems: all("system", "runs")?,
            workloads: all("workload", "runs")?,
            faults: all("family", "faults")?,
        })
    }

    fn rows<T>(
        &self,
        select: &str,
        values: &[&dyn ToSql],
        one: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(select)?;
        let rows = statement.query_map(values, one)?;
        rows.collect::<Result<_, _>>().context("failed to read the index")
    }

    /// Answers somebody's own SQL, which can change nothing: names of columns first, tab-separated.
    pub(crate) fn sql(&self, query: &str, mut line: impl FnMut(&str)) -> anyhow::Result<()> {
        let path = self.results.join(FILE);
        let only_read = match self.not_kept {
            None => Some(rusqlite::Connection::open_with_flags(
                &path,
                OpenFlags::SQLITE_OPEN_READ_ONLY,
            )?),
            Some(_) => None,
        };
        let connection = only_read.as_ref().unwrap_or(&self.connection);
        connection.pragma_update(None, "query_only", true)?;
        let mut statement = connection.prepare(query)?;
        line(&statement.column_names().join("\t"));
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|column| row.get_ref(column).map(cell));
            let cells: Vec<String> = cells.collect::<Result<_, _>>()?;
            line(&cells.join("\t"));
        }
        Ok(())
    }
}

/// Prints a value so that it stays in its cell.
fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            String::from_utf8_lossy(text).replace(|c: char| c.is_control(), " ")
        }
    }
}

/// Returns what the filter asks for, in the order of the conditions. An empty field of a form asks for nothing.
fn asked(filter: &Filter) -> [Option<&str>; 7] {
    [
        &filter.outcome,
        &filter.system,
        &filter.workload,
        &filter.fault,
        &filter.signature,
        &filter.since,
        &filter.until,
    ]
    .map(|field| field.as_deref().filter(|text| !text.is_empty()))
}

fn run_line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    Ok(RunLine {
        path: row.get("path")?,
        started: row.get("started")?,
        system: row.get("system")?,
        bug: row.get("bug")?,
        workload: row.get("workload")?,
        nodes: row.get("nodes")?,
        seed: row.get("seed")?,
        outcome: row.get("outcome")?,
        headline: row.get("headline")?,
        acknowledged: row.get("acknowledged")?,
        seconds: row.get("seconds")?,
        faults: Vec::new(),
    })
}

fn cause_line(row: &Row<'_>) -> rusqlite::Result<CauseLine> {
    Ok(CauseLine { id: row.get(0)?, runs: row.get(1)?, last: row.get(2)?, says: row.get(3)? })
}

fn campaign_line(row: &Row<'_>) -> rusqlite::Result<CampaignLine> {
    Ok(CampaignLine {
        path: row.get("path")?,
        name: row.get("name")?,
        verdict: row.get("verdict")?,
        storms: row.get("storms")?,
        meaning: row.get("meaning")?,
    })
}
