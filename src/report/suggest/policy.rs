//! A suggestion as a policy file, or as the grants of one.

use std::fmt::Write;

use super::{Findings, cited, remarks};
use crate::model::ResourceKind;
use crate::policy::set::{Item, PolicySet, Server, Upstream, item_name};
use crate::report::text::{harmless, plural};
use crate::report::toml::{array, key, matcher, selector, string};
use crate::suggest::limits::MAX_COUNTED;
use crate::suggest::{AUDIENCE_HOST, Basis, FILL_IN, LearnedGrant, LearnedItem, Studied};

/// The longest life of a token that an issuer has without being told, in seconds.
const USUAL_LIFETIME: u32 = 3600;

/// The whole policy where there was none, else the grants that take the place of today's.
pub fn toml(findings: &Findings<'_>) -> String {
    let studied = findings.studied;
    let suggestion = &studied.suggestion;
    let mut out = String::new();
    remark(&mut out, "", "Suggested by `doorward suggest`: the least that keeps the traffic below working.");
    remark(&mut out, "", "What was not called in this window is not granted. Review it before use.");
    out.push_str("#\n");
    for text in remarks(findings) {
        remark(&mut out, "", &text);
    }
    out.push('\n');
    if suggestion.stands_alone {
        declarations(&mut out, suggestion.policy.set());
    } else {
        let digest = studied.against.as_ref().map_or("", |against| against.digest.as_str());
        remark(&mut out, "", &format!("In place of every [[grants]] of the policy {digest}."));
    }
    for grant in &suggestion.grants {
        write_grant(&mut out, grant, studied);
    }
    if suggestion.grants.is_empty() {
        remark(&mut out, "", "No call could be learned from: there is no grant.");
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A comment. Nothing in it can end it.
fn remark(out: &mut String, indent: &str, text: &str) {
    line(out, format_args!("{indent}# {}", harmless(text)));
}

/// What is learned and what must be filled in, around the grants.
fn declarations(out: &mut String, set: &PolicySet) {
    out.push_str("version = 1\n");
    for (name, issuer) in &set.issuers {
        line(out, format_args!("\n[issuers.{}]", key(name)));
        line(out, format_args!("url = {}  # FILL IN: the `iss` of its tokens", string(&issuer.url)));
        if issuer.max_lifetime != USUAL_LIFETIME {
            remark(out, "", "The longest token of a learned call lived this long, in whole minutes.");
            line(out, format_args!("max_lifetime = \"{}s\"", issuer.max_lifetime));
        }
        if !issuer.audiences.is_empty() {
            remark(out, "", "Every token of a learned call had it.");
            line(out, format_args!("audiences = {}", array(&issuer.audiences)));
        }
    }
    for (name, server) in &set.servers {
        write_server(out, name, server);
    }
}

fn write_server(out: &mut String, name: &str, server: &Server) {
    line(out, format_args!("\n[servers.{}]", key(name)));
    match &server.upstream {
        Upstream::Url(url) if url.starts_with(FILL_IN) => {
            line(out, format_args!("url = {}  # FILL IN: where the server is, or `command = [..]`", string(url)));
        }
        Upstream::Url(url) => line(out, format_args!("url = {}", string(url))),
        Upstream::Command(command) => line(out, format_args!("command = {}", array(command))),
    }
    if server.resource != format!("{AUDIENCE_HOST}/{name}/mcp") {
        remark(out, "", "Every token of a learned call at this door had it as `aud`.");
        line(out, format_args!("resource = {}", string(&server.resource)));
    }
    if let Some(issuers) = &server.issuers {
        line(out, format_args!("issuers = {}", array(issuers)));
    }
    let kinds = [
        ("tools", ResourceKind::Tool, &server.tools),
        ("prompts", ResourceKind::Prompt, &server.prompts),
        ("resources", ResourceKind::Resource, &server.resources),
    ];
    for (table, kind, items) in kinds {
        if items.is_empty() {
            continue;
        }
        line(out, format_args!("\n[servers.{}.{table}]", key(name)));
        for (item, declared) in items {
            write_item(out, item, &format!("{name}:{}", item_name(kind, item)), declared);
        }
    }
}

fn write_item(out: &mut String, name: &str, reference: &str, item: &Item) {
    let mut parts = Vec::new();
    if let Some(uri) = &item.uri {
        parts.push(format!("uri = {}", string(uri.as_str())));
    }
    if item.scopes != [reference] {
        remark(
            out,
            "",
            "No learned call carried the item's own scope; every one carried this one. Check that it is meant.",
        );
        parts.push(match item.scopes.as_slice() {
            [one] => format!("scope = {}", string(one)),
            several => format!("scope = {}", array(several)),
        });
    }
    let parts = if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) };
    line(out, format_args!("{} = {parts}", key(name)));
}

