//! Bad run files and data: one clear message, exit code 78, before any worker starts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::Site;

const RUN: &str = r#"
name = "bad"

[data]
train = "train.csv"
target = "label"

[model]
loss = "cross_entropy"
layers = [{ linear = 5 }, "relu", { linear = 2 }]

[train]
epochs = 1
batch_size = 8
"#;

const TABLE: &str = "\
x,y,label
1,2,a
3,4,b
5,6,a
7,8,b
9,1,a
2,3,b
4,5,a
6,7,b
8,9,a
";

/// One thing that is wrong: the run file with a replacement, a table, and what the message says.
struct Case {
    replace: (&'static str, &'static str),
    files: &'static [(&'static str, &'static [u8])],
    says: &'static [&'static str],
}

const SAME: (&str, &str) = ("", "");

const CASES: &[Case] = &[
    Case {
        replace: ("train.csv", "trian.csv"),
        files: &[],
        says: &["trian.csv", "no such file", "did you mean", "\"train.csv\""],
    },
    Case {
        replace: ("batch_size", "batchsize"),
        files: &[],
        says: &["run.toml", "line 14", "train.batchsize", "unknown key", "did you mean", "batch_size"],
    },
    Case {
        replace: ("epochs = 1", "epochs = \"one\""),
        files: &[],
        says: &["run.toml", "line 13", "train.epochs", "found the text \"one\"", "expected a whole number"],
    },
    Case {
        replace: ("\"cross_entropy\"", "\"cross_entrop\""),
        files: &[],
        says: &["run.toml", "line 9", "model.loss", "cross_entrop", "did you mean", "cross_entropy"],
    },
    Case { replace: ("epochs = 1", "epochs = "), files: &[], says: &["run.toml", "line 13", "TOML"] },
    Case {
        replace: ("target = \"label\"", "target = \"lable\""),
        files: &[],
        says: &["train.csv", "\"lable\"", "no such column", "did you mean", "\"label\""],
    },
    Case {
        replace: ("target = \"label\"", "target = \"label\"\nvalidation = \"test.csv\""),
        files: &[("test.csv", b"x,y,label\n1,2,a\n1,2,c\n")],
        says: &["test.csv", "line 3", "\"label\"", "found \"c\"", "expected one of the classes", "a, b"],
    },
    Case {
        replace: SAME,
        files: &[("train.csv", b"x,y,label\n1,2,a\n1,NaN,b\n")],
        says: &["train.csv", "line 3", "\"y\"", "found \"NaN\"", "expected a number"],
    },
    Case {
        replace: SAME,
        files: &[("train.csv", b"x,y,label\n1,2,a\n1,b\n")],
        says: &["train.csv", "line 3", "found 2 fields", "expected 3"],
    },
    Case { replace: SAME, files: &[("train.csv", b"")], says: &["train.csv", "empty", "expected a header"] },
    Case { replace: SAME, files: &[("train.csv", b"x,y,label\n")], says: &["train.csv", "no rows"] },
    Case {
        replace: ("linear = 2", "linear = 3"),
        files: &[],
        says: &["run.toml", "layers.2", "linear = 3", "3 outputs", "2 classes", "linear = 2"],
    },
    Case {
        replace: ("batch_size = 8", "batch_size = 7"),
        files: &[],
        says: &["run.toml", "train.batch_size", "7", "8", "shards"],
    },
    Case {
        replace: (
            "train = \"train.csv\"\ntarget = \"label\"",
            "train = { images = \"images\", labels = \"labels\" }",
        ),
        files: &[
            ("images", b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01"),
            ("labels", b"\0\0\x08\x01\0\0\0\x02\x01\x02"),
        ],
        says: &["images", "cut off", "found 12 bytes", "expected 16"],
    },
    Case {
        replace: (
            "train = \"train.csv\"\ntarget = \"label\"",
            "train = { images = \"images\", labels = \"labels\" }",
        ),
        files: &[
            ("images", b"\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            ("labels", b"\0\0\x08\x01\0\0\0\x02\x01\x02"),
        ],
        says: &["images", "4294967295 x 4294967295 x 4294967295"],
    },
    Case {
        replace: (
            "train = \"train.csv\"\ntarget = \"label\"",
            "train = { images = \"images\", labels = \"labels\" }",
        ),
        files: &[
            ("images", b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\x01\x02\x03\x04"),
            ("labels", b"\0\0\x08\x01\0\0\0\x02\x01\x02"),
        ],
        says: &["run.toml", "layers.0", "linear = 5", "the data", "[1, 2]", "flatten"],
    },
];

#[test]
fn every_bad_input_has_one_clear_error() {
    for Case { replace: (from, to), files, says } in CASES {
        let run = RUN.replacen(from, to, usize::from(!from.is_empty()));
        let site = Site::new(&run);
        site.write("train.csv", TABLE);
        for (name, content) in *files {
            site.write(name, content);
        }
        for command in ["train", "coordinator"] {
            let listen: &[&str] = if command == "train" { &[] } else { &["--listen", "127.0.0.1:0"] };
            let mut process =
                site.start(command, &[&[command, "run.toml", "--run-dir", "run"], listen].concat());
            let status = site.end(&mut process);
            let errors = process.errors();
            assert_eq!(status.code(), Some(78), "{says:?}: {errors}");
            assert_eq!(process.output(), "");
            assert_eq!(errors.matches("error").count(), 1, "{errors}");
            assert!(errors.starts_with("error: "), "{errors}");
            for word in *says {
                assert!(errors.contains(word), "{word:?} is not in: {errors}");
            }
            // Nothing was begun.
            assert!(!site.run_dir().exists(), "{errors}");
        }
    }
}

#[test]
fn a_run_file_that_is_not_there() {
    let site = Site::new(RUN);
    let mut process = site.start("train", &["train", "rum.toml"]);
    assert_eq!(site.end(&mut process).code(), Some(78));
    assert!(process.errors().contains("rum.toml"), "{}", process.errors());
}

#[test]
fn overrides_are_checked_like_the_file() {
    let site = Site::new(RUN);
    site.write("train.csv", TABLE);
    for (set, word) in
        [("train.epoch=5", "epochs"), ("train.epochs", "key=value"), ("train.epochs=-1", "--set")]
    {
        let (status, process) = site.trained(&["--set", set]);
        assert_eq!(status.code(), Some(78), "{set}: {}", process.errors());
        assert!(process.errors().contains(word), "{set}: {}", process.errors());
    }
}

#[test]
fn wrong_usage_exits_2() {
    let site = Site::new(RUN);
    let wrong: [&[&str]; 6] = [
        &[],
        &["trian", "run.toml"],
        &["train"],
        &["train", "run.toml", "--workers", "0"],
        &["train", "run.toml", "--worker", "2"],
        &["worker"],
    ];
    for arguments in wrong {
        let mut process = site.start("wrong", arguments);
        assert_eq!(site.end(&mut process).code(), Some(2), "{arguments:?}: {}", process.errors());
        assert!(
            process.errors().contains("--help") || process.errors().contains("Usage"),
            "{arguments:?}: {}",
            process.errors()
        );
    }
}

/// A batch may be larger than the table: then an epoch is one step.
#[test]
fn a_batch_of_everything() {
    let site = Site::new(&RUN.replace("batch_size = 8", "batch_size = 1_000_000_000_000"));
    site.write("train.csv", TABLE);
    let (status, process) = site.trained(&["--workers", "2"]);
    assert!(status.success(), "{}\n{}", process.errors(), site.logs());
    let results = site.results();
    assert_eq!((results.steps, results.samples), (1, 9));
}

/// 21 rows on 2 workers: all are evaluated, and each is trained on once an epoch.
#[test]
fn no_row_is_repeated_padded_or_dropped() {
    let rows = |count: u32| -> String {
        let row = |i: u32| format!("{},{},{}\n", i, i * i % 17, if i.is_multiple_of(3) { "b" } else { "a" });
        std::iter::once("x,y,label\n".to_owned()).chain((0..count).map(row)).collect()
    };
    let run =
        RUN.replace("target =", "validation = \"test.csv\"\ntarget =").replace("epochs = 1", "epochs = 3");
    let site = Site::new(&run);
    site.write("train.csv", rows(43));
    site.write("test.csv", rows(21));
    let (status, train) = site.trained(&["--workers", "2", "--json"]);
    assert!(status.success(), "{}", site.logs());
    let results: serde_json::Value = serde_json::from_str(&train.output()).unwrap();
    assert_eq!(results["samples"], 3 * 43);
    assert_eq!(results["steps"], 3 * 6);
    // The accuracy of 21 rows is a multiple of 1/21, of no other count.
    let correct = results["validation"]["accuracy"].as_f64().unwrap() * 21.0;
    assert!((correct - correct.round()).abs() < 1e-9, "{results}");
    let path = site.run_dir().join("checkpoint-18/state.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let sums = &state["progress"]["evaluation"]["sums"];
    assert_eq!((&sums["rows"], &sums["correct"]), (&21.into(), &(correct.round() as u64).into()), "{state}");
}
