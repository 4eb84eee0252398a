//! `lockstep evaluate`: metrics of a model on data.

use lockstep_coordinator::store::kind_of;
use lockstep_core::digest::Digest;
use lockstep_core::evaluation::class_of;
use lockstep_core::metrics::{Class, Confusion, Report, binary};
use lockstep_core::model::Labels;
use lockstep_core::ops::loss::probabilities;
use lockstep_core::run::spec::Loss;
use lockstep_data::TargetUse;
use serde::Serialize;

use crate::failure::Failure;
use crate::print;
use crate::rows::{Places, Trained};

/// Arguments of `lockstep evaluate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints a model's metrics.
///
/// # Errors
/// Bad model or data (78).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let trained = arguments.places.open(TargetUse::Required)?;
    let evaluated = evaluated(&trained)?;
    if arguments.json {
        print::json(&evaluated)
    } else {
        print::text(&evaluated.text(&arguments.places.data))
    }
}

/// What a model gives on rows.
#[derive(Debug, Serialize)]
struct Evaluated {
    step: u64,
    digest: Digest,
    rows: u64,
    #[serde(flatten)]
    report: Report,
    /// Of two classes, the second counts as positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    roc_auc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_loss: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Labelled>,
    /// A row for each true class, in it a count for each predicted one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Serialize)]
struct Labelled {
    label: String,
    #[serde(flatten)]
    class: Class,
}

fn evaluated(trained: &Trained) -> Result<Evaluated, Failure> {
    let file = &trained.file;
    let (loss, width) = (file.model.loss(), file.model.outputs().max(1));
    let labels = file.encoder.labels().unwrap_or_default();
    let mut confusion = Confusion::new(labels.len());
    let (mut scores, mut positive) = (Vec::new(), Vec::new());
    let sums = trained.each_piece(|workspace| {
        let Labels::Classes(classes) = workspace.labels() else { return Ok(()) };
        for (row, class) in workspace.output().chunks_exact(width).zip(classes) {
            confusion.add(*class as usize, class_of(loss, row) as usize);
        }
        if labels.len() == 2 {
            let mut shares = vec![0.0; workspace.output().len()];
            probabilities(loss, workspace.output(), width, &mut shares);
            // The second class's, of two outputs or of the only one.
            let last = shares.chunks_exact(width).filter_map(|row| row.last());
            scores.extend(last.map(|score| f64::from(*score)));
            positive.extend(classes.iter().map(|class| *class == 1));
        }
        Ok(())
    })?;
    let report = sums
        .report(kind_of(&file.encoder))
        .ok_or_else(|| Failure::bad("the data have no rows: there is nothing to evaluate"))?;
    let of_probabilities = matches!(loss, Loss::CrossEntropy | Loss::BinaryCrossEntropy);
    let classes = confusion.classes().into_iter().zip(labels);
    Ok(Evaluated {
        step: file.step,
        digest: file.digest,
        rows: sums.rows,
        report,
        roc_auc: binary::roc_auc(&scores, &positive),
        log_loss: of_probabilities.then(|| binary::log_loss(&scores, &positive)).flatten(),
        classes: classes.map(|(class, label)| Labelled { label: label.clone(), class }).collect(),
        confusion: confusion.rows().map(<[u64]>::to_vec).collect(),
    })
}

impl Evaluated {
    fn text(&self, data: &str) -> String {
        let Report { loss, accuracy, rmse, mae, r2 } = self.report;
        let numbers = [
            ("loss", Some(loss)),
            ("accuracy", accuracy),
            ("rmse", rmse),
            ("mae", mae),
            ("r2", r2),
            ("roc auc", self.roc_auc),
            ("log loss", self.log_loss),
        ];
        let there = numbers.iter().filter_map(|(name, value)| Some((*name, format!("{:.6}", (*value)?))));
        let mut text = format!(
            "{data}: {} rows, the model of step {}\n\n{}",
            print::count(self.rows),
            self.step,
            print::list(&there.collect::<Vec<_>>())
        );
        if !self.classes.is_empty() {
            text += &format!("\n{}", print::table(&self.class_table()));
            text += &format!("\n{}", self.confusion_text());
        }
        text
    }

    fn class_table(&self) -> Vec<Vec<String>> {
        let header = ["class", "precision", "recall", "f1", "rows"].map(String::from).to_vec();
        let row = |Labelled { label, class }: &Labelled| {
            let shares = [class.precision, class.recall, class.f1].map(|share| format!("{share:.4}"));
            let mut row = vec![label.clone()];
            row.extend(shares);
            row.push(print::count(class.rows));
            row
        };
        std::iter::once(header).chain(self.classes.iter().map(row)).collect()
    }

    fn confusion_text(&self) -> String {
        const MOST: usize = 25;
        if self.classes.len() > MOST {
            return format!("The confusion matrix of {} classes: --json has it.\n", self.classes.len());
        }
        let labels = || self.classes.iter().map(|class| class.label.clone());
        let header = std::iter::once("true \\ predicted".to_owned()).chain(labels()).collect();
        let row = |(label, counts): (String, &Vec<u64>)| {
            std::iter::once(label).chain(counts.iter().map(ToString::to_string)).collect()
        };
        let rows: Vec<Vec<String>> =
            std::iter::once(header).chain(labels().zip(&self.confusion).map(row)).collect();
        print::table(&rows)
    }
}
