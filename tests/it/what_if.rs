//! What-ifs: other instants and other policies than those that stand in a file.

use doorward::policy::{CompiledPolicy, Layers, WhatIf, load, load_with};
use doorward::simulate::{Against, Clock, Rehearsal, Rehearsals, Report, Terms};
use doorward::traffic::{Numbered, Reader};

const POLICY: &str = include_str!("../../policies.toml");
const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");

fn layers() -> Layers {
    Layers { files: vec![("policies.toml".into(), POLICY.into())], environment: Vec::new() }
}

fn policy() -> CompiledPolicy {
    load(&layers()).policy.unwrap().compiled
}

fn events() -> Vec<Numbered> {
    Reader::new(RECORDING.as_bytes()).unwrap().map(Result::unwrap).collect()
}

fn rehearse(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, terms: Terms) -> Report {
    let mut rehearsal = Rehearsal::new(candidate, baseline).under(terms);
    rehearsal.source("desk.jsonl");
    for Numbered { place, event } in events() {
        rehearsal.event(place, &event);
    }
    rehearsal.finish()
}

fn clock(clock: Clock, against: Against) -> Terms {
    Terms { clock, against, ..Terms::default() }
}

#[test]
fn another_instant_changes_nothing_but_what_has_an_end_date() {
    let policy = policy();
    // `leads-refund-more` ends on 2027-06-30; the recording is of March 2026.
    for (seconds, newly_denied) in [(0, 0), (86_400, 0), (-10 * 31_536_000, 0), (2 * 31_536_000, 1)] {
        let report = rehearse(&policy, None, clock(Clock::Shifted { seconds }, Against::Recorded));
        assert_eq!((report.totals.newly_denied, report.totals.newly_allowed), (newly_denied, 0), "{seconds}");
        assert_eq!(report.drift.checked, report.drift.same, "the self-check is about the recorded instants");
        assert!(report.drift.checked > 0);
        assert_eq!(report.window, rehearse(&policy, None, Terms::default()).window);
    }
    let later = doorward::model::Timestamp(1_900_000_000);
    let at = rehearse(&policy, None, clock(Clock::At { instant: later }, Against::Recorded));
    assert_eq!((at.totals.newly_denied, at.totals.newly_allowed), (1, 0));
}

#[test]
fn a_baseline_keeps_the_same_clock_and_the_policy_itself_the_recorded_one() {
    let policy = policy();
    let later = Clock::Shifted { seconds: 2 * 31_536_000 };
    let held = |against| rehearse(&policy, Some(&policy), clock(later, against)).totals.newly_denied;
    assert_eq!(held(Against::Baseline), 0);
    assert_eq!(held(Against::Unchanged), 1);
}

#[test]
fn several_candidates_in_one_pass_are_each_rehearsed_as_alone() {
    let (first, second) = (policy(), {
        let mut layers = layers();
        layers.files.push((
            "over.toml".into(),
            "version = 1\n[servers.tickets.tools.reply.args]\nticket = { glob = \"X-*\" }\n".into(),
        ));
        load(&layers).policy.unwrap().compiled
    });
    let terms = clock(Clock::AsRecorded, Against::Baseline);
    let candidates = [(&first, vec!["a".to_owned()]), (&second, Vec::new())];
    let mut several = Rehearsals::new(candidates, Some(&first), &terms);
    several.source("desk.jsonl");
    for Numbered { place, event } in events() {
        several.event(place, &event);
    }
    let reports: Vec<Report> = several.parts().into_iter().map(doorward::simulate::Part::finish).collect();
    let alone = |policy, what_if: &[&str]| {
        let what_if = what_if.iter().map(|w| (*w).to_owned()).collect();
        rehearse(policy, Some(&first), Terms { what_if, ..terms.clone() })
    };
    assert_eq!(reports, [alone(&first, &["a"]), alone(&second, &[])]);
    assert!(reports[1].totals.newly_denied > 0);
}

fn with(what_ifs: &[WhatIf]) -> CompiledPolicy {
    let loaded = load_with(&layers(), what_ifs);
    assert!(loaded.policy.is_some(), "{:?}", loaded.problems);
    loaded.policy.unwrap().compiled
}

fn set(text: &str) -> WhatIf {
    WhatIf::Set(text.to_owned())
}

/// The example policy with one text replaced.
fn edited(from: &str, to: &str) -> CompiledPolicy {
    assert!(POLICY.contains(from), "{from}");
    let text = POLICY.replacen(from, to, 1);
    let loaded = load(&Layers { files: vec![("policies.toml".into(), text.into())], environment: Vec::new() });
    assert!(loaded.policy.is_some(), "{:?}", loaded.problems);
    loaded.policy.unwrap().compiled
}

