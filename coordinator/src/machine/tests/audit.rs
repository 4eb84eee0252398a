//! Nodes that two workers compute.

use super::*;
use crate::progress::Wrong;

const LEFT: Node = Node { level: 1, position: 0 };
const RIGHT: Node = Node { level: 1, position: 1 };

/// In its first step, of which all nodes are computed twice.
fn audited(workers: &[Session]) -> Machine {
    let least = workers.len() as u32;
    let config = Config { audit: 1.0, min_workers: least, ..config() };
    let mut machine = Machine::new(config, 1, Progress::default(), None);
    handle(&mut machine, Event::Start);
    workers.iter().for_each(|session| drop(join(&mut machine, *session)));
    machine
}

fn differs(node: Node, sessions: &[Session]) -> Action {
    let workers = sessions.iter().map(|session| name(*session)).collect();
    Action::Notice(Notice::Differs { workers, step: 0, node })
}

#[test]
fn the_second_is_whoever_is_done_first_and_never_the_owner() {
    let config = Config { audit: 1.0, min_workers: 3, ..config() };
    let mut machine = Machine::new(config, 1, Progress::default(), None);
    handle(&mut machine, Event::Start);
    join(&mut machine, A);
    join(&mut machine, B);
    let begun = join(&mut machine, C);
    let audit = Action::Audit(vec![Node::leaf(2), Node::leaf(3), LEFT]);
    assert!(begun.contains(&audit), "{begun:?}");
    let expected = [
        assign(A, 1, 0, &[(1, 0), (0, 3)]),
        assign(B, 1, 0, &[(1, 0), (0, 2)]),
        assign(C, 1, 0, &[(0, 2), (0, 3)]),
    ];
    assert_eq!(begun[begun.len() - 3..], expected, "{begun:?}");
}

#[test]
fn a_third_decides_and_the_wrong_one_stays_out() {
    let mut machine = audited(&[A, B]);
    join(&mut machine, C);
    let asked = handle(&mut machine, Event::Differs(LEFT, vec![A, B]));
    assert_eq!(asked, [differs(LEFT, &[A, B]), assign(C, 2, 0, &[(1, 0)])]);
    // Its other chunks differ too.
    assert_eq!(handle(&mut machine, Event::Differs(LEFT, vec![A, B])), []);
    let wrong = Wrong {
        worker: name(A),
        host: "here".into(),
        cpu: "a cpu".into(),
        numerics: "x86-64/Haswell/1".into(),
        step: 0,
        shards: "0-1".into(),
    };
    let actions = handle(&mut machine, Event::Wrong(A, LEFT));
    let why = "it computed other numbers for shards 0-1 than two others";
    let out = refused(A, Reason::Corrupt, why);
    assert_eq!(actions[..3], [&[Action::Notice(Notice::Wrong(wrong.clone()))], &out[..]].concat());
    // What it was to compute too, C does.
    assert_eq!(actions[5..], [assign(C, 3, 0, &[(1, 0), (1, 1)])]);
    assert_eq!(machine.progress().audit.put_out, std::slice::from_ref(&wrong));
    let again = Session::new(1, 9);
    let Event::Hello(_, mut hello) = hello(A) else { panic!() };
    hello.name = name(A);
    let text = format!("{wrong}; on another machine, start it under another --name");
    assert_eq!(handle(&mut machine, Event::Hello(again, hello)), refused(again, Reason::Corrupt, &text));
}

#[test]
fn without_a_third_both_compute_again_and_after_a_few_times_the_run_stops() {
    let mut machine = audited(&[A, B]);
    let mut workers = [A, B];
    for round in 0..4 {
        let actions = handle(&mut machine, Event::Differs(LEFT, workers.to_vec()));
        let why = "another computed other numbers for shards 0-1, and no third is here to decide";
        if round == 3 {
            let Some(Action::Finish(Outcome::Failed, text)) = actions.last() else { panic!("{actions:?}") };
            assert!(text.contains("computed different numbers, again and again"), "{text}");
            assert!(text.contains("(host here, a cpu, x86-64/Haswell/1)"), "{text}");
            return;
        }
        for session in workers {
            assert!(actions.contains(&refused(session, Reason::Late, why)[0]), "{actions:?}");
        }
        // One of them alone is not believed.
        assert!(
            !actions.iter().any(|action| matches!(action, Action::GiveUpAudits(of) if of.contains(&LEFT)))
        );
        workers = [4 + 2 * round, 5 + 2 * round].map(|number| Session::new(1, number));
        let alone = join(&mut machine, workers[0]);
        assert!(!alone.iter().any(|action| matches!(action, Action::GiveUpAudits(of) if of.contains(&LEFT))));
        let both = join(&mut machine, workers[1]);
        assert!(
            matches!(both.last(), Some(Action::Send(to, ToWorker::Assign(of))) if *to == workers[1] && of.nodes.contains(&LEFT)),
            "{both:?}"
        );
    }
}

#[test]
fn one_copy_is_enough_where_nobody_else_is_here() {
    let mut machine = audited(&[A, B]);
    let actions = handle(&mut machine, Event::Gone(B, "gone".into()));
    assert!(actions.contains(&Action::GiveUpAudits(vec![LEFT, RIGHT])), "{actions:?}");
    handle(&mut machine, Event::NodeDone(LEFT));
    assert_eq!(machine.progress().audit.pairs, 0);
}

#[test]
fn what_two_computed_alike_is_counted_and_one_alone_says_so_once() {
    let mut machine = audited(&[A, B]);
    for node in [LEFT, RIGHT] {
        handle(&mut machine, Event::NodeDone(node));
    }
    handle(&mut machine, commit(0));
    assert_eq!(machine.progress().audit.pairs, 2);
    let mut alone = audited(&[A]);
    let began = handle(&mut alone, commit(0));
    assert!(!began.contains(&Action::Notice(Notice::NoAudit)), "{began:?}");
}

#[test]
fn what_is_chosen_depends_on_seed_step_and_node_alone() {
    let chosen = |seed, step| -> Vec<Node> {
        let nodes = (0..4u8).flat_map(|level| (0..8 >> level).map(move |position| Node { level, position }));
        nodes.filter(|node| super::super::audited(seed, 0.3, step, *node)).collect()
    };
    assert_eq!(format!("{:?}", chosen(7, 0)), GOLDEN);
    assert_ne!(chosen(7, 0), chosen(8, 0));
    assert_ne!(chosen(7, 0), chosen(7, 1));
    let count = |share| (0..10_000).filter(|step| super::super::audited(7, share, *step, LEFT)).count();
    assert_eq!((count(0.0), count(1.0)), (0, 10_000));
    assert!((150..250).contains(&count(0.02)), "{}", count(0.02));
}

const GOLDEN: &str = "[0, 6, 7, 0-1, 2-3, 0-3, 0-7]";

/// While it stops, nobody is taken who could decide: the step is given up.
#[test]
fn a_stop_does_not_wait_for_an_opinion() {
    let stop = || Event::Stop { untouched: false };
    let again = [4, 5].map(|number| Session::new(1, number));
    for alone in [true, false] {
        let mut machine = audited(&[A, B]);
        handle(&mut machine, Event::Differs(LEFT, vec![A, B]));
        join(&mut machine, again[0]);
        let actions = if alone {
            handle(&mut machine, stop())
        } else {
            join(&mut machine, again[1]);
            let actions = handle(&mut machine, stop());
            assert!(!actions.contains(&Action::Abandon), "{actions:?}");
            handle(&mut machine, Event::Gone(again[1], "gone".into()))
        };
        assert!(actions.contains(&Action::Abandon), "{actions:?}");
    }
}
