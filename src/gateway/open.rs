//! From a policy to the parts of a gateway: servers, keys, audit log.
//!
//! Everything that would fail later and can be known now is a refusal to start. The environment and
//! files are read here and nowhere else in the gateway.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::door::Upstream;
use super::run::Gateway;
use super::settings::{Overrides, Refusal, Settings};
use super::upstream::stdio::{Limits as StdioLimits, Program, Stdio};
use super::upstream::{Bearer, Http, Patience};
use super::watched::Watched;
use crate::audit::{Journal, JournalOptions, Log};
use crate::identity::fetch::{MAX_DOCUMENT, Web};
use crate::identity::{Fetch, Limits as KeyLimits, Verifier};
use crate::model::Timestamp;
use crate::pep::{ClientFeatures, Guard, Limits, Surroundings};
use crate::policy::CompiledPolicy;
use crate::policy::set::{Credential, Server, Upstream as Declared};

/// What a child gets of the gateway's environment without being named in the policy.
const ENVIRONMENT: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "TMPDIR", "TZ"];
/// The longest line that a child may say, in bytes. A line is one message.
const LONGEST_LINE: usize = 16 << 20;

/// What opens a gateway besides its policy.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where relative paths of the policy begin.
    pub directory: PathBuf,
    /// What the command line says in place of the policy.
    pub overrides: Overrides,
    /// The file of the audit log.
    pub audit: PathBuf,
    /// How long servers may take.
    pub patience: Patience,
}

