//! Channels first, as PyTorch and the data have pictures, or last, as the window operations take them.

use crate::Float;

/// Side of the tiles in which values are moved, so that both sides of a tile stay in the nearest cache.
const TILE: usize = 16;

/// Overwrites y \[rows, columns, lines\] with the transposes of x \[rows, lines, columns\]; backward is the
/// same with `lines` and `columns` exchanged.
pub fn transpose<T: Float>(x: &[T], y: &mut [T], lines: usize, columns: usize) {
    let size = (lines * columns).max(1);
    for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)) {
        for top in (0..lines).step_by(TILE) {
            for left in (0..columns).step_by(TILE) {
                for column in left..(left + TILE).min(columns) {
                    let y = &mut y[column * lines + top..][..TILE.min(lines - top)];
                    let x = x[top * columns + column..].iter().step_by(columns);
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = *x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let mut y = [0.0; 12];
        transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0], &mut y, 2, 3);
        assert_eq!(y, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 11.0, 14.0, 12.0, 15.0, 13.0, 16.0]);
    }

    #[test]
    fn there_and_back_through_tiles() {
        for (lines, columns) in [(1, 5), (17, 33), (16, 16), (40, 3)] {
            let x: Vec<f32> = (0..2 * lines * columns).map(|i| i as f32).collect();
            let (mut y, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            transpose(&x, &mut y, lines, columns);
            transpose(&y, &mut back, columns, lines);
            assert_eq!(back, x);
            assert_eq!(y[lines * columns - 1], x[lines * columns - 1]);
        }
    }
}
