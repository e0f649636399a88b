//! What a contradiction is told as: the sentence for people, and the circle with the reason of each of its edges.

use squall_checker::{Budget, Finding, ModelKind, Reading, judge};
use squall_history::{F, HistoryBuilder, Op, Outcome, Value};

/// Operations one after the other, each by its own process.
struct Steps {
    history: HistoryBuilder,
    process: u64,
}

fn steps() -> Steps {
    Steps { history: HistoryBuilder::new(), process: 0 }
}

impl Steps {
    /// Is acknowledged.
    fn ok(mut self, op: Op, value: impl Into<Value>) -> Steps {
        let invoked = self.history.invoke(self.process, op);
        self.history.ok(invoked, value);
        self.process += 1;
        self
    }

    /// Is acknowledged, as what changes the object is.
    fn done(self, op: Op) -> Steps {
        let value = op.value.clone();
        self.ok(op, value)
    }

    /// Stays in doubt.
    fn info(mut self, op: Op) -> Steps {
        let invoked = self.history.invoke(self.process, op);
        self.history.info(invoked, "timed-out");
        self.process += 1;
        self
    }

    /// Fails on its precondition, and tells what was there.
    fn refused(mut self, op: Op, seen: i64) -> Steps {
        let invoked = self.history.invoke(self.process, op);
        let seen = Some(Value::Int(seen));
        self.history.complete(invoked, Outcome::Fail { error: "precondition".into(), seen }, None);
        self.process += 1;
        self
    }

    /// Returns the contradiction, and a line for each edge of the circle; those that it rests on are set in.
    fn told(self, model: ModelKind) -> Vec<String> {
        let history = self.history.build().expect("well formed");
        let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
        let core = judgement.keys.iter().find_map(|key| match &key.finding {
            Finding::Impossible(core) => Some(core),
            Finding::Linearizable(_) | Finding::Unknown(_) => None,
        });
        let core = core.expect("the history is impossible");
        let mut told = vec![core.contradiction.clone()];
        if let Some(cycle) = &core.cycle {
            let all = cycle.all().enumerate();
            for (n, edge) in all {
                let inset = if n < cycle.edges.len() { "  " } else { "    " };
                let (from, to, kind, why) = (edge.from, edge.to, edge.kind, &edge.why);
                told.push(format!("{inset}{from} → {to} {kind}: {why}"));
            }
        }
        told
    }
}

fn of(f: F, value: impl Into<Value>) -> Op {
    Op::of(f, value)
}

fn list<const N: usize>(items: [i64; N]) -> Value {
    Value::List(items.map(Value::Int).into())
}

fn w(value: i64) -> Op {
    Op::write("x", value)
}

fn r() -> Op {
    Op::read("x")
}

fn append(value: i64) -> Op {
    Op::append("x", value)
}

fn dequeue() -> Op {
    of(F::Dequeue, Value::Nil)
}

fn pop() -> Op {
    of(F::Pop, Value::Nil)
}

fn acquire() -> Op {
    of(F::Acquire, Value::Nil)
}