/// Opens the gateway of a policy. Must be called within a tokio runtime.
///
/// # Errors
///
/// Everything that is impossible, unsafe or not there yet, all at once.
pub fn open(policy: CompiledPolicy, options: &Options) -> Result<Gateway, Vec<Refusal>> {
    let set = policy.set().clone();
    let mut refusals = Vec::new();
    let settings = Settings::new(&set.gateway, &options.overrides, &options.directory);
    if set.servers.is_empty() {
        refusals.push(Refusal::new("no-server", "the policy has no server", "add one: `[servers.NAME]` with a `url`"));
    }
    let mut upstreams = Vec::new();
    for (name, server) in &set.servers {
        match upstream(name, server, set.gateway.danger_plain_http, options) {
            Ok(upstream) => upstreams.push((name.clone(), upstream)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let settings = match settings {
        Ok(settings) if refusals.is_empty() => settings,
        Ok(_) => return Err(refusals),
        Err(more) => {
            refusals.extend(more);
            return Err(refusals);
        }
    };
    let journal = Journal::open(&options.audit, &JournalOptions::default()).map_err(|error| {
        vec![Refusal::new(
            error.code(),
            error.to_string(),
            "let this user write there, or name another file with --audit",
        )]
    })?;
    let log = Arc::new(Watched::new(Arc::new(journal)));
    let fetch: Arc<dyn Fetch> = Arc::new(Web::new(keys_of(options.directory.clone())));
    let verifier = Verifier::new(&set, fetch, KeyLimits::default());
    let seal = random::<32>().ok_or_else(|| {
        vec![Refusal::new("no-randomness", "the system gives no random bytes", "try again when it does")]
    })?;
    let surroundings = Surroundings {
        clock: Arc::new(now),
        ids: Arc::new(request_id),
        key: seal,
        limits: Limits::default(),
        features: ClientFeatures::default(),
    };
    let watched: Arc<dyn Log> = Arc::clone(&log) as Arc<dyn Log>;
    let guard = Guard::new(policy, verifier, watched, surroundings);
    Gateway::bind(guard, log, upstreams, settings).map_err(|refusal| vec![refusal])
}

fn upstream(name: &str, server: &Server, plain: bool, options: &Options) -> Result<Upstream, Refusal> {
    let later = || {
        let message = format!("`servers.{name}` has a credential from Vault, which `serve` cannot fetch yet");
        Refusal::new(
            "credential-unsupported",
            message,
            "use `{ env = \"NAME\" }` or `{ file = \"PATH\" }` until it can",
        )
    };
    if !server.placement.is_default() {
        // Sending it elsewhere than the policy says would be worse than not starting.
        return Err(Refusal::new(
            "credential-unsupported",
            format!("`servers.{name}` says where its credential goes, which `serve` cannot follow yet"),
            "remove `header`, `variable` and `fields` until it can",
        ));
    }
    match &server.upstream {
        Declared::Url(url) => {
            let bearer = match &server.credential {
                Credential::None => Bearer::none(),
                Credential::Vault { .. } => return Err(later()),
                Credential::Reference(reference) => bearer(name, reference, options)?,
            };
            if !matches!(server.credential, Credential::None) && !plain && crosses_in_the_clear(url) {
                return Err(Refusal::new(
                    "plain-http",
                    format!("the credential of `servers.{name}` would cross the network in the clear"),
                    "use an `https` URL, or set `danger_plain_http = true` in [gateway]",
                ));
            }
            let http = Http::new(url, bearer, options.patience).map_err(|bad| {
                Refusal::new(
                    "upstream-url",
                    format!("`servers.{name}` cannot be reached: {}", bad.message),
                    "mend its `url`",
                )
            })?;
            Ok(Upstream::Http(http))
        }
        Declared::Command(argv) => {
            let mut environment: Vec<(String, String)> = Vec::new();
            let mut inherit = |variable: &str| {
                let value = std::env::var(variable).ok()?;
                environment.push((variable.to_owned(), value));
                Some(())
            };
            for variable in ENVIRONMENT {
                let _ = inherit(variable);
            }
            let credential = match &server.credential {
                Credential::None => None,
                Credential::Vault { .. } => return Err(later()),
                // A child gets the variable itself, under its own name: nobody can send it a header.
                Credential::Reference(reference) => match reference.split_once(':') {
                    Some(("env", variable)) => Some(variable),
                    _ => {
                        let message = format!("`servers.{name}` is a program and has a credential from a file");
                        let help =
                            "use `{ env = \"NAME\" }`: the program gets the variable, or let it read the file itself";
                        return Err(Refusal::new("credential-unsupported", message, help));
                    }
                },
            };
            for variable in server.environment.iter().map(String::as_str).chain(credential) {
                if inherit(variable).is_none() {
                    return Err(unset(name, variable));
                }
            }
            let program = Program { door: name.into(), argv: argv.clone(), environment, longest_line: LONGEST_LINE };
            Ok(Upstream::Stdio(Stdio::new(program, StdioLimits::default(), options.patience)))
        }
    }
}

fn bearer(name: &str, reference: &str, options: &Options) -> Result<Bearer, Refusal> {
    match reference.split_once(':') {
        Some(("env", variable)) => {
            let secret = std::env::var(variable).map_err(|_| unset(name, variable))?;
            Bearer::fixed(&secret).map_err(|bad| {
                let message =
                    format!("the credential of `servers.{name}` in `{variable}` cannot be used: {}", bad.message);
                Refusal::new("credential-unavailable", message, "put the bare token there")
            })
        }
        Some(("file", path)) => Ok(Bearer::file(options.directory.join(path))),
        _ => {
            let message = format!("the credential of `servers.{name}` is kept where `serve` cannot read");
            Err(Refusal::new("credential-unsupported", message, "use `{ env = \"NAME\" }` or `{ file = \"PATH\" }`"))
        }
    }
}

fn unset(name: &str, variable: &str) -> Refusal {
    let message = format!("`servers.{name}` needs the variable `{variable}`, which is not set or is not UTF-8");
    Refusal::new("credential-unavailable", message, "set it for the gateway")
}

/// Whether a request to that URL leaves this machine without TLS.
fn crosses_in_the_clear(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return true };
    let host = url.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let own = address.map_or(host == "localhost", |address| address.is_loopback());
    url.scheme_str() != Some("https") && !own
}

/// Reads the file of a `jwks_file`, no more than may be looked at.
fn keys_of(directory: PathBuf) -> impl Fn(&str) -> std::io::Result<Vec<u8>> + Send + Sync + 'static {
    move |path| {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(directory.join(Path::new(path)))?;
        // One byte more than may be, so that too long is seen to be too long.
        file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Random bytes of the system.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// 64 random bits in hexadecimal. Requests are told apart by it; nothing is kept secret by it.
fn request_id() -> String {
    format!("{:016x}", u64::from_be_bytes(random().unwrap_or_default()))
}
