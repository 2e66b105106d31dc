//! `credential` of a server: where it comes from and where it goes; and `[vault]`.

use std::collections::BTreeMap;

use super::fields::{Fields, Reader, owned};
use super::places::{is_variable, leak, own_reference, url, urls};
use crate::diagnostics::{Code, Span};
use crate::policy::argument::sorted;
use crate::policy::duration::{DURATION_HELP, lifetime};
use crate::policy::name::quoted;
use crate::policy::secret::{self, REFERENCE_HELP};
use crate::policy::set::{Credential, Placement, Vault, VaultKind, VaultLogin};
use crate::policy::source::{Kind, Node};

/// The life of a credential that does not say its own.
const CREDENTIAL_TTL: u32 = 600;
/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT: &str = "file:/var/run/secrets/kubernetes.io/serviceaccount/token";
const KEYS: [&str; 11] =
    ["none", "env", "file", "vault", "path", "policies", "ttl", "audience", "per_caller", "header", "variable"];
/// What only a credential from Vault has.
const VAULT_KEYS: [&str; 7] = ["path", "policies", "ttl", "audience", "per_caller", "fields", "params"];
const PATH_HELP: &str = "write the path without a leading or trailing `/`";

/// A credential with its place.
#[derive(Default)]
pub(super) struct DeclaredCredential {
    pub(super) credential: Credential,
    pub(super) placement: Placement,
    /// Where the lifetime stands.
    pub(super) ttl: Option<Span>,
}

pub(super) fn credential(reader: &mut Reader<'_>, fields: Fields<'_>, token_ttl: Option<u32>) -> DeclaredCredential {
    let mut declared = DeclaredCredential::default();
    let program = fields.get("command").is_some();
    let Some(node) = fields.get("credential") else { return declared };
    if let Kind::String(text) = &node.kind
        && leak(reader, node.span, secret::is_token(text))
    {
        return declared;
    }
    let keys: Vec<_> = KEYS.into_iter().chain(["fields", "params"]).collect();
    let Some(fields) = reader.table(node, "credential", "a credential", &keys) else { return declared };
    let none = reader.boolean(fields, "none");
    let sources = ["none", "env", "file", "vault"].iter().filter(|key| fields.get(key).is_some()).count();
    if sources != 1 || none.as_ref().is_some_and(|at| !at.value) {
        let help = "write `{ none = true }`, `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ vault = \"kv\", path = \"PATH\" }`";
        reader.invalid(Code::InvalidValue, node.span, "a credential has exactly one source", help);
        return declared;
    }
    if fields.get("vault").is_none() {
        for (key, extra) in fields.keys().filter(|(key, _)| VAULT_KEYS.contains(key)) {
            let message = format!("`{key}` is for credentials from Vault");
            reader.invalid(Code::InvalidValue, extra.key_span, message, "remove it, or add `vault = \"kv\"`");
        }
    }
    for key in ["env", "file", "path"] {
        if let Some(at) = reader.text(fields, key)
            && leak(reader, at.span, secret::is_token(at.value))
        {
            return declared;
        }
    }
    declared.placement = placement(reader, fields, program);
    if let Some(name) =
        reader.parsed(fields, "env", REFERENCE_HELP, |name| is_variable(name).then(|| format!("env:{name}")))
    {
        declared.credential = Credential::Reference(name.value);
        return declared;
    }
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(path) = reader.parsed(fields, "file", REFERENCE_HELP, present) {
        declared.credential = Credential::Reference(format!("file:{}", path.value));
        return declared;
    }
    (declared.credential, declared.ttl) = vault_credential(reader, fields, token_ttl);
    declared
}

