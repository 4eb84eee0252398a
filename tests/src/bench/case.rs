//! The networks that are timed, and their run files.

use std::io;
use std::path::Path;

use lockstep_core::run::spec::Wire;

use super::rows;

/// A network with ReLU between its layers, SGD with momentum, and the rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// As on the command line.
    pub name: &'static str,
    /// Channels of the convolutions at the front, each 3 x 3 and followed by a max_pool of 2 x 2.
    pub channels: &'static [usize],
    /// Of the linear layers, from inputs to outputs; one output: a binary label, and as many classes
    /// otherwise.
    pub widths: &'static [usize],
    /// Rows of a step.
    pub batch: usize,
    /// Steps that are timed unless told otherwise.
    pub steps: usize,
}

/// The cases of the design.
pub const CASES: [Case; 5] = [
    Case { name: "tab", channels: &[], widths: &[32, 128, 64, 1], batch: 4096, steps: 100 },
    Case { name: "mlp_small", channels: &[], widths: &[784, 512, 256, 10], batch: 256, steps: 100 },
    Case { name: "mlp_mid", channels: &[], widths: &[784, 2048, 2048, 10], batch: 512, steps: 20 },
    Case { name: "mlp_big", channels: &[], widths: &[1024, 4096, 4096, 1000], batch: 512, steps: 10 },
    Case { name: "cnn", channels: &[32, 64], widths: &[3136, 128, 10], batch: 256, steps: 20 },
];

/// Steps before those that are timed.
pub const WARM_UP: usize = 5;

/// Batches in the file: few, since they are read anew for every run.
const BATCHES: usize = 4;

/// Images have one byte a label.
const MOST_IDX_CLASSES: usize = 256;

/// The side of a convolution's window.
const KERNEL: usize = 3;

/// What a run of a case varies.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `cluster.shards`
    pub shards: usize,
    /// `cluster.wire`
    pub wire: Wire,
    /// `cluster.kernel`
    pub kernel: String,
    /// Steps that are timed.
    pub steps: usize,
}

/// A layer's product for one row: \[places, terms\] times \[terms, outputs\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// 1 in a linear layer, pixels in a convolution.
    pub places: usize,
    /// Inputs that an output is made of.
    pub terms: usize,
    /// Outputs, or channels of them.
    pub outputs: usize,
}

impl Case {
    /// The case of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Each layer's product, from inputs to outputs.
    pub fn products(&self) -> Vec<Product> {
        let mut products = Vec::new();
        let (mut side, mut before) = (self.side().unwrap_or(0), 1);
        for &outputs in self.channels {
            products.push(Product { places: side * side, terms: KERNEL * KERNEL * before, outputs });
            (side, before) = (side / 2, outputs);
        }
        let linear = self.widths.iter().zip(self.widths.iter().skip(1));
        products.extend(linear.map(|(&terms, &outputs)| Product { places: 1, terms, outputs }));
        products
    }

    /// Values in a row: convolutions halve the sides of what they are given.
    pub fn inputs(&self) -> usize {
        let flat = self.widths.first().copied().unwrap_or(0);
        self.channels.last().map_or(flat, |last| (flat / last) << (2 * self.channels.len()))
    }

    pub(super) fn classes(&self) -> usize {
        self.widths.last().copied().unwrap_or(0).max(2)
    }

    /// Square images with a byte a label, where the case's widths allow it.
    fn side(&self) -> Option<usize> {
        let side = self.inputs().isqrt();
        (side * side == self.inputs() && self.classes() <= MOST_IDX_CLASSES && side > 8).then_some(side)
    }

    /// Rows in the file.
    fn rows(&self) -> usize {
        // Every class must be there.
        self.classes().max(BATCHES * self.batch)
    }

    /// Steps of a run of which so many are to be timed: whole epochs.
    pub(super) fn steps_in_file(&self, steps: usize) -> usize {
        let epoch = self.rows().div_ceil(self.batch);
        (steps + WARM_UP).div_ceil(epoch) * epoch
    }

    /// Writes rows and run file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &Path, settings: &Settings) -> io::Result<()> {
        let data = match self.side() {
            Some(side) => {
                rows::write_images(folder, self.rows(), side, self.classes())?;
                "train = { images = \"images.idx\", labels = \"labels.idx\" }"
            }
            None => {
                rows::write_table(folder, self.rows(), self.inputs(), self.classes())?;
                "train = \"rows.csv\"\ntarget = \"label\""
            }
        };
        let loss = if self.classes() > 2 { "cross_entropy" } else { "binary_cross_entropy" };
        let (Self { name, batch, .. }, Settings { shards, kernel, .. }) = (self, settings);
        let wire = if settings.wire == Wire::Bf16 { "bf16" } else { "f32" };
        let epochs = self.steps_in_file(settings.steps) / self.rows().div_ceil(self.batch);
        let run = format!(
            "name = \"{name}\"\n\n[data]\n{data}\n\n[model]\nloss = \"{loss}\"\nlayers = [{}]\n\n[train]\n\
             epochs = {epochs}\nbatch_size = {batch}\noptimizer = {{ sgd = {{ lr = 0.01, momentum = 0.9 }} }}\n\n\
             [cluster]\nshards = {shards}\nkernel = \"{kernel}\"\nwire = \"{wire}\"\n\n[checkpoint]\n\
             every_steps = 1000000\n",
            self.layers()
        );
        std::fs::write(folder.join("run.toml"), run)
    }

    /// As in a run file.
    fn layers(&self) -> String {
        let mut layers: Vec<String> = Vec::new();
        for channels in self.channels {
            layers.extend([
                format!("{{ conv2d = {channels} }}"),
                "\"relu\"".into(),
                "{ max_pool = 2 }".into(),
            ]);
        }
        if self.side().is_some() {
            layers.push("\"flatten\"".into());
        }
        let linear = self.widths.iter().skip(1).map(|outputs| format!("{{ linear = {outputs} }}"));
        layers.push(linear.collect::<Vec<_>>().join(", \"relu\", "));
        layers.join(", ")
    }
}

/// A step on one row of one number, with one parameter: what is left of a step without arithmetic.
///
/// # Errors
/// The system refuses.
pub fn write_smallest(folder: &Path, steps: usize) -> io::Result<()> {
    std::fs::write(folder.join("rows.csv"), "x,y\n1,2\n2,5\n3,5\n4,9\n")?;
    let epochs = (steps + WARM_UP).div_ceil(4);
    let run = format!(
        "name = \"smallest\"\n\n[data]\ntrain = \"rows.csv\"\ntarget = \"y\"\n\n[model]\n\
         loss = \"mean_squared_error\"\nlayers = [{{ linear = {{ outputs = 1, bias = false }} }}]\n\n[train]\n\
         epochs = {epochs}\nbatch_size = 1\noptimizer = {{ sgd = {{ lr = 0.01 }} }}\n\n[cluster]\nshards = 1\n\n\
         [checkpoint]\nevery_steps = 1000000\n"
    );
    std::fs::write(folder.join("run.toml"), run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_layers() {
        let cnn = Case::named("cnn").unwrap();
        assert_eq!((cnn.inputs(), cnn.side()), (784, Some(28)));
        let product = |places, terms, outputs| Product { places, terms, outputs };
        assert_eq!(
            cnn.products(),
            [product(784, 9, 32), product(196, 288, 64), product(1, 3136, 128), product(1, 128, 10)]
        );
        assert_eq!(Case::named("tab").unwrap().products()[0], product(1, 32, 128));
    }
}
