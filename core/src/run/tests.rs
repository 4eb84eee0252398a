//! What the run file may say, and the text of every error.

mod layers;

use super::spec::*;
use super::*;

const LEAST: &str = "[data]\ntrain = \"a.csv\"\ntarget = \"label\"\n[model]\nloss = \"cross_entropy\"\nlayers = [{ linear = 10 }]\n";

fn least() -> Run {
    parse(LEAST, &[]).unwrap()
}

fn with(overrides: &[&str]) -> Result<Run, Problem> {
    parse(LEAST, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn problem(text: &str) -> String {
    parse(text, &[]).unwrap_err().to_string()
}

/// The error of the least run file with one line more; that line is number 7.
fn added(lines: &str) -> String {
    problem(&format!("{LEAST}{lines}\n"))
}

#[test]
fn defaults() {
    let expected = Run {
        name: "run".into(),
        seed: 0,
        data: Data {
            train: Source::File("a.csv".into()),
            validation: Validation::None,
            target: Some("label".into()),
            target_scale: TargetScale::None,
            weight: None,
            features: None,
            columns: Default::default(),
            reading: Reading { format: None, header: true, missing_values: vec![String::new()] },
            on_bad_row: OnBadRow::Stop,
            in_memory: 256 << 20,
            shuffle_rows: 16_384,
        },
        model: Model {
            loss: Loss::CrossEntropy,
            layers: vec![Layer::Linear { outputs: 10, bias: true, init: Init::Torch }],
        },
        train: Train {
            epochs: 10,
            batch_size: 128,
            optimizer: Optimizer::Adam(Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }),
            schedule: Schedule { warmup_steps: 0, shape: Shape::Constant },
            clip_norm: None,
            evaluate_every: None,
            early_stopping: None,
            class_weights: None,
            on_nonfinite: OnNonfinite::Stop,
            loss_spike: None,
        },
        cluster: Cluster {
            shards: 8,
            wire: Wire::F32,
            kernel: default_kernel().into(),
            numerics: Numerics::Strict,
            heartbeat_ms: 1000,
            min_workers: 1,
            audit: 0.0,
        },
        checkpoint: Checkpoint { every_steps: 200, every_seconds: None, keep: 3, best: None },
    };
    assert_eq!(least(), expected);
}

#[test]
fn everything_set() {
    let text = r#"
name = "digits-2.b"
seed = 18446744073709551615
[data]
train = { images = "i.gz", labels = "l.gz" }
validation = { images = "ti.gz", labels = "tl.gz" }
in_memory = "1 GiB"
shuffle_rows = 100
[model]
loss = { huber = { delta = 2 } }
layers = ["flatten", { linear = { outputs = 3, bias = false, init = "he" } }, "gelu", { dropout = 0 },
          "leaky_relu", { leaky_relu = 0.2 }, "sigmoid", "tanh", "relu", { linear = 1 }, { conv2d = 4 },
          { conv2d = { channels = 5, kernel = 7, stride = 2, bias = false, init = "he" } }, { max_pool = 2 },
          { avg_pool = { kernel = 3, stride = 2, padding = 1 } }, "global_avg_pool", "layer_norm",
          { layer_norm = { eps = 1e-6 } }, "batch_norm", { batch_norm = {} },
          { batch_norm = { eps = 1e-3, momentum = 1, affine = false } }, { residual = ["relu", { residual = [{ conv2d = 5 }] }] }]
[train]
epochs = 1
batch_size = 6
optimizer = { sgd = { momentum = 0.9, nesterov = true } }
schedule = { step = { every = 100, warmup_steps = 5 } }
clip_norm = 1
evaluate_every = 7
[cluster]
shards = 6
wire = "bf16"
kernel = "SkylakeX"
numerics = "relaxed"
heartbeat_ms = 50
[checkpoint]
every_steps = 1
keep = 1
"#;
    let run = parse(text, &[]).unwrap();
    assert_eq!(run.seed, u64::MAX);
    assert_eq!(run.data.in_memory, 1 << 30);
    assert_eq!(run.model.loss, Loss::Huber { delta: 2.0 });
    assert_eq!(run.model.layers[1], Layer::Linear { outputs: 3, bias: false, init: Init::He });
    assert_eq!(run.model.layers[4], Layer::Activation(Activation::LeakyRelu { slope: 0.01 }));
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    let conv = |channels, window, bias, init| Layer::Conv2d { channels, window, bias, init };
    let inner = conv(5, window(3, 1, 1), true, Init::Torch);
    assert_eq!(
        run.model.layers[10..],
        [
            conv(4, window(3, 1, 1), true, Init::Torch),
            conv(5, window(7, 2, 3), false, Init::He),
            Layer::MaxPool(window(2, 2, 0)),
            Layer::AvgPool(window(3, 2, 1)),
            Layer::GlobalAvgPool,
            Layer::LayerNorm { eps: 1e-5 },
            Layer::LayerNorm { eps: 1e-6 },
            Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: true },
            Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: true },
            Layer::BatchNorm { eps: 1e-3, momentum: 1.0, affine: false },
            Layer::Residual(vec![Layer::Activation(Activation::Relu), Layer::Residual(vec![inner])]),
        ]
    );
    assert_eq!(
        run.train.optimizer,
        Optimizer::Sgd { lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 0.0 }
    );
    assert_eq!(
        run.train.schedule,
        Schedule { warmup_steps: 5, shape: Shape::Step { every: 100, factor: 0.1 } }
    );
    assert_eq!(run.train.clip_norm, Some(1.0));
    assert_eq!(run.cluster.wire, Wire::Bf16);
    assert_eq!(parse(&to_toml(&run), &[]).unwrap(), run);
}

