//! Servers that fail, as callers of the gateway and its operator see it.

use super::odd::{admin, ask, rig, rig_to, status, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_left_alone_and_the_other_door_is_not_affected() {
    let down = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = rig_to("", down).await;
    for _ in 0..5 {
        assert_eq!(status(&ask(&rig, "odd", "ana", "add").await), "502");
    }
    for subject in ["ana", "ben"] {
        let answer = ask(&rig, "odd", subject, "add").await;
        assert_eq!(status(&answer), "503", "{answer}");
        assert!(answer.contains("upstream-unavailable") && answer.contains("retry-after: 5"), "{answer}");
    }
    let metrics = admin(&rig, "/metrics").await;
    assert!(metrics.contains("doorward_upstream_state{door=\"odd\"} 2"), "{metrics}");
    assert!(metrics.contains("doorward_upstream_state{door=\"well\"} 0"), "{metrics}");
    assert!(metrics.contains("code=\"upstream-unreachable\""), "{metrics}");
    assert_eq!(status(&ask(&rig, "well", "ana", "add").await), "200");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_one_caller_brings_about_stop_that_caller_and_those_of_two_stop_all() {
    let rig = rig("").await;
    for tool in ["fail", "broken"] {
        for _ in 0..5 {
            assert_eq!(status(&ask(&rig, "odd", "ana", tool).await), "502", "{tool}");
        }
        assert_eq!(status(&ask(&rig, "odd", "ana", "add").await), "503", "{tool}");
        assert_eq!(status(&ask(&rig, "odd", "ben", "add").await), "200", "{tool}: another is served");
        until("she is let in again", async || status(&ask(&rig, "odd", "ana", "add").await) == "200").await;
    }
    for subject in ["ana", "ana", "ben", "ben", "ana"] {
        ask(&rig, "odd", subject, "fail").await;
    }
    assert_eq!(status(&ask(&rig, "odd", "cid", "add").await), "503");
    assert_eq!(status(&ask(&rig, "well", "ana", "add").await), "200");
    until("it is asked again", async || status(&ask(&rig, "odd", "cid", "add").await) == "200").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_take_too_long_close_the_door_for_nobody_else() {
    let rig = rig("").await;
    let slow = futures_util::future::join_all((0..6).map(|_| ask(&rig, "odd", "ana", "hang"))).await;
    assert!(slow.iter().all(|answer| status(answer) == "504"), "{slow:?}");
    assert_eq!(status(&ask(&rig, "odd", "ben", "add").await), "200");
    rig.stop().await;
}
