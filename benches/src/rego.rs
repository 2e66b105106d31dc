//! The same policy in Rego on regorus's virtual machine: with the data indexed by server, tool and
//! group, and with a list of rules.
//!
//! The data and the program are loaded once; the input is built for each request.

use std::collections::BTreeMap;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};
use serde_json::{Map, Value as Json, json};

use crate::workload::{Ask, CLOCK_SKEW, Condition, MAX_LIFETIME, NOW, Policy, Rule};

/// A virtual machine with a program and its data.
#[derive(Debug)]
pub struct Rego {
    machine: RegoVM,
    keys: Keys,
}

/// The keys of the input, made once.
#[derive(Debug)]
struct Keys {
    args: Value,
    audience: Value,
    exp: Value,
    groups: Value,
    iat: Value,
    issuer: Value,
    now: Value,
    scopes: Value,
    server: Value,
    tool: Value,
}

const ENTRY: &str = "data.door.allow";

const TOKEN: &str = r"
package door
import rego.v1

default allow := false

token if {
    tool := data.tools[input.server][input.tool]
    tool.issuers[input.issuer]
    some audience in input.audience
    audience == tool.audience
    input.now < input.exp
    input.iat <= input.now + data.clock_skew
    input.exp - input.iat <= data.max_lifetime
    input.now < input.iat + tool.ttl
}

scoped if {
    some scope in input.scopes
    data.tools[input.server][input.tool].scopes[scope]
}
";

/// Every rule of a tool and a group is found by its path, and those of one kind lie together.
const INDEXED: &str = r"
granted if {
    some group in input.groups
    data.tools[input.server][input.tool].grants[group].always
}
granted if {
    some group in input.groups
    some limit in data.tools[input.server][input.tool].grants[group].max
    input.args.amount <= limit
}
granted if {
    some group in input.groups
    some prefix in data.tools[input.server][input.tool].grants[group].prefix
    startswith(input.args.path, prefix)
}

denied if {
    some group in input.groups
    data.tools[input.server][input.tool].denies[group].always
}
denied if {
    some group in input.groups
    some limit in data.tools[input.server][input.tool].denies[group].min
    not below(limit)
}
denied if {
    some group in input.groups
    some prefix in data.tools[input.server][input.tool].denies[group].prefix
    not outside(prefix)
}

below(limit) if input.args.amount < limit
outside(prefix) if {
    path := input.args.path
    not startswith(path, prefix)
}

allow if {
    token
    scoped
    granted
    not denied
}
";

const LINEAR: &str = r"
covers(rule) if {
    rule.server == input.server
    rule.tool == input.tool
}
covers(rule) if {
    rule.server == input.server
    rule.tool == null
}

granted if {
    some rule in data.grants
    covers(rule)
    some group in input.groups
    rule.groups[group]
    permits(rule)
}

permits(rule) if rule.kind == `none`
permits(rule) if {
    rule.kind == `max`
    input.args.amount <= rule.value
}
permits(rule) if {
    rule.kind == `prefix`
    startswith(input.args.path, rule.value)
}

denied if {
    some rule in data.denies
    covers(rule)
    some group in input.groups
    rule.groups[group]
    not spares(rule)
}

spares(rule) if {
    rule.kind == `min`
    input.args.amount < rule.value
}
spares(rule) if {
    rule.kind == `prefix`
    path := input.args.path
    not startswith(path, rule.value)
}

allow if {
    token
    scoped
    granted
    not denied
}
";

impl Rego {
    /// With the data indexed.
    pub fn indexed(policy: &Policy) -> Self {
        Self::new(INDEXED, &tools(policy, true), &[], &[], policy)
    }

    /// With a list of rules.
    pub fn linear(policy: &Policy) -> Self {
        Self::new(LINEAR, &tools(policy, false), &policy.grants, &policy.denies, policy)
    }

    fn new(rules: &str, tools: &Json, grants: &[Rule], denies: &[Rule], policy: &Policy) -> Self {
        let list = |rules: &[Rule]| -> Vec<Json> { rules.iter().map(|r| listed(policy, r)).collect() };
        let data = json!({
            "tools": tools,
            "clock_skew": CLOCK_SKEW,
            "max_lifetime": MAX_LIFETIME,
            "grants": list(grants),
            "denies": list(denies),
        });
        let mut engine = Engine::new();
        engine.add_policy("door.rego".to_owned(), format!("{TOKEN}{rules}")).expect("the policy parses");
        engine.add_data(Value::from(data.clone())).expect("an object");
        let compiled = engine.compile_with_entrypoint(&ENTRY.into()).expect("the policy compiles");
        let program = Compiler::compile_from_policy(&compiled, &[ENTRY]).expect("the program compiles");
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_data(Value::from(data)).expect("no conflict with the rules");
        Self { machine, keys: Keys::new() }
    }

