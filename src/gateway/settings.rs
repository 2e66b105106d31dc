//! Where the gateway listens and whom it lets in, from the policy and the command line.
//!
//! What is unsafe or impossible is refused here, before anything is bound. Nothing is repaired.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use crate::policy::set::{Gateway, GatewayLimits, Tls};

/// Where health and metrics are when nobody says.
const ADMIN: &str = "127.0.0.1:8788";

/// Why the gateway does not start: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }

    /// There is nothing to guard.
    pub(super) fn no_server() -> Self {
        Self::new("no-server", "the policy has no server", "add one: `[servers.NAME]` with a `url`")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.message, self.code, self.help)
    }
}

/// What the command line may say in place of the policy.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Where callers reach the gateway.
    pub listen: Option<String>,
    /// Where health, metrics and control are.
    pub admin: Option<String>,
    /// The store of the audit log, as the policy would name it.
    pub audit: Option<String>,
    /// The key that signs its seals, as the policy would refer to it.
    pub signing_key: Option<String>,
}

/// Bounds of everything that callers can make grow before they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Requests at once, each until the end of its answer.
    pub requests: usize,
    /// How long the head of a request may take to come.
    pub head_time: Duration,
    /// How long a caller may take nothing of its answer.
    pub stall_time: Duration,
    /// The longest head, in bytes.
    pub head: usize,
    /// The most header lines.
    pub lines: usize,
    /// The longest path and query, in bytes.
    pub path: usize,
    /// How long requests may go on after the gateway was told to stop.
    pub drain: Duration,
}

impl Default for Bounds {
    /// 32 KiB for a head of at most 64 lines, 4 KiB for a path; the rest as a policy that does not say it.
    fn default() -> Self {
        Self::of(&GatewayLimits::default())
    }
}

impl Bounds {
    fn of(limits: &GatewayLimits) -> Self {
        let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            connections: count(limits.connections),
            requests: count(limits.requests),
            head_time: seconds(limits.head_time),
            stall_time: seconds(limits.stall_time),
            drain: seconds(limits.drain_time),
            head: 32 * 1024,
            lines: 64,
            path: 4096,
        }
    }
}

/// Where the gateway is, once that is known to be possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where callers reach it.
    pub listen: SocketAddr,
    /// Where health, metrics and control are.
    pub admin: Admin,
    /// The files for TLS, their paths resolved.
    pub tls: Option<TlsFiles>,
    /// Whom it lets in.
    pub names: Names,
    /// Bounds.
    pub bounds: Bounds,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// On the loopback, where everybody on this machine gets.
    Tcp(SocketAddr),
    /// A socket in the file system, for its owner alone.
    Unix(PathBuf),
}

impl Admin {
    fn new(text: &str, directory: &Path) -> Result<Self, Refusal> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(directory.join(path)));
        }
        let address = resolve(text)?;
        if address.ip().is_loopback() {
            return Ok(Self::Tcp(address));
        }
        Err(Refusal::new(
            "admin-address",
            format!("`{address}` is not on the loopback, and health and metrics ask nobody who they are"),
            "let `admin` be on 127.0.0.1 or `unix:PATH`, and forward it by what guards that network",
        ))
    }
}

/// The files that TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of callers' certificates.
    pub client_ca: Option<PathBuf>,
}

/// Under which names the gateway may be called, and from which pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
}

impl Settings {
    /// Reads them. Relative paths lie in `directory`.
    ///
    /// # Errors
    ///
    /// Everything that is impossible or would let a token cross a network in the clear.
    pub fn new(gateway: &Gateway, overrides: &Overrides, directory: &Path) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let listen = resolve(overrides.listen.as_deref().unwrap_or(&gateway.listen));
        let admin = if gateway.admin.is_empty() { ADMIN } else { &gateway.admin };
        let admin = Admin::new(overrides.admin.as_deref().unwrap_or(admin), directory);
        refusals.extend(listen.as_ref().err().cloned());
        refusals.extend(admin.as_ref().err().cloned());
        if let Ok(listen) = &listen
            && !listen.ip().is_loopback()
            && gateway.tls.is_none()
            && !gateway.danger_plain_http
        {
            refusals.push(Refusal::new(
                "plain-http",
                format!(
                    "`{listen}` is not on the loopback and has no TLS, so tokens would cross the network in the clear"
                ),
                "add `tls` to [gateway], or set `danger_plain_http = true` behind a proxy that ends TLS",
            ));
        }
        match (listen, admin) {
            (Ok(listen), Ok(admin)) if refusals.is_empty() => Ok(Self {
                listen,
                admin,
                tls: gateway.tls.as_ref().map(|tls| TlsFiles::of(tls, directory)),
                names: Names::of(gateway),
                bounds: Bounds::of(&gateway.limits),
            }),
            _ => Err(refusals),
        }
    }
}

