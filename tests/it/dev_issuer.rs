//! The development issuer: what it answers, what it refuses to be, and a first run over a socket.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use doorward::gateway::serve_dev_issuer;
use doorward::identity::dev::{DevError, DevIssuer, DevKeys, Wanted};
use doorward::identity::fetch::Web;
use doorward::identity::{Limits, Verifier};
use doorward::model::{Action, Arguments, Context, Fact, Request, Resource, ResourceKind, Timestamp};
use doorward::pdp::decide;
use doorward::policy::set::{Algorithm, KeySource, PolicySet};
use doorward::policy::{CompiledPolicy, Layers, load};
use http::{Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_700_000_000);

fn policy(port: u16) -> CompiledPolicy {
    let text = format!(
        r#"
        version = 1
        [issuers.dev]
        url = "http://127.0.0.1:{port}/dev-issuer"
        claims = {{ groups = "realm_access.roles", agent = "client_id", tenant = "https://example.com/tenant" }}
        [issuers.corp]
        url = "https://login.example.com"
        [servers.desk]
        url = "http://127.0.0.1:9001/mcp"
        resource = "https://mcp.example.com/desk"
        [servers.desk.tools.find]
        [servers.vault]
        url = "http://127.0.0.1:9002/mcp"
        issuers = ["corp"]
        [[grants]]
        to = {{ issuer = "dev", groups = ["staff"], agents = ["desk-assistant"] }}
        allow = ["desk:find"]
        "#
    );
    let layers = Layers { files: vec![("policies.toml".into(), text.into_bytes())], environment: Vec::new() };
    load(&layers).policy.unwrap().compiled
}

fn issuer() -> DevIssuer {
    DevIssuer::new(policy(8790).set(), "dev", DevKeys::generate().unwrap()).unwrap()
}

fn ask(issuer: &DevIssuer, method: &str, path: &str, form: &str) -> Response<Bytes> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:8790")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form.to_owned()));
    issuer.answer(&request.unwrap(), NOW)
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn only_an_issuer_that_is_declared_as_one_on_loopback_can_be_a_development_issuer() {
    let good = policy(8790);
    assert_eq!(DevIssuer::find(good.set()), Ok("dev"));
    let refused = |change: &dyn Fn(&mut PolicySet), name: &str| {
        let mut set = good.set().clone();
        change(&mut set);
        DevIssuer::new(&set, name, DevKeys::generate().unwrap()).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(&|_| (), "none"), DevError::Undeclared);
    assert_eq!(refused(&|_| (), "corp"), DevError::Url);
    for url in [
        "https://127.0.0.1:8790/dev-issuer",
        "http://127.0.0.1/dev-issuer",
        "http://127.0.0.1:8790",
        "http://127.0.0.1:8790/",
        "http://127.0.0.1:8790/dev-issuer/",
        "http://127.0.0.1:8790/x/dev-issuer",
        "http://127.0.0.1:8790/dev-issuer?x",
        "http://user@127.0.0.1:8790/dev-issuer",
        "http://127.1:8790/dev-issuer",
        "http://10.0.0.1:8790/dev-issuer",
        "http://0.0.0.0:8790/dev-issuer",
        "http://login.example.com:8790/dev-issuer",
        "http://127.0.0.1.example.com:8790/dev-issuer",
    ] {
        let change = |set: &mut PolicySet| set.issuers.get_mut("dev").unwrap().url = url.into();
        assert_eq!(refused(&change, "dev"), DevError::Url, "{url}");
    }
    let keys = |set: &mut PolicySet| set.issuers.get_mut("dev").unwrap().keys = KeySource::Url("http://x".into());
    assert_eq!(refused(&keys, "dev"), DevError::Url);
    let algorithms = |set: &mut PolicySet| set.issuers.get_mut("dev").unwrap().algorithms = vec![Algorithm::RS256];
    assert_eq!(refused(&algorithms, "dev"), DevError::Algorithm);
    let mut set = good.set().clone();
    set.issuers.remove("dev");
    assert_eq!(DevIssuer::find(&set), Err(DevError::Undeclared));
}

