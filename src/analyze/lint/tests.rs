//! One policy for each lint.

use crate::analyze::lint;
use crate::diagnostics::Diagnostic;
use crate::model::Timestamp;
use crate::policy::{Layers, load};

/// 2026-06-01T00:00:00Z
const NOW: Timestamp = Timestamp(1_780_272_000);

const HEAD: &str = r#"
version = 1
[issuers.corp]
url = "https://login.example.com"
claims = { groups = "groups", agent = "client_id", tenant = "org_id" }
[issuers.other]
url = "https://other.example.com"
[servers.tickets]
url = "http://127.0.0.1:9001/mcp"
issuers = ["corp"]
[servers.tickets.tools.search]
[servers.tickets.tools.refund]
token_ttl = "2m"
args = { amount = { min = 0, max = 500 } }
[servers.files]
url = "http://127.0.0.1:9002/mcp"
[servers.files.tools.read]
[servers.files.resources.manuals]
uri = "file:///srv/**"
[audit.retention]
standard = "90d"
[[grants]]
name = "readers"
to = { groups = ["reader"] }
allow = ["files:read", "files:resource:manuals"]
[[grants]]
name = "support"
to = { groups = ["support"] }
allow = ["tickets:search", "tickets:refund"]
"#;

/// What is found in a policy, one line each: code, the marked text, message and help.
///
/// The grants name no issuer, to keep the cases short: that warning has a test of its own.
fn found(more: &str) -> String {
    all(more)
        .lines()
        .collect::<Vec<_>>()
        .chunks(2)
        .filter(|c| !c[0].starts_with("any-issuer"))
        .map(|c| c.join("\n") + "\n")
        .collect()
}

fn all(more: &str) -> String {
    let text = format!("{HEAD}{more}");
    let layers = Layers { files: vec![("policies.toml".to_owned(), text.into_bytes())], environment: Vec::new() };
    let loaded = load(&layers);
    assert!(loaded.policy.is_some(), "{:#?}", loaded.problems);
    let line = |d: Diagnostic| {
        let at = d.primary.as_ref().map(|l| loaded.sources.text(l.span)).unwrap_or_default();
        format!("{} at {at}: {}\n  {}\n", d.code, d.message, d.help.unwrap_or_default())
    };
    lint(loaded.policy.as_ref().unwrap(), NOW).into_iter().map(line).collect()
}

