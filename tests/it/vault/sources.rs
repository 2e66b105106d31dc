//! From a policy to a credential: the plan applied, the login verified, `kv`, `oidc` and `dynamic`.

use std::sync::Arc;
use std::time::Duration;

use doorward::credentials::plan::{Change, plan};
use doorward::credentials::vault::{self, Excess, Revoked, Vault, apply, compare, declared, missing, stale, verify};
use doorward::credentials::{Caller, Credential, Credentials, Limits, Unavailable};
use doorward::model::Timestamp;
use doorward::policy::CompiledPolicy;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bao::{ROOT, World, given, shared};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }"#;
const TICKETS: &str = r#"
[servers.tickets]
url = "https://tickets.example.com/mcp"
credential = { vault = "kv", path = "tokens/tickets", policies = ["tickets"], ttl = "10m" }
[servers.tickets.tools.search]
"#;

pub(super) fn wall() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Timestamp(i64::try_from(now).unwrap())
}

/// Applies the plan, and twice, and gives a gateway's Vault.
pub(super) async fn ready(world: &World<'_>, policy: &CompiledPolicy) -> Arc<Vault> {
    let plan = plan(policy.set()).unwrap();
    let operator = World::operator(policy);
    apply(&operator, &plan, &compare(&operator, &plan).await.unwrap()).await.unwrap();
    let again = compare(&operator, &plan).await.unwrap();
    assert!(again.iter().all(|change| *change == Change::Keep), "{again:#?}");
    gateway(world, policy).await
}

pub(super) async fn gateway(world: &World<'_>, policy: &CompiledPolicy) -> Arc<Vault> {
    let (role, secret) = world.approle("doorward").await;
    World::vault(policy, &[("env:ROLE", &role), ("env:SECRET", &secret)])
}

pub(super) fn credentials(policy: &CompiledPolicy, vault: &Arc<Vault>) -> Credentials {
    let doors = declared(policy.set(), Some(vault), &given(&[])).unwrap();
    Credentials::new(doors, Arc::new(wall), Arc::new(|| u32::MAX / 2), Limits::default())
}

