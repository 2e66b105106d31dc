//! Edits, signals, operators and callers at once, with policies among the edits that must never be in force.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use doorward::policy::{Layers, load};
use rustix::process::Signal;

use super::reloaded::{add, ask, policy, server, start, status, until, write};
use super::rig::rows;

fn digest(text: &str) -> String {
    let layers = Layers { files: vec![("policies.toml".into(), text.into())], environment: Vec::new() };
    load(&layers).policy.unwrap().compiled.digest().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_files_signals_and_operators_ask_at_once_only_what_was_cleared_decides() {
    let (http, _) = server().await;
    let text = policy(http);
    let with = |names: &str| text.replace("\"ana\", \"bob\"", names);
    let good = [text.clone(), with("\"ana\", \"bob\", \"dora\"")];
    // It allows what was denied, it denies what was allowed, and it is no policy.
    let bad = [with("\"ana\", \"bob\", \"carl\""), with("\"bob\""), "version = 1\n[servers".to_owned()];
    let served = start(&good[0]);
    let digests = good.clone().map(|text| digest(&text));
    assert_eq!(status(&served)["policy"]["digest"], digests[0]);
    assert_eq!((add(&served, "ana", 1).await, add(&served, "carl", 2).await), (200, 403));

    let stop = AtomicBool::new(false);
    let (shared, ends) = (&served, &stop);
    let callers = [("ana", 200), ("ana", 200), ("carl", 403)].map(|(subject, status)| async move {
        while !ends.load(Ordering::Relaxed) {
            assert_eq!(add(shared, subject, 3).await, status, "{subject}");
        }
    });
    let edits = async {
        for (number, text) in [&bad[0], &good[1], &bad[1], &good[0], &bad[2], &good[1], &bad[0], &good[0], &bad[1]]
            .into_iter()
            .chain([&good[1]])
            .enumerate()
        {
            write(shared.directory.path(), text);
            if number % 2 == 0 {
                shared.signal(Signal::HUP);
            }
            // Who asks while another waits is told so.
            tokio::task::block_in_place(|| ask(shared, &["reload"]));
        }
        until(shared, "the last edit is in force", |status| status["policy"]["digest"] == digests[1]).await;
        stop.store(true, Ordering::Relaxed);
        assert_eq!(add(shared, "ana", 4).await, 200);
    };
    tokio::join!(futures_util::future::join_all(callers), edits);

    let decided: BTreeSet<String> = rows(&served.audit())
        .await
        .into_iter()
        .filter(|row| row["decision"] == "allow" || row["decision"] == "deny")
        .map(|row| row["policy"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(decided, digests.into_iter().collect());
    let metrics = reqwest::get(format!("http://{}/metrics", served.admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("doorward_reloads_total{result=\"refused\"}"), "{metrics}");
}
