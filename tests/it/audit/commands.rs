//! `doorward audit` on a log that a guard wrote.

use std::sync::Arc;

use doorward::audit::Ledger;
use doorward::audit::store::{Logger, Store};
use doorward::pep::{Ask, Limits};
use serde_json::{Value, json};

use super::{all, key, options, verify};
use crate::guard::world::{ALL_SCOPES, POLICY, guard};
use crate::identity::{claims, header, with};
use crate::place::Place;

/// A directory with a policy, a public key, and a log of calls that a guard allowed and denied.
async fn logged(url: Option<String>) -> (Place, Store) {
    let place = Place::new();
    let url = url.unwrap_or_else(|| format!("sqlite:{}", place.path().join("audit.db").display()));
    place.write("guard.toml", format!("{POLICY}[audit]\nstore = \"env:STORE\"\n"));
    place.write("audit.pub", key().public().to_pem());
    let store: Store = url.parse().unwrap();
    let (logger, task) = Logger::open(store.clone(), options()).await.unwrap();
    let log = Arc::new(Ledger::new(logger.clone(), None));
    let policy = format!("{POLICY}[audit]\nstore = \"env:STORE\"\n");
    let (guard, signer, _) = guard(&policy, Limits::default(), log);
    for change in [json!({}), json!({"sub": "ben", "realm": {"groups": ["lead"]}}), json!({"scope": "desk:find"})] {
        let token = signer.sign(&header(), &with(with(claims(), &json!({"scope": ALL_SCOPES})), &change));
        for (tool, arguments) in [
            ("find", json!({"query": "late", "bearer": "Bearer abcdefghijklmnopqrstuvwxyz012345"})),
            ("pay", json!({"amount": 20, "to": "x"})),
            ("pay", json!({"amount": 51.5})),
            ("pay", json!({"amount": "much"})),
            ("pay", json!({})),
            ("never", json!({"amount": 15})),
            ("refund", json!({})),
            ("nothing", json!({"a": 1})),
        ] {
            let arguments: serde_json::Map<String, Value> = arguments.as_object().unwrap().clone();
            let who = guard.authenticate("desk", Some(&token)).await.unwrap();
            if let Ok(permitted) = who.permit(Ask::tool(tool, arguments)).await {
                drop(permitted.record(None).await.unwrap());
            }
        }
    }
    drop(guard);
    logger.close().await;
    task.await.unwrap();
    (place, store)
}

fn run(place: &Place, store: &Store, arguments: &[&str]) -> crate::place::Ran {
    let mut command = place.command(arguments);
    let url = format!("{store:?}").replace("postgres://", "postgres://postgres:postgres@");
    crate::place::ran(command.env("STORE", url).output().unwrap())
}

/// Everything that the commands say of such a log, wherever it is kept.
fn commands(place: &Place, store: &Store) {
    let run = |arguments: &[&str]| run(place, store, arguments);
    let verified = run(&["audit", "verify", "--policy=guard.toml", "--key=audit.pub", "--format=json"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let verdict: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!((&verdict["whole"], &verdict["signed"], &verdict["unsealed"]), (&json!(true), &json!(2), &json!(0)));

    let denied = run(&["audit", "query", "--policy=guard.toml", "--decision=deny", "--subject=ben", "--format=json"]);
    assert_eq!(denied.code, 0, "{}", denied.stderr);
    for line in denied.stdout.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!((row["decision"].as_str(), row["subject"].as_str()), (Some("deny"), Some("ben")));
    }
    assert_eq!(run(&["audit", "query", "--policy=guard.toml", "--subject=nobody"]).code, 1);
    queried(place, store);
    let stats = run(&["audit", "stats", "--policy=guard.toml", "--format=json"]);
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["counts"]["kind"]["intent"], stats["counts"]["kind"]["outcome"]);
    assert_eq!(stats["counts"]["decision"]["deny"], stats["counts"]["kind"]["denial"]);

    // Offline, with the public key alone; and no secret in it.
    assert_eq!(run(&["audit", "export", "--policy=guard.toml", "--output=log.jsonl"]).code, 0);
    let text = std::fs::read_to_string(place.path().join("log.jsonl")).unwrap();
    assert!(!text.contains("abcdefghijklmnop") && !text.contains("\"late\""));
    let offline = |name: &str| run(&["audit", "verify", "--key=audit.pub", name]);
    assert_eq!(offline("log.jsonl").code, 0);
    place.write("edited.jsonl", text.replacen("\"subject\":\"ben\"", "\"subject\":\"bob\"", 1));
    let edited = offline("edited.jsonl");
    assert!(edited.code == 1 && edited.stdout.contains("edited: "), "{}", edited.stdout);
    place.write("broken.jsonl", "{}\n");
    offline("broken.jsonl").fails_with("bad-input");
    let csv = run(&["audit", "export", "--policy=guard.toml", "--format=csv"]).stdout;
    assert_eq!(csv.lines().count(), text.lines().count() + 1);

    // What was decided is decided again.
    assert_eq!(run(&["audit", "export", "--policy=guard.toml", "--format=recording", "--output=r.jsonl"]).code, 0);
    let replayed = run(&["simulate", "--policy=guard.toml", "--format=json", "r.jsonl"]);
    let report: Value = serde_json::from_str(&replayed.stdout).unwrap_or_else(|e| panic!("{e}: {}", replayed.stderr));
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    let recorded = std::fs::read_to_string(place.path().join("r.jsonl")).unwrap().lines().count() - 1;
    assert_eq!(recorded, 24);
    rehearsed(place, store, &report);
    pruned(place, store);
    let drift = &report["report"]["drift"];
    assert_eq!((&drift["checked"], &drift["same"]), (&json!(24), &json!(24)), "{drift}");
}

