//! The gateway is killed with -9 at random moments under load, over and over, on the same store.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward::audit::store::Store;

use super::server::Server;
use super::{Answer, Caller, Dice, Gateway, Numbers, Place, Told, accounts, books, since, verified};
use crate::containers;

/// How many callers there are at once.
const CALLERS: usize = 8;
/// After how many kills the whole log is verified, and not the new rows alone.
const WHOLE: u64 = 25;

/// What is killed: a gateway whose policy is in a directory, before a server.
struct Victim<'a> {
    place: &'a Place,
    server: &'a Server,
    environment: &'a [(&'a str, &'a str)],
    store: Store,
}

fn microseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

impl Victim<'_> {
    fn directory(&self) -> &Path {
        self.place.directory.path()
    }

    /// Kills a gateway so often.
    async fn is_killed(&self, kills: u64) {
        let seed = std::env::var("DOORWARD_KILL_SEED")
            .ok()
            .map_or_else(|| microseconds().unsigned_abs(), |text| text.parse().unwrap());
        let (mut dice, numbers) = (Dice(seed), Numbers::default());
        let (mut seen, mut whole) = (0, 0);
        for kill in 1..=kills {
            // Shown when the test fails.
            #[expect(clippy::print_stdout, reason = "by which a failure can be had again")]
            {
                println!("kill {kill} of seed {seed}");
            }
            let (begun, first) = (microseconds(), numbers.0.load(Ordering::Relaxed));
            let told = self.once(&mut dice, &numbers).await;
            let entered: Vec<u64> = self.server.entered().into_iter().filter(|n| *n >= first).collect();
            seen += entered.len();
            accounts(&since(&self.store, begun).await, &entered, &told);
            if kill % WHOLE == 0 || kill == kills {
                let rows = verified(self.directory(), self.environment)["rows"].as_u64().unwrap();
                assert!(rows > whole);
                whole = rows;
            }
        }
        assert!(seen as u64 > kills * 5, "{seen} effects in {kills} runs show little");
    }

    /// One life of a gateway.
    async fn once(&self, dice: &mut Dice, numbers: &Numbers) -> Told {
        let (directory, environment) = (self.directory().to_owned(), self.environment);
        let mut gateway = tokio::task::block_in_place(|| Gateway::start(&directory, environment));
        let address = gateway.0.address;
        // At which call, and how far into what goes on then.
        let (last, pause) = (1 + dice.roll(80), dice.roll(400));
        let begun = AtomicU64::new(0);
        let caller = Caller::new(self.place);
        let (gateway_ref, begun_ref, caller_ref) = (&gateway, &begun, &caller);
        let lanes = (0..CALLERS).map(|_| async move {
            let mut answers = Vec::new();
            loop {
                let count = begun_ref.fetch_add(1, Ordering::Relaxed) + 1;
                if count == last {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    gateway_ref.kill();
                }
                let n = numbers.take();
                match caller_ref.enter(address, n).await {
                    Answer::Cut if count >= last => return answers,
                    answer => answers.push((n, answer)),
                }
            }
        });
        let answers = futures_util::future::join_all(lanes).await;
        gateway.child().wait().unwrap();
        let mut told = Told::default();
        for (n, answer) in answers.into_iter().flatten() {
            told.hears(n, &answer);
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_200_times_under_load_it_has_done_nothing_without_a_row_and_the_chain_verifies() {
    let server = Server::start();
    let place = Place::new(&books(&server, "sqlite:doorward.db")).await;
    let store = Store::in_directory("sqlite:doorward.db", place.directory.path()).unwrap();
    Victim { place: &place, server: &server, environment: &[], store }.is_killed(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_25_times_under_load_it_has_done_nothing_without_a_row_in_postgres() {
    let Some(database) = containers::postgres("killed_25_times_under_load_in_postgres") else { return };
    let url = database.url(&database.database().await);
    let server = Server::start();
    let place = Place::new(&books(&server, "env:STORE")).await;
    let store = url.parse().unwrap();
    Victim { place: &place, server: &server, environment: &[("STORE", &url)], store }.is_killed(25).await;
}
