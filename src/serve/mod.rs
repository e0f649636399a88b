//! `squall serve`: the runs of a results directory in a web page. It reads, and never changes a run.

mod files;
mod live;
mod pages;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::index::{self, Index};
use crate::output;

/// How long answers that are under way may take once somebody wants the server to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all requests share.
#[derive(Debug)]
struct Shared {
    index: Mutex<(Index, Option<Instant>)>,
    results: std::path::PathBuf,
    followers: live::Followers,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn command(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let index = index::open(&args.results)?;
    let results = index.results().to_owned();
    let shared =
        Shared { index: Mutex::new((index, None)), results, followers: live::Followers::default() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start")
        .map_err(Failure::harness)?;
    runtime.block_on(serve(args.listen, Arc::new(shared)))?;
    // A download to somebody who does not read must not keep us.
    runtime.shutdown_timeout(FAREWELL);
    Ok(ExitCode::Valid)
}

async fn serve(address: SocketAddr, shared: Arc<Shared>) -> Result<(), Failure> {
    // Before anybody learns the address: who knows it may want us to end.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::harness)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::harness)?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))
        .map_err(|error| {
            Failure::harness(error).hint("--listen 127.0.0.1:0 takes a free port of this machine")
        })?;
    let address = listener.local_addr().context("failed to listen").map_err(Failure::harness)?;
    let app = app(shared, address.ip().is_loopback());
    output::print(&format!("http://{address}/"));
    if !address.ip().is_loopback() {
        eprintln!(
            "squall: whoever reaches {address} can read the runs; nobody is asked who they are"
        );
    }
    let (ending, mut ended) = tokio::sync::watch::channel(());
    let end = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        drop(ending);
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(end);
    tokio::select! {
        served = async { server.await } => served.context("the server failed").map_err(Failure::harness),
        () = async {
            let _ = ended.changed().await;
            tokio::time::sleep(FAREWELL).await;
        } => Ok(()),
    }
}

fn app(shared: Arc<Shared>, loopback: bool) -> Router {
    let app = Router::new()
        .route("/", get(pages::list))
        .route("/runs/{*path}", get(pages::run))
        .route("/live/{*path}", get(pages::live))
        .route("/archive/{*path}", get(pages::archive))
        .route("/assets/live.js", get(pages::script))
        .fallback(async || missing("there is no such page"))
        .with_state(shared)
        .layer(middleware::map_response(guarded));
    match loopback {
        true => app.layer(middleware::from_fn(only_local_names)),
        false => app,
    }
}

/// Whoever listens on loopback answers to the names of this machine alone: a page from elsewhere whose name was made to point
/// here (DNS rebinding) shall not read the runs through somebody's browser.
async fn only_local_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_none_or(is_local) {
        return next.run(request).await;
    }
    let says = "squall serve listens on this machine alone: ask for 127.0.0.1 or localhost";
    (StatusCode::FORBIDDEN, says).into_response()
}

fn is_local(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    // The colons of an address of version 6 are not followed by a port alone.
    let name = if port.chars().all(|c| c.is_ascii_digit()) { name } else { host };
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What a run holds was said by the system under test: nothing of it is guessed to be a page.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Answers that something is not there.
fn missing(why: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("{why}\nthe list of runs is at /\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for local in
            ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "[::1]"]
        {
            assert!(is_local(local), "{local}");
        }
        for foreign in
            ["example.org", "127.0.0.1.example.org:80", "10.0.0.1:8080", "localhost.x", ""]
        {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
