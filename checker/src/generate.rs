//! Histories from seeds, for tests and benchmarks: closed-loop clients on a true object, with true linearization points,
//! crashes and injected lies.
//!
//! Each client invokes, waits, and invokes again. An operation takes effect at a moment drawn inside its interval; one
//! that crashes takes effect then, later, or never. Latencies are log-normal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_history::{
    Event, F, History, Invoke, Key, Nanos, Op, Outcome, Process, Request, Return, Value,
};

use crate::ModelKind;

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The object.
    pub model: ModelKind,
    /// How many operations.
    pub operations: usize,
    /// How many clients at once.
    pub clients: usize,
    /// How many keys.
    pub keys: usize,
    /// How many values there are; `None` makes every written value unique.
    pub values: Option<i64>,
    /// Which share of the operations that change something crashes.
    pub crashes: f64,
    /// Which share of the operations reads.
    pub reads: f64,
    /// Where the randomness starts.
    pub seed: u64,
}

impl Shape {
    /// A cas-register with unique values, as the goals have it.
    pub fn register(operations: usize, clients: usize) -> Shape {
        Shape {
            model: ModelKind::CasRegister,
            operations,
            clients,
            keys: 1,
            values: None,
            crashes: 0.0,
            reads: 0.4,
            seed: 1,
        }
    }
}

/// A typical operation takes a millisecond.
const MEDIAN_LATENCY_NS: f64 = 1e6;

/// Generates the events of a true history.
pub fn events(shape: &Shape) -> Vec<Event> {
    World::new(*shape).run()
}

/// Generates a true history.
pub fn history(shape: &Shape) -> History {
    History::from_events(events(shape)).expect("generated histories are well formed")
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Invoke(usize),
    Effect(usize),
    Return(usize),
}

struct Pending {
    process: Process,
    op: Op,
    object: usize,
    outcome: Outcome,
    crashed: bool,
}

struct World {
    shape: Shape,
    random: ChaCha8Rng,
    objects: Vec<Object>,
    keys: Vec<Key>,
    agenda: BinaryHeap<Reverse<(u64, u64, Moment)>>,
    pending: Vec<Pending>,
    processes: Vec<u64>,
    next_process: u64,
    next_value: i64,
    sequence: u64,
    events: Vec<Event>,
    holding: Vec<bool>,
}

impl World {
    fn new(shape: Shape) -> World {
        let clients = shape.clients as u64;
        let mut world = World {
            shape,
            random: ChaCha8Rng::seed_from_u64(shape.seed),
            objects: (0..shape.keys).map(|_| Object::default()).collect(),
            keys: (0..shape.keys).map(|key| Key::from(key.to_string().as_str())).collect(),
            agenda: BinaryHeap::new(),
            pending: Vec::new(),
            processes: (0..clients).collect(),
            next_process: clients,
            next_value: 1,
            sequence: 0,
            events: Vec::with_capacity(shape.operations * 2),
            holding: vec![false; shape.clients],
        };
        for client in 0..shape.clients {
            let start = world.random.random_range(0..1_000_000);
            world.at(start, Moment::Invoke(client));
        }
        world
    }

    fn at(&mut self, time: u64, moment: Moment) {
        self.sequence += 1;
        self.agenda.push(Reverse((time, self.sequence, moment)));
    }

    fn run(mut self) -> Vec<Event> {
        while let Some(Reverse((time, _, moment))) = self.agenda.pop() {
            match moment {
                Moment::Invoke(client) if self.pending.len() < self.shape.operations => {
                    self.invoke(time, client);
                }
                Moment::Invoke(_) => {}
                Moment::Effect(n) => self.effect(n),
                Moment::Return(n) => self.complete(time, n),
            }
        }
        self.events
    }

