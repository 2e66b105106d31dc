//! The same policy in Cedar: whole, and cut by tool beforehand.
//!
//! Cedar has no index: it evaluates every policy of the set that it is given. Cutting the set by
//! tool is what its documentation advises for large sets, so that is the form to beat. Groups come
//! with the token and so are built for each request: as a set in the context, which is a little
//! faster here than as parents of the principal.

use std::collections::HashSet;
use std::fmt::Write as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde_json::Value;

use crate::workload::{Ask, CLOCK_SKEW, Condition, MAX_LIFETIME, NOW, Policy, Rule, Server, Tool};

/// Cedar with one policy set, or one for each tool.
#[derive(Debug)]
pub struct Cedar {
    authorizer: Authorizer,
    whole: Option<PolicySet>,
    doors: HashMap<Box<str>, Door, FixedState>,
    names: Names,
}

#[derive(Debug)]
struct Door {
    uid: EntityUid,
    tools: HashMap<Box<str>, (EntityUid, PolicySet), FixedState>,
}

#[derive(Debug)]
struct Names {
    user: EntityTypeName,
    call: EntityUid,
}

/// A request with its entities, ready to be asked.
#[derive(Debug)]
pub struct Prepared<'e> {
    request: Request,
    entities: Entities,
    policies: &'e PolicySet,
}

impl Cedar {
    /// With one policy set for each tool.
    pub fn sliced(policy: &Policy) -> Self {
        Self::new(policy, true)
    }

    /// With one policy set for all.
    pub fn whole(policy: &Policy) -> Self {
        Self::new(policy, false)
    }

    fn new(policy: &Policy, sliced: bool) -> Self {
        let mut doors: HashMap<Box<str>, Door, FixedState> = HashMap::default();
        for (at, server, t, tool) in policy.tools() {
            let mut text = String::new();
            if sliced {
                let covers = |rule: &&Rule| rule.server == at && rule.tool.is_none_or(|only| only == t);
                policy.grants.iter().filter(covers).for_each(|r| text.push_str(&statement("permit", r, "resource")));
                policy.denies.iter().filter(covers).for_each(|r| text.push_str(&statement("forbid", r, "resource")));
                text.push_str(&token_rule(server, tool));
            }
            let set = parse(&text);
            let door = doors
                .entry(server.name.as_str().into())
                .or_insert_with(|| Door { uid: uid("Server", &server.name), tools: HashMap::default() });
            door.tools.insert(tool.name.as_str().into(), (uid("Tool", &tool_id(server, tool)), set));
        }
        let whole = (!sliced).then(|| parse(&Self::text(policy)));
        let names = Names { user: type_name("User"), call: uid("Action", "call") };
        Self { authorizer: Authorizer::new(), whole, doors, names }
    }

    /// The whole policy as Cedar text. The token facts are one rule for each server, and one more
    /// for each tool that asks for a fresher token; the scopes of a tool are its attribute.
    pub fn text(policy: &Policy) -> String {
        let mut text = String::new();
        policy.grants.iter().for_each(|r| text.push_str(&statement("permit", r, &reach(policy, r))));
        policy.denies.iter().for_each(|r| text.push_str(&statement("forbid", r, &reach(policy, r))));
        text.push_str(TOKEN_RULE_FOR_ALL);
        text
    }

