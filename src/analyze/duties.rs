//! What changes between two policies beside who may do what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::wording;
use crate::model::Rate;
use crate::policy::argument::{ArgPath, HostPattern};
use crate::policy::glob::NameGlob;
use crate::policy::set::{
    Capture, ClientRequests, Credential, Gateway, GatewayLimits, Hold, Issuer, Item, KeySource, PolicySet, Server,
    Upstream, Vault, item_name,
};

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Whom an issuer's tokens are accepted from, or what they are read to say.
    Trust,
    /// The audit class.
    AuditClass,
    /// How long rows of a class stay.
    Retention,
    /// Where audit rows go.
    AuditStore,
    /// What signs the seals of the audit log.
    AuditKey,
    /// Rows that stay whatever their class says.
    Hold,
    /// Arguments that are kept nowhere.
    Redaction,
    /// The rate.
    Rate,
    /// Where the upstream credential comes from.
    Credential,
    /// How long an upstream credential lives.
    CredentialTtl,
    /// Where a server, the gateway or Vault is.
    Location,
    /// What a server may ask of clients.
    Client,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What it is a setting of: an item, a server, an issuer, an audit class.
    pub of: String,
    /// Which setting.
    pub kind: ChangeKind,
    /// What it was.
    pub before: String,
    /// What it is now.
    pub after: String,
    /// Whether less is kept, counted or bounded than before.
    pub weaker: bool,
}

impl Change {
    /// Whether it changes whose tokens are believed, which no request can show.
    pub fn is_of_trust(&self) -> bool {
        self.kind == ChangeKind::Trust
    }
}

/// Every setting that differs, of things that both policies have.
pub(super) fn changes(old: &PolicySet, new: &PolicySet) -> Vec<Change> {
    let mut found = Vec::new();
    let mut add = |of: &str, kind, before: String, after: String, weaker| {
        if before != after {
            found.push(Change { of: of.to_owned(), kind, before, after, weaker });
        }
    };
    for (name, before) in &old.issuers {
        if let Some(after) = new.issuers.get(name) {
            for (before, after) in trust(before).into_iter().zip(trust(after)) {
                add(&format!("issuer {name}"), ChangeKind::Trust, before, after, false);
            }
        }
    }
    for (name, before) in &old.servers {
        let Some(after) = new.servers.get(name) else { continue };
        add(name, ChangeKind::Location, upstream(before), upstream(after), false);
        let asks = (&before.client, &after.client);
        add(name, ChangeKind::Client, client(asks.0), client(asks.1), may_ask_more(asks.0, asks.1));
        add(name, ChangeKind::Credential, credential(before), credential(after), false);
        let (short, long) = (credential_ttl(before), credential_ttl(after));
        let weaker = short.zip(long).is_some_and(|(short, long)| long > short);
        add(name, ChangeKind::CredentialTtl, ttl(short), ttl(long), weaker);
        let items_after = items(after);
        for (item, before_item) in items(before) {
            let Some(after_item) = items_after.get(&item).copied() else { continue };
            let of = if item.is_empty() { name.clone() } else { format!("{name}:{item}") };
            let classes = (class(before, before_item), class(after, after_item));
            let kept = |set: &PolicySet, class: &str| set.audit.retention.get(class).copied();
            let weaker = kept(new, classes.1) < kept(old, classes.0);
            add(&of, ChangeKind::AuditClass, classes.0.to_owned(), classes.1.to_owned(), weaker);
            let both = (redacted(before_item), redacted(after_item));
            let is_out = |path: &ArgPath| both.1.iter().any(|out| path.is_within(out));
            let weaker = !both.0.iter().all(is_out);
            add(&of, ChangeKind::Redaction, paths(both.0), paths(both.1), weaker);
            let both = (rates(before, before_item), rates(after, after_item));
            let weaker = both.0.iter().any(|b| !both.1.iter().any(|a| is_at_least_as_strict(a, b)));
            add(&of, ChangeKind::Rate, rates_text(&both.0), rates_text(&both.1), weaker);
        }
    }
    let classes = old.audit.retention.keys().chain(new.audit.retention.keys());
    for class in classes.collect::<std::collections::BTreeSet<_>>() {
        let (before, after) = (old.audit.retention.get(class), new.audit.retention.get(class));
        let text = |seconds: Option<&u64>| seconds.map_or("none".to_owned(), |s| wording::duration(*s));
        let weaker = before.is_some_and(|b| after.is_none_or(|a| a < b));
        add(&format!("audit class {class}"), ChangeKind::Retention, text(before), text(after), weaker);
    }
    add("audit", ChangeKind::AuditStore, old.audit.store.clone(), new.audit.store.clone(), false);
    let key = |set: &PolicySet| set.audit.signing_key.clone().unwrap_or_else(|| "none".to_owned());
    let weaker = old.audit.signing_key.is_some() && new.audit.signing_key.is_none();
    add("audit", ChangeKind::AuditKey, key(old), key(new), weaker);
    let looks = |set: &PolicySet| match &set.audit.redact[..] {
        [] => "none".to_owned(),
        globs => globs.iter().map(NameGlob::as_str).collect::<Vec<_>>().join(" "),
    };
    let weaker = !old.audit.redact.iter().all(|glob| new.audit.redact.contains(glob));
    add("audit", ChangeKind::Redaction, looks(old), looks(new), weaker);
    let holds = old.audit.holds.keys().chain(new.audit.holds.keys());
    for name in holds.collect::<std::collections::BTreeSet<_>>() {
        let (before, after) = (old.audit.holds.get(name), new.audit.holds.get(name));
        let weaker = before.is_some_and(|before| !after.is_some_and(|after| after.covers(before)));
        add(&format!("hold {name}"), ChangeKind::Hold, hold(before), hold(after), weaker);
    }
    let (before, after) = (&old.gateway, &new.gateway);
    let asks = |gateway: &Gateway| gateway.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    let weaker = (after.danger_plain_http && !before.danger_plain_http) || (asks(before) && !asks(after));
    add("gateway", ChangeKind::Location, gateway(before), gateway(after), weaker);
    add("vault", ChangeKind::Location, vault(old), vault(new), false);
    found.sort();
    found
}

