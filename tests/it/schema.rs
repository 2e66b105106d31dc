//! The JSON Schema of the policy language: it accepts what is right, refuses what is misspelt, and
//! the file in `docs/` is the one that the program writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use doorward::diagnostics::Code;
use doorward::policy::{Layers, load};
use doorward::report::schema::{
    matrix_schema, part_schema, policy_schema, reload_schema, scenarios_schema, simulation_schema, status_schema,
    suggestion_schema,
};
use jsonschema::Validator;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::place::{DOORWARD, untold};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn validator() -> Validator {
    jsonschema::options().should_validate_formats(true).build(&policy_schema()).unwrap()
}

/// TOML as editors hand it to a schema: dates are strings.
fn to_json(toml: &DeValue<'_>) -> Value {
    match toml {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).unwrap().into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(instant) => instant.to_string().into(),
        DeValue::Array(list) => list.iter().map(|value| to_json(value.get_ref())).collect(),
        DeValue::Table(table) => table_to_json(table),
    }
}

fn table_to_json(table: &DeTable<'_>) -> Value {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref()))).collect()
}

fn parse(text: &str) -> Value {
    table_to_json(DeTable::parse(text).unwrap().get_ref())
}

fn policy() -> Value {
    parse(&fs::read_to_string(root().join("policies.toml")).unwrap())
}

/// Every table of the schema that lists its keys, with a pointer to it.
fn tables(schema: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && object.get("type") == Some(&json!("object")) {
                found.push((pointer.to_owned(), schema.clone()));
            }
            for (key, value) in object {
                tables(value, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| tables(value, pointer, found)),
        _ => {}
    }
}

#[test]
fn the_stored_schema_is_the_one_the_program_writes() {
    for (name, schema) in [
        ("policies", policy_schema()),
        ("simulation", simulation_schema()),
        ("matrix", matrix_schema()),
        ("scenarios", scenarios_schema()),
        ("part", part_schema()),
        ("suggestion", suggestion_schema()),
        ("status", status_schema()),
        ("reload", reload_schema()),
    ] {
        let file = root().join(format!("docs/{name}.schema.json"));
        if std::env::var_os("DOORWARD_BLESS").is_some() {
            fs::write(&file, format!("{schema:#}\n")).unwrap();
        }
        let stored: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
        assert!(stored == schema, "write {name} anew: DOORWARD_BLESS=1 cargo test --test it schema");
    }
}

/// Fails when the JSON report of a rehearsal does not fit its schema.
pub(crate) fn assert_fits_simulation(report: &Value) {
    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::options().build(&simulation_schema()).unwrap());
    let errors: Vec<_> = VALIDATOR.iter_errors(report).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Fails when what a gateway says of itself does not fit its schema, or fits with a field more or less.
