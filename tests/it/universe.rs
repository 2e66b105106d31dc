//! Small random policies and requests over one pool of names, so that they meet often.

use std::collections::BTreeMap;

use doorward::model::{
    Action, Arguments, Claim, Context, Fact, Rate, RateKey, Request, Resource, ResourceKind, Strings, Subject,
    Timestamp, Token, Withheld, WithheldBecause,
};
use doorward::policy::argument::{ArgPath, HostPattern, PathPrefix, Scalar};
use doorward::policy::glob::{NameGlob, PathGlob};
use doorward::policy::matcher::{ArgRules, Matcher, Test};
use doorward::policy::number::Number;
use doorward::policy::set::{
    Algorithm, Audit, ClaimMapping, Credential, Gateway, Identity, Issuer, Item, ItemPattern, KeySource, Network,
    Placement, PolicySet, Selector, Server, Statement, Upstream, VaultKind,
};
use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn pattern(text: &str) -> ItemPattern {
    ItemPattern::parse(text).unwrap().unwrap()
}

pub(crate) fn name_glob(text: &str) -> NameGlob {
    NameGlob::new(text).unwrap()
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

fn globs(pool: &'static [&'static str]) -> impl Strategy<Value = Vec<NameGlob>> {
    vec(select(pool).prop_map(name_glob), 0..3).prop_map(sorted)
}

fn test() -> impl Strategy<Value = Test> {
    let number = |n: i64| n.into();
    prop_oneof![
        any::<bool>().prop_map(Test::Present),
        select(&["a", "b"][..]).prop_map(|s| Test::Eq(Scalar::String(s.into()))),
        select(vec![Scalar::Bool(true), Scalar::Number(2.into()), Scalar::Number(half())]).prop_map(Test::Eq),
        Just(Test::OneOf(vec![Scalar::Bool(true), Scalar::Number(2.into()), Scalar::String("a".into())])),
        (0..4i64).prop_map(move |n| Test::Min(number(n))),
        (0..4i64).prop_map(move |n| Test::Max(number(n))),
        Just(Test::Min(half())),
        vec(select(&["a*", "/srv/*", "/srv/**", "?", "/*/a", "\\*", "**b"][..]), 1..3)
            .prop_map(|globs| Test::Glob(sorted(globs.into_iter().map(|g| PathGlob::new(g).unwrap()).collect()))),
        Just(Test::Prefix(vec!["/srv".into(), "a".into()])),
        vec(select(&["/srv", "/srv/a", "/"][..]), 1..3)
            .prop_map(|bases| Test::Under(sorted(bases.into_iter().map(|b| PathPrefix::new(b).unwrap()).collect()))),
        vec(select(&["*.example.com", "example.com", "127.0.0.1"][..]), 1..3)
            .prop_map(|hosts| Test::Host(sorted(hosts.into_iter().map(|h| HostPattern::new(h).unwrap()).collect()))),
        (0..3u32).prop_map(Test::MaxLen),
        (0..2u32).prop_map(Test::MaxItems),
        of_elements().prop_map(|tests| Test::Each(Matcher { optional: false, tests })),
        of_elements().prop_map(|tests| Test::Any(Matcher { optional: false, tests })),
        of_elements().prop_map(|tests| {
            Test::Each(Matcher { optional: false, tests: vec![Test::Any(Matcher { optional: false, tests })] })
        }),
    ]
    .boxed()
}

fn half() -> Number {
    Number::from_f64(2.5).unwrap()
}

fn of_elements() -> impl Strategy<Value = Vec<Test>> {
    let pool = vec![Test::Max(2.into()), Test::Eq(Scalar::String("a".into())), Test::MaxLen(1), Test::Present(true)];
    vec(select(pool), 1..3).prop_map(sorted)
}

pub(crate) fn rules() -> impl Strategy<Value = ArgRules> {
    let matcher = (weighted(0.2, Just(true)), vec(test(), 1..3)).prop_map(|(optional, tests)| {
        let mut tests = sorted(tests);
        // To ask for presence and absence at once is refused where it is written.
        tests.dedup_by(|a, b| matches!((a, b), (Test::Present(_), Test::Present(_))));
        Matcher { optional: optional.is_some(), tests }
    });
    let path = select(&["x", "y", "y.z", "y.0", "/y/z/w"][..]).prop_map(|p| ArgPath::new(p).unwrap());
    btree_map(path, matcher, 1..3).prop_map(ArgRules::from).boxed()
}