    fn invoke(&mut self, time: u64, client: usize) {
        let object = self.random.random_range(0..self.shape.keys);
        let mut op = self.choose(client, object);
        op.key = Some(self.keys[object].clone());
        let process = Process(self.processes[client]);
        let crashed = !op.f.is_read() && self.random.random_bool(self.shape.crashes);
        let n = self.pending.len();
        let invoke =
            Invoke { time: Nanos(time), process, op: op.clone(), node: None, request: None };
        self.events.push(Event::Invoke(invoke));
        let outcome = Outcome::Info { error: "timeout".into() };
        self.pending.push(Pending { process, op, object, outcome, crashed });
        let latency = self.latency();
        let inside = self.random.random_range(0..latency);
        if !crashed {
            self.at(time + inside, Moment::Effect(n));
        } else if self.random.random_bool(0.5) {
            let late = self.random.random_range(1..30);
            self.at(time + inside * late, Moment::Effect(n));
        }
        self.at(time + latency, Moment::Return(n));
        if crashed {
            self.processes[client] = self.next_process;
            self.next_process += 1;
            self.holding[client] = false;
        }
        let pause = self.random.random_range(1..1000);
        self.at(time + latency + pause, Moment::Invoke(client));
    }

    /// Draws from a log-normal distribution with sigma 0.5, by Box and Muller's method.
    fn latency(&mut self) -> u64 {
        let uniform: f64 = self.random.random_range(1e-12..1.0);
        let angle: f64 = self.random.random_range(0.0..std::f64::consts::TAU);
        let normal = (-2.0 * uniform.ln()).sqrt() * angle.cos();
        (MEDIAN_LATENCY_NS * (0.5 * normal).exp()).max(2.0) as u64
    }

    fn effect(&mut self, n: usize) {
        let pending = &mut self.pending[n];
        let outcome = self.objects[pending.object].apply(pending.process, &pending.op);
        if !pending.crashed {
            pending.outcome = outcome;
        }
    }

    fn complete(&mut self, time: u64, n: usize) {
        let pending = &self.pending[n];
        self.events.push(Event::Return(Return {
            time: Nanos(time),
            process: pending.process,
            outcome: pending.outcome.clone(),
            pos: None,
        }));
    }

    fn value(&mut self) -> i64 {
        match self.shape.values {
            Some(values) => self.random.random_range(0..values),
            None => {
                self.next_value += 1;
                self.next_value
            }
        }
    }

    fn choose(&mut self, client: usize, object: usize) -> Op {
        let read = self.random.random_bool(self.shape.reads);
        let coin = self.random.random_bool(0.5);
        let rare = self.random.random_ratio(1, 20);
        let op = |f, value| Op { f, key: None, value };
        let model = self.shape.model;
        match model {
            ModelKind::Register if read => op(F::Read, Value::Nil),
            ModelKind::Register => op(F::Write, Value::Int(self.value())),
            ModelKind::MultiRegister => op(F::Txn, self.txn()),
            ModelKind::CasRegister if read => op(F::Read, Value::Nil),
            ModelKind::CasRegister | ModelKind::Kv if !read && coin => {
                let from = match self.shape.values {
                    Some(_) if rare => Value::Int(self.value()),
                    _ => self.objects[object].value.clone(),
                };
                let to = self.value();
                // What a store holds can be appended to.
                let text = || Value::text(format!("x{to}"));
                let to = if model == ModelKind::Kv { text() } else { Value::Int(to) };
                op(F::Cas, Value::list([from, to]))
            }
            ModelKind::CasRegister => op(F::Write, Value::Int(self.value())),
            ModelKind::Kv if read => op(F::Read, Value::Nil),
            ModelKind::Kv if rare => op(F::Delete, Value::Nil),
            ModelKind::Kv => {
                let text = Value::text(format!("x{}", self.value()));
                op(if rare { F::Write } else { F::Append }, text)
            }
            ModelKind::ListAppend if read => op(F::Read, Value::Nil),
            ModelKind::ListAppend => op(F::Append, Value::Int(self.value())),
            ModelKind::FifoQueue | ModelKind::UnorderedQueue if coin => {
                op(F::Enqueue, Value::Int(self.value()))
            }
            ModelKind::FifoQueue | ModelKind::UnorderedQueue => op(F::Dequeue, Value::Nil),
            ModelKind::Stack if coin => op(F::Push, Value::Int(self.value())),
            ModelKind::Stack => op(F::Pop, Value::Nil),
            ModelKind::Set if read && rare => op(F::Read, Value::Nil),
            ModelKind::Set if read => op(F::Contains, Value::Int(self.known())),
            ModelKind::Set if rare => op(F::Remove, Value::Int(self.known())),
            ModelKind::Set => op(F::Add, Value::Int(self.value())),
            ModelKind::Counter if read => op(F::Read, Value::Nil),
            ModelKind::Counter => op(F::Increment, Value::Int(1)),
            ModelKind::Mutex | ModelKind::OwnerLock | ModelKind::Fencing => {
                self.holding[client] = !self.holding[client];
                // Half of the owners are named, the others are the processes themselves.
                let named = model == ModelKind::OwnerLock && self.shape.values.is_some();
                let owner = if named { Value::Int(client as i64) } else { Value::Nil };
                op(if self.holding[client] { F::Acquire } else { F::Release }, owner)
            }
        }
    }

