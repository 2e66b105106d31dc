//! However many threads read a recording, the report is the same to the last byte.

use doorward::traffic::Reader;
use doorward::traffic::columns::ColumnWriter;

use crate::place::Place;

const POLICY: &str = include_str!("../../policies.toml");
const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");

/// The shipped recording many times over, with lines that cannot be read, as two files of several
/// batches.
fn recordings(place: &Place) {
    let (header, events) = RECORDING.split_once('\n').unwrap();
    let mut text = format!("{header}\n");
    for round in 0..60 {
        text.push_str(events);
        if round % 7 == 0 {
            text.push_str("{\"time\":1}\n\n{\"time\":2,\"time\":2}\n");
        }
    }
    place.write("a.jsonl", &text);
    // The second ends in the middle of a line.
    place.write("b.jsonl", &text[..text.len() - 30]);
    place.write("policies.toml", POLICY);
    place.write("stricter.toml", POLICY.replace("amount = { max = 50 }", "amount = { max = 30 }"));
}

#[test]
fn any_number_of_threads_gives_the_same_report() {
    let place = Place::new();
    recordings(&place);
    let run = |threads: &str, more: &[&str]| {
        let mut arguments = vec!["simulate", "--policy=stricter.toml", "--format=json", "--threads", threads];
        arguments.extend(more);
        let ran = place.run(&arguments);
        assert!(ran.stdout.contains("\"doorward.simulation/v1\""), "{}", ran.stderr);
        (ran.code, ran.stdout)
    };
    for more in [&["a.jsonl", "b.jsonl"][..], &["--baseline=policies.toml", "b.jsonl", "a.jsonl"]] {
        let one = run("1", more);
        assert_eq!(one, run("2", more));
        assert_eq!(one, run("5", more));
    }
}

#[test]
fn a_recording_that_is_none_ends_the_run_on_any_number_of_threads() {
    let place = Place::new();
    recordings(&place);
    place.write("c.jsonl", "{}\n");
    for threads in ["1", "3"] {
        let arguments = ["simulate", "--policy=policies.toml", "--threads", threads, "a.jsonl", "c.jsonl"];
        place.run(&arguments).fails_with("bad-input");
    }
    place.run(&["simulate", "--policy=policies.toml", "--threads=0", "a.jsonl"]).fails_with("usage");
}

#[test]
fn columns_and_lines_give_the_same_report() {
    let place = Place::new();
    let (header, events) = RECORDING.split_once('\n').unwrap();
    let text = format!("{header}\n{}", events.repeat(2000));
    let reader = Reader::new(text.as_bytes()).unwrap();
    let file = std::fs::File::create(place.path().join("a.parquet")).unwrap();
    let mut writer = ColumnWriter::new(file, &reader.header().clone()).unwrap();
    reader.for_each(|item| writer.write(&item.unwrap().event).unwrap());
    writer.finish().unwrap();
    place.write("a.jsonl", &text);
    place.write("policies.toml", POLICY);
    place.write("stricter.toml", POLICY.replace("amount = { max = 50 }", "amount = { max = 30 }"));
    let run = |threads: &str, name: &str| {
        let ran = place.run(&["simulate", "--policy=stricter.toml", "--format=json", "--threads", threads, name]);
        (ran.code, ran.stdout.replace(name, "NAME"))
    };
    let lines = run("1", "a.jsonl");
    assert!(lines.1.contains("\"doorward.simulation/v1\""));
    for threads in ["1", "2"] {
        assert_eq!(run(threads, "a.parquet"), lines);
    }
    // In a directory they are found like lines.
    std::fs::create_dir(place.path().join("kept")).unwrap();
    std::fs::rename(place.path().join("a.parquet"), place.path().join("kept/a.parquet")).unwrap();
    let ran = place.run(&["simulate", "--policy=stricter.toml", "--format=json", "kept"]);
    assert_eq!((ran.code, ran.stdout.replace("kept/a.parquet", "NAME")), lines);
}
