//! Datasets that are opened again from what was said of their files.

use lockstep_core::run::spec::{Reading, Source};

use super::{Folder, file, gzip, pair};
use crate::{Dataset, FileEntry, open, reopen};

/// What a worker gets to know: it has the files in another folder.
fn elsewhere(folder: &Folder, files: &[FileEntry], source: &Source) -> Result<Box<dyn Dataset>, String> {
    let json = serde_json::to_string(files).unwrap();
    let files: Vec<FileEntry> = serde_json::from_str(&json).unwrap();
    let place = |file: &FileEntry| {
        let (_, name) = file.path.rsplit_once('/')?;
        Some(folder.path().join(name).display().to_string())
    };
    reopen(&files, source, &Reading::default(), &place).map_err(|error| {
        let prefix = format!("{}/", folder.path().display());
        error.to_string().replace(&prefix, "")
    })
}

fn contents(data: &dyn Dataset) -> String {
    let columns: Vec<usize> = (0..data.columns().len()).collect();
    let read = |block: &crate::Block| format!("{:?}", data.read(*block, &columns).unwrap());
    let blocks: Vec<String> = data.blocks().iter().map(read).collect();
    format!("{:?} {:?} {}", data.columns(), data.blocks(), blocks.join("\n"))
}

fn copy(from: &Folder) -> Folder {
    let to = Folder::new();
    for entry in from.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn every_format_is_the_same_again() {
    let text: String = (0..9000).map(|i| format!("{i},\"a\n{}\"\n", i % 7)).collect();
    let csv = format!("x,y\n{text}1,2,torn\n");
    let npy = |rows: &str, data: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}), }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let images = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1, 2, 3, 4, 5, 6]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 8];
    let folder = Folder::new()
        .with("a.csv", &csv)
        .with("b.csv.gz", gzip(csv.as_bytes()))
        .with("bare.csv", &text)
        .with("c.jsonl", "{\"y\": 1}\n{\"x\": 2, \"y\": \"3\"}\n")
        .with("d.npy", npy("2, 3", &[1, 2, 3, 4, 5, 6]))
        .with("images", images)
        .with("labels.gz", gzip(&labels));
    let there = copy(&folder);
    for source in [
        file("a.csv"),
        file("b.csv.gz"),
        file("{a,b}.csv*"),
        file("c.jsonl"),
        file("d.npy"),
        pair("images", "labels.gz"),
    ] {
        let data = open(&source, &Reading::default(), folder.path()).unwrap();
        let again = elsewhere(&there, &data.files(), &source).unwrap();
        assert_eq!(contents(&*again), contents(&*data), "{source:?}");
        assert_eq!(again.locate(data.rows() - 1).1, data.locate(data.rows() - 1).1);
        let rows: u64 = data.files().iter().flat_map(|file| file.rows.clone()).sum();
        let expected = if matches!(source, Source::Idx { .. }) { 2 * data.rows() } else { data.rows() };
        assert_eq!(rows, expected);
    }
    // The header is no part of a description, the names are.
    let reading = Reading { header: false, ..Reading::default() };
    let data = open(&file("bare.csv"), &reading, folder.path()).unwrap();
    let again = reopen(&data.files(), &file("bare.csv"), &reading, &|file| Some(file.path.clone())).unwrap();
    assert_eq!(contents(&*again), contents(&*data));
}

#[test]
fn other_files_than_before() {
    let folder = Folder::new().with("a.csv", "x,y\n1,2\n3,4\n").with("b.csv", "x,y\n5,6\n");
    let source = file("*.csv");
    let data = open(&source, &Reading::default(), folder.path()).unwrap();
    let files = data.files();
    let here = |files: &[FileEntry]| elsewhere(&folder, files, &source).map(|data| data.rows());
    assert_eq!(here(&files), Ok(3));
    std::fs::write(folder.path().join("b.csv"), "x,y\n5,6\n7,8\n").unwrap();
    assert_eq!(
        here(&files).unwrap_err(),
        "b.csv: the file has changed since it was first opened: its length was 8, and is 12; restore it"
    );
    // The same length, but other rows: found when they are read.
    std::fs::write(folder.path().join("b.csv"), "x,y\n\n\n\n\n").unwrap();
    let data = elsewhere(&folder, &files, &source).unwrap();
    let error = data.read(data.blocks()[1], &[0]).unwrap_err().to_string();
    assert!(error.ends_with("the number of rows in a block was 1, and is 0; restore it"), "{error}");
    let nowhere = reopen(&files, &source, &Reading::default(), &|_| None);
    let error = nowhere.map(|data| data.rows()).unwrap_err().to_string();
    assert!(error.ends_with("a.csv: this machine does not have the file"), "{error}");
    assert!(here(&[]).unwrap_err().contains("cannot be true: another number of files"));
}

/// What comes over a network may be anything: no allocation follows from it.
#[test]
fn descriptions_that_lie() {
    let folder = Folder::new().with("a.csv", "x,y\n1,2\n3,4\n").with("a.npy", {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), b"abc"].concat()
    });
    let wrong = |name: &str, change: &dyn Fn(&mut FileEntry)| {
        let source = file(name);
        let mut files = open(&source, &Reading::default(), folder.path()).unwrap().files();
        change(&mut files[0]);
        let data = elsewhere(&folder, &files, &source)?;
        let columns: Vec<usize> = (0..data.columns().len()).collect();
        let read = data.blocks().iter().try_for_each(|block| data.read(*block, &columns).map(drop));
        read.map_err(|error| error.what.to_string())
    };
    let text = |change: &'static dyn Fn(&mut crate::TextEntry)| {
        move |file: &mut FileEntry| change(file.text.as_mut().unwrap())
    };
    let lie = |result: Result<(), String>| assert!(result.unwrap_err().contains("cannot be true"));
    assert_eq!(wrong("a.csv", &|_| {}), Ok(()));
    lie(wrong("a.csv", &|file| file.text = None));
    lie(wrong("a.csv", &|file| file.rows = vec![u64::MAX]));
    lie(wrong("a.csv", &|file| file.rows = vec![0]));
    lie(wrong("a.csv", &|file| file.rows = vec![1, 1]));
    lie(wrong("a.csv", &text(&|text| text.starts = vec![u64::MAX])));
    lie(wrong("a.csv", &text(&|text| text.starts = vec![13])));
    assert!(wrong("a.csv", &|file| file.rows = vec![3]).unwrap_err().contains("was 3, and is 2"));
    assert!(wrong("a.csv", &text(&|text| text.starts = vec![8])).unwrap_err().contains("rows in a block"));
    assert!(wrong("a.csv", &text(&|text| text.names = vec!["a".into(), "a".into()])).is_err());
    // Fewer columns: every row is torn, as it would be in that file.
    assert_eq!(wrong("a.csv", &text(&|text| text.names.truncate(1))), Ok(()));
    assert!(
        wrong("a.npy", &|file| file.rows = vec![u64::MAX, 1])
            .unwrap_err()
            .contains("the number of its rows was")
    );
    assert!(
        wrong("a.npy", &|file| file.rows = vec![1, 2])
            .unwrap_err()
            .contains("the number of its blocks was 2")
    );
}