    /// Returns a transaction of one or two steps on three registers.
    fn txn(&mut self) -> Value {
        let steps = self.random.random_range(1..=2);
        Value::list((0..steps).map(|_| {
            let key = Value::text(["x", "y", "z"][self.random.random_range(0..3)]);
            if self.random.random_bool(self.shape.reads) {
                Value::list([Value::text("read"), key, Value::Nil])
            } else {
                Value::list([Value::text("write"), key, Value::Int(self.value())])
            }
        }))
    }

    /// Returns a value that may have been written.
    fn known(&mut self) -> i64 {
        match self.shape.values {
            Some(values) => self.random.random_range(0..values),
            None => self.random.random_range(1..=self.next_value),
        }
    }
}

/// A true object of every kind.
#[derive(Default)]
struct Object {
    value: Value,
    list: VecDeque<Value>,
    set: BTreeSet<Value>,
    map: BTreeMap<Value, Value>,
    count: i64,
}

impl Object {
    /// Lets an operation take effect, and returns what it returns.
    fn apply(&mut self, process: Process, op: &Op) -> Outcome {
        let done = Outcome::Ok(op.value.clone());
        match &op.f {
            F::Read if !self.set.is_empty() => Outcome::Ok(Value::list(self.set.iter().cloned())),
            F::Read if !self.list.is_empty() => Outcome::Ok(Value::list(self.list.iter().cloned())),
            F::Read if self.count != 0 => Outcome::Ok(Value::Int(self.count)),
            F::Read => Outcome::Ok(self.value.clone()),
            F::Write => {
                self.value = op.value.clone();
                done
            }
            F::Delete => {
                self.value = Value::Nil;
                done
            }
            F::Cas => self.cas(op),
            F::Append => {
                match (&self.value, &op.value) {
                    (Value::Text(before), Value::Text(more)) => {
                        self.value = Value::text(format!("{before}{more}"));
                    }
                    (_, Value::Text(_)) => self.value = op.value.clone(),
                    _ => self.list.push_back(op.value.clone()),
                }
                done
            }
            F::Increment => {
                self.count += op.value.as_int().unwrap_or(1);
                done
            }
            F::Enqueue | F::Push => {
                self.list.push_back(op.value.clone());
                done
            }
            F::Dequeue => Outcome::Ok(self.list.pop_front().unwrap_or_default()),
            F::Pop => Outcome::Ok(self.list.pop_back().unwrap_or_default()),
            F::Add => {
                self.set.insert(op.value.clone());
                done
            }
            F::Remove => {
                self.set.remove(&op.value);
                done
            }
            F::Contains => Outcome::Ok(Value::Bool(self.set.contains(&op.value))),
            F::Acquire => self.acquire(holder(process, op)),
            F::Release if self.value == holder(process, op) => {
                self.value = Value::Nil;
                done
            }
            F::Txn => Outcome::Ok(self.txn(&op.value)),
            F::Release | F::Other(_) => Outcome::Fail { error: "not-held".into(), seen: None },
        }
    }

    fn cas(&mut self, op: &Op) -> Outcome {
        let (from, to) = op.value.as_pair().expect("generated");
        if self.value != *from {
            let error = "precondition".into();
            return Outcome::Fail { error, seen: Some(self.value.clone()) };
        }
        self.value = to.clone();
        Outcome::Ok(op.value.clone())
    }

