//! The exact questions on a universe so small that every request in it is asked: what analysis finds and
//! what brute force finds are the same sets, neither larger than the other.
//!
//! The conditions that the policies are drawn from tell apart only what the requests tell apart: each part
//! has every value that some condition names, and one that none of them does. So a request that analysis
//! thinks of, and that is not among these, is answered like one that is.

use std::collections::{BTreeMap, BTreeSet};

use doorward::analyze::{Direction, Options, Place, Who, check_invariants, diff, what_can, who_can};
use doorward::diagnostics::Span;
use doorward::model::{
    Action, Arguments, Context, Fact, Reason, Request, Resource, ResourceKind, Strings, Subject, Timestamp, Token,
};
use doorward::pdp::decide;
use doorward::policy::argument::{ArgPath, Scalar};
use doorward::policy::checks::Invariant;
use doorward::policy::matcher::{ArgRules, Matcher, Test};
use doorward::policy::set::{ItemPattern, PolicySet, Selector, Statement};
use doorward::policy::{CompiledPolicy, Layers, load};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::decide::compile;
use crate::universe::{name_glob, pattern};

/// The last instant before the end of what expires, and the end.
const TIMES: [i64; 2] = [999_999, 1_000_000];
const SUBJECTS: [&str; 2] = ["ana", "someone"];
const AGENTS: [Option<&str>; 3] = [None, Some("desk"), Some("something")];
const GROUPS: [&[&str]; 8] = [
    &[],
    &["red"],
    &["blue"],
    &["other"],
    &["red", "blue"],
    &["red", "other"],
    &["blue", "other"],
    &["red", "blue", "other"],
];
/// Below and at the age from which a token is refused where a `token_ttl` says so.
const AGES: [i64; 2] = [59, 60];
/// The action, what it reaches, and the item that this is in the policy.
const TARGETS: [(Action, ResourceKind, &str, &str); 5] = [
    (Action::Initialize, ResourceKind::Server, "", ""),
    (Action::ToolsCall, ResourceKind::Tool, "t", "t"),
    (Action::PromptsGet, ResourceKind::Prompt, "p", "p"),
    (Action::ResourcesRead, ResourceKind::Resource, "file:///r/x", "deep"),
    (Action::ResourcesRead, ResourceKind::Resource, "file:///r/y", "wide"),
];
const SCOPES: [&[&str]; 3] = [&[], &["s:t", "s:prompt:p", "s:resource:deep", "s:resource:wide"], &["bundle"]];

const DECLARED: &str = r#"
version = 1
[issuers.i]
url = "https://i.example.com"
[servers.s]
url = "http://127.0.0.1:1/mcp"
resource = "https://mcp.example.com/s"
[servers.s.tools.t]
[servers.s.prompts.p]
[servers.s.resources.wide]
uri = "file:///r/*"
[servers.s.resources.deep]
uri = "file:///r/x"
[scopes]
bundle = ["s:t", "s:resource:*"]
"#;

/// What is there to be asked about, without a statement.
fn declared() -> PolicySet {
    let layers = Layers { files: vec![("p.toml".to_owned(), DECLARED.into())], environment: Vec::new() };
    load(&layers).policy.unwrap().compiled.set().clone()
}

/// Missing, around the limit, a text that is named and one that is not, and what is neither number nor text.
fn arguments() -> Vec<Map<String, Value>> {
    let values =
        [None, Some(json!(0)), Some(json!(1)), Some(json!(2)), Some(json!("a")), Some(json!("b")), Some(json!(true))];
    values.into_iter().map(|value| value.into_iter().map(|value| ("x".to_owned(), value)).collect()).collect()
}

/// One request of the universe.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    now: i64,
    subject: &'static str,
    agent: Option<&'static str>,
    groups: &'static [&'static str],
    age: i64,
    target: (Action, ResourceKind, &'static str, &'static str),
    scopes: &'static [&'static str],
    arguments: &'a Map<String, Value>,
}

impl Case<'_> {
    fn decide(&self, policy: &CompiledPolicy) -> Reason {
        let (action, kind, name, _) = self.target;
        let issued = self.now - self.age;
        let request = Request {
            subject: Subject {
                issuer: Fact::Known("i"),
                id: Fact::Known(self.subject),
                agent: self.agent.map_or(Fact::Absent, Fact::Known),
                groups: Fact::Known(Strings::Borrowed(self.groups)),
                claims: Fact::Absent,
            },
            action,
            resource: Resource { door: "s", kind, name },
            context: Context {
                now: Timestamp(self.now),
                token: Token {
                    audience: Fact::Known(Strings::Borrowed(&["https://mcp.example.com/s"])),
                    scopes: Fact::Known(Strings::Borrowed(self.scopes)),
                    issued_at: Fact::Known(Timestamp(issued)),
                    expires_at: Fact::Known(Timestamp(issued + 3_600)),
                    not_before: Fact::Absent,
                },
                arguments: Arguments::known(self.arguments),
            },
        };
        decide(policy, &request).reason
    }

    fn is_allowed(&self, policy: &CompiledPolicy) -> bool {
        self.decide(policy) == Reason::Granted
    }

    fn place(&self) -> Place {
        let (_, kind, _, name) = self.target;
        Place { server: "s".to_owned(), kind, name: name.to_owned() }
    }
}