fn hold(hold: Option<&Hold>) -> String {
    let Some(hold) = hold else { return "none".to_owned() };
    let named = [("classes", &hold.classes), ("subjects", &hold.subjects)];
    let named = named.iter().filter(|(_, names)| !names.is_empty());
    named.map(|(what, names)| format!("{what} {}", names.join(" "))).collect::<Vec<_>>().join(", ")
}

/// What an issuer is trusted with, one text for each setting.
fn trust(issuer: &Issuer) -> [String; 4] {
    let keys = match &issuer.keys {
        KeySource::Discovery => "keys by discovery".to_owned(),
        KeySource::Url(url) => format!("keys at {url}"),
        KeySource::File(path) => format!("keys in {path}"),
    };
    let claims = &issuer.claims;
    let mapped = [("groups", claims.groups.as_ref()), ("agent", claims.agent.as_ref())];
    let others = claims.others.iter().map(|(name, path)| (name.as_str(), Some(path)));
    let claims: Vec<String> =
        mapped.into_iter().chain(others).filter_map(|(name, path)| Some(format!("{name} = {:?}", path?))).collect();
    [
        format!("url {}", issuer.url),
        keys,
        format!("algorithms {:?}", issuer.algorithms),
        format!("claims {{ {} }}", claims.join(", ")),
    ]
}

fn client(client: &ClientRequests) -> String {
    let ClientRequests { sampling, elicitation, elicitation_hosts, roots } = client;
    let named = [("sampling", *sampling), ("elicitation", *elicitation), ("roots", *roots)];
    let mut words: Vec<&str> = named.into_iter().filter(|(_, may)| *may).map(|(word, _)| word).collect();
    words.extend(elicitation_hosts.iter().map(HostPattern::as_str));
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

fn may_ask_more(before: &ClientRequests, after: &ClientRequests) -> bool {
    let more = |before: bool, after: bool| after && !before;
    more(before.sampling, after.sampling)
        || more(before.elicitation, after.elicitation)
        || more(before.roots, after.roots)
        || after.elicitation_hosts.iter().any(|host| !before.elicitation_hosts.contains(host))
}

fn upstream(server: &Server) -> String {
    let mut text = reached(server);
    for (what, file) in [("authorities in", &server.tls.ca_file), ("shown", &server.tls.identity_file)] {
        text.push_str(&file.as_ref().map_or_else(String::new, |file| format!(", {what} {file}")));
    }
    text
}

fn reached(server: &Server) -> String {
    match &server.upstream {
        Upstream::Url(url) => url.clone(),
        Upstream::Command(command) if server.environment.is_empty() => command.join(" "),
        Upstream::Command(command) => format!("{} with {}", command.join(" "), server.environment.join(" ")),
    }
}

fn credential(server: &Server) -> String {
    let placement = &server.placement;
    let named = [("header", &placement.header), ("variable", &placement.variable)];
    let mut text = credential_source(server);
    for (what, name) in named.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?))) {
        text.push_str(&format!(" in {what} {name}"));
    }
    for (field, name) in &placement.fields {
        text.push_str(&format!(", {field} in {name}"));
    }
    text
}

