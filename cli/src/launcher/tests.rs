#![allow(clippy::unwrap_used, reason = "a test")]

use super::{Variables, first_host, with_port};

fn of(variables: &[(&str, &str)]) -> Variables<impl Fn(&str) -> Option<String>> {
    Variables(|name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn expect(variables: &[(&str, &str)], coordinator: Option<&str>, name: Option<&str>, threads: Option<u16>) {
    let found = of(variables);
    assert_eq!(found.coordinator().unwrap().as_deref(), coordinator, "{variables:?}");
    assert_eq!(found.name().unwrap().as_deref(), name, "{variables:?}");
    assert_eq!(found.threads().unwrap(), threads, "{variables:?}");
}

#[test]
fn launchers() {
    expect(&[], None, None, None);
    let torchrun = [("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "h1"), ("MASTER_PORT", "29400")];
    expect(&torchrun, Some("h1:29400"), Some("rank-3"), None);
    let trainer =
        [("PET_NODE_RANK", "1"), ("PET_MASTER_ADDR", "run-node-0-0.run"), ("PET_MASTER_PORT", "29600")];
    expect(&trainer, Some("run-node-0-0.run:29600"), Some("rank-1"), None);
    expect(&[("PET_RDZV_ENDPOINT", "h1:29401")], Some("h1:29401"), None, None);
    expect(&[("PET_RDZV_ENDPOINT", "h1")], Some("h1:29500"), None, None);
    let slurm = [
        ("SLURM_JOB_ID", "41"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "2"),
        ("SLURM_JOB_NODELIST", "n[07-09],m1"),
        ("SLURM_CPUS_PER_TASK", "8"),
    ];
    expect(&slurm, Some("n07:29500"), Some("slurm-41.0-2"), Some(8));
    let with_port = [&slurm[..], &[("MASTER_PORT", "29541")]].concat();
    expect(&with_port, Some("n07:29541"), Some("slurm-41.0-2"), Some(8));
    // The launcher within the launcher says where; both say who.
    let within = [&slurm[..], &torchrun[..]].concat();
    expect(&within, Some("h1:29400"), Some("slurm-41.0-2-rank-3"), Some(8));
    let indexed = [("JOB_COMPLETION_INDEX", "5"), ("HOSTNAME", "lockstep-worker-5")];
    expect(&indexed, None, Some("lockstep-worker-5"), None);
    expect(&[("JOB_COMPLETION_INDEX", "5"), ("HOSTNAME", "pod-15x")], None, Some("index-5"), None);
    expect(&[("MASTER_ADDR", "fd00::1")], Some("[fd00::1]:29500"), None, None);
    expect(&[("MASTER_ADDR", ""), ("RANK", " ")], None, None, None);
    // A rank without a world is a rank; a job without a task is nobody.
    expect(&[("RANK", "7")], None, Some("rank-7"), None);
    expect(&[("SLURM_JOB_ID", "9")], None, None, None);
    // Kubernetes' variables of a Service called "master".
    let service = [("MASTER_PORT", "tcp://10.0.0.1:80"), ("MASTER_SERVICE_PORT", "80")];
    expect(&service, None, None, None);
    let pod = [&service[..], &[("MASTER_ADDR", "h"), ("PET_MASTER_PORT", "7")]].concat();
    expect(&pod, Some("h:7"), None, None);
}

#[test]
fn what_is_not_asked_for_may_be_anything() {
    let odd = [("RANK", "4"), ("WORLD_SIZE", "4"), ("SLURM_CPUS_PER_TASK", "many"), ("MASTER_PORT", "x")];
    let odd = of(&odd);
    assert!(odd.name().is_err() && odd.threads().is_err());
    assert_eq!(odd.coordinator(), Ok(None), "a port without a host is nobody's");
}

#[test]
fn what_cannot_be_is_named() {
    for (variables, words) in [
        (&[("RANK", "-1")][..], ["RANK", "-1"]),
        (&[("RANK", "4"), ("WORLD_SIZE", "4")], ["RANK", "WORLD_SIZE"]),
        (&[("RANK", "0"), ("WORLD_SIZE", "0")], ["WORLD_SIZE", "\"0\""]),
        (&[("MASTER_ADDR", "h"), ("MASTER_PORT", "70000")], ["MASTER_PORT", "70000"]),
        (&[("MASTER_ADDR", "h"), ("MASTER_PORT", "0")], ["MASTER_PORT", "\"0\""]),
        (&[("SLURM_CPUS_PER_TASK", "many")], ["SLURM_CPUS_PER_TASK", "many"]),
        (&[("SLURM_JOB_NODELIST", "n[")], ["SLURM_JOB_NODELIST", "n["]),
        (&[("JOB_COMPLETION_INDEX", "x")], ["JOB_COMPLETION_INDEX", "x"]),
    ] {
        let found = of(variables);
        let problems = [found.coordinator().err(), found.name().err(), found.threads().err()];
        let problem = problems.into_iter().flatten().next().unwrap();
        for word in words {
            assert!(problem.contains(word), "{problem} for {variables:?}");
        }
    }
}

#[test]
fn first_hosts() {
    for (list, host) in [
        ("n1", Some("n1")),
        ("n1,n2", Some("n1")),
        ("n[1-3]", Some("n1")),
        ("n[007,001-002]", Some("n007")),
        ("r[0-1]n[01-10]", Some("r0n01")),
        ("r[0-1]n[01-10]-ib,x", Some("r0n01-ib")),
        ("10.0.0.1", Some("10.0.0.1")),
        ("", None),
        (",n1", None),
        ("n[", None),
        ("n[]", None),
        ("n[-3]", None),
        ("n]", None),
    ] {
        assert_eq!(first_host(list).as_deref(), host, "{list}");
    }
}

#[test]
fn ports() {
    for (address, full) in [
        ("h", "h:29500"),
        ("h:1", "h:1"),
        ("10.0.0.1", "10.0.0.1:29500"),
        ("[::1]", "[::1]:29500"),
        ("[::1]:7", "[::1]:7"),
        ("fd00::1", "[fd00::1]:29500"),
    ] {
        assert_eq!(with_port(address), full);
    }
}