/// Every request there is.
fn every_case(arguments: &[Map<String, Value>]) -> Vec<Case<'_>> {
    let mut all = Vec::new();
    for now in TIMES {
        for subject in SUBJECTS {
            for agent in AGENTS {
                for groups in GROUPS {
                    for age in AGES {
                        for target in TARGETS {
                            for scopes in SCOPES {
                                let with =
                                    |arguments| Case { now, subject, agent, groups, age, target, scopes, arguments };
                                all.extend(arguments.iter().map(with));
                            }
                        }
                    }
                }
            }
        }
    }
    // With one choice of arguments, and with all seven, 20,160.
    assert_eq!(all.len(), 2_880 * arguments.len());
    all
}

/// From the first instant of the universe on.
fn options() -> Options {
    Options { from: Some(Timestamp(TIMES[0])), ..Options::default() }
}

fn selector() -> impl Strategy<Value = Selector> {
    let one = |pool: &'static [&'static str]| {
        weighted(0.4, vec(select(pool).prop_map(name_glob), 1..3)).prop_map(|globs| {
            let mut globs = globs.unwrap_or_default();
            globs.sort();
            globs.dedup();
            globs
        })
    };
    (one(&["ana", "*"]), one(&["desk", "*"]), one(&["red", "blue", "*"]))
        .prop_map(|(subjects, agents, groups)| Selector { subjects, agents, groups, ..Selector::default() })
}

