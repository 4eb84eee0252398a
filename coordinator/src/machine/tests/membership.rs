//! Who joins, who is refused, who was silent.

use super::*;

#[test]
fn a_new_session_ends_the_one_of_the_same_name() {
    let mut machine = running(Progress::default(), &[A]);
    let Event::Hello(_, as_a) = hello(A) else { return };
    let why = "a new session came under its name";
    let actions = handle(&mut machine, Event::Hello(B, as_a));
    assert_eq!(actions[..2], refused(A, Reason::Replaced, why));
    let open = Open::Nodes(vec![Node { level: 2, position: 0 }]);
    assert_eq!(actions[2..4], [Action::Detach(A), lost(A, why, 0, open)]);
    assert!(matches!(actions[5..], [Action::Send(B, ToWorker::Welcome(_))]));
}

#[test]
fn a_second_hello_ends_the_session_and_frees_its_work() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    let Event::Hello(_, mut again) = hello(A) else { return };
    again.name = "other".into();
    let actions = handle(&mut machine, Event::Hello(A, again));
    assert_eq!(actions[..2], refused(A, Reason::Malformed, "said hello twice"));
    assert_eq!(actions[4..], [assign(B, 3, 1, &[(1, 0), (1, 1)])]);
}

#[test]
fn opening_again_is_not_joining_again() {
    let mut machine = running(Progress::default(), &[A]);
    assert_eq!(handle(&mut machine, Event::Tensors(A)), []);
    assert_eq!(handle(&mut machine, ready(A, 7)), []);
    assert_eq!(machine.progress().joined, 1);
}

#[test]
fn other_numerics_are_refused_with_both_named() {
    let mut machine = running(Progress::default(), &[A]);
    handle(&mut machine, hello(B));
    let actions = handle(&mut machine, ready(B, 8));
    let [Action::Notice(Notice::Refused { worker, text }), Action::Send(B, _), Action::Close(B)] =
        &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(worker, "w2");
    assert!(text.contains("numerics are x86-64/Haswell/1, the run's are x86-64/Haswell/1"));
    assert!(!machine.knows(B));
}

#[test]
fn no_name_forges_a_line_of_the_log() {
    let mut machine = running(Progress::default(), &[A]);
    let changes: [fn(&mut Hello); 5] = [
        |hello| hello.name.push_str("\nworker w1 on here joined"),
        |hello| hello.name.push('\u{1b}'),
        |hello| hello.host = "there\r".into(),
        |hello| hello.cpu = "\u{9b}2J".into(),
        |hello| hello.numerics.push('\0'),
    ];
    for change in changes {
        let Event::Hello(session, mut odd) = hello(B) else { unreachable!() };
        change(&mut odd);
        let mut machine = running(Progress::default(), &[A]);
        let actions = handle(&mut machine, Event::Hello(session, odd.clone()));
        let [Action::Send(_, ToWorker::Refused(refused)), Action::Close(_)] = &actions[..] else {
            panic!("{odd:?}: {actions:?}")
        };
        assert_eq!(refused.reason, Reason::Malformed);
    }
    let Event::Hello(session, mut foreign) = hello(B) else { unreachable!() };
    (foreign.protocol, foreign.name) = (PROTOCOL + 1, "w2\n\u{1b}[31mno".into());
    let actions = handle(&mut machine, Event::Hello(session, foreign));
    let Some(Action::Notice(Notice::Refused { worker, .. })) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(worker, "w2[31mno");
}

#[test]
fn another_protocol_is_refused() {
    let mut machine = running(Progress::default(), &[]);
    let Event::Hello(_, mut foreign) = hello(A) else { return };
    foreign.protocol += 1;
    let actions = handle(&mut machine, Event::Hello(A, foreign));
    assert!(matches!(
        &actions[..],
        [Action::Notice(Notice::Refused { .. }), Action::Send(A, ToWorker::Refused(r)), Action::Close(A)]
            if r.reason == Reason::Protocol
    ));
}

#[test]
fn silence_ends_a_session_and_a_sign_of_life_delays_that() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, commit(0));
    machine.handle(SECOND * 3, Event::Heard(B));
    assert_eq!(machine.poll_timeout(), Some(SECOND * 4));
    machine.handle_timeout(SECOND * 4);
    let actions = actions(&mut machine);
    assert_eq!(actions[..2], refused(A, Reason::Late, "silent for 3000 ms"));
    assert_eq!(actions[4..], [assign(B, 3, 1, &[(1, 0), (1, 1)])]);
    assert_eq!(machine.poll_timeout(), Some(SECOND * 6));
}

/// On a control stream that outlives its session.
#[test]
fn an_ended_session_does_not_come_back_under_anothers_name() {
    let mut machine = running(Progress::default(), &[A, B]);
    handle(&mut machine, Event::Gone(B, "broken".into()));
    let Event::Hello(_, as_a) = hello(A) else { return };
    assert_eq!(handle(&mut machine, Event::Hello(B, as_a)), []);
    assert!(machine.knows(A));
}
