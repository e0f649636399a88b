//! What a schedule file can say, and what a timeline makes of it.

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = r#"{"squall":"schedule/1"}
{"plan":{"id":1,"at":"2.5s","fault":"kill","target":"leader","for":"1.2s"}}
{"plan":{"id":2,"after":{"leader-elected":3},"fault":"partition","shape":"isolate","target":"leader","for":"4s"}}
{"resolved":{"id":1,"time":2500310000,"nodes":["n2"]}}
{"outcome":{"id":1,"phase":"install","time":2500400000,"result":"installed","probe":"n2 is gone"}}
"#;

fn plan(id: u32, fault: Fault) -> Line {
    let lasts = Duration::from_secs(1);
    Line::Plan(Planned::new(id, Trigger::At(Duration::ZERO), fault, Target::One, lasts))
}

fn outcome(id: u32, phase: Phase, time: u64, result: FaultOutcome) -> Line {
    Line::Outcome(Happened { id, phase, time: Nanos(time), result, took: Nanos(7), probe: None })
}

fn written(lines: &[Line]) -> String {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn the_lines_of_the_documentation_read_and_print_the_same() {
    let read = read(EXAMPLE.as_bytes()).unwrap();

    assert_eq!(read.torn, None);
    let again = written(&read.lines).replace(r#""took":0,"#, "");
    assert_eq!(again, EXAMPLE);
}

#[test]
fn a_torn_last_line_is_left_out_and_named() {
    let torn = &EXAMPLE[..EXAMPLE.len() - 20];

    let read = read(torn.as_bytes()).unwrap();

    assert_eq!((read.lines.len(), read.torn), (3, Some(5)));
}

#[test]
fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
    let broken = EXAMPLE.replace("leader-elected", "leader-erected");

    let error = read(broken.as_bytes()).unwrap_err().to_string();

    assert!(error.starts_with("line 3: expected a plan such as"), "{error}");
    assert!(error.contains("leader-erected"), "{error}");
}

#[test]
fn an_unknown_version_is_refused() {
    let error = read(&b"{\"squall\":\"schedule/9\"}\n"[..]).unwrap_err();

    assert!(matches!(error, ReadError::Header { .. }), "{error}");
}

#[test]
fn an_interval_lasts_from_installation_to_heal() {
    let nodes = vec!["n2".into(), "n4".into()];
    let resolved =
        Resolved { id: 1, time: Nanos(90), nodes, cut: Vec::new(), versions: BTreeMap::new() };
    let lines = [
        plan(1, Fault::Partition { shape: Shape::Isolate }),
        Line::Resolved(resolved),
        outcome(1, Phase::Install, 100, FaultOutcome::Installed),
        outcome(1, Phase::Heal, 300, FaultOutcome::Healed),
    ];

    let timeline = Timeline::from_lines(&lines);

    let fault = &timeline.faults[0];
    assert_eq!(fault.text, "partition isolate n2,n4");
    assert_eq!((fault.from, fault.to), (Nanos(100), Some(Nanos(300))));
    assert!(fault.is_installed());
    assert!(fault.overlaps(Nanos(0), Nanos(100)) && fault.overlaps(Nanos(300), Nanos(400)));
    assert!(!fault.overlaps(Nanos(0), Nanos(99)) && !fault.overlaps(Nanos(301), Nanos(400)));
    assert_eq!(timeline.healed_at(), Some(Nanos(300)));
}

#[test]
fn families_count_what_took_hold_and_what_did_not() {
    let lines = [
        plan(1, Fault::Kill),
        plan(2, Fault::Kill),
        plan(3, Fault::Kill),
        plan(4, Fault::Pause),
        outcome(1, Phase::Install, 1, FaultOutcome::Installed),
        outcome(2, Phase::Install, 2, FaultOutcome::Skipped("n1 is down".into())),
        outcome(3, Phase::Install, 3, FaultOutcome::Indeterminate("no answer".into())),
    ];

    let families = Timeline::from_lines(&lines).families;

    let kill = FamilyCounts { planned: 3, installed: 1, skipped: 1, indeterminate: 1 };
    assert_eq!(families["kill"], kill);
    assert_eq!(families["pause"], FamilyCounts { planned: 1, ..FamilyCounts::default() });
}

#[test]
fn a_skipped_fault_overlaps_nothing_and_one_without_heal_lasts_on() {
    let lines = [
        plan(1, Fault::Kill),
        plan(2, Fault::Pause),
        outcome(1, Phase::Install, 5, FaultOutcome::Skipped("down".into())),
        outcome(2, Phase::Install, 5, FaultOutcome::Installed),
    ];

    let faults = Timeline::from_lines(&lines).faults;

    assert!(!faults[0].overlaps(Nanos(0), Nanos(10)));
    assert!(faults[1].overlaps(Nanos(1_000_000), Nanos(2_000_000)));
}

fn nodes() -> impl Strategy<Value = Vec<NodeName>> {
    prop::collection::vec("n[1-9]".prop_map(|name| NodeName::from(name.as_str())), 0..4)
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (
        0..100_000u64,
        prop_oneof![Just(0), 0..1_000_000_000u32, (0..1000u32).prop_map(|ms| ms * 1_000_000)],
    )
        .prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        any::<u32>().prop_map(Condition::LeaderElected),
        Just(Condition::Leads("n1".into())),
        any::<u64>().prop_map(Condition::Acknowledged),
        any::<u32>().prop_map(Condition::Installed),
        any::<u32>().prop_map(Condition::Healed),
        any::<u32>().prop_map(Condition::ElectedAfter),
        any::<u32>().prop_map(Condition::LeadsAfter),
    ]
}

