//! `[servers.NAME]` with its tools, prompts and resources, and `[scopes]`.

use std::collections::BTreeMap;

use super::credentials::{DeclaredCredential, credential};
use super::fields::{At, Fields, Reader, owned};
use super::issuers::plain_name;
use super::matchers::rules;
use super::places::{CLASS, leak};
use super::upstream::{client, environment, tls, upstream};
use crate::diagnostics::{Code, Span};
use crate::model::ResourceKind;
use crate::policy::argument::{ArgPath, sorted};
use crate::policy::duration::{DURATION_HELP, RATE_HELP, lifetime, rate};
use crate::policy::glob::PathGlob;
use crate::policy::name::{is_item, is_scope, quoted};
use crate::policy::secret;
use crate::policy::set::{Gateway, Identity, Item, Server, item_name};
use crate::policy::uri;

const KEYS: [&str; 16] = [
    "url",
    "command",
    "tls",
    "client",
    "resource",
    "issuers",
    "token_ttl",
    "credential",
    "audit",
    "rate",
    "callers",
    "identity",
    "environment",
    "tools",
    "prompts",
    "resources",
];
const ITEM_KEYS: [&str; 7] = ["scope", "token_ttl", "audit", "rate", "args", "capture", "redact"];
const RESOURCE_KEYS: [&str; 5] = ["uri", "scope", "token_ttl", "audit", "rate"];

/// A server with its places.
#[derive(Debug)]
pub(crate) struct DeclaredServer {
    pub(crate) name: At<String>,
    /// Without its items.
    pub(crate) server: Server,
    pub(crate) items: Vec<DeclaredItem>,
    /// Where the lifetime stands.
    pub(crate) token_ttl: Option<Span>,
    /// Where the lifetime of the credential stands.
    pub(crate) credential_ttl: Option<Span>,
    /// Where the subject stands.
    pub(crate) identity: Option<Span>,
    /// Where the identifier stands, or the name it is made from.
    pub(crate) resource: Span,
}

/// A tool, prompt or resource with its places.
#[derive(Debug)]
pub(crate) struct DeclaredItem {
    pub(crate) kind: ResourceKind,
    pub(crate) name: At<String>,
    pub(crate) item: Item,
    /// Where the lifetime stands.
    pub(crate) token_ttl: Option<Span>,
}

pub(super) fn servers(reader: &mut Reader<'_>, root: Fields<'_>, gateway: &Gateway) -> Vec<DeclaredServer> {
    let Some(servers) = reader.named(root, "servers") else { return Vec::new() };
    servers
        .keys()
        .filter_map(|(name, node)| {
            plain_name(reader, name, node.key_span, "a server");
            let fields = reader.table(node, name, "a server", &KEYS)?;
            Some(server(reader, At { value: name.to_owned(), span: node.key_span }, fields, gateway))
        })
        .collect()
}

fn server(reader: &mut Reader<'_>, name: At<String>, fields: Fields<'_>, gateway: &Gateway) -> DeclaredServer {
    let token_ttl = reader.parsed(fields, "token_ttl", DURATION_HELP, lifetime);
    let DeclaredCredential { credential, placement, ttl: credential_ttl } =
        credential(reader, fields, token_ttl.as_ref().map(|at| at.value));
    let issuers = reader.strings(fields, "issuers").map(|list| {
        if let (true, Some(node)) = (list.is_empty(), fields.get("issuers")) {
            let help = "name the accepted issuers, or leave `issuers` out to accept all that are declared";
            reader.invalid(Code::InvalidValue, node.span, "no issuer is accepted, so nobody could come in", help);
        }
        reader.references.issuers.extend(list.iter().map(|at| At { value: at.value.to_owned(), span: at.span }));
        sorted(owned(&list))
    });
    let callers = reader.strings(fields, "callers").unwrap_or_default();
    reader.references.callers.extend(callers.iter().map(|at| At { value: at.value.to_owned(), span: at.span }));
    let resource = resource(reader, fields);
    let identity = identity(reader, fields);
    let audit = audit_class(reader, fields).unwrap_or_else(|| {
        reader.references.classes.push(At { value: CLASS.to_owned(), span: name.span });
        CLASS.to_owned()
    });
    let mut items = Vec::new();
    for (key, kind) in
        [("tools", ResourceKind::Tool), ("prompts", ResourceKind::Prompt), ("resources", ResourceKind::Resource)]
    {
        if let Some(declared) = reader.named(fields, key) {
            items.reserve(declared.len());
            items.extend(declared.keys().filter_map(|(item_name, node)| {
                let fields = reader.open_table(node, item_name)?;
                Some(item(reader, &name.value, kind, At { value: item_name.to_owned(), span: node.key_span }, fields))
            }));
        }
    }
    let server = Server {
        upstream: upstream(reader, fields),
        tls: tls(reader, fields),
        client: client(reader, fields),
        resource: resource
            .as_ref()
            .map_or_else(|| format!("{}/{}/mcp", gateway.url, name.value), |at| at.value.clone()),
        issuers,
        token_ttl: token_ttl.as_ref().map(|at| at.value),
        credential,
        placement,
        audit,
        rate: reader.parsed(fields, "rate", RATE_HELP, rate).map(|at| at.value),
        callers: sorted(owned(&callers)),
        identity: identity.as_ref().map(|at| at.value.clone()),
        environment: environment(reader, fields),
        tools: BTreeMap::new(),
        prompts: BTreeMap::new(),
        resources: BTreeMap::new(),
    };
    DeclaredServer {
        server,
        items,
        token_ttl: token_ttl.map(|at| at.span),
        credential_ttl,
        identity: identity.map(|at| at.span),
        resource: resource.map_or(name.span, |at| at.span),
        name,
    }
}

