//! `doorward token` and `doorward issuer`: what they print, what they keep to themselves, and a token that comes from
//! a running issuer.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::place::{Place, ran};

const DEV: &str = r#"version = 1
[issuers.dev]
url = "http://127.0.0.1:PORT/dev-issuer"
JWKS
[servers.notes]
url = "http://127.0.0.1:9001/mcp"
token_ttl = "15m"
[servers.notes.tools.search]
[servers.vault]
url = "http://127.0.0.1:9002/mcp"
"#;

fn place(port: u16, jwks: &str) -> Place {
    let place = Place::new();
    place.write("dev.toml", DEV.replace("PORT", &port.to_string()).replace("JWKS", jwks));
    place
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_issuer_gives_tokens_that_verify_with_its_keys() {
    let place = place(free_port(), "");
    let mut command = place.command(&["issuer", "dev", "--policy=dev.toml"]);
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut said = String::new();
    for _ in 0..2 {
        stderr.read_line(&mut said).unwrap();
    }
    assert!(said.starts_with("DEVELOPMENT ISSUER: "), "{said}");
    let issue = ["token", "issue", "--policy=dev.toml", "--sub=ana", "--agent=desk", "--groups=staff,night"];
    let issued = place.run(&[&issue[..], &["--scope=notes:search notes:other", "--door=notes", "--ttl=10m"]].concat());
    assert_eq!((issued.code, issued.stderr.as_str()), (0, ""));
    let token = issued.stdout.strip_suffix('\n').unwrap();
    assert_eq!(token.matches('.').count(), 2);
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
    place.write("token", &issued.stdout);
    let mut command = place.command(&["token", "inspect", "--policy=dev.toml", "--format=json", "token"]);
    // No proxy of the environment is asked, which here would lead nowhere.
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(proxy, "http://127.0.0.1:9");
    }
    let inspected = ran(command.output().unwrap());
    assert_eq!(inspected.code, 0, "{}", inspected.stderr);
    let report: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!((&report["good"], &report["issuer"]), (&true.into(), &"dev".into()));
    let claims = &report["claims"];
    assert_eq!(claims["sub"], "ana");
    assert_eq!(claims["client_id"], "desk");
    assert_eq!(claims["groups"], serde_json::json!(["staff", "night"]));
    assert_eq!(claims["scope"], "notes:search notes:other");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert_eq!(claims["doorward_development"], true);
    assert!(claims["iss"].as_str().unwrap().ends_with("/dev-issuer"));
    assert!(report["header"]["kid"].as_str().unwrap().starts_with("doorward-development-"));
    assert_eq!(report["doors"][0]["failed"], serde_json::json!([]));
    assert_eq!(report["doors"][1]["failed"][0]["reason"], "audience");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!inspected.stdout.contains(signature));
    let refused = place.run(&[&issue[..], &["--aud=https://mcp.example.com/other"]].concat());
    insta::assert_snapshot!(refused.fails_with("dev-issuer"), @"
    error[dev-issuer]: the development issuer says invalid_target: the policy has no door with that `resource`
      = help: look at what was asked for, and at the policy that it runs with
    ");
    let taken = place.run(&["issuer", "dev", "--policy=dev.toml"]);
    assert!(taken.fails_with("dev-issuer").contains("cannot listen at"), "{}", taken.stderr);
    drop(running);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing that was issued is in the log");
    let unreachable = place.run(&issue);
    assert!(unreachable.fails_with("usage").contains("--door"), "{}", unreachable.stderr);
    let unreachable = place.run(&[&issue[..], &["--door=notes"]].concat());
    assert!(unreachable.fails_with("dev-issuer").contains("doorward issuer dev"), "{}", unreachable.stderr);
    let inspected = place.run(&["token", "inspect", "--policy=dev.toml", "token"]);
    assert_eq!(inspected.code, 2, "nobody can say");
    assert!(inspected.stdout.contains("[token-keys-unavailable]"), "{}", inspected.stdout);
}

