//! What is behind a door: how it is reached, what it is shown, and what it may ask of clients.

use super::fields::{Fields, Reader, owned};
use super::places::{is_variable, leak, url};
use crate::diagnostics::{Code, Diagnostic};
use crate::policy::argument::{HostPattern, sorted};
use crate::policy::name::quoted;
use crate::policy::secret;
use crate::policy::set::{ClientRequests, Upstream, UpstreamTls};

pub(super) fn upstream(reader: &mut Reader<'_>, fields: Fields<'_>) -> Upstream {
    let command = fields.get("command").map(|node| (reader.string_list(node, "command"), node.span));
    match (url(reader, fields, "url"), command) {
        (Some(url), Some((_, span))) => {
            let problem = Diagnostic::new(Code::InvalidValue, "the server has a `url` and a `command`")
                .at(span, "")
                .also(url.span, "the other way to reach it")
                .help("keep the one by which it is reached");
            reader.report(problem);
            Upstream::Url(url.value.to_owned())
        }
        (Some(url), None) => Upstream::Url(url.value.to_owned()),
        (None, Some((command, span))) => {
            for part in &command {
                leak(reader, part.span, secret::in_argument(part.value));
            }
            if command.first().is_none_or(|program| program.value.is_empty()) {
                reader.invalid(
                    Code::InvalidValue,
                    span,
                    "the command names no program",
                    "write `[\"program\", \"argument\"]`",
                );
            }
            Upstream::Command(owned(&command))
        }
        // A value of another type has been reported.
        (None, None) if fields.get("url").is_some() => Upstream::Url(String::new()),
        (None, None) => {
            let help = "add `url = \"http://127.0.0.1:9001/mcp\"`, or `command = [\"program\"]` for a child process";
            reader.invalid(Code::MissingKey, fields.span(), "a server needs `url` or `command`", help);
            Upstream::Url(String::new())
        }
    }
}

/// The names of variables for a child process.
pub(super) fn environment(reader: &mut Reader<'_>, fields: Fields<'_>) -> Vec<String> {
    let names = reader.strings(fields, "environment").unwrap_or_default();
    if let (Some(node), None) = (fields.get("environment"), fields.get("command")) {
        let help = "remove it: a server with a `url` has an environment of its own";
        reader.invalid(Code::InvalidValue, node.span, "`environment` is for servers with a `command`", help);
    }
    for at in &names {
        if !is_variable(at.value) {
            let message = format!("`{}` cannot name a variable", quoted(at.value));
            let help = "write names only, as in `[\"NODE_PATH\"]`; their values are the gateway's own";
            reader.invalid(Code::InvalidValue, at.span, message, help);
        }
    }
    sorted(owned(&names))
}

/// TLS to a server that has a URL.
pub(super) fn tls(reader: &mut Reader<'_>, fields: Fields<'_>) -> UpstreamTls {
    let Some(node) = fields.get("tls") else { return UpstreamTls::default() };
    if fields.get("url").is_none() {
        let help = "remove it: a program is spoken to over stdin and stdout";
        reader.invalid(Code::InvalidValue, node.span, "`tls` is for servers with a `url`", help);
    }
    let Some(fields) = reader.table(node, "tls", "TLS to a server", &["ca_file", "identity_file"]) else {
        return UpstreamTls::default();
    };
    let mut file = |key| {
        let at = reader.text(fields, key)?;
        (!leak(reader, at.span, secret::is_token(at.value))).then(|| at.value.to_owned())
    };
    UpstreamTls { ca_file: file("ca_file"), identity_file: file("identity_file") }
}

/// What a server may ask of clients.
pub(super) fn client(reader: &mut Reader<'_>, fields: Fields<'_>) -> ClientRequests {
    let keys = &["sampling", "elicitation", "elicitation_hosts", "roots"];
    let node = fields.get("client");
    let Some(fields) = node.and_then(|node| reader.table(node, "client", "what clients may be asked", keys)) else {
        return ClientRequests::default();
    };
    let mut is = |key| reader.boolean(fields, key).is_some_and(|at| at.value);
    let (sampling, elicitation, roots) = (is("sampling"), is("elicitation"), is("roots"));
    let mut hosts = Vec::new();
    for at in reader.strings(fields, "elicitation_hosts").unwrap_or_default() {
        match HostPattern::new(at.value) {
            Some(host) => hosts.push(host),
            None => {
                let message = format!("`elicitation_hosts` cannot hold `{}`", quoted(at.value));
                let help = "write `example.com`, or `*.example.com` for all below it";
                reader.invalid(Code::InvalidValue, at.span, message, help);
            }
        }
    }
    if let (false, Some(node)) = (elicitation, fields.get("elicitation_hosts")) {
        let help = "add `elicitation = true`, or remove the hosts";
        reader.invalid(Code::InvalidValue, node.span, "the server may not ask users, so it sends them nowhere", help);
    }
    ClientRequests { sampling, elicitation, elicitation_hosts: sorted(hosts), roots }
}
