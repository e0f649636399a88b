//! What is answered to which address. Whatever touches files runs on a thread for that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::extract::{Path as Asked, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use squall_history::{RunDir, State as RunState};
use squall_report::Recorded;
use squall_report::browse::{self, Filter};

use super::{Shared, files, missing};
use crate::{pack, show};

/// How old the index may be.
const FRESH: Duration = Duration::from_secs(1);
/// What our own pages may load: themselves.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'";

/// The list of runs.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(filter): Query<Filter>,
) -> Response {
    blocking(move || {
        let mut index = shared.index.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, refreshed) = &mut *index;
        if refreshed.is_none_or(|at| at.elapsed() > FRESH) {
            index.refresh().context("failed to refresh the index")?;
            *refreshed = Some(Instant::now());
        }
        let listing = index.listing(&filter)?;
        let place = shared.results.display().to_string();
        Ok(ours(browse::list(&place, &filter, &listing)?))
    })
    .await
}

/// A run's report, a campaign's page, or a file of either.
pub(super) async fn run(State(shared): State<Arc<Shared>>, Asked(path): Asked<String>) -> Response {
    blocking(move || {
        let Some(found) = files::below(&shared.results, &path) else {
            return Ok(missing("there is no such run"));
        };
        let real = files::name(&shared.results, &found);
        if !found.is_dir() {
            return files::send(&found);
        }
        // Links in pages are relative to the directory, and `latest` is another one tomorrow.
        if path.trim_end_matches('/') != real || !path.ends_with('/') {
            return Ok(Redirect::temporary(&browse::href("runs", &real)).into_response());
        }
        if found.join("run.json").exists() {
            return one_run(&found, &real);
        }
        match found.join("index.html") {
            page if page.exists() => files::send(&page),
            _ => Ok(missing("there is no page yet: a campaign writes it at its end")),
        }
    })
    .await
}

fn one_run(dir: &Path, name: &str) -> anyhow::Result<Response> {
    let run = RunDir::open(dir)?;
    if run.report().exists() {
        return files::send(&run.report());
    }
    let manifest = run.read_manifest()?;
    if manifest.state != RunState::Running && run.verdict().exists() {
        let verdict = show::verdict(&run).map_err(|failure| failure.error)?;
        return Ok(Html(squall_report::page(&Recorded::read(&run)?, &verdict)?).into_response());
    }
    Ok(ours(browse::live(name, &manifest.command)?))
}

/// The figures of a run that goes on.
pub(super) async fn live(
    State(shared): State<Arc<Shared>>,
    Asked(path): Asked<String>,
) -> Response {
    blocking(move || {
        let Some(run) = run_at(&shared, &path) else { return Ok(missing("there is no such run")) };
        let json = serde_json::to_string(&shared.followers.look(&RunDir::open(&run)?)?)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
    })
    .await
}

/// A run as one file, packed while it is sent.
pub(super) async fn archive(
    State(shared): State<Arc<Shared>>,
    Asked(path): Asked<String>,
) -> Response {
    blocking(move || {
        let Some(run) = run_at(&shared, &path) else { return Ok(missing("there is no such run")) };
        let name = RunDir::open(&run)?.name();
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' })
            .collect();
        let file = format!("attachment; filename=\"{plain}.{}\"", pack::EXTENSION);
        let body = files::stream(move |to| pack::write(&run, &name, to).map(|_| ()));
        let kind = [
            (header::CONTENT_TYPE, "application/gzip".to_owned()),
            (header::CONTENT_DISPOSITION, file),
        ];
        Ok((kind, body).into_response())
    })
    .await
}

/// The script of the page of a run that goes on.
pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], browse::LIVE_SCRIPT)
        .into_response()
}

fn run_at(shared: &Shared, path: &str) -> Option<PathBuf> {
    files::below(&shared.results, path).filter(|found| found.join("run.json").exists())
}

fn ours(page: String) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}

async fn blocking(work: impl FnOnce() -> anyhow::Result<Response> + Send + 'static) -> Response {
    let failed = |why: String| {
        eprintln!("squall: {why}");
        (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failed(format!("{error:#}")),
        Err(_) => failed("the page failed, which only a bug can do".to_owned()),
    }
}