#[cfg(feature = "gateway")]
pub(crate) fn assert_fits(schema: &Value, told: &Value) {
    let validator = jsonschema::options().build(schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(told).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut changed = told.clone();
    changed.as_object_mut().unwrap().insert("stranger".to_owned(), json!(1));
    assert!(!validator.is_valid(&changed), "an unknown field fits");
    let mut changed = told.clone();
    changed.as_object_mut().unwrap().remove("schema");
    assert!(!validator.is_valid(&changed), "without `schema` it fits");
}

#[test]
fn the_schema_of_a_rehearsal_is_closed_and_described() {
    let schema = simulation_schema();
    assert_eq!(schema["unevaluatedProperties"], json!(false));
    let mut found = Vec::new();
    tables(&schema["$defs"], "", &mut found);
    assert!(found.len() > 15, "{}", found.len());
    for (pointer, table) in found {
        // A map by name has no keys of its own.
        assert_eq!(table["additionalProperties"], json!(false), "{pointer} is open");
        for (key, value) in table["properties"].as_object().unwrap() {
            let told = value.get("description").or(value.get("const")).or(value.get("$ref"));
            assert!(told.is_some(), "{pointer}/{key} has no description");
        }
    }
}

#[test]
fn an_unknown_field_does_not_fit_the_schema_of_a_rehearsal() {
    let validator = jsonschema::options().build(&simulation_schema()).unwrap();
    let demo = untold(DOORWARD).args(["simulate", "--demo", "--format", "json"]).output().unwrap();
    let base: Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_fits_simulation(&base);
    for pointer in ["", "/ranges/allowed", "/report", "/report/drift", "/report/totals", "/report/flow/0/columns"] {
        let mut changed = base.clone();
        changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("stranger".to_owned(), json!(1));
        assert!(!validator.is_valid(&changed), "an unknown field in `{pointer}` fits");
        let mut changed = base.clone();
        let object = changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        let first = object.keys().next().cloned().unwrap();
        object.remove(&first);
        assert!(!validator.is_valid(&changed), "without `{first}` in `{pointer}` it fits");
    }
}

#[test]
fn the_reports_of_a_matrix_and_of_scenarios_fit_their_schemas_and_nothing_else_does() {
    let matrix = [
        "simulate",
        "--matrix",
        "--set",
        "servers.tickets.tools.refund.token_ttl=1m",
        "--format",
        "json",
        "simulations/support-desk.jsonl",
    ];
    let scenarios = ["simulate", "--format", "json"];
    for (schema, arguments, inner) in [
        (matrix_schema(), &matrix[..], ["", "/rows/0", "/rows/0/report"]),
        (scenarios_schema(), &scenarios[..], ["", "/scenarios/0", "/scenarios/0/place"]),
    ] {
        let validator = jsonschema::options().build(&schema).unwrap();
        let written = untold(DOORWARD).current_dir(root()).args(arguments).output().unwrap();
        let base: Value = serde_json::from_slice(&written.stdout).unwrap();
        let errors: Vec<_> = validator.iter_errors(&base).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for pointer in inner {
            let mut changed = base.clone();
            changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("stranger".to_owned(), json!(1));
            assert!(!validator.is_valid(&changed), "an unknown field in `{pointer}` fits");
        }
    }
}

#[test]
fn what_a_shard_writes_fits_its_schema_and_nothing_else_does() {
    let validator = jsonschema::options().build(&part_schema()).unwrap();
    let asked = [
        // Sessions that break, rates, numbers and texts that are limited, events that lack a fact, records that cannot be read.
        &[
            "--policy=examples/reference-servers/policies.toml",
            "--drop-grant=developers-write",
            "simulations/reference-servers",
        ][..],
        &[
            "--set=grants.support-desk.args.tickets:refund.amount.max=30.5",
            "--max-newly-denied=7",
            "simulations/support-desk.jsonl",
        ],
        &[
            "--policy=simulations/classes/after.toml",
            "--baseline=simulations/classes/before.toml",
            "simulations/classes/traffic.jsonl",
        ],
    ];
    for asked in asked {
        let arguments = [&["simulate", "--shard=1/1"], asked].concat();
        let written = untold(DOORWARD).current_dir(root()).args(&arguments).output().unwrap();
        let part: Value = serde_json::from_slice(&written.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&written.stderr)));
        let errors: Vec<_> = validator.iter_errors(&part).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        // Wherever something is put to it, it fits no more.
        let mut objects = vec![String::new()];
        let mut seen = 0;
        while let Some(pointer) = objects.pop() {
            let found = part.pointer(&pointer).unwrap();
            let inner: Vec<String> = match found {
                Value::Object(object) => object.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
                Value::Array(list) => (0..list.len().min(2)).map(|at| at.to_string()).collect(),
                _ => Vec::new(),
            };
            objects.extend(inner.iter().map(|key| format!("{pointer}/{key}")));
            if !found.is_object() {
                continue;
            }
            let mut changed = part.clone();
            changed.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().insert("stranger".into(), json!("x"));
            assert!(!validator.is_valid(&changed), "with a stranger in `{pointer}` it fits");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }
}

