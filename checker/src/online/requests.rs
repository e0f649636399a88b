//! Attempts at one request are one operation: its invocation is the first attempt's, and the first ok decides.
//!
//! `linearizable/part.rs` takes the attempts of a whole history together in the same way.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use squall_history::{Op, Outcome, Request};

use super::object::Told;

/// How many requests of a session are remembered although they have their answer. A session that counts up, with a few
/// requests under way at a time, needs no more.
const SETTLED: usize = 64;

/// The requests that may still be sent again.
#[derive(Debug, Default)]
pub(super) struct Requests {
    sessions: HashMap<u64, Session, FixedState>,
    /// How many requests are remembered.
    held: usize,
}

#[derive(Debug, Default)]
struct Session {
    tried: BTreeMap<u64, Tried>,
    settled: usize,
    /// The highest sequence number that was forgotten; 0 for none.
    forgotten: u64,
}

/// What became of the attempts at one request.
#[derive(Clone, Debug)]
struct Tried {
    invoked: u32,
    op: Op,
    /// How many attempts wait for an answer, and how many there were.
    open: u32,
    attempts: u32,
    standing: Standing,
}

/// What is known of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No attempt has ended, or only for certain without effect while others are open.
    Open,
    /// An attempt ended in doubt.
    Doubted,
    /// An attempt was acknowledged.
    Acknowledged,
    /// All attempts failed.
    Failed,
}

/// How an attempt relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is the first.
    First,
    /// The operation was invoked at this event already.
    Again(u32),
}

/// Why attempts cannot be taken together here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tangle {
    /// It is the matter of the operation's key alone.
    OfKey(&'static str),
    /// The attempts may be about several keys.
    OfAll(&'static str),
}

impl Requests {
    /// Returns about how many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        2 * self.held * size_of::<(u64, Tried)>() + self.sessions.len() * size_of::<Session>()
    }

    /// An attempt begins.
    pub(super) fn invoke(&mut self, request: Request, op: &Op, now: u32) -> Result<Sent, Tangle> {
        let session = self.sessions.entry(request.session).or_default();
        let Some(tried) = session.tried.get_mut(&request.sequence) else {
            if request.sequence <= session.forgotten {
                return Err(Tangle::OfAll("a request of long ago is sent"));
            }
            let (op, standing) = (op.clone(), Standing::Open);
            let tried = Tried { invoked: now, op, open: 1, attempts: 1, standing };
            session.tried.insert(request.sequence, tried);
            self.held += 1;
            return Ok(Sent::First);
        };
        if tried.op != *op {
            return Err(Tangle::OfAll("two operations have one request"));
        }
        if op.f.is_read() {
            return Err(Tangle::OfKey("a read is sent again under its request"));
        }
        if tried.standing == Standing::Failed {
            return Err(Tangle::OfKey("an operation that failed is sent again under its request"));
        }
        tried.open += 1;
        tried.attempts += 1;
        Ok(Sent::Again(tried.invoked))
    }

    /// Returns what the end of an attempt says of its operation: the first ok decides; without one it is in doubt if any
    /// attempt is; else it failed.
    pub(super) fn complete<'a>(
        &mut self,
        request: Request,
        outcome: &'a Outcome,
    ) -> Result<Told<'a>, Tangle> {
        let session = self.sessions.get_mut(&request.session);
        let session = session.expect("a session is known from its first request on");
        let tried = session.tried.get_mut(&request.sequence);
        let tried = tried.expect("a request with an open attempt is not forgotten");
        let was_settled = tried.is_settled();
        let told = tried.end(outcome)?;
        if tried.is_settled() && !was_settled {
            session.settled += 1;
            self.held -= session.forget();
        }
        Ok(told)
    }
}

impl Tried {
    /// Returns whether no attempt is under way, and none is to be expected.
    fn is_settled(&self) -> bool {
        let answered = matches!(self.standing, Standing::Acknowledged | Standing::Failed);
        answered && self.open == 0
    }

    fn end<'a>(&mut self, outcome: &'a Outcome) -> Result<Told<'a>, Tangle> {
        self.open -= 1;
        match (self.standing, outcome) {
            (Standing::Acknowledged, _) => Ok(Told::Nothing),
            (_, Outcome::Ok(_)) => {
                self.standing = Standing::Acknowledged;
                Ok(Told::by(outcome))
            }
            (_, Outcome::Info { .. }) => {
                self.standing = Standing::Doubted;
                Ok(self.doubt())
            }
            (_, Outcome::Fail { error, .. }) if error.is_precondition() && self.attempts > 1 => {
                Err(Tangle::OfKey("one of several attempts at a request failed on a precondition"))
            }
            (Standing::Doubted, Outcome::Fail { .. }) => Ok(self.doubt()),
            (Standing::Open | Standing::Failed, Outcome::Fail { .. }) if self.open > 0 => {
                Ok(Told::Nothing)
            }
            (Standing::Open | Standing::Failed, Outcome::Fail { .. }) => {
                self.standing = Standing::Failed;
                Ok(Told::by(outcome))
            }
        }
    }

    /// An operation in doubt will not return once no attempt is under way.
    fn doubt(&self) -> Told<'static> {
        if self.open == 0 { Told::Doubt } else { Told::Nothing }
    }
}

impl Session {
    /// Forgets the lowest requests that have their answer, where there are too many; returns how many.
    fn forget(&mut self) -> usize {
        if self.settled <= 2 * SETTLED {
            return 0;
        }
        let mut surplus = self.settled - SETTLED;
        let before = self.tried.len();
        let forgotten = &mut self.forgotten;
        self.tried.retain(|sequence, tried| {
            let goes = surplus > 0 && tried.is_settled();
            if goes {
                surplus -= 1;
                *forgotten = (*forgotten).max(*sequence);
            }
            !goes
        });
        self.settled = SETTLED;
        before - self.tried.len()
    }
}
