//! Where parameters start.
//!
//! Drawn in f64, in element order, from the stream (init, number of the tensor), and rounded to f32.

use crate::random::{Purpose, stream};
use crate::run::spec::Init;

/// Fills W\[outputs, inputs\]; `tensor` is its number in parameter order.
pub fn weight(init: Init, seed: u64, tensor: u64, inputs: usize, outputs: usize, values: &mut [f32]) {
    let (inputs, outputs) = (inputs as f64, outputs as f64);
    match init {
        // kaiming_uniform_ with a = √5: √(6 / ((1 + a²) · inputs)) = 1/√inputs
        Init::Torch => uniform(seed, tensor, bound(1.0 / inputs), values),
        Init::Xavier => uniform(seed, tensor, bound(6.0 / (inputs + outputs)), values),
        Init::He => {
            let (deviation, mut stream) = (bound(2.0 / inputs), stream(seed, Purpose::Init, tensor, 0, 0));
            values.iter_mut().for_each(|value| *value = (deviation * stream.normal()) as f32);
        }
        Init::Zeros => values.fill(0.0),
    }
}

/// Fills the vectors of an embedding: N(0, 1), as `torch.nn.Embedding` and as standardized numbers are.
pub fn embedding(seed: u64, tensor: u64, values: &mut [f32]) {
    let mut stream = stream(seed, Purpose::Init, tensor, 0, 0);
    values.iter_mut().for_each(|value| *value = stream.normal() as f32);
}

/// Fills b\[outputs\] of a layer of so many inputs; `tensor` is its number in parameter order.
pub fn bias(init: Init, seed: u64, tensor: u64, inputs: usize, values: &mut [f32]) {
    match init {
        Init::Torch => uniform(seed, tensor, bound(1.0 / inputs as f64), values),
        Init::He | Init::Xavier | Init::Zeros => values.fill(0.0),
    }
}

/// The root; 0 for a layer without inputs.
fn bound(square: f64) -> f64 {
    if square.is_finite() { square.sqrt() } else { 0.0 }
}

fn uniform(seed: u64, tensor: u64, bound: f64, values: &mut [f32]) {
    let mut stream = stream(seed, Purpose::Init, tensor, 0, 0);
    values.iter_mut().for_each(|value| *value = stream.between(-bound, bound) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(init: Init) -> Vec<f32> {
        let mut values = vec![f32::NAN; 20_000];
        weight(init, 7, 3, 100, 200, &mut values);
        values
    }

    fn deviation(values: &[f32]) -> f64 {
        (values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / values.len() as f64).sqrt()
    }

    /// A uniform number in ±b has deviation b/√3.
    #[test]
    fn weights_have_the_deviation_of_their_name() {
        for (init, bound) in [(Init::Torch, 0.1), (Init::Xavier, 0.02_f64.sqrt())] {
            let values = drawn(init);
            assert!((deviation(&values) / bound * 3_f64.sqrt() - 1.0).abs() < 0.02, "{init:?}");
            assert!(values.iter().all(|x| f64::from(x.abs()) <= bound + 1e-8));
        }
        assert!((deviation(&drawn(Init::He)) / 0.02_f64.sqrt() - 1.0).abs() < 0.02);
        assert_eq!(deviation(&drawn(Init::Zeros)), 0.0);
    }

    #[test]
    fn embeddings_have_the_deviation_one() {
        let mut values = vec![f32::NAN; 20_000];
        embedding(7, 3, &mut values);
        assert!((deviation(&values) - 1.0).abs() < 0.02);
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.03);
    }

    #[test]
    fn only_torch_draws_the_bias() {
        for init in [Init::He, Init::Xavier, Init::Zeros] {
            let mut values = [f32::NAN; 4];
            bias(init, 7, 4, 100, &mut values);
            assert_eq!(values, [0.0; 4]);
        }
        let mut values = [f32::NAN; 1000];
        bias(Init::Torch, 7, 4, 25, &mut values);
        assert!(values.iter().all(|x| x.abs() <= 0.2) && deviation(&values) > 0.1);
    }

    #[test]
    fn a_layer_without_inputs_starts_at_zero() {
        let mut values = [f32::NAN; 3];
        bias(Init::Torch, 7, 0, 0, &mut values);
        assert_eq!(values, [0.0; 3]);
    }

    /// Another value here makes every existing run another run. The numbers are those of the script in
    /// random.rs, from `s = stream(7, b"init", 3, 0, 0)`: -0.1 + 0.2 * uniform(s), √0.02 times the
    /// normal ones, √0.02 * (-1 + 2 * uniform(s)).
    #[test]
    #[allow(clippy::excessive_precision, reason = "as Python printed them")]
    fn values_are_pinned() {
        let first = |init| drawn(init)[..2].to_vec();
        assert_eq!(first(Init::Torch), [0.06865237809133629, 0.04243877532867951]);
        assert_eq!(first(Init::He), [-0.06406763411180148, 0.008791200163970352]);
        assert_eq!(first(Init::Xavier), [0.09708912418593331, 0.06001749164032325]);
    }
}
