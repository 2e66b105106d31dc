//! The TOML of a mapping. An unknown key is an error at its place, as in a policy.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{CallRule, CallShape, Clock, IdentityRule, Mapping, TokenRule};
use crate::diagnostics::{Code, Diagnostic, Sources, did_you_mean};
use crate::model::Timestamp;
use crate::traffic::Field;
use crate::traffic::declared::{self, OneOrMany, Reading};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingIn {
    version: Spanned<i64>,
    session: Option<String>,
    #[serde(default)]
    time: ClockIn,
    #[serde(default)]
    calls: Vec<Spanned<CallIn>>,
    #[serde(default)]
    doors: BTreeMap<String, String>,
    #[serde(default)]
    issuers: BTreeMap<String, String>,
    #[serde(default)]
    tools: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    identities: Vec<Spanned<IdentityIn>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockIn {
    start: Option<Spanned<toml::value::Datetime>>,
    session: Option<Spanned<String>>,
    call: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallIn {
    function: Spanned<String>,
    prefix: Option<String>,
    split: Option<String>,
    door: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    arguments: Option<String>,
    ignore: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityIn {
    #[serde(default)]
    when: BTreeMap<String, OneOrMany>,
    issuer: Option<String>,
    sub: Option<String>,
    agent: Option<String>,
    groups: Option<OneOrMany>,
    claims: Option<BTreeMap<String, OneOrMany>>,
    scopes: Option<OneOrMany>,
    audience: Option<OneOrMany>,
    age: Option<Spanned<String>>,
    lifetime: Option<Spanned<String>>,
    #[serde(default)]
    absent: Vec<Spanned<String>>,
}

/// Reads a mapping. The texts that the places of the problems point into go to `sources`.
///
/// # Errors
///
/// Every problem found; a mapping with one is not used.
pub fn load(name: &str, bytes: &[u8], sources: &mut Sources) -> Result<Mapping, Vec<Diagnostic>> {
    declared::load((name, bytes), sources, |reading, file| Builder(reading).mapping(file))
}

struct Builder<'r>(&'r mut Reading);

impl Builder<'_> {
    fn mapping(&mut self, file: MappingIn) -> Mapping {
        self.0.version(&file.version, "mappings");
        let mut tools = BTreeMap::new();
        for (tool, renamed) in file.tools {
            if !tool.get_ref().contains(':') {
                let message = format!("`{}` does not name a tool as `door:tool`", tool.get_ref());
                self.0.problem(Code::InvalidValue, tool.span(), message, "");
            }
            tools.insert(tool.into_inner(), renamed);
        }
        Mapping {
            session: file.session,
            clock: self.clock(file.time),
            calls: file.calls.into_iter().filter_map(|call| self.call(call)).collect(),
            doors: file.doors,
            issuers: file.issuers,
            tools,
            identities: file.identities.into_iter().map(|rule| self.identity(rule)).collect(),
        }
    }

    fn clock(&mut self, clock: ClockIn) -> Clock {
        let given = clock.start.is_some();
        let start = clock.start.map_or(0, |start| {
            let text = start.get_ref().to_string();
            let format = &time::format_description::well_known::Rfc3339;
            time::OffsetDateTime::parse(&text, format).map_or_else(
                |_| {
                    let message = format!("`{text}` is not an instant");
                    let help = "write date, time and offset, such as `2026-03-02T09:00:00Z`";
                    self.0.problem(Code::InvalidValue, start.span(), message, help);
                    0
                },
                time::OffsetDateTime::unix_timestamp,
            )
        });
        Clock {
            given,
            start: Timestamp(start),
            session: self.seconds(clock.session.as_ref()).unwrap_or(3600),
            call: self.seconds(clock.call.as_ref()).unwrap_or(1),
        }
    }

    fn seconds(&mut self, text: Option<&Spanned<String>>) -> Option<u32> {
        let text = text?;
        let seconds = duration(text.get_ref());
        if seconds.is_none() {
            let message = format!("`{}` is not a duration", text.get_ref());
            self.0.problem(Code::InvalidValue, text.span(), message, "write whole units, such as `90s` or `1h30m`");
        }
        seconds
    }

    fn call(&mut self, call: Spanned<CallIn>) -> Option<CallRule> {
        let span = call.span();
        let call = call.into_inner();
        let shape = match (call.split, call.door, (call.server, call.tool, call.arguments), call.ignore, call.prefix) {
            (Some(separator), None, (None, None, None), None, prefix) if !separator.is_empty() => {
                Some(CallShape::Named { prefix: prefix.unwrap_or_default(), separator })
            }
            (None, Some(door), (None, None, None), None, None) => Some(CallShape::Door(door)),
            (None, None, (Some(server), Some(tool), Some(arguments)), None, None) => {
                Some(CallShape::Wrapper { server, tool, arguments })
            }
            (None, None, (None, None, None), Some(true), None) => Some(CallShape::Ignore),
            _ => None,
        };
        if shape.is_none() {
            let message = "a call rule says in one way where the server and the tool stand".to_owned();
            let help =
                "give `split` (and `prefix`), or `door`, or `server`, `tool` and `arguments`, or `ignore = true`";
            self.0.problem(Code::InvalidValue, span, message, help);
        }
        let function = self.0.glob(call.function.get_ref(), call.function.span());
        Some(CallRule { function: function?, shape: shape? })
    }

    fn identity(&mut self, rule: Spanned<IdentityIn>) -> IdentityRule {
        let span = rule.span();
        let rule = rule.into_inner();
        let mut when = BTreeMap::new();
        for (field, globs) in rule.when {
            when.insert(field, self.0.globs(globs, &span));
        }
        let token = match (self.seconds(rule.age.as_ref()), self.seconds(rule.lifetime.as_ref())) {
            (Some(age), Some(lifetime)) => Some(TokenRule { age, lifetime }),
            (None, None) => None,
            _ => {
                let message = "`age` and `lifetime` of a token are given together".to_owned();
                self.0.problem(Code::MissingKey, span, message, "");
                None
            }
        };
        let lists = |claims: BTreeMap<String, OneOrMany>| claims.into_iter().map(|(k, v)| (k, v.list())).collect();
        let mut out = IdentityRule {
            when,
            issuer: given(rule.issuer),
            sub: given(rule.sub),
            agent: given(rule.agent),
            groups: given(rule.groups.map(OneOrMany::list)),
            claims: given(rule.claims.map(lists)),
            scopes: given(
                rule.scopes.map(|s| s.list().iter().flat_map(|s| s.split_whitespace()).map(Into::into).collect()),
            ),
            audience: given(rule.audience.map(OneOrMany::list)),
            token,
        };
        for field in rule.absent {
            self.absent(&mut out, &field);
        }
        out
    }

    fn absent(&mut self, rule: &mut IdentityRule, field: &Spanned<String>) {
        const FIELDS: [&str; 6] = ["sub", "agent", "groups", "claims", "scopes", "audience"];
        let free = match field.get_ref().as_str() {
            "sub" => withdraw(&mut rule.sub),
            "agent" => withdraw(&mut rule.agent),
            "groups" => withdraw(&mut rule.groups),
            "claims" => withdraw(&mut rule.claims),
            "scopes" => withdraw(&mut rule.scopes),
            "audience" => withdraw(&mut rule.audience),
            other => {
                let near = did_you_mean(other, FIELDS).map(|near| format!("did you mean `{near}`?"));
                let message = format!("`{other}` is not a fact that can be absent");
                self.0.problem(Code::InvalidValue, field.span(), message, &near.unwrap_or_default());
                true
            }
        };
        if !free {
            let message = format!("`{}` is given and absent in one rule", field.get_ref());
            self.0.problem(Code::InvalidValue, field.span(), message, "remove one of the two");
        }
    }
}

fn given<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::NotRecorded, Field::Present)
}

