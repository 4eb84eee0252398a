//! `lockstep status`: what a coordinator or a worker is doing.

use std::io::IsTerminal;
use std::time::Duration;

use lockstep_coordinator::view::{self, Worker};
use lockstep_worker::view as worker;

use crate::admin::{self, Status};
use crate::failure::Failure;
use crate::print::{self, count};
use crate::runtime;
use crate::show::words;

/// Arguments of `lockstep status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where it answers, as --admin said there
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:29501")]
    address: String,
    /// Again each second, until it ends or you do
    #[arg(long)]
    watch: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Asks and prints.
///
/// # Errors
/// Nobody answers there, or whoever does is not live (1).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = runtime::current_thread()?;
    let address = admin::address(&arguments.address);
    let terminal = std::io::stdout().is_terminal();
    let mut seen = false;
    loop {
        // First, for whoever ends in between is seen by what follows.
        let live = runtime.block_on(admin::live(&address));
        let status = match runtime.block_on(admin::status(&address)) {
            Ok(status) => status,
            Err(why) if seen => return Err(Failure::failed(format!("{address}: it has gone: {why}"))),
            Err(why) => {
                return Err(Failure::failed(format!(
                    "{address}: no status: {why}; name the address that lockstep coordinator, train or worker \
                     was given as --admin (a coordinator's is 127.0.0.1:29501 unless it was told)"
                )));
            }
        };
        seen = true;
        if arguments.json {
            print::json(&status)?;
        } else {
            // From the top of an empty screen.
            let clear = if arguments.watch && terminal { "\x1b[H\x1b[2J" } else { "" };
            let end = if arguments.watch && !terminal { "\n" } else { "" };
            print::text(&format!("{clear}{}{end}", describe(&status)))?;
        }
        let live = live.map_err(|why| Failure::failed(format!("{address}: it is not live: {why}")));
        match live {
            live if !arguments.watch => return live,
            // It may come to itself.
            Err(hung) => print::failure(&hung),
            Ok(()) => {}
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn describe(status: &Status) -> String {
    match status {
        Status::Coordinator(view) => coordinator(view),
        Status::Worker(view) => of_worker(view),
    }
}

fn coordinator(view: &view::View) -> String {
    let state = view.state.name();
    let ended = if view.ended.is_empty() { String::new() } else { format!(" ({})", view.ended) };
    let (step, steps, epoch, epochs) = (view.step, view.total_steps, view.epoch, view.epochs);
    let mut facts = vec![
        ("run", format!("{}, {state}{ended}", view.run)),
        ("step", format!("{} of {}, epoch {epoch} of {epochs}", count(step), count(steps))),
    ];
    if let (Some(loss), Some(rate)) = (view.loss, view.learning_rate) {
        facts.push(("training", format!("loss {loss:.4}, learning rate {rate:.3e}")));
    }
    facts.extend(view.validation.iter().map(|report| ("validation", words(report))));
    if let Some(rate) = view.samples_per_second {
        let so_far = count(view.samples);
        facts.push(("speed", format!("{} rows/s, {so_far} rows so far", count(rate as u64))));
    }
    let view::Seconds { waiting, computing, reducing, evaluating } = view.seconds;
    facts.push(("time", format!(
        "waiting {waiting:.1} s, computing {computing:.1} s, reducing {reducing:.1} s, evaluating {evaluating:.1} s"
    )));
    if let Some(step) = view.checkpoints.step {
        let age = view.checkpoints.age_seconds.map(|age| format!(", {age:.0} s old")).unwrap_or_default();
        facts.push(("checkpoint", format!("of step {}{age}", count(step))));
    }
    if view.checkpoints.failed > 0 {
        facts.push(("", format!("{} could not be written", view.checkpoints.failed)));
    }
    let view::Bytes { up, down } = view.bytes;
    facts.push(("bytes", format!("{} up, {} down", print::bytes(up), print::bytes(down))));
    let refused = view.refused_messages.iter().chain(&view.refused_workers).filter(|(_, count)| **count > 0);
    let refused: Vec<String> = refused.map(|(reason, count)| format!("{reason} {count}")).collect();
    if !refused.is_empty() {
        facts.push(("refused", refused.join(", ")));
    }
    let view::Nodes { recomputed, audited } = view.nodes;
    if recomputed > 0 || audited > 0 {
        facts.push(("nodes", format!("{recomputed} computed again, {audited} by two workers alike")));
    }
    let (joined, lost) = (view.workers_joined, view.workers_lost);
    facts.push(("workers", format!("{} here, {joined} joined, {lost} lost", view.workers.len())));
    facts.push(("lockstep", format!("{}, protocol {}, {}", view.version, view.protocol, view.numerics)));
    let mut text = print::list(&facts);
    if !view.workers.is_empty() {
        let head = ["worker", "host", "state", "threads", "shards", "shards/s", "seen"].map(String::from);
        let rows = view.workers.iter().map(row);
        text += "\n";
        text += &print::table(&[head.to_vec()].into_iter().chain(rows).collect::<Vec<_>>());
    }
    text
}

fn row(worker: &Worker) -> Vec<String> {
    let Worker { name, host, state, threads, shards, shards_per_second, last_seen_seconds, .. } = worker;
    vec![
        name.clone(),
        host.clone(),
        state.name().to_owned(),
        threads.to_string(),
        runs(shards),
        shards_per_second.map_or("-".into(), |speed| format!("{speed:.1}")),
        format!("{last_seen_seconds:.1} s ago"),
    ]
}

/// `0-3,7`
fn runs(shards: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &shard in shards {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(shard) => *last = shard,
            _ => runs.push((shard, shard)),
        }
    }
    let words = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    let text = words.collect::<Vec<_>>().join(",");
    if text.is_empty() { "-".into() } else { text }
}

fn of_worker(view: &worker::View) -> String {
    let run = if view.run.is_empty() { "of no run yet".into() } else { format!("of run {}", view.run) };
    let worker::Seconds { rows, weights, computing, evaluating } = view.seconds;
    let worker::Bytes { up, down } = view.bytes;
    print::list(&[
        ("worker", format!("{} on {}, {}, {run}", view.name, view.host, view.state.name())),
        ("coordinator", format!("{}, {} sessions", view.coordinator, view.sessions)),
        ("step", format!("{}, {} shards on {} threads", count(view.step), view.shards, view.threads)),
        (
            "time",
            format!(
                "computing {computing:.1} s, waiting for weights {weights:.1} s, for rows {rows:.1} s, evaluating {evaluating:.1} s"
            ),
        ),
        ("bytes", format!("{} up, {} down", print::bytes(up), print::bytes(down))),
        ("rows", format!("{} read", count(view.rows_read))),
        ("lockstep", format!("{}, protocol {}, {}", view.version, view.protocol, view.numerics)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_written_as_runs() {
        let texts = [&[][..], &[3], &[0, 1, 2, 7], &[1, 3, 4], &[u32::MAX, 0]].map(runs);
        assert_eq!(texts, ["-", "3", "0-2,7", "1,3-4", "4294967295,0"]);
    }

    #[test]
    fn no_count_of_a_peer_is_too_large() {
        let nodes = view::Nodes { recomputed: u64::MAX, audited: 1 };
        let text = coordinator(&view::View { nodes, samples: u64::MAX, ..view::View::default() });
        assert!(text.contains("18446744073709551615 computed again, 1 by two workers alike"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let text = coordinator(&view::View { run: "digits".into(), ..view::View::default() });
        assert!(text.starts_with("run       digits, preparing\nstep      0 of 0, epoch 0 of 0\n"), "{text}");
        assert!(
            !text.contains("loss") && !text.contains("checkpoint") && !text.contains("refused"),
            "{text}"
        );
    }
}
