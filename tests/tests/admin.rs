//! What a process tells those who operate it, over real processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lockstep_coordinator::ledger::Refusal;
use lockstep_proto::PROTOCOL;
use lockstep_proto::message::{FromWorker, Hello};
use lockstep_proto::wire::cluster_client::ClusterClient;
use lockstep_tests::cluster::http::{Answer, ask, get, samples};
use lockstep_tests::cluster::{Process, RunFile, Site};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use serde_json::Value;

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// A run that no test waits for.
fn endless() -> Site {
    Site::new(&RunFile { epochs: 1_000_000, every_steps: 50, heartbeat_ms: 300, ..RunFile::default() }.text())
}

/// Where a process answers, as it says.
fn admin_of(site: &Site, process: &mut Process) -> SocketAddr {
    site.until("the admin listener is there", || {
        assert!(process.ended().is_none(), "it has ended: {}", process.errors());
        process.admin()
    })
}

/// Waits until a number is there.
fn until(site: &Site, admin: SocketAddr, name: &str, fits: impl Fn(f64) -> bool) -> String {
    site.until(name, || {
        let Answer { code, body } = get(admin, "/metrics");
        assert_eq!(code, 200);
        samples(&body).get(name).copied().is_some_and(&fits).then_some(body)
    })
}

#[test]
fn a_run_is_seen_from_outside() {
    let site = endless();
    let (mut coordinator, address) = site.coordinator(None, &ADMIN);
    let admin = admin_of(&site, &mut coordinator);
    let answers = ["/livez", "/readyz"].map(|path| get(admin, path).code);
    assert_eq!(answers, [200, 200], "without workers it waits for some");
    let mut scrapes = vec![until(&site, admin, "lockstep_run_state{state=\"waiting\"}", |on| on == 1.0)];

    let mut steady = site.worker("steady", address, &ADMIN);
    let of_steady = admin_of(&site, &mut steady);
    let mut doomed = site.worker("doomed", address, &[]);
    scrapes.push(until(&site, admin, "lockstep_workers{state=\"active\"}", |active| active == 2.0));
    scrapes.push(until(&site, admin, "lockstep_checkpoints_total{result=\"written\"}", |n| n >= 1.0));
    scrapes.push(until(&site, admin, "lockstep_validation{metric=\"accuracy\"}", |_| true));
    assert_eq!(get(of_steady, "/readyz"), Answer { code: 200, body: "ok\n".into() });
    let worker = get(of_steady, "/metrics").body;

    let status: Value = serde_json::from_str(&get(admin, "/status").body).unwrap();
    assert_eq!(
        (&status["role"], &status["run"], &status["protocol"]),
        (&"coordinator".into(), &"test".into(), &PROTOCOL.into())
    );
    let mut shards: Vec<u64> = Vec::new();
    for worker in status["workers"].as_array().unwrap() {
        assert!(["steady", "doomed"].contains(&worker["name"].as_str().unwrap()));
        shards.extend(worker["shards"].as_array().unwrap().iter().map(|shard| shard.as_u64().unwrap()));
    }
    shards.sort_unstable();
    assert_eq!(shards, (0..8).collect::<Vec<_>>(), "every shard is somebody's");
    let status: Value = serde_json::from_str(&get(of_steady, "/status").body).unwrap();
    assert_eq!((&status["role"], &status["state"]), (&"worker".into(), &"active".into()));

    let (ended, shown) = ended(&site, "status", &["status", &admin.to_string()]);
    assert_eq!(ended, Some(0), "{}", shown.errors());
    for words in
        ["run         test, ", "validation  loss ", "workers     2 here, 2 joined, 0 lost", "\nsteady  "]
    {
        assert!(shown.output().contains(words), "{words:?} is missing in\n{}", shown.output());
    }
    doomed.kill();
    scrapes.push(until(&site, admin, "lockstep_workers_lost_total", |lost| lost == 1.0));
    let lost = samples(scrapes.last().unwrap());
    assert_eq!(lost["lockstep_workers{state=\"active\"}"] + lost["lockstep_workers{state=\"late\"}"], 1.0);
    scrapes.push(until(&site, admin, "lockstep_run_step", |step| step > lost["lockstep_run_step"]));

    let before = samples(scrapes.last().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(refused(address));
    let name = "lockstep_refused_messages_total{reason=\"malformed\"}";
    scrapes.push(until(&site, admin, name, |count| count == before[name] + 1.0));
    scrapes.push(until(&site, admin, "lockstep_refused_workers_total{reason=\"protocol\"}", |n| n == 1.0));

    let last = samples(scrapes.last().unwrap());
    for refusal in Refusal::ALL {
        assert!(
            last.contains_key(&format!("lockstep_refused_messages_total{{reason=\"{}\"}}", refusal.name()))
        );
    }
    never_fall(&scrapes);
    documented(&[scrapes.last().unwrap(), &worker]);
    promtool(&worker);
    scrapes.iter().for_each(|scrape| promtool(scrape));

    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
}

/// Runs a command to its end.
fn ended(site: &Site, name: &str, arguments: &[&str]) -> (Option<i32>, Process) {
    let mut process = site.start(name, arguments);
    (site.end(&mut process).code(), process)
}

#[test]
fn log_lines_are_objects_that_name_run_worker_and_step() {
    let site = Site::new(&RunFile::default().text());
    let json = ["--log-format", "json"];
    let fixed = ["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"];
    let mut coordinator = site.start("coordinator", &[&fixed[..], &json].concat());
    let lines = |text: &str| -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}")))
            .collect()
    };
    let address = site.until("the coordinator listens", || {
        let errors = coordinator.errors();
        let (whole, _) = errors.rsplit_once('\n')?;
        let lines = lines(whole);
        let said = lines.iter().find_map(|line| line["message"].as_str()?.strip_prefix("listening on "))?;
        Some(said.split_once(';')?.0.parse().unwrap())
    });
    let mut worker = site.worker("w", address, &json);
    site.succeed(&mut coordinator);
    site.succeed(&mut worker);
    // What fails first is said in this form too, and as what it is.
    let fails: [&[&str]; 2] = [
        &["coordinator", "run.toml", "--certs", "nowhere"],
        &["worker", "--coordinator", "127.0.0.1:1", "--parent", "1"],
    ];
    for (fails, level) in fails.into_iter().zip(["ERROR", "INFO"]) {
        let (code, failed) = ended(&site, "fails", &[fails, &json].concat());
        assert!([Some(2), Some(75)].contains(&code), "{code:?}");
        assert_eq!(lines(&failed.errors()).last().unwrap()["level"], level, "{}", failed.errors());
    }
    let log = lines(&site.log());
    let joined =
        log.iter().find(|line| line["message"].as_str().unwrap().starts_with("worker w on ")).unwrap();
    assert_eq!(
        (&joined["run"], &joined["worker"], &joined["step"]),
        (&"test".into(), &"w".into(), &0.into()),
        "{joined}"
    );
    assert!(joined["time"].as_str().unwrap().ends_with('Z') && joined["level"] == "INFO", "{joined}");
    let saved =
        log.iter().find(|line| line["message"].as_str().unwrap().starts_with("checkpoint of step ")).unwrap();
    assert_eq!((&saved["run"], &saved["step"]), (&"test".into(), &24.into()), "{saved}");
    let of_worker = lines(&worker.errors());
    let joined = of_worker
        .iter()
        .find(|line| line["message"].as_str().unwrap().starts_with("joined the run"))
        .unwrap();
    assert_eq!((&joined["run"], &joined["worker"]), (&"test".into(), &"w".into()), "{joined}");
}

