//! The transport to Vault, with every default replaced that is not for us.
//!
//! No redirect is followed, no variable is read, every certificate is checked, and everything has its
//! time.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::credentials::unavailable::Unavailable;
use crate::policy::set::Vault as Declared;

/// The files that the policy names for TLS, as they were read.
#[derive(Default)]
pub struct Tls {
    /// The certificate authorities, PEM. Then only these are trusted; otherwise those of the system.
    pub ca: Option<Vec<u8>>,
    /// The client certificate and its key, PEM.
    pub identity: Option<SecretString>,
}

impl Tls {
    /// Reads the files that a policy names.
    ///
    /// # Errors
    ///
    /// The file that cannot be read, and why.
    pub fn read(
        declared: &Declared,
        file: impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, (String, std::io::Error)> {
        let read = |path: &Option<String>| {
            let read = |path: &String| file(path).map_err(|error| (path.clone(), error));
            path.as_ref().map(read).transpose()
        };
        let identity = read(&declared.identity_file)?.map(Zeroizing::new);
        let identity = identity.map(|pem| SecretString::from(String::from_utf8_lossy(&pem).as_ref()));
        Ok(Self { ca: read(&declared.ca_file)?, identity })
    }

    /// A client that waits so long for a connection, and so long for an answer. What is only asked in the clear, on
    /// this machine, needs nobody's certificate.
    pub(super) fn client(
        &self,
        clear: bool,
        connect: Duration,
        request: Duration,
    ) -> Result<reqwest::Client, Unavailable> {
        // Another's choice of cryptography, made earlier in the process, stays.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .tls_danger_accept_invalid_certs(false)
            .connect_timeout(connect)
            .timeout(request);
        if let Some(ca) = &self.ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca).map_err(|_| Unavailable::Tls)?;
            if roots.is_empty() {
                return Err(Unavailable::Tls);
            }
            builder = builder.tls_certs_only(roots);
        } else if clear {
            builder = builder.tls_certs_only([]);
        }
        if let Some(identity) = &self.identity {
            let pem = identity.expose_secret().as_bytes();
            builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(|_| Unavailable::Tls)?);
        }
        builder.build().map_err(|_| Unavailable::Tls)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("ca", &self.ca.is_some()).field("identity", &self.identity.is_some()).finish()
    }
}

/// `https` to anywhere, or `http` to this machine; no credentials and nothing behind the host.
pub(super) fn is_allowed(address: &reqwest::Url) -> bool {
    let own = address.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let scheme = address.scheme() == "https" || (address.scheme() == "http" && own);
    let bare = address.username().is_empty() && address.password().is_none() && address.query().is_none();
    scheme && bare && address.fragment().is_none()
}

/// Whether a text can be the value of a header.
pub(super) fn is_header(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}
