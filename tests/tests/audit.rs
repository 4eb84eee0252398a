//! A worker whose numbers change on their way is found out, and no wrong bit reaches the weights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::{Oracle, Proxy, RunFile, Site};

fn audited(min_workers: u32) -> String {
    let run = RunFile { epochs: 60, min_workers, ..RunFile::default() };
    run.text().replace("[cluster]", "[cluster]\naudit = 1.0")
}

#[test]
fn a_worker_with_wrong_numbers_is_put_out_and_no_bit_changes() {
    let site = Site::new(&audited(3));
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let proxy = Proxy::new(address);
    let mut liar = site.worker("liar", proxy.address(), &[]);
    let mut honest = ["a", "b"].map(|name| site.worker(name, address, &[]));
    site.until_step(10);
    proxy.lie(u64::MAX);
    assert_eq!(site.end(&mut liar).code(), Some(1), "{}", liar.errors());
    assert!(liar.errors().contains("it computed other numbers for shards "), "{}", liar.errors());
    // Nor is it taken when it comes again.
    let mut again = site.worker("liar", address, &[]);
    assert_eq!(site.end(&mut again).code(), Some(1), "{}", again.errors());
    assert!(again.errors().contains("start it under another --name"), "{}", again.errors());
    let mut third = site.worker("c", address, &[]);
    for process in honest.iter_mut().chain([&mut third, &mut coordinator]) {
        site.succeed(process);
    }
    let audit = site.results().workers.audit.expect("an audit");
    let wrong: Vec<&str> = audit.put_out.iter().map(|wrong| wrong.worker.as_str()).collect();
    assert_eq!(wrong, ["liar"], "{}", site.logs());
    assert!(audit.pairs > site.results().steps, "{audit:?}");
    assert!(audit.put_out[0].numerics.contains('/') && !audit.put_out[0].host.is_empty(), "{audit:?}");
    assert!(site.log().contains("check that machine's memory and processor"), "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}

/// With two workers nobody can say whose bit it was: both compute it again.
#[test]
fn one_flipped_bit_between_two_workers_is_computed_again() {
    let site = Site::new(&audited(2));
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let proxy = Proxy::new(address);
    let mut workers = [proxy.address(), address]
        .map(|address| site.worker(&format!("to-{}", address.port()), address, &[]));
    site.until_step(10);
    proxy.lie(1);
    site.until("a chunk was changed", || (proxy.lies_left() == 0).then_some(()));
    for process in workers.iter_mut().chain([&mut coordinator]) {
        site.succeed(process);
    }
    assert_eq!(site.log().matches("no third is here to decide").count(), 2, "{}", site.logs());
    assert_eq!(site.results().workers.audit.expect("an audit").put_out, []);
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn one_worker_alone_compares_nothing_and_says_so_once() {
    let site = Site::new(&audited(1));
    let (status, train) = site.trained(&["--workers", "1"]);
    assert_eq!(status.code(), Some(0), "{}", train.errors());
    assert_eq!(site.log().matches("cluster.audit needs a second worker").count(), 1, "{}", site.logs());
    assert_eq!(site.results().workers.audit, None);
}
