//! Any run survives being written and read.

use proptest::prelude::*;

use super::spec::*;
use super::*;

fn layers() -> impl Strategy<Value = Layer> {
    let init = prop_oneof![Just(Init::Torch), Just(Init::He), Just(Init::Xavier), Just(Init::Zeros)];
    let activation = prop_oneof![
        Just(Activation::Sigmoid),
        Just(Activation::Tanh),
        Just(Activation::Relu),
        Just(Activation::Gelu),
        (-2.0..2.0).prop_map(|slope| Activation::LeakyRelu { slope }),
    ];
    let pool = || {
        (2usize..99, 1usize..99, 0usize..2).prop_map(|(kernel, stride, padding)| Window {
            kernel,
            stride,
            padding,
        })
    };
    let window = (1usize..99, 1usize..99, 0usize..99).prop_map(|(kernel, stride, padding)| Window {
        kernel,
        stride,
        padding,
    });
    let parameters = (1usize..1 << 20, any::<bool>(), init);
    let plain = prop_oneof![
        parameters.clone().prop_map(|(outputs, bias, init)| Layer::Linear { outputs, bias, init }),
        (parameters, window).prop_map(|((channels, bias, init), window)| Layer::Conv2d {
            channels,
            window,
            bias,
            init
        }),
        pool().prop_map(Layer::MaxPool),
        pool().prop_map(Layer::AvgPool),
        Just(Layer::GlobalAvgPool),
        (1e-12..1.0).prop_map(|eps| Layer::LayerNorm { eps }),
        (1e-12..1.0, 1e-9..1.0, any::<bool>()).prop_map(|(eps, momentum, affine)| Layer::BatchNorm {
            eps,
            momentum,
            affine
        }),
        Just(Layer::Flatten),
        (0.0..1.0).prop_map(Layer::Dropout),
        activation.prop_map(Layer::Activation),
    ];
    plain.prop_recursive(3, 12, 3, |inner| proptest::collection::vec(inner, 1..4).prop_map(Layer::Residual))
}

fn optimizers() -> impl Strategy<Value = Optimizer> {
    let adam = (0.0..1.0, (0.0..1.0, 0.0..1.0), 1e-300..1.0, 0.0..1e300)
        .prop_map(|(lr, betas, eps, weight_decay)| Adam { lr, betas, eps, weight_decay });
    prop_oneof![
        adam.clone().prop_map(Optimizer::Adam),
        adam.prop_map(Optimizer::AdamW),
        (0.0..9.0, 1e-9..1.0, any::<bool>(), 0.0..1.0).prop_map(|(lr, momentum, nesterov, weight_decay)| {
            Optimizer::Sgd { lr, momentum, nesterov, weight_decay }
        }),
    ]
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let shape = prop_oneof![
        Just(Shape::Constant),
        (1u64.., 1e-9..2.0).prop_map(|(every, factor)| Shape::Step { every, factor }),
        (1e-9..2.0).prop_map(|gamma| Shape::Exponential { gamma }),
        (0.0..2.0).prop_map(|end| Shape::Linear { end }),
        (0.0..2.0).prop_map(|end| Shape::Cosine { end }),
    ];
    (any::<u64>(), shape).prop_map(|(warmup_steps, shape)| Schedule { warmup_steps, shape })
}

fn metrics() -> impl Strategy<Value = crate::metrics::Metric> {
    proptest::sample::select(crate::metrics::Metric::NAMES.map(|(_, metric)| metric).to_vec())
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::CrossEntropy),
        Just(Loss::BinaryCrossEntropy),
        Just(Loss::MeanSquaredError),
        Just(Loss::MeanAbsoluteError),
        (1e-9..1e9).prop_map(|delta| Loss::Huber { delta }),
        Just(Loss::Perceptron),
        Just(Loss::Hinge),
    ]
}

fn columns() -> impl Strategy<Value = Column> {
    let scale =
        prop_oneof![Just(Scale::Standardize), Just(Scale::MinMax), Just(Scale::Log), Just(Scale::None)];
    let fill = prop_oneof![
        Just(Fill::Stop),
        Just(Fill::Mean),
        Just(Fill::Median),
        (-1e300..1e300).prop_map(Fill::Constant)
    ];
    let parts = prop_oneof![
        Just(None),
        Just(Some(vec![Part::Day])),
        Just(Some(vec![Part::Year, Part::Elapsed, Part::Week]))
    ];
    prop_oneof![
        Just(Column::Ignore),
        Just(Column::Boolean),
        (1u64..1000, proptest::option::of(1u64..=4096))
            .prop_map(|(most, embedding)| Column::Categorical { most, embedding }),
        (scale, fill, any::<bool>()).prop_map(|(scale, missing, indicator)| Column::Numeric {
            scale,
            missing,
            indicator
        }),
        (parts, proptest::option::of(any::<String>()))
            .prop_map(|(parts, format)| Column::DateTime { parts, format }),
    ]
}