    fn txn(&mut self, ops: &Value) -> Value {
        let items = ops.as_list().unwrap_or(&[]).iter().map(|item| {
            let [f, key, value] = item.as_list().unwrap_or(&[]) else { return item.clone() };
            if *f == Value::text("write") {
                self.map.insert(key.clone(), value.clone());
                return item.clone();
            }
            let seen = self.map.get(key).cloned().unwrap_or_default();
            Value::list([f.clone(), key.clone(), seen])
        });
        Value::list(items)
    }

    fn acquire(&mut self, holder: Value) -> Outcome {
        if !self.value.is_nil() {
            return Outcome::Fail { error: "held".into(), seen: None };
        }
        self.value = holder;
        self.count += 1;
        Outcome::Ok(Value::Int(self.count))
    }
}

/// Returns who acquires or releases: whom the operation names, else the process that asks.
fn holder(process: Process, op: &Op) -> Value {
    if op.value.is_nil() { Value::Int(process.0 as i64) } else { op.value.clone() }
}

/// Makes a small history that is true or a lie: tight overlaps, few values, every kind of operation crashes, crashed
/// ones are tried again, and results are sometimes made up.
pub fn small(model: ModelKind, seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = Shape {
        model,
        operations: random.random_range(1..=9),
        clients: random.random_range(1..=4),
        keys: 1,
        values: if random.random_bool(0.5) { None } else { Some(random.random_range(1..=3)) },
        crashes: [0.0, 0.2, 0.5][random.random_range(0..3)],
        reads: 0.5,
        seed: random.next_u64(),
    };
    walked(shape, &mut random)
}

/// Makes a history that is true or a lie like [`small`], but too long to try every order: a search has to go wrong often
/// before it finds one.
pub fn middling(model: ModelKind, seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = Shape {
        model,
        operations: random.random_range(12..=28),
        clients: random.random_range(3..=7),
        keys: 1,
        values: Some(random.random_range(1..=4)),
        crashes: [0.0, 0.1, 0.3][random.random_range(0..3)],
        reads: 0.3,
        seed: random.next_u64(),
    };
    walked(shape, &mut random)
}

fn walked(shape: Shape, random: &mut ChaCha8Rng) -> Vec<Event> {
    let mut events = Walk::new(shape).run();
    for _ in 0..[0, 0, 1, 1, 1, 2][random.random_range(0..6)] {
        lie(&mut events, random);
    }
    events
}

/// A random walk through the moments of a few operations.
struct Walk {
    world: World,
    clients: Vec<Option<Step>>,
    /// Crashed operations that may still take effect.
    adrift: Vec<(Process, Op, Option<Request>)>,
    /// Requests that may be tried again, and what became of each.
    again: Vec<(Op, Request)>,
    done: BTreeMap<Request, Outcome>,
    invoked: usize,
}

struct Step {
    op: Op,
    request: Option<Request>,
    outcome: Option<Outcome>,
}

impl Walk {
    fn new(shape: Shape) -> Walk {
        Walk {
            world: World::new(shape),
            clients: (0..shape.clients).map(|_| None).collect(),
            adrift: Vec::new(),
            again: Vec::new(),
            done: BTreeMap::new(),
            invoked: 0,
        }
    }

    fn run(mut self) -> Vec<Event> {
        while self.invoked < self.world.shape.operations || self.clients.iter().any(Option::is_some)
        {
            let client = self.world.random.random_range(0..self.clients.len());
            match self.clients[client].take() {
                None if self.invoked < self.world.shape.operations => self.invoke(client),
                None => {}
                Some(step) => self.go_on(client, step),
            }
            if !self.adrift.is_empty() && self.world.random.random_bool(0.1) {
                let (process, op, request) = self.adrift.remove(0);
                self.apply(process, &op, request);
            }
        }
        self.world.events
    }

    fn time(&self) -> Nanos {
        Nanos(self.world.events.len() as u64 + 1)
    }

