//! Times a rehearsal of two policies with its full report, beside the ways in which one would do it
//! otherwise, on the same events: `rehearse [EVENTS]`.
//!
//! Exits with a panic when any two of them count differently.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use doorward_benches::cedar::Cedar;
use doorward_benches::door;
use doorward_benches::recorded::{Shape, Traffic, tightened};
use doorward_benches::rego::Rego;
use doorward_benches::workload::{Ask, NOW, Policy, Size};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How often each way is timed. They take turns, so that a load from outside meets all of them.
const ROUNDS: usize = 3;
/// What a rehearsal on 2 threads should reach: events in a second from lines, the share of the bare parse, and events
/// in a second from columns.
const GOALS: (f64, f64, f64) = (1e6, 0.6, 5e6);
/// How many events the slow engines are asked about.
const FEW: usize = 40_000;

fn main() {
    let events: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let baseline = Policy::new(Size::STANDARD);
    let candidate = tightened(&baseline);
    fs::write(at("baseline.toml"), baseline.to_toml()).expect("written");
    fs::write(at("candidate.toml"), candidate.to_toml()).expect("written");
    let bytes = generate(&baseline, Shape::Real, events, &at("real.jsonl"));
    let short = generate(&baseline, Shape::Short, events, &at("short.jsonl"));
    let distinct = events / 4;
    generate(&baseline, Shape::AllDistinct, distinct, &at("distinct.jsonl"));
    head(&at("real.jsonl"), FEW, &at("few.jsonl"));
    let columns = convert(&at("real.jsonl"), &at("real.parquet"));
    convert(&at("short.jsonl"), &at("short.parquet"));
    println!(
        "{events} events; {} B a line, {} B in columns; {} B a line without decisions; 50 servers × 20 tools, 200 grants, \
         two policies, all in one run.\n",
        bytes / events,
        columns / events,
        short / events
    );

    let shapes = [
        ("", "real", events),
        ("no decisions, ", "short", events),
        ("another subject each time, ", "distinct", distinct),
    ];
    println!("| both policies judged, full report | M events/s | ÷ bare parse, same threads |");
    println!("| --- | --: | --: |");
    let mut reached = Vec::new();
    let mut bare = 0.0;
    for (shape, name, count) in shapes {
        for threads in [1, 2] {
            let (lines, columns) = (format!("{name}.jsonl"), format!("{name}.parquet"));
            let mut ways: Vec<Way<'_>> = vec![
                ("bare typed parse", Box::new(|| parse(&at(&lines), threads))),
                ("**doorward**, JSON lines", Box::new(|| simulate(place.path(), &lines, threads).0)),
            ];
            if at(&columns).exists() {
                ways.push(("**doorward**, Parquet", Box::new(|| simulate(place.path(), &columns, threads).0)));
            }
            for (way, (rate, ratio)) in ways.iter().zip(turns(&ways, count)) {
                println!("| {}, {shape}{threads} threads | {:.2} | {ratio:.2} |", way.0, rate / 1e6);
                if (name, threads, way.0) == ("real", 1, "bare typed parse") {
                    bare = rate;
                }
                if threads == 2 && name != "distinct" {
                    reached.push((way.0, shape, rate, ratio));
                }
            }
        }
    }
    let rate = |count: u64, seconds: f64| count as f64 / seconds / 1e6;

    let (_, expected) = simulate(place.path(), "few.jsonl", 1);
    let (_, columns) = simulate(place.path(), "real.parquet", 2);
    assert_eq!(columns, simulate(place.path(), "real.jsonl", 1).1, "columns and lines");
    let few = expected.allowed + expected.denied;
    for (name, seconds, found) in engines(&at("few.jsonl"), &baseline, &candidate) {
        assert_eq!(found, expected, "{name}");
        println!("| {name}, 1 thread | {:.3} | {:.3} |", rate(few, seconds), rate(few, seconds) * 1e6 / bare);
    }
    println!();
    goals(&reached);
    println!(
        "{} on the first {few}: allowed {}, denied {}, newly denied {}, newly allowed {}; all agree.",
        "Counts", expected.allowed, expected.denied, expected.newly_denied, expected.newly_allowed
    );
    duckdb(place.path(), events, &columns, [&baseline, &candidate]);
}

/// A way of going through a recording, and how many events it counted.
type Way<'a> = (&'static str, Box<dyn Fn() -> u64 + 'a>);

