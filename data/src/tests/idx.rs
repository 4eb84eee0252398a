use lockstep_core::run::spec::{Data, Loss, Reading, Validation};
use proptest::prelude::*;

use super::{Folder, encode, file, gzip, images, pair};
use crate::{Features, TargetUse, Targets, open};

fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

fn good() -> (Vec<u8>, Vec<u8>) {
    (idx(&[3, 2, 2], &(0..12).collect::<Vec<u8>>()), idx(&[3], &[9, 4, 9]))
}

fn wrong(images_file: impl AsRef<[u8]>, labels: impl AsRef<[u8]>) -> String {
    let folder = Folder::new().with("i", images_file).with("l", labels);
    folder.load(&images("i", "l"), Loss::CrossEntropy).unwrap_err()
}

#[test]
fn images_stay_bytes() {
    let (i, l) = good();
    let folder = Folder::new().with("i", &i).with("l", &l).with("i.gz", gzip(&i)).with("l.gz", gzip(&l));
    let plain = folder.load(&images("i", "l"), Loss::CrossEntropy).unwrap();
    assert_eq!(plain.train.features(), &Features::U8((0..12).collect()));
    assert_eq!(plain.train.targets(), &Targets::Classes { count: 2, of: vec![1, 0, 1] });
    assert_eq!(plain.train.shape().sample, [2, 2]);
    assert_eq!(plain.encoder.labels(), Some(&["4".to_owned(), "9".to_owned()][..]));
    assert_eq!(folder.load(&images("i.gz", "l.gz"), Loss::CrossEntropy).unwrap(), plain);
    let numbers = folder.load(&images("i", "l"), Loss::MeanSquaredError).unwrap();
    assert_eq!(numbers.train.targets(), &Targets::Values { width: 1, of: vec![9.0, 4.0, 9.0] });
    // To predict, images are enough.
    let alone = encode(&plain.encoder, &folder, "i.gz", TargetUse::Ignored).unwrap();
    assert_eq!((alone.features(), alone.targets()), (plain.train.features(), &Targets::Absent));
}

#[test]
fn headers_that_lie() {
    let (i, l) = good();
    assert_eq!(wrong("", &l), "i: the file is cut off: found 0 bytes, expected 4");
    assert_eq!(wrong(&i[..10], &l), "i: the file is cut off: found 10 bytes, expected 16");
    assert_eq!(wrong(&i[..20], &l), "i: the file is cut off: found 20 bytes, expected 28");
    assert_eq!(wrong(gzip(&i[..20]), &l), "i: the file is cut off: found 20 bytes, expected 28");
    assert_eq!(wrong([&i[..], &[0]].concat(), &l), "i: the header announces 28 bytes, but more follow");
    assert_eq!(
        wrong(&i, gzip(&[&l[..], &[0]].concat())),
        "l: the header announces 11 bytes, but more follow"
    );
    let magic = "expected the header of an IDX file of unsigned bytes (00 00 08 …)";
    assert_eq!(wrong("x,y\n1,2\n", &l), format!("i: found the bytes 78 2c 79 0a, {magic}"));
    assert_eq!(wrong([0, 0, 13, 3, 0], &l), format!("i: found the bytes 00 00 0d 03, {magic}"));
    assert_eq!(wrong([0, 0, 8, 0], &l), format!("i: found the bytes 00 00 08 00, {magic}"));
    // Sizes that no file of this length can hold, before any memory is asked for.
    let vast = idx(&[u32::MAX, u32::MAX, u32::MAX], &[]);
    let sizes = "4294967295 x 4294967295 x 4294967295";
    assert_eq!(wrong(&vast, &l), format!("i: the header announces {sizes}, more than the file can hold"));
    let large = idx(&[60_000, 28, 28], &[0; 100]);
    assert_eq!(wrong(&large, &l), "i: the file is cut off: found 116 bytes, expected 47040016");
    assert_eq!(
        wrong(gzip(&large), &l),
        "i: the header announces 60000 x 28 x 28, more than the file can hold"
    );
}

#[test]
fn pairs_that_do_not_match() {
    let (i, l) = good();
    assert_eq!(wrong(&i, idx(&[2], &[1, 2])), "l: found 2 labels, but i has 3 images");
    assert_eq!(wrong(&l, &l), "i: found 1 dimensions, expected 2 or more (rows, then an image)");
    assert_eq!(wrong(&i, &i), "l: found 3 dimensions, expected 1 (a label a row)");
    assert_eq!(wrong(idx(&[0, 2, 2], &[]), idx(&[0], &[])), "i: there is a header but no rows");
    assert_eq!(
        wrong(&i, idx(&[3], &[1, 1, 1])),
        "i, column \"label\": every training row has the class \"1\", expected two classes or more"
    );
    assert_eq!(wrong(idx(&[3, 2, 0], &[]), &l), "i: 3 rows of 0 values do not fit in memory");
}

#[test]
fn validation_of_another_kind() {
    let (i, l) = good();
    let folder = Folder::new()
        .with("i", &i)
        .with("l", &l)
        .with("wide", idx(&[1, 3, 2], &[0; 6]))
        .with("one", idx(&[1], &[4]))
        .with("odd", idx(&[3], &[4, 9, 5]))
        .with("a.csv", "image,label\n1,4\n");
    let error = |source| {
        let data = Data { validation: Validation::Source(source), ..images("i", "l") };
        folder.load(&data, Loss::CrossEntropy).unwrap_err()
    };
    assert_eq!(
        error(pair("wide", "one")),
        "wide, column \"image\": found bytes of shape [3, 2], expected bytes of shape [2, 2]"
    );
    assert_eq!(error(file("a.csv")), "a.csv, column \"image\": found text, expected bytes of shape [2, 2]");
    assert_eq!(
        error(pair("i", "odd")),
        "i, row 2, column \"label\": found \"5\", expected one of the classes of the training rows: 4, 9"
    );
    assert_eq!(error(pair("i", "lost")), "lost: no such file");
}

proptest! {
    /// Whatever a file holds, opening it gives rows or an error.
    #[test]
    fn no_file_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..60),
        header in proptest::option::of(proptest::collection::vec(0u32..4, 1..4)),
        zipped: bool,
    ) {
        if let Some(sizes) = header {
            bytes = idx(&sizes, &bytes);
        }
        let bytes = if zipped { gzip(&bytes) } else { bytes };
        let folder = Folder::new().with("x", &bytes).with("x.csv", &bytes);
        let _ = folder.load(&images("x", "x"), Loss::CrossEntropy);
        for name in ["x", "x.csv"] {
            if let Ok(data) = open(&file(name), &Reading::default(), folder.path()) {
                for block in data.blocks() {
                    let columns: Vec<usize> = (0..data.columns().len()).collect();
                    let _ = data.read(*block, &columns);
                }
                data.locate(data.rows());
            }
        }
    }
}
