//! Callers that are slow, greedy or hostile, over real sockets: what they take, they take from nobody else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::odd::{ask, begin, call, head, rest, rig, status, until};

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_head_or_a_body_drop_by_drop_is_cut_off() {
    let rig = rig("head_time = '1s', body_time = '1s'").await;
    let mut heads = begin(&rig, "POST /odd/mcp HTTP/1.1\r\nhost: localhost\r\n").await;
    let drops = tokio::spawn(async move {
        // Each line is in time, and the whole is not.
        while heads.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let mut body = begin(&rig, &format!("{}content-length: 100\r\n\r\n{{", head(&rig, "odd", "ana"))).await;
    let answer = rest(&mut body).await;
    assert_eq!(status(&answer), "400", "{answer}");
    assert!(answer.contains("body-incomplete"), "{answer}");
    tokio::time::timeout(Duration::from_secs(30), drops).await.expect("the connection ends").unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_its_answer_gives_its_place_back() {
    for tool in ["large", "endless"] {
        let rig = rig("requests_per_caller = 1, stall_time = '1s'").await;
        let mut slow = begin(&rig, &call(&rig, "odd", "ana", tool)).await;
        // The head has come, so that the request is under way.
        slow.read_exact(&mut [0; 12]).await.unwrap();
        assert_eq!(status(&ask(&rig, "well", "ben", "add").await), "200", "another is not affected");
        until("her place is free again", async || status(&ask(&rig, "well", "ana", "add").await) == "200").await;
        // What is left of the answer never looks whole.
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).ends_with("0\r\n\r\n") && !answer.ends_with(b"}"), "{tool}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_no_more_than_may_be_and_a_place_is_free_when_one_ends() {
    let rig = rig("connections = 3, head_time = '1m'").await;
    let mut held = Vec::new();
    // A place may still be taken by who asked whether the gateway is there.
    until("the fourth is closed", async || {
        let mut next = TcpStream::connect(rig.address).await.unwrap();
        let _ = next.write_all(b"GET /odd/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let answered = matches!(next.read(&mut [0; 1]).await, Ok(1));
        if answered {
            held.push(next);
        }
        assert!(held.len() <= 3, "a fourth is served");
        !answered && held.len() == 3
    })
    .await;
    held.pop();
    until("one may come", async || status(&ask(&rig, "well", "ana", "add").await) == "200").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_whose_server_hangs_and_a_caller_with_many_requests_stop_nobody_else() {
    let rig = rig("requests = 100, requests_per_door = 3, requests_per_caller = 2").await;
    let mut hung = Vec::new();
    for subject in ["ana", "ana", "ben"] {
        hung.push(begin(&rig, &call(&rig, "odd", subject, "hang")).await);
    }
    until("all three are under way", async || rig.rows().await.iter().filter(|row| row["name"] == "hang").count() == 3)
        .await;
    let door = ask(&rig, "odd", "cid", "add").await;
    assert_eq!(status(&door), "503", "{door}");
    assert!(door.contains("door-busy") && door.contains("retry-after: 5"), "{door}");
    let caller = ask(&rig, "well", "ana", "add").await;
    assert_eq!(status(&caller), "429", "{caller}");
    assert!(caller.contains("caller-busy") && caller.contains("retry-after: 1"), "{caller}");
    for subject in ["ben", "cid"] {
        assert_eq!(status(&ask(&rig, "well", subject, "add").await), "200", "{subject}");
    }
    // Counted before any place is given back: whoever asks for one too early is refused too, and on record.
    let denied: Vec<_> = rig.rows().await.into_iter().filter(|row| row["decision"] == "deny").collect();
    let reasons: Vec<_> = denied.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 2, "who is known and refused is on record: {reasons:?}");
    drop(hung);
    until("their places are free", async || status(&ask(&rig, "odd", "ana", "add").await) == "200").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_together_are_no_more_than_may_be() {
    let rig = rig("requests = 2").await;
    let hung =
        [begin(&rig, &call(&rig, "odd", "ana", "hang")).await, begin(&rig, &call(&rig, "odd", "ben", "hang")).await];
    until("both are under way", async || rig.rows().await.iter().filter(|row| row["name"] == "hang").count() == 2)
        .await;
    let answer = ask(&rig, "well", "cid", "add").await;
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(hung);
    until("there is room again", async || status(&ask(&rig, "well", "cid", "add").await) == "200").await;
    rig.stop().await;
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_at_once_end_their_connection() {
    let rig = rig("").await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let mut text = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    text.extend(frame(4, 0, 0, &[]));
    // GET, http, /, and the authority `localhost` (RFC 7541).
    let request = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    for n in 0..2000 {
        let stream = 2 * n + 1;
        text.extend(frame(1, 0x5, stream, &request));
        text.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let (mut read, mut write) = socket.split();
    let mut answer = Vec::new();
    let (_, ended) = tokio::join!(
        write.write_all(&text),
        tokio::time::timeout(Duration::from_secs(30), read.read_to_end(&mut answer))
    );
    assert!(ended.is_ok(), "the connection goes on");
    // GOAWAY with ENHANCE_YOUR_CALM, by its frame: 17 in all, kind 7.
    let calm = answer.windows(17).any(|f| f[3] == 7 && f[4] == 0 && f[13..17] == 11_u32.to_be_bytes());
    assert!(calm, "{answer:?}");
    assert_eq!(status(&ask(&rig, "well", "ana", "add").await), "200", "the next one is served");
    rig.stop().await;
}
