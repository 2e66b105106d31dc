//! What a command writes never takes the place of what it reads, nor of another report.

use std::fs;

use super::place::Place;

const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");
const MAPPING: &str = "version = 1\n";

fn place() -> Place {
    let place = Place::new();
    place.write("policies.toml", include_str!("../../policies.toml"));
    place.write("r.jsonl", RECORDING);
    place.write("m.toml", MAPPING);
    place.write("log.jsonl", include_str!("../../examples/logs/mcpproxy.jsonl"));
    fs::create_dir(place.path().join("d")).unwrap();
    fs::hard_link(place.path().join("r.jsonl"), place.path().join("hard.jsonl")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("r.jsonl", place.path().join("soft.jsonl")).unwrap();
    place
}

#[test]
fn an_input_is_never_written_over_by_whatever_name() {
    let place = place();
    let map = ["import", "--from=mcpproxy", "--mapping=m.toml"];
    let names: &[&str] =
        if cfg!(unix) { &["r.jsonl", "d/../r.jsonl", "./hard.jsonl", "soft.jsonl"] } else { &["r.jsonl"] };
    for name in names {
        place.run(&["import", "--from=recording", "r.jsonl", "--output", name]).fails_with("usage");
        place.run(&["simulate", "r.jsonl", "--output", name]).fails_with("usage");
        place.run(&["simulate", "r.jsonl", "--shard=1/2", "--output", name]).fails_with("usage");
        place.run(&["simulate", "r.jsonl", &format!("--report=json={name}")]).fails_with("usage");
        place.run(&["simulate", "r.jsonl", "--explain=2", "--output", name]).fails_with("usage");
        place.run(&["suggest", "r.jsonl", "--output", name]).fails_with("usage");
        place.run(&["import", "--from=recording", name, "--output=r.jsonl"]).fails_with("usage");
    }
    for name in ["m.toml", "log.jsonl"] {
        place.run(&[map.as_slice(), &["log.jsonl", "--output", name]].concat()).fails_with("usage");
    }
    place.run(&["simulate", "r.jsonl", "--output=policies.toml"]).fails_with("usage");
    place.run(&["simulate", "r.jsonl", "--baseline=p.toml", "--output=p.toml"]).fails_with("usage");
    place.run(&["compile", "--policy=p.toml", "--output=p.toml"]).fails_with("usage");
    assert_eq!(place.run(&["simulate", "r.jsonl", "--shard=1/1", "--output=1.part"]).code, 0);
    place.run(&["simulate", "merge", "1.part", "--output=./1.part"]).fails_with("usage");
    assert_eq!(fs::read_to_string(place.path().join("r.jsonl")).unwrap(), RECORDING);
    assert_eq!(fs::read_to_string(place.path().join("m.toml")).unwrap(), MAPPING);
    let said = place.run(&["import", "--from=recording", "r.jsonl", "--output=d/../r.jsonl"]).stderr;
    insta::assert_snapshot!(said, @"
    error[usage]: the input `r.jsonl`, which is `d/../r.jsonl`, would be written over
      = help: name another file to write to
    ");
}

#[test]
fn two_reports_are_never_written_to_one_file() {
    let place = place();
    for (one, two) in [("a.json", "a.json"), ("a.json", "./a.json"), ("d/../a.json", "a.json")] {
        let reports = [format!("--report=json={one}"), format!("--report=html={two}")];
        place.run(&["simulate", "r.jsonl", &reports[0], &reports[1]]).fails_with("usage");
        place.run(&["simulate", "r.jsonl", &reports[0], "--output", two]).fails_with("usage");
    }
    assert!(!place.path().join("a.json").exists());
    let said = place.run(&["simulate", "r.jsonl", "--report=json=a.json", "--output=./a.json"]).stderr;
    insta::assert_snapshot!(said, @"
    error[usage]: two reports would be written to `a.json`, also named `./a.json`
      = help: name a file of its own for each
    ");
}

#[test]
fn a_recording_and_its_packed_copy_are_not_both_counted_in_silence() {
    let place = Place::new();
    place.write("policies.toml", include_str!("../../policies.toml"));
    fs::create_dir(place.path().join("week")).unwrap();
    place.write("week/mon.jsonl", RECORDING);
    let packed = zstd::stream::encode_all(RECORDING.as_bytes(), 3).unwrap();
    place.write("week/mon.jsonl.zst", packed);
    for given in ["week", "week/*"] {
        place.run(&["simulate", given]).fails_with("usage");
        place.run(&["import", "--from=recording", given]).fails_with("usage");
    }
    insta::assert_snapshot!(place.run(&["simulate", "week"]).stderr, @"
    error[usage]: `week/mon.jsonl` and `week/mon.jsonl.zst` look like one recording in two forms, which would be counted twice
      = help: move one away, or name each file that is meant
    ");
    let both = place.run(&["simulate", "week/mon.jsonl", "week/mon.jsonl.zst"]);
    assert!(both.stdout.contains("72 events"), "{}", both.stdout);
}
