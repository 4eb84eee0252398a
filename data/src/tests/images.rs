use lockstep_core::run::spec::{Data, Format, Loss, OnBadRow, Reading, Validation};

use super::{Folder, Prepared, encode, file, table};
use crate::{Features, TargetUse, Targets, open};

/// A PNG of 8 bits a sample.
fn png(colour: png::ColorType, width: u32, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let height = samples.len() as u32 / width / colour.samples() as u32;
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    bytes
}

fn grey(samples: &[u8]) -> Vec<u8> {
    png(png::ColorType::Grayscale, 3, samples)
}

/// Three pictures of two classes.
fn folder() -> Folder {
    let folder = Folder::new();
    for class in ["9", "10", "other"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
    }
    folder
        .with("9/b.png", grey(&[0, 1, 2, 3, 4, 5]))
        .with("10/a.png", grey(&[6, 7, 8, 9, 10, 11]))
        .with("9/a.PNG", grey(&[255; 6]))
        .with("9/Thumbs.db", "no picture")
}

fn images() -> Data {
    let reading = Reading { format: Some(Format::Images), ..Reading::default() };
    Data { target: None, reading, ..table("", "") }
}

fn loaded(folder: &Folder) -> Result<Prepared, String> {
    folder.load(&images(), Loss::CrossEntropy)
}

#[test]
fn folders_are_classes() {
    let folder = folder();
    let prepared = loaded(&folder).unwrap();
    assert_eq!(prepared.encoder.labels(), Some(&["9".to_owned(), "10".to_owned()][..]));
    assert_eq!(prepared.train.shape().sample, [2, 3]);
    let pixels = [6, 7, 8, 9, 10, 11, 255, 255, 255, 255, 255, 255, 0, 1, 2, 3, 4, 5];
    assert_eq!(prepared.train.features(), &Features::U8(pixels.to_vec()));
    assert_eq!(prepared.train.targets(), &Targets::Classes { count: 2, of: vec![1, 0, 0] });
    // By their extensions; and to predict, one file is enough.
    let found = folder.load(&table("", "label"), Loss::CrossEntropy).unwrap();
    assert_eq!(found, prepared);
    let alone = encode(&prepared.encoder, &folder, "9/b.png", TargetUse::Ignored).unwrap();
    assert_eq!(alone.features(), &Features::U8((0..6).collect()));
    let data = Data { validation: Validation::Source(file("10")), ..images() };
    assert_eq!(folder.load(&data, Loss::CrossEntropy).unwrap().validation.unwrap().rows(), 1);
}

/// Of colours, all reds come first; what is transparent is not looked at.
#[test]
fn channels_first() {
    let colour = |name: &str, kind, samples: &[u8]| {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let folder = folder.with(name, png(kind, 2, samples));
        let data = open(&file("a"), &Reading::default(), folder.path()).unwrap();
        let chunk = data.read(data.blocks()[0], &[0]).unwrap();
        let crate::Values::Bytes(pixels) = &chunk.values[0] else { panic!() };
        (data.columns()[0].kind.describe(), pixels.value(0).to_vec())
    };
    let rgb = colour("a/x.png", png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(rgb, ("bytes of shape [3, 1, 2]".into(), vec![1, 4, 2, 5, 3, 6]));
    assert_eq!(colour("a/x.png", png::ColorType::Rgba, &[1, 2, 3, 0, 4, 5, 6, 9]), rgb);
    let grey = colour("a/x.png", png::ColorType::GrayscaleAlpha, &[1, 0, 2, 9]);
    assert_eq!(grey, ("bytes of shape [1, 2]".into(), vec![1, 2]));
}

#[test]
fn pictures_that_cannot_be_used() {
    let odd = |name: &str, bytes: &[u8]| loaded(&folder().with(name, bytes)).unwrap_err();
    assert_eq!(
        odd("9/c.png", &png(png::ColorType::Grayscale, 2, &[0; 6])),
        "9/c.png: the picture has 2 x 3 pixels in grey, but 10/a.png has 3 x 2 pixels in grey; expected one size \
         and one kind of colour for all"
    );
    assert!(odd("9/c.png", &png(png::ColorType::Rgb, 3, &[0; 18])).contains("3 x 2 pixels in colour"));
    let whole = grey(&[0; 6]);
    let cut = odd("9/c.png", &whole[..whole.len() - 20]);
    assert!(cut.starts_with("9/c.png: this is not a PNG or JPEG picture, or it is damaged: "), "{cut}");
    let text = odd("9/c.jpg", b"text");
    assert!(text.contains("found the bytes 74 65 78 74, expected 89 50 4e 47 or ff d8 ff"), "{text}");
    // They are left out on request, and counted.
    let folder = folder().with("9/c.jpg", "text").with("10/c.png", &whole[..40]);
    let skipping = Data { on_bad_row: OnBadRow::Skip, ..images() };
    let skipped = folder.load(&skipping, Loss::CrossEntropy).unwrap();
    assert_eq!((skipped.train.rows(), skipped.skipped.train), (3, 2));
    assert_eq!(skipped.train, loaded(&self::folder()).unwrap().train);
}

/// Beside tables, pictures in a folder are not data; asked for by name they are refused.
#[test]
fn pictures_beside_tables() {
    let folder = Folder::new().with("a.csv", "x,label\n1,a\n2,b\n").with("plot.png", grey(&[0; 6]));
    let rows = |name: &str| open(&file(name), &Reading::default(), folder.path()).map(|data| data.rows());
    assert_eq!(rows(""), Ok(2));
    let error = rows("*").unwrap_err().to_string();
    assert!(error.contains("pictures and other files cannot be one dataset"), "{error}");
}

/// The same pixels on every machine, in every version: hashed once, of the files in `tests/corpus/images`;
/// and near to those that the files were made of.
#[test]
fn pixels_of_jpeg() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/images");
    let pixels = |name: &str| {
        let data = open(&file(name), &Reading::default(), &corpus).unwrap();
        let chunk = data.read(data.blocks()[0], &[0]).unwrap();
        let crate::Values::Bytes(pixels) = &chunk.values[0] else { panic!("{name}") };
        pixels.value(0).to_vec()
    };
    let hash = |name: &str| blake3::hash(&pixels(name)).to_hex()[..16].to_owned();
    let names = ["grey.jpg", "colour.jpg", "progressive.jpeg"];
    assert_eq!(names.map(hash), ["2f6190382b774e32", "f0b1bb9303f5f9c3", "8b04a1ffaa3605d4"]);
    // Red grows to the right, green downwards, blue in waves.
    let made = |i: usize| {
        let (channel, y, x) = (i / (13 * 17), i / 17 % 13, i % 17);
        [x * 16 % 256, y * 16 % 256, x * y * 3 % 256][channel] as f64
    };
    let found = pixels("progressive.jpeg");
    let off: f64 = (0..).zip(&found).map(|(i, byte)| (made(i) - f64::from(*byte)).abs()).sum();
    assert!(off / (found.len() as f64) < 12.0, "{}", off / found.len() as f64);
}
