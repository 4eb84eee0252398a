//! Data in object stores and on web servers: the same rows, whatever happens on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use lockstep_core::run::spec::{Reading, Source};
use lockstep_data::{DataError, Dataset, open, reopen};
use lockstep_tests::cluster::{Process, Site, wait};
use lockstep_tests::objects::{Fault, Store};
use lockstep_tests::rows;

fn calm(_: u64) -> Fault {
    Fault::None
}

fn opened(url: &str) -> Result<Box<dyn Dataset>, DataError> {
    open(&Source::File(url.into()), &Reading::default(), Path::new("/nowhere"))
}

fn contents(data: &dyn Dataset) -> String {
    let columns: Vec<usize> = (0..data.columns().len()).collect();
    let read = |block: &lockstep_data::Block| format!("{:?}", data.read(*block, &columns).unwrap());
    let blocks: Vec<String> = data.blocks().iter().map(read).collect();
    format!("{:?} {:?} {}", data.columns(), data.blocks(), blocks.join("\n"))
}

/// The rows of each format behind a URL are those of the file, read once, or nearly so.
#[test]
fn every_format_is_alike_behind_a_url() {
    let store = Store::start(calm);
    let site = Site::new("");
    for (name, bytes) in rows::files(30_000) {
        site.write(name, &bytes);
        store.put(&format!("web/{name}"), bytes.clone());
        let local = opened(&site.folder().join(name).display().to_string()).unwrap();
        let there = opened(&store.url(&format!("web/{name}"))).unwrap();
        // Text is gone through once.
        let (_, scanned) = store.counts();
        assert!(scanned <= bytes.len() as u64 + 9000, "{name}: {scanned} of {}", bytes.len());
        assert!(contents(&*there) == contents(&*local), "{name}");
        let (requests, read) = store.counts();
        let small = bytes.len() as u64 + bytes.len() as u64 / 10;
        assert!(read <= small || name.ends_with(".gz"), "{name}: {read} of {}", bytes.len());
        assert!(requests <= 5 * local.blocks().len() as u64, "{name}: {requests}");
        let entry = &there.files()[0];
        assert_eq!(
            (entry.path.as_str(), entry.length),
            (store.url(&format!("web/{name}")).as_str(), bytes.len() as u64)
        );
        assert!(entry.etag.is_some() && entry.modified == Some(1_714_550_400_000_000_000));
    }
    // One column of Parquet is a part of its bytes.
    let there = opened(&store.url("web/rows.parquet")).unwrap();
    let all = there.files()[0].length;
    store.counts();
    there.blocks().iter().for_each(|block| drop(there.read(*block, &[0]).unwrap()));
    let (_, read) = store.counts();
    assert!(read < all / 2, "{read} of {all}");
}

#[test]
fn faults_are_survived() {
    fn faulty(n: u64) -> Fault {
        use Fault::*;
        [None, Truncated, Error, Slow, Reset, None, SlowDown, Truncated][n as usize % 8]
    }
    let (store, calm) = (Store::start(faulty), Store::start(calm));
    for (name, bytes) in rows::files(30_000) {
        let name = format!("web/{name}");
        store.put(&name, bytes.clone());
        calm.put(&name, bytes);
        let (faulty, expected) = (opened(&store.url(&name)).unwrap(), opened(&calm.url(&name)).unwrap());
        assert!(contents(&*faulty) == contents(&*expected), "{name}");
    }
    assert_eq!(store.fired().len(), 6, "{:?}", store.fired());
}

/// What never gets better is given up, once, in words.
#[test]
fn what_stays_broken() {
    fn broken(n: u64) -> Fault {
        if n == 0 { Fault::None } else { Fault::Truncated }
    }
    let store = Store::start(broken);
    store.put("web/a.csv", "x,y\n1,2\n");
    let error = opened(&store.url("web/a.csv")).map(|data| data.rows()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "{}: cannot be read: gave up after several attempts",
            store.url("web/a.csv")
        )),
        "{error}"
    );
    let (requests, _) = store.counts();
    assert!((5..60).contains(&requests), "{requests}");
    let error = opened(&store.url("web/b.csv")).map(|data| data.rows());
    drop(error);
    let gone = Store::start(calm).url("web/a.csv");
    let error = opened(&gone).map(|data| data.rows()).unwrap_err().to_string();
    assert!(error.contains("gave up after several attempts"), "{error}");
    let error = opened("https://host/a.csv?key=1").map(|data| data.rows()).unwrap_err().to_string();
    assert!(error.contains("what follows a ? is not sent"), "{error}");
    let error = opened(&store.url("web/*.csv")).map(|data| data.rows()).unwrap_err().to_string();
    assert!(error.contains("does not list its files"), "{error}");
}

/// A worker opens what was described to it; other bytes under the name are refused, also in the middle.
#[test]
fn objects_that_were_replaced() {
    let store = Store::start(calm);
    store.put("web/a.csv", "x,y\n1,2\n3,4\n");
    let url = store.url("web/a.csv");
    let source = Source::File(url.clone());
    let data = opened(&url).unwrap();
    let files = data.files();
    let again = || reopen(&files, &source, &Reading::default(), &|file| Some(file.path.clone()));
    store.counts();
    assert_eq!(contents(&*again().unwrap()), contents(&*data));
    store.put("web/a.csv", "x,y\n1,2\n3,5\n");
    let replaced = format!("{url}: it was replaced since it was first opened; restore it");
    assert_eq!(again().map(|data| data.rows()).unwrap_err().to_string(), replaced);
    assert_eq!(data.read(data.blocks()[0], &[0]).unwrap_err().to_string(), replaced);
}

