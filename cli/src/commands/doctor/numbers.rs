//! What is computed with: processor, BLAS, its speed.

use std::time::{Duration, Instant};

use lockstep_core::{blas, numerics, product};

use super::Finding;
use crate::failure::Failure;

/// Products are timed for so long, after the first.
const TIMED: Duration = Duration::from_millis(500);

/// Rows and columns of each factor: all three matrices fit a second-level cache or two.
const SIZE: usize = 512;

pub(super) fn findings(pinned: Result<(), Failure>) -> Vec<Finding> {
    let mut findings = vec![processor()];
    let (library, kernel, threads) = (blas::library(), blas::kernel(), blas::threads());
    findings.push(match pinned {
        Ok(()) => Finding::ok("blas", format!("{library}: {kernel}, {threads} thread")),
        Err(failure) => {
            Finding::wrong("blas", format!("{library}: {kernel}, {threads} threads"), failure.to_string())
        }
    });
    findings.push(Finding::ok("numerics", numerics::name()));
    findings.push(speed());
    findings
}

fn processor() -> Finding {
    let (name, _) = cpuinfo();
    let features = features();
    let found = format!("{name} ({})", features.join(" "));
    if cfg!(target_arch = "x86_64") && !(features.contains(&"avx2") && features.contains(&"fma")) {
        let advice = "the usual kernel, Haswell, needs AVX2 and FMA: name another in the run file (cluster.kernel), \
                      or let the virtual machine have the host's processor";
        return Finding::wrong("processor", found, advice);
    }
    Finding::ok("processor", found)
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let all = [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    all.into_iter().filter_map(|(name, here)| here.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    vec![std::env::consts::ARCH]
}

/// The processor's name, and its frequency in GHz as the system tells it.
fn cpuinfo() -> (String, Option<f64>) {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned())
    };
    let name = value("model name").unwrap_or_else(|| "unknown".into());
    (name, value("cpu MHz").and_then(|mhz| mhz.parse::<f64>().ok()).map(|mhz| mhz / 1000.0))
}

/// One product after the other; the quickest counts, since others may have been disturbed.
fn speed() -> Finding {
    let (a, b) = (vec![0.5_f32; SIZE * SIZE], vec![0.25_f32; SIZE * SIZE]);
    let mut c = vec![0.0_f32; SIZE * SIZE];
    let (began, mut best) = (Instant::now(), Duration::MAX);
    while began.elapsed() < TIMED {
        let one = Instant::now();
        product::times(&a, &b, &mut c, SIZE, SIZE, SIZE);
        best = best.min(one.elapsed());
    }
    let gflops = 2.0 * (SIZE * SIZE * SIZE) as f64 / best.as_secs_f64().max(1e-9) / 1e9;
    let found = format!("{gflops:.0} GFLOP/s, sgemm of {SIZE} x {SIZE} on one thread");
    let (_, ghz) = cpuinfo();
    // Two fused multiply-adds of 8 numbers a cycle: what the Haswell kernel can use of any processor.
    match ghz.filter(|_| blas::kernel() == "Haswell").map(|ghz| 32.0 * ghz) {
        Some(peak) if gflops < 0.4 * peak => Finding::warning(
            "speed",
            format!("{found}; {peak:.0} would be all at the frequency that the system names"),
            "something else computes, or the processor is throttled or shared: look at load, quota and power settings",
        ),
        Some(peak) => Finding::ok(
            "speed",
            format!("{found}; {peak:.0} would be all at the frequency that the system names"),
        ),
        None => Finding::ok("speed", found),
    }
}
