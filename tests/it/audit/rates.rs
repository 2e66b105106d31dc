//! The counts of rates across gateways, on a real `PostgreSQL`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use doorward::audit::rates::{Filling, Lane, NotCounted, SharedRates as _};
use doorward::audit::store::{RateCounter, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::proxy::{Cut, Proxy};
use crate::containers::{self, Postgres};

/// How long to wait for anything; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);

const DAY: u32 = 86_400;

fn lane(number: u8, seconds: u32) -> Lane {
    Lane { key: [number; 32], seconds }
}

/// Makes the tables, and gives a counter that has counted nothing yet.
async fn counter(server: &Postgres, database: &str) -> RateCounter {
    let store: Store = server.url(database).parse().unwrap();
    let counter = RateCounter::new(store).unwrap();
    assert_eq!(counter.count(Vec::new()).await, Ok(Vec::new()), "{:?}", counter.away());
    counter
}

/// One statement: at a second, so many calls in each of some lanes.
type Step = (i64, Vec<(u8, i32)>);

/// The length of the windows of a lane.
fn length(number: u8) -> i64 {
    [1, 7, 60, 86_400][usize::from(number % 4)]
}

/// Seconds that mostly go on and at times go back, with what is counted at each.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let calls = proptest::collection::btree_map(0..6_u8, 1..4_i32, 1..4);
    let pause = prop_oneof![8 => 0..90_i64, 1 => -100..0_i64, 1 => 80_000..200_000_i64];
    vec((pause, calls), 1..25).prop_map(|steps| {
        let mut now = 1_772_438_400;
        let mut at = |pause| {
            now += pause;
            now
        };
        steps.into_iter().map(|(pause, calls)| (at(pause), calls.into_iter().collect())).collect()
    })
}

/// What a loop over all calls so far says of the last ones: how many stand in the latest window that the lane has
/// seen, and when that ends.
fn naive(steps: &[Step]) -> BTreeMap<u8, (i64, i64)> {
    let (_, asked) = steps.last().unwrap();
    let told = asked.iter().map(|(number, _)| {
        let mut window = i64::MIN;
        let mut counted = Vec::new();
        for (second, calls) in steps {
            for (_, calls) in calls.iter().filter(|(other, _)| other == number) {
                window = window.max(second.div_euclid(length(*number)));
                counted.extend((0..*calls).map(|_| window));
            }
        }
        let count = counted.iter().filter(|of| **of == window).count();
        (*number, (i64::try_from(count).unwrap(), (window + 1) * length(*number)))
    });
    told.collect()
}

async fn count_at(raw: &mut PgConnection, (second, calls): &Step, microseconds: i64) -> BTreeMap<u8, (i64, i64)> {
    let now = second * 1_000_000 + microseconds;
    // Not in their order: the server puts them in one.
    let rows = sqlx::query("select lane, counted, rest from audit_rates_count_at($1, $2, $3, $4)")
        .bind(now)
        .bind(calls.iter().rev().map(|(number, _)| vec![*number; 32]).collect::<Vec<_>>())
        .bind(calls.iter().rev().map(|(number, _)| i32::try_from(length(*number)).unwrap()).collect::<Vec<_>>())
        .bind(calls.iter().rev().map(|(_, calls)| *calls).collect::<Vec<_>>())
        .fetch_all(raw)
        .await
        .unwrap();
    let end = |rest: i64| (rest + now) / 1_000_000;
    rows.iter().map(|row| (row.get::<&[u8], _>(0)[0], (row.get(1), end(row.get(2))))).collect()
}

