//! The reference of the policy language: which keys there are as the loader says it, and their types,
//! defaults and meanings as the schema has them. `docs/policy.md` holds the tables between comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use doorward::policy::{Layers, load};
use doorward::report::schema::policy_schema;
use serde_json::{Value, json};

use crate::schema::{TABLES, known_to_the_loader};

/// What stands below a table of keys.
pub(crate) const END: &str = "<!-- end of keys -->";

/// The place in the schema whose keys follow a line, if it says one.
pub(crate) fn place(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- keys: ")?.strip_suffix(" -->")
}

/// The keys that a place takes, in the order of the loader.
pub(crate) fn table(place: &str) -> String {
    let schema = policy_schema();
    let (open, close, _) = TABLES.iter().find(|(.., pointer)| *pointer == place).expect("a table of the language");
    let object = schema.pointer(place).unwrap();
    let alternatives: Vec<&Value> = match object["anyOf"].as_array() {
        Some(list) => list.iter().filter(|table| table.get("properties").is_some()).collect(),
        None => vec![object],
    };
    let mut text = String::from("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in known_to_the_loader(open, close) {
        let (of, value) = alternatives.iter().find_map(|of| Some((of, of["properties"].get(&key)?))).unwrap();
        let told = value["description"].as_str().unwrap();
        let (meaning, words) = told.split_once(" Default: ").unwrap_or((told, "none."));
        let needed = of["required"].as_array().and_then(|list| list.iter().position(|one| *one == json!(key)));
        let default = match &value["default"] {
            _ if alternatives.len() == 1 && needed.is_some() => "required".to_owned(),
            // What makes an alternative that one stands first in it.
            _ if needed == Some(0) => "one of these".to_owned(),
            _ if needed.is_some() => "required with it".to_owned(),
            Value::Null => words.trim_end_matches('.').to_owned(),
            Value::Array(list) => list.iter().map(|item| format!("`{}`", bare(item))).collect::<Vec<_>>().join(", "),
            value => format!("`{}`", bare(value)),
        };
        let row = format!("`{key}` | {} | {default} | {}", form(value), meaning.trim_end_matches('.'));
        let _ = writeln!(text, "| {row} |");
    }
    text.push('\n');
    text
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The form of a value, in words.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
        return match name {
            "args" => "argument rules by path".to_owned(),
            "item_args" => "argument rules by item".to_owned(),
            "scalar" => "text, number or boolean".to_owned(),
            name => name.to_owned(),
        };
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(list) = schema["enum"].as_array() {
        return match list.len() {
            0..=12 => list.iter().map(|value| format!("`{}`", bare(value))).collect::<Vec<_>>().join(", "),
            _ => "a reason's code".to_owned(),
        };
    }
    if let Some(list) = schema["anyOf"].as_array() {
        return match list.as_slice() {
            [one, many] if many["items"] == *one => format!("{} or list", form(one)),
            several if several.iter().all(|one| one.get("properties").is_some()) => "table".to_owned(),
            several => several.iter().map(form).collect::<Vec<_>>().join(" or "),
        };
    }
    match schema["type"].as_str() {
        Some("string") if schema.get("pattern").is_some_and(|p| p.as_str().is_some_and(|p| p.contains('%'))) => {
            "share such as `0.5%`".to_owned()
        }
        Some("string") => "text".to_owned(),
        Some("integer") => "count".to_owned(),
        Some("array") => format!("list of {}", form(&schema["items"])),
        Some("object") if schema.get("properties").is_none() => {
            let value = schema["patternProperties"].as_object().and_then(|all| all.values().next());
            match value.or(schema["additionalProperties"].as_object().map(|_| &schema["additionalProperties"])) {
                Some(value) => format!("{} by name", form(value)),
                None => "table".to_owned(),
            }
        }
        Some("object") => "table".to_owned(),
        Some(other) => other.to_owned(),
        None => "text, number or boolean".to_owned(),
    }
}

#[test]
fn the_reference_of_the_language_has_every_table_of_the_loader() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    let shown: BTreeSet<&str> = page.lines().filter_map(place).collect();
    // A prompt takes what a tool takes.
    let all: BTreeSet<&str> = TABLES.iter().map(|(.., pointer)| *pointer).filter(|p| *p != "/$defs/prompt").collect();
    assert_eq!(shown, all);
    assert_eq!(table("/$defs/prompt"), table("/$defs/tool"));
    let schema = policy_schema();
    for name in schema["$defs"].as_object().unwrap().keys() {
        let own = form(&json!({ "$ref": format!("#/$defs/{name}") }));
        let told = page.contains(&format!("keys: /$defs/{name}")) || page.contains(&own);
        assert!(told, "{own} is a type that the page does not name");
    }
}

