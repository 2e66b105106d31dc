//! The command line from outside: exit codes, bad input, and that nothing is left half done.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::place::{ALLOWED, DENIED, POLICY, Place, ran};

#[test]
fn the_exit_code_is_0_for_yes_1_for_no_and_2_for_no_answer() {
    let place = Place::new();
    place.write("bad.toml", "version = 1\n[serverz]\n");
    for (arguments, code) in [
        (&["check", "--policy=p.toml"][..], 0),
        (&["check", "--policy=bad.toml"], 2),
        (&["check", "--policy=missing.toml"], 2),
        (&ALLOWED, 0),
        (&DENIED, 1),
        (&["decide", "--policy=bad.toml", "notes:search"], 2),
        (&["explain", "no-grant"], 0),
        (&["explain", "nonsense"], 2),
        (&["explain", "--policy=p.toml", "--groups=staff", "notes:search"], 1),
        (&["schema"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
        (&["--version"], 0),
        (&[], 2),
        (&["frobnicate"], 2),
        (&["check", "--frobnicate"], 2),
        (&["decide", "--policy=p.toml"], 2),
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        // What is no answer is never on stdout; only `check` reports on a policy that cannot be used.
        let reports = arguments.first() == Some(&"check");
        assert!(reports || ran.stdout.is_empty() == (code == 2), "{arguments:?}");
        assert!(reports || ran.stderr.is_empty() == (code != 2), "{arguments:?}");
    }
}

#[test]
fn every_command_documents_itself_with_an_example_first() {
    let place = Place::new();
    let help = place.run(&["--help"]).stdout;
    assert!(help.starts_with("Example") && help.contains("\nExit codes:\n"), "{help}");
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // A line that goes on is further in.
    let names = commands.lines().filter_map(|l| l.strip_prefix("  ")?.split_once(' '));
    let names: Vec<&str> = names.map(|(name, _)| name).filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let ran = place.run(&[name, "--help"]);
        assert!(ran.code == 0 && ran.stdout.starts_with("Example"), "{name}: {}", ran.stdout);
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn input_that_cannot_be_read_gives_one_clear_line_and_exit_code_2() {
    let place = Place::new();
    fs::create_dir(place.path().join("directory")).unwrap();
    let huge = fs::File::create(place.path().join("huge.toml")).unwrap();
    huge.set_len(100 << 20).unwrap();
    place.write("binary.toml", b"version = 1\n\xff\xfe\n");
    place.write("deep.toml", format!("version = 1\nx = {}{}\n", "[".repeat(10_000), "]".repeat(10_000)));
    place.write("broken.toml", "version = \n");
    place.write("later.toml", "version = 99\n");
    place.write("twice.toml", "version = 1\nversion = 1\n");
    place.write("compiled.json", "{\"format\":\"doorward.policy/v1\"}");
    let decide = |policy: &str| place.run(&["decide", &format!("--policy={policy}"), "--scope=x", "notes:search"]);
    decide("missing.toml").fails_with("cannot-read");
    decide("directory").fails_with("cannot-read");
    decide("p.toml/x").fails_with("cannot-read");
    decide("huge.toml").fails_with("too-large");
    decide("compiled.json").fails_with("compiled-malformed");
    for (policy, problem) in [
        ("binary.toml", "error[not-utf8]"),
        ("deep.toml", "error[too-large]"),
        ("broken.toml", "error[toml-syntax]"),
        ("later.toml", "error[unknown-version]"),
        ("twice.toml", "error[toml-syntax]"),
    ] {
        let ran = decide(policy);
        ran.fails_with("bad-policy");
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(policy), "{policy}: {}", ran.stderr);
    }
    place.run(&["check", "--policy=git:main"]).fails_with("usage");
    let flagless = place.run(&["check", "p.toml"]);
    assert!(flagless.fails_with("usage").contains("`--policy p.toml`"), "{}", flagless.stderr);
    place.run(&["check", "--policy=git:nowhere:p.toml"]).fails_with("git");
    place.run(&["check"]).fails_with("no-policy");
    #[cfg(target_os = "linux")]
    place.run(&["check", "--policy=/dev/zero"]).fails_with("too-large");
}

#[test]
fn a_request_that_cannot_be_read_is_never_decided() {
    let place = Place::new();
    let decide = |more: &[&str]| place.run(&[&["decide", "--policy=p.toml"], more].concat());
    decide(&["notes:search", "--args", "[1]"]).fails_with("bad-input");
    decide(&["notes:search", "--args", r#"{"a":1,"a":2}"#]).fails_with("bad-input");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    decide(&["notes:search", "--args", &deep]).fails_with("bad-input");
    decide(&["notes"]).fails_with("usage");
    decide(&["notes:search", "--age", "yesterday"]).fails_with("usage");
    decide(&["notes:search", "--issuer", "crop"]).fails_with("unknown-name");
    decide(&["notes:search", "--method", "tools/cal"]).fails_with("unknown-name");
    let ran = place.feed(&["decide", "--policy=p.toml", "--request=-"], b"{\"time\":1,");
    ran.fails_with("bad-input");
}

#[test]
fn a_request_written_as_an_event_is_decided_like_its_flags() {
    let place = Place::new();
    let now = "--now=2026-01-01T00:00:00Z";
    for request in [ALLOWED, DENIED] {
        let event = place.run(&[&request[..], &[now, "--format=event"]].concat());
        assert_eq!(event.code, 0, "{}", event.stderr);
        let flags = place.run(&[&request[..], &[now, "--format=json"]].concat());
        let read = place.feed(&["decide", "--policy=p.toml", "--request=-", "--format=json"], event.stdout.as_bytes());
        assert_eq!((flags.code, &flags.stdout), (read.code, &read.stdout), "{}", read.stderr);
    }
}

#[test]
fn the_policy_is_found_upward_to_the_root_of_the_repository_and_no_further() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("repository/deep/er")).unwrap();
    place.write("policies.toml", "nonsense above the repository");
    let inner = |directory: &str| {
        let mut command = place.command(&["check"]);
        ran(command.current_dir(place.path().join(directory)).output().unwrap())
    };
    place.write("repository/.git", "gitdir: elsewhere");
    inner("repository/deep/er").fails_with("no-policy");
    place.write("repository/policies.toml", POLICY);
    assert_eq!(inner("repository/deep/er").code, 0);
    fs::remove_file(place.path().join("repository/.git")).unwrap();
    inner("repository/deep/er").fails_with("no-policy");
    assert_eq!(inner("repository").code, 0);
    let named = ran(place.command(&["check"]).env("DOORWARD_POLICY", "p.toml").output().unwrap());
    assert_eq!(named.code, 0, "{}{}", named.stdout, named.stderr);
}

#[test]
fn a_profile_is_laid_over_the_policy() {
    let place = Place::new();
    place.write("p.strict.toml", "[[denies]]\nname = \"closed\"\ndeny = [\"*\"]\n");
    assert_eq!(place.run(&ALLOWED).code, 0);
    let strict = place.run(&[&ALLOWED[..], &["--profile=strict"]].concat());
    assert_eq!(strict.code, 1, "{}{}", strict.stdout, strict.stderr);
    assert!(strict.stdout.contains("`closed` at p.strict.toml:2:8"), "{}", strict.stdout);
    place.run(&[&ALLOWED[..], &["--profile=../strict"]].concat()).fails_with("usage");
    place.run(&[&ALLOWED[..], &["--profile=missing"]].concat()).fails_with("cannot-read");
    let variable = ran(place.command(&ALLOWED).env("DOORWARD_PROFILE", "strict").output().unwrap());
    assert_eq!(variable.code, 1);
}

#[test]
fn a_policy_is_read_from_a_revision() {
    let place = Place::new();
    place.git(&["init", "-q", "-b", "main"]);
    place.git(&["add", "p.toml"]);
    place.git(&["commit", "-q", "-m", "one"]);
    place.write("p.toml", POLICY.replace("staff", "managers"));
    assert_eq!(place.run(&ALLOWED).code, 1);
    let then = ALLOWED.map(|a| if a.starts_with("--policy") { "--policy=git:HEAD:p.toml" } else { a });
    let ran = place.run(&then);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("git:HEAD:p.toml:8:8"), "{}", ran.stdout);
}

#[test]
fn init_writes_a_policy_that_passes_and_never_replaces_one() {
    let place = Place::new();
    assert_eq!(place.run(&["init"]).code, 0);
    let check = place.run(&["check", "--deny-warnings"]);
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);
    place.write("policies.toml", "mine");
    place.run(&["init"]).fails_with("cannot-write");
    assert_eq!(fs::read_to_string(place.path().join("policies.toml")).unwrap(), "mine");
    assert_eq!(place.run(&["init", "--force"]).code, 0);
    assert_eq!(place.run(&["check"]).code, 0);
    place.run(&["init", "nowhere/policies.toml"]).fails_with("cannot-write");
    assert_eq!(place.names(), ["p.toml", "policies.toml"]);
    assert_eq!(place.run(&["init", "-"]).stdout, fs::read_to_string(place.path().join("policies.toml")).unwrap());
}

