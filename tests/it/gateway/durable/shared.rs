//! A rate across two gateways, each a process: together they let pass what it says, whatever becomes of one.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::server::Server;
use super::{Answer, COUNTED, Caller, Gateway, Numbers, Place, accounts, books, counted, now, since};
use crate::audit::proxy::{Cut, Proxy};
use crate::containers::{self, Postgres};
use crate::gateway::process::doorward;

/// How long to wait for anything; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many calls a day a subject may make.
const MOST: usize = 20;

struct Two<'a> {
    place: &'a Place,
    caller: Caller,
    numbers: Numbers,
    told: super::Told,
}

impl Two<'_> {
    fn as_subject(&self, subject: &str) -> Caller {
        let token = self.place.token(COUNTED, subject, "clerks", &["counted:enter"], 0);
        Caller { token, ..self.caller.clone() }
    }

    /// Calls at the door that is counted.
    async fn counted(&mut self, gateway: &Gateway, subject: &str) -> (u16, String) {
        let n = self.numbers.take();
        let answer = self.as_subject(subject).enter_at(gateway.0.address, COUNTED, n).await;
        let Answer::Status(status, text) = answer else { panic!("the connection ended") };
        if status == 200 {
            self.told.hears(n, &Answer::Status(status, text.clone()));
        }
        (status, code(&text))
    }

    /// Calls at either door until the answer has this status and code.
    async fn until(&mut self, gateway: &Gateway, subject: Option<&str>, wanted: (u16, &str)) {
        let begin = Instant::now();
        loop {
            let (status, code) = match subject {
                Some(subject) => self.counted(gateway, subject).await,
                None => {
                    let n = self.numbers.take();
                    let answer = self.caller.enter(gateway.0.address, n).await;
                    self.told.hears(n, &answer);
                    let Answer::Status(status, text) = answer else { panic!("the connection ended") };
                    (status, code(&text))
                }
            };
            if (status, code.as_str()) == wanted {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{status} {code}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn code(text: &str) -> String {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    answer["error"]["data"]["doorward"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The day, by which the rate counts.
fn day() -> i64 {
    now().0.div_euclid(86_400)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_let_pass_together_what_a_rate_across_gateways_says() {
    let Some(database) = containers::postgres("two_gateways_let_pass_together") else { return };
    let name = database.database().await;
    let proxy = Proxy::to(database.port()).await;
    let (direct, by_proxy) = (database.url(&name), Postgres::url_at(proxy.port, &name));
    let server = Server::start();
    let rate = format!("{MOST}/d per subject across gateways");
    let place = Place::new(&(books(&server, "env:STORE") + &counted(&server, &rate))).await;
    let start = |url: &str| tokio::task::block_in_place(|| Gateway::start(place.directory.path(), &[("STORE", url)]));
    let (one, mut two) = (start(&direct), start(&by_proxy));
    let caller = Caller::new(&place);
    let mut both = Two { place: &place, caller, numbers: Numbers::default(), told: super::Told::default() };
    let status = doorward()
        .args(["status", "--format", "json", "--admin-token", "file:admin.token", "--gateway", &one.0.admin])
        .current_dir(place.directory.path())
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["rates"], json!("across-gateways"));

    // Twice as many calls as may be, all at once, half of them at each.
    let began = day();
    let calls: Vec<(u64, &Gateway)> = (0..2 * MOST).map(|n| (both.numbers.take(), [&one, &two][n % 2])).collect();
    let ana = both.as_subject("ana");
    let asked = calls.iter().map(|(n, gateway)| ana.enter_at(gateway.0.address, COUNTED, *n));
    let mut passed = 0;
    for ((n, _), answer) in calls.iter().zip(futures_util::future::join_all(asked).await) {
        let Answer::Status(status, text) = &answer else { panic!("the connection ended") };
        match status {
            200 => {
                passed += 1;
                both.told.hears(*n, &answer);
            }
            429 => assert_eq!(code(text), "rate-limited"),
            // A busy machine may take longer than a call waits. That one counts nevertheless.
            503 => assert!(["rates-unavailable", "audit-unavailable"].contains(&code(text).as_str()), "{text}"),
            _ => panic!("{status} {text}"),
        }
    }
    let same_day = || day() == began;
    assert!(!same_day() || passed <= MOST, "{passed} of {MOST}");
    // What was refused on a doubt counts, so that no more than all are there; and at least most of them were.
    assert!(passed > MOST / 2, "{passed} of {MOST}");
    both.until(&one, Some("ana"), (429, "rate-limited")).await;
    assert_eq!(both.counted(&two, "ana").await, (429, "rate-limited".to_owned()));

    // One is killed, and another takes its place: the count stays.
    one.kill();
    drop(one);
    let mut one = start(&direct);
    if same_day() {
        let again = both.counted(&one, "ana").await;
        assert!(again == (429, "rate-limited".to_owned()) || !same_day(), "{again:?}");
    }

    // Others have counts of their own.
    both.until(&one, Some("ben"), (200, "")).await;
    both.until(&two, Some("ben"), (200, "")).await;

    // What counts is away, and the log is not: only what is counted is refused, and that is on record.
    let mut raw = database.connect(&name).await;
    raw.execute("alter function audit_rates_count(bytea[], integer[], integer[]) rename to away").await.unwrap();
    for gateway in [&one, &two] {
        both.until(gateway, Some("ben"), (503, "rates-unavailable")).await;
        both.until(gateway, None, (200, "")).await;
    }
    raw.execute("alter function away(bytea[], integer[], integer[]) rename to audit_rates_count").await.unwrap();
    for gateway in [&one, &two] {
        both.until(gateway, Some("ben"), (200, "")).await;
    }

    // One is cut off from the server: it refuses, the other goes on, and it is back by itself.
    proxy.cut(Cut::Away);
    let begin = Instant::now();
    while both.counted(&two, "ben").await.0 != 503 {
        assert!(begin.elapsed() < PATIENCE);
    }
    both.until(&one, Some("ben"), (200, "")).await;
    both.until(&one, None, (200, "")).await;
    assert_eq!(both.counted(&two, "ben").await.0, 503);
    proxy.cut(Cut::None);
    both.until(&two, Some("ben"), (200, "")).await;
    both.until(&two, None, (200, "")).await;

    for gateway in [&mut two, &mut one] {
        kill_process(Pid::from_child(gateway.child()), Signal::TERM).unwrap();
        assert_eq!(tokio::task::block_in_place(|| gateway.child().wait()).unwrap().code(), Some(0));
    }
    let rows = since(&direct.parse().unwrap(), 0).await;
    accounts(&rows, &server.entered(), &both.told);
    let reasons = |reason: &str| {
        let of =
            |row: &&doorward::audit::chain::Row| row.entry.get(doorward::audit::chain::Column::Reason) == Some(reason);
        rows.iter().filter(of).count()
    };
    assert!(reasons("rates-unavailable") >= 2 && reasons("rate-limited") >= 2);
    // A rehearsal takes both for what the policy allowed.
    let recorded: Vec<_> = rows.iter().filter(|row| row.entry.kind == "denial").collect();
    assert!(
        !recorded.is_empty()
            && recorded.iter().all(|row| doorward::audit::recorded(row).is_some_and(|event| {
                event.decided.is_some_and(|decided| decided.effect == doorward::model::Effect::Allow)
            }))
    );
}
