//! The plan as one JSON document, `doorward.vault-plan/v1`: what to write where, for any tool.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Allowed, Plan, Wanted};

/// The name and version of the format.
pub const SCHEMA: &str = "doorward.vault-plan/v1";

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    policy: &'a str,
    namespace: Option<&'a str>,
    gateway_policy: &'a str,
    allowed: Vec<AllowedJson<'a>>,
    writes: Vec<WriteJson<'a>>,
    expected_policies: &'a BTreeMap<String, BTreeSet<String>>,
    expected_paths: &'a BTreeMap<String, BTreeSet<String>>,
}

#[derive(Serialize)]
struct AllowedJson<'a> {
    path: &'a str,
    capabilities: &'a BTreeSet<&'static str>,
    why: &'a str,
}

#[derive(Serialize)]
struct WriteJson<'a> {
    kind: &'static str,
    name: &'a str,
    path: &'a str,
    body: &'a Map<String, Value>,
}

/// The plan as JSON. `digest` is that of the policy.
pub fn json(plan: &Plan, digest: &str) -> String {
    let report = Report {
        schema: SCHEMA,
        policy: digest,
        namespace: plan.namespace.as_deref(),
        gateway_policy: &plan.policy,
        allowed: plan
            .allowed
            .iter()
            .map(|(path, Allowed { capabilities, why })| AllowedJson { path, capabilities, why })
            .collect(),
        writes: plan
            .wanted
            .iter()
            .map(|Wanted { kind, name, path, body }| WriteJson { kind: kind.name(), name, path, body })
            .collect(),
        expected_policies: &plan.expected,
        expected_paths: &plan.provided,
    };
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}