#[test]
fn the_written_file() {
    let text = to_toml(&least());
    let expected = r#"name = "run"
seed = 0

[data]
train = "a.csv"
# validation is not set: there are no validation rows
target = "label"
target_scale = "none"
# weight is not set: every row weighs 1
# features is not set: every column but the target
# columns is not set: what each column is follows from its values
# format is not set: by extension
header = true
missing_values = [""]
on_bad_row = "stop"
in_memory = 268435456
shuffle_rows = 16384

[model]
loss = "cross_entropy"
layers = [
    { linear = { outputs = 10, bias = true, init = "torch" } },
]

[train]
epochs = 10
batch_size = 128
optimizer = { adam = { lr = 0.001, betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.0 } }
schedule = { constant = { warmup_steps = 0 } }
# clip_norm is not set: gradients are not clipped
# evaluate_every is not set: at the end of every epoch
# early_stopping is not set: all epochs are trained
# class_weights is not set: every class weighs 1
on_nonfinite = "stop"
# loss_spike is not set: no loss is too high

[cluster]
shards = 8
wire = "f32"
kernel = "KERNEL"
numerics = "strict"
heartbeat_ms = 1000
min_workers = 1
audit = 0.0

[checkpoint]
every_steps = 200
# every_seconds is not set: there are none by time
keep = 3
# best is not set: no one is best
"#;
    assert_eq!(text, expected.replace("KERNEL", default_kernel()));
}

