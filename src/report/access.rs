//! Who can do something and what someone can do, for a person and as JSON (`doorward.access/v1`).

use std::fmt::Write;

use serde::Serialize;

use super::diff::UnansweredJson;
use super::style::Style;
use super::text::{harmless, pretty};
use super::witness;
use crate::analyze::{Access, Answer, Exception, Granted, RuleRef};
use crate::model::Timestamp;

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.access/v1";

/// The access for a person. `witnesses` adds a request for each grant.
pub fn human(answer: &Answer, witnesses: bool, style: Style) -> String {
    let mut out = String::new();
    for access in &answer.items {
        write_access(&mut out, access, witnesses, style);
    }
    for one in &answer.unanswered {
        line(&mut out, format_args!("{} {}: {}", style.bad("not answered"), one.place, one.limit));
    }
    if out.is_empty() {
        out.push_str("nothing\n");
    }
    out
}

fn write_access(out: &mut String, access: &Access, witnesses: bool, style: Style) {
    line(out, format_args!("{}", style.strong(harmless(&access.place.to_string()))));
    if access.grants.is_empty() {
        line(out, format_args!("  nobody"));
        return;
    }
    for granted in &access.grants {
        line(out, format_args!("  {} by {}", harmless(&granted.to), rule(&granted.grant)));
        if let Some(expires) = granted.expires {
            line(out, format_args!("      until {expires}"));
        }
        args(out, "with", &granted.args);
        for except in &granted.except {
            write_exception(out, except);
        }
        if witnesses {
            line(out, format_args!("      {}", style.faint(harmless(&witness::command(&granted.witness)))));
        }
    }
    if let Some(scopes) = &access.scopes {
        line(
            out,
            format_args!(
                "  needs the scope {}",
                scopes.iter().map(|s| format!("`{}`", harmless(s))).collect::<Vec<_>>().join(" or ")
            ),
        );
    }
    if let Some(ttl) = access.token_ttl {
        line(out, format_args!("  needs a token younger than {ttl} s"));
    }
    for text in &access.args {
        line(out, format_args!("  needs the argument {}", harmless(text)));
    }
}

fn write_exception(out: &mut String, except: &Exception) {
    let until = except.expires.map_or_else(String::new, |t| format!(" until {t}"));
    line(out, format_args!("      except {} by {}{until}", harmless(&except.to), rule(&except.deny)));
    args(out, "  where", &except.args);
}

fn args(out: &mut String, what: &str, rules: &[String]) {
    for text in rules {
        line(out, format_args!("      {what} {}", harmless(text)));
    }
}

fn rule(rule: &RuleRef) -> String {
    harmless(&rule.to_string()).into_owned()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// The access as one JSON document. `digest` is that of the policy.
pub fn json(answer: &Answer, digest: &str) -> String {
    pretty(&Report {
        schema: SCHEMA,
        policy: digest,
        items: answer.items.iter().map(AccessJson::of).collect(),
        not_answered: answer.unanswered.iter().map(UnansweredJson::of).collect(),
    })
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    policy: &'a str,
    items: Vec<AccessJson<'a>>,
    not_answered: Vec<UnansweredJson>,
}

#[derive(Serialize)]
struct AccessJson<'a> {
    item: String,
    scopes: Option<&'a [String]>,
    token_ttl: Option<u32>,
    args: &'a [String],
    grants: Vec<GrantedJson<'a>>,
}

#[derive(Serialize)]
struct GrantedJson<'a> {
    grant: &'a RuleRef,
    to: &'a str,
    expires: Option<Timestamp>,
    args: &'a [String],
    except: Vec<ExceptionJson<'a>>,
    request: witness::Json<'a>,
}

#[derive(Serialize)]
struct ExceptionJson<'a> {
    deny: &'a RuleRef,
    to: &'a str,
    expires: Option<Timestamp>,
    args: &'a [String],
}

impl<'a> AccessJson<'a> {
    fn of(access: &'a Access) -> Self {
        Self {
            item: access.place.to_string(),
            scopes: access.scopes.as_deref(),
            token_ttl: access.token_ttl,
            args: &access.args,
            grants: access.grants.iter().map(GrantedJson::of).collect(),
        }
    }
}

impl<'a> GrantedJson<'a> {
    fn of(granted: &'a Granted) -> Self {
        let except = granted.except.iter();
        Self {
            grant: &granted.grant,
            to: &granted.to,
            expires: granted.expires,
            args: &granted.args,
            except: except
                .map(|e| ExceptionJson { deny: &e.deny, to: &e.to, expires: e.expires, args: &e.args })
                .collect(),
            request: witness::Json::of(&granted.witness),
        }
    }
}
