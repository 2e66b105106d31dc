//! `doorward demo`: what it shows, that it is quick, and that it leaves nothing behind.

use std::time::{Duration, Instant};

#[test]
fn it_shows_what_an_agent_and_an_operator_see_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let said = super::process::doorward()
        .arg("demo")
        .env("TMPDIR", scratch.path())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    let took = begin.elapsed();
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(took < Duration::from_mins(1), "it took {took:?}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    let text = String::from_utf8(said.stdout).unwrap();
    // Only the times in the report of the rehearsal differ between two runs.
    let shown = text.split("\n7. ").next().unwrap();
    insta::assert_snapshot!(shown);
    let rehearsed = text.split("\n7. ").nth(1).unwrap();
    assert!(rehearsed.contains("newly denied") && rehearsed.contains("args"), "{rehearsed}");
}