#[test]
fn output_that_cannot_be_written_leaves_nothing_behind() {
    let place = Place::new();
    fs::create_dir(place.path().join("directory")).unwrap();
    for output in ["nowhere/out", "directory", "p.toml/out"] {
        place.run(&["compile", "--policy=p.toml", "--output", output]).fails_with("cannot-write");
        place.run(&["check", "--policy=p.toml", "--output", output]).fails_with("cannot-write");
    }
    place.write("kept.json", "old");
    place.write("bad.toml", "version = 1\n[serverz]\n");
    place.run(&["compile", "--policy=bad.toml", "--output=kept.json"]).fails_with("bad-policy");
    assert_eq!(fs::read_to_string(place.path().join("kept.json")).unwrap(), "old");
    assert_eq!(place.names(), ["bad.toml", "directory", "kept.json", "p.toml"]);
    #[cfg(target_os = "linux")]
    place.run(&["check", "--policy=p.toml", "--output=/dev/full"]).fails_with("cannot-write");
}

#[cfg(unix)]
#[test]
fn output_goes_through_a_link_and_into_a_special_file() {
    let place = Place::new();
    place.write("target.json", "old");
    std::os::unix::fs::symlink("target.json", place.path().join("link.json")).unwrap();
    assert_eq!(place.run(&["compile", "--policy=p.toml", "--output=link.json"]).code, 0);
    assert!(fs::symlink_metadata(place.path().join("link.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(place.path().join("target.json")).unwrap().starts_with('{'));
    assert_eq!(place.run(&["compile", "--policy=p.toml", "--output=/dev/null"]).code, 0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_compiled_policy_is_the_same_bytes_and_decides_like_its_source() {
    let place = Place::new();
    let compile = |output: &str| place.run(&["compile", "--policy=p.toml", "--output", output]);
    let first = compile("a.json");
    assert!(first.code == 0 && first.stdout.starts_with("sha256:"), "{}{}", first.stdout, first.stderr);
    assert_eq!(compile("b.json").stdout, first.stdout);
    let bytes = fs::read(place.path().join("a.json")).unwrap();
    assert_eq!(bytes, fs::read(place.path().join("b.json")).unwrap());
    for request in [ALLOWED, DENIED] {
        let compiled = request.map(|a| if a.starts_with("--policy") { "--policy=a.json" } else { a });
        let (a, b) = (place.run(&request), place.run(&compiled));
        assert_eq!((a.code, &a.stdout), (b.code, &b.stdout), "{}", b.stderr);
    }
    let text = String::from_utf8(bytes).unwrap();
    place.write("a.json", text.replace("staff", "guest"));
    place.run(&["decide", "--policy=a.json", "notes:search"]).fails_with("compiled-digest");
    place.write("a.json", &text[..text.len() / 2]);
    place.run(&["decide", "--policy=a.json", "notes:search"]).fails_with("compiled-malformed");
    place.run(&["check", "--policy=b.json"]).fails_with("bad-input");
}

#[test]
fn an_invariant_that_fails_is_a_no_and_nothing_is_compiled() {
    let place = Place::new();
    place.write("i.toml", format!("{POLICY}\n[[invariants]]\nname = \"no search\"\nnever = [\"notes:search\"]\n"));
    let check = place.run(&["check", "--policy=i.toml"]);
    assert!(check.code == 1 && check.stdout.contains("error[invariant-fails]"), "{}", check.stdout);
    let compile = place.run(&["compile", "--policy=i.toml", "--output=i.json"]);
    assert!(compile.code == 1 && compile.stderr.contains("error[invariant-fails]"), "{}", compile.stderr);
    assert_eq!(place.names(), ["i.toml", "p.toml"]);
}

#[test]
fn an_invariant_that_cannot_be_proved_is_neither_a_yes_nor_a_no_and_nothing_is_compiled() {
    let place = Place::new();
    let invariant = "[[invariants]]\nname = \"no search\"\nto = { groups = [\"guest\"] }\nnever = [\"notes:search\"]\n";
    let args = "args = { \"notes:search\" = { tags = { max_items = 20000 } } }\n";
    place.write("i.toml", format!("{POLICY}{args}{invariant}"));
    for deny in [&[][..], &["--deny-warnings"]] {
        let check = place.run(&[&["check", "--policy=i.toml"], deny].concat());
        assert_eq!(check.code, 2, "{}", check.stdout);
        assert!(
            check.stdout.contains("warning[analysis-limit]: invariant `no search` is not proved"),
            "{}",
            check.stdout
        );
    }
    let compile = place.run(&["compile", "--policy=i.toml", "--output=i.json"]);
    assert!(compile.code == 2 && compile.stderr.contains("warning[analysis-limit]"), "{}", compile.stderr);
    assert_eq!(place.names(), ["i.toml", "p.toml"]);
}

#[test]
fn tests_pass_fail_or_cannot_be_run() {
    let place = Place::new();
    let test = |more: &[&str]| place.run(&[&["test", "--policy=t.toml"], more].concat());
    place.write("t.toml", POLICY);
    test(&[]).fails_with("nothing-to-do");
    let with = |expected: &str| {
        place.write("t.toml", format!("{POLICY}\n[[tests]]\nname = \"staff search\"\nas = {{ sub = \"ana\", groups = [\"staff\"], scope = \"notes:search\" }}\n{expected} = [\"notes:search\"]\n"));
    };
    with("allow");
    assert_eq!(test(&["--coverage", "--threshold=100"]).code, 0);
    assert_eq!(test(&["--filter=search"]).code, 0);
    test(&["--filter=nothing of that name"]).fails_with("nothing-to-do");
    test(&["--threshold=101"]).fails_with("usage");
    with("deny");
    let failed = test(&[]);
    assert!(failed.code == 1 && failed.stdout.contains("t.toml:15:9"), "{}", failed.stdout);
    let junit = test(&["--format=junit"]);
    assert!(junit.code == 1 && junit.stdout.contains("failures=\"1\""), "{}", junit.stdout);
    assert_eq!(test(&["--format=json"]).code, 1);
}

#[test]
fn a_rehearsal_answers_yes_no_or_that_it_cannot_tell() {
    let place = Place::new();
    let record = |policy: &str, more: &[&str]| {
        let request = ["decide", "--groups=staff", "--scope=notes:search", "--format=event", "notes:search", policy];
        place.run(&[&request[..], more].concat()).stdout
    };
    let header = "{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
    let good = format!("{header}{}", record("--policy=p.toml", &["--now=2026-01-01T00:00:00Z"]));
    fs::create_dir_all(place.path().join("recordings/more")).unwrap();
    place.write("recordings/good.jsonl", &good);
    place.write("recordings/more/again.jsonl", &good);
    place.write("closed.toml", POLICY.replace("staff", "managers"));
    place.write("truncated.jsonl", &good[..good.len() - 20]);
    place.write("foreign.jsonl", "{\"messages\":[]}\n");
    place.write("empty.jsonl", "");
    let simulate = |more: &[&str]| place.run(&[&["simulate"], more].concat());

    let holds = simulate(&["--policy=p.toml", "--strict", "recordings"]);
    assert!(holds.code == 0 && holds.stdout.contains("2 events"), "{}{}", holds.stdout, holds.stderr);
    assert_eq!(simulate(&["--policy=p.toml", "--strict", "recordings/*.jsonl"]).code, 0);
    assert_eq!(place.feed(&["simulate", "--policy=p.toml", "--strict", "-"], good.as_bytes()).code, 0);
    let broken = simulate(&["--policy=closed.toml", "--strict", "recordings"]);
    assert_eq!(broken.code, 1, "{}{}", broken.stdout, broken.stderr);
    assert_eq!(simulate(&["--policy=closed.toml", "recordings"]).code, 0, "without a gate nothing is broken");
    let baseline = simulate(&["--policy=closed.toml", "--baseline=p.toml", "--strict", "--format=json", "recordings"]);
    assert!(baseline.code == 1 && baseline.stdout.contains("\"newly_denied\": 2"), "{}", baseline.stdout);

    let truncated = simulate(&["--policy=p.toml", "truncated.jsonl"]);
    assert!(truncated.code == 2 && truncated.stdout.contains("truncated-line"), "{}", truncated.stdout);
    simulate(&["--policy=p.toml", "foreign.jsonl"]).fails_with("bad-input");
    #[cfg(target_os = "linux")]
    simulate(&["--policy=p.toml", "/dev/zero"]).fails_with("bad-input");
    simulate(&["--policy=p.toml", "empty.jsonl"]).fails_with("bad-input");
    simulate(&["--policy=p.toml", "missing/*.jsonl"]).fails_with("cannot-read");
    simulate(&["--policy=p.toml", "missing.jsonl"]).fails_with("cannot-read");
    simulate(&["--policy=p.toml"]).fails_with("nothing-to-do");
    simulate(&["--demo", "--policy=p.toml"]).fails_with("usage");
    assert_eq!(simulate(&["--demo"]).code, 0);
}

#[test]
fn a_transcript_becomes_a_recording_or_nothing() {
    let place = Place::new();
    place.write(
        "mapping.toml",
        "version = 1\n[time]\nstart = 2026-03-02T08:00:00Z\n[[calls]]\nfunction = \"call\"\nserver = \"server\"\ntool = \"tool\"\narguments = \"params\"\n",
    );
    let call = r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"call","arguments":"{\"server\":\"notes\",\"tool\":\"search\",\"params\":{}}"}}]}]}"#;
    place.write("chats.json", call);
    let import = |more: &[&str]| place.run(&[&["import", "--mapping=mapping.toml"], more].concat());
    let ran = import(&["chats.json", "--output=chats.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(fs::read_to_string(place.path().join("chats.jsonl")).unwrap(), import(&["chats.json"]).stdout);
    place.write("chats.json", format!("{call}\n{{\"messages\": ["));
    let part = import(&["chats.json", "--output=part.jsonl"]);
    assert!(part.code == 1 && part.stderr.contains("chats.json:2: "), "{}", part.stderr);
    place.write("chats.json", "no transcript at all");
    import(&["chats.json", "--output=none.jsonl"]).fails_with("bad-input");
    import(&["chats.json"]).fails_with("bad-input");
    place.write("mapping.toml", "version = 1\nnonsense = 1\n");
    import(&["chats.json", "--output=none.jsonl"]).fails_with("bad-input");
    assert!(!place.names().contains(&"none.jsonl".to_owned()), "{:?}", place.names());
}

#[test]
fn colour_is_asked_for_and_never_in_a_pipe_or_a_file() {
    let place = Place::new();
    let escape = '\u{1b}';
    assert!(!place.run(&DENIED).stdout.contains(escape));
    let always = [&DENIED[..], &["--color=always"]].concat();
    assert!(place.run(&always).stdout.contains(escape));
    let asked = ran(place.command(&always).env("NO_COLOR", "1").output().unwrap());
    assert!(asked.stdout.contains(escape), "an explicit flag wins over the environment");
    assert_eq!(place.run(&[&always[..], &["--output=out"]].concat()).code, 1);
    assert!(!fs::read_to_string(place.path().join("out")).unwrap().contains(escape));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    let mut child = place.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_command_that_is_stopped_leaves_no_file_in_the_making() {
    let place = Place::new();
    place.write("mapping.toml", "version = 1\n");
    place.write("out.jsonl", "old");
    for signal in ["INT", "TERM"] {
        // It waits for a transcript that never comes.
        let mut command = place.command(&["import", "--mapping=mapping.toml", "--output=out.jsonl", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Held: to wait for the child would close it, and its end could come before the signal is seen.
        let input = child.stdin.take();
        let names = || place.names().into_iter().filter(|name| name.starts_with(".doorward-")).count();
        let begun = std::time::Instant::now();
        while names() == 0 {
            assert!(begun.elapsed().as_secs() < 30, "no file was begun");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // The file is there a moment before the program knows that it may have to remove it.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let kill = place.program("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(input);
        assert_eq!(names(), 0, "{:?}", place.names());
        assert_eq!(fs::read_to_string(place.path().join("out.jsonl")).unwrap(), "old");
    }
}

#[test]
fn a_person_is_shown_a_hundred_problems_with_the_errors_first_and_a_program_all() {
    let place = Place::new();
    let grants: String = (0..300)
        .map(|n| format!("[[grants]]\nname = \"g{n}\"\nto = {{ groups = [\"staff\"] }}\nallow = [\"notes:search\"]\n"))
        .collect();
    place.write("many.toml", format!("{POLICY}{grants}[[invariants]]\nname = \"none\"\nnever = [\"notes:search\"]\n"));
    let human = place.run(&["check", "--policy=many.toml"]);
    assert_eq!(human.stdout.matches("= docs: docs/codes/").count(), 100);
    assert!(human.stdout.starts_with("error[invariant-fails]"), "{}", &human.stdout[..400]);
    let tail: Vec<&str> = human.stdout.lines().rev().take(2).collect();
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["check", "--policy=many.toml", "--format=json"]).stdout).unwrap();
    let all = json["problems"].as_array().unwrap().len();
    assert!(all > 300, "{all}");
    assert_eq!(tail[1], format!("{} problems not shown here; --format json has all of them", all - 100));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let place = Place::new();
    let page = place.run(&["man"]);
    assert!(page.code == 0 && page.stdout.contains(".TH doorward 1"), "{}", page.stdout);
    let written = place.run(&["man", "--output=."]);
    assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{}", written.stderr);
    let reference = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md")).unwrap();
    let commands = reference.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(" doorward"));
    let mut pages = 0;
    for command in commands {
        let name = format!("doorward{}.1", command.replace(' ', "-"));
        let page = fs::read_to_string(place.path().join(&name)).unwrap_or_else(|_| panic!("no {name}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
        pages += 1;
    }
    assert!(pages > 25, "{pages}");
    assert_eq!(place.run(&["man", "--output=no/such/place"]).code, 2);
}