#[test]
fn a_what_if_means_what_the_same_edit_of_the_file_means() {
    let cases: Vec<(Vec<WhatIf>, (&str, &str))> = vec![
        (vec![set("servers.tickets.token_ttl=10m")], (r#"token_ttl  = "15m""#, r#"token_ttl  = "10m""#)),
        (vec![set("servers.tickets.credential.ttl=5m")], (r#"ttl = "10m" }"#, r#"ttl = "5m" }"#)),
        (
            vec![set("servers.tickets.tools.search.token_ttl=1m")],
            ("[servers.tickets.tools.search] ", "[servers.tickets.tools.search]\ntoken_ttl = \"1m\" "),
        ),
        (vec![set("grants.leads-refund-more.expires=2026-01-01")], ("expires = 2027-06-30", "expires = 2026-01-01")),
        (vec![set("grants.support-desk.args.tickets:refund.amount.max=30")], ("{ max = 50 }", "{ max = 30 }")),
        (
            vec![set("grants.support-desk.args.\"tickets:refund\".amount={ max = 30 }")],
            ("{ max = 50 }", "{ max = 30 }"),
        ),
        (
            vec![set("denies.contractors-never-refund.to.groups=['contractor', 'support']")],
            (
                r#"to     = { groups = ["contractor"] }
deny"#,
                r#"to     = { groups = ["contractor", "support"] }
deny"#,
            ),
        ),
        (
            vec![set("scopes.'tickets:read'=[\"tickets:search\"]")],
            (
                r#"["tickets:search", "tickets:get_*", "tickets:prompt:triage", "tickets:resource:manuals"]"#,
                r#"["tickets:search"]"#,
            ),
        ),
        (
            vec![WhatIf::DropGrant("tickets-looks-up-customers".to_owned())],
            (
                "[[grants]]\nname  = \"tickets-looks-up-customers\"\nto    = { servers = [\"tickets\"] }\nallow = [\"crm:lookup\"]\n",
                "",
            ),
        ),
        (
            vec![WhatIf::DropDeny("contractors-never-refund".to_owned())],
            (
                "[[denies]]                                        # wins over every grant\nname   = \"contractors-never-refund\"\nreason = \"the contract does not cover moving money\"\nto     = { groups = [\"contractor\"] }\ndeny   = [\"tickets:refund\"]\n",
                "",
            ),
        ),
    ];
    for (what_ifs, (from, to)) in cases {
        let policy = with(&what_ifs);
        assert_ne!(policy.digest(), with(&[]).digest(), "{what_ifs:?} changes something");
        assert_eq!(policy.digest(), edited(from, to).digest(), "{what_ifs:?}");
    }
}

#[test]
fn what_ifs_lie_over_the_overlay_and_the_environment_and_on_each_other() {
    let mut layers = layers();
    layers.files.push(("policies.prod.toml".into(), "[servers.tickets]\ntoken_ttl = \"12m\"\n".into()));
    layers.environment.push(("DOORWARD_SERVERS__TICKETS__URL".into(), "http://10.0.0.1:1/mcp".into()));
    let what_ifs = [
        set("servers.tickets.token_ttl=10m"),
        set("servers.tickets.token_ttl=11m"),
        set("servers.tickets.url=http://10.0.0.2:2/mcp"),
    ];
    let loaded = load_with(&layers, &what_ifs);
    let policy = loaded.policy.unwrap().compiled;
    let server = &policy.set().servers["tickets"];
    assert_eq!(server.token_ttl, Some(660));
    assert!(format!("{:?}", server.upstream).contains("10.0.0.2"));
    assert_eq!(what_ifs[0].subject(), what_ifs[1].subject());
    assert_ne!(what_ifs[0].subject(), what_ifs[2].subject());
    assert_eq!(what_ifs[0].to_string(), "--set servers.tickets.token_ttl=10m");
    assert_eq!(set("a.'b'=1").subject(), set("a.b=2").subject());
}

#[test]
fn a_dropped_scope_carries_nothing_and_what_contains_it_keeps_its_own() {
    let scopes = |report: &Report| {
        let list = &report.reasons.list;
        list.iter().find(|g| g.name == "scope-missing").map_or(0, |g| g.counts.events)
    };
    let before = rehearse(&with(&[]), None, Terms::default());
    for scope in ["tickets:read", "tickets:refund"] {
        let policy = with(&[WhatIf::DropScope(scope.to_owned())]);
        let report = rehearse(&policy, None, Terms::default());
        assert!(scopes(&report) > scopes(&before), "{scope}");
        assert!(report.totals.newly_denied > 0 && report.totals.newly_allowed == 0);
    }
    // The bundle `tickets:read` carries `tickets:search` as an item, whatever that item's own scope is.
    let own = with(&[WhatIf::DropScope("tickets:search".to_owned())]);
    assert_eq!(rehearse(&own, None, Terms::default()).totals.newly_denied, 0);
    assert!(own.set().servers["tickets"].tools["search"].scopes.is_empty());
}
