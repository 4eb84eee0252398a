//! The known name that somebody probably meant.

/// The candidate most like `found` (Damerau-Levenshtein, case aside), if at most a third of it differs;
/// of equals, the first.
pub fn nearest<'a, S: AsRef<str> + ?Sized + 'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a S>,
) -> Option<&'a str> {
    let lower = found.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let candidate = candidate.as_ref();
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        let longest = lower.chars().count().max(candidate.chars().count());
        // Names of one letter are near only if they are equal but for case.
        let near = distance <= longest.div_ceil(3) && distance < longest.max(1);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["epochs", "batch_size", "optimizer"];
        assert_eq!(nearest("epoch", &known), Some("epochs"));
        assert_eq!(nearest("Batchsize", &known), Some("batch_size"));
        assert_eq!(nearest("optimiser", &known), Some("optimizer"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("Y", &["x", "y"]), Some("y"));
        assert_eq!(nearest("z", &["x", "y"]), None);
    }
}