    fn invoke(&mut self, client: usize) {
        let retry = self.world.random.random_bool(0.3);
        let (op, request) = match self.again.pop().filter(|_| retry) {
            Some((op, request)) => (op, Some(request)),
            None => {
                let mut op = self.world.choose(client, 0);
                op.key = Some(self.world.keys[0].clone());
                let sequence = self.invoked as u64 + 1;
                let named = !op.f.is_read() && self.world.random.random_bool(0.3);
                (op, named.then_some(Request { session: 1, sequence }))
            }
        };
        self.invoked += 1;
        let process = Process(self.world.processes[client]);
        let (time, node) = (self.time(), None);
        let invoke = Invoke { time, process, op: op.clone(), node, request };
        self.world.events.push(Event::Invoke(invoke));
        self.clients[client] = Some(Step { op, request, outcome: None });
    }

    fn go_on(&mut self, client: usize, step: Step) {
        let process = Process(self.world.processes[client]);
        let crashes = self.world.shape.crashes;
        if !step.op.f.is_read() && self.world.random.random_bool(crashes / 2.0) {
            self.crash(client, process, step);
            return;
        }
        match step.outcome {
            None => {
                let outcome = Some(self.apply(process, &step.op, step.request));
                self.clients[client] = Some(Step { outcome, ..step });
            }
            Some(outcome) => {
                let ret = Return { time: self.time(), process, outcome, pos: None };
                self.world.events.push(Event::Return(ret));
                // A message that was sent twice is answered twice.
                self.again.extend(step.request.map(|request| (step.op, request)));
            }
        }
    }

    fn crash(&mut self, client: usize, process: Process, step: Step) {
        let outcome = Outcome::Info { error: "timeout".into() };
        let ret = Return { time: self.time(), process, outcome, pos: None };
        self.world.events.push(Event::Return(ret));
        if step.outcome.is_none() {
            self.adrift.push((process, step.op.clone(), step.request));
        }
        self.again.extend(step.request.map(|request| (step.op, request)));
        self.world.processes[client] = self.world.next_process;
        self.world.next_process += 1;
        self.world.holding[client] = false;
    }

    /// Lets an operation take effect, unless its request did.
    fn apply(&mut self, process: Process, op: &Op, request: Option<Request>) -> Outcome {
        if let Some(done) = request.and_then(|request| self.done.get(&request)) {
            return done.clone();
        }
        let outcome = self.world.objects[0].apply(process, op);
        if let Some(request) = request {
            self.done.insert(request, outcome.clone());
        }
        outcome
    }
}

/// Changes the result of one operation, or the time of one event.
pub fn lie(events: &mut [Event], random: &mut impl Rng) {
    if events.len() < 2 {
        return;
    }
    if random.random_bool(0.2) {
        let n = random.random_range(1..events.len());
        swap(events, n);
        return;
    }
    let returns: Vec<(usize, Op)> = returns(events);
    let results: Vec<Value> = events.iter().filter_map(result).collect();
    if returns.is_empty() || results.is_empty() {
        return;
    }
    let (n, op) = &returns[random.random_range(0..returns.len())];
    let other = results[random.random_range(0..results.len())].clone();
    let Event::Return(ret) = &mut events[*n] else { return };
    if let Some(told) = twist(op, &ret.outcome, other, random) {
        ret.outcome = told;
    }
}

/// Returns which events return something, and what was asked.
fn returns(events: &[Event]) -> Vec<(usize, Op)> {
    let mut open: BTreeMap<Process, Op> = BTreeMap::new();
    let mut returns = Vec::new();
    for (n, event) in events.iter().enumerate() {
        match event {
            Event::Invoke(invoke) => drop(open.insert(invoke.process, invoke.op.clone())),
            Event::Return(ret) => {
                let op = open.remove(&ret.process);
                let ended = !matches!(ret.outcome, Outcome::Info { .. });
                returns.extend(op.filter(|_| ended).map(|op| (n, op)));
            }
        }
    }
    returns
}

