//! Safetensors, as bytes: tensors of f32 and a map of strings.
//!
//! The writer is our own because the order of the tensors in the file is the order in which they are
//! given, which makes the file's order the parameters'.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::json;

use crate::wire;

/// A tensor to be written or hashed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View<'a> {
    /// `layers.0.weight`
    pub name: &'a str,
    /// Row-major.
    pub shape: &'a [usize],
    /// As many elements as the shape has.
    pub data: &'a [f32],
}

/// A tensor that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `layers.0.weight`
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// As many elements as the shape has.
    pub data: Vec<f32>,
}

impl Tensor {
    /// As it is written.
    pub fn view(&self) -> View<'_> {
        View { name: &self.name, shape: &self.shape, data: &self.data }
    }
}

/// A file's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// `__metadata__`
    pub metadata: BTreeMap<String, String>,
    /// In the order in which they lie in the file.
    pub tensors: Vec<Tensor>,
}

/// Why tensors cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Two tensors of one name, or the name that stands for the metadata.
    #[error("the name `{0}` is taken")]
    Name(String),
    /// A shape that does not match the data.
    #[error("tensor `{name}` of shape {shape:?} has {elements} elements")]
    Shape {
        /// Whose.
        name: String,
        /// The shape given.
        shape: Vec<usize>,
        /// The elements given.
        elements: usize,
    },
    /// The writer failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Why bytes are not tensors.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not in the format, cut off, or contradicting itself.
    #[error("not a safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    /// A tensor of another type than f32.
    #[error("tensor `{name}` is {found:?}, and only F32 is read")]
    Type {
        /// Whose.
        name: String,
        /// The type found.
        found: Dtype,
    },
}

const METADATA: &str = "__metadata__";

/// Writes a file of these tensors, in this order, without copying their data.
pub fn write(
    out: &mut impl Write,
    metadata: &BTreeMap<String, String>,
    tensors: &[View<'_>],
) -> Result<(), WriteError> {
    let header = header(metadata, tensors)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for tensor in tensors {
        out.write_all(&wire::bytes(tensor.data))?;
    }
    Ok(())
}

/// JSON, padded with spaces so that the data is aligned to 8 bytes.
fn header(metadata: &BTreeMap<String, String>, tensors: &[View<'_>]) -> Result<String, WriteError> {
    let mut entries = Vec::new();
    if !metadata.is_empty() {
        entries.push(format!("{}:{}", json!(METADATA), json!(metadata)));
    }
    let mut names = BTreeSet::from([METADATA]);
    let mut start = 0_usize;
    for View { name, shape, data } in tensors {
        if !names.insert(name) {
            return Err(WriteError::Name((*name).to_owned()));
        }
        let elements = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        if elements != Some(data.len()) {
            let (name, shape) = ((*name).to_owned(), shape.to_vec());
            return Err(WriteError::Shape { name, shape, elements: data.len() });
        }
        let end = start + size_of_val(*data);
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        entries.push(format!("{}:{entry}", json!(name)));
        start = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    Ok(header)
}

/// Reads a whole file, checked: offsets, lengths and shapes agree, and nothing lies between or behind.
pub fn read(bytes: &[u8]) -> Result<Contents, ReadError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let file = SafeTensors::deserialize(bytes)?;
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    let mut names = header.offset_keys();
    // Tensors without elements share a place.
    names.sort_by_cached_key(|name| (header.info(name).map(|info| info.data_offsets), name.clone()));
    let tensors = names.into_iter().map(|name| {
        let view = file.tensor(&name)?;
        if view.dtype() != Dtype::F32 {
            return Err(ReadError::Type { name, found: view.dtype() });
        }
        let (words, _) = view.data().as_chunks::<4>();
        let data = words.iter().copied().map(f32::from_le_bytes).collect();
        Ok(Tensor { name, shape: view.shape().to_vec(), data })
    });
    Ok(Contents { metadata: metadata.collect(), tensors: tensors.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let tensor = |name: &str, shape: &[usize]| Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            data: (0..shape.iter().product()).map(|i| i as f32 * 0.1 - 0.3).collect(),
        };
        Contents {
            metadata: [("b", "\"2\" \n ü"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            tensors: vec![tensor("z.weight", &[3, 2]), tensor("a.bias", &[3]), tensor("scale", &[])],
        }
    }

    fn written(contents: &Contents) -> Result<Vec<u8>, WriteError> {
        let mut bytes = Vec::new();
        let views: Vec<View<'_>> = contents.tensors.iter().map(Tensor::view).collect();
        write(&mut bytes, &contents.metadata, &views)?;
        Ok(bytes)
    }

    #[test]
    fn what_was_written_is_read_in_order() {
        let bytes = written(&contents()).unwrap();
        assert_eq!(read(&bytes).unwrap(), contents());
        let header = String::from_utf8_lossy(&bytes[8..]);
        assert!(header.starts_with(r#"{"__metadata__":{"a":"1","b":"\"2\" \n ü"},"z.weight":{"#), "{header}");
        assert_eq!((bytes.len() - 40) % 8, 0);
        assert_eq!(read(&written(&Contents::default()).unwrap()).unwrap(), Contents::default());
    }

    #[test]
    fn contradictions_are_not_written() {
        let mut twice = contents();
        twice.tensors.push(twice.tensors[0].clone());
        assert_eq!(written(&twice).unwrap_err().to_string(), "the name `z.weight` is taken");
        let mut reserved = contents();
        reserved.tensors[1].name = METADATA.to_owned();
        assert!(matches!(written(&reserved), Err(WriteError::Name(_))));
        let mut short = contents();
        short.tensors[0].shape = vec![usize::MAX, 2];
        assert!(matches!(written(&short), Err(WriteError::Shape { elements: 6, .. })));
    }

    #[test]
    fn damaged_files_are_refused() {
        let bytes = written(&contents()).unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(read(&bytes[..len]), Err(ReadError::Format(_))), "cut at {len}");
        }
        assert!(matches!(read(&[bytes.as_slice(), &[0]].concat()), Err(ReadError::Format(_))));
        let mut other = bytes.clone();
        let place = bytes.windows(3).position(|text| text == b"F32").unwrap();
        other[place] = b'I';
        let error = read(&other).unwrap_err().to_string();
        assert_eq!(error, "tensor `z.weight` is I32, and only F32 is read");
    }
}
