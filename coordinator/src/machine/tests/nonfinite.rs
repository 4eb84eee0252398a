//! Numbers that are not finite.

use lockstep_proto::message::{Explain, Explained, Found};

use super::*;

const LEFT: Node = Node { level: 1, position: 0 };
/// What each worker is asked for in the second step.
const OF: Explain = Explain { step: 1, node: LEFT };

/// In step 1, A with the left half and B with the right one.
fn two() -> Machine {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    machine
}

fn ask(session: Session) -> Action {
    Action::Send(session, ToWorker::Explain(OF))
}

fn explained(session: Session, found: Option<Found>) -> Event {
    Event::Explained(session, Explained { of: OF, found })
}

fn found() -> Option<Found> {
    Some(Found { shard: 1, row: Some(41), place: "the output of layers.0 (linear = 2)".into() })
}

fn ends(what: &str) -> Vec<Action> {
    let text = format!(
        "step 1, {what}; nothing of this step was kept. A smaller learning rate or train.clip_norm may help; \
         train.on_nonfinite = \"skip\" leaves such steps out"
    );
    let end = |session: Session| {
        let end = End { outcome: Outcome::Failed, text: text.clone() };
        [Action::Send(session, ToWorker::End(end)), Action::Close(session)]
    };
    let finish = Action::Finish(Outcome::Failed, text.clone());
    [A, B].into_iter().flat_map(end).chain([finish]).collect()
}

#[test]
fn a_second_worker_computes_it_and_the_first_is_named() {
    let mut machine = two();
    assert_eq!(handle(&mut machine, Event::NodeNotFinite(A, LEFT)), [assign(B, 3, 1, &[(1, 0), (1, 1)])]);
    // Its other chunks are refused as well.
    assert_eq!(handle(&mut machine, Event::NodeNotFinite(A, LEFT)), []);
    let doubtful = Notice::Doubtful { worker: name(A), step: 1, node: LEFT };
    assert_eq!(handle(&mut machine, Event::NodeDone(LEFT)), [Action::Notice(doubtful)]);
}

#[test]
fn a_second_worker_finds_the_same_and_says_where() {
    let mut machine = two();
    handle(&mut machine, Event::NodeNotFinite(A, LEFT));
    assert_eq!(handle(&mut machine, Event::NodeNotFinite(B, LEFT)), [ask(B)]);
    // A was not asked.
    assert_eq!(handle(&mut machine, explained(A, found())), []);
    let what = "shard 1: the output of layers.0 (linear = 2) is not finite for training row 42 \
                (as w1 and w2 computed)";
    assert_eq!(handle(&mut machine, explained(B, found())), ends(what));
    assert_eq!(machine.poll_timeout(), None);
}

/// Else the clock, or a passing fault, would decide what is trained on.
#[test]
fn a_step_is_not_left_out_because_nobody_said_where() {
    let mut machine = two();
    machine.config.on_nonfinite = OnNonfinite::Skip;
    let mut all = Vec::new();
    for number in 3..7 {
        let next = Session::new(1, number);
        join(&mut machine, next);
        for session in [A, B, next] {
            handle(&mut machine, Event::NodeNotFinite(session, LEFT));
        }
        for session in [A, B, next] {
            all.extend(handle(&mut machine, explained(session, None)));
        }
    }
    assert!(!all.contains(&Action::Skip), "{all:?}");
    assert!(all.iter().any(|action| matches!(action, Action::Finish(Outcome::Failed, _))), "{all:?}");
}

#[test]
fn whoever_does_not_answer_is_put_out() {
    let mut machine = two();
    handle(&mut machine, Event::NodeNotFinite(A, LEFT));
    handle(&mut machine, Event::NodeNotFinite(B, LEFT));
    for session in [A, B] {
        machine.handle(SECOND * 61, Event::Heard(session));
    }
    machine.handle_timeout(SECOND * 61);
    let actions = actions(&mut machine);
    assert!(actions.iter().any(|action| matches!(action, Action::Close(_))), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Finish(..))), "{actions:?}");
}

/// The node would come back to A, which does not compute it twice.
#[test]
fn the_first_is_asked_when_the_second_is_lost() {
    let mut machine = two();
    handle(&mut machine, Event::NodeNotFinite(A, LEFT));
    let actions = handle(&mut machine, Event::Gone(B, "killed".into()));
    assert!(actions.contains(&ask(A)), "{actions:?}");
}

#[test]
fn sums_that_overflow_are_nobodys_fault() {
    let mut machine = two();
    let what = "the sum of the gradients is not finite";
    assert_eq!(handle(&mut machine, Event::NotFinite { step: 0, what: what.into() }), []);
    assert_eq!(handle(&mut machine, Event::NotFinite { step: 1, what: what.into() }), ends(what));
}

#[test]
fn a_step_can_be_left_out() {
    let mut machine = two();
    machine.config.on_nonfinite = OnNonfinite::Skip;
    let what = "the sum of the gradients is not finite";
    let skipped = Notice::Skipped { step: 1, what: what.into() };
    assert_eq!(
        handle(&mut machine, Event::NotFinite { step: 1, what: what.into() }),
        [Action::Notice(skipped), Action::Skip]
    );
}
