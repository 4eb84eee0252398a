//! The networks that are timed, their rows and their run files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A perceptron with ReLU between its layers, SGD with momentum, and the rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// As on the command line.
    pub name: &'static str,
    /// From inputs to outputs; one output: a binary label, and as many classes otherwise.
    pub widths: &'static [usize],
    /// Rows of a step.
    pub batch: usize,
    /// Steps that are timed unless told otherwise.
    pub steps: usize,
}

/// The cases of the design.
pub const CASES: [Case; 4] = [
    Case { name: "tab", widths: &[32, 128, 64, 1], batch: 4096, steps: 100 },
    Case { name: "mlp_small", widths: &[784, 512, 256, 10], batch: 256, steps: 100 },
    Case { name: "mlp_mid", widths: &[784, 2048, 2048, 10], batch: 512, steps: 20 },
    Case { name: "mlp_big", widths: &[1024, 4096, 4096, 1000], batch: 512, steps: 10 },
];

/// Steps before those that are timed.
pub const WARM_UP: usize = 5;

/// Batches in the file: few, since they are read anew for every run.
const BATCHES: usize = 4;

/// Images have one byte a label.
const MOST_IDX_CLASSES: usize = 256;

impl Case {
    /// (inputs, outputs) of each linear layer.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        self.widths.iter().copied().zip(self.widths.iter().copied().skip(1))
    }

    fn inputs(&self) -> usize {
        self.widths.first().copied().unwrap_or(0)
    }

    fn classes(&self) -> usize {
        self.widths.last().copied().unwrap_or(0).max(2)
    }

    /// Square images with a byte a label, where the case's widths allow it.
    fn side(&self) -> Option<usize> {
        let side = self.inputs().isqrt();
        (side * side == self.inputs() && self.classes() <= MOST_IDX_CLASSES && side > 8).then_some(side)
    }

    fn rows(&self) -> usize {
        // Every class must be there.
        self.classes().max(BATCHES * self.batch)
    }

    /// Writes rows and run file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &Path, shards: u32, kernel: &str, steps: usize) -> io::Result<()> {
        let data = match self.side() {
            Some(side) => {
                self.write_images(folder, side)?;
                "train = { images = \"images.idx\", labels = \"labels.idx\" }"
            }
            None => {
                self.write_table(folder)?;
                "train = \"rows.csv\"\ntarget = \"label\""
            }
        };
        let loss = if self.classes() > 2 { "cross_entropy" } else { "binary_cross_entropy" };
        let mut layers: Vec<String> = self.layers().map(|(_, n)| format!("{{ linear = {n} }}")).collect();
        layers = vec![layers.join(", \"relu\", ")];
        if self.side().is_some() {
            layers.insert(0, "\"flatten\"".into());
        }
        let Self { name, batch, .. } = self;
        let epochs = (steps + WARM_UP).div_ceil(self.rows() / batch);
        let run = format!(
            "name = \"{name}\"\n\n[data]\n{data}\n\n[model]\nloss = \"{loss}\"\nlayers = [{}]\n\n[train]\n\
             epochs = {epochs}\nbatch_size = {batch}\noptimizer = {{ sgd = {{ lr = 0.01, momentum = 0.9 }} }}\n\n\
             [cluster]\nshards = {shards}\nkernel = \"{kernel}\"\n\n[checkpoint]\nevery_steps = 1000000\n",
            layers.join(", ")
        );
        std::fs::write(folder.join("run.toml"), run)
    }

    fn write_images(&self, folder: &Path, side: usize) -> io::Result<()> {
        let (rows, mut random) = (self.rows(), Noise(1));
        let mut images = BufWriter::new(File::create(folder.join("images.idx"))?);
        images.write_all(&[0, 0, 8, 3])?;
        for length in [rows, side, side] {
            images.write_all(&(length as u32).to_be_bytes())?;
        }
        for _ in 0..rows * side * side {
            images.write_all(&[(random.next() >> 56) as u8])?;
        }
        images.flush()?;
        let mut labels = BufWriter::new(File::create(folder.join("labels.idx"))?);
        labels.write_all(&[0, 0, 8, 1])?;
        labels.write_all(&(rows as u32).to_be_bytes())?;
        for row in 0..rows {
            labels.write_all(&[(row % self.classes()) as u8])?;
        }
        labels.flush()
    }

    fn write_table(&self, folder: &Path) -> io::Result<()> {
        let mut random = Noise(1);
        let mut table = BufWriter::new(File::create(folder.join("rows.csv"))?);
        for column in 0..self.inputs() {
            write!(table, "x{column},")?;
        }
        writeln!(table, "label")?;
        for row in 0..self.rows() {
            for _ in 0..self.inputs() {
                write!(table, "{},", (random.next() >> 48) as i64 - (1 << 15))?;
            }
            writeln!(table, "{}", row % self.classes())?;
        }
        table.flush()
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

/// Rows without meaning (an LCG): only their number and type are timed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }
}
