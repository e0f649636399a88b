//! Every engine against brute force, on small random histories of every model.

use squall_checker::{Budget, ModelKind, Reading, Verdict, brute, generate, judge};
use squall_history::History;

/// How many small histories each model is tried on.
const TRIES: u64 = 2_000;

#[test]
fn every_model_agrees_with_brute_force() {
    let mut report = Vec::new();
    for model in ModelKind::ALL {
        let (mut valid, mut invalid) = (0, 0);
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
            assert_eq!(
                found,
                if expected { Verdict::Valid } else { Verdict::Invalid },
                "{model} seed {seed} by {}:\n{:#?}",
                judgement.engine,
                history.operations()
            );
            *if expected { &mut valid } else { &mut invalid } += 1;
        }
        report.push(format!("{model}: {valid} valid, {invalid} invalid"));
    }
    println!("{}", report.join("\n"));
}
