//! Where things are: the gateway and the audit store; and the gate before a rollout.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{At, Fields, Reader, owned};
use crate::diagnostics::{Code, Span};
use crate::policy::argument::sorted;
use crate::policy::checks::{Allowance, Rollout};
use crate::policy::duration::{DURATION_HELP, duration};
use crate::policy::name::{is_plain, quoted};
use crate::policy::secret;
use crate::policy::set::{Audit, Capture, Gateway, Hold, Tls};
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
    let mut gateway = Gateway { listen: LISTEN.to_owned(), url: URL.to_owned(), ..Gateway::default() };
    let keys = &["listen", "url", "admin", "admin_token", "tls", "hosts", "origins", "capture", "danger_plain_http"];
    let Some(fields) = node.and_then(|node| reader.table(node, "gateway", "the gateway", keys)) else {
        return gateway;
    };
    gateway.listen = address(reader, fields, "listen").unwrap_or(gateway.listen);
    gateway.admin = admin(reader, fields).unwrap_or_default();
    gateway.admin_token = own_reference(reader, fields, "admin_token");
    if let Some(url) = url(reader, fields, "url") {
        gateway.url = url.value.trim_end_matches('/').to_owned();
    }
    gateway.tls = fields.get("tls").and_then(|node| tls(reader, node));
    gateway.capture = fields.get("capture").and_then(|node| capture(reader, node));
    let host_help = "write a host name without scheme and path, with a port only where callers send one";
    let is_host = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#*".contains(&b));
    gateway.hosts = each(reader, fields, "hosts", host_help, is_host);
    let origin_help = "write scheme, host and port as a browser sends them, as in `https://app.example.com`";
    let is_origin = |text: &str| is_url(text) && text.split("://").nth(1).is_some_and(|host| !host.contains('/'));
    gateway.origins = each(reader, fields, "origins", origin_help, is_origin);
    gateway.danger_plain_http = reader.boolean(fields, "danger_plain_http").is_some_and(|at| at.value);
    gateway
}

fn address(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<String> {
    let help = "write `HOST:PORT`, as in `127.0.0.1:8787`";
    reader.parsed(fields, key, help, |text| is_address(text).then(|| text.to_owned())).map(|at| at.value)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host_fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'@');
        host_fits && port.parse::<u16>().is_ok()
    })
}

