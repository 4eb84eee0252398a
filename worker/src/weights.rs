//! The double buffer of weights: W(t), on which gradients are computed, and the half that fills.

use std::sync::Arc;

use lockstep_core::chunks::Chunks;
use lockstep_core::run::spec::Wire;
use lockstep_core::wire;
use lockstep_proto::message::Weights;

/// A chunk of weights that cannot be one of this model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weights that do not fit the model: chunk {chunk} of {bytes} bytes")]
pub struct Misfit {
    chunk: u32,
    bytes: usize,
}

/// W(t) and the half that fills.
#[derive(Debug)]
pub struct Buffer {
    chunks: Chunks,
    len: usize,
    encoding: Wire,
    current: Option<(u64, Arc<Vec<f32>>)>,
    filling: Option<Filling>,
    spare: Option<Vec<f32>>,
}

#[derive(Debug)]
struct Filling {
    step: u64,
    values: Vec<f32>,
    here: Vec<bool>,
    missing: usize,
}

impl Buffer {
    /// For vectors cut like this, encoded like this.
    pub fn new(chunks: Chunks, encoding: Wire) -> Self {
        let len = chunks.iter().last().map_or(0, |last| last.end);
        Self { chunks, len, encoding, current: None, filling: None, spare: None }
    }

    /// The newest whole W, and its step.
    pub fn current(&self) -> Option<(u64, &Arc<Vec<f32>>)> {
        self.current.as_ref().map(|(step, values)| (*step, values))
    }

    /// Takes a chunk. Whether W became whole, and so current; older and repeated chunks change nothing.
    pub fn take(&mut self, weights: &Weights) -> Result<bool, Misfit> {
        let Weights { step, chunk, ref payload, .. } = *weights;
        let misfit = Misfit { chunk, bytes: payload.len() };
        let range = self.chunks.range(chunk as usize).ok_or(misfit)?;
        if payload.len() != range.len() * wire::width(self.encoding) {
            return Err(misfit);
        }
        if self.current.as_ref().is_some_and(|(current, _)| *current >= step) {
            return Ok(false);
        }
        if self.filling.as_ref().is_none_or(|filling| filling.step < step) {
            self.begin(step);
        }
        let Some(filling) = self.filling.as_mut().filter(|filling| filling.step == step) else {
            return Ok(false);
        };
        let Some(here) = filling.here.get_mut(chunk as usize).filter(|here| !**here) else {
            return Ok(false);
        };
        wire::decode(payload, self.encoding, &mut filling.values[range]).map_err(|_| misfit)?;
        *here = true;
        filling.missing -= 1;
        if filling.missing > 0 {
            return Ok(false);
        }
        if let Some(filling) = self.filling.take() {
            let before = self.current.replace((filling.step, Arc::new(filling.values)));
            // Someone may still compute on it; then its memory is freed and not reused.
            self.spare = before.and_then(|(_, values)| Arc::try_unwrap(values).ok());
        }
        Ok(true)
    }

    fn begin(&mut self, step: u64) {
        let before = self.filling.take().map(|filling| filling.values);
        let mut values = before.or_else(|| self.spare.take()).unwrap_or_default();
        values.resize(self.len, 0.0);
        let missing = self.chunks.len();
        self.filling = Some(Filling { step, values, here: vec![false; missing], missing });
    }
}