/// Marks a fact as absent; whether no value was given.
fn withdraw<T>(field: &mut Field<T>) -> bool {
    matches!(std::mem::replace(field, Field::Absent), Field::NotRecorded)
}

/// Seconds of `90s`, `15m`, `1h30m`: whole units, each once, descending.
fn duration(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut total = 0u32;
    for (unit, seconds) in [("d", 86_400u32), ("h", 3_600), ("m", 60), ("s", 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(seconds)?)?;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let mut sources = Sources::default();
        let problems = load("m.toml", text.as_bytes(), &mut sources).unwrap_err();
        let show = |d: &Diagnostic| {
            let place = d.primary.as_ref().map(|l| sources.position(l.span).to_string()).unwrap_or_default();
            format!("{place}: {} [{}] {}", d.message, d.code, d.help.as_deref().unwrap_or("-"))
        };
        problems.iter().map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_wrong_in_a_mapping_has_its_place() {
        insta::assert_snapshot!(problems("version = 1\ncals = []\n"), @"m.toml:2:1: unknown field `cals` [unknown-key] did you mean `calls`?");
        insta::assert_snapshot!(problems("session = \"x\"\n"), @"m.toml:1:1: missing field `version` [missing-key] -");
        insta::assert_snapshot!(problems("version = \"1\"\n"), @r#"m.toml:1:11: invalid type: string "1", expected i64 [wrong-type] -"#);
        insta::assert_snapshot!(problems("version = \n"), @"m.toml:1:11: string values must be quoted, expected literal string [toml-syntax] -");
        insta::assert_snapshot!(problems(
            "version = 2\ntime = { start = 2026-01-01, call = \"5 s\" }\ntools = { x = \"y\" }\n\
             [[calls]]\nfunction = \"a\"\nsplit = \"_\"\ndoor = \"d\"\n[[calls]]\nfunction = \"\\\\\"\nignore = true\n\
             [[identities]]\nage = \"1m\"\nsub = \"a\"\nabsent = [\"sub\", \"agnt\"]\nwhen = { x = \"\" }\n"
        ), @r"
        m.toml:1:11: version 2 of mappings is not one this build reads [unknown-version] write `version = 1`
        m.toml:3:11: `x` does not name a tool as `door:tool` [invalid-value] -
        m.toml:2:18: `2026-01-01` is not an instant [invalid-value] write date, time and offset, such as `2026-03-02T09:00:00Z`
        m.toml:2:37: `5 s` is not a duration [invalid-value] write whole units, such as `90s` or `1h30m`
        m.toml:4:1: a call rule says in one way where the server and the tool stand [invalid-value] give `split` (and `prefix`), or `door`, or `server`, `tool` and `arguments`, or `ignore = true`
        m.toml:9:12: `\`: the pattern ends in a lone `\`: write `\\` for that character [invalid-pattern] -
        m.toml:11:1: ``: the pattern is empty: write `*` to match any text [invalid-pattern] -
        m.toml:11:1: `age` and `lifetime` of a token are given together [missing-key] -
        m.toml:14:11: `sub` is given and absent in one rule [invalid-value] remove one of the two
        m.toml:14:18: `agnt` is not a fact that can be absent [invalid-value] did you mean `agent`?
        ");
    }

    #[test]
    fn durations_are_whole_units_descending() {
        for (text, seconds) in [("90s", Some(90)), ("1h30m", Some(5400)), ("2d", Some(172_800)), ("0s", Some(0))] {
            assert_eq!(duration(text), seconds);
        }
        for text in ["", "5", "5 s", "s", "1m1h", "-1s", "1.5h", "99999999999d", "1h1h"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
