//! Conditions as the policy would write them.

use std::fmt::Write;

use crate::policy::argument::ArgPath;
use crate::policy::matcher::Matcher;
use crate::policy::set::Selector;

/// A selector as an inline table; `everyone` for none.
pub(super) fn selector(to: Option<&Selector>) -> String {
    let Some(to) = to.filter(|to| **to != Selector::default()) else { return "everyone".to_owned() };
    let mut parts = Vec::new();
    let mut add = |key: &str, list: Vec<&str>| match list.as_slice() {
        [] => {}
        [one] => parts.push(format!("{key} = {one:?}")),
        many => parts.push(format!("{key} = {many:?}")),
    };
    let globs = |list: &'_ [crate::policy::glob::NameGlob]| -> Vec<String> {
        list.iter().map(|g| g.as_str().to_owned()).collect()
    };
    let (subjects, agents, groups) = (globs(&to.subjects), globs(&to.agents), globs(&to.groups));
    add("issuer", to.issuers.iter().map(String::as_str).collect());
    add("subjects", subjects.iter().map(String::as_str).collect());
    add("agents", agents.iter().map(String::as_str).collect());
    add("groups", groups.iter().map(String::as_str).collect());
    let claims: Vec<(String, Vec<String>)> = to.claims.iter().map(|(n, v)| (format!("claims.{n}"), globs(v))).collect();
    for (name, values) in &claims {
        add(name, values.iter().map(String::as_str).collect());
    }
    add("servers", to.servers.iter().map(String::as_str).collect());
    format!("{{ {} }}", parts.join(", "))
}

/// Argument rules, one a line.
pub(super) fn rules(rules: &[(&ArgPath, &Matcher)]) -> Vec<String> {
    rules.iter().map(|(path, matcher)| format!("{path} = {matcher}")).collect()
}

/// Seconds as a duration of the policy language.
pub(super) fn duration(seconds: u64) -> String {
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut left = seconds;
    let mut text = String::new();
    for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if left >= size {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{unit}", left / size);
            left %= size;
        }
    }
    text
}
