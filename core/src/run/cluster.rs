//! `[cluster]`

use super::field::Section;
use super::problem::Problem;
use super::spec::{Cluster, Numerics, Wire};
use crate::tree::MOST_SHARDS;

pub(super) const WIRES: [(&str, Wire); 2] = [("f32", Wire::F32), ("bf16", Wire::Bf16)];
pub(super) const NUMERICS: [(&str, Numerics); 2] =
    [("strict", Numerics::Strict), ("relaxed", Numerics::Relaxed)];

/// The BLAS kernel of a run that names none: one that every processor of this architecture from the
/// last decade runs; without BLAS, ndarray's own.
pub const fn default_kernel() -> &'static str {
    if !cfg!(feature = "blas") {
        return "rust";
    }
    if cfg!(target_arch = "aarch64") { "NEOVERSEN1" } else { "Haswell" }
}

pub(super) fn read(root: &Section) -> Result<Cluster, Problem> {
    let keys = ["shards", "wire", "kernel", "numerics", "heartbeat_ms", "min_workers", "audit"];
    let section = root.section("cluster", &keys)?;
    let shards = section.whole("shards", 8, 1, u64::from(MOST_SHARDS))?;
    let kernel = match section.get("kernel") {
        None => default_kernel().into(),
        Some(field) => {
            const EXPECTED: &str = "a kernel of OpenBLAS, such as \"Haswell\" or \"SkylakeX\"";
            let text = field.text(EXPECTED)?;
            if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(field.unexpected(EXPECTED));
            }
            text.into()
        }
    };
    Ok(Cluster {
        shards: u32::try_from(shards).unwrap_or(MOST_SHARDS),
        wire: section.get("wire").map_or(Ok(Wire::F32), |field| field.choice(&WIRES))?,
        kernel,
        numerics: section.get("numerics").map_or(Ok(Numerics::Strict), |field| field.choice(&NUMERICS))?,
        heartbeat_ms: section.whole("heartbeat_ms", 1000, 10, 3_600_000)?,
        min_workers: u32::try_from(section.whole("min_workers", 1, 1, MOST_WORKERS)?).unwrap_or(1),
        audit: section.real("audit", 0.0, SHARE, |share| (0.0..=1.0).contains(&share))?,
    })
}

const SHARE: &str = "a share, from 0 to 1";

/// The most that a run may wait for.
const MOST_WORKERS: u64 = 4096;
