//! The exact questions, held against brute force on small universes.

use std::collections::BTreeMap;

use doorward::analyze::{Direction, Options, Place, Who, check_invariants, diff, lint, reachable, what_can, who_can};
use doorward::diagnostics::{Code, Span};
use doorward::model::{Effect, Fact, ResourceKind, Timestamp};
use doorward::pdp::decide;
use doorward::policy::checks::{Checks, Invariant, Spans, StatementSpans};
use doorward::policy::set::{Item, PolicySet, Selector, Statement};
use doorward::policy::uri::is_plain_uri;
use doorward::policy::{CompiledPolicy, Layers, LoadedPolicy, load};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::decide::compile;
use crate::universe::{Ask, NOW, ask, pattern, policy, statement};

fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

/// The requests of the universe are all made now; the questions are asked from then on.
fn options() -> Options {
    Options { from: Some(Timestamp(NOW - 2)), ..Options::default() }
}

/// One change that somebody could make to a policy.
#[derive(Clone, Debug)]
enum Edit {
    DropGrant(Index),
    DropDeny(Index),
    Grant(Statement),
    Deny(Statement),
    WidenGrant(Index),
    Ttl(Index, Option<u32>),
    DoorTtl(Option<u32>),
    Lifetime(u32),
    Skew(u32),
    Audiences(Vec<String>),
    Issuers(Option<Vec<String>>),
    Callers(Vec<String>),
    Identity(String),
    DropBundle,
    DropTool(Index),
    ToolArgs(Index, Statement),
    DropPattern,
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Edit::DropGrant),
        index().prop_map(Edit::DropDeny),
        statement().prop_map(Edit::Grant),
        statement().prop_map(Edit::Deny),
        index().prop_map(Edit::WidenGrant),
        (index(), select(&[None, Some(1), Some(59), Some(200)][..])).prop_map(|(i, ttl)| Edit::Ttl(i, ttl)),
        select(&[None, Some(1), Some(61), Some(200)][..]).prop_map(Edit::DoorTtl),
        select(&[60, 700, 7200][..]).prop_map(Edit::Lifetime),
        select(&[0, 31, 60][..]).prop_map(Edit::Skew),
        select(vec![vec![], vec!["https://mcp.example.com/a".to_owned()], vec!["x".to_owned()]])
            .prop_map(Edit::Audiences),
        select(vec![None, Some(vec!["i2".to_owned()]), Some(vec![])]).prop_map(Edit::Issuers),
        select(vec![vec![], vec!["b".to_owned()]]).prop_map(Edit::Callers),
        select(&["ana", "svc-b", "x"][..]).prop_map(|s| Edit::Identity(s.to_owned())),
        Just(Edit::DropBundle),
        index().prop_map(Edit::DropTool),
        (index(), statement()).prop_map(|(i, s)| Edit::ToolArgs(i, s)),
        Just(Edit::DropPattern),
    ]
}

fn edited(mut set: PolicySet, edits: &[Edit]) -> PolicySet {
    for edit in edits {
        let door = set.servers.get_mut("a").unwrap();
        let tools: Vec<String> = door.tools.keys().cloned().collect();
        let named = |i: &Index| tools.get(i.index(tools.len().max(1))).cloned().unwrap_or_default();
        match edit.clone() {
            Edit::DropGrant(i) if !set.grants.is_empty() => _ = set.grants.remove(i.index(set.grants.len())),
            Edit::DropDeny(i) if !set.denies.is_empty() => _ = set.denies.remove(i.index(set.denies.len())),
            Edit::DropGrant(_) | Edit::DropDeny(_) => {}
            Edit::Grant(statement) => set.grants.push(statement),
            Edit::Deny(statement) => set.denies.push(statement),
            Edit::WidenGrant(i) => {
                let n = set.grants.len();
                if let Some(grant) = set.grants.get_mut(i.index(n.max(1))) {
                    grant.to = Selector { groups: grant.to.groups.clone(), ..Selector::default() };
                    grant.args.clear();
                }
            }
            Edit::Ttl(i, ttl) => {
                if let Some(tool) = door.tools.get_mut(&named(&i)) {
                    tool.token_ttl = ttl;
                }
            }
            Edit::DoorTtl(ttl) => door.token_ttl = ttl,
            Edit::Lifetime(seconds) => set.issuers.get_mut("i1").unwrap().max_lifetime = seconds,
            Edit::Skew(seconds) => set.issuers.get_mut("i1").unwrap().clock_skew = seconds,
            Edit::Audiences(list) => set.issuers.get_mut("i1").unwrap().audiences = list,
            Edit::Issuers(list) => door.issuers = list,
            Edit::Callers(list) => door.callers = list,
            Edit::Identity(subject) => {
                if let Some(identity) = &mut set.servers.get_mut("b").unwrap().identity {
                    identity.subject = subject;
                }
            }
            Edit::DropBundle => set.scopes.clear(),
            Edit::DropTool(i) => {
                door.tools.remove(&named(&i));
            }
            Edit::ToolArgs(i, statement) => {
                if let (Some(tool), Some((_, rules))) = (door.tools.get_mut(&named(&i)), statement.args.first()) {
                    tool.args = rules.clone();
                }
            }
            Edit::DropPattern => _ = door.resources.remove("deep"),
        }
    }
    set
}

