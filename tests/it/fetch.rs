//! Fetching from servers that answer as they should not, over real sockets on loopback.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use doorward::identity::fetch::{Fetched, MAX_DOCUMENT, Network, Place, Web};
use doorward::identity::{Fetch, FetchError, Limits, Verifier};
use doorward::policy::set::{KeySource, PolicySet};
use serde_json::json;

use crate::identity::{Signer, issuer};

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn no_files() -> Web {
    Web::new(|_| Err(io::ErrorKind::NotFound.into()))
}

/// A resolver that says the same of every name.
fn naming(addresses: &'static [&'static str]) -> Web {
    no_files().looking_up(move |_| {
        let found = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect();
        Box::pin(std::future::ready(Ok(found)))
    })
}

async fn fetch(web: &Web, url: &str, network: Network) -> Result<Fetched, FetchError> {
    web.fetch(&Place::Url(url.to_owned(), network)).await
}

#[tokio::test]
async fn only_one_whole_json_document_of_bounded_size_is_taken() {
    let endless = || Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, io::Error>(vec![b' '; 1 << 16])));
    let app = Router::new()
        .route("/good", get(async || (JSON, [(header::CACHE_CONTROL, "max-age=120")], "{}")))
        .route("/keys", get(async || ([(header::CONTENT_TYPE, "application/jwk-set+json; charset=utf-8")], "{}")))
        .route("/html", get(async || ([(header::CONTENT_TYPE, "text/html")], "<html>")))
        .route("/untyped", get(async || Response::new(Body::from("{}"))))
        .route("/moved", get(async || Redirect::temporary("/good")))
        .route("/away", get(async || Redirect::permanent("http://169.254.169.254/latest/meta-data")))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/large", get(async || (JSON, " ".repeat(MAX_DOCUMENT + 1))))
        .route("/full", get(async || (JSON, " ".repeat(MAX_DOCUMENT))))
        .route("/endless", get(async move || (JSON, endless()).into_response()))
        .route(
            "/headers",
            get(async |headers: HeaderMap| {
                let names: Vec<_> = headers.keys().map(ToString::to_string).collect();
                (JSON, json!(names).to_string())
            }),
        );
    let (web, address) = (no_files(), serve(app).await);
    let of = async |path: &str| {
        let fetched = fetch(&web, &format!("http://{address}{path}"), Network::Loopback).await;
        fetched.map(|fetched| (fetched.bytes.len(), fetched.fresh_for.map(|fresh| fresh.as_secs())))
    };
    assert_eq!(of("/good").await, Ok((2, Some(120))));
    assert_eq!(of("/keys").await, Ok((2, None)));
    assert_eq!(of("/full").await, Ok((MAX_DOCUMENT, None)));
    for (path, failed) in [
        ("/html", FetchError::ContentType),
        ("/untyped", FetchError::ContentType),
        ("/moved", FetchError::Redirect),
        ("/away", FetchError::Redirect),
        ("/none", FetchError::NotFound),
        ("/broken", FetchError::Answer),
        ("/large", FetchError::TooLarge),
        ("/endless", FetchError::TooLarge),
    ] {
        assert_eq!(of(path).await, Err(failed), "{path}");
    }
    // Nothing is sent that says more than that somebody asks.
    let sent = fetch(&web, &format!("http://{address}/headers"), Network::Loopback).await.unwrap();
    assert_eq!(String::from_utf8(sent.bytes).unwrap(), r#"["accept","user-agent","host"]"#);
}

#[tokio::test]
async fn a_name_is_judged_by_every_address_that_it_has() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = Router::new().route(
        "/",
        get(move || {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready((JSON, "{}"))
        }),
    );
    let port = serve(app).await.port();
    for addresses in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["169.254.169.254"],
        &["10.0.0.1"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &[],
    ] {
        let web = naming(addresses);
        let url = format!("https://login.example.com:{port}/");
        assert_eq!(fetch(&web, &url, Network::Public).await.err(), Some(FetchError::Address), "{addresses:?}");
    }
    for addresses in [&["127.0.0.1"][..], &["169.254.169.254"], &["10.0.0.1", "fe80::1"]] {
        let web = naming(addresses);
        let url = format!("https://login.example.com:{port}/");
        assert_eq!(fetch(&web, &url, Network::Private).await.err(), Some(FetchError::Address), "{addresses:?}");
    }
    // And one on loopback may not lead away from it.
    let url = format!("http://localhost:{port}/");
    assert_eq!(fetch(&naming(&["8.8.8.8"]), &url, Network::Loopback).await.err(), Some(FetchError::Address));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing was asked");
    assert!(fetch(&naming(&["127.0.0.1"]), &url, Network::Loopback).await.is_ok());
    assert!(fetch(&no_files(), &url.replace("localhost", "127.0.0.1"), Network::Loopback).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // Speaking no TLS is no way to be trusted.
    let url = format!("https://127.0.0.1:{port}/");
    assert_eq!(fetch(&no_files(), &url, Network::Loopback).await.err(), Some(FetchError::Unreachable));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", silent.local_addr().unwrap());
    let mut set = PolicySet::default();
    let mut issuer = issuer();
    issuer.keys = KeySource::Url(url);
    set.issuers.insert("corp".into(), issuer);
    let mut limits = Limits::default();
    limits.keys.patience = Duration::from_millis(50);
    let status = Verifier::new(&set, Arc::new(no_files()), limits).prepare().await.remove(0);
    assert_eq!((status.keys, status.failed), (0, Some(FetchError::TimedOut)));
}

#[tokio::test]
async fn files_and_issuers_on_loopback_give_keys() {
    let signer = Signer::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string();
    let elsewhere =
        json!({ "issuer": format!("{url}/away"), "jwks_uri": "https://login.example.com/keys" }).to_string();
    let jwks = signer.jwks.to_string();
    let served = jwks.clone();
    let app = Router::new()
        .route("/.well-known/oauth-authorization-server", get(async move || (JSON, metadata)))
        .route("/away/.well-known/openid-configuration", get(async move || (JSON, elsewhere)))
        .route("/keys", get(async move || (JSON, served)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let web = Web::new(move |path| match path {
        "keys.json" => Ok(jwks.clone().into_bytes()),
        "large.json" => Err(io::ErrorKind::FileTooLarge.into()),
        "locked.json" => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
    .looking_up(|_| Box::pin(std::future::ready(Ok(vec![IpAddr::from([8, 8, 8, 8])]))));
    let of = async |issuer_url: &str, keys: KeySource| {
        let mut set = PolicySet::default();
        let mut issuer = issuer();
        (issuer.url, issuer.keys) = (issuer_url.to_owned(), keys);
        set.issuers.insert("corp".into(), issuer);
        let status = Verifier::new(&set, Arc::new(web.clone()), Limits::default()).prepare().await.remove(0);
        (status.keys, status.failed)
    };
    assert_eq!(of(&url, KeySource::Discovery).await, (2, None));
    assert_eq!(of("https://login.example.com", KeySource::Url(format!("{url}/keys"))).await, (2, None));
    let away = of(&format!("{url}/away"), KeySource::Discovery).await;
    assert_eq!(away, (0, Some(FetchError::Address)), "an issuer on loopback leads nowhere else");
    let file = async |name: &str| of("https://login.example.com", KeySource::File(name.to_owned())).await;
    assert_eq!(file("keys.json").await, (2, None));
    assert_eq!(file("large.json").await, (0, Some(FetchError::TooLarge)));
    assert_eq!(file("locked.json").await, (0, Some(FetchError::File)));
    assert_eq!(file("none.json").await, (0, Some(FetchError::NotFound)));
}
