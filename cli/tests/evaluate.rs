//! `lockstep evaluate`, compared with what its metrics mean on `lockstep predict`'s output.

#![allow(clippy::unwrap_used, reason = "it is a test that fails")]

mod common;

use common::{Trained, column, example, json, records, refused, stdout};

#[test]
fn the_digits_are_those_of_the_run() {
    let run = Trained::example("digits.toml", &["train.epochs=4"]);
    let data = example("digits-test.csv");
    let found = json(&["evaluate", &run.path(), &data]);
    // Bit for bit: the same pieces in the same order.
    assert_eq!(found["loss"].as_f64(), Some(run.sums.loss / run.sums.weight));
    assert_eq!(found["accuracy"].as_f64(), Some(run.sums.correct as f64 / 360.0));
    assert_eq!((found["rows"].as_u64(), found["step"].as_u64()), (Some(360), Some(run.steps)));
    assert!(found["accuracy"].as_f64() > Some(0.9) && found.get("roc_auc").is_none());

    let predicted = records(&stdout(&["predict", &run.path(), &data, "--out", "-"]));
    let predictions = column(&predicted, "prediction");
    let truth = column(&records(&std::fs::read_to_string(&data).unwrap()), "label");
    let of = |truth_is: Option<&str>, taken_for: Option<&str>| {
        let pairs = truth.iter().zip(&predictions);
        let fits = |found: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| wanted == found);
        pairs.filter(|(truth, predicted)| fits(truth, truth_is) && fits(predicted, taken_for)).count()
    };
    for class in 0..10 {
        let label = class.to_string();
        let label = Some(label.as_str());
        let entry = &found["classes"][class];
        assert_eq!(entry["label"].as_str(), label);
        assert_eq!(entry["rows"].as_u64(), Some(of(label, None) as u64));
        let precision = of(label, label) as f64 / of(None, label) as f64;
        let recall = of(label, label) as f64 / of(label, None) as f64;
        assert_eq!((entry["precision"].as_f64(), entry["recall"].as_f64()), (Some(precision), Some(recall)));
        let f1 = 2.0 * precision * recall / (precision + recall);
        assert!((entry["f1"].as_f64().unwrap() - f1).abs() < 1e-12);
        for other in 0..10 {
            let count = of(label, Some(&other.to_string()));
            assert_eq!(found["confusion"][class][other].as_u64(), Some(count as u64));
        }
    }
    // The loss is the mean of -ln of the true class's probability.
    let losses = truth.iter().enumerate().map(|(row, label)| {
        let place = predicted[0].iter().position(|name| *name == format!("probability_{label}")).unwrap();
        -libm::log(predicted[row + 1][place].parse::<f64>().unwrap())
    });
    assert!((losses.sum::<f64>() / 360.0 - run.sums.loss / 360.0).abs() < 1e-5);

    let text = stdout(&["evaluate", &run.path(), &data]);
    assert!(text.contains(&format!("accuracy  {:.6}", found["accuracy"].as_f64().unwrap())), "{text}");
    assert!(text.contains("precision") && text.contains("true \\ predicted"), "{text}");
    // Wherever the model is.
    for model in ["model.safetensors", &format!("checkpoint-{}", run.steps)] {
        assert_eq!(json(&["evaluate", &format!("{}/{model}", run.path()), &data]), found);
    }
}

/// Running statistics are the model's, and an evaluation uses them and not the rows at hand.
#[test]
fn running_statistics_are_used() {
    let layers = r#"model.layers=["batch_norm", { linear = 24 }, "batch_norm", "relu", { linear = 10 }]"#;
    let run = Trained::example("digits.toml", &["train.epochs=6", layers]);
    let data = example("digits-test.csv");
    let found = json(&["evaluate", &run.path(), &data]);
    assert_eq!(found["loss"].as_f64(), Some(run.sums.loss / run.sums.weight));
    assert!(found["accuracy"].as_f64() > Some(0.8), "{found}");
    let predictions = |text: &str| {
        let data = run.write("some.csv", text);
        column(&records(&stdout(&["predict", &run.path(), &data, "--out", "-"])), "probability_3")
    };
    let all = std::fs::read_to_string(&data).unwrap();
    let first: String = all.lines().take(2).map(|line| format!("{line}\n")).collect();
    // A product of one row may differ in its last bits from the same row among others.
    let [alone, among] = [first, all].map(|rows| predictions(&rows)[0].parse::<f64>().unwrap());
    assert!((alone - among).abs() < 1e-6, "{alone} {among}");
}

