//! What state a node is in, as a page says that the nodes tell it.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::Value as Json;
use squall_history::states::State;

use super::JsonPath;
use super::probe::number;
use crate::http::Question;
use crate::states::asked;

/// How a node is asked for its state. Both places are of one moment: the digest is of the state at that position.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestQuestion {
    /// Such as `GET`.
    pub method: Method,
    /// Such as `/digest`.
    pub path: String,
    /// Where the digest stands.
    pub value: JsonPath,
    /// Where the index of the last entry stands that was applied to it.
    pub at: JsonPath,
}

impl DigestQuestion {
    pub(crate) async fn ask(&self, address: SocketAddr) -> Result<State, String> {
        let DigestQuestion { method, path, value, at } = self;
        let question = Question { method: method.clone(), path: path.clone(), body: Vec::new() };
        let answer = asked(address, question).await?;
        if !answer.status.is_success() {
            return Err(answer.shown());
        }
        let json = serde_json::from_slice::<Json>(&answer.body);
        let json = json.map_err(|error| format!("garbage: {error}"))?;
        let position = at.find(&json).and_then(number);
        let position = position.ok_or_else(|| format!("its answer has no number at {at}"))?;
        let digest = match value.find(&json) {
            None | Some(Json::Null) => return Err(format!("its answer has nothing at {value}")),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Ok(State { position, compacted: None, version: None, digest })
    }
}
