//! The gateway while its PostgreSQL is harmed: who calls is told so at once or soon, nothing is done
//! without a row, and all is well again when the server is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, Executor as _};

use super::server::Server;
use super::{Answer, Caller, Gateway, Numbers, Place, Told, accounts, books, since, verified};
use crate::audit::proxy::{Cut, Proxy};
use crate::containers::{self, Postgres, Wanted};

/// How many callers call all the time.
const CALLERS: usize = 6;
/// How long to wait for anything; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest that a caller may wait: for its row, and on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(20);

/// A gateway under load, with its store behind a proxy.
struct Scene<'a> {
    gateway: &'a Gateway,
    caller: &'a Caller,
    numbers: &'a Numbers,
    told: &'a Mutex<Told>,
}

impl Scene<'_> {
    /// Calls once, and says whether the number was entered.
    async fn call(&self) -> bool {
        let n = self.numbers.take();
        let begin = Instant::now();
        let answer = self.caller.enter(self.gateway.0.address, n).await;
        assert!(begin.elapsed() < LONGEST, "a caller waited for {:?}", begin.elapsed());
        assert!(matches!(answer, Answer::Status(..)), "the gateway is there all the time");
        self.told.lock().unwrap().hears(n, &answer);
        matches!(answer, Answer::Status(200, _))
    }

    /// Calls until told otherwise.
    async fn goes_on(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if !self.call().await {
                // As whoever is told to try again later.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// What `/readyz` says.
    async fn ready(&self) -> (u16, String) {
        let answer = self.caller.client.get(format!("http://{}/readyz", self.gateway.0.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until calls are refused, and health says why.
    async fn is_away(&self, fault: &str) {
        let begin = Instant::now();
        let refused = || self.told.lock().unwrap().refused.len();
        let before = refused();
        while refused() == before || self.ready().await.0 == 200 {
            assert!(begin.elapsed() < PATIENCE, "{fault}: nobody is told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (status, because) = self.ready().await;
        assert!(status == 200 || because.contains("audit-unavailable"), "{fault}: {because}");
    }

    /// Waits until calls are answered again, and health says so.
    async fn is_back(&self, fault: &str) {
        let begin = Instant::now();
        let entered = || self.told.lock().unwrap().entered.len();
        let before = entered();
        while entered() == before || self.ready().await.0 != 200 {
            assert!(begin.elapsed() < PATIENCE, "{fault}: not back: {:?}", self.ready().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The memory that the gateway holds, in kilobytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.0.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// A gateway before a database, as long as the test harms it.
async fn harmed(database: &Postgres, harm: impl AsyncFnOnce(&Scene<'_>, &Proxy, &str)) {
    let name = database.database().await;
    let proxy = Proxy::to(database.port()).await;
    let (url, direct) = (Postgres::url_at(proxy.port, &name), database.url(&name));
    let server = Server::start();
    let place = Place::new(&books(&server, "env:STORE")).await;
    let mut gateway =
        tokio::task::block_in_place(|| Gateway::start(place.directory.path(), &[("STORE", url.as_str())]));
    let (caller, numbers, told, stop) =
        (Caller::new(&place), Numbers::default(), Mutex::default(), AtomicBool::new(false));
    {
        let scene = Scene { gateway: &gateway, caller: &caller, numbers: &numbers, told: &told };
        let load = futures_util::future::join_all((0..CALLERS).map(|_| scene.goes_on(&stop)));
        let (_, ()) = tokio::join!(load, async {
            scene.is_back("before").await;
            harm(&scene, &proxy, &name).await;
            stop.store(true, Ordering::Relaxed);
        });
    }
    kill_process(Pid::from_child(gateway.child()), Signal::TERM).unwrap();
    assert_eq!(tokio::task::block_in_place(|| gateway.child().wait()).unwrap().code(), Some(0));
    let rows = since(&direct.parse().unwrap(), 0).await;
    accounts(&rows, &server.entered(), &told.into_inner().unwrap());
    verified(place.directory.path(), &[("STORE", &direct)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_harmed_calls_are_refused_and_nothing_is_done_without_its_row() {
    let Some(database) = containers::own_postgres("while_postgres_is_harmed", Wanted::default()) else { return };
    harmed(&database, async |scene, proxy, name| {
        let docker = |command: &str| tokio::task::block_in_place(|| database.docker(command, &[]));
        // Slow: somebody holds the table, longer than a caller may wait.
        let mut other = database.connect(name).await;
        other.execute("begin; lock table audit_log in access exclusive mode").await.unwrap();
        scene.is_away("slow").await;
        other.execute("rollback").await.unwrap();
        scene.is_back("slow").await;

        docker("pause");
        scene.is_away("paused").await;
        // Many more than there is room for: they are refused, and no memory is kept for them.
        let before = scene.memory();
        for _ in 0..40 {
            let entered = futures_util::future::join_all((0..100).map(|_| scene.call())).await;
            assert!(entered.iter().all(|entered| !entered));
        }
        let more = scene.memory().saturating_sub(before);
        assert!(more < 100_000, "4,000 refused calls took {more} kB");
        docker("unpause");
        scene.is_back("paused").await;

        docker("kill");
        scene.is_away("killed").await;
        docker("start");
        scene.is_back("killed").await;

        read_only(&database, true).await;
        scene.is_away("read-only").await;
        read_only(&database, false).await;
        scene.is_back("read-only").await;

        proxy.cut(Cut::Away);
        scene.is_away("cut off").await;
        proxy.cut(Cut::None);
        scene.is_back("cut off").await;
        // In the midst of a commit: the server has all of it or half, and its answer is lost.
        for cut in [Cut::Answer, Cut::Half].into_iter().cycle().take(10) {
            proxy.cut(cut);
            scene.is_back("a commit").await;
        }
    })
    .await;
}

/// As a server is that has become a standby: it says no to every writer.
async fn read_only(database: &Postgres, on: bool) {
    let mut admin = database.connect("postgres").await;
    admin.execute("set default_transaction_read_only = off").await.unwrap();
    let set = if on {
        "alter system set default_transaction_read_only = on"
    } else {
        "alter system reset default_transaction_read_only"
    };
    admin.execute(set).await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    // Whoever was let in before stays as it was.
    if on {
        let others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() \
                      and application_name = 'doorward'";
        admin.execute(others).await.unwrap();
    }
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_of_postgres_is_full_calls_are_refused_and_nothing_is_done_without_its_row() {
    let wanted = Wanted { disk: Some(160 << 20), settings: &["max_wal_size=48MB", "min_wal_size=32MB"] };
    let Some(database) = containers::own_postgres("while_the_disk_of_postgres_is_full", wanted) else { return };
    harmed(&database, async |scene, _, _| {
        let inside = |script: &str| tokio::task::block_in_place(|| database.docker("exec", &["sh", "-c", script]));
        // All that is left, to the last block.
        inside("dd if=/dev/zero of=/disk/a bs=65536 2>/dev/null; dd if=/dev/zero of=/disk/b bs=4096 2>/dev/null; true");
        scene.is_away("full").await;
        inside("rm -f /disk/a /disk/b");
        scene.is_back("full").await;
    })
    .await;
}