#[test]
fn values_are_told_by_who_wrote_and_who_replaced_them() {
    let told = steps().done(w(4)).done(w(5)).ok(r(), 4).told(ModelKind::Register);
    assert_eq!(
        told,
        [
            "read of 4 by process 2 began after write of 5 was acknowledged, and nobody wrote it again",
            "  1 → 2 real-time: write 5 by process 1 had returned before read of 4 by process 2 began",
            "  2 → 1 overwritten: the read by process 2 saw 4, which write 5 by process 1 replaced",
            "    0 → 1 real-time: write 4 by process 0 had returned before write 5 by process 1 began",
        ]
    );
    let told = steps().done(w(4)).ok(r(), 7).told(ModelKind::Register);
    assert_eq!(told, ["process 1 read 7, which nobody ever wrote"]);
    let told = steps().done(w(4)).done(w(5)).ok(r(), 4).done(w(4)).told(ModelKind::Register);
    assert_eq!(
        told,
        [
            "read of 4 by process 2 began after write of 5 was acknowledged, and nobody wrote it again in between",
            "  1 → 2 real-time: write 5 by process 1 had returned before read of 4 by process 2 began",
            "  2 → 1 overwritten: the read by process 2 saw 4, which write 5 by process 1 replaced",
            "    0 → 1 real-time: write 4 by process 0 had returned before write 5 by process 1 began",
        ]
    );
    let told = steps().done(w(4)).ok(r(), 7).done(w(7)).told(ModelKind::Register);
    assert_eq!(told, ["process 1 read 7, which nobody had written by then"]);
    let told = steps().info(w(4)).ok(r(), 4).ok(r(), Value::Nil).told(ModelKind::Register);
    assert_eq!(
        told,
        [
            "the read by process 1 saw 4, which nobody but write 4 by process 0 wrote; read of 4 by process 1 had returned before read of nil by process 2 began, but the read by process 2 saw nil, which write 4 by process 0 replaced",
            "  0 → 1 reads-from: the read by process 1 saw 4, which nobody but write 4 by process 0 wrote",
            "  1 → 2 real-time: read of 4 by process 1 had returned before read of nil by process 2 began",
            "  2 → 0 overwritten: the read by process 2 saw nil, which write 4 by process 0 replaced",
        ]
    );
    let told = steps()
        .done(w(1))
        .done(Op::cas("x", 1, 2))
        .done(Op::cas("x", 1, 3))
        .told(ModelKind::CasRegister);
    assert_eq!(
        told,
        [
            "cas 1→2 by process 1 had returned before cas 1→3 by process 2 began, but cas 1→3 by process 2 saw 1, which cas 1→2 by process 1 replaced",
            "  1 → 2 real-time: cas 1→2 by process 1 had returned before cas 1→3 by process 2 began",
            "  2 → 1 overwritten: cas 1→3 by process 2 saw 1, which cas 1→2 by process 1 replaced",
            "    0 → 1 real-time: write 1 by process 0 had returned before cas 1→2 by process 1 began",
        ]
    );
    let told = steps().done(w(1)).refused(Op::cas("x", 1, 2), 5).told(ModelKind::CasRegister);
    assert_eq!(told, ["failed cas 1→2 by process 1 saw 5, which nobody ever wrote"]);
    let told =
        steps().done(of(F::Add, 1)).ok(of(F::Read, Value::Nil), list([])).told(ModelKind::Set);
    assert_eq!(
        told,
        [
            "add 1 by process 0 had returned before read of [] by process 1 began, but the read by process 1 saw that 1 was not there, which add 1 by process 0 changed",
            "  0 → 1 real-time: add 1 by process 0 had returned before read of [] by process 1 began",
            "  1 → 0 overwritten: the read by process 1 saw that 1 was not there, which add 1 by process 0 changed",
        ]
    );
}

#[test]
fn lists_are_told_by_their_order() {
    let told =
        steps().done(append(1)).done(append(2)).ok(r(), list([2, 1])).told(ModelKind::ListAppend);
    assert_eq!(
        told,
        [
            "append 1 by process 0 had returned before append 2 by process 1 began, but read of [2 1] by process 2 saw 2 before 1",
            "  0 → 1 real-time: append 1 by process 0 had returned before append 2 by process 1 began",
            "  1 → 0 order: read of [2 1] by process 2 saw 2 before 1",
            "    1 → 2 reads-from: read of [2 1] by process 2 saw 2, which nobody but append 2 by process 1 appended",
            "    0 → 2 reads-from: read of [2 1] by process 2 saw 1, which nobody but append 1 by process 0 appended",
        ]
    );
    let told =
        steps().done(append(1)).done(append(2)).ok(r(), list([1])).told(ModelKind::ListAppend);
    assert_eq!(
        told,
        [
            "append 2 by process 1 had returned before read of [1] by process 2 began, but read of [1] by process 2 did not see what append 2 by process 1 left",
            "  1 → 2 real-time: append 2 by process 1 had returned before read of [1] by process 2 began",
            "  2 → 1 overwritten: read of [1] by process 2 did not see what append 2 by process 1 left",
        ]
    );
    let told = steps().done(append(1)).ok(r(), list([1, 1])).told(ModelKind::ListAppend);
    assert_eq!(told, ["process 1 read a list that holds 1 2 times, and it was appended once"]);
}

