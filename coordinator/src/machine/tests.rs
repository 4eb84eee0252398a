//! State before, one call, the exact list of actions.

use lockstep_core::gradient::Summary;

use super::*;
use crate::notice::{Awaited, Open};
use crate::progress::{Evaluation, Record};
use crate::reducer::Committed;
use lockstep_core::epoch::Plan;
use lockstep_core::metrics::{Kind, Sums};
use lockstep_core::run::spec::{Numerics, OnNonfinite};
use lockstep_proto::PROTOCOL;
use lockstep_proto::message::{
    Assign, Computed, End, Evaluate, Evaluated, Hello, Outcome, Ready, Refused, Welcome,
};

mod audit;
mod labour;
mod membership;
mod nonfinite;
mod saving;

const SECOND: Duration = Duration::from_secs(1);
const A: Session = Session::new(1, 1);
const B: Session = Session::new(1, 2);
const C: Session = Session::new(1, 3);

/// Where something of the open step has been applied.
const STOP: Event = Event::Stop { untouched: false };

/// Two steps an epoch, four in all, evaluations after each epoch in 3 pieces, checkpoints too.
fn config() -> Config {
    Config {
        plan: Plan::new(15, 4, 8),
        total_steps: 4,
        evaluate_every: 2,
        on_nonfinite: OnNonfinite::Stop,
        pieces: 3,
        save_every: 2,
        save_after: None,
        watched: Watched { kind: Kind::Classes, best: None, early_stopping: None },
        heartbeat: SECOND,
        min_workers: 1,
        loss_spike: None,
        seed: 0,
        audit: 0.0,
        numerics: Numerics::Strict,
        kernel: "Haswell".into(),
        run: "seed = 1".into(),
        train: "{}".into(),
        validation: None,
        window: 4,
        blocks: false,
    }
}

fn machine(progress: Progress) -> Machine {
    Machine::new(config(), 1, progress, None)
}

fn handle(machine: &mut Machine, event: Event) -> Vec<Action> {
    machine.handle(SECOND, event);
    actions(machine)
}

fn actions(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.poll_action()).collect()
}

fn name(session: Session) -> String {
    format!("w{}", session.to_u64() & 0xff)
}

fn hello(session: Session) -> Event {
    hello_as(session, name(session))
}

fn hello_as(session: Session, name: String) -> Event {
    let host = "here".into();
    let numerics = "x86-64/Haswell/1".into();
    Event::Hello(session, Hello { protocol: PROTOCOL, name, host, pid: 1, numerics, cpu: "a cpu".into() })
}

fn ready(session: Session, byte: u8) -> Event {
    Event::Ready(session, Ready { fingerprint: [byte; 32], threads: 2 })
}

/// Everything up to the last word of joining.
fn join(machine: &mut Machine, session: Session) -> Vec<Action> {
    for event in [hello(session), ready(session, 7)] {
        handle(machine, event);
    }
    handle(machine, Event::Tensors(session))
}

/// A machine in its first step, with these workers.
fn running(progress: Progress, workers: &[Session]) -> Machine {
    let mut machine = machine(progress);
    handle(&mut machine, Event::Start);
    for session in workers {
        join(&mut machine, *session);
    }
    machine
}

fn commit(step: u64) -> Event {
    let summary = Summary { loss: 4.0, weight: 8.0, rows: 8 };
    Event::Committed(Committed { step, summary, lr: 0.5, norm: None, skipped: false, spike: None })
}

fn assign(session: Session, generation: u32, step: u64, nodes: &[(u8, u32)]) -> Action {
    let nodes = nodes.iter().map(|(level, position)| Node { level: *level, position: *position }).collect();
    let generation = Generation::new(1, generation);
    Action::Send(session, ToWorker::Assign(Assign { generation, step, nodes }))
}

fn evaluate(session: Session, generation: u32, step: u64, pieces: &[u32]) -> [Action; 2] {
    let (generation, pieces) = (Generation::new(1, generation), pieces.to_vec());
    let evaluate = Evaluate { generation, step, pieces };
    [Action::SendExact(session), Action::Send(session, ToWorker::Evaluate(evaluate))]
}

fn want(nodes: &[(u8, u32)]) -> Action {
    Action::Want(nodes.iter().map(|(level, position)| Node { level: *level, position: *position }).collect())
}

fn joined(session: Session, step: u64) -> Action {
    Action::Notice(Notice::Joined { worker: name(session), host: "here".into(), threads: 2, step })
}

fn waiting(step: u64, seconds: u64) -> Action {
    let what = Awaited::Workers { here: 0, least: 1 };
    Action::Notice(Notice::Waiting { step, what, seconds })
}

