//! Takes the secrets out of what an importer made of a log.
//!
//! A value that holds one is listed as redacted, which a policy takes for unknown. Secrets are known by
//! their looks or by the name of the argument that they stand under; one that looks like nothing and
//! stands under no such name is not known.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::event::{Event, Field};
use crate::model::{Withheld, WithheldBecause};
use crate::policy::argument::ArgPath;
use crate::policy::{REDACTED, holds_secret, mask_secrets, names_secret};

/// The address of a server as it may be kept: without user, query and fragment.
pub(super) fn bare(address: &str) -> Cow<'_, str> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, address),
    };
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
    let host = match authority.rsplit_once('@') {
        // Without a scheme an `@` may be part of a name, such as that of a package.
        Some((user, host)) if scheme.is_some() || user.contains(':') => host,
        _ => authority,
    };
    if host.len() + path.len() == rest.len() {
        return Cow::Borrowed(address);
    }
    Cow::Owned(scheme.map_or_else(|| format!("{host}{path}"), |scheme| format!("{scheme}://{host}{path}")))
}

/// Puts a stand-in for every secret in the keys and texts of a value that is shown to somebody.
pub(crate) fn mask_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = mask_secrets(text) {
                *text = masked;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask_value),
        Value::Object(object) => {
            object.values_mut().for_each(mask_value);
            if object.keys().any(|key| holds_secret(key)) {
                for (key, value) in std::mem::take(object) {
                    let masked = mask_secrets(&key).into_owned();
                    // Two secrets stay two.
                    let mut name = masked.clone();
                    let mut number = 1;
                    while object.contains_key(&name) {
                        number += 1;
                        name = format!("{masked} {number}");
                    }
                    object.insert(name, value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Event {
    /// Takes out every secret that can be known. What a policy could ask about becomes unknown by it.
    ///
    /// # Errors
    ///
    /// When one stands in the method or the name, which an event cannot be without.
    pub fn redact(&mut self) -> Result<(), String> {
        for (what, text) in [("method", &self.method), ("name", &self.name)] {
            if holds_secret(text) {
                return Err(format!("the {what} holds what looks like a secret, and is not kept"));
            }
        }
        if let Cow::Owned(masked) = mask_secrets(&self.door) {
            self.door = masked;
        }
        for field in [&mut self.id, &mut self.era, &mut self.session] {
            redact(field, |text| holds_secret(text));
        }
        let (subject, token) = (&mut self.subject, &mut self.token);
        for field in [&mut subject.issuer, &mut subject.sub, &mut subject.agent] {
            redact(field, |text| holds_secret(text));
        }
        for list in [&mut subject.groups, &mut token.aud, &mut token.scopes] {
            redact(list, |list| any(list));
        }
        redact(&mut subject.claims, claims);
        self.redact_arguments();
        if let Some(foreign) = &mut self.foreign {
            foreign.redact();
        }
        if let Some(decided) = &mut self.decided {
            // No digest and no statement of a policy reads like one.
            let name = decided.rule.as_mut().map(|rule| &mut rule.name);
            for text in name.into_iter().chain([&mut decided.digest]) {
                if let Cow::Owned(masked) = mask_secrets(text) {
                    *text = masked;
                }
            }
        }
        Ok(())
    }

    /// Takes out what stands at a place in the arguments. A list on the way is gone through, element by
    /// element; any other value in which the way ends before its end is taken out as a whole, since
    /// what was meant may be in it.
    pub fn redact_at(&mut self, path: &ArgPath) {
        let Field::Present(arguments) = &mut self.arguments else { return };
        let segments: Vec<&str> = path.segments().collect();
        let Some((first, rest)) = segments.split_first() else { return };
        let mut found = Vec::new();
        if let Some(value) = arguments.get_mut(*first) {
            below(&mut String::new(), first, |pointer| take_out(value, rest, pointer, &mut found));
        }
        self.withhold(found);
    }

    /// Takes out the values in the arguments that are out by what they look like: a text, or a number as it is
    /// written. Where a name of a member is, the whole that it is a member of is taken out.
    pub fn redact_where(&mut self, is_out: &dyn Fn(&str) -> bool) {
        let Field::Present(arguments) = &mut self.arguments else { return };
        let left_out = self.withheld.iter().filter_map(|w| w.pointer.rsplit('/').next());
        let mut names = left_out.map(|name| name.replace("~1", "/").replace("~0", "~"));
        if names.any(|name| is_out(&name)) || arguments.keys().any(|name| is_out(name)) {
            self.arguments = Field::Redacted;
            self.withheld.clear();
            return;
        }
        let mut found = Vec::new();
        for (name, value) in arguments {
            below(&mut String::new(), name, |pointer| take_out_where(value, is_out, pointer, &mut found));
        }
        self.withhold(found);
    }

    fn redact_arguments(&mut self) {
        let Field::Present(arguments) = &mut self.arguments else { return };
        if arguments.keys().any(|key| holds_secret(key)) {
            self.arguments = Field::Redacted;
            self.withheld.clear();
            return;
        }
        let mut found = Vec::new();
        inside(arguments, &mut String::new(), &mut found);
        self.withhold(found);
        // Where something was left out says as much as the name of what was kept.
        let mut names = self.withheld.iter().flat_map(|w| w.pointer.split('/'));
        if names.any(|name| holds_secret(&name.replace("~1", "/").replace("~0", "~"))) {
            self.arguments = Field::Redacted;
            self.withheld.clear();
        }
    }

    /// Notes places that were taken out.
    fn withhold(&mut self, found: Vec<String>) {
        for pointer in found {
            // What was withheld within it is now part of it.
            self.withheld.retain(|w| {
                w.pointer != pointer && !w.pointer.strip_prefix(&pointer).is_some_and(|rest| rest.starts_with('/'))
            });
            self.withheld.push(Withheld { pointer, because: WithheldBecause::Redacted });
        }
    }
}

fn redact<T>(field: &mut Field<T>, is_secret: impl FnOnce(&T) -> bool) {
    if field.present().is_some_and(is_secret) {
        *field = Field::Redacted;
    }
}

fn any(list: &[String]) -> bool {
    list.iter().any(|text| holds_secret(text))
}

fn claims(claims: &BTreeMap<String, Vec<String>>) -> bool {
    claims.iter().any(|(name, values)| holds_secret(name) || any(values))
}

/// Puts a stand-in for what is at a place, and notes where.
fn take_out(value: &mut Value, segments: &[&str], pointer: &mut String, found: &mut Vec<String>) {
    match (segments.split_first(), &mut *value) {
        // `null` says that none was given.
        (_, Value::Null) => {}
        (Some((first, rest)), Value::Object(object)) => {
            if let Some(value) = object.get_mut(*first) {
                below(pointer, first, |pointer| take_out(value, rest, pointer, found));
            }
        }
        (Some((first, rest)), Value::Array(list)) => {
            for (index, value) in list.iter_mut().enumerate() {
                let index = index.to_string();
                // A pointer may name one element.
                let segments = if *first == index { rest } else { segments };
                below(pointer, &index, |pointer| take_out(value, segments, pointer, found));
            }
        }
        _ => {
            *value = Value::from(REDACTED);
            found.push(pointer.clone());
        }
    }
}

/// Puts a stand-in for each value that is out by what it looks like, and notes its place.
fn take_out_where(value: &mut Value, is_out: &dyn Fn(&str) -> bool, pointer: &mut String, found: &mut Vec<String>) {
    let out = match &*value {
        Value::String(text) => is_out(text),
        Value::Number(number) => is_out(&number.to_string()),
        Value::Object(object) => object.keys().any(|name| is_out(name)),
        Value::Array(_) | Value::Bool(_) | Value::Null => false,
    };
    if out {
        *value = Value::from(REDACTED);
        found.push(pointer.clone());
        return;
    }
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                below(pointer, name, |pointer| take_out_where(value, is_out, pointer, found));
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                below(pointer, &index.to_string(), |pointer| take_out_where(value, is_out, pointer, found));
            }
        }
        _ => {}
    }
}

/// Puts a stand-in for each value with a secret, and notes its place.
fn inside(object: &mut Map<String, Value>, pointer: &mut String, found: &mut Vec<String>) {
    for (key, value) in object {
        // `""` and `null` say that none was given.
        let named = names_secret(key) && value.as_str().map_or(!value.is_null(), |text| !text.is_empty());
        below(pointer, key, |pointer| look(value, named, pointer, found));
    }
}

fn look(value: &mut Value, named: bool, pointer: &mut String, found: &mut Vec<String>) {
    let secret = match &*value {
        Value::String(text) => named || holds_secret(text),
        // A secret in a key is a secret of the object.
        Value::Object(object) => named || object.keys().any(|key| holds_secret(key)),
        _ => named,
    };
    if secret {
        *value = Value::from(REDACTED);
        found.push(pointer.clone());
        return;
    }
    match value {
        Value::Object(object) => inside(object, pointer, found),
        Value::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                below(pointer, &index.to_string(), |pointer| look(value, false, pointer, found));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn below(pointer: &mut String, key: &str, visit: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    visit(pointer);
    pointer.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{line, read_event};

    #[test]
    fn what_is_declared_is_taken_out_wherever_it_is() {
        let arguments = serde_json::json!({
            "pin": 1234, "empty": null, "whole": {"a": [1]}, "text": "{\"card\": 4111}", "odd": {"a.b": {"/": "x", "c": 1}},
            "cards": [{"number": "4111", "until": "12/30"}, {"until": "1/31"}, "4222", [{"number": 1}]],
        });
        let mut event = Event::new(crate::model::Timestamp(1), "s", crate::model::Action::ToolsCall, "t");
        event.arguments = Field::Present(arguments.as_object().unwrap().clone());
        for path in ["pin", "empty", "whole", "text.card", "/odd/a.b/~1", "cards.number", "none.of.it"] {
            event.redact_at(&ArgPath::new(path).unwrap());
        }
        let text = line(&event).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(line(&read_event(text.as_bytes()).unwrap()).unwrap(), text);
        let mut one = Event::new(crate::model::Timestamp(1), "s", crate::model::Action::ToolsCall, "t");
        one.arguments = Field::Present(arguments.as_object().unwrap().clone());
        one.redact_at(&ArgPath::new("cards.0.number").unwrap());
        let left = one.arguments.present().unwrap()["cards"][0].clone();
        assert_eq!(left, serde_json::json!({"number": REDACTED, "until": "12/30"}));
    }

    #[test]
    fn what_looks_like_something_is_taken_out_wherever_it_is() {
        let taken = |arguments: Value, left_out: &str| {
            let mut event = Event::new(crate::model::Timestamp(1), "s", crate::model::Action::ToolsCall, "t");
            event.arguments = Field::Present(arguments.as_object().unwrap().clone());
            event.withheld = vec![Withheld { pointer: format!("/{left_out}"), because: WithheldBecause::NotRecorded }];
            let glob = crate::policy::glob::NameGlob::new("X*").unwrap();
            event.redact_where(&|text| glob.matches(text));
            let at: Vec<String> = event.withheld.iter().map(|w| w.pointer.clone()).collect();
            (event.arguments.present().cloned().map(Value::Object), at.join(" "))
        };
        let arguments =
            serde_json::json!({"a": "X1", "b": ["x", {"c": "X", "d": 1}], "e": {"X": 1}, "f": null, "g": true});
        let left = serde_json::json!({"a": REDACTED, "b": ["x", {"c": REDACTED, "d": 1}], "e": REDACTED, "f": null, "g": true});
        assert_eq!(taken(arguments, "y"), (Some(left), "/y /a /b/1/c /e".to_owned()));
        // A name says as much as a value.
        assert_eq!(taken(serde_json::json!({"X": 1}), "y"), (None, String::new()));
        assert_eq!(taken(serde_json::json!({"a": 1}), "X~1y"), (None, String::new()));
        let number = crate::policy::glob::NameGlob::new("41??").unwrap();
        let mut event = Event::new(crate::model::Timestamp(1), "s", crate::model::Action::ToolsCall, "t");
        event.arguments = Field::Present(serde_json::json!({"n": 4111}).as_object().unwrap().clone());
        event.redact_where(&|text| number.matches(text));
        assert_eq!(event.arguments.present().unwrap()["n"], REDACTED);
    }

    #[test]
    fn an_address_is_kept_without_user_query_and_fragment() {
        for (address, kept) in [
            ("https://u:p@h:8/mcp?a=b#c", "https://h:8/mcp"),
            ("https://u@h", "https://h"),
            ("https://h/mcp#x?y", "https://h/mcp"),
            ("https://h/a@b", "https://h/a@b"),
            ("u:p@h/mcp", "h/mcp"),
            ("@scope/server", "@scope/server"),
            ("tickets?x", "tickets"),
            ("My Files", "My Files"),
            ("", ""),
        ] {
            assert_eq!(bare(address), kept);
        }
    }

    #[test]
    fn what_holds_a_secret_is_listed_as_redacted() {
        let line_of = |rest: &str| format!(r#"{{"time":1,"door":"d","method":"tools/call","name":"t"{rest}}}"#);
        let redacted = |rest: &str| {
            let mut event = read_event(line_of(rest).as_bytes()).unwrap();
            event.redact().unwrap();
            let written = line(&event).unwrap();
            // It can be read again, and there is nothing more to take out.
            let mut again = read_event(written.as_bytes()).unwrap();
            again.redact().unwrap();
            assert_eq!(line(&again).unwrap(), written);
            written.strip_prefix(line_of("").trim_end_matches('}')).unwrap().to_owned()
        };
        insta::assert_snapshot!(redacted(r#","arguments":{"a":{"b/c":["x","Bearer s3cr3t"]},"password":"x","token":"","n":7}"#), @r#","arguments":{"a":{"b/c":["x","[redacted]"]},"n":7,"password":"[redacted]","token":""},"redacted":["/arguments/a/b~1c/1","/arguments/password"]}"#);
        insta::assert_snapshot!(redacted(r#","arguments":{"a":{"ghp_0123456789abcdefABCD":{"x":1}}},"truncated":["/arguments/a/ghp_0123456789abcdefABCD"]"#), @r#","arguments":{"a":"[redacted]"},"redacted":["/arguments/a"]}"#);
        insta::assert_snapshot!(redacted(r#","arguments":{"ghp_0123456789abcdefABCD":1},"truncated":["/arguments/x"]"#), @r#","redacted":["/arguments"]}"#);
        // A name says as much of what was left out as of what was kept.
        for left_out in ["ghp_0123456789abcdefABCD", "a/ghp_0123456789abcdefABCD/b", "https:~1~1u:s3cr3t@h"] {
            let rest = format!(r#","arguments":{{"a":{{}},"n":1}},"unrecorded":["/arguments/{left_out}"]"#);
            assert_eq!(redacted(&rest), r#","redacted":["/arguments"]}"#, "{left_out}");
        }
        insta::assert_snapshot!(redacted(r#","id":"token=x","subject":{"issuer":"https://u:p@h","sub":"ana","groups":["a","secret=x"],"claims":{"a":["token=x"]}},"token":{"aud":["https://h?token=x"],"scopes":["a"]},"session":"Bearer S-1""#), @r#","subject":{"sub":"ana"},"token":{"scopes":["a"]},"redacted":["/id","/subject/issuer","/subject/groups","/subject/claims","/token/aud","/session"]}"#);
        insta::assert_snapshot!(redacted(r#","foreign":{"effect":"deny","by":"p","said":"no token=x","because":"Bearer S-1"}"#), @r#","foreign":{"effect":"deny","by":"p","said":"no [redacted]","because":"Bearer [redacted]"}}"#);
        let named = line_of("").replace("\"t\"", "\"token=x\"");
        assert!(read_event(named.as_bytes()).unwrap().redact().is_err());
    }
}