#[test]
fn queues_and_stacks_are_told_by_who_was_first_in_and_out() {
    let told = steps()
        .done(of(F::Enqueue, 1))
        .done(of(F::Enqueue, 2))
        .ok(dequeue(), 2)
        .ok(dequeue(), 1)
        .told(ModelKind::FifoQueue);
    assert_eq!(
        told,
        [
            "enqueue 1 by process 0 had returned before enqueue 2 by process 1 began, but 2 was taken before 1, so it was put in first",
            "  0 → 1 real-time: enqueue 1 by process 0 had returned before enqueue 2 by process 1 began",
            "  1 → 0 order: 2 was taken before 1, so it was put in first",
            "    2 → 3 real-time: dequeue of 2 by process 2 had returned before dequeue of 1 by process 3 began",
        ]
    );
    let told = steps().done(of(F::Enqueue, 1)).ok(dequeue(), Value::Nil).told(ModelKind::FifoQueue);
    assert_eq!(
        told,
        [
            "enqueue 1 by process 0 had returned before dequeue of nothing by process 1 began, but dequeue of nothing by process 1 found nothing, and nobody had taken what enqueue 1 by process 0 put in",
            "  0 → 1 real-time: enqueue 1 by process 0 had returned before dequeue of nothing by process 1 began",
            "  1 → 0 overwritten: dequeue of nothing by process 1 found nothing, and nobody had taken what enqueue 1 by process 0 put in",
        ]
    );
    let told = steps().done(of(F::Enqueue, 1)).ok(dequeue(), 2).told(ModelKind::FifoQueue);
    assert_eq!(told, ["process 1 took 2, which nobody ever put in"]);
    let told = steps()
        .done(of(F::Enqueue, 1))
        .ok(dequeue(), 1)
        .ok(dequeue(), 1)
        .told(ModelKind::UnorderedQueue);
    assert_eq!(told, ["1 was put in once, and taken twice: by process 1 and by process 2"]);
    let told = steps()
        .done(of(F::Push, 1))
        .done(of(F::Push, 2))
        .ok(pop(), 1)
        .ok(pop(), 2)
        .told(ModelKind::Stack);
    assert_eq!(
        told,
        [
            "push 1 by process 0 had returned before push 2 by process 1 began, but 2 was there when 1 was popped and stayed, so 1 was pushed upon it",
            "  0 → 1 real-time: push 1 by process 0 had returned before push 2 by process 1 began",
            "  1 → 0 order: 2 was there when 1 was popped and stayed, so 1 was pushed upon it",
            "    1 → 2 real-time: push 2 by process 1 had returned before pop of 1 by process 2 began",
            "    2 → 3 real-time: pop of 1 by process 2 had returned before pop of 2 by process 3 began",
        ]
    );
}

#[test]
fn counters_locks_and_tokens_are_told_by_their_bounds() {
    let told = steps().done(of(F::Add, 1)).ok(of(F::Read, Value::Nil), 3).told(ModelKind::Counter);
    assert_eq!(told, ["process 1 read 3, and the counter was at most 1 then"]);
    let told = steps()
        .done(of(F::Add, 1))
        .info(of(F::Add, 1))
        .ok(of(F::Read, Value::Nil), 0)
        .told(ModelKind::Counter);
    assert_eq!(told, ["process 2 read 0, and the counter was at least 1 then"]);
    let told = steps().done(acquire()).done(acquire()).told(ModelKind::OwnerLock);
    assert_eq!(
        told,
        [
            "acquire by process 0 and acquire by process 1 both succeeded, and nobody released the lock in between",
            "  0 → 1 order: nobody released what acquire by process 1 took, so acquire by process 0 came first",
            "  1 → 0 order: nobody released what acquire by process 0 took, so acquire by process 1 came first",
        ]
    );
    let told = steps().done(acquire()).done(acquire()).told(ModelKind::Mutex);
    assert_eq!(
        told,
        [
            "acquire by process 0 and acquire by process 1 both succeeded, and nobody released the lock in between",
        ]
    );
    let told = steps().ok(acquire(), 2).ok(acquire(), 1).told(ModelKind::Fencing);
    assert_eq!(
        told,
        [
            "acquire by process 0 had returned before acquire by process 1 began, but tokens only grow, and 1 is less than 2",
            "  0 → 1 real-time: acquire by process 0 had returned before acquire by process 1 began",
            "  1 → 0 order: tokens only grow, and 1 is less than 2",
        ]
    );
}