/// The strategies are boxed: as one type they would take more stack than a test has.
fn selector() -> impl Strategy<Value = Selector> {
    (
        vec(select(&["i1", "i2"][..]).prop_map(String::from), 0..2),
        globs(&["ana", "s*", "*"]),
        globs(&["desk", "d*"]),
        globs(&["red", "blue", "green", "r*"]),
        weighted(0.2, globs(&["acme", "*"])),
        weighted(0.1, Just(vec!["b".to_owned()])),
    )
        .prop_map(|(issuers, subjects, agents, groups, tenant, servers)| Selector {
            issuers: sorted(issuers),
            subjects,
            agents,
            groups,
            claims: tenant.filter(|t| !t.is_empty()).map(|t| ("tenant".to_owned(), t)).into_iter().collect(),
            servers: servers.unwrap_or_default(),
        })
        .boxed()
}

fn item_patterns() -> impl Strategy<Value = Vec<ItemPattern>> {
    let pool =
        &["a:get", "a:put", "a:g*", "b:*", "*", "*:get", "a:prompt:*", "a:resource:*", "b:resource:all", "a:*"][..];
    vec(select(pool).prop_map(pattern), 1..3).prop_map(sorted)
}

pub(crate) fn statement() -> impl Strategy<Value = Statement> {
    let args = weighted(0.4, (item_patterns(), rules()).prop_map(|(p, r)| (p[0].clone(), r)));
    let expires = weighted(0.2, select(&[NOW - 1, NOW, NOW + 1][..]).prop_map(Timestamp));
    (of("[a-d]"), expires, selector(), item_patterns(), args)
        .prop_map(|(name, expires, to, items, args)| Statement {
            name,
            reason: None,
            expires,
            to,
            items,
            args: args.into_iter().collect(),
        })
        .boxed()
}

fn item(scope: &'static str, uri: Option<&'static str>) -> impl Strategy<Value = Item> {
    (weighted(0.3, Just(60u32)), weighted(0.3, rules()), weighted(0.2, Just("money".to_owned())), rate())
        .prop_map(move |(token_ttl, args, audit, rate)| Item {
            scopes: vec![scope.to_owned()],
            token_ttl,
            audit,
            rate,
            args: if uri.is_some() { ArgRules::default() } else { args.unwrap_or_default() },
            uri: uri.map(|u| PathGlob::new(u).unwrap()),
            capture: Vec::new(),
            redact: Vec::new(),
        })
        .boxed()
}

fn rate() -> impl Strategy<Value = Option<Rate>> {
    let key = select(&[RateKey::Subject, RateKey::Agent, RateKey::All][..]);
    weighted(
        0.4,
        (1..4u32, select(&[1u32, 60, 3_600][..]), key).prop_map(|(count, seconds, per)| Rate {
            count,
            seconds,
            per,
            shared: count == 2,
        }),
    )
}

fn credential(name: &'static str) -> impl Strategy<Value = Credential> {
    prop_oneof![
        Just(Credential::None),
        (60..63u32).prop_map(move |ttl| Credential::Vault {
            kind: VaultKind::Kv,
            path: name.into(),
            policies: vec![],
            ttl,
            audience: None,
            per_caller: false,
            params: BTreeMap::new(),
        }),
    ]
}

fn server(name: &'static str) -> impl Strategy<Value = Server> {
    let scopes: [&'static str; 5] = match name {
        "a" => ["a:get", "a:put", "a:prompt:hi", "a:resource:all", "a:resource:deep"],
        _ => ["b:get", "b:put", "b:prompt:hi", "b:resource:all", "b:resource:deep"],
    };
    (
        item(scopes[0], None),
        item(scopes[1], None),
        item(scopes[2], None),
        (item(scopes[3], Some("file:///srv/**")), item(scopes[4], Some("file:///srv/in/*"))),
        weighted(0.2, Just(vec!["i1".to_owned()])),
        weighted(0.3, Just(120u32)),
        weighted(0.5, Just(vec!["b".to_owned()])),
        (rate(), credential(name)),
    )
        .prop_map(move |(get, put, hi, (all, deep), issuers, token_ttl, callers, (rate, credential))| Server {
            upstream: Upstream::Url(format!("http://127.0.0.1/{name}")),
            resource: format!("https://mcp.example.com/{name}"),
            issuers,
            token_ttl,
            credential,
            tls: doorward::policy::set::UpstreamTls::default(),
            client: doorward::policy::set::ClientRequests::default(),
            placement: Placement::default(),
            audit: "standard".into(),
            rate,
            callers: callers.unwrap_or_default(),
            environment: Vec::new(),
            identity: (name == "b").then(|| Identity { issuer: "i1".into(), subject: "svc-b".into() }),
            tools: BTreeMap::from([("get".to_owned(), get), ("put".to_owned(), put)]),
            prompts: BTreeMap::from([("hi".to_owned(), hi)]),
            resources: BTreeMap::from([("all".to_owned(), all), ("deep".to_owned(), deep)]),
        })
        .boxed()
}