fn credential_source(server: &Server) -> String {
    match &server.credential {
        Credential::None => "none".to_owned(),
        Credential::Reference(reference) => reference.clone(),
        Credential::Vault { kind, path, policies, audience, per_caller, params, .. } => {
            let mut text = format!("vault {kind:?} {path} with policies {policies:?}").to_lowercase();
            if let Some(audience) = audience {
                text.push_str(&format!(" for {audience}"));
            }
            text.push_str(if *per_caller { " for each caller" } else { "" });
            for (name, value) in params {
                text.push_str(&format!(", {name} {value}"));
            }
            text
        }
    }
}

const fn credential_ttl(server: &Server) -> Option<u32> {
    match server.credential {
        Credential::Vault { ttl, .. } => Some(ttl),
        Credential::None | Credential::Reference(_) => None,
    }
}

fn ttl(seconds: Option<u32>) -> String {
    seconds.map_or("none".to_owned(), |s| wording::duration(s.into()))
}

/// The items of a server by the right side of their references, and the server itself.
fn items(server: &Server) -> BTreeMap<String, Option<&Item>> {
    use crate::model::ResourceKind::{Prompt, Resource, Tool};
    let kinds = [(Tool, &server.tools), (Prompt, &server.prompts), (Resource, &server.resources)];
    let named = kinds
        .into_iter()
        .flat_map(|(kind, items)| items.iter().map(move |(n, i)| (item_name(kind, n).into_owned(), Some(i))));
    std::iter::once((String::new(), None)).chain(named).collect()
}

fn redacted(item: Option<&Item>) -> &[ArgPath] {
    item.map_or(&[], |item| &item.redact)
}

fn paths(paths: &[ArgPath]) -> String {
    if paths.is_empty() {
        return "none".to_owned();
    }
    paths.iter().map(ArgPath::as_str).collect::<Vec<_>>().join(" ")
}

fn class<'s>(server: &'s Server, item: Option<&'s Item>) -> &'s str {
    item.and_then(|i| i.audit.as_deref()).unwrap_or(&server.audit)
}

fn rates(server: &Server, item: Option<&Item>) -> Vec<Rate> {
    server.rate.into_iter().chain(item.and_then(|i| i.rate)).collect()
}