/// Times ways that take turns: for each the fastest rate, and the middle one of its ratios to the first way in the same
/// turn.
fn turns(ways: &[Way<'_>], count: u64) -> Vec<(f64, f64)> {
    let mut rounds = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, way), seconds) in ways.iter().zip(&mut rounds) {
            let start = Instant::now();
            assert_eq!(way(), count, "every event is counted");
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let first = rounds[0].clone();
    let of = |seconds: &Vec<f64>| {
        let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let mut ratios: Vec<f64> = first.iter().zip(seconds).map(|(first, own)| first / own).collect();
        ratios.sort_by(f64::total_cmp);
        (count as f64 / fastest, ratios[ROUNDS / 2])
    };
    rounds.iter().map(of).collect()
}

/// Holds what was reached on 2 threads against the goals.
fn goals(reached: &[(&str, &str, f64, f64)]) {
    let (lines, share, columns) = GOALS;
    println!("| goal, on 2 threads | reached |");
    println!("| --- | --- |");
    for (way, shape, rate, ratio) in reached {
        let shape = if shape.is_empty() { "" } else { " without decisions" };
        let yes = |holds: bool| if holds { "yes" } else { "no" };
        match *way {
            "**doorward**, JSON lines" => println!(
                "| from JSON lines{shape}, {:.0} M events/s, and {share} of the bare parse | {}: {:.2} M/s; {}: {ratio:.2} |",
                lines / 1e6,
                yes(*rate >= lines),
                rate / 1e6,
                yes(*ratio >= share),
            ),
            "**doorward**, Parquet" => println!(
                "| from columns{shape}, {:.0} M events/s | {}: {:.2} M/s |",
                columns / 1e6,
                yes(*rate >= columns),
                rate / 1e6
            ),
            _ => {}
        }
    }
    println!();
}

/// What every way must count alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    allowed: u64,
    denied: u64,
    newly_denied: u64,
    newly_allowed: u64,
}

impl Counts {
    fn add(&mut self, before: bool, now: bool) {
        self.allowed += u64::from(now);
        self.denied += u64::from(!now);
        self.newly_denied += u64::from(before && !now);
        self.newly_allowed += u64::from(!before && now);
    }
}

fn generate(policy: &Policy, shape: Shape, events: u64, path: &Path) -> u64 {
    let compiled = door::new(policy);
    let mut traffic = Traffic::new(policy, &compiled, shape);
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    out.write_all(Traffic::header().as_bytes()).expect("written");
    for _ in 0..events {
        out.write_all(traffic.line().as_bytes()).expect("written");
    }
    out.flush().expect("written");
    fs::metadata(path).expect("a file").len()
}

fn head(from: &Path, events: usize, to: &Path) {
    let lines = BufReader::new(File::open(from).expect("a file")).lines().take(events + 1);
    let text: String = lines.map(|line| line.expect("a line") + "\n").collect();
    fs::write(to, text).expect("written");
}

/// Runs the command as a user would: the program that `DOORWARD` names, or else the library in this process. The engines
/// turn on features of crates that both share, such as maps of JSON that keep their order, which cost it time here.
fn run(arguments: &[&std::ffi::OsStr]) {
    if let Some(program) = std::env::var_os("DOORWARD") {
        Command::new(program).args(arguments).output().expect("a program that runs");
        return;
    }
    let all = std::iter::once("doorward".into()).chain(arguments.iter().map(Into::into));
    // The gate is no business of a benchmark; what was written is looked at.
    let _ = doorward::cli::run(all);
}

fn convert(from: &Path, to: &Path) -> u64 {
    run(&["import".as_ref(), "--from".as_ref(), "recording".as_ref(), from.as_ref(), "--output".as_ref(), to.as_ref()]);
    fs::metadata(to).expect("a recording in columns").len()
}

fn simulate(place: &Path, recording: &str, threads: u64) -> (u64, Counts) {
    let at = |name: &str| place.join(name);
    let (candidate, baseline, recording) = (at("candidate.toml"), at("baseline.toml"), at(recording));
    let (output, threads) = (at("report.json"), threads.to_string());
    let _ = fs::remove_file(&output);
    run(&[
        "simulate".as_ref(),
        "--policy".as_ref(),
        candidate.as_ref(),
        "--baseline".as_ref(),
        baseline.as_ref(),
        "--threads".as_ref(),
        threads.as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        "--output".as_ref(),
        output.as_ref(),
        recording.as_ref(),
    ]);
    let report: Value = serde_json::from_slice(&fs::read(&output).expect("a report")).expect("JSON");
    let totals = &report["report"]["totals"];
    let count = |name: &str| totals[name].as_u64().expect("a count");
    let counts = Counts {
        allowed: count("allowed"),
        denied: count("denied"),
        newly_denied: count("newly_denied"),
        newly_allowed: count("newly_allowed"),
    };
    (count("events"), counts)
}