/// Requests of which many are allowed: mostly with a good token.
pub(crate) fn likely() -> impl Strategy<Value = Ask> {
    (ask(), any::<[bool; 4]>(), select(&["a", "a", "b"][..])).prop_map(|(ask, good, door)| {
        let mut ask = Ask { door, ..ask };
        if good[0] || good[1] {
            ask.audience =
                vec!["https://mcp.example.com/a", "https://mcp.example.com/b", "https://mcp.example.com", "x"];
        }
        if good[1] || good[2] {
            ask.issued_at = Fact::Known(NOW - 1);
            ask.expires_at = Fact::Known(NOW + 500);
            ask.not_before = Fact::Absent;
        }
        if good[0] || good[3] {
            ask.scopes =
                vec!["a:get", "a:put", "b:get", "b:put", "bundle", "a:prompt:hi", "b:prompt:hi", "a:resource:all"];
            ask.scopes.extend(["a:resource:deep", "b:resource:all", "b:resource:deep"]);
        }
        ask
    })
}

fn effect(policy: &CompiledPolicy, ask: &Ask) -> Effect {
    ask.with(|request| decide(policy, request).effect)
}

/// The item that a request reaches.
fn place(policy: &CompiledPolicy, ask: &Ask) -> Option<Place> {
    let server = policy.set().servers.get(ask.door)?;
    let name = match ask.kind {
        ResourceKind::Resource => {
            let prefix = |n: &str| server.resources[n].uri.as_ref().unwrap().literal_prefix().len();
            let matches = |i: &Item| is_plain_uri(ask.name) && i.uri.as_ref().unwrap().matches(ask.name);
            let matching = server.resources.iter().filter(|(_, i)| matches(i));
            matching.map(|(n, _)| n.as_str()).min_by_key(|n| (std::cmp::Reverse(prefix(n)), *n))?
        }
        _ => ask.name,
    };
    Some(Place { server: ask.door.to_owned(), kind: ask.kind, name: name.to_owned() })
}