#[test]
fn overrides() {
    let run = with(&[
        "train.epochs=5",
        "name = digits",
        "train.optimizer={ adamw = { lr = 0.1 } }",
        "train.optimizer.adamw.eps=1e-6",
        "model.layers.0.linear=64",
        "data.features=[\"x\"]",
        "seed=7",
        "seed=8",
    ])
    .unwrap();
    assert_eq!((run.train.epochs, run.seed, run.name.as_str()), (5, 8, "digits"));
    let adam = Adam { lr: 0.1, betas: (0.9, 0.999), eps: 1e-6, weight_decay: 0.01 };
    assert_eq!(run.train.optimizer, Optimizer::AdamW(adam));
    assert_eq!(run.model.layers, [Layer::Linear { outputs: 64, bias: true, init: Init::Torch }]);
    let error = |text| with(&[text]).unwrap_err().to_string();
    assert_eq!(error("train.epochs"), "--set \"train.epochs\": expected key=value, such as train.epochs=5");
    assert_eq!(error("a..b=1"), "--set \"a..b=1\": expected key=value, such as train.epochs=5");
    assert_eq!(
        error("train.epochs=five"),
        "--set train.epochs: found the text \"five\", expected a whole number, 1 or more"
    );
    assert_eq!(error("train.epoch=5"), "--set train.epoch: unknown key; did you mean \"epochs\"?");
    assert_eq!(
        error("data.train.images=x"),
        "--set data.train.images: cannot be set: data.train is the text \"a.csv\""
    );
    assert_eq!(
        error("model.layers.3=relu"),
        "--set model.layers.3: cannot be set: model.layers is a list of 1, and \"3\" is not one of them"
    );
    // A value that breaks out of its line is text, not two keys.
    assert!(error("seed=1\ntrain.epochs=9").starts_with("--set seed: found the text"));
}

#[test]
fn keys_that_are_unknown_or_missing() {
    assert_eq!(added("[trian]"), "line 7, trian: unknown key; did you mean \"train\"?");
    assert_eq!(
        added("[train]\nepochs = 3\nbatchsize = 128"),
        "line 9, train.batchsize: unknown key; did you mean \"batch_size\"?"
    );
    assert_eq!(
        added("[checkpoint]\ncolour = 1"),
        "line 8, checkpoint.colour: unknown key; expected one of every_steps, every_seconds, keep, best"
    );
    assert_eq!(
        added("[train]\nschedule = { cosine = { every = 3 } }"),
        "line 8, train.schedule.cosine.every: unknown key; expected one of warmup_steps, end"
    );
    assert_eq!(
        problem("[model]\nloss = \"hinge\"\nlayers = [{ linear = 1 }]"),
        "data.train: missing; expected a file such as \"train.csv\", or { images = \"…\", labels = \"…\" }"
    );
    assert_eq!(
        problem(&LEAST.replace("target", "#")),
        "line 1, data.target: missing; expected the column to predict, such as \"label\""
    );
    assert_eq!(
        problem(&LEAST.replace("layers", "#")),
        "line 4, model.layers: missing; expected a list of layers, such as \
         [{ linear = 64 }, \"relu\", { linear = 10 }]"
    );
    assert_eq!(
        added("[train]\nschedule = \"step\""),
        "line 8, train.schedule.every: missing; expected the steps between two falls"
    );
}

#[test]
fn values_that_are_wrong() {
    assert_eq!(
        problem("a = \n"),
        "line 1, this is not TOML: string values must be quoted, expected literal string"
    );
    assert_eq!(
        added("[train]\nepochs = 0"),
        "line 8, train.epochs: found 0, expected a whole number, 1 or more"
    );
    assert_eq!(
        added("[train]\nepochs = 1.5"),
        "line 8, train.epochs: found 1.5, expected a whole number, 1 or more"
    );
    assert_eq!(
        added("[train]\nbatch_size = 4"),
        "line 8, train.batch_size: found 4, but cluster.shards is 8 and every shard takes at least one row \
         of each step; expected 8 or more, or fewer shards"
    );
    assert_eq!(
        added("[cluster]\nshards = 200"),
        "train.batch_size: found 128, but cluster.shards is 200 and every shard takes at least one row \
         of each step; expected 200 or more, or fewer shards"
    );
    for shards in ["0", "4097", "-1"] {
        assert_eq!(
            added(&format!("[cluster]\nshards = {shards}")),
            format!("line 8, cluster.shards: found {shards}, expected a whole number from 1 to 4096")
        );
    }
    assert_eq!(
        problem(&format!("seed = -1\n{LEAST}")),
        "line 1, seed: found -1, expected a whole number, 0 or more"
    );
    for name in ["a/b", "", "..", "é"] {
        assert_eq!(
            problem(&format!("name = \"{name}\"\n{LEAST}")),
            format!(
                "line 1, name: found the text \"{name}\", expected 1 to 100 letters, digits, -, _ and ., \
                 not starting with ."
            )
        );
    }
    assert_eq!(
        added("[cluster]\nwire = \"bf17\""),
        "line 8, cluster.wire: found \"bf17\"; did you mean \"bf16\"?"
    );
    assert_eq!(
        added("[cluster]\nkernel = \"a b\""),
        "line 8, cluster.kernel: found the text \"a b\", expected a kernel of OpenBLAS, such as \"Haswell\" \
         or \"SkylakeX\""
    );
    assert_eq!(added("cluster = 3"), "line 7, model.cluster: unknown key; expected one of loss, layers");
    assert_eq!(
        problem(&format!("cluster = 3\n{LEAST}")),
        "line 1, cluster: found 3, expected a table of shards, wire, kernel, numerics, heartbeat_ms, min_workers, audit"
    );
}