fn lost(session: Session, why: &str, step: u64, open: Open) -> Action {
    let (worker, why) = (name(session), why.into());
    Action::Notice(Notice::Lost { worker, why, step, open })
}

fn refused(session: Session, reason: Reason, text: &str) -> [Action; 2] {
    let refused = Refused { reason, text: text.into() };
    [Action::Send(session, ToWorker::Refused(refused)), Action::Close(session)]
}

fn sums(rows: u64) -> Sums {
    Sums { rows, ..Sums::default() }
}

/// The evaluation after step 2, with A and B.
fn evaluating() -> Machine {
    running(Progress { step: 2, evaluation_due: true, ..Progress::default() }, &[A, B])
}

#[test]
fn the_first_worker_begins_the_step() {
    let mut machine = machine(Progress::default());
    assert_eq!(handle(&mut machine, Event::Start), [waiting(0, 0)]);
    let welcome = Welcome {
        session: A,
        run: "seed = 1".into(),
        train: "{}".into(),
        validation: None,
        kernel: "Haswell".into(),
        window: 4,
        blocks: false,
    };
    assert_eq!(handle(&mut machine, hello(A)), [Action::Send(A, ToWorker::Welcome(welcome))]);
    let fingerprint = Fingerprint { numerics: "x86-64/Haswell/1".into(), hash: [7; 32] };
    assert_eq!(handle(&mut machine, ready(A, 7)), [Action::Remember(fingerprint)]);
    assert_eq!(
        handle(&mut machine, Event::Tensors(A)),
        [
            joined(A, 0),
            Action::Send(A, ToWorker::Accepted),
            Action::Attach(A),
            Action::Begin(vec![true; 4]),
            want(&[(2, 0)]),
            assign(A, 1, 0, &[(2, 0)]),
        ]
    );
}

#[test]
fn a_worker_that_joins_in_the_middle_gets_its_part_at_the_next_step() {
    let mut machine = running(Progress::default(), &[A]);
    assert_eq!(join(&mut machine, B), [joined(B, 0), Action::Send(B, ToWorker::Accepted), Action::Attach(B)]);
    assert_eq!(
        handle(&mut machine, commit(0))[1..],
        [
            Action::Begin(vec![true; 4]),
            want(&[(1, 0), (1, 1)]),
            assign(A, 2, 1, &[(1, 0)]),
            assign(B, 2, 1, &[(1, 1)]),
        ]
    );
}

#[test]
fn an_open_node_of_a_lost_worker_is_computed_in_the_same_step() {
    let mut machine = running(Progress::default(), &[A, B, C]);
    handle(&mut machine, commit(0));
    // 4 shards are 2 · 1 · 1, and what A leaves is one for each.
    assert_eq!(
        handle(&mut machine, Event::Gone(A, "connection reset".into())),
        [
            Action::Close(A),
            Action::Detach(A),
            lost(A, "connection reset", 1, Open::Nodes(vec![Node { level: 1, position: 0 }])),
            want(&[(0, 0), (0, 1)]),
            assign(B, 3, 1, &[(0, 0), (0, 2)]),
            assign(C, 3, 1, &[(0, 1), (0, 3)]),
        ]
    );
}

/// A resume may have an evaluation to do before its first worker has come.
#[test]
fn with_nobody_here_the_run_is_seen_to_wait() {
    for (mut machine, doing) in
        [(running(Progress::default(), &[A, B]), Doing::Step), (evaluating(), Doing::Evaluation)]
    {
        assert_eq!(machine.doing(), doing);
        for session in [A, B] {
            handle(&mut machine, Event::Gone(session, "broken".into()));
        }
        assert_eq!(machine.doing(), Doing::Waiting);
        join(&mut machine, C);
        assert_eq!(machine.doing(), doing);
    }
}

#[test]
fn after_the_last_worker_the_step_waits_and_goes_on_with_the_next() {
    let mut machine = running(Progress::default(), &[A]);
    let open = Open::Nodes(vec![Node { level: 2, position: 0 }]);
    assert_eq!(
        handle(&mut machine, Event::Gone(A, "closed".into())),
        [Action::Close(A), Action::Detach(A), lost(A, "closed", 0, open), waiting(0, 0),]
    );
    machine.handle_timeout(SECOND * 61);
    assert_eq!(actions(&mut machine), [waiting(0, 60)]);
    assert_eq!(
        join(&mut machine, B),
        [joined(B, 0), Action::Send(B, ToWorker::Accepted), Action::Attach(B), assign(B, 2, 0, &[(2, 0)])]
    );
}

