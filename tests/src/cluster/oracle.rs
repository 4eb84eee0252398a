//! The run on one thread of the test's own process: what every cluster must equal.

use lockstep_coordinator::assemble;
use lockstep_coordinator::datasets::Datasets;
use lockstep_core::digest::Digest;
use lockstep_core::local::Local;
use lockstep_core::tensors::{self, Tensor, View};
use lockstep_core::{blas, layout, run};
use lockstep_worker::task::{Task, empty};

use super::Site;

/// W and optimizer after the last step.
#[derive(Debug)]
pub struct Oracle {
    /// After the last step.
    pub digest: Digest,
    step: u64,
    model: Vec<Tensor>,
    optimizer: Vec<Tensor>,
}

impl Oracle {
    /// Computes the run of a site.
    pub fn new(site: &Site) -> Self {
        let text = std::fs::read_to_string(site.run_file()).unwrap();
        let run = run::parse(&text, &[]).unwrap();
        assert_eq!((blas::kernel(), blas::threads()), (run.cluster.kernel.clone(), 1), "run it by cargo");
        let rows =
            lockstep_data::load(&run.data, lockstep_data::Goal::of(&run), run.seed, site.folder()).unwrap();
        let rows = Datasets::new(rows);
        let model = assemble::model(&run, &rows).unwrap();
        let step = assemble::total_steps(&run, &rows);
        let mut local = Local::new(run.clone(), model.clone(), step);
        let task = Task::new(&run::to_toml(&run), rows.train, None).unwrap();
        let mut order = task.order();
        for step in 0..step {
            let mut microbatches: Vec<_> = (0..run.cluster.shards)
                .map(|shard| {
                    let mut microbatch = empty();
                    task.load_step(&mut order, step, shard, &mut microbatch).unwrap();
                    microbatch
                })
                .collect();
            local.advance(&mut microbatches);
        }

        let cut = |tensor: &layout::Tensor, name: String, values: &[f32]| Tensor {
            name,
            shape: tensor.shape.clone(),
            data: values[tensor.range.clone()].to_vec(),
        };
        let (layout, mut moments) = (model.layout(), Vec::new());
        let weights: Vec<Tensor> =
            layout.tensors().iter().map(|of| cut(of, of.name.clone(), local.weights())).collect();
        for tensor in layout.parameters() {
            for (moment, values) in local.optimizer().state() {
                moments.push(cut(tensor, format!("{}.{moment}", tensor.name), values));
            }
        }
        let digest = digest(step, &weights, &moments);
        Self { digest, step, model: weights, optimizer: moments }
    }

    /// Whether the site's run has ended with these bits: in its digest, its model, its checkpoint.
    pub fn assert_equal(&self, site: &Site) {
        let results = site.results();
        assert_eq!((results.steps, results.digest), (self.step, self.digest), "{}", site.logs());
        let read =
            |name: &str| tensors::read(&std::fs::read(site.run_dir().join(name)).unwrap()).unwrap().tensors;
        let checkpoint = format!("checkpoint-{}", self.step);
        let (model, optimizer) = (
            read(&format!("{checkpoint}/model.safetensors")),
            read(&format!("{checkpoint}/optimizer.safetensors")),
        );
        for (found, expected) in
            [(&model, &self.model), (&read("model.safetensors"), &self.model), (&optimizer, &self.optimizer)]
        {
            assert!(bits(found) == bits(expected), "tensors differ\n{}", site.logs());
        }
        assert_eq!(digest(self.step, &model, &optimizer), self.digest);
    }
}

fn digest(step: u64, model: &[Tensor], optimizer: &[Tensor]) -> Digest {
    let views: Vec<View<'_>> = model.iter().chain(optimizer).map(Tensor::view).collect();
    Digest::new(step, views)
}

/// Zeros of both signs differ here.
fn bits(tensors: &[Tensor]) -> Vec<(&str, &[usize], Vec<u32>)> {
    let of = |tensor: &Tensor| tensor.data.iter().map(|value| value.to_bits()).collect();
    tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice(), of(tensor))).collect()
}
