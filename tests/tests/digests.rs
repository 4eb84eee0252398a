//! One digest for every cluster, equal to that of a single thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_core::digest::Digest;
use lockstep_tests::cluster::{Oracle, RunFile, Site};

/// Runs on clusters of (workers, threads); the first is compared bit for bit with the oracle.
fn equal_over(run: &RunFile, clusters: &[(u32, u32)]) -> Digest {
    let mut digest = None;
    for (workers, threads) in clusters {
        let site = Site::new(&run.text());
        let (status, _) =
            site.trained(&["--workers", &workers.to_string(), "--threads", &threads.to_string()]);
        assert!(status.success(), "{workers} workers, {threads} threads: {status}\n{}", site.logs());
        let results = site.results();
        assert_eq!(results.workers.joined, u64::from(*workers), "{}", site.logs());
        let first = *digest.get_or_insert_with(|| {
            let oracle = Oracle::new(&site);
            oracle.assert_equal(&site);
            oracle.digest
        });
        assert_eq!(results.digest, first, "{workers} workers, {threads} threads\n{}", site.logs());
    }
    digest.expect("there are clusters")
}

#[test]
fn eight_shards_f32() {
    let clusters = [1, 2, 3, 4, 5, 8].map(|workers| [(workers, 1), (workers, 2)]);
    equal_over(&RunFile::default(), clusters.as_flattened());
}

#[test]
fn six_shards_bf16_clipped() {
    let run = RunFile { shards: 6, batch: 250, wire: "bf16", clip: true, ..RunFile::default() };
    let bf16 = equal_over(&run, &[(2, 1), (1, 2), (3, 2), (4, 1), (5, 2), (8, 1)]);
    let f32 = equal_over(&RunFile { wire: "f32", ..run }, &[(3, 1), (8, 2)]);
    assert_ne!(bf16, f32);
}

#[test]
fn eight_shards_bf16() {
    equal_over(&RunFile { wire: "bf16", ..RunFile::default() }, &[(5, 1), (1, 1), (8, 2)]);
}

#[test]
fn six_shards_f32_momentum() {
    let optimizer = "{ sgd = { lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 1e-4 } }";
    let run = RunFile { shards: 6, batch: 250, optimizer, ..RunFile::default() };
    equal_over(&run, &[(4, 1), (1, 2), (2, 2), (8, 1)]);
}