#[test]
fn the_windows_of_the_server_are_those_of_a_loop_over_all_calls() {
    let Some(server) = containers::postgres("the_windows_of_the_server_are_those_of_a_loop") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut raw = runtime.block_on(async {
        let database = server.database().await;
        drop(counter(&server, &database).await);
        server.connect(&database).await
    });
    let raw = std::cell::RefCell::new(&mut raw);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&(steps(), 0..1_000_000_i64), |(steps, microseconds)| {
        let mut raw = raw.borrow_mut();
        runtime.block_on(async {
            raw.execute("truncate audit_rates").await.unwrap();
            for number in 1..=steps.len() {
                let so_far = &steps[..number];
                let told = count_at(&mut raw, &so_far[number - 1], microseconds).await;
                prop_assert_eq!(&told, &naive(so_far), "{:?}", so_far);
            }
            Ok(())
        })
    });
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_gateway_says_of_a_window_its_count_only_grows() {
    let Some(server) = containers::postgres("whatever_a_gateway_says_of_a_window_its_count_only_grows") else { return };
    let database = server.database().await;
    drop(counter(&server, &database).await);
    let mut raw = server.connect(&database).await;
    let count = "select counted from audit_rates_count_at(1772438400000000, array[sha256('x')], array[$1], array[$2])";
    let mut counted = 0;
    for (seconds, calls) in [(60, 9), (1, 1), (86_400, 1), (3_600, 1), (60, 1), (86_400, 1)] {
        let told: i64 = sqlx::query_scalar(count).bind(seconds).bind(calls).fetch_one(&mut raw).await.unwrap();
        counted += i64::from(calls);
        assert_eq!(told, counted, "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_nobody_counts_in_any_more_are_removed_by_those_who_count() {
    let Some(server) = containers::postgres("lanes_that_nobody_counts_in_any_more_are_removed") else { return };
    let database = server.database().await;
    drop(counter(&server, &database).await);
    let mut raw = server.connect(&database).await;
    let fill = "select count(*) from audit_rates_count_at(1772438400000000, \
                array(select sha256(n::text::bytea) from generate_series(1, 1000) n), \
                array_fill(60, array[1000]), array_fill(1, array[1000]))";
    raw.execute(fill).await.unwrap();
    let one =
        "select count(*) from audit_rates_count_at($1 * 1000000::bigint, array[sha256('x')], array[60], array[1])";
    let rows = "select count(*) from audit_rates";
    // For an hour it stays, should the clock go back.
    for (second, left) in [(1_772_438_459_i64, 1001_i64), (1_772_442_059, 1001), (1_772_442_060, 999)] {
        sqlx::query(one).bind(second).execute(&mut raw).await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&mut raw).await.unwrap(), left, "{second}");
    }
    for second in 0..510_i64 {
        sqlx::query(one).bind(1_772_442_061 + second).execute(&mut raw).await.unwrap();
    }
    let left: i64 = sqlx::query_scalar(rows).fetch_one(&mut raw).await.unwrap();
    assert_eq!(left, 1, "only what was counted last is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_counters_at_once_number_each_call_once() {
    let Some(server) = containers::postgres("many_counters_at_once_number_each_call_once") else { return };
    let database = server.database().await;
    let mut tasks = tokio::task::JoinSet::new();
    for gateway in 0..4_u8 {
        let counter = counter(&server, &database).await;
        for call in 0..100_u8 {
            let counter = counter.clone();
            // Each counts in two of three lanes, in either order: nobody waits for nobody.
            let (one, other) = [(1, 2), (2, 3), (3, 1), (2, 1), (3, 2), (1, 3)][usize::from((gateway + call) % 6)];
            tasks.spawn(async move {
                let begin = Instant::now();
                loop {
                    match counter.count(vec![lane(one, DAY), lane(other, DAY)]).await {
                        Ok(told) => return [(one, told[0].before), (other, told[1].before)],
                        // A busy machine may take longer than a call waits. It is counted all the same, so that its
                        // number is missing then.
                        Err(NotCounted) => assert!(begin.elapsed() < PATIENCE, "{:?}", counter.away()),
                    }
                }
            });
        }
    }
    let mut numbers: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for (lane, before) in tasks.join_all().await.into_iter().flatten() {
        numbers.entry(lane).or_default().push(before);
    }
    let mut raw = server.connect(&database).await;
    let total: i64 =
        sqlx::query_scalar("select sum(count)::bigint from audit_rates").fetch_one(&mut raw).await.unwrap();
    let of_two_days = numbers.values().any(|numbers| numbers.iter().filter(|n| **n == 0).count() > 1);
    assert!(total >= 800 || of_two_days, "{total}");
    for (lane, mut given) in numbers {
        given.sort_unstable();
        let all = given.len();
        given.dedup();
        assert!(given.len() == all || of_two_days, "two calls of lane {lane} have one number");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_is_refused_and_counted_again_once_the_server_is_back() {
    let Some(server) = containers::postgres("what_cannot_be_counted_is_refused_and_counted_again") else { return };
    let database = server.database().await;
    let proxy = Proxy::to(server.port()).await;
    let cut_off = RateCounter::new(Postgres::url_at(proxy.port, &database).parse().unwrap()).unwrap();
    let until = async |counter: &RateCounter, counts: bool| {
        let begin = Instant::now();
        loop {
            let told = counter.count(vec![lane(1, DAY)]).await;
            if told.is_ok() == counts {
                return told;
            }
            assert!(begin.elapsed() < PATIENCE, "{told:?} {:?}", counter.away());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first: Vec<Filling> = until(&cut_off, true).await.unwrap();
    assert!(first[0].before == 0 && first[0].left <= Duration::from_secs(DAY.into()));
    let other = counter(&server, &database).await;
    // Cut off, with the connection, before the answer or half way.
    for cut in [Cut::Away, Cut::Answer, Cut::Half] {
        proxy.cut(cut);
        until(&cut_off, false).await.unwrap_err();
        assert!(cut_off.away().is_some());
        let meanwhile = until(&other, true).await.unwrap();
        if matches!(cut, Cut::Away) {
            // It is told at once and the server is not asked each time.
            for _ in 0..1_000 {
                cut_off.count(vec![lane(1, DAY)]).await.unwrap_err();
            }
        }
        proxy.cut(Cut::None);
        let after = until(&cut_off, true).await.unwrap();
        // A day may end, and then the count is that of another.
        assert!(after[0].before > meanwhile[0].before || after[0].before < 3, "{after:?} {meanwhile:?}");
        assert_eq!(cut_off.away(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_count_and_has_no_other_right_to_what_is_counted() {
    let Some(server) = containers::postgres("a_gateway_may_count_and_has_no_other_right") else { return };
    let database = server.database().await;
    let owner: Store = server.url(&database).parse().unwrap();
    owner.init("counting_writers").await.unwrap();
    let mut raw = server.connect(&database).await;
    raw.execute(
        "drop role if exists gateway_c; create role gateway_c login password 'gateway' in role counting_writers;
         drop role if exists stranger_c; create role stranger_c login password 'gateway'; \
         grant select on audit_log_migrations to stranger_c",
    )
    .await
    .unwrap();
    let url = |role: &str| server.url(&database).replace("postgres:postgres@", &format!("{role}:gateway@"));
    let gateway = RateCounter::new(url("gateway_c").parse().unwrap()).unwrap();
    let told = gateway.count(vec![lane(1, DAY)]).await;
    assert_eq!(told.map(|told| told[0].before), Ok(0), "{:?}", gateway.away());
    let stranger = RateCounter::new(url("stranger_c").parse().unwrap()).unwrap();
    assert_eq!(stranger.count(vec![lane(1, DAY)]).await, Err(NotCounted));
    assert_eq!(stranger.away().unwrap(), "permission denied for function audit_rates_count (42501)");
    let mut as_gateway = PgConnection::connect(&url("gateway_c")).await.unwrap();
    let at = "select audit_rates_count_at(0, array[sha256('x')], array[1], array[1])";
    for sql in [
        "select * from audit_rates",
        "insert into audit_rates values (sha256('x'), 1, 1)",
        "update audit_rates set count = 1",
        "delete from audit_rates",
        "truncate audit_rates",
        at,
    ] {
        let error = as_gateway.execute(sql).await.unwrap_err();
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    }
    // Nothing that it may say takes a count back, or makes it long.
    for (seconds, calls) in [("0", "1"), ("86401", "1"), ("60", "0"), ("60", "-1"), ("60", "65537"), ("null", "1")] {
        let sql = format!("select audit_rates_count(array[sha256('x')], array[{seconds}::integer], array[{calls}])");
        let error = as_gateway.execute(AssertSqlSafe(sql)).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("22023"), "{seconds} {calls}: {error}");
    }
    as_gateway.execute("select audit_rates_count(array['short'::bytea], array[60], array[1])").await.unwrap_err();
    drop((gateway, stranger));
    as_gateway.close().await.unwrap();
    let settings: Vec<String> = sqlx::query_scalar(
        "select distinct unnest(proconfig) from pg_proc where proname in ('audit_rates_count', 'audit_rates_count_at')",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    assert_eq!(settings, ["search_path=public, pg_temp"]);
    let begin = Instant::now();
    // Their connections take a moment to end.
    let drop_roles = "drop owned by gateway_c; drop role gateway_c; drop owned by stranger_c; drop role stranger_c; \
                      drop owned by counting_writers; drop role counting_writers";
    while let Err(error) = raw.execute(drop_roles).await {
        assert!(begin.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