fn admin(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<String> {
    let help = "write `HOST:PORT` on the loopback, as in `127.0.0.1:8788`, or `unix:PATH`";
    let is_socket = |text: &str| text.strip_prefix("unix:").is_some_and(|path| !path.is_empty());
    let at =
        reader.parsed(fields, "admin", help, |text| (is_socket(text) || is_address(text)).then(|| text.to_owned()));
    at.map(|at| at.value)
}

fn tls(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Tls> {
    let fields = reader.table(node, "tls", "TLS", &["certificate_file", "key_file", "client_ca_file"])?;
    for key in ["certificate_file", "key_file"] {
        reader.required(fields, key, "TLS", "\"/etc/doorward/tls.pem\"");
    }
    let mut file = |key| {
        let at = reader.text(fields, key)?;
        (!leak(reader, at.span, secret::is_token(at.value))).then(|| at.value.to_owned())
    };
    let (certificate, key, client_ca_file) = (file("certificate_file"), file("key_file"), file("client_ca_file"));
    Some(Tls { certificate_file: certificate?, key_file: key?, client_ca_file })
}

fn capture(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Capture> {
    let fields = reader.table(node, "capture", "a capture", &["directory", "percent", "file_mib", "total_mib"])?;
    reader.required(fields, "directory", "a capture", "\"captured\"");
    let mut number = |key, default: u32, most: u32| match reader.count::<u32>(fields, key) {
        Some(count) if (1..=most).contains(&count) => count,
        None => default,
        Some(_) => {
            let span = fields.get(key).map_or_else(Span::default, |node| node.span);
            let help = format!("write a whole number from 1 to {most}");
            reader.invalid(Code::InvalidValue, span, format!("`{key}` is out of range"), help);
            default
        }
    };
    let plain = Capture::default();
    let percent = number("percent", u32::from(plain.percent), 100);
    let (file_mib, total_mib) =
        (number("file_mib", plain.file_mib, 4096), number("total_mib", plain.total_mib, 1 << 24));
    let directory = reader.text(fields, "directory")?;
    (!leak(reader, directory.span, secret::is_token(directory.value))).then(|| Capture {
        directory: directory.value.to_owned(),
        percent: u8::try_from(percent).unwrap_or(plain.percent),
        file_mib,
        total_mib,
    })
}

/// The strings of a list, each of which must fit. Sorted.
fn each(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    key: &str,
    help: &str,
    fits: impl Fn(&str) -> bool,
) -> Vec<String> {
    let list = reader.strings(fields, key).unwrap_or_default();
    for at in &list {
        if !fits(at.value) {
            let message = format!("`{key}` cannot hold `{}`", quoted(at.value));
            reader.invalid(Code::InvalidValue, at.span, message, help);
        }
    }
    sorted(owned(&list))
}

pub(super) fn audit(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Audit {
    let mut audit = Audit { store: STORE.to_owned(), ..Audit::default() };
    let keys = &["store", "signing_key", "retention", "holds"];
    let fields = node.and_then(|node| reader.table(node, "audit", "the audit log", keys));
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
        audit.signing_key = own_reference(reader, fields, "signing_key");
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
    if let Some(holds) = fields.and_then(|fields| reader.named(fields, "holds")) {
        for (name, node) in holds.keys() {
            let held = hold(reader, node, name, &audit);
            audit.holds.insert(name.to_owned(), held);
        }
    }
    audit
}

fn hold(reader: &mut Reader<'_>, node: &Node<'_>, name: &str, audit: &Audit) -> Hold {
    let Some(fields) = reader.table(node, name, "a hold", &["classes", "subjects"]) else { return Hold::default() };
    let (classes, subjects) = (reader.strings(fields, "classes"), reader.strings(fields, "subjects"));
    let classes = classes.unwrap_or_default();
    for at in &classes {
        if !audit.retention.contains_key(at.value) {
            let help = match reader.suggest(at.value, audit.retention.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `{} = \"90d\"` to `[audit.retention]`", quoted(at.value)),
            };
            let message = format!("no retention for audit class `{}`", quoted(at.value));
            reader.invalid(Code::UnknownAuditClass, at.span, message, help);
        }
    }
    let hold = Hold { classes: sorted(owned(&classes)), subjects: sorted(owned(&subjects.unwrap_or_default())) };
    if hold == Hold::default() {
        let message = format!("the hold `{}` keeps nothing", quoted(name));
        reader.invalid(Code::InvalidValue, fields.span(), message, "name `classes` or `subjects`");
    }
    hold
}

/// `env:NAME` or `file:PATH`, where it is there. The text of a secret never reaches a message.
pub(super) fn own_reference(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<String> {
    let At { value, span } = reader.text(fields, key)?;
    if leak(reader, span, secret::is_token(value)) {
        return None;
    }
    if !is_reference(value) {
        // What is no reference may be the secret itself.
        let message = format!("`{}` is no reference to a secret", quoted(key));
        reader.invalid(Code::InvalidValue, span, message, "write `env:NAME` or `file:PATH`");
        return None;
    }
    Some(value.to_owned())
}

fn is_store(text: &str) -> bool {
    let after = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    after("sqlite:") || after("postgres://") || after("postgresql://") || is_reference(text)
}

/// Whether a text is `env:NAME` or `file:PATH`. Vault is no such place: its own address and login are read
/// from one, and what it holds for a server is that server's `credential`.
pub(super) fn is_reference(text: &str) -> bool {
    match text.split_once(':') {
        Some(("env", name)) => is_variable(name),
        Some(("file", path)) => !path.is_empty(),
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
        "trusted_keys",
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
    let key_help = "write the 32 bytes of an Ed25519 public key in base64, as `doorward attest key` prints them";
    let trusted_keys = each(reader, fields, "trusted_keys", key_help, |text| {
        STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
    });
    Rollout {
        recordings: owned(&recordings),
        max_newly_denied,
        max_newly_allowed,
        max_undecidable,
        min_events,
        min_window,
        require_simulation: require.is_some(),
        trusted_keys,
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