#[test]
fn a_key_file_is_for_its_owner_and_is_never_replaced() {
    let place = place(8790, "jwks_file = \"jwks.json\"");
    let jwks = place.run(&["issuer", "jwks", "--keys=keys.json", "--output=jwks.json"]);
    assert_eq!((jwks.code, jwks.stdout.as_str()), (0, ""));
    let keys = std::fs::read_to_string(place.path().join("keys.json")).unwrap();
    let again = place.run(&["issuer", "jwks", "--keys=keys.json"]);
    assert_eq!(again.stdout, std::fs::read_to_string(place.path().join("jwks.json")).unwrap());
    let file: Value = serde_json::from_str(&keys).unwrap();
    for key in file["keys"].as_array().unwrap() {
        assert!(!again.stdout.contains(key["d"].as_str().unwrap()));
    }
    let issue = ["token", "issue", "--policy=dev.toml", "--keys=keys.json", "--sub=ana", "--door=notes"];
    let inspect = |more: &[&str]| {
        let issued = place.run(&[&issue[..], more].concat());
        assert_eq!(issued.code, 0, "{}", issued.stderr);
        place.write("token", issued.stdout);
        place.run(&["token", "inspect", "--policy=dev.toml", "token"])
    };
    assert_eq!(inspect(&[]).code, 0);
    let old = inspect(&["--ttl=30m", "--age=20m"]);
    assert_eq!(old.code, 1);
    assert!(old.stdout.contains("[token-stale]"), "{}", old.stdout);
    assert!(inspect(&["--ttl=5m", "--age=20m"]).stdout.contains("[token-expired]"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let path = place.path().join("keys.json");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let open = place.run(&issue);
        insta::assert_snapshot!(open.fails_with("dev-issuer"), @"
        error[dev-issuer]: others may read the private keys in `keys.json`
          = help: chmod 600 it, or remove it if it has been read
        ");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    place.write("broken.json", "{}");
    #[cfg(unix)]
    std::fs::set_permissions(place.path().join("broken.json"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let broken = place.run(&["issuer", "jwks", "--keys=broken.json"]);
    assert!(broken.fails_with("dev-issuer").contains("dev-keys-malformed"), "{}", broken.stderr);
    assert_eq!(std::fs::read_to_string(place.path().join("keys.json")).unwrap(), keys);
}

#[test]
fn what_cannot_be_issued_is_said_before_any_key_is_made() {
    let place = place(8790, "");
    let issue = |more: &[&str]| {
        let ran = place.run(&[&["token", "issue", "--policy=dev.toml", "--keys=keys.json"], more].concat());
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    insta::assert_snapshot!(issue(&["--door=notes"]), @"
    error[usage]: whose token it is to be is not said
      = help: name the subject with --sub
    ");
    insta::assert_snapshot!(issue(&["--sub=ana"]), @"
    error[usage]: which door the token is for is not said
      = help: name the server with --door, or the audience with --aud
    ");
    insta::assert_snapshot!(issue(&["--sub=ana", "--door=note"]), @"
    error[unknown-name]: no server `note` is declared
      = help: did you mean `notes`?
    ");
    insta::assert_snapshot!(issue(&["--sub=ana", "--door=notes", "--issuer=corp"]), @"
    error[unknown-name]: no issuer `corp` is declared
      = help: there is `dev`
    ");
    assert_eq!(place.names(), ["dev.toml", "p.toml"]);
    let other = place.run(&["token", "issue", "--policy=p.toml", "--keys=keys.json", "--sub=ana"]);
    insta::assert_snapshot!(other.fails_with("dev-issuer"), @r#"
    error[dev-issuer]: the policy declares no issuer that can be the development issuer (dev-issuer-undeclared)
      = help: declare one as `[issuers.dev]` with `url = "http://127.0.0.1:8790/dev-issuer"`, never in production
    "#);
    assert_eq!(place.names(), ["dev.toml", "p.toml"]);
    assert!(issue(&["--sub=ana", "--door=notes", "--ttl=2h"]).contains("dev-token-lifetime"));
    assert!(issue(&["--sub=ana", "--door=notes", "--claim=tenant=acme"]).contains("dev-token-claims"));
}

#[test]
fn a_token_is_never_taken_as_an_argument_nor_repeated() {
    let place = Place::new();
    let token = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJ4In0.c2VjcmV0LXNpZ25hdHVyZQ";
    let shown = place.run(&["token", "inspect", "--policy=p.toml", token]);
    let text = shown.fails_with("usage");
    assert!(!text.contains("eyJ") && !text.contains("c2Vj"), "{text}");
    place.write("token", token);
    let inspected = place.run(&["token", "inspect", "--policy=p.toml", "token"]);
    assert_eq!(inspected.code, 1);
    insta::assert_snapshot!(inspected.stdout, @"
    header
      alg  EdDSA
    claims
      iss  x
    not verified: the token's issuer is not declared [token-issuer]
      = help: `iss` must be the `url` of an issuer in the policy, to the letter
    ");
    place.write("token", "not a token");
    insta::assert_snapshot!(place.run(&["token", "inspect", "--policy=p.toml", "token"]).stdout, @"
    header: cannot be read
    claims: cannot be read
    not verified: the token is not a JWT in compact form [token-malformed]
      = help: check that this is the access token, whole and alone
    ");
    place.write("token", [0xff, 0xfe]);
    place.run(&["token", "inspect", "--policy=p.toml", "token"]).fails_with("bad-input");
}