#[test]
fn training_values_that_are_wrong() {
    let train = |line: &str| added(&format!("[train]\n{line}"));
    for (lr, found) in [("-1e-3", "-0.001"), ("nan", "NaN"), ("inf", "inf"), ("true", "true")] {
        assert_eq!(
            train(&format!("optimizer = {{ sgd = {{ lr = {lr} }} }}")),
            format!("line 8, train.optimizer.sgd.lr: found {found}, expected a number, 0 or more")
        );
    }
    assert_eq!(
        train("optimizer = \"adamm\""),
        "line 8, train.optimizer: found \"adamm\"; did you mean \"adam\"?"
    );
    assert_eq!(
        train("optimizer = { sgd = { nesterov = true } }"),
        "line 8, train.optimizer.sgd.nesterov: found true, expected false, or a momentum above 0"
    );
    assert_eq!(
        train("optimizer = { adam = { betas = [0.9, 1] } }"),
        "line 8, train.optimizer.adam.betas.1: found 1, expected a number of 0 or more and below 1"
    );
    assert_eq!(
        train("optimizer = { adam = { betas = [0.9] } }"),
        "line 8, train.optimizer.adam.betas: found a list of 1, expected two numbers, such as [0.9, 0.999]"
    );
    assert_eq!(train("clip_norm = 0.0"), "line 8, train.clip_norm: found 0.0, expected a number above 0");
    assert_eq!(
        train("evaluate_every = 1979-05-27"),
        "line 8, train.evaluate_every: found the date 1979-05-27, expected a whole number, 1 or more"
    );
    assert_eq!(
        train("epochs = 99999999999999999999999999999999999999999999"),
        "line 8, train.epochs: found 99999999999999999999999999999999999999999999, expected a whole number, \
         1 or more"
    );
}

#[test]
fn data_that_is_wrong() {
    let data = |line: &str| problem(&format!("[data]\n{line}\n{}", &LEAST[7..]));
    let validation = "expected a share of the training rows between 0 and 1, a file such as \"test.csv\", or \
                      { images = \"…\", labels = \"…\" }";
    for share in ["0", "1.0", "-0.5", "true"] {
        assert_eq!(
            data(&format!("validation = {share}")),
            format!("line 2, data.validation: found {share}, {validation}")
        );
    }
    assert_eq!(
        data("validation = { images = \"x\" }"),
        "line 2, data.validation.labels: missing; expected an IDX file"
    );
    assert_eq!(
        data("in_memory = \"256 megs\""),
        "line 2, data.in_memory: found the text \"256 megs\", expected a number of bytes, or a size such as \
         \"256MiB\""
    );
    assert!(data("in_memory = \"99999999999TiB\"").starts_with("line 2, data.in_memory: found the text"));
    assert_eq!(
        data("features = [\"a\", \"label\"]"),
        "line 2, data.features.1: found the text \"label\", expected a column other than the target"
    );
    assert_eq!(
        data("features = [\"a\", \"a\"]"),
        "line 2, data.features.1: found the text \"a\", expected each column once"
    );
    assert_eq!(
        data("features = []"),
        "line 2, data.features: found a list of 0, expected at least one column"
    );
    assert_eq!(
        problem(&LEAST.replace("\"a.csv\"", "{ images = \"i\", labels = \"l\" }")),
        "line 3, data.target: found the text \"label\", expected nothing: images and labels have no columns"
    );
}

