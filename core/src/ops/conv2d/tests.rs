use super::*;
use crate::ops::check::{close, differences, values, widened};
use crate::ops::transpose::transpose;

/// (y, dw, db, dx) for dL/dy = dy.
fn run<T: Float>(conv: &Conv2d, [w, b, x, dy]: [&[T]; 4]) -> [Vec<T>; 4] {
    let nan = |len| vec![T::from_f64(f64::NAN); len];
    let (mut y, mut dw, mut db, mut dx) = (nan(dy.len()), nan(w.len()), nan(b.len()), nan(x.len()));
    let mut scratch = Scratch::default();
    forward(conv, w, Some(b), x, &mut y, &mut scratch);
    backward(conv, dy, w, x, &mut dw, Some(&mut db), Some(&mut dx), &mut scratch);
    // The first layer's input gradient is not wanted; the others are the same.
    let mut alone = nan(w.len());
    backward(conv, dy, w, x, &mut alone, None, None, &mut scratch);
    assert_eq!(alone, dw);
    [y, dw, db, dx]
}

fn conv(
    [channels, height, width]: [usize; 3],
    outputs: usize,
    [kernel, stride, padding]: [usize; 3],
) -> Conv2d {
    Conv2d { window: Window { channels, height, width, kernel, stride, padding }, outputs }
}

const ROWS: usize = 3;

fn shapes() -> [Conv2d; 7] {
    [
        conv([1, 1, 1], 1, [1, 1, 0]),
        conv([1, 5, 4], 3, [3, 1, 1]),
        conv([2, 4, 6], 2, [2, 2, 0]),
        conv([3, 6, 5], 4, [3, 2, 2]),
        conv([9, 3, 4], 8, [1, 1, 0]),
        conv([8, 5, 5], 2, [5, 3, 1]),
        conv([2, 2, 3], 2, [1, 1, 2]),
    ]
}

fn arguments<T: Float>(conv: &Conv2d) -> [Vec<T>; 4] {
    let window = conv.window;
    let of = |len, seed| values(len, seed, 1.0);
    [
        of(conv.outputs * window.area(), 1),
        of(conv.outputs, 2),
        of(ROWS * window.picture(), 3),
        of(ROWS * window.places() * conv.outputs, 4),
    ]
}

/// Term by term.
fn defined(conv: &Conv2d, w: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let Window { channels, height, width, kernel, stride, padding } = conv.window;
    let (lines, columns) = (conv.window.lines(), conv.window.columns());
    let mut y = Vec::new();
    for place in 0..x.len() / conv.window.picture() * lines * columns {
        let (picture, line, column) = (place / columns / lines, place / columns % lines, place % columns);
        for output in 0..conv.outputs {
            let mut sum = b[output];
            for (tap, w) in
                w[output * channels * kernel * kernel..].iter().take(channels * kernel * kernel).enumerate()
            {
                let (channel, i, j) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                let (i, j) =
                    ((line * stride + i).wrapping_sub(padding), (column * stride + j).wrapping_sub(padding));
                if i < height && j < width {
                    sum += w * x[((picture * height + i) * width + j) * channels + channel];
                }
            }
            y.push(sum);
        }
    }
    y
}

#[test]
fn forward_follows_its_definition() {
    // The last is cut into several blocks, the last of them shorter.
    for conv in shapes().into_iter().chain([conv([40, 30, 9], 10, [5, 1, 2])]) {
        let [w, b, x, dy] = arguments::<f64>(&conv);
        let [y, ..] = run(&conv, [&w, &b, &x, &dy]);
        close("y", &y, &defined(&conv, &w, &b, &x), 1e-12);
    }
}

