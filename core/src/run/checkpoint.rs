//! `[checkpoint]`

use super::field::{Field, Section};
use super::problem::{Problem, Wrong};
use super::spec::Checkpoint;
use crate::metrics::Metric;

pub(super) fn read(root: &Section, validates: bool) -> Result<Checkpoint, Problem> {
    let section = root.section("checkpoint", &["every_steps", "every_seconds", "keep", "best"])?;
    Ok(Checkpoint {
        every_steps: section.whole("every_steps", 200, 1, u64::MAX)?,
        every_seconds: section.get("every_seconds").map(|field| field.whole(1, u64::MAX)).transpose()?,
        keep: usize::try_from(section.whole("keep", 3, 1, 1_000_000)?).unwrap_or(usize::MAX),
        best: section.get("best").map(|field| metric(&field, validates)).transpose()?,
    })
}

/// A metric of the validation rows, which must be there.
pub(super) fn metric(field: &Field, validates: bool) -> Result<Metric, Problem> {
    let metric = field.choice(&Metric::NAMES)?;
    if validates { Ok(metric) } else { Err(field.wrong(Wrong::NoValidation)) }
}

#[cfg(test)]
mod tests {
    use super::super::spec::{EarlyStopping, Run};
    use super::super::{differences, meaning, parse, to_toml};
    use super::*;

    const RUN: &str = r#"
data = { train = "a.csv", target = "y", validation = 0.1 }
model = { loss = "cross_entropy", layers = [{ linear = 2 }] }
"#;

    fn with(sets: &[&str]) -> Result<Run, String> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        parse(RUN, &sets).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_best_and_the_last() {
        let run = with(&[
            "checkpoint.best=validation.accuracy",
            "checkpoint.every_seconds=600",
            "train.early_stopping={ patience = 3 }",
        ])
        .unwrap();
        assert_eq!((run.checkpoint.best, run.checkpoint.every_seconds), (Some(Metric::Accuracy), Some(600)));
        let expected = EarlyStopping { patience: 3, metric: Metric::Loss, min_delta: 0.0 };
        assert_eq!(run.train.early_stopping, Some(expected));
        assert_eq!(parse(&to_toml(&run), &[]).unwrap(), run);
    }

    #[test]
    fn what_cannot_be_compared() {
        let wrong = |set: &str| with(&[set]).unwrap_err();
        let error = wrong("checkpoint.best=accuracy");
        assert!(
            error.ends_with(
                "found \"accuracy\"; expected one of validation.loss, validation.accuracy, \
            validation.rmse, validation.mae, validation.r2"
            ),
            "{error}"
        );
        assert_eq!(
            wrong("train.early_stopping={ metric = \"validation.loss\" }"),
            "--set train.early_stopping.patience: missing; expected how many evaluations in a row may bring \
             nothing better"
        );
        for set in ["checkpoint.best=validation.loss", "train.early_stopping={ patience = 1 }"] {
            let none = RUN.replace(", validation = 0.1", "");
            let error = parse(&none, &[set.into()]).unwrap_err().to_string();
            assert!(error.contains("no validation rows") && error.contains("data.validation"), "{error}");
        }
    }

    /// A resume may change when checkpoints are written and which one is best, never when a run ends.
    #[test]
    fn the_meaning_is_what_a_resume_may_not_change() {
        let run = with(&[]).unwrap();
        let free =
            ["checkpoint.best=validation.loss", "checkpoint.every_seconds=9", "checkpoint.keep=1", "name=b"];
        let changed = with(&free).unwrap();
        assert_eq!(differences(&run, &changed), []);
        assert_eq!(meaning(&run), meaning(&changed));
        let other = with(&["train.early_stopping={ patience = 1 }"]).unwrap();
        assert_eq!(differences(&run, &other).len(), 1);
        assert_ne!(meaning(&run), meaning(&other));
        let sample = meaning(&run);
        assert!(sample.starts_with("seed = 0\ndata.validation = 0.1\ndata.target = \"y\"\n"), "{sample}");
        assert!(!sample.contains("a.csv") && !sample.contains("checkpoint"), "{sample}");
    }
}