/// Returns another outcome of the kind that an operation has.
fn twist(op: &Op, outcome: &Outcome, other: Value, random: &mut impl Rng) -> Option<Outcome> {
    let Outcome::Ok(value) = outcome else { return Some(Outcome::Ok(other)) };
    let told = match (&op.f, value) {
        (F::Contains, Value::Bool(present)) => Value::Bool(!present),
        (F::Acquire | F::Read, Value::Int(number)) if random.random_bool(0.5) => {
            Value::Int(number + random.random_range(-1..=1))
        }
        (F::Read | F::Txn, Value::List(items)) if !items.is_empty() => {
            Value::list(scramble(items, random))
        }
        (F::Read | F::Dequeue | F::Pop, _) if random.random_bool(0.2) => Value::Nil,
        (F::Read | F::Dequeue | F::Pop | F::Acquire, _) => other,
        // The client is told of a success that was none, or the other way round.
        (F::Cas, _) => {
            let error = "precondition".into();
            return Some(Outcome::Fail { error, seen: random.random_bool(0.5).then_some(other) });
        }
        (F::Release, _) => return Some(Outcome::Fail { error: "not-held".into(), seen: None }),
        _ => return None,
    };
    Some(Outcome::Ok(told))
}

/// Returns a list with an element too few, too many, or in the wrong place; of transactions another value.
fn scramble(items: &[Value], random: &mut impl Rng) -> Vec<Value> {
    let mut items = items.to_vec();
    let n = random.random_range(0..items.len());
    match items[n].as_list() {
        // An answer with another write would be to another transaction.
        Some([f, ..]) if *f == Value::text("write") => {}
        Some([f, key, _]) => {
            let value = Value::Int(random.random_range(0..3));
            items[n] = Value::list([f.clone(), key.clone(), value]);
        }
        _ => match random.random_range(0..3) {
            0 => drop(items.remove(n)),
            1 => items.rotate_left(1),
            _ => items.push(items[n].clone()),
        },
    }
    items
}

/// Swaps two neighbours of different processes; their times stay where they were.
pub(crate) fn swap(events: &mut [Event], n: usize) {
    if events[n - 1].process() == events[n].process() {
        return;
    }
    let (before, after) = (events[n - 1].time(), events[n].time());
    events.swap(n - 1, n);
    for (event, time) in [(n - 1, before), (n, after)] {
        match &mut events[event] {
            Event::Invoke(invoke) => invoke.time = time,
            Event::Return(ret) => ret.time = time,
        }
    }
}

fn result(event: &Event) -> Option<Value> {
    match event {
        Event::Return(Return { outcome: Outcome::Ok(value), .. }) => Some(value.clone()),
        Event::Return(_) | Event::Invoke(_) => None,
    }
}

/// Makes one read of a register with unique values stale: the first one behind a share of the history. It now returns
/// what a write wrote that another write had certainly replaced before the read began. Returns whether one was found.
pub fn stale_read(events: &mut [Event], share: f64) -> bool {
    let from = (events.len() as f64 * share) as usize;
    let mut open: BTreeMap<Process, (usize, Op)> = BTreeMap::new();
    // Writes that returned: where they began, where they returned, and what they wrote.
    let mut writes: Vec<(usize, usize, Value)> = Vec::new();
    for (n, event) in events.iter_mut().enumerate() {
        match event {
            Event::Invoke(invoke) => drop(open.insert(invoke.process, (n, invoke.op.clone()))),
            Event::Return(ret) => {
                let Some((began, op)) = open.remove(&ret.process) else { continue };
                match (&op.f, &ret.outcome) {
                    (F::Write, Outcome::Ok(_)) => writes.push((began, n, op.value)),
                    (F::Read, Outcome::Ok(_)) if n >= from => {
                        let Some(stale) = replaced(&writes, began) else { continue };
                        ret.outcome = Outcome::Ok(stale);
                        return true;
                    }
                    _ => {}
                }
            }
        }
    }
    false
}

/// Returns what the last write wrote that another one had replaced before an event.
fn replaced(writes: &[(usize, usize, Value)], event: usize) -> Option<Value> {
    let done = || writes.iter().rev().filter(|(_, ended, _)| *ended < event);
    let by = done().map(|(began, ..)| *began).max()?;
    done().find(|(_, ended, _)| *ended < by).map(|(.., value)| value.clone())
}