fn pick() -> impl Strategy<Value = Target> {
    let ids = || prop::collection::vec(any::<u32>(), 0..3);
    let role = prop::option::of(prop_oneof![Just(Role::Leader), Just(Role::Followers)]);
    (ids(), ids(), role, prop::option::of(any::<u32>()))
        .prop_map(|(of, not, who, count)| Target::Pick(Pick { of, not, who, count }))
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::One),
        Just(Target::Minority),
        Just(Target::Majority),
        Just(Target::All),
        Just(Target::Leader),
        Just(Target::Random),
        Just(Target::NotLeader),
        any::<u32>().prop_map(Target::Previous),
        pick(),
        nodes().prop_map(Target::Nodes),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let shape = prop::sample::select(&Shape::ALL[..]);
    prop_oneof![
        Just(Fault::Kill),
        Just(Fault::Member),
        (prop::option::of("[0-9.]{1,6}"), prop::sample::select(Ending::ALL.to_vec()))
            .prop_map(|(version, signal)| Fault::Upgrade { version, signal }),
        Just(Fault::Pause),
        shape.prop_map(|shape| Fault::Partition { shape }),
    ]
}

fn planned() -> impl Strategy<Value = Line> {
    let trigger =
        prop_oneof![any_duration().prop_map(Trigger::At), condition().prop_map(Trigger::After),];
    let until = prop::option::of(condition());
    let note = prop::option::of("[ -~]{0,20}");
    (any::<u32>(), trigger, any_duration(), fault(), target(), any_duration(), until, note)
        .prop_map(|(id, trigger, delay, fault, target, lasts, until, note)| {
            Line::Plan(Planned { id, trigger, delay, fault, target, lasts, until, note })
        })
}

fn happened() -> impl Strategy<Value = Line> {
    let result = prop_oneof![
        Just(FaultOutcome::Installed),
        Just(FaultOutcome::Healed),
        "[ -~]{0,20}".prop_map(FaultOutcome::Skipped),
        "[ -~]{0,20}".prop_map(FaultOutcome::Indeterminate),
    ];
    let phase = prop_oneof![Just(Phase::Install), Just(Phase::Heal)];
    let probe = prop::option::of("[ -~]{0,20}");
    (any::<u32>(), phase, any::<u64>(), result, any::<u64>(), probe).prop_map(
        |(id, phase, time, result, took, probe)| {
            let (time, took) = (Nanos(time), Nanos(took));
            Line::Outcome(Happened { id, phase, time, result, took, probe })
        },
    )
}

fn resolved() -> impl Strategy<Value = Line> {
    let pair = || "n[1-9]".prop_map(|name| NodeName::from(name.as_str()));
    let cut = prop::collection::vec((pair(), pair()), 0..4);
    (any::<u32>(), any::<u64>(), nodes(), cut).prop_map(|(id, time, nodes, cut)| {
        Line::Resolved(Resolved { id, time: Nanos(time), nodes, cut, versions: BTreeMap::new() })
    })
}

proptest! {
    #[test]
    fn whatever_is_written_reads_back(
        lines in prop::collection::vec(prop_oneof![planned(), resolved(), happened()], 0..8)
    ) {
        let text = written(&lines);
        let read = read(text.as_bytes()).unwrap();
        prop_assert_eq!(read, Read { lines, torn: None });
    }

    #[test]
    fn a_cut_anywhere_is_an_error_or_a_torn_line_but_never_a_panic(at in 0..EXAMPLE.len()) {
        let _ = read(&EXAMPLE.as_bytes()[..at]);
    }

    #[test]
    fn durations_print_what_parses(duration in any_duration()) {
        prop_assert_eq!(duration::parse(&duration::print(duration)), Ok(duration));
    }
}
