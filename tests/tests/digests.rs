//! One digest for every cluster, equal to that of a single thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_core::digest::Digest;
use lockstep_tests::cluster::{Oracle, RunFile, Site};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Long enough to be held up before its end, and short.
fn short() -> RunFile {
    RunFile { epochs: 8, heartbeat_ms: 60_000, ..RunFile::default() }
}

/// Runs on a cluster of which every worker takes part: the first is held up until all are there.
fn run_on(run: &RunFile, workers: usize, threads: usize) -> Site {
    for _ in 0..5 {
        let site = Site::new(&run.text());
        let (mut coordinator, address) = site.coordinator(None, &[]);
        let start =
            |number| site.worker(&format!("w{number}"), address, &["--threads", &threads.to_string()]);
        let mut all = vec![start(1)];
        site.until_logged("worker w1 on", 1);
        all[0].signal(Signal::SIGSTOP);
        all.extend((2..=workers).map(start));
        site.until("all have joined", || {
            let joined = site.log().matches(" joined with ").count();
            (joined == workers || coordinator.ended().is_some()).then_some(())
        });
        all[0].signal(Signal::SIGCONT);
        site.succeed(&mut coordinator);
        // Otherwise the first was done before it was held up.
        if site.results().workers.joined == workers as u64 {
            all.iter_mut().for_each(|worker| site.succeed(worker));
            assert_eq!(site.results().workers.lost, 0, "{}", site.logs());
            return site;
        }
    }
    panic!("the run was over five times before all {workers} workers were there");
}

/// One digest on clusters of (workers, threads); the first is compared bit for bit with the oracle.
fn equal_over(run: &RunFile, clusters: &[(usize, usize)]) -> Digest {
    let mut digest = None;
    for &(workers, threads) in clusters {
        let site = run_on(run, workers, threads);
        let first = *digest.get_or_insert_with(|| {
            let oracle = Oracle::new(&site);
            oracle.assert_equal(&site);
            evaluated_alike(&site);
            oracle.digest
        });
        assert_eq!(site.results().digest, first, "{workers} workers, {threads} threads\n{}", site.logs());
    }
    digest.expect("there are clusters")
}

/// What the workers evaluated last is what one process makes of the stored model.
fn evaluated_alike(site: &Site) {
    let rows = RunFile::validation().display().to_string();
    let output = site.command(&["evaluate", "run", &rows, "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let alone: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results: Value =
        serde_json::from_slice(&std::fs::read(site.run_dir().join("results.json")).unwrap()).unwrap();
    for of in ["loss", "accuracy"] {
        assert!(alone[of].is_number(), "{alone}");
        assert_eq!(alone[of], results["validation"][of], "{of}");
    }
}

#[test]
fn eight_shards_f32() {
    let clusters = [1, 2, 3, 4, 5, 8].map(|workers| [(workers, 1), (workers, 2)]);
    equal_over(&short(), clusters.as_flattened());
}

#[test]
fn six_shards_bf16_clipped() {
    let layers = RunFile::NORMALISED;
    let run = RunFile { shards: 6, batch: 250, wire: "bf16", clip: true, layers, ..short() };
    let bf16 = equal_over(&run, &[(2, 1), (1, 2), (3, 2), (4, 1), (5, 2), (8, 1)]);
    let f32 = equal_over(&RunFile { wire: "f32", ..run }, &[(3, 1), (8, 2)]);
    assert_ne!(bf16, f32);
}

#[test]
fn eight_shards_bf16() {
    let layers = RunFile::NORMALISED;
    equal_over(&RunFile { wire: "bf16", layers, ..short() }, &[(5, 1), (1, 1), (8, 2)]);
}

#[test]
fn six_shards_f32_momentum() {
    let optimizer = "{ sgd = { lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 1e-4 } }";
    let run = RunFile { shards: 6, batch: 250, optimizer, layers: RunFile::NORMALISED, ..short() };
    equal_over(&run, &[(4, 1), (1, 2), (2, 2), (8, 1)]);
}

/// Rows that count for more, for less and for nothing, and columns of vectors; a worker is killed.
#[test]
fn six_shards_weighted_and_embedded() {
    let layers = RunFile::NORMALISED;
    let run = RunFile { shards: 6, batch: 250, weights: true, embeddings: true, layers, ..short() };
    let weighted = equal_over(&run, &[(1, 2), (2, 1), (3, 1)]);
    let site = Site::new(&run.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut workers = ["w1", "w2"].map(|name| site.worker(name, address, &[]));
    site.until_step(10);
    workers[0].signal(Signal::SIGKILL);
    site.succeed(&mut coordinator);
    assert_eq!((site.results().digest, site.results().workers.lost), (weighted, 1), "{}", site.logs());
    let plain = equal_over(&RunFile { weights: false, ..run }, &[(2, 1)]);
    assert_ne!(weighted, plain);
}