    /// Builds what `is_authorized` takes; `None` for a tool that is not declared.
    pub fn prepare(&self, ask: &Ask<'_>, facts: &Facts) -> Option<Prepared<'_>> {
        let door = self.doors.get(ask.server)?;
        let (tool, slice) = door.tools.get(ask.tool)?;
        let names = &self.names;
        let principal = EntityUid::from_type_name_and_id(names.user.clone(), EntityId::new(ask.subject));
        let entities = match &self.whole {
            // A slice holds nothing but its tool's policies, so the tool needs no attributes or parents.
            None => Ok(Entities::empty()),
            Some(_) => Entities::from_entities([facts.tools[tool].clone()], None),
        }
        .expect("two distinct entities");
        let strings = |list: &[&str]| RestrictedExpression::new_set(list.iter().map(|s| string(s)));
        let arguments = RestrictedExpression::new_record(ask.arguments.iter().filter_map(|(key, value)| {
            let value = match value {
                Value::String(s) => string(s),
                Value::Bool(b) => RestrictedExpression::new_bool(*b),
                other => RestrictedExpression::new_long(other.as_i64()?),
            };
            Some((key.clone(), value))
        }))
        .expect("distinct keys");
        let context = Context::from_pairs([
            ("args".to_owned(), arguments),
            ("aud".to_owned(), strings(&ask.audience)),
            ("exp".to_owned(), RestrictedExpression::new_long(ask.expires_at)),
            ("groups".to_owned(), strings(&ask.groups)),
            ("iat".to_owned(), RestrictedExpression::new_long(ask.issued_at)),
            ("issuer".to_owned(), string(ask.issuer)),
            ("now".to_owned(), RestrictedExpression::new_long(NOW)),
            ("scopes".to_owned(), strings(&ask.scopes)),
        ])
        .expect("distinct keys");
        let request =
            Request::new(principal, names.call.clone(), tool.clone(), context, None).expect("no schema to violate");
        Some(Prepared { request, entities, policies: self.whole.as_ref().unwrap_or(slice) })
    }

    /// Decides a prepared request.
    pub fn decide(&self, prepared: &Prepared<'_>) -> bool {
        let response = self.authorizer.is_authorized(&prepared.request, prepared.policies, &prepared.entities);
        response.decision() == Decision::Allow
    }

    /// What the whole policy says of the tools, made once.
    pub fn facts(&self, policy: &Policy) -> Facts {
        let tools = policy
            .tools()
            .map(|(_, server, _, tool)| {
                let id = uid("Tool", &tool_id(server, tool));
                let set = |list: Vec<&str>| RestrictedExpression::new_set(list.into_iter().map(string));
                let attributes = [
                    ("audience".to_owned(), string(&server.resource)),
                    ("issuers".to_owned(), set(server.issuers.clone())),
                    ("scopes".to_owned(), set(tool.scopes.iter().map(String::as_str).collect())),
                    ("ttl".to_owned(), RestrictedExpression::new_long(ttl(server, tool))),
                ];
                let parents = HashSet::from([self.doors[server.name.as_str()].uid.clone()]);
                let entity = Entity::new(id.clone(), attributes.into(), parents).expect("plain attributes");
                (id, entity)
            })
            .collect();
        Facts { tools }
    }
}

/// The tools as entities, with the attributes that the whole policy reads.
#[derive(Debug)]
pub struct Facts {
    tools: HashMap<EntityUid, Entity, FixedState>,
}

const TOKEN_RULE_FOR_ALL: &str = r"
forbid (principal, action, resource) unless {
    resource.issuers.contains(context.issuer) && context.aud.contains(resource.audience)
    && context.now < context.exp && context.iat <= context.now + 30
    && context.exp - context.iat <= 3600 && context.now < context.iat + resource.ttl
    && context.scopes.containsAny(resource.scopes)
};
";

fn token_rule(server: &Server, tool: &Tool) -> String {
    format!(
        "forbid (principal, action, resource) unless {{ {:?}.contains(context.issuer) \
         && context.aud.contains({:?}) && context.now < context.exp && context.iat <= context.now + {CLOCK_SKEW} \
         && context.exp - context.iat <= {MAX_LIFETIME} && context.now < context.iat + {} \
         && context.scopes.containsAny({:?}) }};\n",
        server.issuers,
        server.resource,
        ttl(server, tool),
        tool.scopes
    )
}

fn reach(policy: &Policy, rule: &Rule) -> String {
    let server = &policy.servers[rule.server];
    match rule.tool {
        Some(t) => format!("resource == Tool::{:?}", tool_id(server, &server.tools[t])),
        None => format!("resource in Server::{:?}", server.name),
    }
}

fn statement(effect: &str, rule: &Rule, resource: &str) -> String {
    let mut text = match rule.groups.as_slice() {
        [one] => format!("{effect} (principal, action, {resource}) when {{ context.groups.contains({one:?}) }}"),
        many => {
            format!("{effect} (principal, action, {resource}) when {{ context.groups.containsAny({many:?}) }}")
        }
    };
    let (argument, condition) = match &rule.condition {
        Condition::None => {
            text.push_str(";\n");
            return text;
        }
        Condition::Max(n) => ("amount", format!("context.args.amount <= {n}")),
        Condition::Min(n) => ("amount", format!("context.args.amount >= {n}")),
        Condition::Prefix(p) => ("path", format!("context.args.path like \"{p}*\"")),
    };
    // A missing argument fails a grant and satisfies a deny.
    let _ = match effect {
        "permit" => writeln!(text, " when {{ context.args has {argument} && {condition} }};"),
        _ => writeln!(text, " unless {{ context.args has {argument} && !({condition}) }};"),
    };
    text
}

fn parse(text: &str) -> PolicySet {
    let parsed: PolicySet = text.parse().expect("generated text parses");
    debug_assert!(parsed.policy(&PolicyId::new("policy0")).is_some() || text.is_empty());
    parsed
}

fn ttl(server: &Server, tool: &Tool) -> i64 {
    tool.token_ttl.map_or(server.token_ttl, |ttl| ttl.min(server.token_ttl))
}

fn tool_id(server: &Server, tool: &Tool) -> String {
    format!("{}:{}", server.name, tool.name)
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn type_name(name: &str) -> EntityTypeName {
    name.parse().expect("an identifier")
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name(kind), EntityId::new(id))
}