/// A report without what only says where an event was read.
fn placeless(report: &Value) -> Value {
    match report {
        Value::Object(entries) => {
            let of_place = ["source", "place", "inputs", "recordings"];
            entries
                .iter()
                .filter(|(key, _)| !of_place.contains(&&***key))
                .map(|(k, v)| (k.clone(), placeless(v)))
                .collect()
        }
        Value::Array(list) => list.iter().map(placeless).collect(),
        other => other.clone(),
    }
}

/// The log is rehearsed on as its export is, without a file between.
fn rehearsed(place: &Place, store: &Store, exported: &Value) {
    let run = |arguments: &[&str]| {
        run(place, store, &[&["simulate", "--policy=guard.toml", "--from=audit", "--format=json"], arguments].concat())
    };
    let report = |arguments: &[&str]| -> Value {
        let ran = run(arguments);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr))
    };
    // That of the policy, the one that is named, and exported lines.
    for log in [&[][..], &["env:STORE"], &["log.jsonl"]] {
        assert_eq!(placeless(&report(log)), placeless(exported), "{log:?}");
    }
    let asked = ["--set=servers.desk.tools.pay.args.amount.max=15", "--by=subject"];
    let (direct, by_file) = (report(&asked), {
        let arguments = [&["simulate", "--policy=guard.toml", "--format=json"], &asked[..], &["r.jsonl"]].concat();
        serde_json::from_str::<Value>(&super::commands::run(place, store, &arguments).stdout).unwrap()
    });
    assert_ne!(direct["report"]["totals"]["newly_denied"], json!(0), "{:#}", direct["report"]["totals"]);
    assert_eq!(placeless(&direct), placeless(&by_file));
    let text = direct.to_string();
    assert!(!text.contains("postgres:postgres") && text.contains(&store.to_string()), "{store}");
    // All of them at second 1200.
    let events = |window: &[&str]| report(window)["report"]["totals"]["events"].clone();
    assert_eq!(events(&["--since=1970-01-01T00:20:00Z", "--until=1970-01-01T00:20:01Z"]), json!(24));
    assert_eq!(events(&["--since=1970-01-01T00:20:01Z"]), json!(0));
    assert_eq!(events(&["--until=1970-01-01T00:20:00Z"]), json!(0));
    assert_eq!(run(&["--explain=3"]).code, 0);
    for refused in [&["--shard=1/2"][..], &["--mapping=none.toml"], &["env:STORE", "log.jsonl"]] {
        run(refused).fails_with("usage");
    }
    run(&["env:NONE"]).fails_with("cannot-read");
    for file in store.files() {
        let output = ["--output", file.to_str().unwrap()];
        run(&output).fails_with("usage");
        super::commands::run(place, store, &[&["audit", "export", "--store=env:STORE"], &output[..]].concat())
            .fails_with("usage");
    }
    let ran = |arguments: &[&str]| super::commands::run(place, store, arguments);
    ran(&["simulate", "--policy=guard.toml", "--from=recording", "--since=1970-01-01T00:20:01Z", "r.jsonl"])
        .fails_with("usage");
    ran(&["suggest", "--from=audit", "log.jsonl"]).fails_with("usage");
}

/// Every flag that chooses rows chooses those, and no others.
fn queried(place: &Place, store: &Store) {
    let rows = |flags: &[&str]| {
        let arguments = [&["audit", "query", "--policy=guard.toml", "--limit=1000", "--format=json"], flags].concat();
        let found = run(place, store, &arguments);
        let rows = found.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rows = rows.collect::<Vec<_>>();
        assert_eq!(found.code, i32::from(rows.is_empty()), "{}", found.stderr);
        rows
    };
    let all = rows(&[]);
    let count = |key: &str, value: &str| all.iter().filter(|row| row[key] == value).count();
    for (flag, key, value) in [
        ("agent", "agent", "desk-assistant"),
        ("door", "door", "desk"),
        ("reason", "reason", "no-grant"),
        ("reason", "reason", "scope-missing"),
        ("tool", "name", "pay"),
        ("method", "method", "tools/call"),
        ("decision", "decision", "allow"),
        ("rule", "rule", "payers"),
        ("issuer", "issuer", "corp"),
        ("kind", "kind", "outcome"),
        ("class", "class", "standard"),
        ("request", "request", "r-3"),
    ] {
        let found = rows(&[&format!("--{flag}={value}")]);
        assert!(found.iter().all(|row| row[key] == value), "{flag}");
        assert_eq!(found.len(), count(key, value), "{flag} {value}");
        assert!(!found.is_empty(), "{flag} {value}");
    }
    // All of them at second 1200; the log's own rows are of another time.
    let of = |since: &str, until: &str| rows(&["--class=standard", "--since", since, "--until", until]).len();
    let standard = count("class", "standard");
    assert_eq!(of("1970-01-01T00:20:00Z", "1970-01-01T00:20:01Z"), standard);
    assert_eq!(
        (of("1970-01-01T00:20:01Z", "1970-01-02T00:00:00Z"), of("1970-01-01T00:00:00Z", "1970-01-01T00:20:00Z")),
        (0, 0)
    );
}