#[test]
fn a_doctor_names_what_is_wrong() {
    let site = endless();
    let (_coordinator, address) = site.coordinator(None, &ADMIN);
    let reached = ["doctor", "--coordinator", &address.to_string(), "--json"];
    let (code, process) = ended(&site, "doctor", &reached);
    let findings: Vec<Value> = serde_json::from_str(&process.output()).unwrap();
    let wrong = findings.iter().filter(|finding| finding["verdict"] == "wrong").count();
    assert_eq!(code, Some(i32::from(wrong > 0)), "{findings:?}");
    let of =
        |findings: &[Value], what: &str| findings.iter().find(|finding| finding["what"] == what).cloned();
    for what in ["processor", "blas", "numerics", "speed", "cores", "memory", "open files", "clock", "cache"]
    {
        assert!(of(&findings, what).is_some(), "{what}");
    }
    let reached = of(&findings, "coordinator").unwrap();
    assert_eq!(reached["found"], format!("{address} answers, protocol {PROTOCOL}"));
    for what in ["round trip", "bandwidth", "clocks"] {
        assert!(of(&findings, what).is_some(), "{what}");
    }

    // Nobody there, and more workers than there can be descriptors for.
    let (code, process) =
        ended(&site, "ill", &["doctor", "--coordinator", "127.0.0.1:1", "--workers", "4000000000"]);
    let (text, errors) = (process.output(), process.errors());
    assert_eq!(code, Some(1), "{text}{errors}");
    let ill = |what: &str| text.lines().any(|line| line.starts_with(what) && line.contains("  WRONG  "));
    assert!(ill("coordinator") && ill("open files") && text.contains("-> raise the limit"), "{text}");
    assert!(errors.contains("things are wrong"), "{errors}");
}

#[test]
fn a_status_of_nobody_says_what_to_do() {
    let site = endless();
    let (code, process) = ended(&site, "status", &["status", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(process.errors().contains("127.0.0.1:1: no status: ") && process.errors().contains("--admin"));
}

/// A first message that is none, and a worker of another protocol.
async fn refused(address: SocketAddr) {
    let mut client = ClusterClient::connect(format!("http://{address}")).await.unwrap();
    client.control(tokio_stream::iter([FromWorker::Heartbeat.into()])).await.unwrap_err();
    let hello = Hello {
        protocol: PROTOCOL + 1,
        name: "newer".into(),
        host: "there".into(),
        pid: 1,
        numerics: "x".into(),
        cpu: String::new(),
    };
    let answers = client.control(tokio_stream::iter([FromWorker::Hello(hello).into()])).await.unwrap();
    answers.into_inner().message().await.unwrap().unwrap();
}

/// Of consecutive scrapes, no counter falls.
fn never_fall(scrapes: &[String]) {
    for pair in scrapes.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|scrape| samples(scrape));
        for (name, value) in before {
            let family = name.split('{').next().unwrap();
            if pair[0].contains(&format!("# TYPE {family} counter")) {
                assert!(after[&name] >= value, "{name} fell from {value} to {}", after[&name]);
            }
        }
    }
}

