//! OpenTelemetry traces: a run and its workers are one trace, and no collector changes a bit or holds up a
//! step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::collections::BTreeSet;
use std::net::TcpListener;

use lockstep_tests::cluster::collector::{Collector, Span};
use lockstep_tests::cluster::{Oracle, RunFile, Site};
use nix::sys::signal::Signal;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn site(variables: &[(&'static str, String)]) -> Site {
    Site::new(&RunFile { every_steps: 10, ..RunFile::default() }.text()).with(variables)
}

/// Trains on two workers to the end, which has the digest of one thread without any of this.
fn train(site: &Site) {
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut workers = ["a", "b"].map(|name| site.worker(name, address, &[]));
    site.succeed(&mut coordinator);
    workers.iter_mut().for_each(|worker| site.succeed(worker));
    Oracle::new(site).assert_equal(site);
}

#[test]
fn a_run_and_its_workers_are_one_trace() {
    let collector = Collector::new(false);
    let site = site(&[(ENDPOINT, collector.endpoint())]);
    train(&site);
    let spans = collector.spans();
    let named = |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name == name).collect() };
    let traces: BTreeSet<&[u8]> = spans.iter().map(|span| &span.trace[..]).collect();
    assert_eq!(traces.len(), 1, "{spans:?}");
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| &span.id[..]).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans.iter().all(|span| span.service == "lockstep"), "{spans:?}");

    let [run] = named("run")[..] else { panic!("{spans:?}") };
    assert!(run.parent.is_empty() && run.attributes["run"] == "test", "{run:?}");
    let steps = site.results().steps;
    let step_of = |span: &Span| span.attributes["step"].parse::<u64>().unwrap();
    // A step may be waited for in its middle, never left out.
    let seen: BTreeSet<u64> = named("step").into_iter().map(step_of).collect();
    assert_eq!(seen, (0..steps).collect());
    assert_eq!(named("evaluation").into_iter().map(step_of).collect::<BTreeSet<_>>().len(), 2);
    assert!(named("checkpoint").into_iter().map(step_of).any(|step| step == 10));
    for span in ["step", "evaluation", "checkpoint", "waiting"].into_iter().flat_map(named) {
        assert!(span.parent == run.id && span.took <= run.took, "{span:?}");
    }

    let sessions = named("session");
    let workers: BTreeSet<&str> = sessions.iter().map(|span| &span.attributes["worker"][..]).collect();
    assert_eq!(workers, BTreeSet::from(["a", "b"]));
    assert!(sessions.iter().all(|session| session.parent == run.id), "{sessions:?}");
    let computed: BTreeSet<u64> = named("compute").into_iter().map(step_of).collect();
    assert_eq!(computed, (0..steps).collect());
    for span in ["compute", "evaluate"].into_iter().flat_map(named) {
        assert!(sessions.iter().any(|session| session.id == span.parent), "{span:?}");
    }
}

#[test]
fn without_the_variables_nothing_is_sent() {
    let collector = Collector::new(false);
    let off = [(ENDPOINT, collector.endpoint()), ("OTEL_SDK_DISABLED", "true".into())];
    train(&site(&off));
    assert_eq!(collector.connections(), 0);
    // Where exporters send to by default.
    match TcpListener::bind("127.0.0.1:4318") {
        Ok(listener) => {
            let usual = Collector::on(listener, false);
            let site = site(&[("OTEL_SERVICE_NAME", "digits".into())]);
            train(&site);
            assert_eq!(usual.connections(), 0);
            assert!(!site.log().contains("traces"), "{}", site.log());
        }
        Err(error) => println!("NOT TESTED: port 4318: {error}"),
    }
}

#[test]
fn a_collector_that_never_answers_holds_up_nothing() {
    let collector = Collector::new(true);
    // For longer than any test waits: only what is bounded by ourselves ends.
    let hour = ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000".into());
    let site = site(&[(ENDPOINT, collector.endpoint()), ("OTEL_BSP_SCHEDULE_DELAY", "50".into()), hour]);
    train(&site);
    assert!(collector.connections() > 0 && collector.spans().is_empty());
}

#[test]
fn a_collector_that_is_away_is_said_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = RunFile { epochs: 1_000_000, heartbeat_ms: 300, ..RunFile::default() }.text();
    let site = Site::new(&text).with(&[
        (ENDPOINT, format!("http://{port}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".into()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300".into()),
    ]);
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("a", address, &[]);
    site.until_logged("traces cannot be sent, and are dropped", 1);
    let before = site.step();
    site.until_step(before + 1000);
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
    assert_eq!(site.end(&mut worker).code(), Some(75), "{}", worker.errors());
    assert_eq!(site.log().matches("traces cannot be sent").count(), 1, "{}", site.log());
    assert!(worker.errors().contains("traces cannot be sent"), "{}", worker.errors());
}
