//! Documents by HTTPS, asked for so that nobody else chooses what is asked.
//!
//! No redirect is followed, no proxy is taken from the environment, no cookie is kept and no
//! credential is sent. A name is resolved once, each of its addresses is judged, and the connection
//! goes to those addresses and not to what the name may mean a moment later.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response, Url, redirect};

use super::addresses::allows;
use super::{Fetch, FetchError, Fetched, MAX_DOCUMENT, Network, Place};
use crate::identity::ensure_crypto;

/// The longest URL that is asked.
const MAX_URL: usize = 2048;
/// The longest that a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest that an answer may take, all of it.
const ANSWER: Duration = Duration::from_secs(10);

/// How a file is read. Must not read more than [`MAX_DOCUMENT`] bytes.
type ReadFile = dyn Fn(&str) -> io::Result<Vec<u8>> + Send + Sync;
/// How the addresses of a name are found.
type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Fetches by HTTPS, and files by what it is handed.
#[derive(Clone)]
pub struct Web {
    read: Arc<ReadFile>,
    look_up: Arc<LookUp>,
    clients: Arc<[OnceLock<Client>; 4]>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

impl Web {
    /// Fetches by HTTPS, with the names and the root certificates of this system. `read` reads the
    /// file of a `jwks_file`, at most [`MAX_DOCUMENT`] bytes of it; it runs where it may block.
    pub fn new(read: impl Fn(&str) -> io::Result<Vec<u8>> + Send + Sync + 'static) -> Self {
        ensure_crypto();
        let look_up = |name: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Self { read: Arc::new(read), look_up: Arc::new(look_up), clients: Arc::default() }
    }

    /// Finds the addresses of names in another way. They are judged all the same.
    #[must_use]
    pub fn looking_up(
        self,
        look_up: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { look_up: Arc::new(look_up), clients: Arc::default(), ..self }
    }

    /// The client for a network, made when it is first needed: it loads the root certificates, but for what is asked
    /// in the clear.
    fn client(&self, network: Network, plain: bool) -> Result<&Client, FetchError> {
        let [public, private, loopback, clear] = &*self.clients;
        let slot = match network {
            Network::Public => public,
            Network::Private => private,
            Network::Loopback if plain => clear,
            Network::Loopback => loopback,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let builder = if plain { Client::builder().tls_certs_only([]) } else { Client::builder() };
        let client = builder
            .https_only(network != Network::Loopback)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Judged { network, look_up: Arc::clone(&self.look_up) }))
            .build()
            .map_err(|_| FetchError::Stopped)?;
        Ok(slot.get_or_init(|| client))
    }

    async fn url(&self, url: &str, network: Network) -> Result<Fetched, FetchError> {
        let url = judged(url, network)?;
        let request = self.client(network, url.scheme() == "http")?.get(url).header(ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| failed(&error))?;
        match response.status().as_u16() {
            200 => {}
            300..=399 => return Err(FetchError::Redirect),
            400..=499 => return Err(FetchError::NotFound),
            _ => return Err(FetchError::Answer),
        }
        if !is_json(response.headers()) {
            return Err(FetchError::ContentType);
        }
        let fresh_for = fresh_for(response.headers());
        Ok(Fetched { bytes: body(response).await?, fresh_for })
    }

    async fn file(&self, path: &str) -> Result<Fetched, FetchError> {
        let (read, path) = (Arc::clone(&self.read), path.to_owned());
        let read = tokio::task::spawn_blocking(move || read(&path)).await.map_err(|_| FetchError::Stopped)?;
        let bytes = read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FetchError::NotFound,
            io::ErrorKind::FileTooLarge => FetchError::TooLarge,
            _ => FetchError::File,
        })?;
        Ok(Fetched { bytes, fresh_for: None })
    }
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            match place {
                Place::File(path) => self.file(path).await,
                Place::Url(url, network) => self.url(url, *network).await,
            }
        })
    }
}

