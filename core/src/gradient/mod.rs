//! The gradient of nodes of the reduction tree: what a worker computes in a step.
//!
//! ```text
//! forward   the layers whose weights are here, of 4, 5, 6, 7 ─▶ those that came next …
//! backward  last layer of 4, 5, 6, 7 ─▶ summed in the tree ─▶ delivered as part of node 4-7
//!           the layer before …
//! ```

mod layer;
mod pool;
mod sum;

use std::ops::Range;

use crate::Float;
use crate::model::{Batch, Flat, Microbatch, Model, Weights, Workspace};
use crate::ops::room;
use crate::run::spec::Wire;
use crate::threads::Threads;
use crate::tree::{Node, Tree};
use layer::{Making, Of};
use pool::Pool;

/// What a node sums besides its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Σ row losses, each times its row's weight.
    pub loss: f64,
    /// Σ row weights.
    pub weight: f64,
    /// Rows.
    pub rows: u64,
}

impl Summary {
    /// What the root's sum of gradients is divided by: the weight of its rows. The mean over rows that all
    /// weigh nothing is 0, as their sum is: such a step moves the weights by what the optimizer remembers
    /// and by its weight decay, and is a step like any other. (0 / 0 would end the run.)
    pub fn divisor(self) -> f64 {
        if self.weight == 0.0 { 1.0 } else { self.weight }
    }

    /// The weighted mean of the rows' losses; 0 over rows that weigh nothing, NaN without rows.
    pub fn mean_loss(self) -> f64 {
        if self.rows == 0 { f64::NAN } else { self.loss / self.divisor() }
    }
}

impl std::ops::Add for Summary {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            weight: self.weight + other.weight,
            rows: self.rows.saturating_add(other.rows),
        }
    }
}

/// A node's gradient, complete from the last layer down to the one that was last delivered.
#[derive(Debug)]
pub struct NodeGradient<T> {
    /// The node.
    pub node: Node,
    /// Complete before the first layer is delivered.
    pub summary: Summary,
    /// The whole vector; in the place of running statistics, what the node's rows are like.
    pub values: Vec<T>,
    places: Range<usize>,
}

/// What a shard needs while its gradient is computed.
#[derive(Debug)]
struct Place<T> {
    shard: u32,
    workspace: Workspace<T>,
    /// The shard's own gradient of the layer at hand, as far as it is not made block by block; only grows.
    sums: Vec<T>,
    loss: f64,
}

/// The step and how its gradient travels.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The run's seed.
    pub seed: u64,
    /// Counted through the run.
    pub step: u64,
    /// Over the run's shards.
    pub tree: Tree,
    /// With bf16, every node below the root is rounded, whether it travels or not.
    pub wire: Wire,
}

impl Step {
    fn round<T: Float>(self, node: Node, values: &mut [T]) {
        if self.wire == Wire::Bf16 && node != self.tree.root() {
            T::round_to_bf16(values);
        }
    }
}

/// Computes gradients of nodes; keeps its memory from step to step.
#[derive(Debug)]
pub struct Engine<T> {
    model: Model,
    threads: Threads,
    places: Vec<Place<T>>,
    /// How many of the places have rows.
    used: usize,
    nodes: Vec<NodeGradient<T>>,
    pool: Pool<T>,
}