#[test]
fn the_policy_of_the_repository_fits() {
    let validator = validator();
    let policy = policy();
    let errors: Vec<_> = validator.iter_errors(&policy).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_misspelt_key_does_not_fit_wherever_it_stands() {
    let validator = validator();
    let base = policy();
    for pointer in [
        "",
        "/gateway",
        "/issuers/corp",
        "/servers/tickets",
        "/servers/tickets/credential",
        "/servers/tickets/identity",
        "/servers/tickets/tools/refund",
        "/servers/tickets/tools/refund/args/amount",
        "/servers/tickets/prompts/triage",
        "/servers/tickets/resources/manuals",
        "/grants/0",
        "/grants/0/to",
        "/denies/0",
        "/invariants/0",
        "/audit",
        "/tests/0",
        "/tests/0/as",
        "/tests/0/allow/3",
        "/rollout",
    ] {
        let mut changed = base.clone();
        let table = changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        table.insert("tokn_ttl".to_owned(), "15m".into());
        assert!(!validator.is_valid(&changed), "a misspelt key in `{pointer}` fits");
    }
}

#[test]
fn a_value_of_another_form_does_not_fit() {
    let validator = validator();
    let base = policy();
    for (pointer, value) in [
        ("/version", json!(2)),
        ("/servers/tickets/token_ttl", json!("15 minutes")),
        ("/servers/tickets/token_ttl", json!("")),
        ("/servers/tickets/rate", json!("often")),
        ("/grants/0/allow", json!([])),
        ("/grants/0/allow/0", json!("tickets")),
        ("/grants/1/expires", json!("soon")),
        ("/issuers/corp/algorithms/0", json!("HS256")),
        ("/tests/0/deny/0/because", json!("bad-luck")),
        ("/servers/tickets/tools/refund/args/amount", json!({})),
        ("/servers/tickets/tools/refund/args/amount", json!(5)),
        ("/servers/tickets/credential", json!({ "env": "A", "file": "b" })),
    ] {
        let mut changed = base.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&changed), "{value} fits at `{pointer}`");
    }
}