/// An event as whoever knows this one recording would read it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "what is parsed is the point")]
struct Bare<'a> {
    time: i64,
    door: &'a str,
    method: &'a str,
    name: &'a str,
    #[serde(borrow)]
    arguments: BareArguments<'a>,
    #[serde(borrow)]
    subject: BareSubject<'a>,
    #[serde(borrow)]
    token: BareToken<'a>,
    session: &'a str,
    #[serde(borrow)]
    decided: Option<BareDecided<'a>>,
    #[serde(borrow)]
    absent: Vec<&'a str>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "what is parsed is the point")]
struct BareArguments<'a> {
    amount: i64,
    path: &'a str,
}

#[derive(Debug, Deserialize)]
struct BareSubject<'a> {
    issuer: &'a str,
    sub: &'a str,
    agent: &'a str,
    #[serde(borrow)]
    groups: Vec<&'a str>,
}

#[derive(Debug, Deserialize)]
struct BareToken<'a> {
    #[serde(borrow)]
    aud: Vec<&'a str>,
    #[serde(borrow)]
    scopes: Vec<&'a str>,
    iat: i64,
    exp: i64,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "what is parsed is the point")]
struct BareDecided<'a> {
    effect: &'a str,
    reason: &'a str,
    #[serde(borrow)]
    rule: Option<BareRule<'a>>,
    digest: &'a str,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "what is parsed is the point")]
struct BareRule<'a> {
    kind: &'a str,
    name: &'a str,
}

/// Reads a file into memory in pieces and parses each line, on so many threads.
fn parse(path: &Path, threads: u64) -> u64 {
    let length = fs::metadata(path).expect("a file").len();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| scope.spawn(move || parse_part(path, length * part / threads, length * (part + 1) / threads)))
            .collect();
        parts.into_iter().map(|part| part.join().expect("no panic")).sum()
    })
}

/// Parses the lines that begin in a part of the file.
fn parse_part(path: &Path, from: u64, to: u64) -> u64 {
    use std::io::Seek as _;
    let mut file = File::open(path).expect("a file");
    let mut at = from.saturating_sub(1);
    file.seek(std::io::SeekFrom::Start(at)).expect("a place in the file");
    let mut input = BufReader::with_capacity(1 << 18, file);
    let (mut line, mut events) = (Vec::new(), 0);
    if from > 0 {
        at += input.read_until(b'\n', &mut line).expect("a line") as u64;
    }
    while at < to {
        line.clear();
        let read = input.read_until(b'\n', &mut line).expect("a line") as u64;
        if read == 0 {
            break;
        }
        // The header is no event.
        if at > 0 {
            std::hint::black_box(serde_json::from_slice::<Bare<'_>>(&line).expect("an event"));
            events += 1;
        }
        at += read;
    }
    events
}

/// An event for the other engines, with its arguments as a map.
#[derive(Debug, Deserialize)]
struct Plain<'a> {
    time: i64,
    door: &'a str,
    name: &'a str,
    arguments: Map<String, Value>,
    #[serde(borrow)]
    subject: BareSubject<'a>,
    #[serde(borrow)]
    token: BareToken<'a>,
}

impl Plain<'_> {
    /// As the engines take it. They know one instant, so that the token's times move instead.
    fn ask(&self) -> Ask<'_> {
        let shift = NOW - self.time;
        Ask {
            issuer: self.subject.issuer,
            subject: self.subject.sub,
            agent: self.subject.agent,
            groups: self.subject.groups.clone(),
            scopes: self.token.scopes.clone(),
            audience: self.token.aud.clone(),
            issued_at: self.token.iat + shift,
            expires_at: self.token.exp + shift,
            server: self.door,
            tool: self.name,
            arguments: &self.arguments,
        }
    }
}