#[test]
fn what_a_resume_may_not_change() {
    let old = least();
    let cluster = ["cluster.heartbeat_ms=99", "cluster.min_workers=3", "cluster.audit=1"];
    let rest = ["name=other", "data.train=b.csv", "checkpoint.keep=9", "checkpoint.every_steps=1"];
    assert_eq!(differences(&old, &with(&[&cluster[..], &rest].concat()).unwrap()), []);
    let new = with(&["train.epochs=11", "seed=1", "data.validation=0.5", "train.clip_norm=1"]).unwrap();
    let expected = [
        ("seed", "0", "1"),
        ("data.validation", "not set", "0.5"),
        ("train.epochs", "10", "11"),
        ("train.clip_norm", "not set", "1.0"),
    ];
    assert_eq!(
        differences(&old, &new),
        expected.map(|(key, old, new)| (key.to_string(), old.to_string(), new.to_string()))
    );
    let [from, to] = ["a.csv", "b.csv"].map(|path| with(&[&format!("data.validation={path}")]).unwrap());
    assert_eq!(differences(&from, &to), []);
    assert_eq!(differences(&old, &from).len(), 1);
}

#[test]
fn numbers_may_be_scaled() {
    let scaled = with(&["model.loss=huber", "data.target_scale=standardize"]).unwrap();
    assert_eq!(scaled.data.target_scale, TargetScale::Standardize);
    let error = |sets: &[&str]| with(sets).unwrap_err().to_string();
    assert_eq!(
        error(&["data.target_scale=standardize"]),
        "--set data.target_scale: found the text \"standardize\", expected \"none\": cross_entropy learns a class, \
         which has no scale"
    );
    let error = error(&["model.loss=huber", "data.target_scale=standardise"]);
    assert_eq!(error, "--set data.target_scale: found \"standardise\"; did you mean \"standardize\"?");
}

#[test]
fn weights_of_classes() {
    let weights =
        |text: &str| with(&[&format!("train.class_weights={text}")]).map(|run| run.train.class_weights);
    assert_eq!(weights("balanced"), Ok(Some(ClassWeights::Balanced)));
    let of = [("no".to_owned(), 1.0), ("yes".to_owned(), 2.5)].into();
    assert_eq!(weights("{ yes = 2.5, no = 1 }"), Ok(Some(ClassWeights::Of(of))));
    let error = |text: &str| weights(text).unwrap_err().to_string();
    let expected = "expected \"balanced\", or weights by label, such as { yes = 2.0, no = 1.0 }";
    for (text, found) in [("balance", "the text \"balance\""), ("{}", "an empty table"), ("3", "3")] {
        assert_eq!(error(text), format!("--set train.class_weights: found {found}, {expected}"));
    }
    assert_eq!(
        error("{ yes = -1 }"),
        "--set train.class_weights.yes: found -1, expected a weight: a number from 0 to 1e6"
    );
    assert_eq!(
        with(&["model.loss=mean_squared_error", "train.class_weights=balanced"]).unwrap_err().to_string(),
        "--set train.class_weights: found the text \"balanced\", expected nothing: mean_squared_error learns a \
         number, which has no classes"
    );
    let error = |sets: &[&str]| with(sets).unwrap_err().to_string();
    assert!(error(&["data.weight=label"]).ends_with("expected a column other than the target"));
    let other = "expected a column other than the weight";
    assert!(error(&["data.weight=w", "data.features=[\"a\", \"w\"]"]).ends_with(other));
    assert!(error(&["data.weight=w", "data.columns.w=numeric"]).ends_with(other));
}