fn issuer(audiences: Vec<String>) -> Issuer {
    Issuer {
        url: "https://login.example.com".into(),
        keys: KeySource::Discovery,
        network: Network::Public,
        audiences,
        algorithms: vec![Algorithm::ES256],
        max_lifetime: 3600,
        clock_skew: 30,
        claims: ClaimMapping { groups: None, agent: None, others: BTreeMap::new() },
    }
}

/// A random policy set, in no particular order.
pub(crate) fn policy() -> impl Strategy<Value = PolicySet> {
    let bundle = item_patterns();
    (server("a"), server("b"), vec(statement(), 0..6), vec(statement(), 0..3), bundle)
        .prop_map(|(a, b, grants, denies, bundle)| PolicySet {
            issuers: BTreeMap::from([
                ("i1".to_owned(), issuer(vec![])),
                ("i2".to_owned(), issuer(vec!["https://mcp.example.com".to_owned()])),
            ]),
            servers: BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]),
            scopes: BTreeMap::from([("bundle".to_owned(), bundle)]),
            grants,
            denies,
            audit: Audit { store: "sqlite:x.db".into(), ..Audit::default() },
            gateway: Gateway::default(),
            vault: None,
        })
        .boxed()
}

/// A request with its facts owned, so that it can be shrunk and kept.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) issuer: &'static str,
    pub(crate) id: &'static str,
    pub(crate) agent: Fact<&'static str>,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) tenant: Option<&'static str>,
    pub(crate) action: Action,
    pub(crate) kind: ResourceKind,
    pub(crate) door: &'static str,
    pub(crate) name: &'static str,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) audience: Vec<&'static str>,
    pub(crate) issued_at: Fact<i64>,
    pub(crate) expires_at: Fact<i64>,
    pub(crate) not_before: Fact<i64>,
    pub(crate) arguments: Map<String, Value>,
    /// Which facts are not known: issuer, subject, agent, groups, claims, audience, scopes, iat, exp, nbf.
    pub(crate) hidden: [bool; 10],
    pub(crate) withheld: Vec<Withheld>,
}

impl Ask {
    /// Builds the request and hands it to `f`.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> T {
        fn hide<T>(hidden: bool, fact: Fact<T>) -> Fact<T> {
            if hidden { Fact::Unknown } else { fact }
        }
        let tenant: Vec<&str> = self.tenant.into_iter().collect();
        let claims = [Claim { name: "tenant", values: Strings::Borrowed(&tenant) }];
        let claims: &[Claim<'_>] = if tenant.is_empty() { &[] } else { &claims };
        let [issuer, subject, agent, groups, hide_claims, audience, scopes, iat, exp, nbf] = self.hidden;
        f(&Request {
            subject: Subject {
                issuer: hide(issuer, Fact::Known(self.issuer)),
                id: hide(subject, Fact::Known(self.id)),
                agent: hide(agent, self.agent),
                groups: hide(groups, Fact::Known(Strings::Borrowed(&self.groups))),
                claims: hide(hide_claims, Fact::Known(claims)),
            },
            action: self.action,
            resource: Resource { door: self.door, kind: self.kind, name: self.name },
            context: Context {
                now: Timestamp(NOW),
                token: Token {
                    audience: hide(audience, Fact::Known(Strings::Borrowed(&self.audience))),
                    scopes: hide(scopes, Fact::Known(Strings::Borrowed(&self.scopes))),
                    issued_at: hide(iat, self.issued_at.map(Timestamp)),
                    expires_at: hide(exp, self.expires_at.map(Timestamp)),
                    not_before: hide(nbf, self.not_before.map(Timestamp)),
                },
                arguments: Arguments { object: Some(&self.arguments), withheld: &self.withheld },
            },
        })
    }
}

