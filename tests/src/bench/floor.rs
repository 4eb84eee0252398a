//! The floor: what the matrix products of a step take, and nothing else.
//!
//! They run on as many cores at once as the step has, through the one place that multiplies, and are
//! counted in core-seconds. The first layer's input gradient is left out, since nobody needs it.

use std::sync::Barrier;

use lockstep_core::product;

use super::case::{Case, Product};
use super::{median, thread_seconds};

/// Cores that the floor is divided over.
pub const CORES: usize = 2;

/// Times each product is measured; the median counts.
const TIMES: usize = 3;

/// A taller product takes as long as several of this height: convolutions are computed in blocks.
const MOST_PLACES: usize = 1 << 10;

/// Milliseconds of a step of `case` on two cores, its rows cut into `pieces` of equal size.
pub fn floor_ms(case: &Case, pieces: usize) -> f64 {
    1e3 * seconds(case, case.batch / pieces) * pieces as f64 / CORES as f64
}

/// Floating-point operations a second of one core, while all compute, at the products of so many rows.
pub fn flops(case: &Case, rows: usize) -> f64 {
    let products = case.products().into_iter().enumerate();
    let multiply_adds: usize = products
        .map(|(index, Product { places, terms, outputs })| {
            rows * places * terms * outputs * if index == 0 { 2 } else { 3 }
        })
        .sum();
    2.0 * multiply_adds as f64 / seconds(case, rows)
}

/// Seconds of `rows` rows on one core, while all compute.
fn seconds(case: &Case, rows: usize) -> f64 {
    let barrier = Barrier::new(CORES);
    let one = || -> f64 {
        let products = case.products().into_iter().enumerate();
        products.map(|(index, product)| layer(&barrier, rows, product, index > 0)).sum()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CORES).map(|_| scope.spawn(one)).collect();
        let seconds = threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN));
        seconds.sum::<f64>() / CORES as f64
    })
}

/// Seconds of a layer's two or three products.
fn layer(barrier: &Barrier, rows: usize, product: Product, input_gradient: bool) -> f64 {
    let Product { places, terms, outputs } = product;
    let rows = rows * places;
    let blocks = rows.div_ceil(MOST_PLACES.max(rows / places));
    let height = rows.div_ceil(blocks);
    let filled = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect() };
    let (w, x, dy) = (filled(outputs * terms), filled(height * terms), filled(height * outputs));
    let (mut y, mut dw, mut dx) = (dy.clone(), w.clone(), x.clone());
    let mut sum = timed(barrier, || product::times_transposed(&x, &w, &mut y, height, terms, outputs));
    sum += timed(barrier, || product::transposed_times(&dy, &x, &mut dw, outputs, height, terms));
    if input_gradient {
        sum += timed(barrier, || product::times(&dy, &w, &mut dx, height, outputs, terms));
    }
    sum * rows as f64 / height as f64
}

/// Core-seconds of one call, from batches of calls that are long enough to be timed.
fn timed(barrier: &Barrier, mut work: impl FnMut()) -> f64 {
    let mut time = |calls: usize| {
        let start = thread_seconds();
        (0..calls).for_each(|_| work());
        (thread_seconds() - start) / calls as f64
    };
    let once = time(1);
    let calls = ((4e-3 / once.max(1e-9)) as usize).clamp(1, 10_000);
    barrier.wait();
    median((0..TIMES).map(|_| time(calls)).collect())
}