/// What is exported is documented, with its type, and the other way round.
fn documented(scrapes: &[&str]) {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `lockstep_")?.split_once("` | "));
    let documented: BTreeSet<String> =
        rows.map(|(name, rest)| format!("lockstep_{name} {}", rest.split(' ').next().unwrap())).collect();
    let types =
        scrapes.iter().flat_map(|scrape| scrape.lines()).filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<String> =
        types.filter(|line| line.starts_with("lockstep_")).map(str::to_owned).collect();
    assert_eq!(exported, documented);
}

/// Prometheus' own tool finds nothing to say, where it is installed.
fn promtool(scrape: &str) {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = command else {
        eprintln!("NOT TESTED: there is no promtool");
        return;
    };
    tool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{scrape}");
}

#[test]
fn a_hostile_caller_hurts_nobody() {
    let site = endless();
    let (mut coordinator, _) = site.coordinator(None, &ADMIN);
    let admin = admin_of(&site, &mut coordinator);
    for (request, code) in [
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE /status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("no http at all\r\n\r\n", 400),
    ] {
        assert_eq!(ask(admin, request).code, code, "{request}");
    }
    let long = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_ne!(ask(admin, &long).code, 200);
    // More silent connections than there may be, some of them in the middle of a request.
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(admin).unwrap()).collect();
    for mut stream in &silent {
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\n");
    }
    assert_eq!(get(admin, "/livez").code, 200);
    assert_eq!(get(admin, "/readyz").code, 200);
}

#[test]
fn a_hung_driver_is_not_live() {
    let site = endless();
    // A terminal that takes no more lines stands in for whatever may hold up a thread for ever.
    let fixed = ["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"];
    let mut command = site.command(&[&fixed[..], &ADMIN].concat());
    let mut coordinator = Ends(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut errors = coordinator.0.stderr.take().unwrap();
    fcntl(&errors, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"start workers, here or elsewhere, with\n") {
        let mut byte = [0];
        errors.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    let said = String::from_utf8(said).unwrap();
    let between =
        |from: &str, to: &str| said.split_once(from).unwrap().1.split_once(to).unwrap().0.parse().unwrap();
    let (admin, address) = (between("admin on http://", ": "), between("listening on ", ";"));
    let _worker = site.worker("w", address, &[]);
    assert_eq!(get(admin, "/livez").code, 200);
    let why = site.until("the driver is found to hang", || {
        let answer = get(admin, "/livez");
        (answer.code == 503).then_some(answer.body)
    });
    assert!(why.starts_with("the coordinator's thread has not turned for "), "{why}");
    // What a container's health command is.
    let (code, shown) = ended(&site, "status", &["status", &admin.to_string()]);
    assert_eq!(code, Some(1), "{}", shown.output());
    assert!(shown.errors().contains("it is not live: the coordinator's thread"), "{}", shown.errors());
}

#[test]
fn after_a_resume_the_checkpoint_is_the_one_that_was_read() {
    let run = RunFile { epochs: 1_000_000, every_steps: 1_000_000, heartbeat_ms: 300, ..RunFile::default() };
    let site = Site::new(&run.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("w", address, &[]);
    site.until_step(20);
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
    site.end(&mut worker);
    // The stop's checkpoint is no milestone.
    let (mut coordinator, _) = site.coordinator(None, &[&ADMIN[..], &["--resume"]].concat());
    let admin = admin_of(&site, &mut coordinator);
    let text = until(&site, admin, "lockstep_run_state{state=\"waiting\"}", |on| on == 1.0);
    let found = samples(&text);
    assert_eq!(found.get("lockstep_checkpoint_step"), found.get("lockstep_run_step"), "{text}");
    assert!(found["lockstep_run_step"] >= 20.0);
}

/// Ended with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_taken_port_is_said_unless_it_was_asked_for() {
    let site = endless();
    // Here or in another process: it is taken.
    let _taken = TcpListener::bind("127.0.0.1:29501");
    let (coordinator, address) = site.coordinator(None, &[]);
    assert!(
        coordinator.errors().contains("no admin listener on 127.0.0.1:29501"),
        "{}",
        coordinator.errors()
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    let mut worker = site.worker("w", address, &["--admin", &taken.to_string()]);
    assert_eq!(site.end(&mut worker).code(), Some(1));
    assert!(worker.errors().contains(&format!("--admin {taken}: cannot listen")), "{}", worker.errors());
    drop(held);
}
