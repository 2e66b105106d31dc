//! One door as its callers see it: its identifier, its scopes and its protected resource metadata
//! (RFC 9728).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use serde_json::{Map, Value, json};

use crate::model::ResourceKind;
use crate::policy::CompiledPolicy;
use crate::policy::set::item_name;

/// What stands between host and path in the address of the metadata (RFC 9728 section 3.1).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// More scopes than this are the whole catalogue, which a challenge does not name.
const NAMED: usize = 16;

/// A door of the policy in force.
#[derive(Debug)]
pub struct Door {
    name: Arc<str>,
    place: Arc<str>,
    resource: String,
    metadata: Bytes,
    metadata_path: String,
    metadata_url: String,
    scopes: Vec<String>,
}

impl Door {
    /// `None` when the policy has no server of that name.
    pub(super) fn of(policy: &CompiledPolicy, name: &str) -> Option<Self> {
        let set = policy.set();
        let server = set.servers.get(name)?;
        let resource = server.resource.clone();
        let (metadata_url, metadata_path) = metadata_place(&resource);
        let accepted = |issuer: &str| server.issuers.as_ref().is_none_or(|list| list.iter().any(|i| i == issuer));
        let issuers: Vec<&str> =
            set.issuers.iter().filter(|(name, _)| accepted(name)).map(|(_, issuer)| issuer.url.as_str()).collect();
        // The bundles that an operator made are what a client should ask for; without any, the scope of
        // each thing that someone is granted.
        let items: Vec<_> = server.items().map(|(kind, item, declared)| (item_name(kind, item), declared)).collect();
        let bundles = set.scopes.iter().filter(|(_, patterns)| {
            patterns.iter().any(|pattern| items.iter().any(|(item, _)| pattern.matches(name, item)))
        });
        let mut scopes: BTreeSet<&str> = bundles.map(|(scope, _)| scope.as_str()).collect();
        if scopes.is_empty() {
            let granted = items.iter().filter(|(item, _)| set.grants.iter().any(|grant| grant.covers(name, item)));
            scopes = granted.filter_map(|(_, declared)| declared.scopes.first()).map(String::as_str).collect();
        }
        let mut metadata = Map::from_iter(
            [
                ("resource", json!(resource)),
                ("authorization_servers", json!(issuers)),
                ("bearer_methods_supported", json!(["header"])),
                ("resource_name", json!(name)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        if !scopes.is_empty() {
            metadata.insert("scopes_supported".to_owned(), json!(scopes));
        }
        let named = if scopes.len() <= NAMED { scopes.into_iter().map(str::to_owned).collect() } else { Vec::new() };
        Some(Self {
            name: name.into(),
            place: json!([name, server.upstream]).to_string().into(),
            resource,
            metadata: Bytes::from(Value::Object(metadata).to_string()),
            metadata_path,
            metadata_url,
            scopes: named,
        })
    }

    /// A door that the policy in force does not have: nothing passes it.
    pub(super) fn closed(name: &str) -> Self {
        Self {
            name: name.into(),
            place: name.into(),
            resource: String::new(),
            metadata: Bytes::from_static(b"{}"),
            metadata_path: String::new(),
            metadata_url: String::new(),
            scopes: Vec::new(),
        }
    }

    /// The server, by its name in the policy.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The door with the server behind it: what a session, a task or a state is remembered under, so that
    /// nothing of one server is ever sent to another that took its name.
    pub(super) fn place(&self) -> &Arc<str> {
        &self.place
    }

    /// The identifier that the `aud` of a token must hold (RFC 8707).
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The protected resource metadata, as JSON.
    pub fn metadata(&self) -> &Bytes {
        &self.metadata
    }

    /// The path at which the metadata is served, without authentication.
    pub fn metadata_path(&self) -> &str {
        &self.metadata_path
    }

    /// The address that a challenge names.
    pub fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// What a client without a better idea should ask for.
    pub(super) fn scopes(&self) -> &[String] {
        &self.scopes
    }
}

/// Where the metadata of a resource is: address and path.
fn metadata_place(resource: &str) -> (String, String) {
    let Ok(uri) = resource.parse::<Uri>() else { return (String::new(), String::new()) };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return (String::new(), String::new());
    };
    let path = uri.path_and_query().map_or("", |p| p.as_str());
    let path = if path == "/" { "" } else { path };
    let place = format!("{WELL_KNOWN}{path}");
    (format!("{scheme}://{authority}{place}"), place)
}

/// The scope to ask for, for one tool, prompt or named resource: the first of its own.
pub(super) fn scope_of(policy: &CompiledPolicy, door: &str, kind: ResourceKind, name: &str) -> Option<String> {
    let server = policy.set().servers.get(door)?;
    let item = match kind {
        ResourceKind::Server => return None,
        ResourceKind::Tool => server.tools.get(name)?,
        ResourceKind::Prompt => server.prompts.get(name)?,
        ResourceKind::Resource => {
            let index = policy.index();
            let target = index.uris(index.door(door)?, name).next()?;
            server.resources.get(index.text(target.item).strip_prefix("resource:")?)?
        }
    };
    item.scopes.first().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        for (resource, url) in [
            (
                "https://gw.example/servers/a/mcp",
                "https://gw.example/.well-known/oauth-protected-resource/servers/a/mcp",
            ),
            ("https://gw.example", "https://gw.example/.well-known/oauth-protected-resource"),
            ("https://gw.example/", "https://gw.example/.well-known/oauth-protected-resource"),
            ("http://127.0.0.1:8787/desk/mcp", "http://127.0.0.1:8787/.well-known/oauth-protected-resource/desk/mcp"),
            ("urn:example:desk", ""),
        ] {
            assert_eq!(metadata_place(resource).0, url);
        }
    }
}
