//! The optimizer's file: `layers.0.weight.exp_avg`, `layers.0.weight.exp_avg_sq`, `layers.0.bias.exp_avg`
//! and so on, and nothing of running statistics: in parameter order, and of each parameter in the order of the optimizer's moments. The
//! digest takes them in the same order.

use lockstep_core::layout::Layout;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::spec;
use lockstep_core::tensors::{Tensor, View};

use super::error::Damage;
use super::model_file::check;

/// The tensors' names, in order.
pub(super) fn names(layout: &Layout, moments: &[&str]) -> Vec<String> {
    let of = |tensor: &lockstep_core::layout::Tensor| {
        let name = tensor.name.clone();
        moments.iter().map(move |moment| format!("{name}.{moment}")).collect::<Vec<_>>()
    };
    layout.parameters().iter().flat_map(of).collect()
}

/// The moments by name, in order; `names` are those of [`names`].
pub(super) fn views<'a>(layout: &'a Layout, names: &'a [String], moments: &[&'a [f32]]) -> Vec<View<'a>> {
    let of = |tensor: &'a lockstep_core::layout::Tensor| {
        moments.iter().map(move |values| {
            (tensor.shape.as_slice(), values.get(tensor.range.clone()).unwrap_or_default())
        })
    };
    let parts = layout.parameters().iter().flat_map(of);
    names.iter().zip(parts).map(|(name, (shape, data))| View { name, shape, data }).collect()
}

/// The optimizer that these tensors are the state of.
pub(super) fn restored(
    layout: &Layout,
    spec: spec::Optimizer,
    found: &[Tensor],
) -> Result<Optimizer<f32>, Damage> {
    let mut optimizer = Optimizer::new(spec, layout.trained());
    let moments: Vec<&str> = optimizer.state().map(|(name, _)| name).collect();
    let names = names(layout, &moments);
    let shapes =
        layout.parameters().iter().flat_map(|tensor| moments.iter().map(|_| tensor.shape.as_slice()));
    check(found, names.iter().map(String::as_str).zip(shapes))?;
    for (index, (_, values)) in optimizer.state_mut().enumerate() {
        let own = found.iter().skip(index).step_by(moments.len());
        for (tensor, saved) in layout.parameters().iter().zip(own) {
            if let Some(values) = values.get_mut(tensor.range.clone()) {
                values.copy_from_slice(&saved.data);
            }
        }
    }
    Ok(optimizer)
}
