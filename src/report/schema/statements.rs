//! The schema of grants, denies, invariants, tests, selectors and argument matchers.

use serde_json::{Value, json};

use super::NAME;
use super::blocks::{
    boolean, count, defined, described, form, key, map, one_or_list, one_or_many, or, required, table, text, words,
};
use crate::model::Reason;

/// The definitions by name.
pub(super) fn definitions() -> Value {
    json!({
        "item": item(),
        "glob": described("A glob: `*` is any text, `?` one character.", text()),
        "instant": instant(),
        "selector": selector(),
        "args": described("Matchers by the argument they look at: `a.b` or `/a/b`.", map(&defined("matcher"))),
        "item_args": described("Argument rules by the items that they are for.", map(&defined("args"))),
        "scalar": json!({ "type": ["string", "number", "boolean"] }),
        "matcher": matcher(),
        "grant": grant(),
        "deny": deny(),
        "invariant": invariant(),
        "test": test(),
        "expectation": expectation(),
    })
}

fn item() -> Value {
    let pattern = "^(\\*|[^:]+:.+)$";
    let mut schema = described(
        "`server:tool`, `server:prompt:NAME` or `server:resource:NAME`; `*` crosses everything.",
        form(pattern),
    );
    if let Some(object) = schema.as_object_mut() {
        object.insert("examples".to_owned(), json!(["tickets:search", "tickets:get_*", "tickets:prompt:triage", "*"]));
    }
    schema
}

/// Editors hand TOML dates over as strings in these formats.
fn instant() -> Value {
    json!({
        "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }],
        "description": "A date, which means midnight UTC, or a date and time with an offset.",
    })
}

fn selector() -> Value {
    let globs = one_or_many(&defined("glob"));
    described(
        "Whom it is about. Every key that is given must match; within a list one suffices.",
        table([
            key("issuer", "Issuers by name. Default: any.", one_or_many(&form(NAME))),
            key("subjects", "Globs over `sub`. Default: any.", globs.clone()),
            key("agents", "Globs over the acting client. Default: any.", globs.clone()),
            key("groups", "Globs over the groups. Default: any.", globs.clone()),
            key(
                "claims",
                "Globs over mapped claims, by the name that the issuer gives them: `{ tenant = \"acme\" }`. Default: any.",
                map(&globs),
            ),
            key("servers", "Servers as callers, by their `identity`. Default: any.", one_or_many(&form(NAME))),
        ]),
    )
}

fn matcher() -> Value {
    let texts = one_or_many(&text());
    let mut schema = table([
        key("eq", "The same value; numbers by value.", defined("scalar")),
        key("one_of", "One of these values.", json!({ "type": "array", "items": defined("scalar"), "minItems": 1 })),
        key("min", "A number that is at least this.", json!({ "type": "number" })),
        key("max", "A number that is at most this.", json!({ "type": "number" })),
        key("glob", "A string that a glob matches: `*` stops at `/`, `**` does not.", texts.clone()),
        key("prefix", "A string that begins with this.", texts.clone()),
        key(
            "under",
            "An absolute path at or below this one, judged on its text alone; one with `..` or an encoding is not judged.",
            texts.clone(),
        ),
        key(
            "host",
            "A URL with this host, or with `*.example.com` one below it; a URL that parsers read differently is not judged.",
            texts,
        ),
        key("max_len", "A string of at most so many characters.", count()),
        key("max_items", "A list of at most so many elements.", count()),
        key("each", "A list of which every element fits.", defined("matcher")),
        key("any", "A list of which at least one element fits.", defined("matcher")),
        key("present", "With `true` there is a value, with `false` none.", boolean()),
        key(
            "optional",
            "No test: with `true` a missing value is fine. Not in a deny, which a missing value always meets.",
            or(false, boolean()),
        ),
    ]);
    if let Some(object) = schema.as_object_mut() {
        object.insert("minProperties".to_owned(), 1.into());
    }
    described("Tests on one argument; all must hold. Name at least one.", schema)
}

/// The keys that grants and denies share.
fn statement_keys() -> [super::blocks::Key; 4] {
    [
        key("name", "A name, which decisions and the audit log show. Default: its line.", text()),
        key("reason", "Why it is there, for those who read it. Default: none.", text()),
        key("expires", "From when on it no longer counts. Default: never.", defined("instant")),
        key("args", "Argument rules for the items that its patterns match. Default: none.", defined("item_args")),
    ]
}

fn grant() -> Value {
    let own = [
        required("to", "Whom it is for. Must not be empty.", defined("selector")),
        required("allow", "What it allows.", one_or_many(&defined("item"))),
    ];
    table(own.into_iter().chain(statement_keys()))
}

fn deny() -> Value {
    let own = [
        key("to", "Whom it is about. Default: everyone.", defined("selector")),
        required("deny", "What it denies.", one_or_many(&defined("item"))),
    ];
    table(own.into_iter().chain(statement_keys()))
}

fn invariant() -> Value {
    table([
        required("name", "The promise in a few words.", text()),
        key("to", "Whom it is about. Default: everyone.", defined("selector")),
        key("except", "Whom it is not about. Default: nobody.", defined("selector")),
        required("never", "What must not be possible.", one_or_many(&defined("item"))),
        key("args", "With which arguments, read as in a deny. Default: any.", defined("item_args")),
    ])
}

fn test() -> Value {
    table([
        required("name", "What is checked, in a few words.", text()),
        key("now", "The instant to judge at.", or("2026-01-01T00:00:00Z", defined("instant"))),
        key("others", "What must hold for items that neither list names.", or("deny", words(["deny", "any"]))),
        required("as", "Who asks, and with which token.", subject()),
        key("allow", "What must be allowed. Default: nothing.", one_or_list(&defined("expectation"))),
        key("deny", "What must be denied. Default: nothing.", one_or_list(&defined("expectation"))),
    ])
}

fn subject() -> Value {
    let (texts, scope) = (one_or_list(&text()), json!({ "type": "string" }));
    table([
        key("issuer", "The issuer by name. Default: the only one.", form(NAME)),
        key("sub", "The subject.", or("someone", text())),
        key("agent", "The acting client. Default: none.", text()),
        key("groups", "The groups. Default: none.", texts.clone()),
        key("claims", "Mapped claims by name. Default: none.", map(&texts)),
        key(
            "scope",
            "The scopes of the token, as one text with spaces or as a list. Default: none.",
            one_or_list(&scope),
        ),
        key("aud", "The audience. Default: what the door asks for.", texts),
        key("age", "The time since `iat`.", or("0s", defined("duration"))),
        key("lifetime", "`exp - iat`. Default: the `max_lifetime` of the issuer.", defined("duration")),
    ])
}

fn expectation() -> Value {
    let call = table([
        required("call", "The items.", defined("item")),
        key("uri", "The URI to read, for a resource. Default: one that the pattern matches.", text()),
        key(
            "args",
            "The arguments of the call. Default: none.",
            json!({ "type": "object", "additionalProperties": true }),
        ),
        key(
            "because",
            "The reason that must be given. Default: any.",
            words(Reason::ALL.iter().map(|reason| reason.code())),
        ),
    ]);
    json!({ "anyOf": [defined("item"), call] })
}