#[test]
fn every_table_is_closed_and_every_key_is_described() {
    let mut found = Vec::new();
    tables(&policy_schema(), "", &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for (pointer, table) in found {
        assert!(table.get("additionalProperties").is_some(), "{pointer} is open");
        for (key, value) in table["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|d| d.len() > 8), "{pointer}/{key} has no description");
        }
    }
}

/// A key that is in no table of the language and near none that is.
const STRANGER: &str = "zzqqzzqqzz";

/// Each table of the language: how a file opens it, how it closes it, and where the schema has it.
pub(crate) const TABLES: [(&str, &str, &str); 35] = [
    ("version = 1\n", "", ""),
    ("version = 1\n[gateway]\n", "", "/properties/gateway"),
    ("version = 1\n[vault]\n", "", "/properties/vault"),
    ("version = 1\n[vault.login]\n", "", "/properties/vault/properties/login"),
    ("version = 1\n[issuers.corp]\n", "", "/$defs/issuer"),
    ("version = 1\n[servers.a]\n", "", "/$defs/server"),
    ("version = 1\n[servers.a.identity]\n", "", "/$defs/server/properties/identity"),
    ("version = 1\n[servers.a.tools.x]\n", "", "/$defs/tool"),
    ("version = 1\n[servers.a.tools.x]\nargs.y = { ", " }\n", "/$defs/matcher"),
    ("version = 1\n[servers.a.tools.x]\nargs.y.each = { ", " }\n", "/$defs/matcher"),
    ("version = 1\n[servers.a.prompts.x]\n", "", "/$defs/prompt"),
    ("version = 1\n[servers.a.resources.x]\n", "", "/$defs/resource"),
    ("version = 1\n[[grants]]\n", "", "/$defs/grant"),
    ("version = 1\n[[grants]]\nto = { ", " }\n", "/$defs/selector"),
    ("version = 1\n[[grants]]\nargs.\"a:x\".y = { ", " }\n", "/$defs/matcher"),
    ("version = 1\n[[denies]]\n", "", "/$defs/deny"),
    ("version = 1\n[[denies]]\nto = { ", " }\n", "/$defs/selector"),
    ("version = 1\n[[denies]]\nargs.\"a:x\".y = { ", " }\n", "/$defs/matcher"),
    ("version = 1\n[audit]\n", "", "/properties/audit"),
    ("version = 1\n[audit.holds.case]\n", "", "/properties/audit/properties/holds/additionalProperties"),
    ("version = 1\n[gateway.capture]\n", "", "/properties/gateway/properties/capture"),
    ("version = 1\n[gateway.tls]\n", "", "/properties/gateway/properties/tls"),
    ("version = 1\n[gateway.limits]\n", "", "/properties/gateway/properties/limits"),
    ("version = 1\n[servers.a.tls]\n", "", "/$defs/server/properties/tls"),
    ("version = 1\n[servers.a.client]\n", "", "/$defs/server/properties/client"),
    ("version = 1\n[[invariants]]\n", "", "/$defs/invariant"),
    ("version = 1\n[[invariants]]\nto = { ", " }\n", "/$defs/selector"),
    ("version = 1\n[[invariants]]\nexcept = { ", " }\n", "/$defs/selector"),
    ("version = 1\n[[invariants]]\nargs.\"a:x\".y = { ", " }\n", "/$defs/matcher"),
    ("version = 1\n[[tests]]\n", "", "/$defs/test"),
    ("version = 1\n[[tests]]\nas = { ", " }\n", "/$defs/test/properties/as"),
    ("version = 1\n[[tests]]\nallow = [{ ", " }]\n", "/$defs/expectation/anyOf/1"),
    ("version = 1\n[[tests]]\ndeny = [{ ", " }]\n", "/$defs/expectation/anyOf/1"),
    ("version = 1\n[rollout]\n", "", "/properties/rollout"),
    ("version = 1\n[servers.a.credential]\n", "", "/$defs/server/properties/credential"),
];

/// The keys that the loader says a table takes, when it is asked for one that none takes.
pub(crate) fn known_to_the_loader(open: &str, close: &str) -> Vec<String> {
    let text = format!("{open}{STRANGER} = 0{close}");
    let layers = Layers { files: vec![("p.toml".to_owned(), text.clone().into_bytes())], ..Layers::default() };
    let loaded = load(&layers);
    let problem = loaded.problems.iter().find(|p| p.code == Code::UnknownKey).unwrap_or_else(|| panic!("{text}"));
    assert!(problem.message.contains(STRANGER), "{}", problem.message);
    let help = problem.help.as_deref().unwrap();
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that a table of the schema has, over all its alternatives.
fn known_to_the_schema(schema: &Value) -> BTreeSet<String> {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten().chain([schema]);
    alternatives.filter_map(|table| table["properties"].as_object()).flat_map(|keys| keys.keys().cloned()).collect()
}

#[test]
fn the_schema_and_the_loader_know_the_same_keys() {
    let schema = policy_schema();
    for (open, close, pointer) in TABLES {
        let table = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        let loader: BTreeSet<String> = known_to_the_loader(open, close).into_iter().collect();
        assert_eq!(known_to_the_schema(table), loader, "{open}…{close} and {pointer}");
    }
    // Every closed table of the schema is among those compared.
    let mut found = Vec::new();
    tables(&schema, "", &mut found);
    for (pointer, _) in found {
        let compared = TABLES.iter().any(|(_, _, known)| pointer == *known || pointer == format!("{known}/anyOf"));
        let claims = pointer.ends_with("/claims");
        assert!(compared || claims || pointer == "/$defs/expectation/anyOf", "{pointer} is not compared");
    }
}