#[test]
fn a_finished_epoch_is_evaluated_in_pieces_and_saved() {
    let mut machine = running(Progress { step: 1, samples: 8, ..Progress::default() }, &[A, B]);
    handle(&mut machine, commit(1));
    let pieces = |session, pieces: &[(u32, u64)]| {
        let pieces = pieces.iter().map(|(piece, rows)| (*piece, sums(*rows))).collect();
        Event::Evaluated(session, Evaluated { step: 2, pieces })
    };
    // Neither a piece that it was not asked for nor another step's counts.
    assert_eq!(handle(&mut machine, pieces(A, &[(0, 5), (2, 99)])), []);
    let stale = Evaluated { step: 1, pieces: vec![(2, sums(99))] };
    assert_eq!(handle(&mut machine, Event::Evaluated(B, stale)), []);
    handle(&mut machine, pieces(A, &[(1, 5)]));
    let actions = handle(&mut machine, pieces(B, &[(1, 5), (2, 4)]));
    assert_eq!(actions[0], Action::Record(Record::Evaluation { step: 2, epoch: 1, sums: sums(14) }));
    let progress = machine.progress().clone();
    assert_eq!(progress.evaluation, Some(Evaluation { step: 2, sums: sums(14) }));
    assert_eq!(actions[1], Action::Save(Box::new(Save { progress, milestone: true })));
    assert_eq!(actions[2], Action::Begin(vec![true; 4]));
}

#[test]
fn pieces_of_a_lost_worker_go_to_others() {
    let mut machine = evaluating();
    let actions = handle(&mut machine, Event::Gone(A, "closed".into()));
    assert_eq!(actions[2], lost(A, "closed", 2, Open::Pieces(3)));
    assert_eq!(actions[3..], evaluate(B, 2, 2, &[0, 1, 2]));
}

#[test]
fn a_stop_ends_the_step_writes_a_checkpoint_and_says_so() {
    let mut machine = running(Progress::default(), &[A]);
    assert_eq!(handle(&mut machine, STOP), [Action::Notice(Notice::Stopping { step: 0 })]);
    let ending = "the coordinator is stopping";
    assert_eq!(handle(&mut machine, hello(B)), refused(B, Reason::Ending, ending));
    let actions = handle(&mut machine, commit(0));
    let progress = machine.progress().clone();
    assert_eq!(actions[1..], [Action::Save(Box::new(Save { progress, milestone: false }))]);
    let end = End { outcome: Outcome::Stopped, text: "stopped after step 1".into() };
    assert_eq!(
        handle(&mut machine, Event::Saved { step: 1, result: Ok(()) }),
        [
            Action::Send(A, ToWorker::End(end)),
            Action::Close(A),
            Action::Finish(Outcome::Stopped, "stopped after step 1".into()),
        ]
    );
}

#[test]
fn a_stop_while_nobody_is_here_abandons_the_step_and_writes_a_checkpoint() {
    let gone = || {
        let mut machine = running(Progress { step: 3, ..Progress::default() }, &[A]);
        handle(&mut machine, Event::Gone(A, "closed".into()));
        let stopping = Action::Notice(Notice::Stopping { step: 3 });
        assert_eq!(handle(&mut machine, STOP), [stopping, Action::Abandon]);
        machine
    };
    let mut whole = gone();
    let actions = handle(&mut whole, Event::Abandoned { whole: true });
    let progress = whole.progress().clone();
    assert_eq!(actions, [Action::Save(Box::new(Save { progress, milestone: false }))]);
    let text = "stopped in step 3, whose workers are gone; a resume goes on from the last checkpoint";
    assert_eq!(
        handle(&mut gone(), Event::Abandoned { whole: false }),
        [Action::Finish(Outcome::Stopped, text.into())]
    );
}

#[test]
fn a_stop_abandons_a_step_of_which_nothing_is_applied() {
    let mut machine = running(Progress::default(), &[A]);
    let actions = handle(&mut machine, Event::Stop { untouched: true });
    let progress = machine.progress().clone();
    let save = Action::Save(Box::new(Save { progress, milestone: false }));
    assert_eq!(actions[1..], [Action::Abandon, save]);
    assert_eq!(handle(&mut machine, Event::Abandoned { whole: true }), []);
}

#[test]
fn a_stop_during_the_last_evaluation_leaves_it_due_and_keeps_the_digest() {
    let mut machine = running(Progress { step: 4, evaluation_due: true, ..Progress::default() }, &[A]);
    let actions = handle(&mut machine, STOP);
    let progress = machine.progress().clone();
    assert!(progress.evaluation_due);
    assert_eq!(actions[1..], [Action::Save(Box::new(Save { progress, milestone: true }))]);
}

