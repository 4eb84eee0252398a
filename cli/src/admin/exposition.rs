//! Prometheus' text format, version 0.0.4.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

/// Metrics as text, a family after the other.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// What a family's numbers are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// It never falls while the process lives.
    Counter,
    /// It rises and falls.
    Gauge,
}

impl Exposition {
    /// A family of one number without labels.
    pub(super) fn single(&mut self, kind: Type, name: &str, help: &str, value: impl Into<f64>) {
        self.family(kind, name, help, [(&[][..], value.into())]);
    }

    /// A family whose numbers differ in one label.
    pub(super) fn labelled<'a>(
        &mut self,
        kind: Type,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.head(kind, name, help);
        for (of, value) in values {
            self.sample(name, &[(label, of)], value);
        }
    }

    /// A family whose one number is 1, and whose labels say something.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.family(Type::Gauge, name, help, [(labels, 1.0)]);
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn family<'a>(
        &mut self,
        kind: Type,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], f64)>,
    ) {
        self.head(kind, name, help);
        for (labels, value) in samples {
            self.sample(name, labels, value);
        }
    }

    fn head(&mut self, kind: Type, name: &str, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        // A String can be written to.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let opening = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{opening}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let value = match value {
            value if value == f64::INFINITY => "+Inf".into(),
            value if value == f64::NEG_INFINITY => "-Inf".into(),
            value => value.to_string(),
        };
        let _ = writeln!(self.0, " {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_its_description() {
        let mut text = Exposition::default();
        text.single(Type::Counter, "a_total", "Things.", 7_u32);
        text.labelled(Type::Gauge, "b", "Others.", "of", [("x", 0.5), ("y", f64::INFINITY), ("z", f64::NAN)]);
        text.info("c_info", "What.", &[("name", "a \"b\"\\\n"), ("other", "")]);
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 7\n\
                        # HELP b Others.\n# TYPE b gauge\nb{of=\"x\"} 0.5\nb{of=\"y\"} +Inf\nb{of=\"z\"} NaN\n\
                        # HELP c_info What.\n# TYPE c_info gauge\nc_info{name=\"a \\\"b\\\"\\\\\\n\",other=\"\"} 1\n";
        assert_eq!(text.finish(), expected);
    }
}
