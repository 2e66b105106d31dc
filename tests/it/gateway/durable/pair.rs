//! Two gateways in front of one server, with one audit log in PostgreSQL: one is cut off from it, and one is killed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::server::Server;
use super::{Answer, COUNTED, Caller, DOOR, Gateway, Numbers, Place, Told, accounts, books, counted, since, verified};
use crate::audit::proxy::{Cut, Proxy};
use crate::containers::{self, Postgres};
use crate::gateway::process::doorward;

/// How long to wait for anything; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);

struct Pair<'a> {
    place: &'a Place,
    caller: Caller,
    numbers: Numbers,
    told: Told,
}

impl Pair<'_> {
    /// What a gateway says of itself, whether it is ready or not.
    fn status(&self, gateway: &Gateway) -> Value {
        let output = doorward()
            .args(["status", "--format", "json", "--admin-token", "file:admin.token", "--gateway", &gateway.0.admin])
            .current_dir(self.place.directory.path())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Calls once, and says whether the number was entered.
    async fn enters(&mut self, gateway: &Gateway) -> bool {
        let n = self.numbers.take();
        let answer = self.caller.enter(gateway.0.address, n).await;
        self.told.hears(n, &answer);
        matches!(answer, Answer::Status(200, _))
    }

    /// Calls until it is, or is not, entered.
    async fn until(&mut self, gateway: &Gateway, entered: bool) {
        let begin = Instant::now();
        while self.enters(gateway).await != entered {
            assert!(begin.elapsed() < PATIENCE, "{:#}", self.status(gateway));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many of six calls the rate lets through.
    async fn counted(&mut self, gateway: &Gateway) -> usize {
        let token = self.place.token(COUNTED, "ana", "clerks", &["counted:enter"], 0);
        let caller = Caller { token, ..self.caller.clone() };
        let mut passed = 0;
        for _ in 0..6 {
            let n = self.numbers.take();
            match caller.enter_at(gateway.0.address, COUNTED, n).await {
                Answer::Status(429, _) => {}
                answer => {
                    self.told.hears(n, &answer);
                    passed += usize::from(matches!(answer, Answer::Status(200, _)));
                }
            }
        }
        passed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_on_one_postgres_one_is_cut_off_and_one_is_killed_and_the_other_goes_on() {
    let Some(database) = containers::postgres("of_two_gateways_on_one_postgres") else { return };
    let name = database.database().await;
    let proxy = Proxy::to(database.port()).await;
    let (direct, by_proxy) = (database.url(&name), Postgres::url_at(proxy.port, &name));
    let server = Server::start();
    let place = Place::new(&(books(&server, "env:STORE") + &counted(&server, "2/h per subject"))).await;
    let start = |url: &str| tokio::task::block_in_place(|| Gateway::start(place.directory.path(), &[("STORE", url)]));
    let (one, mut two) = (start(&direct), start(&by_proxy));
    let (caller, numbers) = (Caller::new(&place), Numbers::default());
    let mut pair = Pair { place: &place, caller, numbers, told: Told::default() };

    // One policy, and rates that each counts for itself, as it says.
    let told = [&one, &two].map(|gateway| pair.status(gateway));
    assert_eq!(told[0]["policy"]["digest"], told[1]["policy"]["digest"]);
    for (gateway, told) in [(&one, &told[0]), (&two, &told[1])] {
        assert_eq!((&told["ready"], &told["rates"]), (&json!(true), &json!("per-gateway")), "{told:#}");
        pair.until(gateway, true).await;
        // Of six, two; and if an hour ends meanwhile, four.
        let passed = pair.counted(gateway).await;
        assert!((2..=4).contains(&passed), "{passed}");
    }

    // One is cut off from the log. It refuses, and says so; the other does not notice.
    proxy.cut(Cut::Away);
    pair.until(&two, false).await;
    let begin = Instant::now();
    while pair.status(&two)["because"] != json!(["audit-unavailable"]) {
        assert!(begin.elapsed() < PATIENCE, "{:#}", pair.status(&two));
        assert!(!pair.enters(&two).await, "it enters what it cannot record");
    }
    for _ in 0..5 {
        assert!(!pair.enters(&two).await);
        pair.until(&one, true).await;
    }
    assert_eq!(pair.status(&one)["ready"], json!(true));
    proxy.cut(Cut::None);
    pair.until(&two, true).await;
    let begin = Instant::now();
    while pair.status(&two)["ready"] != json!(true) {
        assert!(begin.elapsed() < PATIENCE, "{:#}", pair.status(&two));
    }

    // The other is killed with calls under way. Whoever calls the first one is served.
    let numbers: Vec<u64> = (0..12).map(|_| pair.numbers.take()).collect();
    let calls = futures_util::future::join_all(numbers.iter().map(|n| pair.caller.enter(one.0.address, *n)));
    let (answers, ()) = tokio::join!(calls, async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        one.kill();
    });
    for (n, answer) in numbers.iter().zip(&answers) {
        pair.told.hears(*n, answer);
    }
    for _ in 0..5 {
        pair.until(&two, true).await;
    }
    drop(one);

    // One that is started again takes its place.
    let mut again = start(&direct);
    pair.until(&again, true).await;
    assert_eq!(pair.status(&again)["policy"]["digest"], pair.status(&two)["policy"]["digest"]);
    for gateway in [&mut two, &mut again] {
        kill_process(Pid::from_child(gateway.child()), Signal::TERM).unwrap();
        assert_eq!(tokio::task::block_in_place(|| gateway.child().wait()).unwrap().code(), Some(0));
    }
    let rows = since(&direct.parse().unwrap(), 0).await;
    accounts(&rows, &server.entered(), &pair.told);
    let doors = |door: &str| rows.iter().any(|row| row.entry.get(doorward::audit::chain::Column::Door) == Some(door));
    assert!(doors(DOOR) && doors(COUNTED));
    verified(place.directory.path(), &[("STORE", &direct)]);
}