#[test]
fn its_documents_name_it_loudly_and_hold_nothing_private() {
    let issuer = issuer();
    for path in [
        "/dev-issuer/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/dev-issuer",
        "/.well-known/openid-configuration/dev-issuer",
    ] {
        let response = ask(&issuer, "GET", path, "");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let metadata = body(&response);
        assert_eq!(metadata["issuer"], "http://127.0.0.1:8790/dev-issuer");
        assert_eq!(metadata["jwks_uri"], "http://127.0.0.1:8790/dev-issuer/jwks.json");
        assert_eq!(metadata["token_endpoint"], "http://127.0.0.1:8790/dev-issuer/token");
        assert!(metadata["doorward_development_issuer"].as_str().unwrap().starts_with("DEVELOPMENT ISSUER"));
    }
    let jwks = body(&ask(&issuer, "GET", "/dev-issuer/jwks.json", ""));
    for key in jwks["keys"].as_array().unwrap() {
        assert!(key["kid"].as_str().unwrap().starts_with("doorward-development-"));
        assert!(key.get("d").is_none());
    }
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/.well-known/oauth-authorization-server", 404),
        ("GET", "/dev-issuer/.well-known/openid-configuration/x", 404),
        ("POST", "/dev-issuer/jwks.json", 404),
        ("GET", "/dev-issuer/token", 405),
    ] {
        assert_eq!(ask(&issuer, method, path, "").status().as_u16(), status, "{method} {path}");
    }
}

