//! Attestations from end to end: made by a rehearsal whose gate holds, and asked for by a gateway.

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

const POLICY: &str = r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin  = "127.0.0.1:0"
[issuers.corp]
url       = "https://login.example.com"
jwks_file = "keys.json"
[servers.tickets]
url = "http://127.0.0.1:9/mcp"
[servers.tickets.tools.search]
[servers.tickets.tools.refund]
[[grants]]
to    = { groups = ["support"] }
allow = ["tickets:search"]
[[invariants]]
name  = "nobody refunds"
never = ["tickets:refund"]
[[tests]]
name  = "support searches"
as    = { issuer = "corp", sub = "ana", groups = ["support"], scope = "tickets:search" }
allow = ["tickets:search"]
[rollout]
recordings = ["traffic.jsonl"]
"#;

fn doorward(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOORWARD_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory).output().unwrap()
}

/// What it prints, and its exit code.
fn said(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = doorward(directory, arguments);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

/// A policy with a recording of its own decisions and a key.
fn prepared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::write(at.join("policies.toml"), POLICY).unwrap();
    std::fs::write(at.join("keys.json"), r#"{"keys":[]}"#).unwrap();
    let mut traffic = "{\"schema\":\"doorward.recording/v1\",\"recorder\":\"a test\"}\n".to_owned();
    for tool in ["search", "refund"] {
        let call = format!("tickets:{tool}");
        let now = ["--now", "2026-03-02T13:00:00Z", "--format", "event"];
        let who = ["decide", "--sub", "ana", "--groups", "support", "--agent", "a", "--scope", &call, &call];
        let (exit, line) = said(at, &[&who[..], &now].concat());
        assert_eq!(exit, 0, "{line}");
        traffic.push_str(&line);
    }
    std::fs::write(at.join("traffic.jsonl"), traffic).unwrap();
    let (code, public) = said(at, &["attest", "key", "attest.key"]);
    assert_eq!(code, 0, "{public}");
    std::fs::write(at.join("attest.pub"), public).unwrap();
    directory
}

fn edit(directory: &Path, from: &str, to: &str) {
    let path = directory.join("policies.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_rehearsal_whose_gate_holds_is_attested_for_exactly_its_policy() {
    let directory = prepared();
    let at = directory.path();
    let attest = || said(at, &["simulate", "--attest", "attest.key"]);
    assert_eq!(attest().0, 0);
    let text = std::fs::read_to_string(at.join("policies.toml.jws")).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    assert!(payload["time"].as_str().unwrap().ends_with('Z'));
    payload["time"] = "TIME".into();
    insta::assert_json_snapshot!(payload);

    let verify = |more: &[&str]| said(at, &[&["attest", "verify"], more].concat());
    assert_eq!(verify(&[]).0, 2, "no key is trusted");
    assert_eq!(verify(&["--trust", "attest.pub"]).0, 0);
    let (_, json) = verify(&["--trust", "attest.pub", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["valid"], &json["code"], &json["schema"]),
        (&true.into(), &Value::Null, &"doorward.attest-verify/v1".into())
    );

    // How much traffic was asked for is attested as well.
    assert_eq!(said(at, &["simulate", "--attest", "attest.key", "--min-events", "2"]).0, 0);
    let (_, text) = verify(&["--trust", "attest.pub"]);
    assert!(text.contains(", where min_events = 2 was asked for\n"), "{text}");

    // A comment is no other policy; another grant is.
    edit(at, "[[grants]]", "# who\n[[grants]]");
    assert_eq!(verify(&["--trust", "attest.pub"]).0, 0);
    edit(at, "\"support\"", "\"helpers\"");
    let (code, text) = verify(&["--trust", "attest.pub"]);
    assert!(code == 1 && text.contains("attestation-policy"), "{text}");
    edit(at, "\"helpers\"", "\"support\"");

    // Another key.
    let (_, other) = said(at, &["attest", "key", "other.key", "--format", "pem"]);
    std::fs::write(at.join("other.pub"), other).unwrap();
    let (code, text) = verify(&["--trust", "other.pub"]);
    assert!(code == 1 && text.contains("attestation-untrusted"), "{text}");
    assert_eq!(verify(&["--trust", "other.pub", "--trust", "attest.pub"]).0, 0);

    // A byte.
    let good = std::fs::read_to_string(at.join("policies.toml.jws")).unwrap();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.trim().chars().rev().collect();
    std::fs::write(at.join("policies.toml.jws"), format!("{head}.{flipped}")).unwrap();
    assert_eq!(verify(&["--trust", "attest.pub"]).0, 1);
}

#[test]
fn nothing_is_attested_that_does_not_hold() {
    let directory = prepared();
    let at = directory.path();
    let refused = |code: i32, says: &str, arguments: &[&str]| {
        let (exit, text) = said(at, &[&["simulate", "--attest", "attest.key"], arguments].concat());
        assert!(exit == code && text.contains(says), "{exit}: {text}");
        assert!(!at.join("policies.toml.jws").exists(), "{says}");
    };
    refused(2, "cannot be judged", &["--min-events", "1000"]);
    refused(2, "would be written over", &["--attestation", "traffic.jsonl"]);
    for what_if in [&["--set", "servers.tickets.token_ttl=1m"][..], &["--shift", "90d"], &["--matrix"], &["--demo"]] {
        refused(2, "cannot be used with", what_if);
    }
    edit(at, "[rollout]\nrecordings = [\"traffic.jsonl\"]\n", "");
    refused(2, "there is no gate", &["traffic.jsonl"]);
    let strict = ["--strict", "traffic.jsonl"];
    edit(at, "allow = [\"tickets:search\"]\n[[inv", "allow = [\"tickets:*\"]\n[[inv");
    refused(2, "invariant-fails", &strict);
    edit(at, "allow = [\"tickets:*\"]\n[[inv", "allow = [\"tickets:search\"]\n[[inv");
    edit(at, "\"support\"] }", "\"helpers\"] }");
    refused(2, "an inline test fails", &strict);
    edit(at, "\"helpers\"] }", "\"support\"] }");
    edit(
        at,
        "[[invariants]]",
        "[[denies]]\nto = { groups = [\"support\"] }\ndeny = [\"tickets:search\"]\n[[invariants]]",
    );
    edit(at, "scope = \"tickets:search\" }\nallow", "scope = \"tickets:search\" }\ndeny");
    refused(1, "newly denied", &strict);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at.join("attest.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        refused(2, "others may read", &strict);
    }
}

#[test]
fn a_gateway_that_asks_for_an_attestation_starts_only_with_one() {
    let directory = prepared();
    let at = directory.path();
    let refused = |says: &str, arguments: &[&str]| {
        let (code, text) = said(at, &[&["serve"], arguments].concat());
        assert!(code == 2 && text.contains(says), "{code}: {text}");
    };
    edit(at, "[rollout]\n", "[rollout]\nrequire = \"simulation\"\n");
    refused("no-trusted-key", &[]);
    refused("cannot-read", &["--trust", "attest.pub"]);
    assert_eq!(said(at, &["simulate", "--attest", "attest.key"]).0, 0);
    let public = std::fs::read_to_string(at.join("attest.pub")).unwrap();
    edit(at, "[rollout]\n", &format!("[rollout]\ntrusted_keys = [\"{}\"]\n", public.trim()));
    // Here it would serve: what stops it comes behind the attestation.
    refused("`no such host:1` is no address", &["--listen", "no such host:1"]);
    edit(at, "[[grants]]", "[servers.tickets.tools.close]\n[[grants]]");
    refused("attestation-policy", &[]);
    refused("attestation-policy", &["--trust", "attest.pub"]);
    std::fs::write(at.join("policies.toml.jws"), "x").unwrap();
    refused("attestation-malformed", &[]);
}

#[test]
fn a_compiled_policy_says_nothing_of_its_gate_so_that_someone_must_be_trusted() {
    let directory = prepared();
    let at = directory.path();
    let serve = ["serve", "--policy", "compiled.json"];
    let (code, text) = said(at, &["compile", "--output", "compiled.json"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = said(at, &serve);
    assert!(code == 2 && text.contains("(no-gate)"), "{code}: {text}");
    assert_eq!(said(at, &["simulate", "--attest", "attest.key"]).0, 0);
    let trusting = ["--trust", "attest.pub", "--attestation", "policies.toml.jws", "--listen", "no such host:1"];
    let (code, text) = said(at, &[&serve[..], &trusting].concat());
    assert!(code == 2 && text.contains("`no such host:1` is no address"), "{code}: {text}");
}

#[test]
fn a_policy_whose_own_test_fails_is_not_served() {
    let directory = prepared();
    edit(directory.path(), "\"support\"", "\"helpers\"");
    let (code, text) = said(directory.path(), &["serve"]);
    assert!(code == 2 && text.contains("(unsound)") && text.contains("support searches"), "{code}: {text}");
}
