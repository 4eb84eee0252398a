//! The pixels of a picture: PNG and JPEG, 8 bits a channel, by readers without intrinsics, so that they are
//! the same on every machine.
//!
//! Of 16 bits the upper 8 count; what is transparent is seen as if it were not; palettes are colours. Nothing
//! is turned as a camera was, and nothing is scaled.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Bytes of a picture's pixels; more are a lie of its header.
const MOST: usize = 64 << 20;
const MOST_SIDE: usize = 1 << 16;
/// Pixels of a byte of a file: deflate packs by 1,032 at most, and a bit may be a pixel.
const MOST_PACKED: usize = 8 * 1032;

/// Why there are no pixels.
#[derive(Debug, PartialEq)]
pub(super) enum Bad {
    /// It is no picture, or a part of it is missing.
    Damaged(String),
    /// It is one of this shape.
    Shape(Vec<usize>),
}

impl From<String> for Bad {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

/// \[height, width\] in grey, \[3, height, width\] in colour.
///
/// # Errors
/// It is no picture.
pub(super) fn shape(bytes: &[u8]) -> Result<Vec<usize>, String> {
    match begin(bytes)? {
        Begun::Png(reader) => png_shape(&reader, bytes),
        Begun::Jpeg(_, shape) => Ok(shape),
    }
}

/// The pixels of a picture that must have this shape, row-major.
///
/// # Errors
/// See [`Bad`].
pub(super) fn decode(bytes: &[u8], shape: &[usize]) -> Result<Vec<u8>, Bad> {
    match begin(bytes)? {
        Begun::Png(mut reader) => {
            let found = png_shape(&reader, bytes)?;
            if found != shape {
                return Err(Bad::Shape(found));
            }
            let size = reader.output_buffer_size().filter(|size| *size <= 2 * MOST).ok_or_else(large)?;
            let mut all = vec![0; size];
            reader.next_frame(&mut all).map_err(unread)?;
            Ok(planes(&all, reader.output_color_type().0.samples(), shape))
        }
        Begun::Jpeg(mut decoder, found) => {
            if found != shape {
                return Err(Bad::Shape(found));
            }
            let all = decoder.decode().map_err(|error| format!("{error:?}"))?;
            let channels = if found.len() == 3 { 3 } else { 1 };
            if Some(all.len()) != bytes_of(&found) {
                return Err(large().into());
            }
            Ok(planes(&all, channels, shape))
        }
    }
}

/// A picture of which the header is read.
enum Begun<'a> {
    Png(Box<png::Reader<Cursor<&'a [u8]>>>),
    Jpeg(Box<JpegDecoder<ZCursor<&'a [u8]>>>, Vec<usize>),
}

fn begin(bytes: &[u8]) -> Result<Begun<'_>, String> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => {
            let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 2 * MOST });
            decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
            decoder.set_ignore_text_chunk(true);
            decoder.set_ignore_iccp_chunk(true);
            Ok(Begun::Png(Box::new(decoder.read_info().map_err(unread)?)))
        }
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        _ => {
            let head: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            Err(format!("found the bytes {}, expected 89 50 4e 47 or ff d8 ff", head.join(" ")))
        }
    }
}

fn jpeg(bytes: &[u8]) -> Result<Begun<'_>, String> {
    let options = DecoderOptions::default().set_use_unsafe(false).set_strict_mode(true);
    let options = options.set_max_width(MOST_SIDE).set_max_height(MOST_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| format!("{error:?}"))?;
    let size = decoder.dimensions().ok_or("it has no header")?;
    let (channels, colours) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        Some(ColorSpace::YCbCr | ColorSpace::RGB) => (3, ColorSpace::RGB),
        other => return Err(format!("found the colours {other:?}, expected grey or RGB")),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    Ok(Begun::Jpeg(Box::new(decoder), checked(channels, size, bytes)?))
}

fn png_shape(reader: &png::Reader<Cursor<&[u8]>>, bytes: &[u8]) -> Result<Vec<usize>, String> {
    let info = reader.info();
    if info.animation_control().is_some() {
        return Err("it is a film, expected one picture".into());
    }
    let channels = match reader.output_color_type() {
        (ColorType::Grayscale | ColorType::GrayscaleAlpha, BitDepth::Eight) => 1,
        (ColorType::Rgb | ColorType::Rgba, BitDepth::Eight) => 3,
        (other, depth) => return Err(format!("found the colours {other:?} of {depth:?} bits")),
    };
    let size = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    checked(channels, (size(info.width), size(info.height)), bytes)
}

/// The shape of so many channels of a width and a height, if a file of these bytes may hold it.
fn checked(channels: usize, (width, height): (usize, usize), bytes: &[u8]) -> Result<Vec<usize>, String> {
    let shape = if channels == 1 { vec![height, width] } else { vec![channels, height, width] };
    let most = bytes.len().saturating_mul(MOST_PACKED).saturating_mul(channels);
    bytes_of(&shape).filter(|all| *all <= most).map(|_| shape).ok_or_else(large)
}

fn bytes_of(shape: &[usize]) -> Option<usize> {
    let all = shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
    all.filter(|all| (1..=MOST).contains(all))
}

/// From pixels of so many samples to the shape's channels, one after the other; samples beyond them are left
/// out.
fn planes(all: &[u8], samples: usize, shape: &[usize]) -> Vec<u8> {
    let channels = if shape.len() == 3 { 3 } else { 1 };
    let length = bytes_of(shape).unwrap_or(0);
    let mut planes = Vec::with_capacity(length);
    for channel in 0..channels {
        let pixels = all.chunks_exact(samples.max(1));
        planes.extend(pixels.map(|pixel| pixel.get(channel).copied().unwrap_or(0)));
    }
    planes.resize(length, 0);
    planes
}

fn unread(error: DecodingError) -> String {
    error.to_string()
}

fn large() -> String {
    "its header announces no pixels, or more than such a file can hold".into()
}