fn resolve(text: &str) -> Result<SocketAddr, Refusal> {
    let refused = || {
        let help = "write `HOST:PORT` with a host of this machine, as in `127.0.0.1:8787`";
        Refusal::new("address", format!("`{text}` is no address"), help)
    };
    text.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(refused)
}

impl TlsFiles {
    fn of(tls: &Tls, directory: &Path) -> Self {
        Self {
            certificate: directory.join(&tls.certificate_file),
            key: directory.join(&tls.key_file),
            client_ca: tls.client_ca_file.as_ref().map(|file| directory.join(file)),
        }
    }
}

impl Names {
    /// Those of this machine, seen from itself.
    pub(super) fn loopback() -> Self {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        Self { hosts, origins: BTreeSet::new() }
    }

    fn of(gateway: &Gateway) -> Self {
        let Self { mut hosts, .. } = Self::loopback();
        hosts.extend(gateway.hosts.iter().map(|host| host.to_ascii_lowercase()));
        let url: Option<Uri> = gateway.url.parse().ok();
        hosts.extend(url.as_ref().and_then(Uri::host).map(str::to_ascii_lowercase));
        let mut origins: BTreeSet<String> = gateway.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        if let Some((scheme, authority)) = url.as_ref().and_then(|url| Some((url.scheme_str()?, url.authority()?))) {
            origins.insert(format!("{scheme}://{authority}").to_ascii_lowercase());
        }
        Self { hosts, origins }
    }

    /// Whether the gateway may be called so (`Host`). A name stands for all its ports unless it has one.
    pub fn is_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
            _ => &host,
        };
        self.hosts.contains(name) || self.hosts.contains(&host)
    }

    /// Whether a page of that origin may call (`Origin`): one that is named, or that came from here.
    pub fn is_origin(&self, origin: &str, host: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        own || self.origins.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> Gateway {
        Gateway { listen: "127.0.0.1:0".into(), url: "https://MCP.example.com".into(), ..Gateway::default() }
    }

    #[test]
    fn tokens_cross_a_network_in_the_clear_only_when_someone_says_so() {
        let open = Gateway { listen: "0.0.0.0:0".into(), ..gateway() };
        let codes = |gateway: &Gateway| {
            let made = Settings::new(gateway, &Overrides::default(), Path::new("/"));
            made.map(|_| ()).map_err(|refusals| refusals.iter().map(|r| r.code).collect::<Vec<_>>())
        };
        assert_eq!(codes(&gateway()), Ok(()));
        assert_eq!(codes(&open), Err(vec!["plain-http"]));
        assert_eq!(codes(&Gateway { danger_plain_http: true, ..open.clone() }), Ok(()));
        assert_eq!(codes(&Gateway { tls: Some(Tls::default()), ..open }), Ok(()));
        assert_eq!(codes(&Gateway { admin: "0.0.0.0:1".into(), ..gateway() }), Err(vec!["admin-address"]));
        assert_eq!(codes(&Gateway { listen: "no such host:1".into(), ..gateway() }), Err(vec!["address"]));
    }

    #[test]
    fn a_name_that_an_attacker_points_here_is_not_ours() {
        let names = Names::of(&Gateway { hosts: vec!["gw.internal:8443".into()], ..gateway() });
        for host in
            ["mcp.example.com", "MCP.example.com:443", "localhost:8787", "127.0.0.1", "[::1]:1", "gw.internal:8443"]
        {
            assert!(names.is_host(host), "{host}");
        }
        for host in
            ["evil.example", "gw.internal", "mcp.example.com.evil.example", "127.0.0.1.nip.io", "", ":1", "localhost:x"]
        {
            assert!(!names.is_host(host), "{host}");
        }
        assert!(names.is_origin("https://mcp.example.com", "localhost:1"));
        assert!(names.is_origin("http://localhost:1", "localhost:1"));
        for origin in ["null", "https://evil.example", "http://localhost:2", "https://mcp.example.com.evil.example"] {
            assert!(!names.is_origin(origin, "localhost:1"), "{origin}");
        }
    }
}