/// A URL that may be asked, unless its name turns out to be at a wrong address.
fn judged(text: &str, network: Network) -> Result<Url, FetchError> {
    if text.len() > MAX_URL {
        return Err(FetchError::Url);
    }
    let url = Url::parse(text).map_err(|_| FetchError::Url)?;
    let scheme = match url.scheme() {
        "https" => true,
        "http" => network == Network::Loopback,
        _ => false,
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FetchError::Url)?;
    if !scheme || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(FetchError::Url);
    }
    // An address in the place of a name is never resolved, so it is judged here. The parser has
    // brought every spelling of one (octal, hexadecimal, one number) to its plain form.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) if !allows(network, address) => Err(FetchError::Address),
        _ => Ok(url),
    }
}

/// A resolver that gives addresses of one network only.
struct Judged {
    network: Network,
    look_up: Arc<LookUp>,
}

impl reqwest::dns::Resolve for Judged {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (network, found) = (self.network, (self.look_up)(name.as_str().to_owned()));
        Box::pin(async move {
            let addresses = found.await?;
            // One that may not be asked speaks against the name, not only against itself.
            if addresses.is_empty() || !addresses.iter().all(|address| allows(network, *address)) {
                return Err(FetchError::Address.into());
            }
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as reqwest::dns::Addrs)
        })
    }
}

/// What an error of the client comes down to.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<FetchError>() {
            return *own;
        }
        cause = current.source();
    }
    if error.is_timeout() { FetchError::TimedOut } else { FetchError::Unreachable }
}

/// Whether the answer says that it is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The `max-age` of `Cache-Control` (RFC 9111 section 5.2.2); none at all for what may not be kept.
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let mut fresh = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            let seconds = directive.strip_prefix("max-age=").map(|age| age.trim_matches('"').parse());
            if let Some(Ok(seconds)) = seconds {
                fresh = Some(Duration::from_secs(seconds));
            }
        }
    }
    fresh
}

/// The whole body, if it is not too large.
async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let announced = response.content_length().is_some_and(|length| length > MAX_DOCUMENT as u64);
    if announced {
        return Err(FetchError::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if bytes.len().saturating_add(chunk.len()) > MAX_DOCUMENT {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_may_not_be_asked_is_refused_before_any_name_is_resolved() {
        let of = |url: &str, network| judged(url, network).map(|_| ());
        for url in ["https://login.example.com", "https://8.8.8.8/keys", "https://login.example.com:8443/a?b=c"] {
            assert_eq!(of(url, Network::Public), Ok(()), "{url}");
        }
        for url in [
            "http://login.example.com",
            "ftp://login.example.com",
            "file:///etc/passwd",
            "data:application/json,{}",
            "https://user@login.example.com",
            "https://user:secret@login.example.com",
            "https://login.example.com/#x",
            "https://",
            "login.example.com",
            "",
        ] {
            assert_eq!(of(url, Network::Public), Err(FetchError::Url), "{url}");
        }
        for url in [
            "https://127.0.0.1",
            "https://127.1",
            "https://0x7f.1",
            "https://2130706433",
            "https://0177.0.0.1",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1",
            "https://[fd00:ec2::254]",
        ] {
            assert_eq!(of(url, Network::Public), Err(FetchError::Address), "{url}");
        }
        assert_eq!(of("https://10.0.0.1", Network::Private), Ok(()));
        assert_eq!(of("http://10.0.0.1", Network::Private), Err(FetchError::Url));
        assert_eq!(of("https://127.0.0.1", Network::Private), Err(FetchError::Address));
        assert_eq!(of("http://127.0.0.1:8788/x", Network::Loopback), Ok(()));
        assert_eq!(of("http://10.0.0.1", Network::Loopback), Err(FetchError::Address));
        assert_eq!(of("https://8.8.8.8", Network::Loopback), Err(FetchError::Address));
    }

    #[test]
    fn how_long_an_answer_is_fresh_is_read_from_its_header() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            fresh_for(&headers).map(|fresh| fresh.as_secs())
        };
        assert_eq!(of("public, max-age=600, must-revalidate"), Some(600));
        assert_eq!(of("Max-Age=\"30\""), Some(30));
        assert_eq!(of("max-age=600, no-store"), Some(0));
        assert_eq!((of("max-age=-1"), of("private"), of("max-age=99999999999999999999")), (None, None, None));
    }
}
