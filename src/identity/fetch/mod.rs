//! How the keys of an issuer come to be here.
//!
//! The key ring asks for a [`Place`] and gets bytes or a [`FetchError`]. It never opens a file or a
//! connection itself, so that whoever embeds the crate says how that is done.

mod addresses;
mod web;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::identity::refused::refusals;

pub use web::Web;

/// The largest document that is read, in bytes: metadata or a JWK set.
pub const MAX_DOCUMENT: usize = 256 * 1024;

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A file, as the policy names it.
    File(String),
    /// A URL, and which addresses may be behind it.
    Url(String, Network),
}

/// Which addresses the host of a URL may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Those of the public Internet, by `https` only.
    #[default]
    Public,
    /// Those and the networks of an organisation (RFC 1918, RFC 4193, RFC 6598), by `https` only. Never
    /// this machine, its link or the metadata service of a cloud.
    Private,
    /// This machine and nothing else; plain `http` too. For URLs whose host the policy writes as
    /// `localhost`, `127.0.0.0/8` or `[::1]`.
    Loopback,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File(place) | Self::Url(place, _)) = self;
        f.write_str(place)
    }
}

/// A document as it came.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Its bytes, at most [`MAX_DOCUMENT`].
    pub bytes: Vec<u8>,
    /// For how long its source says that it stays as it is (`Cache-Control: max-age`).
    pub fresh_for: Option<Duration>,
}

/// A source of documents.
pub trait Fetch: Send + Sync + 'static {
    /// Gets a document. The ring bounds the time that this takes.
    fn fetch<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// Documents that are all known beforehand, for use without files and network.
#[derive(Clone, Debug, Default)]
pub struct Given(pub BTreeMap<Place, Vec<u8>>);

impl Fetch for Given {
    fn fetch<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let found = self.0.get(place).map(|bytes| Fetched { bytes: bytes.clone(), fresh_for: None });
        Box::pin(std::future::ready(found.ok_or(FetchError::NotFound)))
    }
}

refusals! {
    /// Why the keys of an issuer could not be had. For the operator; a caller learns only that there
    /// are none.
    FetchError:
    /// Not `https`, and not `http` to this machine; or with credentials in it.
    Url = "keys-url-refused", "the URL is not `https`, names another machine than this one by `http`, or holds credentials";
    /// The host has an address that may not be asked.
    Address = "keys-address-refused", "the host has an address that its issuer may not have; for one on a private network write `network = \"private\"`";
    /// No connection, or it broke.
    Unreachable = "keys-unreachable", "the host cannot be reached";
    /// No answer in time.
    TimedOut = "keys-timed-out", "the answer took too long";
    /// No such document: a status from 400 to 499, or no such file.
    NotFound = "keys-not-found", "there is no document at that place";
    /// Another status than 200.
    Answer = "keys-status", "the answer has another status than 200";
    /// A redirect, which is never followed.
    Redirect = "keys-redirected", "the answer is a redirect, which is never followed";
    /// More than [`MAX_DOCUMENT`] bytes.
    TooLarge = "keys-too-large", "the document is too large";
    /// Not JSON by its `Content-Type`.
    ContentType = "keys-content-type", "the answer is not JSON";
    /// A file that cannot be read.
    File = "keys-file-unreadable", "the file cannot be read";
    /// Metadata that is no JSON object or lacks `issuer` or `jwks_uri`.
    Metadata = "keys-metadata-malformed", "the issuer's metadata lacks what it must have";
    /// Metadata of another issuer.
    Issuer = "keys-metadata-issuer", "the metadata's `issuer` is not exactly the `url` that the policy declares";
    /// Not a JWK set.
    Keys = "keys-malformed", "the document is no JWK set";
    /// Whatever fetches cannot be run: there is no runtime, or it is shutting down.
    Stopped = "keys-stopped", "fetching was stopped";
}
