//! Metrics of two classes that need all predictions at once.

/// The area under the ROC curve: the probability that a positive row has a higher score than a negative
/// one, ties counting half. `None` without rows of both classes or with a score that is not a number.
///
/// By ranks, ties sharing their mean (Mann and Whitney 1947). Scores and classes are paired as far as
/// both reach.
pub fn roc_auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    let positives = rows.iter().filter(|row| row.1).count();
    let negatives = rows.len() - positives;
    if positives == 0 || negatives == 0 || rows.iter().any(|row| row.0.is_nan()) {
        return None;
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    // In halves, so that sums of ranks stay whole numbers.
    let (mut rank_sum, mut before) = (0_u128, 0_u128);
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let (len, hits) = (tied.len() as u128, tied.iter().filter(|row| row.1).count() as u128);
        rank_sum += hits * (2 * before + len + 1);
        before += len;
    }
    let (positives, negatives) = (positives as u128, negatives as u128);
    let above = rank_sum - positives * (positives + 1);
    Some(above as f64 / (2 * positives * negatives) as f64)
}

/// The mean of -ln p(class of the row), p being the probability of the positive class; `None` without
/// rows. Probabilities are kept 2⁻⁵² away from 0 and 1, as scikit-learn does in f64.
pub fn log_loss(probabilities: &[f64], positive: &[bool]) -> Option<f64> {
    let rows = probabilities.len().min(positive.len());
    let losses = probabilities.iter().zip(positive).map(|(probability, positive)| {
        let p = probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -libm::log(if *positive { p } else { 1.0 - p })
    });
    (rows > 0).then(|| losses.sum::<f64>() / rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of scikit-learn's `roc_auc_score` (0.75) and `log_loss` (0.21616…, which is
    /// -(2 ln 0.9 + ln 0.8 + ln 0.65) / 4), and ties by hand.
    #[test]
    fn values_of_scikit_learn() {
        let positive = [false, false, true, true];
        assert_eq!(roc_auc(&[0.1, 0.4, 0.35, 0.8], &positive), Some(0.75));
        assert_eq!(roc_auc(&[0.5, 0.2, 0.5, 0.2], &positive), Some(0.5));
        assert_eq!(roc_auc(&[0.0, -0.0, 1.0, 0.0], &positive), Some(0.75));
        let loss = log_loss(&[0.9, 0.1, 0.2, 0.65], &[true, false, false, true]).unwrap();
        assert!((loss - 0.21616187468057912).abs() < 1e-15, "{loss}");
        assert!(log_loss(&[0.0], &[true]).unwrap() < 37.0);
    }

    #[test]
    fn what_is_undefined_is_absent() {
        assert_eq!(roc_auc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(roc_auc(&[0.1, f64::NAN], &[true, false]), None);
        assert_eq!(log_loss(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn auc_counts_the_pairs(rows in proptest::collection::vec((0u8..9, any::<bool>()), 2..40)) {
            let (scores, positive): (Vec<f64>, Vec<bool>) =
                rows.iter().map(|(score, positive)| (f64::from(*score), *positive)).unzip();
            let mut won = (0.0, 0.0);
            for (a, _) in rows.iter().filter(|row| row.1) {
                for (b, _) in rows.iter().filter(|row| !row.1) {
                    won.0 += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                    won.1 += 1.0;
                }
            }
            match roc_auc(&scores, &positive) {
                Some(auc) => prop_assert!((auc - won.0 / won.1).abs() < 1e-12),
                None => prop_assert_eq!(won.1, 0.0),
            }
        }
    }
}
