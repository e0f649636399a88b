//! The HTTP that clients speak.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::store::{Answer, Change};

/// Longer than clients wait: past it nobody hears the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A node on some Raft library. An answer comes with the index of the log at which it holds.
pub trait Node: Clone + Send + Sync + 'static {
    /// Reads a key, linearizably.
    fn read(&self, key: String) -> impl Future<Output = Result<(Answer, u64), Refusal>> + Send;
    /// Has a change committed and applied.
    fn change(&self, change: Change)
    -> impl Future<Output = Result<(Answer, u64), Refusal>> + Send;
    /// Says what it knows.
    fn status(&self) -> impl Future<Output = Result<Status, Refusal>> + Send;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not lead, and has proposed nothing.
    NotLeader,
    /// The library refused the command before it took it.
    NotProposed(String),
    /// Nobody knows whether it will take effect.
    Unclear(String),
}

/// What a node knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub id: String,
    /// The leader, where it knows one.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
}

#[derive(Deserialize)]
struct Put {
    value: Value,
}

#[derive(Deserialize)]
struct Cas {
    old: Value,
    new: Value,
}

/// Answers clients for as long as the process lives.
pub async fn serve<N: Node>(at: SocketAddr, node: N) -> std::io::Result<()> {
    let router = Router::new()
        .route("/kv/{key}", get(read::<N>).put(write::<N>))
        .route("/kv/{key}/cas", post(cas::<N>))
        .route("/health", get(async || Json(json!({}))))
        .route("/status", get(status::<N>))
        .with_state(node);
    axum::serve(TcpListener::bind(at).await?, router).await
}

async fn read<N: Node>(State(node): State<N>, Path(key): Path<String>) -> Response {
    respond(within(node.read(key)).await)
}

async fn write<N: Node>(State(node): State<N>, Path(key): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Put { value }) => respond(within(node.change(Change::Write { key, value })).await),
        Err(error) => malformed(&error),
    }
}

async fn cas<N: Node>(State(node): State<N>, Path(key): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Cas { old, new }) => respond(within(node.change(Change::Cas { key, old, new })).await),
        Err(error) => malformed(&error),
    }
}

async fn status<N: Node>(State(node): State<N>) -> Response {
    match within(node.status()).await {
        Ok(status) => Json(status).into_response(),
        Err(refusal) => refuse(refusal),
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(DEADLINE, work).await.unwrap_or(Err(Refusal::Unclear("timeout".to_owned())))
}

fn respond(result: Result<(Answer, u64), Refusal>) -> Response {
    match result {
        Ok((Answer::Done, pos)) => Json(json!({ "pos": pos })).into_response(),
        Ok((Answer::Value(value), pos)) => {
            Json(json!({ "value": value, "pos": pos })).into_response()
        }
        Ok((Answer::Seen(seen), pos)) => {
            (StatusCode::CONFLICT, Json(json!({ "seen": seen, "pos": pos }))).into_response()
        }
        Err(refusal) => refuse(refusal),
    }
}

fn malformed(error: &serde_json::Error) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response()
}

fn refuse(refusal: Refusal) -> Response {
    let (status, error) = match refusal {
        Refusal::NotLeader => (StatusCode::MISDIRECTED_REQUEST, "not leader".to_owned()),
        Refusal::NotProposed(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        Refusal::Unclear(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
    };
    (status, Json(json!({ "error": error }))).into_response()
}
