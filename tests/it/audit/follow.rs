//! `doorward audit follow`, while somebody writes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use doorward::audit::chain::Column;
use doorward::audit::store::{Logger, LoggerOptions, Store};
use serde_json::Value;

use super::{entry, options};
use crate::place::Place;

/// What is written before anybody follows is not shown, what comes later is, once, and only what was
/// asked for.
async fn follows(url: &str) {
    let place = Place::new();
    let store: Store = url.parse().unwrap();
    // Who follows on a server asks for what was written of late by the clock.
    let now = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let clock = LoggerOptions { clock: std::sync::Arc::new(now), ..options() };
    let (logger, _task) = Logger::open(store, clock).await.unwrap();
    logger.append(entry("before")).await.unwrap();
    let mut command = place.command(&["audit", "follow", "--store=env:STORE", "--format=json", "--door=tickets"]);
    let mut child = command.env("STORE", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let (sender, shown) = mpsc::channel();
    std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let request = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["request"].as_str().unwrap().to_owned()
    };
    // It has begun once it shows something.
    let begin = Instant::now();
    let mut n = 0;
    let first = loop {
        logger.append(entry(&format!("r{n}"))).await.unwrap();
        n += 1;
        if let Ok(line) = shown.recv_timeout(Duration::from_millis(200)) {
            break request(&line);
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "nothing is shown");
    };
    let from: usize = first.strip_prefix('r').expect("what was there before is shown").parse().unwrap();
    logger.append(entry("other").with(Column::Door, "till")).await.unwrap();
    logger.append(entry("last")).await.unwrap();
    let mut seen = vec![first];
    while seen.last().is_some_and(|last| last != "last") {
        seen.push(request(&shown.recv_timeout(Duration::from_mins(1)).expect("the last row is shown")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let expected: Vec<String> = (from..n).map(|n| format!("r{n}")).chain(["last".to_owned()]).collect();
    assert_eq!(seen, expected);
    logger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_file_are_shown_as_they_come() {
    let directory = tempfile::tempdir().unwrap();
    follows(&format!("sqlite:{}", directory.path().join("audit.db").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_server_are_shown_as_they_come() {
    let Some(server) = crate::containers::postgres("rows_of_a_server_are_shown_as_they_come") else { return };
    let database = server.database().await;
    follows(&server.url(&database)).await;
}
