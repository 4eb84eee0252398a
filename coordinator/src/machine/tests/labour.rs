//! Late, hung, leaving, too few: what becomes of a worker's part, by the whole list of actions.

use super::*;

fn computed(session: Session, generation: u32, step: u64, micros: u64) -> Event {
    let generation = Generation::new(1, generation);
    Event::Computed(session, Computed { generation, step, shards: 2, micros })
}

fn handle_at(machine: &mut Machine, millis: u64, event: Event) -> Vec<Action> {
    machine.handle(SECOND + Duration::from_millis(millis), event);
    actions(machine)
}

fn timeout_at(machine: &mut Machine, millis: u64) -> Vec<Action> {
    machine.handle_timeout(SECOND + Duration::from_millis(millis));
    actions(machine)
}

fn alive(machine: &mut Machine, millis: u64, sessions: &[Session]) {
    for session in sessions {
        assert_eq!(handle_at(machine, millis, Event::Heard(*session)), []);
    }
}

/// In step 1 since 0 ms, with two shards each, and both took 100 ms for the one before.
fn paced() -> Machine {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    for session in [A, B] {
        assert_eq!(handle_at(&mut machine, 100, computed(session, 2, 1, 100_000)), []);
    }
    machine.handle(SECOND + Duration::from_millis(100), commit(1));
    machine.actions.clear();
    let pieces = [(0, sums(5)), (1, sums(5)), (2, sums(4))];
    let by_a = Evaluated { step: 2, pieces: pieces[..2].to_vec() };
    let by_b = Evaluated { step: 2, pieces: pieces[2..].to_vec() };
    handle_at(&mut machine, 100, Event::Evaluated(A, by_a));
    handle_at(&mut machine, 100, Event::Evaluated(B, by_b));
    machine
}

fn late(session: Session, step: u64) -> Action {
    Action::Notice(Notice::Late { worker: name(session), step })
}

#[test]
fn what_a_late_worker_has_open_is_computed_by_an_idle_one_too() {
    let mut machine = paced();
    assert_eq!(handle_at(&mut machine, 200, computed(A, 3, 2, 100_000)), []);
    // B usually takes 100 ms, half as long again is allowed, and 50.
    assert_eq!(machine.poll_timeout(), Some(SECOND + Duration::from_millis(300)));
    assert_eq!(timeout_at(&mut machine, 299), []);
    assert_eq!(timeout_at(&mut machine, 300), [late(B, 2), assign(A, 4, 2, &[(1, 0), (1, 1)])]);
    assert_eq!(timeout_at(&mut machine, 301), []);
    // B answers at last; the node is done twice, and once is enough.
    assert_eq!(handle_at(&mut machine, 310, Event::NodeDone(Node { level: 1, position: 1 })), []);
    assert_eq!(handle_at(&mut machine, 311, computed(B, 3, 2, 190_000)), []);
    // The next step is as if nothing had been.
    let actions = handle_at(&mut machine, 320, commit(2));
    assert_eq!(actions[3..], [assign(A, 4, 3, &[(1, 0)]), assign(B, 4, 3, &[(1, 1)])]);
}

#[test]
fn nobody_is_late_before_someone_else_is_idle() {
    let mut machine = paced();
    assert_eq!(timeout_at(&mut machine, 400), []);
    // Both were late; the first that is done helps the other.
    assert_eq!(
        handle_at(&mut machine, 500, computed(A, 3, 2, 400_000)),
        [late(B, 2), assign(A, 4, 2, &[(1, 0), (1, 1)])]
    );
    // So does one that joins, once the helper is late as well.
    assert_eq!(join_at(&mut machine, 510, C)[3..], []);
    assert_eq!(timeout_at(&mut machine, 3000), [late(A, 2), assign(C, 5, 2, &[(1, 0), (1, 1)])]);
}

fn join_at(machine: &mut Machine, millis: u64, session: Session) -> Vec<Action> {
    for event in [hello(session), ready(session, 7)] {
        handle_at(machine, millis, event);
    }
    handle_at(machine, millis, Event::Tensors(session))
}

#[test]
fn a_lost_workers_node_stays_with_its_helper() {
    let mut machine = paced();
    handle_at(&mut machine, 200, computed(A, 3, 2, 100_000));
    timeout_at(&mut machine, 300);
    assert_eq!(
        handle_at(&mut machine, 310, Event::Gone(B, "closed".into())),
        [Action::Close(B), Action::Detach(B), lost(B, "closed", 2, Open::Nothing)]
    );
}

#[test]
fn a_hung_worker_is_put_out_and_a_slow_one_is_not() {
    let mut machine = paced();
    handle_at(&mut machine, 200, computed(A, 3, 2, 100_000));
    timeout_at(&mut machine, 300);
    for second in 1..30 {
        alive(&mut machine, 1000 * second, &[A, B]);
        timeout_at(&mut machine, 1000 * second);
    }
    // A chunk of B's gradient came after 20 s: it lives.
    handle_at(&mut machine, 29_500, Event::Moved(B));
    for second in 30..59 {
        alive(&mut machine, 1000 * second, &[A, B]);
        let actions = timeout_at(&mut machine, 1000 * second);
        assert!(!actions.contains(&Action::Close(B)), "{second}: {actions:?}");
    }
    alive(&mut machine, 59_400, &[A, B]);
    let actions = timeout_at(&mut machine, 59_500);
    let why = "it lives, but nothing moved in its work for 30 s";
    assert_eq!(actions[..2], refused(B, Reason::Hung, why));
    assert!(Reason::Hung.may_return());
}