impl<T: Float> Engine<T> {
    /// Shards are computed on `threads`; the result does not depend on how many there are.
    pub fn new(model: Model, threads: Threads) -> Self {
        Self { model, threads, places: Vec::new(), used: 0, nodes: Vec::new(), pool: Pool::new() }
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The gradients of `nodes` at `weights`: [`Self::load`], [`Self::forward`] over all layers and
    /// [`Self::backward`] in one.
    pub fn compute(
        &mut self,
        step: Step,
        nodes: &[Node],
        weights: &[T],
        microbatches: &mut [Microbatch<T>],
        deliver: impl FnMut(&[NodeGradient<T>], usize) + Send,
    ) {
        self.load(nodes, microbatches);
        let model = self.model.clone();
        let weights = Flat::new(&model, weights);
        self.forward(step, 0..model.layers(), &weights);
        self.backward(step, &weights, deliver);
    }

    /// These layers, of all shards; each layer once, in ascending order.
    pub fn forward(&mut self, step: Step, layers: Range<usize>, weights: &impl Weights<T>) {
        let Self { model, threads, places, used, .. } = self;
        threads.each(&mut places[..*used], |place| {
            let batch = Batch { seed: step.seed, step: step.step, shard: place.shard };
            for layer in layers.clone() {
                place.workspace.forward_layer(model, layer, weights, Some(batch));
            }
        });
    }

    /// After all layers' forward pass. After each layer, from the last to the first, `deliver` gets the
    /// nodes and the layer's index. What the rows are like, for running statistics, comes before the last
    /// layer, with the number past it.
    pub fn backward(
        &mut self,
        step: Step,
        weights: &impl Weights<T>,
        deliver: impl FnMut(&[NodeGradient<T>], usize) + Send,
    ) {
        let Self { model, threads, places, used, nodes, pool } = self;
        let places = &mut places[..*used];
        threads.enter(|| Self::backpropagate(step, weights, (model, threads, pool), places, nodes, deliver));
    }

    fn backpropagate(
        step: Step,
        weights: &impl Weights<T>,
        (model, threads, pool): (&Model, &Threads, &Pool<T>),
        places: &mut [Place<T>],
        nodes: &mut [NodeGradient<T>],
        mut deliver: impl FnMut(&[NodeGradient<T>], usize),
    ) {
        threads.each(places, |place| place.loss = place.workspace.loss_and_gradient(model));
        for node in nodes.iter_mut() {
            node.summary = sum::summaries(node.node, &places[node.places.clone()]);
        }
        let behind = model.parameters(model.layers());
        if !behind.is_empty() {
            for node in nodes.iter_mut() {
                let places = &places[node.places.clone()];
                let statistics = &mut node.values[behind.clone()];
                sum::statistics(model.layout(), pool, node.node, places, statistics);
            }
            deliver(nodes, model.layers());
        }
        for layer in (0..model.layers()).rev() {
            let range = model.parameters(layer);
            let linear = model.linear(layer);
            threads.each(places, |place| {
                let held = linear.map_or(range.len(), |(inputs, outputs)| range.len() - inputs * outputs);
                let sums = room(&mut place.sums, held);
                match linear {
                    Some(_) => place.workspace.backward_finish(model, layer, sums),
                    None => place.workspace.backward_layer(model, layer, weights.layer(layer), sums),
                }
                step.round(Node::leaf(place.shard), sums);
            });
            for node in nodes.iter_mut().filter(|_| !range.is_empty()) {
                let places = &places[node.places.clone()];
                let making = Making { step, node: node.node, places, threads, pool };
                let sums = &mut node.values[range.clone()];
                match linear {
                    Some(sides) => making.linear(sides, Of { model, layer }, sums),
                    None => making.held(sums),
                }
            }
            if !range.is_empty() {
                deliver(nodes, layer);
            }
            if linear.is_some() {
                threads.each(places, |place| {
                    place.workspace.backward_layer(model, layer, weights.layer(layer), &mut []);
                });
            }
        }
    }

    /// Takes the rows of `nodes`, which must not overlap.
    ///
    /// `microbatches` are those of the nodes' shards; those without rows are absent, and so is a node
    /// all of whose shards are absent: it is not delivered.
    pub fn load(&mut self, nodes: &[Node], microbatches: &mut [Microbatch<T>]) {
        let mut used = 0;
        let mut filled = 0;
        microbatches.sort_unstable_by_key(|microbatch| microbatch.shard);
        for &node in nodes {
            let start = used;
            let shards = node.shards();
            for microbatch in microbatches.iter_mut().filter(|m| shards.contains(&m.shard) && m.rows > 0) {
                if self.places.len() == used {
                    let workspace = Workspace::new(&self.model);
                    self.places.push(Place { shard: 0, workspace, sums: Vec::new(), loss: 0.0 });
                }
                let place = &mut self.places[used];
                place.shard = microbatch.shard;
                place.workspace.load(microbatch);
                used += 1;
            }
            if used == start {
                continue;
            }
            if self.nodes.len() == filled {
                let values = vec![T::zero(); self.model.layout().len()];
                self.nodes.push(NodeGradient { node, summary: Summary::default(), values, places: 0..0 });
            }
            self.nodes[filled].node = node;
            self.nodes[filled].places = start..used;
            filled += 1;
        }
        self.nodes.truncate(filled);
        self.used = used;
    }
}

#[cfg(test)]
mod tests;
