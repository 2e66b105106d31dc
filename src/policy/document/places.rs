//! Where things are: the gateway, Vault, the audit store; and the gate before a rollout.

use std::collections::BTreeMap;

use super::fields::{At, Fields, Reader, owned};
use crate::diagnostics::{Code, Span};
use crate::policy::checks::{Allowance, Rollout};
use crate::policy::duration::{DURATION_HELP, duration};
use crate::policy::name::{is_plain, quoted};
use crate::policy::secret;
use crate::policy::set::{Audit, Gateway, Vault};
use crate::policy::source::{Kind, Node};

const LISTEN: &str = "127.0.0.1:8787";
const URL: &str = "http://127.0.0.1:8787";
const STORE: &str = "sqlite:doorward.db";
/// The audit class of everything that does not say its own.
pub(super) const CLASS: &str = "standard";
const RETENTION: u64 = 90 * 86_400;
const STORE_HELP: &str =
    "write `sqlite:PATH`, `postgres://HOST/DATABASE` without a password, `env:NAME` or `file:PATH`";

pub(super) fn gateway(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Gateway {
    let mut gateway = Gateway { listen: LISTEN.to_owned(), url: URL.to_owned() };
    let fields = node.and_then(|node| reader.table(node, "gateway", "the gateway", &["listen", "url"]));
    if let Some(fields) = fields {
        let listen = reader.parsed(fields, "listen", "write `HOST:PORT`, as in `127.0.0.1:8787`", |text| {
            let (host, port) = text.rsplit_once(':')?;
            let host_fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'@');
            (host_fits && port.parse::<u16>().is_ok()).then(|| text.to_owned())
        });
        gateway.listen = listen.map_or(gateway.listen, |at| at.value);
        if let Some(url) = url(reader, fields, "url") {
            gateway.url = url.value.trim_end_matches('/').to_owned();
        }
    }
    gateway
}

pub(super) fn vault(reader: &mut Reader<'_>, node: &Node<'_>) -> Vault {
    let mut vault = Vault::default();
    if let Some(fields) = reader.table(node, "vault", "Vault", &["address", "namespace"]) {
        reader.required(fields, "address", "Vault", "\"https://vault.example.com\"");
        vault.address = url(reader, fields, "address").map_or_else(String::new, |at| at.value.to_owned());
        vault.namespace = reader.text(fields, "namespace").map(|at| at.value.to_owned());
    }
    vault
}

pub(super) fn audit(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Audit {
    let mut audit = Audit { store: STORE.to_owned(), retention: BTreeMap::new() };
    let fields = node.and_then(|node| reader.table(node, "audit", "the audit log", &["store", "retention"]));
    let retention = fields.and_then(|fields| {
        if let Some(store) = reader.text(fields, "store") {
            if leak(reader, store.span, secret::in_url(store.value)) {
                // Reported.
            } else if is_store(store.value) {
                store.value.clone_into(&mut audit.store);
            } else {
                let message = format!("`store` cannot be `{}`", quoted(store.value));
                reader.invalid(Code::InvalidValue, store.span, message, STORE_HELP);
            }
        }
        reader.named(fields, "retention")
    });
    match retention {
        None => {
            audit.retention.insert(CLASS.to_owned(), RETENTION);
        }
        Some(classes) => {
            for (class, node) in classes.keys() {
                if !is_plain(class) {
                    let message = format!("`{}` cannot name an audit class", quoted(class));
                    reader.invalid(Code::InvalidName, node.key_span, message, "use letters, digits, `_`, `-` and `.`");
                }
                let kept = reader.parsed(classes, class, DURATION_HELP, |text| duration(text).filter(|s| *s > 0));
                audit.retention.insert(class.to_owned(), kept.map_or(RETENTION, |at| at.value));
            }
        }
    }
    audit
}

fn is_store(text: &str) -> bool {
    let after = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    after("sqlite:") || after("postgres://") || after("postgresql://") || is_reference(text)
}

/// Whether a text is `env:NAME`, `file:PATH` or `vault:PATH#FIELD`.
fn is_reference(text: &str) -> bool {
    match text.split_once(':') {
        Some(("env", name)) => is_variable(name),
        Some(("file", path)) => !path.is_empty(),
        Some(("vault", rest)) => {
            rest.split_once('#').is_some_and(|(path, field)| !path.is_empty() && !field.is_empty())
        }
        _ => false,
    }
}

/// Whether a text can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(super) fn rollout(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Rollout {
    let keys = &[
        "recordings",
        "max_newly_denied",
        "max_newly_allowed",
        "max_undecidable",
        "min_events",
        "min_window",
        "require",
    ];
    let Some(fields) = node.and_then(|node| reader.table(node, "rollout", "the rollout", keys)) else {
        return Rollout::default();
    };
    let recordings = reader.strings(fields, "recordings").unwrap_or_default();
    let mut limit = |key| reader.count(fields, key).or(Some(0));
    let (max_newly_denied, max_newly_allowed) = (limit("max_newly_denied"), limit("max_newly_allowed"));
    let max_undecidable = match fields.get("max_undecidable").map(|node| &node.kind) {
        Some(Kind::String(_)) => {
            reader.parsed(fields, "max_undecidable", Allowance::HELP, Allowance::share).map(|at| at.value)
        }
        _ => limit("max_undecidable").map(Allowance::Count),
    };
    let min_events = reader.count(fields, "min_events");
    let min_window = reader.parsed(fields, "min_window", DURATION_HELP, duration).map(|at| at.value);
    let require = reader.parsed(fields, "require", "write `require = \"simulation\"` or leave it out", |text| {
        (text == "simulation").then_some(())
    });
    Rollout {
        recordings: owned(&recordings),
        max_newly_denied,
        max_newly_allowed,
        max_undecidable,
        min_events,
        min_window,
        require_simulation: require.is_some(),
    }
}

/// The URL of a key, if it is there and is one.
pub(super) fn url<'n>(reader: &mut Reader<'_>, fields: Fields<'n>, key: &str) -> Option<At<&'n str>> {
    let url = reader.text(fields, key)?;
    if leak(reader, url.span, secret::in_url(url.value)) {
        return Some(url);
    }
    if !is_url(url.value) {
        let message = format!("`{key}` cannot be `{}`", quoted(url.value));
        reader.invalid(Code::InvalidValue, url.span, message, "write a URL that begins with `https://` or `http://`");
    }
    Some(url)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let graphic = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'));
    graphic
        && rest.is_some_and(|rest| {
            rest.split(['/', '?', '#']).next().is_some_and(|host| !host.is_empty() && !host.contains('@'))
        })
}

/// Reports a secret. The text of it never reaches a message.
pub(super) fn leak(reader: &mut Reader<'_>, span: Span, is_secret: bool) -> bool {
    if is_secret {
        reader.invalid(
            Code::SecretInPolicy,
            span,
            "this looks like a secret",
            format!("{}; replace it if anyone may have read it", secret::REFERENCE_HELP),
        );
    }
    is_secret
}