fn vault_credential(reader: &mut Reader<'_>, fields: Fields<'_>, token_ttl: Option<u32>) -> (Credential, Option<Span>) {
    let kind = reader.parsed(fields, "vault", "write `kv`, `oidc`, `dynamic` or `transit`", |text| match text {
        "kv" => Some(VaultKind::Kv),
        "oidc" => Some(VaultKind::Oidc),
        "dynamic" => Some(VaultKind::Dynamic),
        "transit" => Some(VaultKind::Transit),
        _ => None,
    });
    let Some(kind) = kind else { return (Credential::None, None) };
    reader.required(fields, "path", "a credential from Vault", "\"tokens/tickets\"");
    let path = reader.parsed(fields, "path", PATH_HELP, path);
    if let (VaultKind::Transit, Some(path)) = (kind.value, &path)
        && reader.audit_key.as_ref() == Some(&path.value)
    {
        let message = format!("`{}` signs the seals of the audit log too", quoted(&path.value));
        let help =
            "give the statements about callers a key of their own: who may have one signed could have a seal signed";
        reader.invalid(Code::InvalidValue, path.span, message, help);
    }
    let policies = reader.strings(fields, "policies").unwrap_or_default();
    let ttl = reader.parsed(fields, "ttl", DURATION_HELP, lifetime);
    let signed = [VaultKind::Oidc, VaultKind::Transit];
    for (key, of, others) in [
        ("audience", &signed[..], "an identity token or a statement: `vault = \"oidc\"` or `\"transit\"`"),
        ("fields", &[VaultKind::Dynamic], "a dynamic secret: `vault = \"dynamic\"`"),
        ("params", &[VaultKind::Dynamic], "a dynamic secret: `vault = \"dynamic\"`"),
        ("per_caller", &[VaultKind::Dynamic, VaultKind::Kv], "a secret or a token: `vault = \"dynamic\"` or `\"kv\"`"),
    ] {
        if let (false, Some(node)) = (of.contains(&kind.value), fields.get(key)) {
            reader.invalid(Code::InvalidValue, node.key_span, format!("`{key}` is for {others}"), "remove it");
        }
    }
    let credential = Credential::Vault {
        kind: kind.value,
        path: path.map_or_else(String::new, |at| at.value),
        policies: sorted(owned(&policies)),
        ttl: ttl.as_ref().map_or_else(|| CREDENTIAL_TTL.min(token_ttl.unwrap_or(CREDENTIAL_TTL)), |at| at.value),
        audience: reader.text(fields, "audience").map(|at| at.value.to_owned()),
        // A statement is about one caller.
        per_caller: reader.boolean(fields, "per_caller").is_some_and(|at| at.value) || kind.value == VaultKind::Transit,
        params: params(reader, fields),
    };
    (credential, ttl.map(|at| at.span))
}

/// What is asked of a secret. A secret is none of it.
fn params(reader: &mut Reader<'_>, fields: Fields<'_>) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    if let Some(named) = reader.named(fields, "params") {
        for (name, node) in named.keys() {
            if let Some(at) = reader.text(named, name)
                && !leak(reader, node.span, secret::is_token(at.value) || secret::is_named(name))
            {
                params.insert(name.to_owned(), at.value.to_owned());
            }
        }
    }
    params
}

/// A path below a mount.
fn path(text: &str) -> Option<String> {
    let segment = |s: &str| {
        !matches!(s, "" | "." | "..") && s.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\*+?#%".contains(&b))
    };
    text.split('/').all(segment).then(|| text.to_owned())
}

/// The name of a header (RFC 9110), but none that is not ours to set.
fn header(text: &str) -> Option<String> {
    const RESERVED: [&str; 8] =
        ["host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade", "accept"];
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let name = text.to_ascii_lowercase();
    let fits = !name.is_empty() && name.bytes().all(token);
    (fits && !name.starts_with("mcp-") && !RESERVED.contains(&name.as_str())).then_some(name)
}

/// The name of a variable, but none that changes how programs are loaded.
fn variable(text: &str) -> Option<String> {
    let loads = text.starts_with("LD_") || text.starts_with("DYLD_") || matches!(text, "PATH" | "HOME" | "IFS");
    (is_variable(text) && !loads).then(|| text.to_owned())
}

fn placement(reader: &mut Reader<'_>, fields: Fields<'_>, program: bool) -> Placement {
    let (wrong, right, read): (_, _, fn(&str) -> Option<String>) =
        if program { ("header", "variable", variable) } else { ("variable", "header", header) };
    let help = if program {
        "name a variable of the program, as in `API_TOKEN`"
    } else {
        "name a header that is not the protocol's own, as in `x-api-key`"
    };
    if let Some(node) = fields.get(wrong) {
        let message = format!("`{wrong}` is for servers with {}", if program { "a `url`" } else { "a `command`" });
        reader.invalid(Code::InvalidValue, node.key_span, message, format!("write `{right}`"));
    }
    let name = reader.parsed(fields, right, help, read).map(|at| at.value);
    let mut placed = BTreeMap::new();
    if let Some(named) = reader.named(fields, "fields") {
        for (field, _) in named.keys() {
            if let Some(at) = reader.parsed(named, field, help, read) {
                placed.insert(field.to_owned(), at.value);
            }
        }
    }
    let (header, variable) = if program { (None, name) } else { (name, None) };
    Placement { header, variable, fields: placed }
}

