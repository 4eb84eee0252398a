//! The double buffer of weights: W(t), on which gradients are computed, and the half that fills.
//!
//! ```text
//! chunks of W(t+1) ──decoded──▶ layer 0 ✓, layer 2 ✓, layer 4 …      Buffer: the session's side
//!                                 │
//!          forward pass ◀── layers 0 to 3 are here                   Arriving: shared, read only
//! ```
//!
//! A layer is decoded into memory that is the buffer's own and is shared when it is whole. So the
//! forward pass begins with the first layers while the last are on their way.

use std::ops::Range;
use std::sync::Arc;

use lockstep_core::chunks::Chunks;
use lockstep_core::model::Model;
use lockstep_core::run::spec::Wire;
use lockstep_core::wire;
use lockstep_proto::message::Weights;

use crate::arriving::Arriving;

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
    /// The layers' parts of the vector, also of those without parameters; at last the running statistics.
    layers: Vec<Range<usize>>,
    encoding: Wire,
    current: Option<(u64, Arc<Arriving>)>,
    filling: Option<Filling>,
    /// Memory of W(t-1), layer by layer.
    spare: Vec<Vec<f32>>,
}

impl Buffer {
    /// For vectors of this model, cut and encoded like this.
    pub fn new(model: &Model, chunks: Chunks, encoding: Wire) -> Self {
        let layers = (0..=model.layers()).map(|layer| model.parameters(layer)).collect();
        Self { chunks, layers, encoding, current: None, filling: None, spare: Vec::new() }
    }

    /// The newest whole W, and its step.
    pub fn current(&self) -> Option<(u64, &Arc<Arriving>)> {
        self.current.as_ref().map(|(step, weights)| (*step, weights))
    }

    /// W(step), if it is whole or has begun to come.
    pub fn of(&self, step: u64) -> Option<&Arc<Arriving>> {
        let filling = self.filling.as_ref().map(|filling| (filling.step, &filling.shared));
        let mut both = self.current().into_iter().chain(filling);
        both.find_map(|(of, weights)| (of == step).then_some(weights))
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
            let spare = std::mem::take(&mut self.spare);
            self.filling = Some(Filling::new(step, &self.layers, self.chunks.len(), spare));
        }
        let Some(filling) = self.filling.as_mut().filter(|filling| filling.step == step) else {
            return Ok(false);
        };
        let Some(here) = filling.here.get_mut(chunk as usize).filter(|here| !**here) else {
            return Ok(false);
        };
        *here = true;
        filling.decode(&self.layers, range, payload, self.encoding).ok_or(misfit)?;
        filling.missing -= 1;
        if filling.missing > 0 {
            return Ok(false);
        }
        if let Some(filling) = self.filling.take() {
            let before = self.current.replace((filling.step, filling.shared.clone()));
            // Someone may still compute on it; then its memory is freed and not reused.
            if let Some(before) = before.and_then(|(_, weights)| Arc::into_inner(weights)) {
                self.spare = before.into_layers().collect();
            }
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct Filling {
    step: u64,
    /// By chunk.
    here: Vec<bool>,
    /// Chunks.
    missing: usize,
    open: Vec<Open>,
    shared: Arc<Arriving>,
}

/// A layer that is not whole yet.
#[derive(Debug)]
struct Open {
    values: Vec<f32>,
    missing: usize,
}

impl Filling {
    fn new(step: u64, layers: &[Range<usize>], chunks: usize, spare: Vec<Vec<f32>>) -> Self {
        let shared = Arc::new(Arriving::new(layers.iter().map(Range::len)));
        let spare = spare.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let open = layers.iter().zip(spare).map(|(layer, spare)| {
            let mut values = spare.unwrap_or_default();
            values.resize(layer.len(), 0.0);
            Open { values, missing: layer.len() }
        });
        Self { step, here: vec![false; chunks], missing: chunks, open: open.collect(), shared }
    }

    /// A chunk lies within one layer, or holds several that are tiny.
    fn decode(
        &mut self,
        layers: &[Range<usize>],
        range: Range<usize>,
        payload: &[u8],
        encoding: Wire,
    ) -> Option<()> {
        let width = wire::width(encoding);
        let first = layers.partition_point(|layer| layer.end <= range.start);
        for (index, layer) in layers.iter().enumerate().skip(first) {
            if layer.start >= range.end {
                break;
            }
            let part = range.start.max(layer.start)..range.end.min(layer.end);
            if part.is_empty() {
                continue;
            }
            let bytes = payload.get((part.start - range.start) * width..(part.end - range.start) * width)?;
            let open = self.open.get_mut(index)?;
            let values = open.values.get_mut(part.start - layer.start..part.end - layer.start)?;
            wire::decode(bytes, encoding, values).ok()?;
            open.missing = open.missing.checked_sub(part.len())?;
            if open.missing == 0 {
                self.shared.put(index, std::mem::take(&mut open.values));
            }
        }
        Some(())
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.shared.close();
    }
}
