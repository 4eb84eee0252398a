//! Pictures in folders: the digest of the same pixels in other formats, wherever they lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::io::{Cursor, Write};

use lockstep_tests::cluster::Site;
use lockstep_tests::objects::{Fault, Store};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const HEIGHT: usize = 5;
const WIDTH: usize = 6;

/// Pixels and class of each picture, in the order of their files.
fn pictures(rows: usize) -> Vec<(Vec<u8>, u8)> {
    let picture = |row: usize| {
        let class = row * 3 / rows;
        let pixel = |i: usize| ((row * 7919 + i * 31) % 97 + 60 * usize::from(i % 3 == class)) as u8;
        ((0..HEIGHT * WIDTH).map(pixel).collect(), class as u8)
    };
    (0..rows).map(picture).collect()
}

fn run(train: &str, more: &str) -> String {
    format!(
        r#"
name = "images"
seed = 5
data = {{ train = {train}, {more} validation = 0.2 }}
model = {{ loss = "cross_entropy", layers = [{{ conv2d = 4 }}, "relu", "flatten", {{ linear = 3 }}] }}
train = {{ epochs = 2, batch_size = 64 }}
"#
    )
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// As files, by name.
fn files(rows: usize) -> Vec<(String, Vec<u8>)> {
    let name = |row: usize, class: u8| format!("pictures/{class}/{row:05}.png");
    pictures(rows).iter().enumerate().map(|(row, (pixels, class))| (name(row, *class), png(pixels))).collect()
}

fn idx(sizes: &[usize], bytes: Vec<u8>) -> Vec<u8> {
    let head = [0, 0, 8, sizes.len() as u8].into_iter();
    head.chain(sizes.iter().flat_map(|size| (*size as u32).to_be_bytes())).chain(bytes).collect()
}

fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

fn npz(rows: usize, pixels: &[u8], labels: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let shape = format!("({rows}, {HEIGHT}, {WIDTH})");
    for (name, bytes) in [("image", npy(&shape, pixels)), ("label", npy(&format!("({rows},)"), labels))] {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A site with the rows in all formats.
fn site(rows: usize, run: &str) -> Site {
    let site = Site::new(run);
    let (pixels, labels): (Vec<Vec<u8>>, Vec<u8>) = pictures(rows).into_iter().unzip();
    let pixels = pixels.concat();
    site.write("rows.npz", npz(rows, &pixels, &labels));
    site.write("images.idx", idx(&[rows, HEIGHT, WIDTH], pixels));
    site.write("labels.idx", idx(&[rows], labels));
    for class in 0..3 {
        fs::create_dir_all(site.folder().join(format!("pictures/{class}"))).unwrap();
    }
    files(rows).iter().for_each(|(name, bytes)| site.write(name, bytes));
    site
}

fn digest(site: &Site, workers: &str) -> String {
    let (status, process) = site.trained(&["--workers", workers]);
    assert!(status.success(), "{}\n{}", process.errors(), site.logs());
    site.results().digest.to_string()
}

const IDX: &str = "{ images = \"images.idx\", labels = \"labels.idx\" }";

#[test]
fn one_digest_for_the_same_pixels() {
    let expected = digest(&site(300, &run(IDX, "")), "1");
    let folders = site(300, &run("\"pictures\"", "format = \"images\","));
    assert_eq!(digest(&folders, "2"), expected, "folders");
    assert_eq!(digest(&site(300, &run("\"rows.npz\"", "target = \"label\",")), "1"), expected, "npz");
    let store = Store::start(|_| Fault::None);
    for (name, bytes) in files(300) {
        store.put(&format!("bucket/{name}"), bytes);
    }
    for more in ["", "in_memory = 0, shuffle_rows = 4096,"] {
        let run = run("\"s3://bucket/pictures/\"", &format!("format = \"images\", {more}"));
        let site = Site::new(&run).with(&store.variables());
        assert_eq!(digest(&site, "2") == expected, more.is_empty(), "over S3 {more}");
    }

    let output = |arguments: &[&str]| {
        let output = folders.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let shown = output(&["inspect", "pictures"]);
    assert!(shown.contains("300 rows") && shown.contains("bytes [5, 6]"), "{shown}");
    // All but the name of the data.
    let evaluated = |data: &str| output(&["evaluate", "run", data]).replacen(data, "", 1);
    assert_eq!(evaluated("pictures/"), evaluated("images.idx,labels.idx"));
    output(&["predict", "run", "pictures/2", "--out", "out.csv"]);
    assert_eq!(fs::read_to_string(folders.folder().join("out.csv")).unwrap().lines().count(), 101);
}

/// More of them than a block has, which workers read themselves, or are served.
#[test]
fn one_digest_in_blocks() {
    const ROWS: usize = 4500;
    const BLOCKS: &str = "in_memory = 0, shuffle_rows = 1000,";
    let expected = digest(&site(ROWS, &run(IDX, BLOCKS)), "1");
    let folders = run("\"pictures/\"", &format!("format = \"images\", {BLOCKS}"));
    assert_eq!(digest(&site(ROWS, &folders), "2"), expected);
    let site = site(ROWS, &folders).with(&[("LOCKSTEP_CACHE_BYTES", "0".into())]);
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("w", address, &["--data", "pictures"]);
    let mut other = site.worker("v", address, &[]);
    for process in [&mut coordinator, &mut worker, &mut other] {
        site.succeed(process);
    }
    assert_eq!(site.results().digest.to_string(), expected);
}