pub(super) fn vault(reader: &mut Reader<'_>, node: &Node<'_>) -> Vault {
    let mut vault = Vault::default();
    let keys = ["address", "standbys", "namespace", "kv", "login", "ca_file", "identity_file", "shared"];
    let Some(fields) = reader.table(node, "vault", "Vault", &keys) else { return vault };
    reader.required(fields, "address", "Vault", "\"https://vault.example.com\"");
    vault.address = url(reader, fields, "address").map_or_else(String::new, |at| at.value.to_owned());
    vault.standbys = urls(reader, fields, "standbys");
    vault.namespace = reader.text(fields, "namespace").map(|at| at.value.to_owned());
    if let Some(mount) = reader.parsed(fields, "kv", PATH_HELP, path) {
        vault.kv = mount.value;
    }
    vault.ca_file = reader.text(fields, "ca_file").map(|at| at.value.to_owned());
    vault.identity_file = reader.text(fields, "identity_file").map(|at| at.value.to_owned());
    vault.shared = reader.boolean(fields, "shared").is_some_and(|at| at.value);
    if let Some(login) = fields.get("login").and_then(|node| login(reader, node)) {
        vault.login = login;
    }
    vault
}

fn login(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<VaultLogin> {
    const KEYS: [&str; 11] = [
        "token",
        "approle",
        "jwt",
        "kubernetes",
        "mount",
        "role_id",
        "secret_id",
        "wrapped",
        "audience",
        "subject",
        "service_account",
    ];
    const METHODS: [(&str, &[&str]); 3] = [
        ("approle", &["mount", "role_id", "secret_id", "wrapped"]),
        ("jwt", &["mount", "token", "audience", "subject"]),
        ("kubernetes", &["mount", "token", "service_account", "service_namespace"]),
    ];
    let fields = reader.open_table(node, "login")?;
    let keys: Vec<_> = KEYS.into_iter().chain(["service_namespace"]).collect();
    reader.known(fields, "a login", &keys);
    let found = METHODS.into_iter().find(|(method, _)| fields.get(method).is_some());
    let (method, own) = found.unwrap_or(("token", &[]));
    for (key, extra) in fields.keys().filter(|(key, _)| keys.contains(key) && *key != method && !own.contains(key)) {
        let message = format!("`{key}` is not for a login by `{method}`");
        reader.invalid(Code::InvalidValue, extra.key_span, message, "remove it, or name another method");
    }
    // Beside `token` stands a reference, and if that is wrong it may be the secret itself.
    let role = if method == "token" { None } else { reader.parsed(fields, method, PATH_HELP, path) };
    let mount = reader.parsed(fields, "mount", PATH_HELP, path).map_or_else(|| method.to_owned(), |at| at.value);
    match method {
        "approle" => Some(VaultLogin::Approle {
            mount,
            role: role?.value,
            role_id: reference(reader, fields, "role_id", None)?,
            secret_id: reference(reader, fields, "secret_id", None)?,
            wrapped: reader.boolean(fields, "wrapped").is_some_and(|at| at.value),
        }),
        "jwt" => Some(VaultLogin::Jwt {
            mount,
            role: role?.value,
            token: reference(reader, fields, "token", None)?,
            audience: word(reader, fields, "audience", "\"https://vault.example.com\"")?,
            subject: word(reader, fields, "subject", "\"doorward\"")?,
        }),
        "kubernetes" => Some(VaultLogin::Kubernetes {
            mount,
            role: role?.value,
            token: reference(reader, fields, "token", Some(SERVICE_ACCOUNT))?,
            service_account: word(reader, fields, "service_account", "\"doorward\"")?,
            service_namespace: word(reader, fields, "service_namespace", "\"doorward\"")?,
        }),
        _ => Some(VaultLogin::Token { token: reference(reader, fields, "token", None)? }),
    }
}

/// A text that must be there and say something.
fn word(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str, example: &str) -> Option<String> {
    reader.required(fields, key, "this login", example)?;
    reader
        .parsed(fields, key, "say whose login it is", |text| (!text.is_empty()).then(|| text.to_owned()))
        .map(|at| at.value)
}

/// `env:NAME` or `file:PATH`. The text of a secret never reaches a message.
fn reference(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str, default: Option<&str>) -> Option<String> {
    if let (None, Some(default)) = (fields.get(key), default) {
        return Some(default.to_owned());
    }
    reader.required(fields, key, "this login", "\"env:NAME\"")?;
    own_reference(reader, fields, key)
}