#[test]
fn a_resume_at_the_end_ends() {
    let mut machine = machine(Progress { step: 4, saved_step: Some(4), ..Progress::default() });
    let text: String = "all steps are done".into();
    assert_eq!(handle(&mut machine, Event::Start), [Action::Finish(Outcome::Finished, text.clone())]);
    let end = ToWorker::End(End { outcome: Outcome::Finished, text });
    assert_eq!(handle(&mut machine, hello(A)), [Action::Send(A, end), Action::Close(A)]);
}

/// Whoever was cut off a moment before the end comes again, and is told; who was put out is not awaited.
#[test]
fn a_worker_that_was_cut_off_hears_of_the_end() {
    let mut machine = running(Progress { step: 3, ..Progress::default() }, &[A, B, C]);
    handle(&mut machine, Event::Gone(B, "its connection broke".into()));
    let name_taken = Event::Hello(C.next(), {
        let Event::Hello(_, hello) = hello(C) else { panic!() };
        hello
    });
    handle(&mut machine, name_taken);
    handle(&mut machine, Event::Stop { untouched: true });
    let end = handle(&mut machine, Event::Abandoned { whole: true });
    let saved = Event::Saved { step: 3, result: Ok(()) };
    let end = [end, handle(&mut machine, saved)].concat();
    assert!(matches!(end.last(), Some(Action::Finish(Outcome::Stopped, _))), "{end:?}");
    assert!(machine.awaits(SECOND) && !machine.awaits(SECOND + Duration::from_secs(3)));
    let again = Session::new(1, 9);
    let Event::Hello(_, hello) = hello(B) else { panic!() };
    let told = handle(&mut machine, Event::Hello(again, hello));
    assert!(matches!(told[..], [Action::Send(_, ToWorker::End(_)), Action::Close(_)]), "{told:?}");
    assert!(!machine.awaits(SECOND));
}

#[test]
fn the_last_step_is_saved_before_the_end() {
    let mut machine = machine(Progress { step: 4, ..Progress::default() });
    let progress = machine.progress().clone();
    let save = Action::Save(Box::new(Save { progress, milestone: true }));
    assert_eq!(handle(&mut machine, Event::Start), [save]);
    let full = || Event::Saved { step: 4, result: Err("full".into()) };
    let actions = handle(&mut machine, full());
    assert!(matches!(&actions[..], [Action::Notice(_), Action::Finish(Outcome::Failed, _)]));
}

#[test]
fn a_checkpoint_that_failed_is_not_tried_again_and_again() {
    let mut machine = machine(Progress { step: 2, ..Progress::default() });
    let actions = handle(&mut machine, Event::Start);
    assert!(matches!(&actions[..], [Action::Save(_), Action::Notice(Notice::Waiting { .. })]));
    let why = String::from("full");
    assert_eq!(
        handle(&mut machine, Event::Saved { step: 2, result: Err(why.clone()) }),
        [Action::Notice(Notice::NotSaved { step: 2, why })]
    );
    // A stop is a need.
    let actions = handle(&mut machine, STOP);
    assert!(matches!(&actions[1..], [Action::Save(_)]));
}

#[test]
fn steps_go_on_while_a_checkpoint_is_written_but_not_past_the_next() {
    let mut machine = Machine::new(Config { pieces: 0, ..config() }, 1, Progress::default(), None);
    handle(&mut machine, Event::Start);
    join(&mut machine, A);
    handle(&mut machine, commit(0));
    let actions = handle(&mut machine, commit(1));
    assert!(matches!(&actions[1..], [Action::Save(_), Action::Begin(_), Action::Want(_), Action::Send(..)]));
    let actions = handle(&mut machine, commit(2));
    assert!(matches!(&actions[1..], [Action::Begin(_), Action::Want(_), Action::Send(..)]));
    assert!(matches!(&handle(&mut machine, commit(3))[..], [Action::Record(_)]));
    let actions = handle(&mut machine, Event::Saved { step: 2, result: Ok(()) });
    assert!(matches!(&actions[..], [Action::Save(save)] if save.progress.step == 4));
}

#[test]
fn a_stop_tries_again_after_an_older_checkpoint_failed() {
    let mut machine = Machine::new(Config { pieces: 0, ..config() }, 1, Progress::default(), None);
    handle(&mut machine, Event::Start);
    join(&mut machine, A);
    handle(&mut machine, commit(0));
    handle(&mut machine, commit(1));
    handle(&mut machine, STOP);
    let why = String::from("full");
    assert_eq!(
        handle(&mut machine, Event::Saved { step: 2, result: Err(why.clone()) }),
        [Action::Notice(Notice::NotSaved { step: 2, why })]
    );
    let actions = handle(&mut machine, commit(2));
    assert!(matches!(&actions[1..], [Action::Save(save)] if save.progress.step == 3));
}
