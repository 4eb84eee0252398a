//! What commands print: to stdout, for people as tables or for programs as JSON.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use lockstep_core::layout::Layout;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Prints a text. A reader that has seen enough, such as `head`, is no failure.
///
/// # Errors
/// Stdout cannot be written.
pub fn text(text: &str) -> Result<(), Failure> {
    written(io::stdout().write_all(text.as_bytes()))
}

/// Prints one JSON value.
///
/// # Errors
/// Stdout cannot be written.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    text(&(json + "\n"))
}

/// Says something on stderr. There is nobody to tell if that cannot be written.
pub fn note(text: impl Display) {
    say("INFO", text);
}

/// Says on stderr why a command has not finished.
pub fn failure(failure: &Failure) {
    say(failure.level(), failure);
}

fn say(level: &str, text: impl Display) {
    if STRUCTURED.load(Ordering::Relaxed) {
        let message = Value::String(text.to_string());
        let _ = writeln!(io::stderr(), "{}", line(level, Map::from_iter([("message".to_owned(), message)])));
    } else {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Whether stderr is for programs.
static STRUCTURED: AtomicBool = AtomicBool::new(false);

/// From now on each line on stderr is a JSON object.
pub fn structured() {
    STRUCTURED.store(true, Ordering::Relaxed);
}

/// A log line for programs: when, how grave, and these fields.
pub fn line(level: &str, mut fields: Map<String, Value>) -> Value {
    let time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    fields.insert("time".to_owned(), time.into());
    fields.insert("level".to_owned(), level.into());
    Value::Object(fields)
}

/// What became of writing to stdout.
///
/// # Errors
/// It could not be written, for another reason than that nobody reads on.
pub fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// How large a model is: what is trained, and what is not.
pub fn size(layout: &Layout) -> String {
    let (trained, all) = (layout.trained() as u64, layout.len() as u64);
    match all - trained {
        0 => count(trained),
        statistics => format!("{}, and {} running statistics", count(trained), count(statistics)),
    }
}

/// Rows of cells in aligned columns; the first column to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Names and values, a line each; values to the left.
pub fn list(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 MiB`
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{number} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "rows"], ["längst", "7"], ["b", ""]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "a       rows\nlängst     7\nb\n");
        assert_eq!(list(&[("a", "x".into()), ("bcd", "y".into())]), "a    x\nbcd  y\n");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let all = [0, 1023, 1536, 5 << 20, u64::MAX].map(bytes);
        assert_eq!(all, ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 MiB", "16777216.0 TiB"]);
    }
}
