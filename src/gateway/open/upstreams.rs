//! The servers of a policy, each as what stands behind its door.

use super::Options;
use crate::gateway::door::Upstream;
use crate::gateway::settings::Refusal;
use crate::gateway::upstream::stdio::{Limits as StdioLimits, Program, Stdio};
use crate::gateway::upstream::{Bearer, Http};
use crate::policy::set::{Credential, PolicySet, Server, Upstream as Declared};

/// What a child gets of the gateway's environment without being named in the policy.
const ENVIRONMENT: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "TMPDIR", "TZ"];
/// The longest line that a child may say, in bytes. A line is one message.
const LONGEST_LINE: usize = 16 << 20;

/// What is behind each door, or all that is wrong with them.
pub(super) fn find(set: &PolicySet, options: &Options) -> Result<Vec<(String, Upstream)>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut upstreams = Vec::new();
    for (name, server) in &set.servers {
        match upstream(name, server, set.gateway.danger_plain_http, options) {
            Ok(upstream) => upstreams.push((name.clone(), upstream)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(upstreams) } else { Err(refusals) }
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
