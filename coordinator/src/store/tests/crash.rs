//! The process ends between any two operations on the disk, or in the middle of one.

use super::*;
use crate::store::fault;
use crate::watch::{Best, Watch};
use lockstep_core::metrics::Metric;

/// Everything in a run directory that a resume reads or leaves, but the count of starts.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() {
            found.extend(contents(&entry).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else if name != names::STARTS {
            found.insert(name, fs::read(&entry).unwrap());
        }
    }
    found
}

fn record(directory: &RunDirectory, step: u64) {
    directory.record(&step_record(step)).unwrap();
}

/// The rest of the run: steps up to 6, a checkpoint after every second.
fn go_on(fixture: &Fixture, opened: &Opened) {
    let done = opened.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step);
    for step in done + 1..=6 {
        record(&opened.directory, step);
        if step.is_multiple_of(2) {
            fixture.save(&opened.directory, step, true);
        }
    }
}

/// Ends the process after so many operations of `work`; whether it did not come so far.
fn ended_in(operations: u32, work: impl FnOnce()) -> bool {
    fault::after(Some(operations));
    work();
    fault::after(None).is_some_and(|left| left > 0)
}

#[test]
fn a_resume_after_any_operation_ends_as_if_there_had_been_none() {
    let undisturbed = Fixture::new();
    go_on(&undisturbed, &undisturbed.open(false).unwrap());
    let expected = contents(&undisturbed.path());
    let mut newest = BTreeMap::<Option<u64>, u32>::new();
    for operations in 0.. {
        let fixture = Fixture::new();
        let opened = fixture.open(false).unwrap();
        for step in [1, 2, 3, 4] {
            record(&opened.directory, step);
        }
        fixture.save(&opened.directory, 2, true);
        let over = ended_in(operations, || {
            let save = Save { progress: progress(4), milestone: true };
            let _ = opened.directory.write_checkpoint(&save, &fixture.snapshot(4));
            let save = Save { progress: progress(6), milestone: true };
            let _ = opened.directory.write_checkpoint(&save, &fixture.snapshot(6));
        });
        drop(opened);
        let opened = fixture.open(true).unwrap();
        assert_eq!(opened.skipped.len(), 0, "after {operations} operations");
        let step = opened.checkpoint.as_ref().map(|checkpoint| checkpoint.step);
        *newest.entry(step).or_default() += 1;
        go_on(&fixture, &opened);
        drop(opened);
        let found = contents(&fixture.path());
        assert!(found.keys().eq(expected.keys()), "after {operations}: {:?}", found.keys());
        for (name, bytes) in &found {
            // The lines of step 5 and 6 of a start that got so far are those of no step here.
            if name != names::METRICS {
                assert!(Some(bytes) == expected.get(name), "{name} after {operations} operations");
            }
        }
        if over {
            break;
        }
    }
    // Both writes were met in all their phases: creating, writing, syncing, renaming, removing.
    assert_eq!(newest.keys().copied().collect::<Vec<_>>(), [Some(2), Some(4), Some(6)]);
    assert!(newest[&Some(2)] > 10 && newest[&Some(4)] > 10, "{newest:?}");
}

/// Also when the start itself is interrupted, again and again.
#[test]
fn a_start_that_is_interrupted_changes_nothing_that_matters() {
    for operations in 0.. {
        let fixture = Fixture::new();
        let opened = fixture.open(false).unwrap();
        (1..=5).for_each(|step| record(&opened.directory, step));
        fixture.save(&opened.directory, 2, true);
        let digest = fixture.save(&opened.directory, 4, true);
        fixture.save(&opened.directory, 6, true);
        drop(opened);
        fs::remove_file(fixture.checkpoint(6).join(names::STATE)).unwrap();
        let over = ended_in(operations, || {
            let _ = fixture.open(true);
        });
        let opened = fixture.open(true).unwrap();
        assert_eq!(opened.checkpoint.unwrap().digest, digest);
        assert_eq!(fixture.lines(names::DIGESTS).len(), 2);
        assert_eq!(fixture.lines(names::METRICS).len(), 4);
        if over {
            assert!(operations > 15, "{operations}");
            return;
        }
    }
}

/// Checkpoints that could not be written leave no gap in the chain.
#[test]
fn a_full_disk_leaves_no_gap_in_the_chain() {
    let undisturbed = Fixture::new().left_after(&[2, 4, 6]);
    let expected = undisturbed.lines(names::DIGESTS);
    for operations in 0..30 {
        let fixture = Fixture::new();
        let opened = fixture.open(false).unwrap();
        fixture.save(&opened.directory, 2, true);
        let save = |step| {
            let save = Save { progress: progress(step), milestone: true };
            opened.directory.write_checkpoint(&save, &fixture.snapshot(step))
        };
        fault::after(Some(operations));
        let failed = save(4).is_err();
        fault::after(None);
        assert_eq!(failed, operations < 15, "{operations}");
        save(6).unwrap();
        assert_eq!(fixture.lines(names::DIGESTS), expected, "{operations} operations");
        drop(opened);
        assert_eq!(fixture.open(true).unwrap().checkpoint.unwrap().step, 6);
    }
}

#[test]
fn the_best_stays_and_is_found() {
    let fixture = Fixture::with(&["data.validation=0.5", "checkpoint.best=validation.accuracy"]);
    let opened = fixture.open(false).unwrap();
    let save = |step: u64, best: u64| {
        let best = Some(Best { step: best, value: 0.5 });
        let best = Some(Watch { metric: Metric::Accuracy, best, stale: 0 });
        let save = Save { progress: Progress { best, ..progress(step) }, milestone: true };
        opened.directory.write_checkpoint(&save, &fixture.snapshot(step)).unwrap();
    };
    assert!(open_best(&fixture.path()).unwrap_err().to_string().contains("no valid checkpoint"));
    for (step, best) in [(2, 2), (4, 2), (6, 2), (8, 2)] {
        save(step, best);
    }
    assert_eq!(fixture.entries(), ["checkpoint-2", "checkpoint-6", "checkpoint-8"]);
    assert_eq!(open_best(&fixture.path()).unwrap().step, 2);
    opened.directory.finish_best(2).unwrap();
    assert_eq!(open_best(&fixture.path()).unwrap().step, 2);
    fs::remove_file(fixture.path().join(names::BEST)).unwrap();
    save(10, 8);
    assert_eq!(fixture.entries(), ["checkpoint-10", "checkpoint-8"]);
    assert_eq!(open_best(&fixture.path()).unwrap().step, 8);
    // A copy of what has changed is no best model.
    let path = fixture.checkpoint(8).join(names::MODEL);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(opened.directory.finish_best(8), Err(StoreError::Damaged { .. })));
    assert!(!fixture.path().join(names::BEST).exists());
    let error = open_best(&fixture.checkpoint(10)).unwrap_err();
    assert!(matches!(error, StoreError::NoBest { .. }) && error.exit_code() == 78);
}
