//! Traffic in whatever form and packing it comes, through the command line.

use std::fs;
use std::io::Write;

use super::place::Place;

const LOG: &str = include_str!("../../examples/logs/mcpproxy.jsonl");
const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).unwrap()
}

fn put(place: &Place, name: &str, bytes: &[u8]) {
    fs::write(place.path().join(name), bytes).unwrap();
}

#[test]
fn shipped_maps_are_listed_printed_and_can_be_edited() {
    let place = Place::new();
    let list = place.run(&["import", "--maps"]);
    assert_eq!(list.code, 0);
    for line in list.stdout.lines() {
        let name = line.split(' ').next().unwrap();
        let printed = place.run(&["import", "--print-map", name]);
        assert!(printed.code == 0 && printed.stdout.contains("version = 1"), "{name}");
    }
    place.write("log.jsonl", LOG);
    let shipped = place.run(&["import", "--from=mcpproxy", "log.jsonl"]);
    place.write("my.toml", place.run(&["import", "--print-map=mcpproxy"]).stdout);
    let edited = place.run(&["import", "--from=my.toml", "log.jsonl"]);
    assert_eq!((edited.code, &edited.stdout), (1, &shipped.stdout));
    insta::assert_snapshot!(edited.stderr, @"
    log.jsonl:7: there is no door at `/server_name` (not-a-call)
    log.jsonl:8: `yesterday` at `/timestamp` is not an instant, such as 2026-03-02T09:00:00Z (not-a-call)
    log.jsonl:9: EOF while parsing a string (column 81) (not-json)
    3 events from 9 records
      1 record left out by the rule `a tool of the proxy itself`
      1 record left out by the rule `start or stop of the proxy`
      1 record of `/type = quarantine_change`, of which no rule says anything
      3 events without an identity
      3 records not readable
    ");
    place.run(&["import", "--print-map=mcpprxy"]).fails_with("unknown-name");
    let unknown = place.run(&["import", "--from=mcpprxy", "log.jsonl"]);
    unknown.fails_with("unknown-name");
    assert!(unknown.stderr.contains("did you mean `mcpproxy`?"), "{}", unknown.stderr);
}

#[test]
fn a_map_with_a_mistake_is_shown_with_its_place() {
    let place = Place::new();
    place.write("log.jsonl", LOG);
    place
        .write("my.toml", "version = 1\nname = \"x\"\n[fields]\ntim = \"/t\"\ndoor = { at = \"/d\", befor = \"_\" }\n");
    let ran = place.run(&["import", "--from=my.toml", "log.jsonl"]);
    ran.fails_with("bad-input");
    insta::assert_snapshot!(ran.stderr, @r#"
    error[unknown-key]: unknown field `befor`
     --> my.toml:5:21
      |
    5 | door = { at = "/d", befor = "_" }
      |                     ^^^^^
      |
      = help: did you mean `before`?
      = docs: docs/codes/unknown-key.md

    1 error
    error[bad-input]: the field map `my.toml` cannot be used
    "#);
}

#[test]
fn a_record_that_cannot_be_read_is_fatal_when_that_is_asked_for() {
    let place = Place::new();
    place.write("log.jsonl", LOG);
    let strict = place.run(&["import", "--from=mcpproxy", "--strict-input", "log.jsonl", "--output=out.jsonl"]);
    strict.fails_with("bad-input");
    assert!(strict.stderr.contains("log.jsonl:7: there is no door"), "{}", strict.stderr);
    assert!(!place.names().contains(&"out.jsonl".to_owned()));
    place.write("bad.jsonl", format!("{RECORDING}{{\n"));
    let judged = place.run(&["simulate", "--policy=p.toml", "bad.jsonl"]);
    assert!(judged.code == 2 && judged.stdout.contains("1 record could not be read"), "{}", judged.stdout);
    let strict = place.run(&["simulate", "--policy=p.toml", "--strict-input", "bad.jsonl"]);
    strict.fails_with("bad-input");
    assert!(strict.stdout.is_empty() && strict.stderr.contains("bad.jsonl:38: "), "{}", strict.stderr);
}

#[test]
fn simulate_reads_what_import_reads() {
    let place = Place::new();
    place.write("log.jsonl", LOG);
    place.run(&["import", "--from=mcpproxy", "log.jsonl", "--output=imported.jsonl"]);
    let direct = place.run(&["simulate", "--policy=p.toml", "--from=mcpproxy", "log.jsonl"]);
    assert!(direct.stdout.contains("3 events"), "{}", direct.stdout);
    assert!(direct.stdout.contains("3 events were decided by another system"), "{}", direct.stdout);
    assert!(!direct.stdout.contains("reproduced"), "a foreign verdict proves nothing about an engine");
    let imported = place.run(&["simulate", "--policy=p.toml", "imported.jsonl"]);
    assert!(
        imported.stdout.contains("newly denied   2") && imported.stdout.contains("still denied   1"),
        "{}",
        imported.stdout
    );
    place
        .run(&["simulate", "--policy=p.toml", "--mapping=p.toml", "--from=recording", "log.jsonl"])
        .fails_with("usage");
    place.run(&["import", "--from=chat", "log.jsonl"]).fails_with("usage");
}

#[test]
fn packed_recordings_are_read_like_plain_ones_from_everywhere() {
    let place = Place::new();
    place.write("plain.jsonl", RECORDING);
    let expected = place.run(&["import", "plain.jsonl"]);
    assert_eq!(expected.code, 0, "{}", expected.stderr);
    // The name says nothing: a packed file may be called anything.
    for (name, bytes) in [("a.jsonl.gz", gzip(RECORDING.as_bytes())), ("b.jsonl", zst(RECORDING.as_bytes()))] {
        put(&place, name, &bytes);
        assert_eq!(place.run(&["import", name]).stdout, expected.stdout, "{name}");
        let piped = place.feed(&["import", "-"], &bytes);
        assert_eq!(piped.stdout, expected.stdout, "{name}");
    }
    let (first, rest) = RECORDING.split_at(RECORDING.len() / 2);
    put(&place, "c.jsonl", &[gzip(first.as_bytes()), gzip(rest.as_bytes())].concat());
    assert_eq!(place.run(&["import", "c.jsonl"]).stdout, expected.stdout);
    fs::create_dir(place.path().join("all")).unwrap();
    put(&place, "all/1.jsonl", RECORDING.as_bytes());
    put(&place, "all/2.jsonl.gz", &gzip(RECORDING.as_bytes()));
    put(&place, "all/3.jsonl.zst", &zst(RECORDING.as_bytes()));
    put(&place, "all/other.gz", b"not a recording");
    let all = place.run(&["import", "all"]);
    assert_eq!(all.stdout.lines().count(), 3 * 36 + 1, "{}", all.stderr);
    assert_eq!(place.run(&["import", "all/*.jsonl*"]).stdout, all.stdout);
}

#[test]
fn a_packed_stream_that_is_cut_ends_with_its_line_and_not_in_silence() {
    let place = Place::new();
    for packed in [gzip(RECORDING.as_bytes()), zst(RECORDING.as_bytes())] {
        put(&place, "cut.jsonl", &packed[..packed.len() - 3]);
        let ran = place.run(&["import", "cut.jsonl"]);
        assert!(ran.code != 0 && ran.stderr.contains("read-failed"), "{} {}", ran.code, ran.stderr);
    }
}
