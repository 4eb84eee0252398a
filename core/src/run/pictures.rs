//! The layers of `[model]` that slide a window over pictures.

use super::field::{Field, Section};
use super::model::{INITS, width};
use super::problem::Problem;
use super::spec::{Init, Layer, Window};

/// No picture is as large: more is a slip of the pen.
const MOST_PIXELS: u64 = 1 << 16;

/// `{ conv2d = 32 }`, or `{ conv2d = { channels = 32, … } }`.
pub(super) fn conv2d(field: &Field, body: Option<&Field>) -> Result<Layer, Problem> {
    const EXPECTED: &str = "the channels of the output, such as { conv2d = 32 }";
    let body = body.ok_or_else(|| field.unexpected(EXPECTED))?;
    if !body.is_table() {
        let window = Window { kernel: 3, stride: 1, padding: 1 };
        return Ok(Layer::Conv2d { channels: width(body)?, window, bias: true, init: Init::Torch });
    }
    let section = Section::new(body, &["channels", "kernel", "stride", "padding", "bias", "init"])?;
    let kernel = pixels(&section, "kernel", 3, 1)?;
    let window = Window {
        kernel,
        stride: pixels(&section, "stride", 1, 1)?,
        padding: pixels(&section, "padding", (kernel - 1) / 2, 0)?,
    };
    Ok(Layer::Conv2d {
        channels: width(&section.need("channels", EXPECTED)?)?,
        window,
        bias: section.get("bias").map_or(Ok(true), |field| field.bool())?,
        init: section.get("init").map_or(Ok(Init::Torch), |field| field.choice(&INITS))?,
    })
}

/// `{ max_pool = 2 }`, or `{ max_pool = { kernel = 3, stride = 2, padding = 1 } }`.
pub(super) fn pool(field: &Field, body: Option<&Field>) -> Result<Window, Problem> {
    const EXPECTED: &str = "the side of the window, such as { max_pool = 2 } or { avg_pool = 2 }";
    let body = body.ok_or_else(|| field.unexpected(EXPECTED))?;
    if !body.is_table() {
        let kernel = side(body, 1)?;
        return Ok(Window { kernel, stride: kernel, padding: 0 });
    }
    let section = Section::new(body, &["kernel", "stride", "padding"])?;
    let kernel = side(&section.need("kernel", EXPECTED)?, 1)?;
    let padding = pixels(&section, "padding", 0, 0)?;
    match section.get("padding") {
        Some(field) if padding > kernel / 2 => {
            Err(field.unexpected(format!("at most half of the kernel, {}", kernel / 2)))
        }
        _ => Ok(Window { kernel, stride: pixels(&section, "stride", kernel, 1)?, padding }),
    }
}

fn pixels(section: &Section, key: &str, default: usize, least: u64) -> Result<usize, Problem> {
    section.get(key).map_or(Ok(default), |field| side(&field, least))
}

fn side(field: &Field, least: u64) -> Result<usize, Problem> {
    Ok(usize::try_from(field.whole(least, MOST_PIXELS)?).unwrap_or(usize::MAX))
}
