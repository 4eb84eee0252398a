//! The floor: what the matrix products of a step take, and nothing else.
//!
//! They run on one core, through the one place that multiplies, and are counted as spread evenly over
//! two. The first layer's input gradient is left out, since nobody needs it.

use std::time::Instant;

use lockstep_core::product;

use super::case::Case;
use super::median;

/// Cores that the floor is divided over.
const CORES: usize = 2;

/// Times each product is measured; the median counts.
const TIMES: usize = 5;

/// Milliseconds of a step of `case` on two cores, its rows cut into `pieces` of equal size.
pub fn floor_ms(case: &Case, pieces: usize) -> f64 {
    let rows = case.batch / pieces;
    let layers = case.layers().enumerate();
    let piece: f64 = layers.map(|(index, (inputs, outputs))| layer(rows, inputs, outputs, index > 0)).sum();
    1e3 * piece * pieces as f64 / CORES as f64
}

/// Seconds of a layer's two or three products.
fn layer(rows: usize, inputs: usize, outputs: usize, input_gradient: bool) -> f64 {
    let filled = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect() };
    let (w, x, dy) = (filled(outputs * inputs), filled(rows * inputs), filled(rows * outputs));
    let (mut y, mut dw, mut dx) = (filled(rows * outputs), filled(outputs * inputs), filled(rows * inputs));
    let forward = seconds(|| product::times_transposed(&x, &w, &mut y, rows, inputs, outputs));
    let weights = seconds(|| product::transposed_times(&dy, &x, &mut dw, outputs, rows, inputs));
    if !input_gradient {
        return forward + weights;
    }
    forward + weights + seconds(|| product::times(&dy, &w, &mut dx, rows, outputs, inputs))
}

/// Of one call, from batches of calls that are long enough to be timed.
fn seconds(mut work: impl FnMut()) -> f64 {
    let time = |calls: usize, work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() / calls as f64
    };
    let once = time(1, &mut work);
    let calls = ((2e-3 / once.max(1e-9)) as usize).clamp(1, 10_000);
    median((0..TIMES).map(|_| time(calls, &mut work)).collect())
}
