//! Run files for tests, on the digits of `examples/`.

use std::path::{Path, PathBuf};

/// What a test's run varies; everything else is small.
#[derive(Clone, Debug)]
pub struct RunFile {
    /// `shards`
    pub shards: u32,
    /// `batch_size`; 1,437 rows are no multiple of any.
    pub batch: u32,
    /// `wire`
    pub wire: &'static str,
    /// Whether the gradient is clipped: then the update waits for all of it.
    pub clip: bool,
    /// `layers`, of which the last gives 10 values.
    pub layers: &'static str,
    /// Whether rows and classes have weights: those of a pixel, 0 to 16, times balanced ones.
    pub weights: bool,
    /// Whether some pixels are categories with vectors.
    pub embeddings: bool,
    /// `optimizer`
    pub optimizer: &'static str,
    /// `epochs`
    pub epochs: u32,
    /// Steps between two checkpoints.
    pub every_steps: u32,
    /// Milliseconds between two signs of life.
    pub heartbeat_ms: u32,
    /// `min_workers`
    pub min_workers: u32,
}

impl Default for RunFile {
    fn default() -> Self {
        Self {
            shards: 8,
            batch: 128,
            wire: "f32",
            clip: false,
            layers: Self::PLAIN,
            weights: false,
            embeddings: false,
            optimizer: "{ adamw = { lr = 3e-3 } }",
            epochs: 2,
            every_steps: 200,
            heartbeat_ms: 1000,
            min_workers: 1,
        }
    }
}

impl RunFile {
    /// With dropout and a width that no vector register divides.
    const PLAIN: &str = r#"[{ linear = 33 }, "relu", { dropout = 0.2 }, { linear = 10 }]"#;

    /// With running statistics too, also within a residual block.
    pub const NORMALISED: &str = r#"["batch_norm", { linear = 33 }, { batch_norm = { momentum = 0.2 } }, "relu",
    { residual = [{ linear = 33 }, { batch_norm = { affine = false } }, "relu", { dropout = 0.2 }] }, { linear = 10 }]"#;

    /// Steps of some milliseconds, checkpoints of some megabytes.
    pub const WIDE: &str =
        r#"[{ linear = 256 }, "batch_norm", "relu", { linear = 256 }, "relu", { linear = 10 }]"#;

    /// The validation rows.
    pub fn validation() -> PathBuf {
        example("digits-test.csv")
    }

    /// The text.
    pub fn text(&self) -> String {
        let Self {
            shards,
            batch,
            wire,
            clip,
            layers,
            weights,
            embeddings,
            optimizer,
            epochs,
            every_steps,
            heartbeat_ms,
            min_workers,
        } = self;
        let (train, validation) = (example("digits-train.csv"), Self::validation());
        let (weight, class_weights) = match weights {
            true => (", weight = \"pixel_2_4\"", "class_weights = \"balanced\""),
            false => ("", ""),
        };
        let columns = if *embeddings {
            ", columns = { pixel_3_3 = { categorical = { embedding = 5 } }, \
             pixel_4_4 = { categorical = { embedding = 3, most = 4 } } }"
        } else {
            ""
        };
        let clip = if *clip { "clip_norm = 0.5" } else { "" };
        format!(
            r#"
name = "test"
seed = 3
data = {{ train = {train:?}, validation = {validation:?}, target = "label"{weight}{columns} }}

[model]
loss = "cross_entropy"
layers = {layers}

[train]
epochs = {epochs}
batch_size = {batch}
optimizer = {optimizer}
schedule = {{ cosine = {{ warmup_steps = 5 }} }}
{clip}
{class_weights}

[cluster]
shards = {shards}
wire = {wire:?}
heartbeat_ms = {heartbeat_ms}
min_workers = {min_workers}

[checkpoint]
every_steps = {every_steps}
"#
        )
    }
}

/// A file of `examples/`.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}