fn rates_text(rates: &[Rate]) -> String {
    if rates.is_empty() {
        return "none".to_owned();
    }
    rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn is_at_least_as_strict(a: &Rate, b: &Rate) -> bool {
    // As many in at least the same time, counted by the same key, and by no more gateways apart.
    a.per == b.per && a.count <= b.count && a.seconds >= b.seconds && (a.shared || !b.shared)
}

fn gateway(gateway: &Gateway) -> String {
    let mut text = format!("{} as {}", gateway.listen, gateway.url);
    let mut with = |what: &str, value: &str| text.push_str(&format!(", {what}{value}"));
    if !gateway.admin.is_empty() {
        with("admin at ", &gateway.admin);
    }
    if !gateway.state_keys.is_empty() {
        with("state keys ", &gateway.state_keys.join(" "));
    }
    if let Some(tls) = &gateway.tls {
        with("certificate in ", &tls.certificate_file);
        with("key in ", &tls.key_file);
        if let Some(file) = &tls.client_ca_file {
            with("certificates of callers by ", file);
        }
    }
    if !gateway.hosts.is_empty() {
        with("hosts ", &gateway.hosts.join(" "));
    }
    if !gateway.origins.is_empty() {
        with("origins ", &gateway.origins.join(" "));
    }
    if let Some(Capture { directory, percent, file_mib, total_mib }) = &gateway.capture {
        with("capture in ", &format!("{directory} {percent}% {file_mib} MiB of {total_mib} MiB"));
    }
    if let Some(traces) = &gateway.traces {
        with("traces to ", traces);
    }
    if gateway.limits != GatewayLimits::default() {
        let limits = &gateway.limits;
        let text = [
            ("connections", limits.connections),
            ("requests", limits.requests),
            ("a door", limits.requests_per_door),
            ("a caller", limits.requests_per_caller),
            ("seconds for a head", limits.head_time),
            ("for a body", limits.body_time),
            ("for a stall", limits.stall_time),
            ("to drain", limits.drain_time),
        ];
        with("limits ", &text.map(|(what, number)| format!("{number} {what}")).join(" "));
    }
    if gateway.danger_plain_http {
        with("plain HTTP", "");
    }
    text
}

fn vault(set: &PolicySet) -> String {
    let Some(vault) = &set.vault else { return "none".to_owned() };
    let mut text = vault.address.clone();
    for node in &vault.standbys {
        text.push_str(&format!(" and {node}"));
    }
    if let Some(namespace) = &vault.namespace {
        text.push_str(&format!(" namespace {namespace}"));
    }
    // What a policy says nothing of is not shown.
    let plain = Vault::default();
    if vault.kv != plain.kv {
        text.push_str(&format!(" kv {}", vault.kv));
    }
    if vault.login != plain.login {
        text.push_str(&format!(" {:?}", vault.login));
    }
    for (what, file) in [("ca", &vault.ca_file), ("identity", &vault.identity_file)] {
        text.push_str(&file.as_ref().map_or_else(String::new, |file| format!(" {what} {file}")));
    }
    text.push_str(if vault.shared { " shared" } else { "" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Layers, load};

    fn set(audit: &str, class: &str) -> PolicySet {
        let text = format!(
            "version = 1\n[issuers.corp]\nurl = \"https://login.example.com\"\n[servers.s]\nurl = \"http://127.0.0.1:1/mcp\"\n\
             [servers.s.tools.t]\naudit = \"{class}\"\n[[grants]]\nto = {{ groups = [\"g\"] }}\nallow = [\"s:t\"]\n\
             {audit}\n[audit.retention]\nstandard = \"90d\"\nfinancial = \"7y\"\n"
        );
        let loaded = load(&Layers { files: vec![("p.toml".to_owned(), text.into())], environment: Vec::new() });
        loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems)).compiled.set().clone()
    }

    /// What changes, each with whether it is weaker.
    fn between(old: &PolicySet, new: &PolicySet) -> Vec<String> {
        let shown = |c: Change| {
            format!("{} {:?} {} -> {}{}", c.of, c.kind, c.before, c.after, if c.weaker { " weaker" } else { "" })
        };
        changes(old, new).into_iter().map(shown).collect()
    }

    #[test]
    fn a_class_that_is_kept_for_less_time_is_weaker_and_one_that_is_kept_longer_is_not() {
        let (short, long) = (set("", "standard"), set("", "financial"));
        assert_eq!(between(&long, &short), ["s:t AuditClass financial -> standard weaker"]);
        assert_eq!(between(&short, &long), ["s:t AuditClass standard -> financial"]);
    }

    #[test]
    fn seals_that_are_no_longer_signed_are_weaker() {
        let key = |name: &str| set(&format!("[audit]\nsigning_key = \"{name}\""), "standard");
        let without = set("", "standard");
        assert_eq!(between(&key("file:a.pem"), &without), ["audit AuditKey file:a.pem -> none weaker"]);
        assert_eq!(between(&without, &key("env:KEY")), ["audit AuditKey none -> env:KEY"]);
        assert_eq!(between(&key("file:a.pem"), &key("file:b.pem")), ["audit AuditKey file:a.pem -> file:b.pem"]);
    }

    #[test]
    fn a_hold_that_keeps_less_is_weaker() {
        let hold = |what: &str| set(&format!("[audit.holds.case-1]\n{what}"), "standard");
        let (one, two, without) =
            (hold("subjects = [\"ana\"]"), hold("subjects = [\"ana\", \"ben\"]"), set("", "standard"));
        assert_eq!(between(&two, &one), ["hold case-1 Hold subjects ana ben -> subjects ana weaker"]);
        assert_eq!(between(&one, &two), ["hold case-1 Hold subjects ana -> subjects ana ben"]);
        assert_eq!(between(&one, &without), ["hold case-1 Hold subjects ana -> none weaker"]);
        let class = hold("classes = [\"financial\"]");
        assert_eq!(between(&one, &class), ["hold case-1 Hold subjects ana -> classes financial weaker"]);
    }
}