/// Datasets are read on plain threads, but whoever calls may have a runtime of their own.
#[test]
fn within_another_runtime() {
    let store = Store::start(calm);
    store.put("web/a.csv", "x,y\n1,2\n");
    let url = store.url("web/a.csv");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = || opened(&url).unwrap().rows();
    runtime.block_on(async {
        assert_eq!(rows(), 1);
        let url = url.clone();
        assert_eq!(tokio::task::spawn_blocking(move || opened(&url).unwrap().rows()).await.unwrap(), 1);
    });
}

/// Of a run on 500 rows, with these environment variables.
fn digest(train: &str, variables: &[(&'static str, String)]) -> String {
    let site = Site::new(&rows::run(train, rows::TARGET, "validation = 0.2")).with(variables);
    rows::files(500).into_iter().for_each(|(name, bytes)| site.write(name, bytes));
    let (status, process) = site.trained(&["--workers", "2"]);
    assert!(status.success(), "{train}: {}\n{}", process.errors(), site.logs());
    site.results().digest.to_string()
}

/// One digest, from a file and from S3, by one name and by several, in calm and in storm.
#[test]
fn one_digest_from_s3() {
    fn stormy(n: u64) -> Fault {
        use Fault::*;
        [None, Error, None, Truncated, Slow, None, Reset, Silent][n as usize % 8]
    }
    let expected = digest("rows.csv", &[]);
    let names = [
        "one/rows.parquet",
        "parts of it/",
        "one/rows.csv",
        "parts of it/part-*.csv",
        "parts of it/part-{0..3}.csv",
    ];
    for (store, most) in [(Store::start(calm), 5), (Store::start(stormy), 2)] {
        for (name, bytes) in rows::files(500) {
            store.put(&format!("bucket/one/{name}"), bytes);
        }
        for (name, bytes) in rows::parts(500) {
            store.put(&format!("bucket/parts of it/{name}"), bytes);
        }
        store.put("bucket/parts of it/_notes.csv", "not, data");
        for train in names.iter().take(most) {
            assert_eq!(digest(&format!("s3://bucket/{train}"), &store.variables()), expected, "{train}");
        }
    }
}

#[test]
fn what_is_not_there_or_not_allowed() {
    let store = Store::start(calm);
    store.put("bucket/folder/rows.csv", "x,y\n1,2\n");
    let site = Site::new("");
    let error = |url: &str, change: &[(&str, &str)]| {
        let mut command = site.command(&["inspect", url]);
        command.envs(store.variables()).envs(change.iter().copied());
        let mut process = Process::start(command, "inspect", site.folder());
        assert_eq!(site.end(&mut process).code(), Some(78), "{}", process.errors());
        process.errors()
    };
    let missing = error("s3://bucket/folder/row.csv", &[]);
    assert!(
        missing.contains("s3://bucket/folder/row.csv: no such file; did you mean \"rows.csv\"?"),
        "{missing}"
    );
    let nothing = error("s3://bucket/folder/*.parquet", &[]);
    assert!(nothing.contains("s3://bucket/folder/*.parquet: no files there"), "{nothing}");
    for url in ["s3://pail/rows.csv", "s3://pail/"] {
        let bucket = error(url, &[]);
        assert!(bucket.contains("there is no bucket \"pail\""), "{bucket}");
    }
    for url in ["s3://bucket/folder/rows.csv", "s3://bucket/folder/"] {
        let refused = error(url, &[("AWS_ACCESS_KEY_ID", "stranger")]);
        assert!(
            refused.contains("access was refused") && refused.contains("set AWS_ACCESS_KEY_ID"),
            "{refused}"
        );
    }
    let plain = error("s3://bucket/folder/rows.csv", &[("AWS_ALLOW_HTTP", "false")]);
    assert!(
        plain.starts_with("lockstep: s3://bucket") || plain.contains("s3://bucket/folder/rows.csv: "),
        "{plain}"
    );
}

/// Another's server: moto, from PyPI, if `scripts/moto.sh` could get it.
#[test]
fn one_digest_from_moto() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv-objects/bin/moto_server");
    if !server.exists() {
        eprintln!("left out: there is no {}; make test-objects gets it", server.display());
        return;
    }
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::new("");
    let mut command = Command::new(server);
    command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
    let process = Process::start(command, "moto", site.folder());
    wait::until("moto listens", site.folder(), || TcpStream::connect(address).ok());
    let put = |name: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "PUT /{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        let _ = stream.shutdown(Shutdown::Both);
    };
    put("bucket", b"");
    rows::files(500).iter().for_each(|(name, bytes)| put(&format!("bucket/one/{name}"), bytes));
    rows::parts(500).iter().for_each(|(name, bytes)| put(&format!("bucket/parts/{name}"), bytes));
    let mut variables = Store::start(calm).variables();
    variables[0].1 = format!("http://{address}");
    let expected = digest("rows.csv", &[]);
    for train in
        ["one/rows.csv", "one/rows.parquet", "one/rows.arrow", "one/rows.npy", "parts/", "parts/part-?.csv"]
    {
        assert_eq!(digest(&format!("s3://bucket/{train}"), &variables), expected, "{train}");
    }
    drop(process);
}