#[test]
fn the_first_step_may_take_for_ever_and_says_so() {
    let mut machine = running(Progress::default(), &[A]);
    for minute in 1..60 {
        handle_at(&mut machine, 60_000 * minute, Event::Heard(A));
        let what = Awaited::Gradients(vec!["w1".into()]);
        let still = Action::Notice(Notice::Waiting { step: 0, what, seconds: 60 * minute });
        assert_eq!(timeout_at(&mut machine, 60_000 * minute), [still]);
    }
}

#[test]
fn a_step_begins_when_enough_are_here_and_ends_with_whoever_is_left() {
    let config = Config { min_workers: 2, ..config() };
    let mut machine = Machine::new(config, 1, Progress::default(), None);
    let waiting = |here, step| {
        let what = Awaited::Workers { here, least: 2 };
        Action::Notice(Notice::Waiting { step, what, seconds: 0 })
    };
    assert_eq!(handle(&mut machine, Event::Start), [waiting(0, 0)]);
    assert_eq!(join(&mut machine, A)[2..], [Action::Attach(A), waiting(1, 0)]);
    assert_eq!(
        join(&mut machine, B)[3..],
        [
            Action::Begin(vec![true; 4]),
            want(&[(1, 0), (1, 1)]),
            assign(A, 1, 0, &[(1, 0)]),
            assign(B, 1, 0, &[(1, 1)])
        ]
    );
    let open = Open::Nodes(vec![Node { level: 1, position: 1 }]);
    assert_eq!(
        handle(&mut machine, Event::Gone(B, "closed".into())),
        [Action::Close(B), Action::Detach(B), lost(B, "closed", 0, open), assign(A, 2, 0, &[(1, 0), (1, 1)])]
    );
    assert_eq!(handle(&mut machine, commit(0))[1..], [waiting(1, 1)]);
}

fn left(session: Session, step: u64) -> [Action; 4] {
    let notice = Action::Notice(Notice::Left { worker: name(session), step });
    let (close, detach) = (Action::Close(session), Action::Detach(session));
    [Action::Send(session, ToWorker::Leave), close, detach, notice]
}

#[test]
fn a_worker_that_wants_to_go_finishes_its_step() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    assert_eq!(handle(&mut machine, Event::Leave(A)), []);
    let actions = handle(&mut machine, commit(1));
    assert_eq!(actions[1..5], left(A, 2));
    assert_eq!(actions[5..], evaluate(B, 3, 2, &[0, 1, 2]));
    assert_eq!(machine.progress().lost, 0);
    // One that has nothing to do goes at once.
    let mut machine = running(Progress::default(), &[A, B]);
    assert_eq!(handle(&mut machine, Event::Leave(B)), left(B, 0));
}

#[test]
fn a_worker_that_is_to_go_finishes_its_step_or_its_joining() {
    let mut machine = running(Progress::default(), &[A, B]);
    assert_eq!(machine.session_of(&name(B)), Some(B));
    handle(&mut machine, commit(0));
    assert_eq!(handle(&mut machine, Event::Drain(A)), []);
    assert_eq!(handle(&mut machine, Event::Drain(A)), [], "twice is once");
    assert_eq!(machine.here(), [name(B)]);
    assert_eq!(handle(&mut machine, commit(1))[1..5], left(A, 2));
    assert_eq!((machine.session_of(&name(A)), machine.progress().lost), (None, 0));
    assert_eq!(handle(&mut machine, Event::Drain(A)), []);
    // One that joins does not listen yet.
    assert_eq!(handle(&mut machine, hello(C)).len(), 1);
    for event in [Event::Drain(C), ready(C, 7)] {
        assert_eq!(handle(&mut machine, event), []);
    }
    assert_eq!(handle(&mut machine, Event::Tensors(C)), left(C, 2));
}

/// Nobody has told the worker yet, so it comes back as if nothing were.
#[test]
fn a_worker_that_is_to_go_goes_although_its_session_breaks() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    handle(&mut machine, Event::Drain(A));
    handle(&mut machine, Event::Gone(A, "reset".into()));
    for event in [hello_as(C, name(A)), ready(C, 7)] {
        handle(&mut machine, event);
    }
    assert_eq!(machine.here(), [name(B)]);
    let gone = handle(&mut machine, Event::Tensors(C));
    assert!(gone.contains(&Action::Send(C, ToWorker::Leave)), "{gone:?}");
    // It has gone, and may be started again.
    handle(&mut machine, hello_as(Session::new(1, 4), name(A)));
    assert_eq!(machine.here(), [name(B), name(A)]);
}

#[test]
fn shards_follow_what_was_measured() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    handle_at(&mut machine, 100, computed(A, 2, 1, 40_000));
    handle_at(&mut machine, 100, computed(B, 2, 1, 120_000));
    machine.progress.evaluation_due = false;
    machine.config.pieces = 0;
    let actions = handle_at(&mut machine, 1100, commit(1));
    let shares = [assign(A, 3, 2, &[(1, 0), (0, 2)]), assign(B, 3, 2, &[(0, 3)])];
    assert!(actions.ends_with(&shares), "{actions:?}");
}