    /// The input of a request.
    pub fn input(&self, ask: &Ask<'_>) -> Value {
        let keys = &self.keys;
        let strings = |list: &[&str]| Value::from(list.iter().map(|s| Value::from(*s)).collect::<Vec<_>>());
        let arguments: BTreeMap<Value, Value> = ask
            .arguments
            .iter()
            .map(|(key, value)| {
                let value = match value {
                    Json::String(s) => Value::from(s.as_str()),
                    Json::Bool(b) => Value::from(*b),
                    other => other.as_i64().map_or(Value::Null, Value::from),
                };
                (Value::from(key.as_str()), value)
            })
            .collect();
        Value::from(BTreeMap::from([
            (keys.args.clone(), Value::from(arguments)),
            (keys.audience.clone(), strings(&ask.audience)),
            (keys.exp.clone(), Value::from(ask.expires_at)),
            (keys.groups.clone(), strings(&ask.groups)),
            (keys.iat.clone(), Value::from(ask.issued_at)),
            (keys.issuer.clone(), Value::from(ask.issuer)),
            (keys.now.clone(), Value::from(NOW)),
            (keys.scopes.clone(), strings(&ask.scopes)),
            (keys.server.clone(), Value::from(ask.server)),
            (keys.tool.clone(), Value::from(ask.tool)),
        ]))
    }

    /// Decides. regorus stops with an error where a string function meets a missing value; the
    /// path is looked at before, as Rego itself would leave the rule undefined.
    pub fn decide(&mut self, input: Value) -> bool {
        self.machine.set_input(input);
        let answer = self.machine.execute_entry_point_by_index(0).expect("the policy evaluates");
        answer == Value::from(true)
    }
}

impl Keys {
    fn new() -> Self {
        let key = |name: &str| Value::from(name);
        Self {
            args: key("args"),
            audience: key("audience"),
            exp: key("exp"),
            groups: key("groups"),
            iat: key("iat"),
            issuer: key("issuer"),
            now: key("now"),
            scopes: key("scopes"),
            server: key("server"),
            tool: key("tool"),
        }
    }
}

fn tools(policy: &Policy, with_rules: bool) -> Json {
    let mut doors: Map<String, Json> = Map::new();
    for (at, server, t, tool) in policy.tools() {
        let set = |list: Vec<&str>| -> Json { list.into_iter().map(|s| (s.to_owned(), json!(true))).collect() };
        let mut entry = json!({
            "issuers": set(server.issuers.clone()),
            "audience": server.resource,
            "ttl": tool.token_ttl.map_or(server.token_ttl, |ttl| ttl.min(server.token_ttl)),
            "scopes": set(tool.scopes.iter().map(String::as_str).collect()),
        });
        if with_rules {
            let covers = |rule: &&Rule| rule.server == at && rule.tool.is_none_or(|only| only == t);
            entry["grants"] = by_group(policy.grants.iter().filter(covers));
            entry["denies"] = by_group(policy.denies.iter().filter(covers));
        }
        let door = doors.entry(server.name.clone()).or_insert_with(|| json!({}));
        door[&tool.name] = entry;
    }
    Json::Object(doors)
}

fn by_group<'r>(rules: impl Iterator<Item = &'r Rule>) -> Json {
    let mut groups: BTreeMap<&str, Json> = BTreeMap::new();
    for rule in rules {
        for group in &rule.groups {
            let entry = groups.entry(group).or_insert_with(|| json!({}));
            let (kind, value) = kind_and_value(&rule.condition);
            if kind == "none" {
                entry["always"] = json!(true);
                continue;
            }
            match entry[kind].as_array_mut() {
                Some(list) => list.push(value),
                None => entry[kind] = json!([value]),
            }
        }
    }
    json!(groups)
}

fn listed(policy: &Policy, rule: &Rule) -> Json {
    let server = &policy.servers[rule.server];
    let (kind, value) = kind_and_value(&rule.condition);
    let groups: Map<String, Json> = rule.groups.iter().map(|g| (g.clone(), json!(true))).collect();
    json!({
        "server": server.name,
        "tool": rule.tool.map(|t| &server.tools[t].name),
        "groups": groups,
        "kind": kind,
        "value": value,
    })
}

fn kind_and_value(condition: &Condition) -> (&'static str, Json) {
    match condition {
        Condition::None => ("none", Json::Null),
        Condition::Max(n) => ("max", json!(n)),
        Condition::Min(n) => ("min", json!(n)),
        Condition::Prefix(p) => ("prefix", json!(p)),
    }
}