pub(super) fn secret(credential: &Credential) -> String {
    credential.placed()[0].secret().expose_secret().to_owned()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn lookup(world: &World<'_>, token: &str) -> (u16, Value) {
    world.request(token, "GET", "auth/token/lookup-self", None).await
}

/// What a token of the server may do: look at itself.
pub(super) async fn tickets_policy(world: &World<'_>) {
    let policy = "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }";
    world.write("sys/policies/acl/tickets", json!({ "policy": policy })).await;
}

#[tokio::test]
async fn the_login_can_do_exactly_what_the_plan_says_and_no_more() {
    let Some(bao) = shared("the_login_can_do_exactly_what_the_plan_says_and_no_more") else { return };
    let world = bao.world().await;
    let policy = world.policy(LOGIN, TICKETS);
    let plan = plan(policy.set()).unwrap();
    let operator = World::operator(&policy);
    let vault = ready(&world, &policy).await;
    assert_eq!(missing(&operator, &plan).await.unwrap(), ["tickets"]);
    assert_eq!(verify(&vault, &plan).await.unwrap(), []);
    assert_eq!(vault.login_policies().await.unwrap(), ["doorward"]);
    assert_eq!(verify(&operator, &plan).await.unwrap(), [Excess::Root]);

    // A path more, a glob more and a capability less are each found, and mended by applying again.
    let text = plan.wanted.iter().find(|wanted| wanted.body.contains_key("policy")).unwrap().body["policy"].as_str();
    let wider = text.unwrap().replace("\"create\", ", "")
        + "path \"secret/data/tokens/crm\" { capabilities = [\"read\"] }\npath \"sys/*\" { capabilities = [\"list\"] }\n\
           path \"secret/data/+/crm\" { capabilities = [\"read\"] }";
    world.write("sys/policies/acl/doorward", json!({ "policy": wider })).await;
    let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    assert_eq!(
        verify(&vault, &plan).await.unwrap(),
        [
            Excess::More("secret/data/tokens/crm".into(), list(&["read"])),
            Excess::More(world.path("sys/*"), list(&["list"])),
            Excess::Less("secret/data/tokens/tickets".into(), list(&["create"])),
            // Vault does not list it.
            Excess::Pattern("secret/data/+/crm".into()),
        ]
    );
    // What a server that the policy had once has left behind is said, and not touched.
    world.write("auth/token/roles/doorward-gone", json!({ "allowed_policies": ["gone"] })).await;
    assert_eq!(stale(&operator, &plan).await.unwrap(), ["doorward-gone"]);
    let changes = compare(&operator, &plan).await.unwrap();
    assert_eq!(changes.iter().filter(|change| **change != Change::Keep).count(), 1);
    apply(&operator, &plan, &changes).await.unwrap();
    assert_eq!(verify(&vault, &plan).await.unwrap(), []);
}

#[tokio::test]
async fn a_token_is_made_kept_for_the_next_gateway_and_taken_back() {
    let Some(bao) = shared("a_token_is_made_kept_for_the_next_gateway_and_taken_back") else { return };
    let world = bao.world().await;
    let policy = world.policy(&format!("{LOGIN}\nshared = true"), TICKETS);
    let first = ready(&world, &policy).await;
    tickets_policy(&world).await;
    let all = credentials(&policy, &first);
    let token = secret(&all.get("tickets", None).await.unwrap());

    let (status, found) = lookup(&world, &token).await;
    let found = &found["data"];
    assert_eq!(status, 200);
    assert_eq!(found["policies"], json!(["tickets"]));
    assert_eq!(
        (&found["explicit_max_ttl"], &found["renewable"], &found["orphan"]),
        (&json!(600), &json!(false), &json!(true))
    );
    let meta = json!({ "made_by": "doorward", "server": "tickets", "scopes": "tickets:search" });
    assert_eq!(found["meta"], meta);

    // Another gateway finds it, and a shutdown leaves it to that one.
    let second = gateway(&world, &policy).await;
    let others = credentials(&policy, &second);
    assert_eq!(secret(&others.get("tickets", None).await.unwrap()), token);
    assert_eq!(all.shutdown(soon()).await, []);
    first.close().await.unwrap();
    assert_eq!(lookup(&world, &token).await.0, 200);

    // The server refuses it: another is made, and the refused one is dead.
    let refused = others.get("tickets", None).await.unwrap();
    others.door("tickets").unwrap().refused(None, &refused);
    let next = secret(&others.get("tickets", None).await.unwrap());
    assert_ne!(next, token);
    assert_eq!((lookup(&world, &token).await.0, lookup(&world, &next).await.0), (403, 200));

    // An operator takes it back, whichever gateway made it.
    let operator = World::operator(&policy);
    assert_eq!(vault::revoke(policy.set(), "tickets", &operator).await.unwrap(), Revoked::Done);
    assert_eq!(lookup(&world, &next).await.0, 403);
    assert_eq!(vault::revoke(policy.set(), "tickets", &operator).await.unwrap(), Revoked::Nothing);
    let record = world.read("secret/data/tokens/tickets").await["data"].clone();
    assert_eq!((record.get("token"), &record["server"]), (None, &json!("tickets")));
}

#[tokio::test]
async fn a_gateway_alone_takes_its_token_back_at_shutdown_and_on_removal() {
    let Some(bao) = shared("a_gateway_alone_takes_its_token_back_at_shutdown_and_on_removal") else { return };
    let world = bao.world().await;
    let policy = world.policy(LOGIN, TICKETS);
    let vault = ready(&world, &policy).await;
    tickets_policy(&world).await;
    let all = credentials(&policy, &vault);
    let first = secret(&all.get("tickets", None).await.unwrap());
    assert_eq!(all.retire(&all.succeed(std::collections::BTreeMap::new())).await, []);
    assert_eq!(lookup(&world, &first).await.0, 403);
    let all = all.succeed(declared(policy.set(), Some(&vault), &given(&[])).unwrap());
    let second = secret(&all.get("tickets", None).await.unwrap());
    assert_eq!(lookup(&world, &second).await.0, 200);
    assert_eq!(all.shutdown(soon()).await, []);
    assert_eq!((lookup(&world, &second).await.0, all.owed()), (403, 0));
}

#[tokio::test]
async fn many_gateways_at_once_agree_on_one_token_and_leave_no_other() {
    let Some(bao) = shared("many_gateways_at_once_agree_on_one_token_and_leave_no_other") else { return };
    let world = bao.world().await;
    let policy = world.policy(&format!("{LOGIN}\nshared = true"), TICKETS);
    ready(&world, &policy).await;
    tickets_policy(&world).await;
    let mut gateways = Vec::new();
    for _ in 0..8 {
        gateways.push(credentials(&policy, &gateway(&world, &policy).await));
    }
    let got = futures_util::future::join_all(gateways.iter().map(|all| all.get("tickets", None))).await;
    let tokens: std::collections::BTreeSet<_> = got.into_iter().map(|got| secret(&got.unwrap())).collect();
    assert_eq!(tokens.len(), 1);
    // Of all tokens that there are, one is of that policy.
    let (_, accessors) = world.request("root", "LIST", "auth/token/accessors", None).await;
    let mut living = 0;
    for accessor in accessors["data"]["keys"].as_array().unwrap() {
        let (status, found) =
            world.request("root", "POST", "auth/token/lookup-accessor", Some(json!({ "accessor": accessor }))).await;
        living += usize::from(status == 200 && found["data"]["policies"] == json!(["tickets"]));
    }
    assert_eq!(living, 1);
}

#[tokio::test]
async fn what_another_hand_put_at_the_path_is_neither_used_nor_replaced() {
    let Some(bao) = shared("what_another_hand_put_at_the_path_is_neither_used_nor_replaced") else { return };
    let world = bao.world().await;
    let policy = world.policy(LOGIN, TICKETS);
    let vault = ready(&world, &policy).await;
    let theirs = json!({ "data": { "token": "precious" } });
    world.write("secret/data/tokens/tickets", theirs.clone()).await;
    assert_eq!(credentials(&policy, &vault).get("tickets", None).await.unwrap_err(), Unavailable::Foreign);
    assert_eq!(world.read("secret/data/tokens/tickets").await["data"], theirs["data"]);
    // A version that was deleted is none: the next one follows it.
    world.request("root", "DELETE", "secret/data/tokens/tickets", None).await;
    assert!(credentials(&policy, &vault).get("tickets", None).await.is_ok());
}

#[tokio::test]
async fn an_identity_token_is_for_one_audience_and_a_role_for_another_is_refused() {
    let Some(bao) = shared("an_identity_token_is_for_one_audience_and_a_role_for_another_is_refused") else { return };
    let world = bao.world().await;
    let servers = r#"
[servers.crm]
url = "https://crm.example.com/mcp"
credential = { vault = "oidc", path = "crm", ttl = "5m" }
[servers.web]
url = "https://web.example.com/mcp"
credential = { vault = "oidc", path = "web", audience = "web-api", ttl = "5m", header = "x-identity" }
"#;
    let policy = world.policy(LOGIN, servers);
    let vault = ready(&world, &policy).await;
    let all = credentials(&policy, &vault);
    assert_eq!(verify(&vault, &plan(policy.set()).unwrap()).await.unwrap(), []);
    let claims = |token: &str| -> Value {
        use base64::Engine as _;
        let part = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let crm = all.get("crm", None).await.unwrap();
    assert_eq!(claims(&secret(&crm))["aud"], json!("https://crm.example.com/mcp"));
    assert!(crm.not_after().since(wall()) <= 300);
    let web = all.get("web", None).await.unwrap();
    assert_eq!(claims(&secret(&web))["aud"], json!("web-api"));
    let mut headers = http::HeaderMap::new();
    web.write_headers(&mut headers);
    assert!(headers.contains_key("x-identity") && !headers.contains_key("authorization"));
    // Somebody points the role at another server.
    let other = json!({ "key": "doorward", "client_id": "https://crm.example.com/mcp", "ttl": 300 });
    world.write("identity/oidc/role/web", other).await;
    all.door("web").unwrap().revoke().await;
    assert_eq!(all.get("web", None).await.unwrap_err(), Unavailable::Audience);
    // Somebody has it sign for longer than the policy says.
    let longer = json!({ "key": "doorward", "client_id": "web-api", "ttl": 3600 });
    world.write("identity/oidc/role/web", longer).await;
    let begun = Instant::now();
    while all.get("web", None).await.unwrap_err() != Unavailable::Lasting {
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(all.get("crm", None).await.is_ok());
}

#[tokio::test]
async fn a_gateway_whose_clock_is_a_day_wrong_uses_and_keeps_tokens_as_any_other() {
    let Some(bao) = shared("a_gateway_whose_clock_is_a_day_wrong_uses_and_keeps_tokens_as_any_other") else { return };
    let world = bao.world().await;
    let policy = world.policy(&format!("{LOGIN}\nshared = true"), TICKETS);
    let vault = ready(&world, &policy).await;
    tickets_policy(&world).await;
    let mut tokens = std::collections::BTreeSet::new();
    for skew in [-86_400, 0, 86_400] {
        let doors = declared(policy.set(), Some(&vault), &given(&[])).unwrap();
        let clock = Arc::new(move || wall().plus(skew));
        let all = Credentials::new(doors, clock, Arc::new(|| 0), Limits::default());
        let credential = all.get("tickets", None).await.unwrap();
        let left = credential.not_after().since(wall().plus(skew));
        assert!((540..=600).contains(&left), "{left}");
        tokens.insert(secret(&credential));
    }
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn a_token_of_one_caller_says_whose_it_is_and_ends_with_the_caller() {
    let Some(bao) = shared("a_token_of_one_caller_says_whose_it_is_and_ends_with_the_caller") else { return };
    let world = bao.world().await;
    let policy = world.policy(LOGIN, &TICKETS.replace("ttl = \"10m\"", "ttl = \"10m\", per_caller = true"));
    let plan = plan(policy.set()).unwrap();
    assert!(plan.allowed.keys().all(|path| !path.contains("/data/")), "{:?}", plan.allowed);
    let vault = ready(&world, &policy).await;
    tickets_policy(&world).await;
    assert_eq!(verify(&vault, &plan).await.unwrap(), []);
    let all = credentials(&policy, &vault);
    let caller = |subject: &str, left: i64| {
        let scopes = vec!["tickets:search".to_owned(), "other".to_owned()];
        let (issuer, agent) = ("corp".to_owned(), Some("desk".to_owned()));
        let expires_at = Timestamp(wall().0 + left);
        Arc::new(Caller { issuer, subject: subject.to_owned(), agent, scopes, expires_at })
    };
    assert!(all.get("tickets", None).await.is_err(), "it is nobody's");
    let (ana, ben) = (caller("ana", 3_600), caller("ben", 120));
    let of_ana = all.get("tickets", Some(&ana)).await.unwrap();
    let of_ben = all.get("tickets", Some(&ben)).await.unwrap();
    assert_ne!(secret(&of_ana), secret(&of_ben));
    assert_eq!(secret(&all.get("tickets", Some(&ana)).await.unwrap()), secret(&of_ana));
    for (credential, subject, longest) in [(&of_ana, "ana", 600), (&of_ben, "ben", 120)] {
        let (status, found) = lookup(&world, &secret(credential)).await;
        let meta = json!({
            "made_by": "doorward", "server": "tickets", "issuer": "corp", "subject": subject, "agent": "desk",
            "scopes": "tickets:search other",
        });
        assert_eq!((status, &found["data"]["meta"]), (200, &meta));
        let life = found["data"]["explicit_max_ttl"].as_i64().unwrap();
        assert!(life <= longest && life > longest - 60, "{subject}: {life}");
    }
    // KV has none of it, an operator finds them all the same, and so does a shutdown.
    assert_eq!(world.request(ROOT, "GET", "secret/data/tokens/tickets", None).await.0, 404);
    assert_eq!(vault::revoke(policy.set(), "tickets", &World::operator(&policy)).await.unwrap(), Revoked::Done);
    assert_eq!(lookup(&world, &secret(&of_ana)).await.0, 403);
    all.door("tickets").unwrap().refused(Some(&ana), &of_ana);
    let next = secret(&all.get("tickets", Some(&ana)).await.unwrap());
    assert_eq!(lookup(&world, &next).await.0, 200);
    assert_eq!(all.shutdown(soon()).await, []);
    assert_eq!(lookup(&world, &next).await.0, 403);
}

#[tokio::test]
async fn a_certificate_is_asked_for_by_the_name_that_the_policy_says() {
    let Some(bao) = shared("a_certificate_is_asked_for_by_the_name_that_the_policy_says") else { return };
    let world = bao.world().await;
    world.write("sys/mounts/pki", json!({"type": "pki"})).await;
    world.write("pki/root/generate/internal", json!({"common_name": "root", "ttl": "1h", "key_type": "ec"})).await;
    let role = json!({"allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "10m", "key_type": "ec"});
    world.write("pki/roles/crm", role).await;
    let crm = r#"
[servers.crm]
command = ["crm"]
[servers.crm.credential]
vault = "dynamic"
path = "pki/issue/crm"
ttl = "10m"
params = { common_name = "crm.example.com", ttl = "5m" }
fields = { certificate = "CRM_CERTIFICATE", private_key = "CRM_KEY" }
"#;
    let policy = world.policy(LOGIN, crm);
    let vault = ready(&world, &policy).await;
    assert_eq!(verify(&vault, &plan(policy.set()).unwrap()).await.unwrap(), []);
    let all = credentials(&policy, &vault);
    let credential = all.get("crm", None).await.unwrap();
    let placed: Vec<&str> = credential.placed().iter().map(|placed| placed.secret().expose_secret()).collect();
    assert!(placed[0].starts_with("-----BEGIN CERTIFICATE") && placed[1].contains("PRIVATE KEY"), "{}", placed[0]);
    // Another name is the role's to refuse.
    let other = world.policy(LOGIN, &crm.replace("crm.example.com", "crm.example.org"));
    assert_eq!(credentials(&other, &vault).get("crm", None).await.unwrap_err(), Unavailable::Refused);
    assert_eq!(all.shutdown(soon()).await, []);
}
