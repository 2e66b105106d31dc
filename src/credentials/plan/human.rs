//! The plan for a person, each line with what becomes of it.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Kind, Plan, Wanted};
use crate::report::{Style, harmless};

/// What becomes of something that Vault must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change {
    /// It is not there, or nobody looked.
    #[default]
    Add,
    /// It is there and differs in these keys: what they are now.
    Alter(Vec<(String, Value)>),
    /// It is as it must be.
    Keep,
}

/// The plan with what becomes of each of its parts, in their order; without any, all is new.
pub fn human(plan: &Plan, changes: &[Change], style: Style) -> String {
    let mut out = String::new();
    let mut counts = [0_usize; 3];
    for (number, wanted) in plan.wanted.iter().enumerate() {
        let change = changes.get(number).unwrap_or(&Change::Add);
        let (count, sign) = match change {
            Change::Add => (0, style.good("+").to_string()),
            Change::Alter(_) => (1, style.caution("~").to_string()),
            Change::Keep => (2, style.faint("=").to_string()),
        };
        if let Some(count) = counts.get_mut(count) {
            *count += 1;
        }
        let _ = writeln!(out, "{sign} {} {}", wanted.kind.name(), style.strong(harmless(&wanted.name)));
        match change {
            Change::Keep => {}
            _ if wanted.kind == Kind::Policy => paths(&mut out, plan),
            Change::Add => body(&mut out, wanted, &[]),
            Change::Alter(now) => body(&mut out, wanted, now),
        }
    }
    for (policy, servers) in &plan.expected {
        let servers: Vec<_> = servers.iter().map(String::as_str).collect();
        let text = format!("expects the policy {policy}, which says what a token of {} may do", servers.join(", "));
        let _ = writeln!(out, "  {}", harmless(&text));
    }
    for (path, servers) in &plan.provided {
        let servers: Vec<_> = servers.iter().map(String::as_str).collect();
        let text = format!("expects a secrets engine that gives {path} for {}", servers.join(", "));
        let _ = writeln!(out, "  {}", harmless(&text));
    }
    let [add, alter, keep] = counts;
    let _ = writeln!(out, "\n{add} to add, {alter} to change, {keep} as they must be");
    out
}

fn paths(out: &mut String, plan: &Plan) {
    for (path, allowed) in &plan.allowed {
        let capabilities: Vec<_> = allowed.capabilities.iter().copied().collect();
        let text = format!("{path}  {}  for {}", capabilities.join(", "), allowed.why);
        let _ = writeln!(out, "    {}", harmless(&text));
    }
}

fn body(out: &mut String, wanted: &Wanted, now: &[(String, Value)]) {
    for (key, value) in &wanted.body {
        let text = match now.iter().find(|(name, _)| name == key) {
            Some((_, now)) => format!("{key} = {value}, now {now}"),
            None if now.is_empty() => format!("{key} = {value}"),
            None => continue,
        };
        let _ = writeln!(out, "    {}", harmless(&text));
    }
}