#[test]
fn two_classes() {
    let data = example("breast-cancer-test.csv");
    for loss in ["binary_cross_entropy", "hinge"] {
        let set = format!("model.loss={loss}");
        let run = Trained::example("perceptron.toml", &[&set, "train.optimizer=adam", "train.epochs=3"]);
        let found = json(&["evaluate", &run.path(), &data]);
        assert_eq!(found["loss"].as_f64(), Some(run.sums.loss / run.sums.weight));
        let auc = found["roc_auc"].as_f64().unwrap();
        assert!((0.95..=1.0).contains(&auc), "{auc}");
        match found.get("log_loss") {
            // The loss itself, but for the rounding of the probabilities.
            Some(log_loss) => {
                assert_eq!(loss, "binary_cross_entropy");
                assert!((log_loss.as_f64().unwrap() - run.sums.loss / run.sums.weight).abs() < 1e-5);
            }
            None => assert_eq!(loss, "hinge"),
        }
    }
}

/// All metrics but the loss are in the target's own unit, whatever of it is learnt.
#[test]
fn numbers() {
    numbers_learnt_as("none");
    numbers_learnt_as("standardize");
}

fn numbers_learnt_as(scale: &str) {
    let folder = tempfile::tempdir().unwrap();
    let rows = |from: i32| {
        let rows = (from..from + 300).map(|i| {
            let (a, b) = (f64::from(i % 17), f64::from(i * i % 23));
            format!("{a},{},{b}\n", 3.0 * a - 0.5 * b + 2.0)
        });
        rows.fold("a,y,b\n".to_owned(), |text, row| text + &row)
    };
    std::fs::write(folder.path().join("train.csv"), rows(0)).unwrap();
    let text = r#"
        data = { train = "train.csv", target = "y" }
        model = { loss = "mean_squared_error", layers = [{ linear = 1 }] }
        train = { epochs = 40, batch_size = 20, optimizer = { sgd = { lr = 0.05 } } }
    "#;
    let run = Trained::new(text, &[&format!("data.target_scale={scale}")], folder.path());
    let data = run.write("test.csv", rows(1000));
    let found = json(&["evaluate", &run.path(), &data]);
    let predicted = column(&records(&stdout(&["predict", &run.path(), &data, "--out", "-"])), "prediction");
    let truth = column(&records(&rows(1000)), "y");
    let pairs: Vec<(f64, f64)> =
        predicted.iter().zip(&truth).map(|(y, t)| (y.parse().unwrap(), t.parse().unwrap())).collect();
    let mean = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(y, t)| of(*y, *t)).sum::<f64>() / 300.0;
    let squared = mean(&|y, t| (y - t) * (y - t));
    let center = mean(&|_, t| t);
    let r2 = 1.0 - squared / mean(&|_, t| (t - center) * (t - center));
    let learnt: Vec<f64> = column(&records(&rows(0)), "y").iter().map(|y| y.parse().unwrap()).collect();
    let center = learnt.iter().sum::<f64>() / 300.0;
    let variance = learnt.iter().map(|y| (y - center) * (y - center)).sum::<f64>() / 300.0;
    let loss = if scale == "none" { squared } else { squared / variance };
    let expected =
        [("loss", loss), ("rmse", squared.sqrt()), ("mae", mean(&|y, t| (y - t).abs())), ("r2", r2)];
    for (name, value) in expected {
        let found = found[name].as_f64().unwrap();
        assert!((found - value).abs() < 1e-6, "{name}: {found} {value}");
    }
    assert!(r2 > 0.999 && found.get("accuracy").is_none() && found.get("classes").is_none());
}

#[test]
fn what_does_not_fit_is_named() {
    let run = Trained::example("digits.toml", &["train.epochs=1"]);
    let good = std::fs::read_to_string(example("digits-test.csv")).unwrap();
    let error = refused(&["evaluate", &run.path(), &example("digits-tset.csv")]);
    assert!(error.contains("digits-tset.csv: no such file; did you mean \"digits-test.csv\"?"), "{error}");
    let other = run.write("other.csv", good.replacen("pixel_3_3", "pixel_x", 1));
    let error = refused(&["evaluate", &run.path(), &other]);
    assert!(error.contains("other.csv, column \"pixel_3_3\": there is no such column"), "{error}");
    let first = good.lines().nth(1).unwrap();
    let other = run.write("other.csv", good.replace(first, &(first[..first.len() - 1].to_owned() + "cat")));
    let error = refused(&["evaluate", &run.path(), &other]);
    assert!(error.contains("line 2, column \"label\": found \"cat\""), "{error}");
    let error = refused(&["evaluate", &other, &example("digits-test.csv")]);
    assert!(error.contains("other.csv: not a safetensors file"), "{error}");
    let error = refused(&["evaluate", &run.file("nothing"), &example("digits-test.csv")]);
    assert!(error.contains("nothing: there is no model here"), "{error}");
    assert_eq!(common::lockstep(&["evaluate", &run.path()]).0, 2);
}