fn argument() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(2),
        json!(2.5),
        json!(3),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("/srv/a"),
        json!("/srv/../a"),
        json!("/srv/a/b"),
        json!("/srv"),
        json!("/"),
        json!("//srv/./a"),
        json!("/srv/%2e"),
        json!("https://x.example.com/"),
        json!("https://EXAMPLE.com:80"),
        json!("http://127.0.0.1/x"),
        json!("http://2130706433/"),
        json!("https://a@example.com/"),
        json!("é/b"),
        json!("x"),
        json!(-1),
        json!(u64::MAX),
        json!([["a"], [3]]),
        json!([{"z": "a"}]),
        json!({"z": {"w": 2}}),
        json!([]),
        json!([1]),
        json!(["a", 5]),
        json!({"z": 1}),
        json!({"z": "a"}),
        json!({}),
    ])
    .boxed()
}

fn fact_of(values: &'static [i64]) -> impl Strategy<Value = Fact<i64>> {
    prop_oneof![9 => select(values).prop_map(Fact::Known), 1 => Just(Fact::Absent)]
}

/// A random request of which everything is known.
pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let target = select(vec![
        (Action::ToolsCall, ResourceKind::Tool, "get"),
        (Action::ToolsCall, ResourceKind::Tool, "get"),
        (Action::ToolsCall, ResourceKind::Tool, "put"),
        (Action::ToolsCall, ResourceKind::Tool, "gone"),
        (Action::PromptsGet, ResourceKind::Prompt, "hi"),
        (Action::PromptsGet, ResourceKind::Prompt, "gone"),
        (Action::ResourcesRead, ResourceKind::Resource, "file:///srv/in/x"),
        (Action::ResourcesRead, ResourceKind::Resource, "file:///srv/x"),
        (Action::ResourcesRead, ResourceKind::Resource, "file:///srv/x/../in/x"),
        (Action::ResourcesRead, ResourceKind::Resource, "file:///etc"),
        (Action::Initialize, ResourceKind::Server, ""),
        (Action::ToolsList, ResourceKind::Tool, "get"),
        (Action::Unknown, ResourceKind::Tool, "get"),
    ]);
    let subject = (
        select(&["i1", "i1", "i2", "i3"][..]),
        select(&["ana", "sam", "svc-b", "x"][..]),
        prop_oneof![select(&["desk", "door", "other"][..]).prop_map(Fact::Known), Just(Fact::Absent)],
        vec(select(&["red", "blue", "green", "rose"][..]), 0..3),
        of(select(&["acme", "other"][..])),
    );
    let scopes = vec(
        select(&["a:get", "a:put", "b:get", "bundle", "a:prompt:hi", "a:resource:all", "a:resource:deep", "a"][..]),
        0..4,
    );
    let audience = vec(
        select(&["https://mcp.example.com/a", "https://mcp.example.com/b", "https://mcp.example.com", "x"][..]),
        1..4,
    );
    let times = (
        fact_of(&[NOW - 200, NOW - 60, NOW - 59, NOW - 1, NOW, NOW + 30, NOW + 31]),
        fact_of(&[NOW, NOW + 1, NOW + 600, NOW + 600, NOW + 3600, NOW + 3601]),
        prop_oneof![2 => Just(Fact::Absent), 1 => select(&[NOW, NOW + 30, NOW + 31][..]).prop_map(Fact::Known)],
    );
    let arguments = btree_map(select(&["x", "y", "q"][..]).prop_map(String::from), argument(), 0..3);
    (subject, target, select(&["a", "a", "b", "c"][..]), scopes, audience, times, arguments)
        .prop_map(
            |((issuer, id, agent, groups, tenant), (action, kind, name), door, scopes, audience, times, arguments)| {
                Ask {
                    issuer,
                    id,
                    agent,
                    groups,
                    tenant,
                    action,
                    kind,
                    door,
                    name,
                    scopes,
                    audience,
                    issued_at: times.0,
                    expires_at: times.1,
                    not_before: times.2,
                    arguments: arguments.into_iter().collect(),
                    hidden: [false; 10],
                    withheld: Vec::new(),
                }
            },
        )
        .boxed()
}

/// The same request with some facts hidden.
pub(crate) fn hidden(ask: Ask) -> impl Strategy<Value = Ask> {
    let withheld = vec(select(&["", "/x", "/y", "/y/z", "/q"][..]), 0..2);
    (Just(ask), any::<[bool; 10]>(), any::<[bool; 10]>(), withheld).prop_map(|(ask, some, fewer, withheld)| Ask {
        hidden: std::array::from_fn(|i| some[i] && fewer[i]),
        withheld: withheld
            .into_iter()
            .map(|p| Withheld { pointer: p.to_owned(), because: WithheldBecause::Redacted })
            .collect(),
        ..ask
    })
}
