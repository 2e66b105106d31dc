//! Where audit rows go; and the gate before a rollout.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{At, Fields, Reader, owned};
use crate::diagnostics::{Code, Span};
use crate::policy::argument::sorted;
use crate::policy::checks::{Allowance, Rollout};
use crate::policy::duration::{DURATION_HELP, duration};
use crate::policy::glob::NameGlob;
use crate::policy::name::{is_plain, quoted};
use crate::policy::secret;
use crate::policy::set::{Audit, Hold};
use crate::policy::source::{Kind, Node};

const STORE: &str = "sqlite:doorward.db";
/// The audit class of everything that does not say its own.
pub(super) const CLASS: &str = "standard";
const RETENTION: u64 = 90 * 86_400;
/// The most audit classes: `PostgreSQL` has a partition for each, and one for the log itself.
const CLASSES: usize = 255;
const STORE_HELP: &str =
    "write `sqlite:PATH`, `postgres://HOST/DATABASE` without a password, `env:NAME` or `file:PATH`";

/// The strings of a list, each of which must fit. Sorted.
pub(super) fn each(
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
    let keys = &["store", "signing_key", "redact", "retention", "holds"];
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
        audit.signing_key = signing_key(reader, fields);
        audit.redact = redact(reader, fields);
        reader.named(fields, "retention")
    });
    match retention {
        None => {
            audit.retention.insert(CLASS.to_owned(), RETENTION);
        }
        Some(classes) => {
            if classes.keys().count() > CLASSES {
                let message = format!("there are more than {CLASSES} audit classes");
                reader.invalid(Code::TooLarge, classes.span(), message, "keep what lives equally long in one class");
            }
            for (class, node) in classes.keys() {
                if !is_plain(class) {
                    let message = format!("`{}` cannot name an audit class", quoted(class));
                    reader.invalid(
                        Code::InvalidName,
                        node.key_span,
                        message,
                        "use up to 200 letters, digits, `_`, `-` and `.`",
                    );
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

/// What the values look like that are kept nowhere.
fn redact(reader: &mut Reader<'_>, fields: Fields<'_>) -> Vec<NameGlob> {
    let mut globs = Vec::new();
    for At { value, span } in reader.strings(fields, "redact").unwrap_or_default() {
        match reader.shared.glob(value) {
            Ok(glob) => globs.push(glob),
            Err(error) => {
                let message = format!("`redact` cannot be `{}`", quoted(value));
                reader.invalid(Code::InvalidPattern, span, message, error.to_string());
            }
        }
    }
    sorted(globs)
}

/// A reference to a key, or `transit:NAME` for one that Vault keeps.
fn signing_key(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<String> {
    let at = reader.text(fields, "signing_key")?;
    match at.value.strip_prefix("transit:") {
        Some(name) if is_plain(name) => {
            reader.audit_key = Some(name.to_owned());
            Some(at.value.to_owned())
        }
        Some(name) => {
            let message = format!("`{}` cannot name a key of Vault", quoted(name));
            reader.invalid(Code::InvalidName, at.span, message, "use letters, digits, `_`, `-` and `.`");
            None
        }
        None => own_reference(reader, fields, "signing_key"),
    }
}

/// `env:NAME` or `file:PATH`, where it is there. The text of a secret never reaches a message.
pub(super) fn own_reference(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<String> {
    let at = reader.text(fields, key)?;
    as_reference(reader, key, &at)
}

/// The same, one or several in their order.
pub(super) fn own_references(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Vec<String> {
    let list = reader.strings(fields, key).unwrap_or_default();
    list.iter().filter_map(|at| as_reference(reader, key, at)).collect()
}

fn as_reference(reader: &mut Reader<'_>, key: &str, at: &At<&str>) -> Option<String> {
    let At { value, span } = *at;
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

/// The same of a list.
pub(super) fn urls(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Vec<String> {
    let list = reader.strings(fields, key).unwrap_or_default();
    for at in &list {
        if !leak(reader, at.span, secret::in_url(at.value)) && !is_url(at.value) {
            let message = format!("`{key}` cannot hold `{}`", quoted(at.value));
            reader.invalid(Code::InvalidValue, at.span, message, "write URLs that begin with `https://` or `http://`");
        }
    }
    owned(&list)
}

pub(super) fn is_url(text: &str) -> bool {
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
