//! Every engine against brute force, on small random histories of every model.

use std::collections::BTreeMap;

use squall_checker::{
    Budget, CoreOperation, Finding, Judgement, ModelKind, Reading, Verdict, brute, generate, judge,
    verify,
};
use squall_history::{History, Operation};

/// How many small histories each model is tried on.
const TRIES: u64 = 1_500;

#[test]
fn every_model_agrees_with_brute_force_and_the_second_opinion() {
    for model in ModelKind::ALL {
        let mut engines: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for seed in 0..TRIES {
            let events = generate::small(model, seed);
            let history = History::from_events(events).expect("well formed");
            let reading = Reading::default();
            let judgement = judge(&history, model, &reading, &Budget::unlimited());
            if judgement.coverage.acknowledged == 0 || judgement.why.is_some() {
                continue;
            }
            let expected = brute(&model, &history, &reading);
            let found = judgement.verdict;
            let tell = || told(model, seed, &history, &judgement);
            let verdict = if expected { Verdict::Valid } else { Verdict::Invalid };
            assert_eq!(found, verdict, "{}", tell());
            match verify(&history, model, &judgement) {
                Ok(replayed) => assert_eq!(replayed.too_large, 0, "{}", tell()),
                Err(flaw) => panic!("{flaw}\n{}", tell()),
            }
            *engines.entry((judgement.engine, found.name())).or_default() += 1;
        }
        println!("{model}: {engines:?}");
    }
}

/// Returns a history and what is said of it, an operation a line.
fn told(model: ModelKind, seed: u64, history: &History, judgement: &Judgement) -> String {
    let mut lines = vec![format!("{model} seed {seed} by {}", judgement.engine)];
    for (n, operation) in history.operations().iter().enumerate() {
        let Operation { process, op, outcome, invoked, returned, .. } = operation;
        let request = operation.request.map(|request| request.to_string()).unwrap_or_default();
        let span = format!("{invoked}-{}", returned.map(|ret| ret.to_string()).unwrap_or_default());
        lines.push(format!("  {n}: p{process} {span} {op} {request} {outcome:?}"));
    }
    for key in &judgement.keys {
        match &key.finding {
            Finding::Impossible(core) => {
                lines.push(core.contradiction.clone());
                let evidence = core.operations.iter().map(|op| {
                    let CoreOperation { index, invoked, returned, blind, .. } = op;
                    format!("  {index}: {invoked}-{returned:?} {} blind {blind}", op.operation.op)
                });
                lines.extend(evidence);
            }
            Finding::Linearizable(order) => lines.push(format!("{order:?}")),
            Finding::Unknown(why) => lines.push(why.clone()),
        }
    }
    lines.join("\n")
}