/// What a question may know of the subject of a request.
fn who(ask: &Ask, known: [bool; 6]) -> Who {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    Who {
        issuer: known[0].then(|| ask.issuer.to_owned()),
        id: known[1].then(|| ask.id.to_owned()),
        agent: known[2].then(|| ask.agent.known().map(str::to_owned)),
        groups: known[3].then(|| own(&ask.groups)),
        claims: if known[4] {
            BTreeMap::from([("tenant".to_owned(), ask.tenant.map(str::to_owned).into_iter().collect())])
        } else {
            BTreeMap::new()
        },
        scopes: known[5].then(|| own(&ask.scopes)),
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn diff_agrees_with_brute_force_on_small_universes(
        set in policy(),
        edits in vec(edit(), 0..4),
        asks in vec(likely(), 60),
    ) {
        let (old, new) = (compile(set.clone()), compile(edited(set, &edits)));
        let diff = diff(&old, &new, options());
        prop_assert!(diff.unanswered.is_empty(), "{:?}", diff.unanswered);
        for flip in &diff.flips {
            let (allows, denies) = if flip.direction == Direction::Gained { (&new, &old) } else { (&old, &new) };
            prop_assert!(flip.witness.decide(allows).is_allow());
            let denied = flip.witness.decide(denies);
            prop_assert_eq!((denied.effect, denied.reason), (Effect::Deny, flip.reason));
        }
        for ask in &asks {
            let (direction, place) = match (effect(&old, ask), effect(&new, ask)) {
                (Effect::Deny, Effect::Allow) => (Direction::Gained, place(&new, ask)),
                (Effect::Allow, Effect::Deny) => (Direction::Lost, place(&old, ask)),
                _ => continue,
            };
            let place = place.unwrap();
            let found = diff.flips.iter().any(|f| f.place == place && f.direction == direction);
            prop_assert!(found, "{direction:?} {place} by {ask:?} is not among {:?}", diff.flips);
        }
    }

    #[test]
    fn diff_of_a_policy_with_itself_is_empty(set in policy()) {
        let policy = compile(set.clone());
        prop_assert!(diff(&policy, &policy, Options::default()).is_empty());
        let reordered = PolicySet {
            grants: set.grants.iter().rev().cloned().collect(),
            denies: set.denies.iter().rev().cloned().collect(),
            ..set
        };
        prop_assert!(diff(&policy, &compile(reordered), Options::default()).is_empty());
    }

    #[test]
    fn invariants_agree_with_brute_force(
        set in policy(),
        statement in statement(),
        except in prop::option::of(statement()),
        asks in vec(likely(), 60),
    ) {
        let policy = compile(set.clone());
        let invariant = Invariant {
            name: "never".to_owned(),
            to: statement.to.clone(),
            except: except.map(|e| e.to),
            never: statement.items.clone(),
            args: statement.args.clone(),
            span: Span::default(),
        };
        // A policy without grants but one to everyone for everything tells what the invariant, as
        // a deny, is about.
        let about = |to: &Selector, ask: &Ask, items: &Statement| {
            let all = Statement { to: Selector::default(), items: vec![pattern("*")], ..Statement::default() };
            let deny = Statement { to: to.clone(), expires: None, name: None, reason: None, ..items.clone() };
            let open = compile(PolicySet { grants: vec![all.clone()], denies: vec![], ..set.clone() });
            let shut = compile(PolicySet { grants: vec![all], denies: vec![deny], ..set.clone() });
            effect(&open, ask) != effect(&shut, ask)
        };
        let proof = check_invariants(&policy, std::slice::from_ref(&invariant), options());
        prop_assert!(proof.unanswered.is_empty(), "{:?}", proof.unanswered);
        for violation in &proof.violations {
            let grant = violation.witness.decide(&policy);
            prop_assert!(grant.is_allow());
            let mut with_deny = set.clone();
            with_deny.denies.push(Statement { expires: None, name: None, reason: None, ..statement.clone() });
            prop_assert!(!violation.witness.decide(&compile(with_deny)).is_allow());
        }
        for ask in asks.iter().filter(|a| effect(&policy, a) == Effect::Allow) {
            let excepted = invariant.except.as_ref().is_some_and(|to| {
                about(to, ask, &Statement { items: vec![pattern("*")], ..Statement::default() })
            });
            if about(&invariant.to, ask, &statement) && !excepted {
                let place = place(&policy, ask).unwrap();
                prop_assert!(proof.violations.iter().any(|v| v.place == place), "{place} by {ask:?}");
            }
        }
    }

    #[test]
    fn what_can_agrees_with_brute_force(set in policy(), asks in vec(likely(), 40), known in any::<[bool; 6]>()) {
        let policy = compile(set);
        let asks: Vec<&Ask> = asks.iter().filter(|a| effect(&policy, a) == Effect::Allow).take(2).collect();
        for ask in asks {
            let place = place(&policy, ask).unwrap();
            let who = who(ask, known);
            let answer = what_can(&policy, &who, options());
            prop_assert!(answer.unanswered.is_empty());
            prop_assert!(answer.items.iter().any(|a| a.place == place), "{place} for {who:?}");
            prop_assert!(reachable(&policy, &who, &place, options()).unwrap().is_some());
            for access in &answer.items {
                for granted in &access.grants {
                    let witness = &granted.witness;
                    prop_assert!(witness.decide(&policy).is_allow());
                    prop_assert!(who.issuer.as_ref().is_none_or(|i| *i == witness.issuer));
                    prop_assert!(who.id.as_ref().is_none_or(|i| *i == witness.subject));
                    prop_assert!(who.agent.as_ref().is_none_or(|a| *a == witness.agent));
                    prop_assert!(who.groups.as_ref().is_none_or(|g| *g == witness.groups));
                    prop_assert!(who.scopes.as_ref().is_none_or(|s| *s == witness.scopes));
                }
            }
        }
    }

    #[test]
    fn who_can_agrees_with_brute_force(set in policy(), asks in vec(likely(), 40), given in any::<bool>()) {
        let policy = compile(set);
        for ask in asks.iter().filter(|a| effect(&policy, a) == Effect::Allow && a.kind == ResourceKind::Tool).take(3) {
            let reference = pattern(&format!("{}:{}", ask.door, ask.name));
            let answer = who_can(&policy, &reference, given.then_some(&ask.arguments), options());
            let decision = ask.with(|request| decide(&policy, request).rule.map(|r| r.position.clone()));
            let grants: Vec<_> = answer.items.iter().flat_map(|a| &a.grants).collect();
            prop_assert!(grants.iter().any(|g| Some(&g.grant.position) == decision.as_ref()), "{ask:?}");
            prop_assert!(grants.iter().all(|g| g.witness.decide(&policy).is_allow()));
            prop_assert!(grants.iter().all(|g| !given || g.witness.arguments == ask.arguments));
        }
    }
}

/// The numbers of the grants that lints call useless.
fn useless(policy: &CompiledPolicy) -> Vec<usize> {
    let spans = |count: usize| {
        let span = |n: usize| Span { start: u32::try_from(n).unwrap(), ..Span::default() };
        (0..count).map(|n| StatementSpans { head: span(n), ..StatementSpans::default() }).collect()
    };
    let set = policy.set();
    let spans = Spans { grants: spans(set.grants.len()), denies: spans(set.denies.len()), ..Spans::default() };
    let loaded =
        LoadedPolicy { compiled: policy.clone(), checks: Checks::default(), spans, groups: BTreeMap::default() };
    let problems = lint(&loaded, Timestamp(NOW - 2));
    assert!(problems.iter().all(|p| p.code != Code::AnalysisLimit), "{problems:?}");
    let useless = problems.iter().filter(|p| matches!(p.code, Code::ShadowedGrant | Code::DeadGrant));
    useless.map(|p| p.primary.as_ref().unwrap().span.start as usize).collect()
}

fn without(set: &PolicySet, numbers: &[usize]) -> CompiledPolicy {
    let grants = set.grants.iter().enumerate().filter(|(n, _)| !numbers.contains(n)).map(|(_, g)| g.clone());
    compile(PolicySet { grants: grants.collect(), ..set.clone() })
}

/// Whether two policies differ about anything but who may shake hands with a server.
fn differ(a: &CompiledPolicy, b: &CompiledPolicy) -> bool {
    diff(a, b, options()).flips.iter().any(|f| f.place.kind != ResourceKind::Server)
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn useless_grants_can_go_and_others_cannot(set in policy()) {
        let policy = compile(set);
        let set = policy.set().clone();
        let useless = useless(&policy);
        prop_assert!(!differ(&policy, &without(&set, &useless)), "{useless:?} of {:?}", set.grants);
        for number in (0..set.grants.len()).filter(|n| !useless.contains(n)) {
            let grant = &set.grants[number];
            let only_server = grant.items.iter().all(|p| p.item.literal() == Some(""));
            if !grant.is_live(Timestamp(NOW - 2)) || only_server {
                continue;
            }
            let mut more = useless.clone();
            more.push(number);
            let needed = differ(&without(&set, &useless), &without(&set, &more));
            prop_assert!(needed || unmet(&policy, number), "{number} is not needed beside {useless:?} in {:?}", set.grants);
        }
    }
}

/// Whether a grant has been reported for its argument rules, and so not again as useless.
fn unmet(policy: &CompiledPolicy, number: usize) -> bool {
    let set = policy.set();
    let Some(grant) = set.grants.get(number) else { return false };
    let alone = compile(PolicySet { grants: vec![grant.clone()], ..set.clone() });
    let nothing = compile(PolicySet { grants: vec![], ..set.clone() });
    !differ(&nothing, &alone)
}

#[test]
fn a_new_deny_about_another_group_and_claim_is_found() {
    let glob = |text: &str| vec![crate::universe::name_glob(text)];
    let read = |more: &str| {
        let text = format!(
            "version = 1\n[issuers.i]\nurl = \"https://i.example.com\"\nclaims = {{ groups = \"g\", tenant = \"t\" }}\n\
             [servers.s]\nurl = \"http://127.0.0.1:1/mcp\"\n[servers.s.tools.t]\n[audit.retention]\nstandard = \"90d\"\n\
             [[grants]]\nto = {{ groups = [\"support\"], claims = {{ tenant = \"acme\" }} }}\nallow = [\"s:t\"]\n{more}"
        );
        let layers = Layers { files: vec![("p.toml".to_owned(), text.into_bytes())], environment: Vec::new() };
        load(&layers).policy.unwrap().compiled
    };
    let deny = "[[denies]]\nto = { groups = [\"contract*\"], claims = { tenant = \"test-*\" } }\ndeny = [\"s:t\"]\n";
    let diff = diff(&read(""), &read(deny), Options::default());
    let [flip] = diff.flips.as_slice() else { panic!("{:?}", diff.flips) };
    assert_eq!(flip.direction, Direction::Lost);
    assert_eq!(flip.witness.groups.len(), 2);
    assert_eq!(flip.witness.claims["tenant"].len(), 2);
    assert!(flip.witness.groups.iter().any(|g| glob("contract*")[0].matches(g)));
    assert!(diff.narrows() && !diff.widens());
}