fn rules() -> impl Strategy<Value = ArgRules> {
    let test = select(vec![
        Test::Min(1.into()),
        Test::Max(1.into()),
        Test::Eq(Scalar::Number(1.into())),
        Test::Eq(Scalar::String("a".to_owned())),
        Test::OneOf(vec![Scalar::Number(2.into()), Scalar::String("a".to_owned())]),
        Test::Present(true),
        Test::Present(false),
    ]);
    (any::<bool>(), vec(test, 1..3)).prop_map(|(optional, mut tests)| {
        tests.sort();
        tests.dedup_by(|a, b| a == b || matches!((a, b), (Test::Present(_), Test::Present(_))));
        [(ArgPath::new("x").unwrap(), Matcher { optional, tests })].into_iter().collect::<BTreeMap<_, _>>().into()
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let pool = &["s:t", "s:prompt:p", "s:resource:deep", "s:resource:wide", "s:resource:*", "s:*", "*"][..];
    let items = vec(select(pool).prop_map(pattern), 1..3);
    (selector(), items, weighted(0.4, rules()), weighted(0.2, Just(Timestamp(TIMES[1])))).prop_map(
        |(to, items, rules, expires)| Statement {
            name: None,
            reason: None,
            expires,
            to,
            args: rules.into_iter().map(|rules| (items[0].clone(), rules)).collect(),
            items,
        },
    )
}

/// Statements over what is declared, with a lifetime and argument rules of the tool here and there.
fn policy() -> impl Strategy<Value = PolicySet> {
    let ttl = || weighted(0.3, Just(60));
    (vec(statement(), 0..4), vec(statement(), 0..3), ttl(), ttl(), weighted(0.3, rules()), any::<bool>()).prop_map(
        |(grants, denies, of_door, of_deep, args, bundled)| {
            let mut set = PolicySet { grants, denies, ..declared() };
            let door = set.servers.get_mut("s").unwrap();
            door.token_ttl = of_door;
            door.resources.get_mut("deep").unwrap().token_ttl = of_deep;
            door.tools.get_mut("t").unwrap().args = args.unwrap_or_default();
            if !bundled {
                set.scopes.clear();
            }
            set
        },
    )
}

/// Whether a selector of this universe is about a subject.
fn is_about(to: &Selector, case: &Case<'_>) -> bool {
    let among = |globs: &[doorward::policy::glob::NameGlob], values: &[&str]| {
        globs.is_empty() || globs.iter().any(|g| values.iter().any(|v| g.as_str() == "*" || g.as_str() == *v))
    };
    let agent: Vec<&str> = case.agent.into_iter().collect();
    among(&to.subjects, &[case.subject]) && among(&to.agents, &agent) && among(&to.groups, case.groups)
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_diff_is_exactly_what_every_request_tells(old in policy(), new in policy(), alike in any::<bool>()) {
        // Half of the time a small change: one more or one fewer statement of each kind.
        let new = if alike {
            let mut set = PolicySet { grants: old.grants.clone(), denies: old.denies.clone(), ..new.clone() };
            set.grants.extend(new.grants.first().cloned());
            set.denies.pop();
            set
        } else {
            new
        };
        let (old, new) = (compile(old), compile(new));
        let arguments = arguments();
        let mut expected = BTreeSet::new();
        let mut reasons = BTreeSet::new();
        for case in every_case(&arguments) {
            let (before, after) = (case.decide(&old), case.decide(&new));
            let direction = match (before == Reason::Granted, after == Reason::Granted) {
                (false, true) => Direction::Gained,
                (true, false) => Direction::Lost,
                _ => continue,
            };
            expected.insert((case.place(), direction));
            reasons.insert((case.place(), direction, if direction == Direction::Gained { before } else { after }));
        }
        let diff = diff(&old, &new, options());
        prop_assert!(diff.unanswered.is_empty(), "{:?}", diff.unanswered);
        let found: BTreeSet<_> = diff.flips.iter().map(|flip| (flip.place.clone(), flip.direction)).collect();
        prop_assert_eq!(&found, &expected);
        let told: BTreeSet<_> = diff.flips.iter().map(|flip| (flip.place.clone(), flip.direction, flip.reason)).collect();
        prop_assert!(told.is_subset(&reasons), "{told:?} {reasons:?}");
        prop_assert_eq!((diff.widens(), diff.narrows()), (
            expected.iter().any(|(_, direction)| *direction == Direction::Gained),
            expected.iter().any(|(_, direction)| *direction == Direction::Lost),
        ));
    }

    #[test]
    fn an_invariant_is_broken_exactly_where_some_request_breaks_it(
        set in policy(),
        never in statement(),
        except in weighted(0.3, selector()),
    ) {
        let invariant = Invariant {
            name: "never".to_owned(),
            to: never.to.clone(),
            except: except.clone(),
            never: never.items.clone(),
            args: never.args.clone(),
            span: Span::default(),
        };
        // As a deny it takes away exactly what it is about.
        let mut denied = set.clone();
        denied.denies.push(Statement { expires: None, ..never });
        let (policy, denied) = (compile(set), compile(denied));
        let arguments = arguments();
        let broken = |case: &&Case<'_>| {
            case.is_allowed(&policy)
                && !case.is_allowed(&denied)
                && !except.as_ref().is_some_and(|except| is_about(except, case))
        };
        let all = every_case(&arguments);
        let expected: BTreeSet<Place> = all.iter().filter(broken).map(Case::place).collect();
        let proof = check_invariants(&policy, std::slice::from_ref(&invariant), options());
        prop_assert!(proof.unanswered.is_empty(), "{:?}", proof.unanswered);
        prop_assert_eq!(proof.violations.iter().map(|v| v.place.clone()).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn what_someone_can_do_is_exactly_what_some_request_of_theirs_can(
        set in policy(),
        known in any::<[bool; 4]>(),
        which in any::<prop::sample::Index>(),
    ) {
        let policy = compile(set);
        let arguments = arguments();
        let all = every_case(&arguments);
        let one = *which.get(&all);
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let who = Who {
            issuer: None,
            id: known[0].then(|| one.subject.to_owned()),
            agent: known[1].then(|| one.agent.map(str::to_owned)),
            groups: known[2].then(|| own(one.groups)),
            claims: BTreeMap::new(),
            scopes: known[3].then(|| own(one.scopes)),
        };
        let is_theirs = |case: &&Case<'_>| {
            (!known[0] || case.subject == one.subject)
                && (!known[1] || case.agent == one.agent)
                && (!known[2] || case.groups == one.groups)
                && (!known[3] || case.scopes == one.scopes)
        };
        let allowed = all.iter().filter(is_theirs).filter(|case| case.is_allowed(&policy));
        let expected: BTreeSet<Place> = allowed.map(Case::place).collect();
        let answer = what_can(&policy, &who, options());
        prop_assert!(answer.unanswered.is_empty(), "{:?}", answer.unanswered);
        prop_assert_eq!(answer.items.iter().map(|item| item.place.clone()).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn who_can_do_something_is_exactly_every_grant_that_some_request_needs(
        set in policy(),
        asked in select(vec!["s:t", "s:prompt:p", "s:resource:deep", "s:resource:wide", "s:*"]),
        given in weighted(0.5, any::<prop::sample::Index>()),
    ) {
        let policy = compile(set);
        let asked: ItemPattern = pattern(asked);
        let arguments = arguments();
        let given = given.map(|which| which.get(&arguments));
        let mut expected = BTreeSet::new();
        for (number, grant) in policy.set().grants.iter().enumerate() {
            // With that grant alone: what it allows it allows beside others too.
            let alone = compile(PolicySet { grants: vec![grant.clone()], ..policy.set().clone() });
            for case in every_case(given.map_or(&arguments[..], std::slice::from_ref)) {
                let place = case.place();
                let about = asked.matches("s", &place.item()) && place.kind != ResourceKind::Server;
                if about && case.is_allowed(&alone) {
                    expected.insert((place, number));
                }
            }
        }
        let answer = who_can(&policy, &asked, given, options());
        prop_assert!(answer.unanswered.is_empty(), "{:?}", answer.unanswered);
        let of = |access: &doorward::analyze::Access| {
            access.grants.iter().map(|granted| (access.place.clone(), granted.grant.number)).collect::<Vec<_>>()
        };
        prop_assert_eq!(answer.items.iter().flat_map(of).collect::<BTreeSet<_>>(), expected);
    }
}