#[test]
fn a_grant_that_takes_the_word_of_every_issuer_is_found() {
    // `support` reaches a server that accepts one issuer only.
    insta::assert_snapshot!(all(""), @r#"
    any-issuer at "readers": grant `readers` takes the word of every issuer: corp, other
      add `issuer` to its `to`, or a list of issuers if several are meant
    "#);
    let named = "[[grants]]\nname = \"x\"\nto = { issuer = \"corp\", groups = [\"x\"] }\nallow = [\"files:read\"]\n";
    assert!(!all(named).contains("`x` takes"));
}

#[test]
fn a_policy_that_says_what_it_means_has_no_warnings() {
    assert_eq!(found(""), "");
}

#[test]
fn a_grant_that_adds_nothing_is_named_with_the_one_that_covers_it() {
    insta::assert_snapshot!(found(r#"
        [[grants]]
        name = "narrow"
        to = { groups = ["support"], agents = ["desk-*"] }
        allow = ["tickets:search"]
        [[grants]]
        name = "again"
        to = { groups = ["reader"] }
        allow = ["files:read", "files:resource:manuals"]
        [[grants]]
        name = "both"
        to = { groups = ["reader", "support"] }
        allow = ["tickets:search", "files:read"]
        args = { "files:read" = { path = { glob = "x" } } }
    "#), @r#"
    shadowed-grant at "narrow": grant `narrow` adds nothing: grant `both` allows all that it allows
      remove it, or narrow the other
    shadowed-grant at "again": grant `again` adds nothing: grant `readers` allows all that it allows
      remove it, or narrow the other
    "#);
}

#[test]
fn a_grant_that_is_covered_by_others_together_is_found() {
    insta::assert_snapshot!(found(r#"
        [[grants]]
        name = "small"
        to = { agents = ["bot"] }
        allow = ["tickets:refund"]
        args = { "tickets:refund" = { amount = { max = 100 } } }
        [[grants]]
        name = "large"
        to = { agents = ["bot"] }
        allow = ["tickets:refund"]
        args = { "tickets:refund" = { amount = { min = 50 } } }
        [[grants]]
        name = "all"
        to = { agents = ["bot"] }
        allow = ["tickets:refund"]
    "#), @r#"
    shadowed-grant at "small": grant `small` adds nothing: grant `all` allows all that it allows
      remove it, or narrow the other
    shadowed-grant at "large": grant `large` adds nothing: grant `all` allows all that it allows
      remove it, or narrow the other
    "#);
}

#[test]
fn a_grant_that_no_request_can_use_says_why() {
    insta::assert_snapshot!(found(r#"
        [[grants]]
        name = "denied"
        to = { groups = ["contractor"] }
        allow = ["tickets:search"]
        [[denies]]
        name = "no-contractors"
        to = { groups = ["contract*"] }
        deny = ["tickets:*"]
        [[grants]]
        name = "elsewhere"
        to = { issuer = "other" }
        allow = ["tickets:search"]
        [servers.billing]
        url = "http://127.0.0.1:9003/mcp"
        identity = { issuer = "corp", subject = "svc-billing" }
        [servers.billing.tools.pay]
        [[grants]]
        name = "pay"
        to = { groups = ["support"] }
        allow = ["billing:pay"]
        [[grants]]
        name = "no-caller"
        to = { servers = ["billing"] }
        allow = ["files:read"]
    "#), @r#"
    dead-grant at "denied": no request can use grant `denied`: deny `no-contractors` denies all of it
      remove one of the two
    dead-grant at "elsewhere": no request can use grant `elsewhere`: no issuer that it names is accepted at `tickets`
      add the issuer to the server's `issuers`, or change the grant
    dead-grant at "no-caller": no request can use grant `no-caller`: none of its servers may call `files`
      list the server in `callers`, with an `identity`, or change the grant
    "#);
}

#[test]
fn rules_that_rule_each_other_out_are_found() {
    insta::assert_snapshot!(found(r#"
        [[grants]]
        name = "impossible"
        to = { agents = ["a"] }
        allow = ["tickets:refund", "files:read"]
        args = { "tickets:refund" = { amount = { min = 501 } }, "files:read" = { path = { under = "/srv", prefix = "/etc" } } }
        [servers.files.tools.write]
        args = { path = { glob = "/srv/*", prefix = "/tmp" } }
        [[grants]]
        name = "writers"
        to = { groups = ["writer"] }
        allow = ["files:write"]
    "#), @"
    unsatisfiable-args at amount: the rule of grant `impossible` on `amount` is ruled out by that of `tickets:refund` itself
      correct one of the two: both must hold
    unsatisfiable-args at path: no value of `path` meets the rules of grant `impossible`
      correct one of the rules
    unsatisfiable-args at write: no value of `path` meets the rules of `files:write`
      every call of it is refused: correct one of the rules
    ");
}

#[test]
fn what_no_grant_reaches_and_what_a_wildcard_reaches_are_found() {
    insta::assert_snapshot!(found(r#"
        [servers.files.tools.delete]
        [servers.files.tools.purge]
        audit = "standard"
        [scopes]
        "files:destroy" = ["files:delete"]
        [[grants]]
        name = "wild"
        to = { groups = ["admin"] }
        allow = ["tickets:*", "files:p*"]
        [[grants]]
        name = "named"
        to = { groups = ["boss"] }
        allow = ["tickets:*"]
        args = { "tickets:refund" = { amount = { max = 50 } } }
    "#), @r#"
    unused-scope at delete: no grant gives the tool `files:delete` to anyone
      add it to a grant, or remove it: what is not declared is denied too
    unused-scope at "files:destroy": scope `files:destroy` carries nothing that a grant gives
      add what it carries to a grant, or remove it
    risky-wildcard at "tickets:*": `tickets:*` gives `tickets:refund`, which has its own `token_ttl`, without naming it
      add `tickets:refund` to the list if it is meant, or narrow the pattern if it is not
    risky-wildcard at "files:p*": `files:p*` gives `files:purge`, which has its own audit class, without naming it
      add `files:purge` to the list if it is meant, or narrow the pattern if it is not
    "#);
}

#[test]
fn what_the_words_show_is_found() {
    insta::assert_snapshot!(found(r#"
        [[grants]]
        name = "old"
        to = { groups = ["reader"] }
        allow = ["tickets:search"]
        expires = 2026-01-01
        [[denies]]
        name = "paths"
        to = { groups = ["suport"] }
        deny = ["files:read"]
        args = { "files:read" = { path = { glob = "/srv/*" }, tags = { each = { eq = "x" } } } }
        [[tests]]
        name = "nothing"
        others = "any"
        as = { issuer = "corp", sub = "x", groups = ["readers"] }
    "#), @r#"
    expired-statement at 2026-01-01: grant `old` expired at 2026-01-01T00:00:00Z
      it no longer allows anything: remove it, or give it a later `expires`
    similar-group at "suport": no grant names the group `suport` of this deny
      did you mean `support`?
    glob-stops-at-slash at path: deny `paths` lets `path` pass when `*` in `/srv/*` would have to match a `/`
      write `/srv/**` if it should match at any depth
    deny-needs-every at tags: deny `paths` denies only when every element of `tags` matches
      one other element is enough to pass: use `any` in place of `each`
    empty-test at "nothing": test `nothing` asserts nothing
      list what it allows and denies, or leave out `others = "any"`
    similar-group at "nothing": no grant names the group `readers` of this test
      did you mean `reader`?
    "#);
}
