//! When checkpoints are due, and when a run ends before its last step.

use lockstep_core::metrics::Metric;
use lockstep_core::run::spec::EarlyStopping;

use super::*;
use crate::watch::Best;

/// The sums of one evaluation, with so many right of ten.
fn evaluated(machine: &mut Machine, step: u64, correct: u64) -> Vec<Action> {
    let sums = |piece| {
        let correct = if piece == 0 { correct } else { 0 };
        (piece, Sums { rows: 10, weight: 10.0, loss: 1.0, correct, ..Sums::default() })
    };
    let pieces = (0..3).map(sums).collect();
    handle(machine, Event::Evaluated(A, Evaluated { step, pieces }))
}

fn with(watched: Watched, save_after: Option<Duration>) -> Machine {
    let config =
        Config { watched, save_after, save_every: 1000, evaluate_every: 1, total_steps: 9, ..config() };
    let mut machine = Machine::new(config, 1, Progress::default(), None);
    handle(&mut machine, Event::Start);
    join(&mut machine, A);
    machine
}

fn saves(actions: &[Action]) -> Vec<(u64, bool)> {
    let save = |action: &Action| match action {
        Action::Save(save) => Some((save.progress.step, save.milestone)),
        _ => None,
    };
    actions.iter().filter_map(save).collect()
}

fn finished(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Finish(Outcome::Finished, _)))
}

const NOTHING: Watched = Watched { kind: Kind::Classes, best: None, early_stopping: None };

#[test]
fn the_best_is_saved_when_it_is_found() {
    let mut machine = with(Watched { best: Some(Metric::Accuracy), ..NOTHING }, None);
    let mut saved = Vec::new();
    for (step, correct) in (1..).zip([3, 5, 5, 4, 6]) {
        handle(&mut machine, commit(step - 1));
        saved.extend(saves(&evaluated(&mut machine, step, correct)));
        saved.extend(saves(&handle(&mut machine, Event::Saved { step, result: Ok(()) })));
    }
    assert_eq!(saved, [(1, false), (2, false), (5, false)]);
    let best = machine.progress().best.unwrap();
    assert_eq!((best.best, best.stale), (Some(Best { step: 5, value: 0.2 }), 0));
}

/// Its weights would be gone: the next step waits until the older checkpoint is written.
#[test]
fn the_best_waits_for_an_older_checkpoint() {
    let mut machine = with(Watched { best: Some(Metric::Accuracy), ..NOTHING }, None);
    handle(&mut machine, commit(0));
    assert_eq!(saves(&evaluated(&mut machine, 1, 1)), [(1, false)]);
    assert!(matches!(machine.work, Work::Step(_)), "the run goes on while it is written");
    handle(&mut machine, commit(1));
    assert_eq!(saves(&evaluated(&mut machine, 2, 2)), []);
    assert!(matches!(machine.work, Work::Idle));
    assert_eq!(saves(&handle(&mut machine, Event::Saved { step: 1, result: Ok(()) })), [(2, false)]);
    assert!(matches!(machine.work, Work::Step(_)));
}

#[test]
fn patience_ends_a_run_with_a_milestone() {
    let early = EarlyStopping { patience: 2, metric: Metric::Accuracy, min_delta: 0.0 };
    let mut machine = with(Watched { early_stopping: Some(early), ..NOTHING }, None);
    for (step, correct) in (1..).zip([3, 2, 4]) {
        handle(&mut machine, commit(step - 1));
        assert_eq!(saves(&evaluated(&mut machine, step, correct)), []);
    }
    handle(&mut machine, commit(3));
    evaluated(&mut machine, 4, 4);
    handle(&mut machine, commit(4));
    let before = machine.clone();
    let last = evaluated(&mut machine, 5, 1);
    assert_eq!(saves(&last), [(5, true)]);
    assert!(!finished(&last));
    let actions = handle(&mut machine, Event::Saved { step: 5, result: Ok(()) });
    assert!(finished(&actions), "{actions:?}");
    // A resume from a checkpoint before the evaluation, and one from the last, end at the same step.
    for progress in [before.progress().clone(), machine.progress().clone()] {
        let mut machine = Machine::new(before.config.clone(), 2, progress, None);
        let mut actions = handle(&mut machine, Event::Start);
        actions.extend(join(&mut machine, A));
        actions.extend(evaluated(&mut machine, 5, 1));
        actions.extend(handle(&mut machine, Event::Saved { step: 5, result: Ok(()) }));
        assert!(finished(&actions) && machine.progress().step == 5, "{actions:?}");
    }
}

#[test]
fn time_brings_checkpoints_that_are_no_milestones() {
    let mut machine = with(NOTHING, Some(10 * SECOND));
    let commit_at = |machine: &mut Machine, step, seconds: u32| {
        machine.handle(seconds * SECOND, commit(step));
        machine.handle(seconds * SECOND, Event::Heard(A));
        let mut all = actions(machine);
        machine.handle(
            seconds * SECOND,
            Event::Evaluated(
                A,
                Evaluated {
                    step: step + 1,
                    pieces: (0..3)
                        .map(|piece| (piece, Sums { rows: 1, weight: 1.0, ..Sums::default() }))
                        .collect(),
                },
            ),
        );
        all.extend(actions(machine));
        saves(&all)
    };
    assert_eq!(commit_at(&mut machine, 0, 5), []);
    assert_eq!(commit_at(&mut machine, 1, 11), [(2, false)]);
    // One that is slow to write does not hold the run up.
    assert_eq!(commit_at(&mut machine, 2, 22), []);
    assert!(matches!(machine.work, Work::Step(_)));
    machine.handle(23 * SECOND, Event::Saved { step: 2, result: Ok(()) });
    assert_eq!(commit_at(&mut machine, 3, 24), [(4, false)]);
    // A milestone counts as well.
    machine.handle(24 * SECOND, Event::Saved { step: 4, result: Err("full".into()) });
    assert_eq!(commit_at(&mut machine, 4, 30), []);
    assert_eq!(commit_at(&mut machine, 5, 34), [(6, false)]);
}
