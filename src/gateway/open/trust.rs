//! TLS to a server over HTTP: who may vouch for it, and what it is shown.

use std::path::Path;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::gateway::pem;
use crate::gateway::settings::Refusal;
use crate::policy::set::UpstreamTls;

/// What the gateway speaks TLS with to the server at a URL. Paths lie in `directory`. Where no TLS is spoken the
/// certificates of this machine are not asked for: an image may have none.
pub(super) fn client(url: &str, tls: &UpstreamTls, directory: &Path) -> Result<ClientConfig, Refusal> {
    crate::identity::ensure_crypto();
    let builder = ClientConfig::builder();
    let builder = match &tls.ca_file {
        Some(file) => builder.with_root_certificates(pem::authorities(&directory.join(file))?),
        None if is_plain(url) => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_platform_verifier().map_err(|error| {
            let message = format!("the certificates of this machine cannot be read: {error}");
            Refusal::new("tls-file", message, "install them, or name `ca_file` under `tls` of the server")
        })?,
    };
    match &tls.identity_file {
        None => Ok(builder.with_no_client_auth()),
        Some(file) => {
            let path = directory.join(file);
            let shown = builder.with_client_auth_cert(pem::certificates(&path)?, pem::key(&path)?);
            shown.map_err(|error| pem::bad(&path, error))
        }
    }
}

/// Whether a URL is one for plain HTTP.
fn is_plain(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| url.scheme_str() == Some("http"))
}
