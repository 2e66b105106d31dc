//! The servers of a policy, each as what stands behind its door.

use super::issued::Issued;
use super::{Options, trust};
use crate::credentials::Door;
use crate::gateway::door::Upstream;
use crate::gateway::settings::Refusal;
use crate::gateway::upstream::Http;
use crate::gateway::upstream::stdio::{Limits as StdioLimits, Program, Stdio};
use crate::policy::set::{Credential, PolicySet, Server, Upstream as Declared};

/// What a child gets of the gateway's environment without being named in the policy.
const ENVIRONMENT: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "TMPDIR", "TZ"];
/// The longest line that a child may say, in bytes. A line is one message.
const LONGEST_LINE: usize = 16 << 20;

/// What is behind each door, or all that is wrong with them. Without credentials only the latter is of use.
pub(super) fn find(
    set: &PolicySet,
    options: &Options,
    issued: Option<&Issued>,
) -> Result<Vec<(String, Upstream)>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut upstreams = Vec::new();
    for (name, server) in &set.servers {
        match upstream(
            name,
            server,
            set.gateway.danger_plain_http,
            options,
            issued.and_then(|issued| issued.door(name)),
        ) {
            Ok(upstream) => upstreams.push((name.clone(), upstream)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(upstreams) } else { Err(refusals) }
}

fn upstream(
    name: &str,
    server: &Server,
    plain: bool,
    options: &Options,
    credential: Option<Door>,
) -> Result<Upstream, Refusal> {
    // What the environment lacks now it will lack later.
    if let Credential::Reference(reference) = &server.credential
        && let Some(variable) = reference.strip_prefix("env:")
        && std::env::var(variable).is_err()
    {
        return Err(unset(name, variable));
    }
    match &server.upstream {
        Declared::Url(url) => {
            if !matches!(server.credential, Credential::None) && !plain && crosses_in_the_clear(url) {
                return Err(Refusal::new(
                    "plain-http",
                    format!("the credential of `servers.{name}` would cross the network in the clear"),
                    "use an `https` URL, or set `danger_plain_http = true` in [gateway]",
                ));
            }
            let tls = trust::client(url, &server.tls, &options.directory)?;
            let http = Http::with_tls(url, credential, options.patience, tls).map_err(|bad| {
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
            for variable in &server.environment {
                if inherit(variable).is_none() {
                    return Err(unset(name, variable));
                }
            }
            let program = Program { door: name.into(), argv: argv.clone(), environment, longest_line: LONGEST_LINE };
            Ok(Upstream::Stdio(Stdio::new(program, credential, StdioLimits::default(), options.patience)))
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