/// Months go when they are old enough and nobody holds them, and the log is whole afterwards.
fn pruned(place: &Place, store: &Store) {
    place.write("audit.pem", key().to_pem().unwrap());
    let prune = |now: &str, more: &[&str]| {
        let mut arguments = vec!["audit", "prune", "--policy=guard.toml", "--signing-key=audit.pem", "--format=json"];
        arguments.extend(["--now", now]);
        arguments.extend(more);
        let ran = run(place, store, &arguments);
        let rows = serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
        (
            ran.code,
            rows["classes"][0]["rows"].as_i64().unwrap(),
            !rows["classes"][0]["held"].as_array().unwrap().is_empty(),
        )
    };
    let count = || {
        let stats = run(place, store, &["audit", "stats", "--policy=guard.toml", "--format=json"]);
        serde_json::from_str::<Value>(&stats.stdout).unwrap()["counts"]["class"]["standard"].as_i64().unwrap_or(0)
    };
    let all = count();
    let (before, after) = ("2026-05-31T00:00:00Z", "2026-07-01T00:00:00Z");
    assert_eq!(prune(before, &[]), (1, 0, false));
    assert_eq!(prune(after, &["--dry-run"]), (0, all, false));
    assert_eq!(prune(after, &["--hold-subject=ben"]), (1, 0, true));
    assert_eq!(run(place, store, &["audit", "prune", "--policy=guard.toml", "--hold-class=standard"]).code, 1);
    assert_eq!(count(), all);
    assert_eq!(prune(after, &[]), (0, all, false));
    assert_eq!((count(), prune(after, &[]).0), (0, 1));
    let verified = run(place, store, &["audit", "verify", "--policy=guard.toml", "--key=audit.pub"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains("begin behind what retention removed"), "{}", verified.stdout);
    // Without the stub the rows are missed.
    assert_eq!(run(place, store, &["audit", "export", "--policy=guard.toml", "--output=pruned.jsonl"]).code, 0);
    let text = std::fs::read_to_string(place.path().join("pruned.jsonl")).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("\"kind\":\"prune\"")).collect();
    place.write("without.jsonl", without.join("\n"));
    assert_eq!(run(place, store, &["audit", "verify", "--key=audit.pub", "without.jsonl"]).code, 1);
}

/// The questions in SQL that the page about the log shows.
fn documented() -> Vec<String> {
    let page = include_str!("../../../docs/audit.md");
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_questions_in_sql_are_answered_by_both_databases() {
    use sqlx::{Connection as _, Row as _};
    assert!(documented().len() > 2);
    let (place, store) = logged(None).await;
    let mut sqlite = sqlx::SqliteConnection::connect(&format!("{store:?}")).await.unwrap();
    let mut answers = Vec::new();
    for sql in documented() {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).fetch_all(&mut sqlite).await;
        let rows = rows.unwrap_or_else(|e| panic!("{e}: {sql}"));
        assert!(!rows.is_empty(), "{sql}");
        answers.push((rows.len(), rows[0].columns().len()));
    }
    drop(place);
    let Some(server) = crate::containers::postgres("the_documented_questions_in_sql") else { return };
    let database = server.database().await;
    let _logged = logged(Some(server.url(&database))).await;
    let mut postgres = server.connect(&database).await;
    for (sql, answer) in documented().into_iter().zip(answers) {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).fetch_all(&mut postgres).await;
        let rows = rows.unwrap_or_else(|e| panic!("{e}: {sql}"));
        assert_eq!((rows.len(), rows[0].columns().len()), answer, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_guard_is_verified_searched_exported_and_replayed_without_a_difference() {
    let (place, store) = logged(None).await;
    assert!(verify(&all(&store).await).is_whole());
    commands(&place, &store);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_the_same_of_a_log_in_postgres() {
    let Some(server) = crate::containers::postgres("the_commands_say_the_same_of_a_log_in_postgres") else { return };
    let (place, store) = logged(Some(server.url(&server.database().await))).await;
    commands(&place, &store);
}