/// A policy in which each key of a default can be left out, and the place of its table.
const EMPTY: &str = r#"
version = 1
[gateway]
[gateway.capture]
directory = "captured"
[gateway.limits]
[vault]
address = "https://vault.example.com"
[issuers.corp]
url = "https://login.example.com"
[issuers.corp.claims]
[servers.a]
url = "http://127.0.0.1:9001/mcp"
[servers.a.client]
[servers.a.credential]
vault = "dynamic"
path = "database/creds/a"
[servers.a.tools.x]
[servers.a.tools.x.args.y]
max = 1
[audit]
[[tests]]
name = "t"
as = { groups = ["g"] }
allow = []
[rollout]
"#;

/// The tables of that policy, by their place in the schema.
const OF: [(&str, &str); 14] = [
    ("/properties/gateway", "gateway"),
    ("/properties/gateway/properties/limits", "gateway.limits"),
    ("/$defs/server/properties/client", "servers.a.client"),
    ("/properties/gateway/properties/capture", "gateway.capture"),
    ("/properties/vault", "vault"),
    ("/$defs/issuer", "issuers.corp"),
    ("/$defs/issuer/properties/claims", "issuers.corp.claims"),
    ("/$defs/server", "servers.a"),
    ("/$defs/server/properties/credential/anyOf/3", "servers.a.credential"),
    ("/$defs/matcher", "servers.a.tools.x.args.y"),
    ("/properties/audit", "audit"),
    ("/$defs/test", "tests"),
    ("/$defs/test/properties/as", "tests.as"),
    ("/properties/rollout", "rollout"),
];

fn digest(policy: &toml::Table) -> String {
    let text = toml_text(policy);
    let layers = Layers { files: vec![("p.toml".to_owned(), text.clone().into_bytes())], ..Layers::default() };
    let loaded = load(&layers);
    let loaded = loaded.policy.unwrap_or_else(|| panic!("{text}\n{:#?}", loaded.problems));
    // Where a test stands is no part of what it says.
    let checks = format!("{:?}", loaded.checks);
    let mut parts = checks.split("Span {");
    let first = parts.next().unwrap_or_default().to_owned();
    let checks = parts.fold(first, |all, part| all + part.split_once('}').unwrap().1);
    format!("{} {checks}", loaded.compiled.digest())
}

/// The same policy in inline tables.
fn toml_text(policy: &toml::Table) -> String {
    fn written(value: &toml::Value) -> String {
        match value {
            toml::Value::Table(table) => {
                let all: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect();
                format!("{{ {} }}", all.join(", "))
            }
            toml::Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
            toml::Value::String(text) => json!(text).to_string(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => format!("{number:?}"),
            toml::Value::Boolean(value) => value.to_string(),
            toml::Value::Datetime(instant) => instant.to_string(),
        }
    }
    policy.iter().map(|(key, value)| format!("{key} = {}\n", written(value))).collect()
}

#[test]
fn what_the_reference_gives_as_a_default_is_what_the_loader_takes() {
    let base: toml::Table = toml::from_str(EMPTY).unwrap();
    let without = digest(&base);
    let schema = policy_schema();
    let mut tried = 0;
    for (pointer, path) in OF {
        let keys = schema.pointer(pointer).unwrap()["properties"].as_object().unwrap();
        for (key, value) in keys {
            let Some(default) = value.get("default").filter(|_| path != "gateway" || key != "admin") else {
                // That one is the gateway's own, and no part of the policy until it is written.
                continue;
            };
            let default = match default {
                Value::String(text) if key == "now" => toml::Value::Datetime(text.parse().unwrap()),
                other => toml::Value::try_from(other).unwrap(),
            };
            let mut changed = base.clone();
            let mut at = &mut changed;
            for word in path.split('.') {
                at = match at.get_mut(word).unwrap() {
                    toml::Value::Array(list) => list[0].as_table_mut().unwrap(),
                    other => other.as_table_mut().unwrap(),
                };
            }
            at.insert(key.clone(), default);
            assert_eq!(digest(&changed), without, "the default of {path}.{key}");
            tried += 1;
        }
    }
    let all = schema.to_string().matches("\"default\":").count();
    assert!(tried + 4 >= all, "{tried} of {all} defaults are tried");
}
