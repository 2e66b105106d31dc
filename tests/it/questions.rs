//! `diff`, `who-can` and `what-can` from outside: their answers, and that each request they show
//! really is decided as they say.

use crate::place::{POLICY, Place, ran};

/// The commands that an answer shows.
fn shown(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|l| l.starts_with("doorward explain ")).map(str::to_owned).collect()
}

/// The exit code of a command that an answer shows, under a policy.
fn asked_again(place: &Place, command: &str, policy: &str) -> i32 {
    let binary = env!("CARGO_BIN_EXE_doorward");
    let command = command.replacen("doorward explain", &format!("'{binary}' explain --policy {policy}"), 1);
    let output = place.program("sh").args(["-c", &command]).output().unwrap();
    ran(output).code
}

/// Two versions of the example policy that differ in an argument, a deny and a lifetime.
fn versions() -> Place {
    let place = Place::new();
    let old = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies.toml")).unwrap();
    let new = old
        .replace("amount = { max = 50 }", "amount = { max = 80 }")
        .replace("groups = [\"contractor\"] }", "groups = [\"contractor\", \"support-lead\"] }")
        .replace("token_ttl  = \"15m\"", "token_ttl  = \"10m\"");
    assert_ne!(old, new);
    place.write("old.toml", old);
    place.write("new.toml", new);
    place
}

#[test]
fn every_request_of_a_diff_flips() {
    let place = versions();
    let diff = place.run(&["diff", "old.toml", "new.toml"]);
    assert_eq!(diff.code, 0, "{}", diff.stderr);
    let commands = shown(&diff.stdout);
    assert!(commands.len() >= 3, "{}", diff.stdout);
    for command in &commands {
        let codes = ["old.toml", "new.toml"].map(|policy| asked_again(&place, command, policy));
        assert!(codes == [0, 1] || codes == [1, 0], "{codes:?} {command}");
    }
}

#[test]
fn every_request_of_who_can_and_what_can_is_allowed() {
    let place = versions();
    let now = "--now=2026-03-01T00:00:00Z";
    let who = place.run(&["who-can", "--policy=old.toml", "--requests", now, "*"]);
    let what = place.run(&["what-can", "--policy=old.toml", "--requests", now, "--groups=support"]);
    for ran in [who, what] {
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let commands = shown(&ran.stdout);
        assert!(commands.len() >= 5, "{}", ran.stdout);
        for command in commands {
            assert_eq!(asked_again(&place, &command, "old.toml"), 0, "{command}");
        }
    }
}

#[test]
fn the_exit_code_of_a_diff_is_about_what_was_asked() {
    let place = Place::new();
    place.write("wider.toml", POLICY.replace("[\"staff\"]", "[\"staff\", \"guest\"]"));
    place.write("moved.toml", POLICY.replace("9001", "9002"));
    place.write("same.toml", format!("# only a comment\n{POLICY}"));
    for (old, new, what, code) in [
        ("p.toml", "wider.toml", None, 0),
        ("p.toml", "wider.toml", Some("widen"), 1),
        ("p.toml", "wider.toml", Some("narrow"), 0),
        ("wider.toml", "p.toml", Some("widen"), 0),
        ("wider.toml", "p.toml", Some("narrow"), 1),
        ("p.toml", "moved.toml", Some("widen"), 0),
        ("p.toml", "moved.toml", Some("any"), 1),
        ("p.toml", "same.toml", Some("any"), 0),
    ] {
        let flag = what.map(|what| format!("--fail-on={what}"));
        let arguments: Vec<&str> = ["diff", old, new].into_iter().chain(flag.as_deref()).collect();
        let ran = place.run(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(place.run(&["diff", "p.toml", "same.toml"]).stdout, "no difference\n");
    place.run(&["diff", "p.toml", "missing.toml"]).fails_with("cannot-read");
}

#[test]
fn a_diff_takes_files_compiled_files_revisions_and_stdin() {
    let place = Place::new();
    place.git(&["init", "-q", "-b", "main"]);
    place.git(&["add", "p.toml"]);
    place.git(&["commit", "-q", "-m", "one"]);
    assert_eq!(place.run(&["compile", "--policy=p.toml", "--output=p.json"]).code, 0);
    for old in ["git:main:p.toml", "git:HEAD:./p.toml", "p.json", "p.toml"] {
        let ran = place.run(&["diff", "--fail-on=any", old, "p.toml"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "no difference\n"), "{old}: {}", ran.stderr);
    }
    assert_eq!(place.feed(&["diff", "--fail-on=any", "-", "p.json"], POLICY.as_bytes()).code, 0);
}

#[test]
fn who_can_and_what_can_answer_yes_no_or_not_at_all() {
    let place = Place::new();
    let ask = |arguments: &[&str]| place.run(&[arguments, &["--policy=p.toml", "--now=2026-03-01T00:00:00Z"]].concat());
    let who = ask(&["who-can", "notes:search"]);
    assert_eq!(who.code, 0);
    insta::assert_snapshot!(who.stdout, @r#"
    notes:search
      { groups = "staff" } by grant `staff` at p.toml:8:8
      needs the scope `notes:search`
    "#);
    let what = ask(&["what-can", "--groups=staff", "--scope=notes:search"]);
    assert!(what.code == 0 && what.stdout.contains("notes:search\n"), "{}", what.stdout);
    let nothing = ask(&["what-can", "--groups=guest"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (1, "nothing\n"));
    let without = ask(&["what-can", "--groups="]);
    assert_eq!(without.code, 1, "no group at all: {}", without.stdout);
    ask(&["who-can", "notes:serach"]).fails_with("unknown-name");
    ask(&["who-can", "notes"]).fails_with("usage");
    ask(&["what-can", "--issuer=crop"]).fails_with("unknown-name");
    place.write("p.toml", POLICY.replace("[[grants]]", "[[denies]]\ndeny = [\"*\"]\n[[grants]]"));
    let nobody = ask(&["who-can", "notes:search"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, "notes:search\n  nobody\n"));
    let json = ask(&["who-can", "notes:search", "--format=json"]);
    assert!(json.code == 1 && json.stdout.contains("\"schema\": \"doorward.access/v1\""), "{}", json.stdout);
}

#[test]
fn a_profile_is_laid_over_both_sides_of_a_comparison() {
    let place = Place::new();
    let policy = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies.toml")).unwrap();
    let overlay = "[[denies]]\nname = \"no-reading\"\ndeny = [\"tickets:search\"]\n";
    place.write("old.toml", &policy);
    place.write("new.toml", &policy);
    place.write("old.prod.toml", overlay);
    place.write("new.prod.toml", overlay);
    let same = place.run(&["diff", "old.toml", "new.toml", "--profile=prod", "--fail-on=any"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    place.write("new.prod.toml", "");
    let differ = place.run(&["diff", "old.toml", "new.toml", "--profile=prod", "--fail-on=widen"]);
    assert_eq!(differ.code, 1, "{}{}", differ.stdout, differ.stderr);

    // A compiled file has its profile in it and is taken as it is.
    let compiled = place.run(&["compile", "--policy=old.toml", "--profile=prod", "--output=old.json"]);
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    place.write("new.prod.toml", overlay);
    let same = place.run(&["diff", "old.json", "new.toml", "--profile=prod", "--fail-on=any"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/simulations/support-desk.jsonl");
    let rehearsed =
        place.run(&["simulate", "--policy=new.toml", "--profile=prod", "--baseline=old.toml", "--strict", recording]);
    assert!(rehearsed.stdout.contains("newly denied    0"), "{}{}", rehearsed.stdout, rehearsed.stderr);
}
