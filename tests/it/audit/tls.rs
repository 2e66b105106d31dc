//! TLS to PostgreSQL: a server is believed when its certificate is good for its name, and not otherwise.

use std::path::Path;
use std::sync::Arc;

use doorward::audit::store::{Logger, Store, StoreErrorKind};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{all, append, holds, options};
use crate::containers;
use crate::place::Place;

/// How a client asks for TLS: the length of the message, and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// An authority, and where its certificate is.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: String,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = directory.join(name);
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file: file.to_str().unwrap().to_owned() }
    }

    /// A certificate for a name, with its key.
    fn certifies(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A way to a server by TLS, as poolers and balancers are: it shows a certificate, and passes on what comes inside.
/// (The server of the tests is built without TLS.)
async fn front(server: u16, (certificate, key): (String, String)) -> u16 {
    doorward::identity::ensure_crypto();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut asked = [0; 8];
                client.read_exact(&mut asked).await?;
                // Nobody says anything before there is TLS.
                assert_eq!(asked, SSL_REQUEST);
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_written_to_only_when_its_certificate_is_good_for_its_name() {
    let Some(server) = containers::postgres("a_server_is_written_to_only_when") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(directory.path(), "ours.pem"), Authority::new(directory.path(), "other.pem"));
    let database = server.database().await;
    let url = |port: u16, mode: &str, authority: &Authority| {
        let at = format!("postgres://postgres:postgres@localhost:{port}/{database}");
        format!("{at}?sslmode={mode}&sslrootcert={}", authority.file)
    };
    let refused = async |url: String| {
        let error = Logger::open(url.parse::<Store>().unwrap(), options()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Untrusted, "{error}");
        error.to_string()
    };
    // A server without TLS at all.
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(refused(url(server.port(), mode, &ours)).await, "TLS: server does not support TLS");
    }
    let port = front(server.port(), ours.certifies("db.example.com")).await;
    let said = refused(url(port, "verify-full", &ours)).await;
    assert!(said.contains("not valid for name \"localhost\""), "{said}");
    // What is not asked for is not looked at.
    for mode in ["verify-ca", "require"] {
        let (logger, _task) = Logger::open(url(port, mode, &ours).parse().unwrap(), options()).await.unwrap();
        logger.close().await;
    }
    for mode in ["verify-ca", "verify-full"] {
        let said = refused(url(port, mode, &other)).await;
        assert!(said.contains("UnknownIssuer"), "{said}");
    }
    let port = front(server.port(), ours.certifies("localhost")).await;
    let said = refused(url(port, "verify-full", &other)).await;
    assert!(said.contains("UnknownIssuer"), "{said}");

    let store: Store = url(port, "verify-full", &ours).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    let acknowledged = append(&logger, "tls", 4, 5).await;
    assert_eq!(acknowledged.len(), 20);
    logger.close().await;
    holds(&all(&store).await, &acknowledged);

    // What somebody at the command line is told.
    let place = Place::new();
    let store = url(port, "verify-full", &other);
    let said = place.run(&["audit", "stats", "--store", &store]);
    let said = said.fails_with("cannot-read");
    assert!(said.contains("TLS: invalid peer certificate: UnknownIssuer") && said.contains("sslrootcert"), "{said}");
}
