//! A column's values in one block: what every format comes down to.
//!
//! Formats differ in how finely they type values. Here the many integer types are one, so are the real
//! ones and those of text, so that the same rows are the same values wherever they were kept. What text
//! cannot spell exactly in 64 bits (decimals, the largest unsigned integers) stays text.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, LargeStringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use chrono::NaiveDateTime;

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, which may spell numbers, dates or truth values.
    Text,
    /// Whole numbers.
    Whole,
    /// Real numbers.
    Real,
    /// True or false.
    Bool,
    /// Dates or points in time.
    Time,
    /// Unsigned bytes of this shape in each row.
    Bytes(Vec<usize>),
    /// What no model takes: lists, structures.
    Other(String),
}

impl Kind {
    pub(crate) fn of(kind: &DataType) -> Self {
        use DataType::*;
        match kind {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => Self::Whole,
            Float16 | Float32 | Float64 => Self::Real,
            Boolean => Self::Bool,
            Date32 | Date64 | Timestamp(..) => Self::Time,
            Utf8 | LargeUtf8 | Utf8View | UInt64 | Null => Self::Text,
            Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => Self::Text,
            Dictionary(_, values) => Self::of(values),
            other => Self::Other(other.to_string()),
        }
    }

    /// As errors name it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Whole => "whole numbers".into(),
            Self::Real => "numbers".into(),
            Self::Bool => "true or false".into(),
            Self::Time => "dates".into(),
            Self::Bytes(sample) => {
                let sizes: Vec<String> = sample.iter().map(ToString::to_string).collect();
                format!("bytes of shape [{}]", sizes.join(", "))
            }
            Self::Other(name) => format!("values of type {name}"),
        }
    }
}

/// A column's values in one block.
#[derive(Clone, Debug)]
pub enum Values {
    /// Text.
    Text(LargeStringArray),
    /// Whole numbers.
    Whole(Int64Array),
    /// Real numbers.
    Real(Float64Array),
    /// True or false.
    Bool(BooleanArray),
    /// Microseconds since 1970.
    Time(TimestampMicrosecondArray),
    /// Bytes, the same number in each row.
    Bytes(FixedSizeBinaryArray),
}

impl Values {
    /// # Errors
    /// The array's type, if it is none that a model takes.
    pub(crate) fn of(array: &ArrayRef) -> Result<Self, String> {
        let as_type = |kind: &DataType| cast(array, kind).map_err(|error| error.to_string());
        if let DataType::Dictionary(_, values) = array.data_type() {
            return Self::of(&as_type(values)?);
        }
        Ok(match Kind::of(array.data_type()) {
            Kind::Text if array.data_type() == &DataType::Null => {
                Self::Text(new_null_array(&DataType::LargeUtf8, array.len()).as_string().clone())
            }
            Kind::Text => Self::Text(as_type(&DataType::LargeUtf8)?.as_string().clone()),
            Kind::Whole => Self::Whole(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Kind::Real => Self::Real(as_type(&DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Kind::Bool => Self::Bool(array.as_boolean().clone()),
            Kind::Time => Self::Time(
                as_type(&DataType::Timestamp(TimeUnit::Microsecond, None))?
                    .as_primitive::<TimestampMicrosecondType>()
                    .clone(),
            ),
            Kind::Bytes(_) | Kind::Other(_) => return Err(array.data_type().to_string()),
        })
    }

    /// The cell of each row.
    pub fn cells(&self) -> Box<dyn Iterator<Item = Cell<'_>> + '_> {
        fn each<'a, T>(all: impl Iterator<Item = Option<T>> + 'a, cell: fn(T) -> Cell<'a>) -> Cells<'a>
        where
            T: 'a,
        {
            Box::new(all.map(move |value| value.map_or(Cell::Missing, cell)))
        }
        match self {
            Self::Text(all) => each(all.iter(), |text| Cell::Text(text.trim())),
            Self::Whole(all) => each(all.iter(), Cell::Whole),
            Self::Real(all) => each(all.iter(), Cell::Real),
            Self::Bool(all) => each(all.iter(), Cell::Bool),
            Self::Time(all) => each(all.iter(), |time| {
                chrono::DateTime::from_timestamp_micros(time)
                    .map_or(Cell::Missing, |time| Cell::Time(time.naive_utc()))
            }),
            Self::Bytes(all) => each(all.iter(), Cell::Bytes),
        }
    }
}

type Cells<'a> = Box<dyn Iterator<Item = Cell<'a>> + 'a>;

/// One value of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// There is none.
    Missing,
    /// Text without space around it.
    Text(&'a str),
    /// A whole number.
    Whole(i64),
    /// A real number, perhaps not finite.
    Real(f64),
    /// True or false.
    Bool(bool),
    /// A point in time, in UTC if a zone was given.
    Time(NaiveDateTime),
    /// A picture's bytes, which no column of values has.
    Bytes(&'a [u8]),
}

impl<'a> Cell<'a> {
    /// As text would spell it: whole numbers without a fraction, whatever their type was.
    pub fn spelled(self) -> Cow<'a, str> {
        match self {
            Self::Missing | Self::Bytes(_) => "".into(),
            Self::Text(text) => text.into(),
            Self::Whole(number) => number.to_string().into(),
            Self::Real(number) => number.to_string().into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Time(time) => time.format("%Y-%m-%dT%H:%M:%S%.f").to_string().into(),
        }
    }

    /// The finite number that it is or spells.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Whole(number) => Some(number as f64),
            Self::Real(number) => Some(number),
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Missing | Self::Time(_) | Self::Bytes(_) => None,
        }
        .filter(|number: &f64| number.is_finite())
    }
}