#[test]
fn gradients_are_those_of_differences() {
    for conv in shapes() {
        let [w, b, x, dy] = arguments::<f64>(&conv);
        let [_, dw, db, dx] = run(&conv, [&w, &b, &x, &dy]);
        let loss = |w: &[f64], b: &[f64], x: &[f64]| {
            let mut y = vec![0.0; dy.len()];
            forward(&conv, w, Some(b), x, &mut y, &mut Scratch::default());
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        differences("dw", &w, &dw, |w| loss(w, &b, &x));
        differences("db", &b, &db, |b| loss(&w, b, &x));
        differences("dx", &x, &dx, |x| loss(&w, &b, x));
    }
}

/// The convolution is linear in each argument, so the gradients of many blocks are known from forward:
/// ⟨dy, conv(w, x)⟩ = ⟨dw, w⟩ = ⟨dx, x⟩ without bias.
#[test]
fn blocks_add_up() {
    let conv = conv([40, 30, 9], 10, [5, 1, 2]);
    assert!(conv.blocks(ROWS * conv.window.places() * conv.outputs).count() > ROWS);
    let [w, b, x, dy] = arguments::<f64>(&conv);
    let zero = vec![0.0; b.len()];
    let [y, dw, db, dx] = run(&conv, [&w, &zero, &x, &dy]);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let expected = dot(&y, &dy);
    close("sums", &[dot(&dw, &w), dot(&dx, &x)], &[expected; 2], 1e-10);
    let by_hand = (0..10).map(|o| dy.iter().skip(o).step_by(10).sum()).collect::<Vec<f64>>();
    close("db", &db, &by_hand, 1e-12);
}

#[test]
fn blocks_cover_every_place() {
    let conv = conv([40, 30, 9], 10, [5, 1, 2]);
    for places in [0, 1, 64, 129, 130, 270, 1000] {
        let blocks: Vec<Range<usize>> = conv.blocks(places * 10).collect();
        assert!(blocks.iter().all(|block| block.len() <= BLOCK / 1010));
        assert_eq!(blocks.into_iter().flatten().collect::<Vec<_>>(), (0..places).collect::<Vec<_>>());
    }
}

#[test]
fn f32_agrees_with_f64() {
    for conv in shapes().into_iter().chain([conv([16, 14, 14], 12, [3, 1, 1])]) {
        let (narrow, wide) = (arguments::<f32>(&conv), arguments::<f64>(&conv));
        let narrow = run(&conv, narrow.each_ref().map(Vec::as_slice));
        let wide = run(&conv, wide.each_ref().map(Vec::as_slice));
        for (narrow, wide) in narrow.iter().zip(&wide) {
            close("conv2d", &widened(narrow), wide, 1e-5);
        }
    }
}

/// What was left by a larger convolution is never read.
#[test]
fn scratch_is_room_alone() {
    let [small, large] = [conv([1, 5, 4], 3, [3, 1, 1]), conv([8, 5, 5], 7, [5, 3, 1])];
    let mut scratch = Scratch::default();
    let [w, _, x, dy] = arguments::<f32>(&large);
    backward(&large, &dy, &w, &x, &mut vec![0.0; w.len()], None, None, &mut scratch);
    let [w, b, x, dy] = arguments::<f32>(&small);
    let mut y = vec![f32::NAN; dy.len()];
    forward(&small, &w, Some(&b), &x, &mut y, &mut scratch);
    assert_eq!(y, run(&small, [&w, &b, &x, &dy])[0]);
}

// import torch
// torch.set_default_dtype(torch.float64)
// w = torch.arange(24.).reshape(2, 3, 2, 2).sub(11).div(8).requires_grad_()
// b = torch.tensor([0.5, -1.], requires_grad=True)
// x = torch.arange(36.).mul(7).remainder(13).sub(6).div(4).reshape(1, 3, 3, 4).requires_grad_()
// y = torch.nn.functional.conv2d(x, w, b, stride=2, padding=1)
// y.backward(torch.arange(12.).sub(5).reshape(y.shape))
// for t in (y, w.grad, b.grad, x.grad): print(t.flatten().tolist())
#[test]
fn golden() {
    let conv = conv([3, 3, 4], 2, [2, 2, 1]);
    let to_last = |x: &[f64], channels: usize| {
        let mut y = vec![0.0; x.len()];
        transpose(x, &mut y, channels, x.len() / channels);
        y
    };
    let w: Vec<f64> = (0..24).map(|i| (f64::from(i) - 11.0) / 8.0).collect();
    let x: Vec<f64> = (0..36).map(|i| (f64::from(i * 7 % 13) - 6.0) / 4.0).collect();
    let dy: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
    let [y, dw, db, dx] = run(&conv, [&w, &[0.5, -1.0], &to_last(&x, 3), &to_last(&dy, 2)]);
    let expected =
        [2.0, 2.28125, 0.6875, 1.6875, -0.8125, -2.1875, 0.5, -4.84375, -1.5625, -2.8125, -0.0625, 1.5625];
    assert_eq!(y, to_last(&expected, 2));
    let expected = [
        -0.75, 2.75, -3.75, 13.75, 1.0, -1.75, 10.25, -4.25, -0.5, 3.5, -1.75, 0.5, 9.75, -7.75, 17.25,
        -7.25, -9.5, 5.75, -10.75, 10.75, 7.0, -10.0, 13.25, -7.0,
    ];
    assert_eq!(dw, expected);
    assert_eq!(db, [-15.0, 21.0]);
    let expected = [
        5.5, 5.25, 5.0, 4.5, 3.5, 2.0, 2.5, 0.75, 4.0, 3.0, 3.5, 2.25, 3.5, 4.25, 4.0, 4.5, 4.5, 4.0, 4.5,
        3.75, 5.0, 5.0, 5.5, 5.25, 1.5, 3.25, 3.0, 4.5, 5.5, 6.0, 6.5, 6.75, 6.0, 7.0, 7.5, 8.25,
    ];
    assert_eq!(dx, to_last(&expected, 3));
}
