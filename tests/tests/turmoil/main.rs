//! The real path under a network that forgets: processes of the `lockstep` command over tonic and TCP, with
//! turmoil between each worker and the coordinator.
//!
//! A proxy that cuts a connection tells both ends, and one that stops loses nothing (`tests/faults.rs`,
//! chaos). Here one direction alone is lost; connections that lost a message stay open at both ends for ever,
//! without RST or FIN, so that only heartbeats and HTTP/2's keepalive find them, also where new ones would
//! work; connections of one worker overtake each other; what was held comes late and at once.
//!
//! A moment is a number of bytes on a link, drawn from a seed: so faults fall into the join, the rows, the
//! tensor stream. Nothing is timed; waits end when something happened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

mod cluster;
mod gateway;
mod link;
mod mixture;
mod network;

use cluster::{Cluster, run};
use lockstep_tests::cluster::http::{get, samples};
use lockstep_tests::cluster::{Moments, Oracle, RunFile};
use network::{Fault, Moment};

/// A step across the network takes some of its ticks: long enough that a worker is missed, whatever is fast.
fn long(epochs: u32) -> RunFile {
    RunFile { epochs, ..run(2) }
}

/// Somewhere in the first steps.
fn soon(moments: &mut Moments) -> Moment {
    Moment { bytes: moments.below(400_000), millis: 3000 }
}

/// Heartbeats tell the coordinator, keepalive tells whoever else has a connection; then all come back.
///
/// A fourth link is whole again at once, but what was on its way is lost: each connection that had some
/// stands still for ever, while new ones would work.
#[test]
fn each_direction_alone_and_both() {
    let mut moments = Moments::new();
    let faults = [Fault::Up, Fault::Down, Fault::Both];
    let mut cluster = Cluster::new(moments.below(u64::MAX), &run(4), 4, &[]);
    cluster.joined(4);
    for _ in 0..10 {
        cluster.strike(3, Fault::Lag, soon(&mut moments));
        cluster.strike(3, Fault::Lose, Moment { bytes: moments.below(100_000), millis: 3000 });
        if cluster.seen(3).dead() > 0 {
            break;
        }
    }
    for (worker, fault) in faults.into_iter().enumerate() {
        cluster.strike(worker, fault, soon(&mut moments));
    }
    cluster.until_missed(0, 1);
    cluster.until_missed(2, 1);
    // Whom the coordinator hears and who does not hear it is not silent: the connection ends.
    cluster.until_gone(1);
    for (worker, fault) in faults.into_iter().enumerate() {
        // Nobody can tell the other: each process must find by itself that nobody answers.
        cluster.until_closed(worker, 2);
        let seen = cluster.seen(worker);
        let [up, down] = seen.dropped.map(|dropped| dropped > 0);
        assert!(up == (fault != Fault::Down) && down == (fault != Fault::Up), "{fault:?}: {seen:?}");
        cluster.network.heal(worker);
    }
    cluster.until_closed(3, 1);
    (0..4).for_each(|worker| cluster.until_joined(worker, 2));
    cluster.finish(&[0, 1, 2, 3]);
    Oracle::new(&cluster.site).assert_equal(&cluster.site);
}

/// The others go on. One of the lost waits until it is told, the other as long as it may.
#[test]
fn a_partition_that_never_heals() {
    let mut moments = Moments::new();
    let mut cluster = Cluster::new(moments.below(u64::MAX), &long(300), 4, &[]);
    cluster.joined(2);
    cluster.join(&["--wait", "0"]);
    cluster.join(&["--wait", "1"]);
    cluster.site.until_logged(" joined with ", 4);
    cluster.strike(2, Fault::Both, soon(&mut moments));
    cluster.strike(3, Fault::Up, soon(&mut moments));
    cluster.until_missed(2, 1);
    cluster.until_missed(3, 1);
    cluster.finish(&[0, 1]);
    Oracle::new(&cluster.site).assert_equal(&cluster.site);

    let lost = &mut cluster.workers[3];
    assert_eq!(cluster.site.end(lost).code(), Some(75), "{}", lost.errors());
    assert!(lost.errors().contains("within 1 s"), "{}", lost.errors());
    let waiting = &cluster.workers[2];
    cluster.site.until("it says that it waits", || {
        let errors = waiting.errors();
        (errors.contains("no coordinator at") && errors.contains("for ever")).then_some(())
    });
    cluster.end_worker(2);
    for worker in [2, 3] {
        let seen = cluster.seen(worker);
        assert!(seen.dead() > 0 && seen.dropped[0] > 0 && seen.faults == 1, "{seen:?}");
    }
}

/// A link that stood still delivers gradients of a session that has ended: they are refused.
#[test]
fn what_was_held_comes_late() {
    let mut moments = Moments::new();
    let admin = ["--admin", "127.0.0.1:0"];
    let mut cluster = Cluster::new(moments.below(u64::MAX), &long(600), 2, &admin);
    let admin = cluster.coordinator.admin().unwrap();
    let refused = || {
        let samples = samples(&get(admin, "/metrics").body);
        samples["lockstep_refused_messages_total{reason=\"ended_session\"}"]
    };
    cluster.joined(2);
    // A session may end between a gradient and the reading of it.
    for round in 1..=10 {
        let missed = cluster.missed(0);
        cluster.strike(0, Fault::Lag, soon(&mut moments));
        cluster.strike(0, Fault::Hold, Moment { bytes: moments.below(100_000), millis: 60_000 });
        cluster.until_missed(0, missed + 1);
        cluster.network.heal(0);
        cluster.until_joined(0, round + 1);
        if refused() > 0.0 {
            break;
        }
    }
    assert!(refused() > 0.0, "{}", cluster.site.logs());
    let seen = cluster.seen(0);
    assert!(seen.held > 0 && seen.dead() == 0 && seen.dropped == [0, 0], "{seen:?}");
    cluster.finish(&[0, 1]);
    Oracle::new(&cluster.site).assert_equal(&cluster.site);
}

/// Nobody hears the coordinator die. One link is whole again before its worker may have noticed, the others
/// when theirs have; by then they have been in the run for longer than they may be without a coordinator.
#[test]
fn a_coordinator_restarted_behind_a_partition() {
    let mut moments = Moments::new();
    let mut cluster = Cluster::new(moments.below(u64::MAX), &run(3), 3, &["--resume"]);
    (0..3).for_each(|_| cluster.join(&["--wait", "10"]));
    cluster.site.until_logged(" joined with ", 3);
    for worker in 0..3 {
        cluster.strike(worker, Fault::Both, soon(&mut moments));
    }
    cluster.restart_coordinator();
    cluster.network.heal(0);
    for worker in [1, 2] {
        cluster.until_closed(worker, 2);
        cluster.network.heal(worker);
    }
    for worker in 0..3 {
        cluster.until_joined(worker, 2);
        let seen = cluster.seen(worker);
        assert!(seen.dead() > 0 && seen.dropped[1] > 0, "{seen:?}");
    }
    cluster.finish(&[0, 1, 2]);
    Oracle::new(&cluster.site).assert_equal(&cluster.site);
}

/// `LOCKSTEP_TURMOIL_SEEDS=100` runs more of them; `LOCKSTEP_TEST_SEED=N` one again.
#[test]
fn everything_at_once_from_seeds() {
    mixture::run_seeds();
}
