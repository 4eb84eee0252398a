use super::*;

fn gradient<T: Float>(step: u64, len: usize) -> Vec<T> {
    (0..len as i64).map(|i| T::from_f64(((3 * i + 5 * step as i64) % 7 - 3) as f64 / 4.0)).collect()
}

/// Some steps on weights of which each step updates the chunks that `cut` gives.
fn trained<T: Float>(
    spec: spec::Optimizer,
    start: &[f64],
    steps: u64,
    cut: &[usize],
) -> (Vec<T>, Optimizer<T>) {
    let mut optimizer = Optimizer::new(spec, start.len());
    let mut weights: Vec<T> = start.iter().copied().map(T::from_f64).collect();
    for step in 0..steps {
        let gradient = gradient(step, start.len());
        let mut next = weights.clone();
        let mut ends = cut.to_vec();
        ends.push(start.len());
        let mut from = 0;
        for end in ends {
            let range = from..end;
            let lr = optimizer.learning_rate();
            optimizer.update(
                range.clone(),
                step,
                lr,
                &gradient[range.clone()],
                &weights[range.clone()],
                &mut next[range],
            );
            from = end;
        }
        weights = next;
    }
    (weights, optimizer)
}

fn distance<A: Float, B: Float>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).abs()).fold(0.0, f64::max)
}

/// Optimizer, weights and moments after five steps from 0.5, -1.25, 2, 0.
///
/// ```python
/// import torch
/// O = torch.optim
/// def run(make):
///     w = torch.tensor([0.5, -1.25, 2.0, 0.0], dtype=torch.float64, requires_grad=True)
///     o = make([w])
///     for t in range(5):
///         w.grad = torch.tensor([((3 * i + 5 * t) % 7 - 3) / 4 for i in range(4)], dtype=torch.float64)
///         o.step()
///     print(w.tolist(), [v.tolist() for k, v in o.state[w].items() if k != "step" and v is not None])
/// run(lambda w: O.SGD(w, lr=0.1, weight_decay=0.01))
/// run(lambda w: O.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.01))
/// run(lambda w: O.SGD(w, lr=0.1, momentum=0.9, nesterov=True))
/// run(lambda w: O.Adam(w, lr=0.01, weight_decay=0.1))
/// run(lambda w: O.AdamW(w, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1))
/// ```
type Case = (spec::Optimizer, [f64; 4], Vec<[f64; 4]>);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
            (
                spec::Optimizer::Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.01 },
                [0.4973052947525745, -1.2687374125562487, 1.9402694803349232, 0.099775324825025],
                vec![],
            ),
            (
                spec::Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.01 },
                [0.6477403766543746, -1.2875498904857487, 1.7422586717921231, 0.273886701235025],
                vec![[0.19680162421125502, 0.1672891135949875, 0.3724277238487702, -0.8012223376002501]],
            ),
            (
                spec::Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.0 },
                [0.6396642499999999, -1.3234200000000003, 1.74042825, 0.34732225],
                vec![[0.17242499999999994, 0.21800000000000003, 0.296825, -0.8057749999999999]],
            ),
            (
                spec::Optimizer::Adam(spec::Adam { lr: 0.01, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.1 }),
                [0.51189825926117, -1.2301281880056267, 1.9673139013892853, 0.02793938852821154],
                vec![[0.03810971101398591, -0.028812663576871143, 0.11083834178885951, -0.07991538583104452], [0.001636829410590534, 0.0009512840887310333, 0.0018936975056741277, 0.001120616341082841]],
            ),
            (
                spec::Optimizer::AdamW(spec::Adam { lr: 0.01, betas: (0.8, 0.99), eps: 1e-6, weight_decay: 0.1 }),
                [0.5111204515287677, -1.2437154532849313, 1.969439334049206, 0.027011011977385948],
                vec![[0.05975999999999998, 0.03479999999999999, 0.035039999999999995, -0.13327999999999998], [0.015929100056250013, 0.009182560000000008, 0.014691101931250013, 0.01100855438125001]],
            ),
    ]
}

const START: [f64; 4] = [0.5, -1.25, 2.0, 0.0];

#[test]
fn steps_are_those_of_pytorch() {
    for (spec, weights, moments) in cases() {
        let (found, optimizer) = trained::<f64>(spec, &START, 5, &[]);
        assert!(distance(&found, &weights) < 1e-13, "{spec:?}: {found:?}");
        let state: Vec<&[f64]> = optimizer.state().map(|(_, values)| values).collect();
        assert_eq!(state.len(), moments.len());
        assert!(state.iter().zip(&moments).all(|(a, b)| distance(a, b) < 1e-13), "{spec:?}: {state:?}");
    }
}

#[test]
fn f32_agrees_with_f64() {
    for (spec, ..) in cases() {
        let start: Vec<f64> = (0..100).map(|i| f64::from(i % 17) / 8.0 - 1.0).collect();
        let (f64s, _) = trained::<f64>(spec, &start, 20, &[]);
        let (f32s, _) = trained::<f32>(spec, &start, 20, &[]);
        assert!(distance(&f32s, &f64s) < 1e-5, "{spec:?}: {}", distance(&f32s, &f64s));
    }
}

#[test]
fn the_cut_does_not_show() {
    let start: Vec<f64> = (0..100).map(|i| f64::from(i % 17) / 8.0 - 1.0).collect();
    for (spec, ..) in cases() {
        let whole = trained::<f32>(spec, &start, 3, &[]);
        assert_eq!(trained::<f32>(spec, &start, 3, &[1, 8, 9, 40, 40, 73]), whole, "{spec:?}");
        assert_eq!(trained::<f32>(spec, &start, 3, &(1..100).collect::<Vec<_>>()), whole, "{spec:?}");
    }
}

/// What is saved and restored goes on as if it had never stopped.
#[test]
fn the_moments_are_the_whole_state() {
    for (spec, ..) in cases() {
        let (weights, saved) = trained::<f32>(spec, &START, 3, &[]);
        let mut restored = Optimizer::new(spec, START.len());
        for ((name, values), (saved_name, saved)) in restored.state_mut().zip(saved.state()) {
            assert_eq!(name, saved_name);
            values.copy_from_slice(saved);
        }
        let (mut a, mut b) = (weights.clone(), weights.clone());
        let gradient = gradient(3, 4);
        saved.clone().update(0..4, 3, 0.1, &gradient, &weights, &mut a);
        restored.update(0..4, 3, 0.1, &gradient, &weights, &mut b);
        assert_eq!(a, b, "{spec:?}");
        assert_ne!(a, weights, "{spec:?}");
    }
}
