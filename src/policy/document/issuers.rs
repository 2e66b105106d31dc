//! `[issuers.NAME]`: who may vouch for a caller.

use std::collections::BTreeMap;

use super::fields::{At, Fields, Reader, listed, owned};
use super::places::url;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::policy::argument::sorted;
use crate::policy::duration::{DURATION_HELP, duration, lifetime};
use crate::policy::loopback::is_loopback;
use crate::policy::name::{is_plain, quoted};
use crate::policy::set::{Algorithm, ClaimMapping, Issuer, KeySource, Network};

const KEYS: [&str; 10] = [
    "url",
    "jwks_url",
    "jwks_file",
    "network",
    "audiences",
    "algorithms",
    "max_lifetime",
    "clock_skew",
    "claims",
    "groups",
];
const MAX_LIFETIME: u32 = 3_600;
const CLOCK_SKEW: u32 = 30;
/// Skew is for clocks, not for tokens of tomorrow.
const MAX_SKEW: u64 = 300;

/// An issuer with its places.
#[derive(Debug)]
pub(crate) struct DeclaredIssuer {
    pub(crate) name: At<String>,
    pub(crate) issuer: Issuer,
    /// The URL's place.
    pub(crate) url: Span,
    /// Its groups, where it lists them.
    pub(crate) groups: Option<Vec<String>>,
}

pub(super) fn issuers(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<DeclaredIssuer> {
    let Some(issuers) = reader.named(root, "issuers") else { return Vec::new() };
    issuers
        .keys()
        .filter_map(|(name, node)| {
            plain_name(reader, name, node.key_span, "an issuer");
            let fields = reader.table(node, name, "an issuer", &KEYS)?;
            Some(issuer(reader, At { value: name.to_owned(), span: node.key_span }, fields))
        })
        .collect()
}

fn issuer(reader: &mut Reader<'_>, name: At<String>, fields: Fields<'_>) -> DeclaredIssuer {
    reader.required(fields, "url", "an issuer", "\"https://login.example.com\"");
    let issuer_url = url(reader, fields, "url");
    let max_lifetime =
        reader.parsed(fields, "max_lifetime", DURATION_HELP, lifetime).map_or(MAX_LIFETIME, |at| at.value);
    let skew = reader.parsed(fields, "clock_skew", "write a duration of at most `5m`", |text| {
        duration(text).filter(|seconds| *seconds <= MAX_SKEW).and_then(|seconds| u32::try_from(seconds).ok())
    });
    if let Some(skew) = skew.as_ref().filter(|skew| skew.value >= max_lifetime) {
        let message = "`clock_skew` is not shorter than `max_lifetime`";
        reader.invalid(
            Code::ContradictoryTtl,
            skew.span,
            message,
            "shorten it: a few seconds are enough for clocks that are kept",
        );
    }
    let network = reader.parsed(fields, "network", "write `public` or `private`", |text| match text {
        "public" => Some(Network::Public),
        "private" => Some(Network::Private),
        _ => None,
    });
    let network = network.map(|at| at.value);
    let keys = keys(reader, fields);
    let by_http = match &keys {
        KeySource::Discovery => issuer_url.as_ref().map(|at| (at.value, at.span)),
        KeySource::Url(url) => fields.get("jwks_url").map(|node| (url.as_str(), node.span)),
        KeySource::File(_) => None,
    };
    if let Some((_, span)) = by_http.filter(|(url, _)| url.starts_with("http://") && !is_loopback(url)) {
        let message = "keys are not fetched by plain `http` from another machine";
        let help = "write `https://`, or name a file with the keys as `jwks_file`";
        reader.invalid(Code::InvalidValue, span, message, help);
    }
    let groups = reader.strings(fields, "groups").map(|list| owned(&list));
    let issuer = Issuer {
        url: issuer_url.as_ref().map_or_else(String::new, |at| at.value.to_owned()),
        keys,
        network: network.unwrap_or_default(),
        audiences: sorted(owned(&reader.strings(fields, "audiences").unwrap_or_default())),
        algorithms: algorithms(reader, fields),
        max_lifetime,
        clock_skew: skew.map_or(CLOCK_SKEW, |at| at.value),
        claims: claims(reader, fields),
    };
    let url = issuer_url.map_or(fields.span(), |at| at.span);
    DeclaredIssuer { name, issuer, url, groups }
}

fn keys(reader: &mut Reader<'_>, fields: Fields<'_>) -> KeySource {
    let file = reader.text(fields, "jwks_file");
    match (url(reader, fields, "jwks_url"), file) {
        (Some(url), Some(file)) => {
            let problem = Diagnostic::new(Code::InvalidValue, "the keys come from two places")
                .at(file.span, "")
                .also(url.span, "the other place")
                .help("keep `jwks_url` or `jwks_file`");
            reader.report(problem);
            KeySource::Discovery
        }
        (Some(url), None) => KeySource::Url(url.value.to_owned()),
        (None, Some(file)) => {
            if file.value.is_empty() {
                reader.invalid(Code::InvalidValue, file.span, "`jwks_file` is empty", "name a file with a JWKS");
            }
            KeySource::File(file.value.to_owned())
        }
        (None, None) => KeySource::Discovery,
    }
}

fn algorithms(reader: &mut Reader<'_>, fields: Fields<'_>) -> Vec<Algorithm> {
    let names: Vec<&str> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
    let Some(list) = reader.strings(fields, "algorithms") else { return vec![Algorithm::EdDSA, Algorithm::ES256] };
    if let (true, Some(node)) = (list.is_empty(), fields.get("algorithms")) {
        reader.invalid(
            Code::InvalidValue,
            node.span,
            "no algorithm is accepted",
            format!("name some of {}", listed(&names)),
        );
    }
    let mut found = Vec::new();
    for item in list {
        match Algorithm::ALL.iter().find(|(name, _)| *name == item.value) {
            Some((_, algorithm)) => found.push(*algorithm),
            None => {
                let help = match reader.suggest(item.value, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it may be {}; symmetric keys and `none` are never accepted", listed(&names)),
                };
                let message = format!("`{}` is not an algorithm that is verified here", quoted(item.value));
                reader.invalid(Code::InvalidValue, item.span, message, help);
            }
        }
    }
    sorted(found)
}

fn claims(reader: &mut Reader<'_>, fields: Fields<'_>) -> ClaimMapping {
    let mut mapping = ClaimMapping {
        groups: Some("groups".to_owned()),
        agent: Some("client_id".to_owned()),
        others: BTreeMap::new(),
    };
    let Some(claims) = reader.named(fields, "claims") else { return mapping };
    for (name, node) in claims.keys() {
        plain_name(reader, name, node.key_span, "a claim");
        let fits = |path: &str| (!path.is_empty() && path.split('.').all(|s| !s.is_empty())).then(|| path.to_owned());
        let Some(path) =
            reader.parsed(claims, name, "write the claim as a dotted path, as in `realm_access.roles`", fits)
        else {
            continue;
        };
        match name {
            "groups" => mapping.groups = Some(path.value),
            "agent" => mapping.agent = Some(path.value),
            other => {
                mapping.others.insert(other.to_owned(), path.value);
            }
        }
    }
    mapping
}

/// Reports a name that references and scopes could not hold.
pub(super) fn plain_name(reader: &mut Reader<'_>, name: &str, span: Span, what: &str) {
    if !is_plain(name) {
        let message = format!("`{}` cannot name {what}", quoted(name));
        reader.invalid(
            Code::InvalidName,
            span,
            message,
            "use letters, digits, `_`, `-` and `.`, not beginning with `.`",
        );
    }
}
