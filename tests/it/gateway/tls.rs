//! TLS on both sides of the gateway: whom it lets in, and whom it believes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use super::odd::{ask, status};
use super::rig::{POLICY, Rig, filled, http_server};

/// An authority, and what it vouches for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        doorward::identity::ensure_crypto();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of `localhost` and its key, in PEM; one that was good in a year past.
    fn issues(&self, expired: bool) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn read((certificate, key): &(String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// How a caller speaks TLS.
fn caller(believes: &Authority, shows: Option<&(String, String)>, speaks: &[&str]) -> ClientConfig {
    let builder = ClientConfig::builder().with_root_certificates(believes.roots());
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let (chain, key) = read(pair);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = speaks.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// What a caller hears, and the protocol that was agreed on; or why it hears nothing.
async fn heard(address: SocketAddr, config: ClientConfig) -> Result<(String, Option<Vec<u8>>), String> {
    let asking = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).map_err(|e| e.to_string())?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        stream.conn.complete_io(stream.sock).map_err(|e| e.to_string())?;
        let text: &[u8] = match stream.conn.alpn_protocol() {
            // The preface and a frame of SETTINGS (RFC 9113 section 3.4).
            Some(b"h2") => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            _ => b"GET /http/mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        };
        stream.write_all(text).map_err(|e| e.to_string())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).map_err(|e| e.to_string())?;
        let protocol = tls.alpn_protocol().map(<[u8]>::to_vec);
        Ok((String::from_utf8_lossy(&answer[..length]).into_owned(), protocol))
    });
    asking.await.unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A gateway with a certificate, which asks callers for one of theirs.
async fn rig(own: &(String, String), callers: Option<&Authority>) -> (Rig, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let mut tls = format!(
        "certificate_file = '{}', key_file = '{}'",
        write(files.path(), "cert.pem", &own.0),
        write(files.path(), "key.pem", &own.1)
    );
    if let Some(callers) = callers {
        tls.push_str(&format!(", client_ca_file = '{}'", write(files.path(), "callers.pem", &callers.pem())));
    }
    let policy = POLICY.replace("[gateway]\n", &format!("[gateway]\ntls = {{ {tls} }}\n"));
    (Rig::with(&policy, http_server().await).await, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_certificate_that_it_believes_do_not_get_in() {
    let (own, callers, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (rig, _files) = rig(&own.issues(false), Some(&callers)).await;
    let (good, stranger, expired) = (callers.issues(false), strangers.issues(false), callers.issues(true));
    let (text, protocol) = heard(rig.address, caller(&own, Some(&good), &["http/1.1"])).await.unwrap();
    assert_eq!(
        (status(&text), protocol.as_deref()),
        ("401", Some(&b"http/1.1"[..])),
        "the token is asked for all the same"
    );
    for (name, shows) in [("none", None), ("a stranger's", Some(&stranger)), ("an expired one", Some(&expired))] {
        let refused = heard(rig.address, caller(&own, shows, &["http/1.1"])).await;
        assert!(refused.is_err(), "{name}: {refused:?}");
    }
    let error = heard(rig.address, caller(&strangers, Some(&good), &[])).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "it shows its own certificate: {error}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_where_it_is_agreed_on_and_plain_http_gets_no_answer() {
    let own = Authority::new();
    let (rig, _files) = rig(&own.issues(false), None).await;
    let (text, protocol) = heard(rig.address, caller(&own, None, &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(protocol.as_deref(), Some(&b"h2"[..]));
    // The first frame of a server is SETTINGS.
    assert_eq!(text.as_bytes().get(3), Some(&4), "{text:?}");
    let plain = super::odd::begin(&rig, "GET /http/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut plain = plain;
    let answer = super::odd::rest(&mut plain).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    rig.stop().await;
}

/// A server over HTTPS that asks whoever calls it for a certificate.
fn https(own: &(String, String), callers: &Authority) -> SocketAddr {
    let (chain, key) = read(own);
    let verifier = WebPkiClientVerifier::builder(Arc::new(callers.roots())).build().unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let config = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(super::odd::router().into_make_service()));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_must_prove_who_it_is_and_is_shown_the_certificate_of_its_door() {
    let (servers, gateways, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let address = https(&servers.issues(false), &gateways);
    let old = https(&servers.issues(true), &gateways);
    let files = tempfile::tempdir().unwrap();
    let both = |(certificate, key): (String, String)| certificate + &key;
    let ca = write(files.path(), "servers.pem", &servers.pem());
    let other = write(files.path(), "strangers.pem", &strangers.pem());
    let shown = write(files.path(), "gateway.pem", &both(gateways.issues(false)));
    let wrong = write(files.path(), "stranger.pem", &both(strangers.issues(false)));
    for (name, port, tls, expected) in [
        ("good", address.port(), format!("ca_file = '{ca}', identity_file = '{shown}'"), "200"),
        ("another authority", address.port(), format!("ca_file = '{other}', identity_file = '{shown}'"), "502"),
        ("the machine's authorities", address.port(), format!("identity_file = '{shown}'"), "502"),
        ("nothing to show", address.port(), format!("ca_file = '{ca}'"), "502"),
        ("a stranger's to show", address.port(), format!("ca_file = '{ca}', identity_file = '{wrong}'"), "502"),
        ("expired", old.port(), format!("ca_file = '{ca}', identity_file = '{shown}'"), "502"),
    ] {
        let rig = super::odd::rig_at("", &format!("https://localhost:{port}/mcp"), &format!("tls = {{ {tls} }}")).await;
        let answer = ask(&rig, "odd", "ana", "add").await;
        assert_eq!(status(&answer), expected, "{name}: {answer}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_file_for_tls_that_cannot_be_used_is_refused_before_the_start() {
    let directory = tempfile::tempdir().unwrap();
    super::rig::keys(directory.path());
    write(directory.path(), "empty.pem", "");
    let policy = filled(POLICY, "127.0.0.1:1".parse().unwrap())
        .replace("[servers.http]\n", "[servers.http]\ntls = { ca_file = 'none.pem' }\n")
        .replace("[gateway]\n", "[gateway]\ntls = { certificate_file = 'empty.pem', key_file = 'empty.pem' }\n");
    let refusals = super::rig::opened(&policy, directory.path()).await.unwrap_err();
    assert!(refusals.iter().all(|refusal| refusal.code == "tls-file"), "{refusals:?}");
    assert!(refusals.iter().any(|refusal| refusal.message.contains("none.pem")), "{refusals:?}");
}
