//! Rates across gateways where the audit log is not one for several: refused at the start and at a reload.

use super::reloaded::{add, ask, policy, server, start, status, write};
use super::rig::{filled, keys, opened};

const HELP: &str = "set `store` of [audit] to `postgres://…`, or count by each gateway: leave out `across gateways`";

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_across_gateways_needs_a_log_for_several_at_the_start_and_at_a_reload() {
    let (http, _) = server().await;
    let plain =
        policy(http).replace("[servers.http.tools.add]\n", "[servers.http.tools.add]\nrate = \"9/h per all\"\n");
    let shared = plain.replace("9/h per all", "9/h per all across gateways");
    assert_ne!(plain, shared);
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path());
    std::fs::write(directory.path().join("admin.token"), "hunter2\n").unwrap();
    let refusals = opened(&filled(&shared, http), directory.path()).await.err().unwrap();
    let told: Vec<_> = refusals.iter().map(|refusal| (refusal.code, refusal.help.as_str())).collect();
    assert_eq!(told, [("shared-rates", HELP)]);
    assert!(refusals[0].message.starts_with(
        "the rate `9/h per all across gateways` needs an audit log in PostgreSQL, and this one is `sqlite:"
    ));

    let served = start(&plain);
    assert_eq!(add(&served, "ana", 1).await, 200);
    let before = status(&served);
    assert_eq!(before["rates"], "per-gateway");
    write(served.directory.path(), &shared);
    let said = ask(&served, &["reload"]);
    assert!(said.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&said.stderr));
    let after = status(&served);
    assert_eq!(after["reload"]["code"], "shared-rates", "{after:#}");
    assert_eq!(after["policy"], before["policy"]);
    assert_eq!(add(&served, "ana", 2).await, 200);
}