fn write_grant(out: &mut String, grant: &LearnedGrant, studied: &Studied<'_>) {
    let statement = &grant.statement;
    out.push('\n');
    remark(out, "", &cited(&grant.evidence, grant.subjects, false));
    match grant.basis {
        Basis::Groups => {}
        Basis::Subjects => remark(out, "", "By subject: no group of theirs is known that could be named."),
        Basis::Servers => remark(out, "", "Servers that call; each called server must list them in `callers`."),
    }
    if statement.to.agents.is_empty() && grant.basis != Basis::Servers {
        let most = studied.options.max_agents;
        remark(out, "", &format!("Through any agent: it is not known for every call, or there were more than {most}."));
    }
    if !statement.to.claims.is_empty() || statement.expires.is_some() {
        let from = grant.items.iter().find_map(|item| item.from.as_deref()).unwrap_or_default();
        remark(out, "", &format!("Claims and expiry are those of today's grant `{from}`."));
    }
    out.push_str("[[grants]]\n");
    line(out, format_args!("name  = {}", string(statement.name.as_deref().unwrap_or_default())));
    if let Some(expires) = statement.expires {
        line(out, format_args!("expires = {expires}"));
    }
    line(out, format_args!("to    = {}", selector(&statement.to)));
    out.push_str("allow = [\n");
    let mut whole = None;
    for item in &grant.items {
        let (server, name) = (&item.place.server, item.place.item());
        // A pattern for all of a door stands once, over the events of its first item.
        let pattern = statement.items.iter().find(|p| p.matches(server, &name));
        let Some(pattern) = pattern else { continue };
        let general = !pattern.is_literal();
        remark(out, "    ", &about(item, general));
        if whole.as_ref() != Some(pattern) {
            line(out, format_args!("    {},", string(&pattern.to_string())));
        }
        whole = general.then(|| pattern.clone());
    }
    out.push_str("]\n");
    for item in &grant.items {
        write_bounds(out, item, studied);
    }
}

fn about(item: &LearnedItem, named: bool) -> String {
    let name = if named { format!("{}: ", item.place) } else { String::new() };
    let idle = match item.idle {
        0 => String::new(),
        1 => "; 1 other caller seen in these groups gets it too".to_owned(),
        n => format!("; {n} other callers seen in these groups get it too"),
    };
    format!("{name}{}{idle}", cited(&item.evidence, item.subjects, false))
}

fn write_bounds(out: &mut String, item: &LearnedItem, studied: &Studied<'_>) {
    if item.bounds.is_empty() && item.open.is_empty() {
        return;
    }
    let reference = item.place.to_string();
    if item.bounds.is_empty() {
        remark(out, "", &format!("{reference}: no bound on {}", open(item, studied)));
        return;
    }
    line(out, format_args!("[grants.args.{}]", string(&reference)));
    for bound in &item.bounds {
        remark(out, "", &cited(&bound.evidence, bound.subjects, bound.subjects >= MAX_COUNTED));
        if let Some(from) = item.from.as_ref().filter(|_| bound.kept) {
            remark(out, "", &format!("As today's grant `{from}` asks, or narrower."));
        }
        line(out, format_args!("{} = {}", key(bound.path.as_str()), matcher(&bound.matcher)));
    }
    if !item.open.is_empty() {
        remark(out, "", &format!("no bound on {}", open(item, studied)));
    }
}

/// `body (free text), page (7 events, 20 needed)`
fn open(item: &LearnedItem, studied: &Studied<'_>) -> String {
    use crate::suggest::Why;
    let few = format!(", {} needed", studied.options.min_support);
    let shown = item.open.iter().map(|one| {
        let more = if matches!(one.why, Why::FewEvents(_)) { few.as_str() } else { "" };
        format!("`{}` ({}{more})", one.path, one.why)
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { plural(0, "argument") } else { shown.join(", ") }
}
