//! What an explanation advises is done here, to the letter, and the request is then allowed.

use doorward::model::{Effect, Fact, Request, ResourceKind, Verdict};
use doorward::pdp::{Edit, decide, explain};
use doorward::policy::CompiledPolicy;
use doorward::policy::argument::ArgPath;
use doorward::policy::glob::{NameGlob, PathGlob};
use doorward::policy::matcher::ArgRules;
use doorward::policy::set::{Item, PolicySet, Selector, Statement, item_name};
use proptest::prelude::*;

use crate::decide::compile;
use crate::universe::{Ask, NOW, ask, hidden, name_glob, pattern, policy};

/// Whether the advice can be followed, or ends at something that no edit changes.
enum Followed {
    Done,
    /// Something was declared: what it needs beyond that is another question.
    Declared,
    NoWay,
}

fn follow(edits: &[Edit<'_>], set: &mut PolicySet, ask: &mut Ask) -> Followed {
    let mut followed = Followed::Done;
    let mut removed = Vec::new();
    for edit in edits {
        match edit {
            Edit::SendAnotherMethod | Edit::SpellUri => followed = Followed::NoWay,
            Edit::DeclareServer { server, .. } => {
                let mut declared = set.servers["a"].clone();
                (declared.identity, declared.tools, declared.prompts, declared.resources) = Default::default();
                set.servers.insert(server.clone(), declared);
                followed = Followed::Declared;
            }
            Edit::DeclareItem { server, kind, name, .. } => {
                let uri = (*kind == ResourceKind::Resource).then(|| PathGlob::new(&escaped(name)).unwrap());
                let item =
                    Item { scopes: vec![format!("{server}:{}", item_name(*kind, name))], uri, ..Item::default() };
                let server = set.servers.get_mut(server).unwrap();
                let items = match kind {
                    ResourceKind::Tool => &mut server.tools,
                    ResourceKind::Prompt => &mut server.prompts,
                    ResourceKind::Resource => &mut server.resources,
                    ResourceKind::Server => panic!("a server is declared by itself"),
                };
                assert!(items.insert(name.clone(), item).is_none());
                followed = Followed::Declared;
            }
            Edit::BringIssuer { issuer, .. } => ask.issuer = kept(issuer),
            Edit::BringAudience { audience, .. } => ask.audience.push(kept(audience)),
            Edit::BringFreshToken { .. } => {
                (ask.issued_at, ask.expires_at, ask.not_before) =
                    (Fact::Known(NOW), Fact::Known(NOW + 1), Fact::Absent);
            }
            Edit::AskForScope { any_of } => ask.scopes.push(kept(any_of.last().unwrap())),
            Edit::BringFact { field, value, .. } => bring(ask, field, value),
            Edit::AddCaller { caller, server } => set.servers.get_mut(server).unwrap().callers.push(caller.clone()),
            Edit::NarrowDeny { rule } => removed.push(rule.position.line as usize),
            Edit::AddGrant { item, server } => {
                let to = Selector {
                    issuers: vec![ask.issuer.to_owned()],
                    subjects: vec![name_glob(&escaped(ask.id))],
                    ..Selector::default()
                };
                let items = vec![pattern(&if *server { format!("{item}:*") } else { item.clone() })];
                set.grants.push(Statement { to, items, ..Statement::default() });
            }
            Edit::WidenGrant { rule, field, value, .. } => {
                widen(&mut set.grants[rule.position.line as usize].to, field, value.as_deref());
            }
            Edit::RenewGrant { rule, .. } => set.grants[rule.position.line as usize].expires = None,
            Edit::SetArgument { rule, path, .. } => {
                let path = ArgPath::new(path).unwrap();
                match rule {
                    Some(rule) => {
                        for (_, rules) in &mut set.grants[rule.position.line as usize].args {
                            *rules = without(rules, &path);
                        }
                    }
                    None => {
                        let server = set.servers.get_mut(ask.door).unwrap();
                        let items =
                            if ask.kind == ResourceKind::Tool { &mut server.tools } else { &mut server.prompts };
                        let item = items.get_mut(ask.name).unwrap();
                        item.args = without(&item.args, &path);
                    }
                }
            }
            other => panic!("no advice for a request of which everything is known: {other:?}"),
        }
    }
    let mut number = 0..;
    set.denies.retain(|_| !removed.contains(&number.next().unwrap()));
    followed
}

fn bring(ask: &mut Ask, field: &str, value: &str) {
    let value = kept(value);
    match field {
        "to.subjects" => ask.id = value,
        "to.agents" => ask.agent = Fact::Known(value),
        "to.groups" => ask.groups.push(value),
        "to.claims.tenant" => ask.tenant = Some(value),
        other => panic!("{other}"),
    }
}

fn widen(to: &mut Selector, field: &str, value: Option<&str>) {
    let add = |globs: &mut Vec<NameGlob>| globs.push(name_glob(&escaped(value.expect("a value to add"))));
    match field {
        "to.issuer" => to.issuers.push(value.unwrap().to_owned()),
        "to.subjects" => add(&mut to.subjects),
        "to.agents" => add(&mut to.agents),
        "to.groups" => add(&mut to.groups),
        "to.claims.tenant" => add(to.claims.get_mut("tenant").unwrap()),
        "to.servers" => match value {
            Some(server) => to.servers.push(server.to_owned()),
            None => to.servers.clear(),
        },
        other => panic!("{other}"),
    }
}

fn without(rules: &ArgRules, path: &ArgPath) -> ArgRules {
    let others = rules.iter().filter(|(own, _)| *own != path);
    others.map(|(path, matcher)| (path.clone(), matcher.clone())).collect::<std::collections::BTreeMap<_, _>>().into()
}

/// A text as a pattern that only it matches.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '*' | '?' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

/// A request of the universe borrows for ever.
fn kept(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn is_allowed(policy: &CompiledPolicy, request: &Request<'_>) -> bool {
    decide(policy, request).effect == Effect::Allow
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_advised_edits_make_the_decision_allow(set in policy(), ask in ask()) {
        let (mut policy, mut ask) = (compile(set), ask);
        // A server, then an item of it, then what it needs.
        for _ in 0..3 {
            let mut set = policy.set().clone();
            let mut changed = ask.clone();
            let (followed, edits) = ask.with(|request| {
                let explanation = explain(&policy, request);
                assert_eq!(explanation.advice.is_empty(), is_allowed(&policy, request));
                (follow(&explanation.advice, &mut set, &mut changed), format!("{:#?}", explanation.advice))
            });
            (policy, ask) = (compile(set), changed);
            match followed {
                Followed::Declared => {}
                Followed::NoWay => return Ok(()),
                Followed::Done => {
                    let decision = ask.with(|request| format!("{:?}", decide(&policy, request)));
                    prop_assert!(ask.with(|request| is_allowed(&policy, request)), "{edits}\n{decision}\n{ask:?}");
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "three rounds do not suffice");
    }

    #[test]
    fn what_is_open_is_advised_to_be_recorded(set in policy(), ask in ask().prop_flat_map(hidden)) {
        let policy = compile(set);
        ask.with(|request| {
            let explanation = explain(&policy, request);
            if matches!(explanation.verdict, Verdict::Undecided(_)) {
                let records = |edit: &Edit<'_>| matches!(edit, Edit::Record { .. });
                prop_assert!(explanation.advice.iter().all(records), "{:?}", explanation.advice);
                prop_assert!(!explanation.advice.is_empty());
            }
            Ok(())
        })?;
    }
}

/// All that the nearest grant lacks, and not only the first: so that one round suffices.
#[test]
fn every_condition_of_the_nearest_grant_is_named_at_once() {
    let policy = doorward::policy::load(&doorward::policy::Layers {
        files: vec![(
            "p.toml".to_owned(),
            br#"
version = 1
[issuers.corp]
url = "https://login.example.com"
[servers.a]
url = "http://127.0.0.1:1/mcp"
[servers.a.tools.x]
[[grants]]
name = "near"
expires = 1970-01-01T00:00:01Z
to = { agents = ["desk"], groups = ["support"] }
allow = ["a:x"]
args = { "a:x" = { n = { max = 5 }, m = { present = true } } }
[[grants]]
name = "far"
expires = 1970-01-01T00:00:01Z
to = { subjects = ["bob"], agents = ["desk"], groups = ["support"] }
allow = ["a:x"]
args = { "a:x" = { n = { max = 5 }, m = { present = true } } }
"#
            .to_vec(),
        )],
        environment: Vec::new(),
    });
    let policy = policy.policy.unwrap().compiled;
    let ask = Ask {
        issuer: "corp",
        id: "ana",
        agent: Fact::Absent,
        groups: vec!["guests"],
        tenant: None,
        action: doorward::model::Action::ToolsCall,
        kind: ResourceKind::Tool,
        door: "a",
        name: "x",
        scopes: vec![],
        audience: vec!["http://127.0.0.1:8787/a/mcp"],
        issued_at: Fact::Known(NOW),
        expires_at: Fact::Known(NOW + 60),
        not_before: Fact::Absent,
        arguments: serde_json::Map::from_iter([("n".to_owned(), 6.into())]),
        hidden: [false; 10],
        withheld: Vec::new(),
    };
    let told: Vec<String> =
        ask.with(|request| explain(&policy, request).advice.iter().map(ToString::to_string).collect());
    insta::assert_snapshot!(told.join("\n"), @r"
    ask for a token with scope `a:x`
    bring a token that has `agents`, such as `desk`: grant `near` (p.toml:9:8) asks for desk
    widen `to.groups` of grant `near` (p.toml:9:8): it asks for support, the request has guests
    renew `expires` of grant `near` (p.toml:9:8): it ended 1970-01-01T00:00:01Z
    send `args.m` as grant `near` (p.toml:9:8) asks: { present = true }, not missing; or change the rule there
    send `args.n` as grant `near` (p.toml:9:8) asks: { max = 5 }, not 6; or change the rule there
    ");
}
