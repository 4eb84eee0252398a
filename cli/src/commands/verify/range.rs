//! `--steps A..B`

use std::str::FromStr;

/// Steps after W(from) up to W(to); an end that is not given is that of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    pub from: Option<u64>,
    pub to: Option<u64>,
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: expected A..B, such as 200..400, 200.. or ..400");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let end = |text: &str| match text {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| wrong()),
        };
        let steps = Self { from: end(from)?, to: end(to)? };
        if steps.to.is_some_and(|to| steps.from.unwrap_or(0) >= to) {
            return Err(format!("{text:?}: there is no step between them"));
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_may_be_left_out() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| (steps.from, steps.to));
        assert_eq!(steps("200..400"), Ok((Some(200), Some(400))));
        assert_eq!(steps("200.."), Ok((Some(200), None)));
        assert_eq!(steps("..7"), Ok((None, Some(7))));
        assert_eq!(steps(".."), Ok((None, None)));
        for wrong in ["", "3", "4..4", "5..4", "..0", "a..b", "1...3", "-1..3"] {
            assert!(steps(wrong).is_err(), "{wrong}");
        }
    }
}
