//! Dates and times: as text, and as a place in the year, the week and the day.

use std::f64::consts::TAU;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use lockstep_core::run::spec::Part;

use crate::Cell;

/// ISO 8601 with or without a time; with a zone, in UTC.
const ISO: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// The point in time that a cell is, or spells in this format.
pub(crate) fn time(cell: Cell<'_>, format: Option<&str>) -> Option<NaiveDateTime> {
    match (cell, format) {
        (Cell::Time(time), _) => Some(time),
        (Cell::Text(text), None) => iso(text),
        (cell @ (Cell::Text(_) | Cell::Whole(_)), Some(format)) => {
            let text = cell.spelled();
            let date =
                || NaiveDate::parse_from_str(&text, format).ok().map(|date| date.and_time(NaiveTime::MIN));
            NaiveDateTime::parse_from_str(&text, format).ok().or_else(date)
        }
        _ => None,
    }
}

fn iso(text: &str) -> Option<NaiveDateTime> {
    // Most columns are no dates: one look spares five attempts.
    if !text.as_bytes().first_chunk::<5>().is_some_and(|head| head[4] == b'-' && head[0].is_ascii_digit()) {
        return None;
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(NaiveTime::MIN));
    }
    ISO.iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.naive_utc()))
}

/// Whether chrono can read text by this format.
pub(crate) fn is_format(format: &str) -> bool {
    !StrftimeItems::new(format).any(|item| matches!(item, Item::Error))
}

/// Days since 1970.
pub(crate) fn days(time: NaiveDateTime) -> f64 {
    let time = time.and_utc();
    (time.timestamp() as f64 + f64::from(time.timestamp_subsec_micros()) / 1e6) / 86_400.0
}

/// Sine and cosine of the place in the year, week or day. Weekdays are whole, so that Monday is one place.
pub(crate) fn circle(time: NaiveDateTime, part: Part) -> [f32; 2] {
    let day = f64::from(time.num_seconds_from_midnight()) / 86_400.0;
    let share = match part {
        Part::Year => {
            (f64::from(time.ordinal0()) + day) / if time.date().leap_year() { 366.0 } else { 365.0 }
        }
        Part::Week => f64::from(time.weekday().num_days_from_monday()) / 7.0,
        Part::Day | Part::Elapsed => day,
    };
    [libm::sin(TAU * share) as f32, libm::cos(TAU * share) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_places() {
        let at = |text: &str| time(Cell::Text(text), None);
        assert_eq!(at("1970-01-02").map(days), Some(1.0));
        assert_eq!(at("1970-01-01 12:00").map(days), Some(0.5));
        assert_eq!(at("1970-01-01T12:00:00.5").map(days), Some(0.5 + 0.5 / 86_400.0));
        assert_eq!(at("1970-01-01T01:00:00+01:00").map(days), Some(0.0));
        for text in ["2020", "2020-13-01", "2020-1", "", "é2020-01-01", "20200101"] {
            assert_eq!(at(text), None, "{text}");
        }
        let german = |cell| time(cell, Some("%d.%m.%Y %H:%M")).map(days);
        assert_eq!(german(Cell::Text("02.01.1970 06:00")), Some(1.25));
        assert_eq!(time(Cell::Whole(19700103), Some("%Y%m%d")).map(days), Some(2.0));
        assert!(is_format("%d.%m.%Y") && !is_format("%Q") && !is_format("%"));

        // A Thursday, a quarter of a day old.
        let time = at("1970-01-01 06:00").unwrap();
        assert_eq!(circle(time, Part::Day), [1.0, libm::cos(TAU / 4.0) as f32]);
        let week = libm::sin(TAU * 3.0 / 7.0) as f32;
        assert_eq!(circle(time, Part::Week)[0], week);
        assert_eq!(circle(time, Part::Year)[0], libm::sin(TAU * 0.25 / 365.0) as f32);
    }
}
