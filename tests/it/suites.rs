//! Inline tests: what they ask, what a closed test adds, what is covered, and how it is shown.

use doorward::policy::{Layers, load};
use doorward::report::{Style, suite as render};
use doorward::simulate::suite::{SuiteResult, run};

const POLICY: &str = r#"
version = 1
[issuers.corp]
url = "https://login.example.com"
claims = { groups = "groups", agent = "client_id", tenant = "org" }
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
token_ttl = "5m"
[servers.desk.tools.find]
[servers.desk.tools.pay]
args = { amount = { min = 0 } }
[servers.desk.tools.close]
[servers.desk.prompts.triage]
[servers.desk.resources.manuals]
uri = "file:///srv/manuals/**"
[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["desk:find", "desk:pay", "desk:prompt:triage", "desk:resource:manuals"]
args = { "desk:pay" = { amount = { max = 50 } } }
[[grants]]
name = "acme"
to = { claims = { tenant = "acme" }, agents = ["desk-*"] }
allow = ["desk:close"]
[[denies]]
name = "no-contractors"
to = { groups = ["contractor"] }
deny = ["desk:pay"]
"#;

fn suite(tests: &str) -> SuiteResult {
    let layers = Layers {
        files: vec![("policies.toml".to_owned(), format!("{POLICY}{tests}").into_bytes())],
        environment: Vec::new(),
    };
    let loaded = load(&layers);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    run(&policy.compiled, &policy.checks.tests, &loaded.sources)
}

fn shown(tests: &str) -> String {
    render::human(&suite(tests), false, Style::PLAIN)
}

const GOOD: &str = r#"
[[tests]]
name = "staff pays small sums"
as = { sub = "ana", groups = ["staff"], scope = "desk:find desk:pay desk:prompt:triage desk:resource:manuals" }
allow = [
    "desk:find",
    "desk:prompt:triage",
    "desk:resource:manuals",
    { call = "desk:resource:manuals", uri = "file:///srv/manuals/a/b.md" },
    { call = "desk:pay", args = { amount = 50 } },
]
deny = [
    { call = "desk:pay", args = { amount = 51 }, because = "args" },
    { call = "desk:pay", args = { amount = -1 }, because = "args" },
    { call = "desk:resource:manuals", uri = "file:///etc/passwd", because = "unknown-resource" },
    { call = "desk:close", because = "scope-missing" },
]
[[tests]]
name = "an old token opens nothing"
as = { sub = "ana", groups = ["staff"], scope = "desk:find", age = "5m" }
deny = [{ call = "desk:find", because = "token-stale" }]
[[tests]]
name = "acme closes"
as = { sub = "kim", claims = { tenant = "acme" }, agent = "desk-bot", scope = "desk:close" }
allow = ["desk:close"]
"#;

#[test]
fn tests_that_hold_pass_and_say_what_they_asked() {
    let result = suite(GOOD);
    insta::assert_snapshot!(render::human(&result, true, Style::PLAIN), @"
    ok  staff pays small sums  9 requests
    ok  an old token opens nothing  5 requests
    ok  acme closes  5 requests
    3 tests, all passed

    87% of statements and items exercised, 7 of 8
      not exercised  deny no-contractors  policies.toml:26:8
    ");
    assert!(result.passed());
}

#[test]
fn a_test_that_does_not_hold_says_where_and_what_would_allow_it() {
    insta::assert_snapshot!(shown(r#"
[[tests]]
name = "wrong in every way"
as = { sub = "ana", groups = ["staff"], scope = "desk:find desk:pay" }
allow = [{ call = "desk:pay", args = { amount = 51 } }, "desk:close"]
deny = ["desk:find", { call = "desk:pay", args = { amount = 99 }, because = "no-grant" }]
"#), @"
    failed  wrong in every way  6 requests
        policies.toml:33:19  `desk:pay` must be allowed, and the answer is: deny args by grant staff
          send `args.amount` as grant `staff` (policies.toml:17:8) asks: { max = 50 }, not 51; or change the rule there
        policies.toml:33:57  `desk:close` must be allowed, and the answer is: deny scope-missing by declaration desk:close
          ask for a token with scope `desk:close`
          bring a token that has `agents`, such as `desk-x`: grant `acme` (policies.toml:22:8) asks for desk-*
          bring a token that has `claims.tenant`, such as `acme`: grant `acme` (policies.toml:22:8) asks for acme
        policies.toml:34:9  `desk:find` must be denied, and the answer is: allow by grant staff
        policies.toml:34:31  `desk:pay` must be denied because `no-grant`, and the answer is: deny args by grant staff
    1 test, 1 failed
    ");
}

#[test]
fn a_closed_test_fails_for_everything_within_reach_that_it_does_not_name() {
    let open = r#"
[[tests]]
name = "forgets pay"
as = { sub = "ana", groups = ["staff"], scope = "desk:find desk:pay desk:close" }
allow = ["desk:find"]
"#;
    insta::assert_snapshot!(shown(open), @r#"
    failed  forgets pay  5 requests
        policies.toml:31:8  `desk:pay` is not named here and is within reach: allow by grant staff
          for example with arguments {"amount":0}
    1 test, 1 failed
    "#);
    assert!(suite(&format!("{open}others = \"any\"\n")).passed());
    let contractor = open.replace("[\"staff\"]", "[\"staff\", \"contractor\"]");
    assert!(suite(&contractor).passed(), "a deny without argument rules puts it out of reach");
}

#[test]
fn a_pattern_asks_for_each_thing_it_covers_and_for_the_server() {
    let result = suite(
        r#"
[[tests]]
name = "guests reach nothing"
as = { sub = "guest", scope = "desk:find desk:pay desk:close desk:prompt:triage desk:resource:manuals" }
deny = ["desk:*"]
"#,
    );
    assert!(result.passed(), "{result:#?}");
    assert_eq!(result.tests[0].requests, 6);
}

#[test]
fn results_have_a_json_and_a_junit_form() {
    let result = suite(&format!(
        "{GOOD}[[tests]]\nname = \"fails\"\nas = {{ sub = \"ana\" }}\nothers = \"any\"\nallow = [\"desk:find\"]\n"
    ));
    insta::assert_snapshot!(render::junit("policies.toml", &result), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="doorward" tests="4" failures="1" errors="0" skipped="0">
      <testsuite name="policies.toml" tests="4" failures="1" errors="0" skipped="0">
        <testcase classname="policies.toml" name="staff pays small sums" file="policies.toml" line="31"/>
        <testcase classname="policies.toml" name="an old token opens nothing" file="policies.toml" line="47"/>
        <testcase classname="policies.toml" name="acme closes" file="policies.toml" line="51"/>
        <testcase classname="policies.toml" name="fails" file="policies.toml" line="55">
          <failure message="`desk:find` must be allowed, and the answer is: deny scope-missing by declaration desk:find">policies.toml:58:10: `desk:find` must be allowed, and the answer is: deny scope-missing by declaration desk:find
      ask for a token with scope `desk:find`
      bring a token that has `groups`, such as `staff`: grant `staff` (policies.toml:17:8) asks for staff
    </failure>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
    let json: serde_json::Value = serde_json::from_str(&render::json(&result)).unwrap();
    assert_eq!(json["schema"], "doorward.test/v1");
    assert_eq!(json["passed"], false);
    assert_eq!(json["tests"][3]["failures"][0]["answer"]["reason"], "scope-missing");
    assert_eq!(json["coverage"]["percent"], 87);
}

#[test]
fn the_tests_of_the_policy_that_is_shipped_pass() {
    let layers = Layers {
        files: vec![("policies.toml".to_owned(), include_bytes!("../../policies.toml").to_vec())],
        environment: Vec::new(),
    };
    let loaded = load(&layers);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    let result = run(&policy.compiled, &policy.checks.tests, &loaded.sources);
    assert!(result.passed(), "{}", render::human(&result, true, Style::PLAIN));
}

#[test]
fn a_closed_test_does_not_mind_a_grant_that_no_arguments_can_use() {
    let grant = r#"
[[grants]]
name = "never"
to = { subjects = ["eve"] }
allow = ["desk:pay"]
args = { "desk:pay" = { amount = { max = -1 } } }
[[tests]]
name = "eve pays nothing"
as = { sub = "eve", scope = "desk:pay" }
deny = ["desk:find"]
"#;
    assert!(suite(grant).passed(), "no amount is both at least 0 and at most -1");
}
