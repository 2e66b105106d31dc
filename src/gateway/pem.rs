//! Certificates and keys from PEM files, and what is wrong with them.
//!
//! The error of a key file says what kind of thing it met, never what it holds.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::Refusal;

/// Why a file cannot be used.
pub(super) fn bad(path: &Path, what: impl std::fmt::Display) -> Refusal {
    Refusal::new("tls-file", format!("`{}`: {what}", path.display()), "name a PEM file that this user may read")
}

/// All certificates of a file; there is at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(certificates) if certificates.is_empty() => Err(bad(path, "there is no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(bad(path, error.to_string().to_lowercase())),
    }
}

/// The private key of a file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Refusal> {
    PrivateKeyDer::from_pem_file(path).map_err(|_| bad(path, "there is no private key in it"))
}

/// The certificates of a file as the only authorities that are believed.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, Refusal> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, error))?;
    }
    Ok(roots)
}
