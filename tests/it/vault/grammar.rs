//! What a policy may say of Vault and of credentials, and what the plan makes of it.

use doorward::credentials::plan::{plan, terraform};
use doorward::policy::set::VaultLogin;
use doorward::policy::{Layers, load};

use super::bao::compiled;

/// The problems of a policy with this Vault and this server.
fn problems(vault: &str, server: &str) -> String {
    let text = format!("version = 1\n[vault]\n{vault}\n[servers.a]\n{server}\n");
    let layers = Layers { files: vec![("p.toml".to_owned(), text.into_bytes())], ..Layers::default() };
    load(&layers).problems.iter().map(|p| format!("{}: {}\n", p.code, p.message)).collect()
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let address = "address = \"https://vault.example.com\"";
    let url = "url = \"https://a.example.com\"";
    let vault = |login: &str| problems(&format!("{address}\nlogin = {{ {login} }}"), url);
    let server = |credential: &str| problems(address, &format!("{url}\ncredential = {{ {credential} }}"));
    let program = |credential: &str| problems(address, &format!("command = [\"a\"]\ncredential = {{ {credential} }}"));
    let all = [
        vault("token = \"hvs.CAESIJ0123456789abcdefghij\""),
        vault("token = \"vault:a#b\""),
        vault("approle = \"a\", role_id = \"env:A\""),
        vault("jwt = \"a\", token = \"env:A\", audience = \"x\""),
        vault("kubernetes = \"a\", service_account = \"s\", service_namespace = \"n\", role_id = \"env:A\""),
        server("vault = \"kv\", path = \"tokens/*\""),
        server("vault = \"oidc\", path = \"a\", per_caller = true"),
        server("vault = \"oidc\", path = \"a\", fields = { a = \"x-a\" }"),
        server("vault = \"kv\", path = \"a\", header = \"Host\""),
        server("vault = \"kv\", path = \"a\", header = \"Mcp-Session-Id\""),
        server("vault = \"kv\", path = \"a\", variable = \"A\""),
        program("vault = \"kv\", path = \"a\", variable = \"LD_PRELOAD\""),
        program("vault = \"kv\", path = \"a\", header = \"x-a\""),
        program("env = \"A\", audience = \"x\""),
    ];
    insta::assert_snapshot!(all.join("---\n"));
}

#[test]
fn a_key_signs_statements_or_the_audit_log() {
    let credential = "url = \"https://a.example.com\"\ncredential = { vault = \"transit\", path = \"callers\" }";
    let with = |key: &str| {
        problems("address = \"https://v.example.com\"", &format!("{credential}\n[audit]\nsigning_key = \"{key}\""))
    };
    assert_eq!(with("transit:callers"), "invalid-value: `callers` signs the seals of the audit log too\n");
    assert_eq!(with("transit:audit"), "");
}

#[test]
fn a_policy_that_says_nothing_of_it_means_what_it_meant() {
    let policy = compiled(
        "version = 1\n[vault]\naddress = \"https://vault.example.com\"\n[servers.a]\nurl = \"https://a.example.com\"\n",
    );
    let vault = policy.set().vault.as_ref().unwrap();
    assert_eq!((vault.kv.as_str(), &vault.login), ("secret", &VaultLogin::Token { token: "env:VAULT_TOKEN".into() }));
    assert_eq!(serde_json::to_string(vault).unwrap(), r#"{"address":"https://vault.example.com"}"#);
    assert_eq!(plan(policy.set()), None);
}

#[test]
fn every_login_is_bound_to_one_identity() {
    let servers =
        "[servers.a]\nurl = \"https://a.example.com\"\ncredential = { vault = \"kv\", path = \"tokens/a\" }\n";
    let mut shown = String::new();
    for login in [
        "jwt = \"gate\", mount = \"corp\", token = \"env:JWT\", audience = \"https://v.example.com\", subject = \"gate-1\"",
        "kubernetes = \"gate\", service_account = \"doorward\", service_namespace = \"mcp\"",
    ] {
        let vault = "version = 1\n[vault]\naddress = \"https://v.example.com\"\nkv = \"team/kv\"\n";
        let text = format!("{vault}login = {{ {login} }}\n{servers}");
        let plan = plan(compiled(&text).set()).unwrap();
        shown += terraform(&plan).split("\nresource \"vault_auth_backend\"").nth(1).unwrap();
        assert!(plan.allowed.contains_key("team/kv/data/tokens/a"));
        assert!(plan.allowed.contains_key("auth/token/create/gate-a"));
        assert!(plan.allowed.keys().all(|path| !path.contains('*') && !path.contains('+')));
    }
    insta::assert_snapshot!(shown);
}