#[test]
fn the_token_endpoint_says_what_is_wrong_as_oauth_does() {
    let issuer = issuer();
    let outcome = |form: &str| {
        let response = ask(&issuer, "POST", "/dev-issuer/token", form);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        (response.status().as_u16(), body(&response)["error"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(outcome("grant_type=client_credentials&client_id=a"), (200, String::new()), "one door, no resource");
    for (form, error) in [
        ("", "invalid_request"),
        ("client_id=a", "invalid_request"),
        ("grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&client_id=", "invalid_request"),
        ("grant_type=authorization_code&client_id=a", "unsupported_grant_type"),
        ("grant_type=client_credentials&grant_type=x&client_id=a", "invalid_request"),
        ("grant_type=client_credentials&client_id=a&resource=https://mcp.example.com/other", "invalid_target"),
        ("grant_type=client_credentials&client_id=a&lifetime=0", "invalid_request"),
        ("grant_type=client_credentials&client_id=a&lifetime=-1", "invalid_request"),
        ("grant_type=client_credentials&client_id=a&lifetime=3601", "invalid_request"),
        ("grant_type=client_credentials&client_id=a&claim.none=1", "invalid_request"),
        ("grant_type=client_credentials&client_id=a&scope=%22", "invalid_request"),
    ] {
        assert_eq!(outcome(form), (400, error.to_owned()), "{form}");
    }
    let large = format!("grant_type=client_credentials&client_id={}", "a".repeat(1 << 16));
    assert_eq!(outcome(&large), (400, "invalid_request".to_owned()));
}

#[test]
fn a_web_page_gets_nothing() {
    let issuer = issuer();
    let status = |headers: &[(&str, &str)]| {
        let mut request = http::Request::builder().uri("/dev-issuer/jwks.json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        issuer.answer(&request.body(Bytes::new()).unwrap(), NOW).status().as_u16()
    };
    assert_eq!(status(&[("host", "127.0.0.1:8790")]), 200);
    assert_eq!(status(&[("host", "localhost:8790")]), 200);
    assert_eq!(status(&[("host", "127.0.0.1:8790"), ("origin", "http://127.0.0.1:8790")]), 403);
    assert_eq!(status(&[("host", "127.0.0.1:8790"), ("origin", "null")]), 403);
    assert_eq!(status(&[("host", "rebound.example.com:8790")]), 403);
    assert_eq!(status(&[("host", "127.0.0.1:8791")]), 403);
    assert_eq!(status(&[]), 403);
}

#[test]
fn a_token_that_the_policy_would_never_accept_is_not_made() {
    let issuer = issuer();
    let good = Wanted { subject: "ana".into(), lifetime: 60, ..Wanted::default() };
    let refused = |wanted: Wanted| issuer.mint(&wanted, NOW).map(|_| ()).unwrap_err();
    assert!(issuer.mint(&good, NOW).is_ok());
    assert_eq!(refused(Wanted { lifetime: 0, ..good.clone() }), DevError::Lifetime);
    assert_eq!(refused(Wanted { lifetime: 3601, ..good.clone() }), DevError::Lifetime);
    assert_eq!(refused(Wanted { subject: String::new(), ..good.clone() }), DevError::Claims);
    assert_eq!(refused(Wanted { scopes: vec!["a b".into()], ..good.clone() }), DevError::Claims);
    assert_eq!(refused(Wanted { groups: vec!["g".repeat(20_000)], ..good.clone() }), DevError::Claims);
    let token = issuer.mint(&good, NOW).unwrap();
    assert!(!format!("{token:?}").contains(token.expose_secret()));
    assert_ne!(token.expose_secret(), issuer.mint(&good, NOW).unwrap().expose_secret(), "`jti` is fresh");
}

#[tokio::test]
async fn a_first_run_needs_no_identity_provider() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let policy = policy(port);
    let issuer = Arc::new(DevIssuer::new(policy.set(), "dev", DevKeys::generate().unwrap()).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve_dev_issuer(listener, issuer, || NOW, async {
        let _ = stopped.await;
    }));
    let form = "grant_type=client_credentials&subject=ana&groups=staff&groups=night&scope=desk:find&claim.tenant=acme";
    let web = Web::new(|_| Err(io::ErrorKind::NotFound.into()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://127.0.0.1:{port}/dev-issuer/token"))
        .basic_auth("desk-assistant", Some("whatever"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer: Value = serde_json::from_slice(&answer.send().await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"], &answer["scope"]),
        (&json!("Bearer"), &json!(300), &json!("desk:find"))
    );
    let token = answer["access_token"].as_str().unwrap();
    let verifier = Verifier::new(policy.set(), Arc::new(web), Limits::default());
    let verified = verifier.verify(token, NOW).await.unwrap();
    let claims = verified.claims();
    let (subject, facts) = verified.facts(&claims);
    assert_eq!((subject.id, subject.agent), (Fact::Known("ana"), Fact::Known("desk-assistant")));
    assert!(subject.groups.known().unwrap().iter().eq(["staff", "night"]));
    assert_eq!(claims[0].name, "tenant");
    let reason = |door, now| {
        let request = Request {
            subject,
            action: Action::ToolsCall,
            resource: Resource { door, kind: ResourceKind::Tool, name: "find" },
            context: Context { now, token: facts, arguments: Arguments::NONE },
        };
        decide(&policy, &request).reason.code()
    };
    assert_eq!(reason("desk", NOW), "granted");
    assert_eq!(reason("desk", NOW.plus(300)), "token-expired");
    assert_eq!(reason("vault", NOW), "unknown-tool");
    stop.send(()).unwrap();
    drop(client);
    assert_eq!(serving.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn it_serves_no_other_socket_than_its_own_on_loopback() {
    let issuer = Arc::new(issuer());
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = serve_dev_issuer(other, Arc::clone(&issuer), || NOW, std::future::ready(())).await;
    assert_eq!(refused, Err(DevError::Listener));
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(DevIssuer::new(policy(port).set(), "dev", DevKeys::generate().unwrap()).unwrap());
    let refused = serve_dev_issuer(listener, open, || NOW, std::future::ready(())).await;
    assert_eq!(refused, Err(DevError::Listener));
}