fn engines(path: &Path, baseline: &Policy, candidate: &Policy) -> Vec<(&'static str, f64, Counts)> {
    let text = fs::read_to_string(path).expect("a file");
    let each = |decide: &mut dyn FnMut(&Ask<'_>) -> (bool, bool)| {
        let start = Instant::now();
        let mut counts = Counts::default();
        for line in text.lines().skip(1) {
            let event: Plain<'_> = serde_json::from_str(line).expect("an event");
            let (before, now) = decide(&event.ask());
            counts.add(before, now);
        }
        (start.elapsed().as_secs_f64(), counts)
    };
    let mut indexed = [Rego::indexed(baseline), Rego::indexed(candidate)];
    let (rego_seconds, rego) = each(&mut |ask| {
        let [before, now] = &mut indexed;
        let input = before.input(ask);
        (before.decide(input.clone()), now.decide(input))
    });
    let sliced = [Cedar::sliced(baseline), Cedar::sliced(candidate)];
    let facts = [sliced[0].facts(baseline), sliced[1].facts(candidate)];
    let (cedar_seconds, cedar) = each(&mut |ask| {
        let decide = |at: usize| sliced[at].prepare(ask, &facts[at]).is_some_and(|p| sliced[at].decide(&p));
        (decide(0), decide(1))
    });
    vec![
        ("regorus RVM, indexed data: verdicts only", rego_seconds, rego),
        ("Cedar, policies cut by tool beforehand: verdicts only", cedar_seconds, cedar),
    ]
}

/// The same as SQL, where Python has DuckDB.
fn duckdb(place: &Path, events: u64, expected: &Counts, policies: [&Policy; 2]) {
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/slots.py"));
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let there = Command::new(&python).args(["-c", "import duckdb"]).output().is_ok_and(|o| o.status.success());
    if !there {
        println!(
            "\nDuckDB is left out: `{}` has no module `duckdb` (pip install duckdb; PYTHON names another).",
            python.display()
        );
        return;
    }
    for (at, policy) in policies.into_iter().enumerate() {
        fs::write(place.join(format!("slots-{at}.json")), slots(policy)).expect("written");
    }
    let output = Command::new(&python).arg(script).arg(place).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |name: &str| found[name].as_u64().expect("a count");
    let counts = Counts {
        allowed: count("allowed"),
        denied: count("denied"),
        newly_denied: count("newly_denied"),
        newly_allowed: count("newly_allowed"),
    };
    assert_eq!(counts, *expected, "DuckDB");
    println!(
        "\n| DuckDB {}, slot-table join, 2 threads: verdicts only | M events/s |",
        found["version"].as_str().unwrap_or("?")
    );
    println!("| --- | --: |");
    for form in ["jsonl", "parquet"] {
        let seconds = found[form].as_f64().expect("seconds");
        println!("| from {form} | {:.2} |", events as f64 / seconds / 1e6);
    }
}

/// A policy as the rows that a join needs.
fn slots(policy: &Policy) -> String {
    use doorward_benches::workload::Condition;
    let tools: Vec<Value> = policy
        .tools()
        .map(|(_, server, _, tool)| {
            serde_json::json!({
                "server": server.name, "tool": tool.name, "audience": server.resource, "issuers": server.issuers,
                "scopes": tool.scopes, "ttl": tool.token_ttl.map_or(server.token_ttl, |ttl| ttl.min(server.token_ttl)),
            })
        })
        .collect();
    let rules = [("grant", &policy.grants), ("deny", &policy.denies)].into_iter().flat_map(|(kind, rules)| {
        rules.iter().flat_map(move |rule| {
            let server = &policy.servers[rule.server];
            let tools = rule.tool.map_or(0..server.tools.len(), |tool| tool..tool + 1);
            tools.map(move |tool| {
                let (mut max, mut min, mut prefix) = (None, None, None);
                match &rule.condition {
                    Condition::None => {}
                    Condition::Max(n) => max = Some(*n),
                    Condition::Min(n) => min = Some(*n),
                    Condition::Prefix(p) => prefix = Some(p.clone()),
                }
                serde_json::json!({
                    "kind": kind, "server": server.name, "tool": server.tools[tool].name, "groups": rule.groups,
                    "max": max, "min": min, "prefix": prefix,
                })
            })
        })
    });
    let mut text = String::new();
    let _ = write!(text, "{}", serde_json::json!({ "tools": tools, "rules": rules.collect::<Vec<_>>() }));
    text
}