fn resource(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<At<String>> {
    let help = "write the URI that tokens for this door carry in `aud`, without a fragment";
    let resource = reader.parsed(fields, "resource", help, |text| {
        let fits = text.contains(':') && !text.contains('#') && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| text.to_owned())
    })?;
    leak(reader, resource.span, secret::in_url(&resource.value));
    Some(resource)
}

fn identity(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<At<Identity>> {
    let node = fields.get("identity")?;
    let fields = reader.table(node, "identity", "an identity", &["issuer", "subject"])?;
    reader.required(fields, "issuer", "an identity", "\"corp\"");
    reader.required(fields, "subject", "an identity", "\"service:tickets\"");
    let (issuer, subject) = (reader.text(fields, "issuer"), reader.text(fields, "subject"));
    if let Some(at) = &issuer {
        reader.references.issuers.push(At { value: at.value.to_owned(), span: at.span });
    }
    let identity = Identity { issuer: issuer?.value.to_owned(), subject: subject?.value.to_owned() };
    Some(At { value: identity, span: node.span })
}

fn audit_class(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<String> {
    let class = reader.text(fields, "audit")?;
    reader.references.classes.push(At { value: class.value.to_owned(), span: class.span });
    Some(class.value.to_owned())
}

fn item(
    reader: &mut Reader<'_>,
    server: &str,
    kind: ResourceKind,
    name: At<String>,
    fields: Fields<'_>,
) -> DeclaredItem {
    let (what, keys): (_, &[&'static str]) = match kind {
        ResourceKind::Prompt => ("a prompt", &ITEM_KEYS),
        ResourceKind::Resource => ("a resource", &RESOURCE_KEYS),
        ResourceKind::Tool | ResourceKind::Server => ("a tool", &ITEM_KEYS),
    };
    reader.known(fields, what, keys);
    if !is_item(&name.value) {
        let message = format!("`{}` cannot name {what}", quoted(&name.value));
        reader.invalid(
            Code::InvalidName,
            name.span,
            message,
            "rename it without spaces, quotes, `\\`, `:`, `*` and `?`, which its scope cannot hold",
        );
    }
    let scopes = match reader.strings(fields, "scope") {
        None => vec![[server, ":", &item_name(kind, &name.value)].concat()],
        Some(list) => {
            if let (true, Some(node)) = (list.is_empty(), fields.get("scope")) {
                let help = "name the scopes that carry it, or leave `scope` out";
                reader.invalid(Code::InvalidValue, node.span, "no scope would carry it", help);
            }
            for at in &list {
                scope_name(reader, at.value, at.span);
            }
            sorted(owned(&list))
        }
    };
    let token_ttl = reader.parsed(fields, "token_ttl", DURATION_HELP, lifetime);
    let uri = (kind == ResourceKind::Resource)
        .then(|| {
            reader.required(fields, "uri", "a resource", "\"file:///srv/manuals/**\"");
            let help = "write a URI in its usual spelling, in which `*` stops at `/` and `**` does not, as in \
                        `file:///srv/manuals/**`";
            reader.parsed(fields, "uri", help, |text| {
                PathGlob::new(text).ok().filter(|glob| text.contains(':') && uri::example(glob).is_some())
            })
        })
        .flatten();
    let item = Item {
        scopes,
        token_ttl: token_ttl.as_ref().map(|at| at.value),
        audit: audit_class(reader, fields),
        rate: reader.parsed(fields, "rate", RATE_HELP, rate).map(|at| at.value),
        args: fields.get("args").map(|node| rules(reader, node, "args").rules).unwrap_or_default(),
        uri: uri.map(|at| at.value),
        capture: places(reader, fields, "capture"),
        redact: places(reader, fields, "redact"),
    };
    DeclaredItem { kind, name, item, token_ttl: token_ttl.map(|at| at.span) }
}

/// Places in arguments.
fn places(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Vec<ArgPath> {
    let mut paths = Vec::new();
    for at in reader.strings(fields, key).unwrap_or_default() {
        match ArgPath::new(at.value) {
            Ok(path) => paths.push(path),
            Err(error) => {
                let message = format!("`{}` is not a place in arguments", quoted(at.value));
                reader.invalid(Code::InvalidPattern, at.span, message, error.to_string());
            }
        }
    }
    sorted(paths)
}

fn scope_name(reader: &mut Reader<'_>, name: &str, span: Span) {
    if !is_scope(name) {
        let message = format!("`{}` cannot name a scope", quoted(name));
        reader.invalid(Code::InvalidName, span, message, "rename it without spaces, quotes, `\\`, `*` and `?`");
    }
}

pub(super) fn bundles(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<(At<String>, Vec<At<String>>)> {
    let Some(scopes) = reader.named(root, "scopes") else { return Vec::new() };
    scopes
        .keys()
        .map(|(name, node)| {
            scope_name(reader, name, node.key_span);
            let list = reader.string_list(node, name);
            if let crate::policy::source::Kind::Array(items) = &node.kind
                && items.is_empty()
            {
                let message = format!("the bundle `{}` carries nothing", quoted(name));
                reader.invalid(Code::EmptyStatement, node.span, message, "name what it carries, or remove it");
            }
            let list = list.into_iter().map(|at| At { value: at.value.to_owned(), span: at.span }).collect();
            (At { value: name.to_owned(), span: node.key_span }, list)
        })
        .collect()
}
