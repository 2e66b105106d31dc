//! The policy set in its fixed order, with the places in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Resolved;
use crate::diagnostics::{Code, Diagnostic};
use crate::model::ResourceKind;
use crate::policy::checks::{Checks, Spans, StatementSpans};
use crate::policy::document::{DeclaredStatement, Document};
use crate::policy::set::{ItemPattern, PolicySet, Server, Statement};

/// Fills in what a test leaves to its issuer.
pub(super) fn fill_tests(document: &mut Document, problems: &mut Vec<Diagnostic>) {
    let only = match document.issuers.as_slice() {
        [one] => Some(one.name.value.clone()),
        _ => None,
    };
    let lifetimes: BTreeMap<&str, u32> =
        document.issuers.iter().map(|i| (i.name.value.as_str(), i.issuer.max_lifetime)).collect();
    for declared in &mut document.tests {
        let subject = &mut declared.test.subject;
        if declared.no_issuer {
            match &only {
                Some(issuer) => subject.issuer.clone_from(issuer),
                None => {
                    let problem = Diagnostic::new(Code::MissingKey, "the subject of a test needs `issuer`")
                        .at(declared.subject, "")
                        .help("add `issuer = \"NAME\"`: it may be left out only where one issuer is declared");
                    problems.push(problem);
                }
            }
        }
        if declared.no_lifetime {
            subject.lifetime = lifetimes.get(subject.issuer.as_str()).copied().unwrap_or(0);
        }
    }
}

pub(super) fn build(document: Document, scopes: BTreeMap<String, Vec<ItemPattern>>) -> Resolved {
    let mut spans = Spans {
        issuers: document.issuers.iter().map(|i| (i.name.value.clone(), i.name.span)).collect(),
        scopes: document.scopes.iter().map(|(name, _)| (name.value.clone(), name.span)).collect(),
        ..Spans::default()
    };
    let mut servers = BTreeMap::new();
    let mut places = Vec::with_capacity(document.servers.iter().map(|server| server.items.len()).sum());
    for declared in document.servers {
        let name = declared.name.value;
        let shared: Arc<str> = name.as_str().into();
        let (mut tools, mut prompts, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        for item in declared.items {
            let list = match item.kind {
                ResourceKind::Tool | ResourceKind::Server => &mut tools,
                ResourceKind::Prompt => &mut prompts,
                ResourceKind::Resource => &mut resources,
            };
            places.push(((shared.clone(), item.kind, item.name.value.as_str().into()), item.name.span));
            list.push((item.name.value, item.item));
        }
        // All at once: a map is built from what is in order already without looking for each place.
        let map = |items: Vec<_>| items.into_iter().collect();
        let server = Server { tools: map(tools), prompts: map(prompts), resources: map(resources), ..declared.server };
        spans.servers.insert(name.clone(), declared.name.span);
        servers.insert(name, server);
    }
    spans.items = places.into_iter().collect();
    let (grants, grant_spans) = ordered(document.grants);
    let (denies, deny_spans) = ordered(document.denies);
    spans.grants = grant_spans;
    spans.denies = deny_spans;
    let set = PolicySet {
        issuers: document.issuers.into_iter().map(|i| (i.name.value, i.issuer)).collect(),
        servers,
        scopes,
        grants,
        denies,
        audit: document.audit,
        gateway: document.gateway,
        vault: document.vault,
    };
    let checks = Checks {
        invariants: document.invariants,
        tests: document.tests.into_iter().map(|t| t.test).collect(),
        rollout: document.rollout,
    };
    Resolved { set, checks, spans }
}

fn ordered(mut declared: Vec<DeclaredStatement>) -> (Vec<Statement>, Vec<StatementSpans>) {
    declared.sort_by(|a, b| a.statement.cmp(&b.statement));
    declared.into_iter().map(|d| (d.statement, d.spans)).unzip()
}