fn datas() -> impl Strategy<Value = Data> {
    // Any text at all, among it quotes, backslashes and line ends.
    let path = || any::<String>().prop_map(|text| format!("{text}.csv"));
    let source = || {
        prop_oneof![
            path().prop_map(Source::File),
            (path(), path()).prop_map(|(images, labels)| Source::Idx { images, labels }),
        ]
    };
    let validation = prop_oneof![
        Just(Validation::None),
        (1e-9..1.0).prop_map(Validation::Fraction),
        source().prop_map(Validation::Source),
    ];
    let features = proptest::option::of(proptest::collection::btree_set("[a-z\"'\\\\ ]{1,9}", 1..4));
    let columns = proptest::collection::btree_map(any::<String>(), columns(), 0..4);
    let formats = prop_oneof![Just(None), Just(Some(Format::Csv)), Just(Some(Format::JsonLines))];
    let reading = (formats, any::<bool>(), proptest::collection::vec(any::<String>(), 0..3))
        .prop_map(|(format, header, missing_values)| Reading { format, header, missing_values });
    (source(), validation, features, columns, reading, any::<u64>(), 1u64..).prop_map(
        |(train, validation, features, columns, reading, in_memory, shuffle_rows)| {
            let table = matches!(train, Source::File(_));
            Data {
                train,
                validation,
                target: table.then(|| "the\ttarget\"".into()),
                target_scale: TargetScale::None,
                weight: (table && reading.header).then(|| "the weight".into()),
                features: features.filter(|_| table).map(|set| set.into_iter().collect()),
                columns: if table { columns } else { Default::default() },
                on_bad_row: if reading.header { OnBadRow::Stop } else { OnBadRow::Skip },
                reading,
                in_memory,
                shuffle_rows,
            }
        },
    )
}

fn class_weights() -> impl Strategy<Value = Option<ClassWeights>> {
    let of = proptest::collection::btree_map(any::<String>(), 0.0..1e6, 1..4);
    proptest::option::of(prop_oneof![Just(ClassWeights::Balanced), of.prop_map(ClassWeights::Of)])
}

fn runs() -> impl Strategy<Value = Run> {
    let train = (
        1u64..,
        4096u64..,
        optimizers(),
        schedules(),
        proptest::option::of(1e-9..1e9),
        proptest::option::of(1u64..),
        proptest::option::of((1u64.., metrics(), 0.0..9.0)),
        (any::<bool>(), class_weights()),
        proptest::option::of((1.001..99.0, 1u64..10_001)),
    )
        .prop_map(
            |(
                epochs,
                batch_size,
                optimizer,
                schedule,
                clip_norm,
                evaluate_every,
                early_stopping,
                (skip, class_weights),
                spike,
            )| {
                let early_stopping = early_stopping.map(|(patience, metric, min_delta)| EarlyStopping {
                    patience,
                    metric,
                    min_delta,
                });
                let on_nonfinite = if skip { OnNonfinite::Skip } else { OnNonfinite::Stop };
                Train {
                    epochs,
                    batch_size,
                    optimizer,
                    schedule,
                    clip_norm,
                    evaluate_every,
                    early_stopping,
                    class_weights,
                    on_nonfinite,
                    loss_spike: spike.map(|(factor, window)| LossSpike { factor, window }),
                }
            },
        );
    let cluster = (1u32..4097, any::<bool>(), any::<bool>(), 10u64..3_600_000, 1u32..4097, 0.0..=1.0)
        .prop_map(|(shards, a, b, heartbeat_ms, min_workers, audit)| Cluster {
            shards,
            wire: if a { Wire::F32 } else { Wire::Bf16 },
            kernel: if b { "Haswell".into() } else { "Zen".into() },
            numerics: if b { Numerics::Strict } else { Numerics::Relaxed },
            heartbeat_ms,
            min_workers,
            audit,
        });
    let model = (losses(), proptest::collection::vec(layers(), 1..6))
        .prop_map(|(loss, layers)| Model { loss, layers });
    let (seconds, best) = (proptest::option::of(1u64..), proptest::option::of(metrics()));
    let checkpoint =
        (1u64.., seconds, 1usize..1_000_000, best).prop_map(|(every_steps, every_seconds, keep, best)| {
            Checkpoint { every_steps, every_seconds, keep, best }
        });
    ("[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,99}", any::<u64>(), datas(), model, train, cluster, checkpoint).prop_map(
        |(name, seed, mut data, model, mut train, cluster, mut checkpoint)| {
            if !model.loss.takes_classes() {
                data.target_scale = TargetScale::Standardize;
                train.class_weights = None;
            }
            if data.validation == Validation::None {
                (train.early_stopping, checkpoint.best) = (None, None);
            }
            Run { name, seed, data, model, train, cluster, checkpoint }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(run in runs()) {
        let text = to_toml(&run);
        let read = parse(&text, &[]);
        prop_assert_eq!(read.as_ref(), Ok(&run), "{}", text);
        prop_assert_eq!(differences(&run, &run), []);
        prop_assert_eq!(meaning(read.as_ref().unwrap()), meaning(&run));
    }

    #[test]
    fn no_text_panics(text in any::<String>(), key in "[a-z.=\\[\\]{}\"0-9\n]{0,40}") {
        let _ = parse(&text, &[]);
        let _ = parse("[data]\ntrain = \"a.csv\"", &[text, key]);
    }
}
