//! No request is ever decided by a policy whose gate did not hold, however proposals, rehearsals, requests and
//! streams fall together.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward::attest::{Gate, Proofs};
use doorward::model::{Action, Timestamp};
use doorward::policy::CompiledPolicy;
use doorward::policy::checks::Rollout;
use doorward::simulate::{Report, simulate};
use doorward::traffic::{Event, Field, Numbered, Place};
use proptest::prelude::*;
use serde_json::json;

use super::world::{POLICY, World, compile, modern};

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A candidate is read, and its rehearsal against the policy in force begins.
    Propose(usize),
    /// A rehearsal that was begun ends, and its candidate goes to the gate.
    Finish(usize),
    /// A caller asks.
    Ask,
    /// A caller begins to listen.
    Listen,
    /// A server says something to whoever listens.
    Say,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..candidates().len()).prop_map(Step::Propose),
        3 => (0..4_usize).prop_map(Step::Finish),
        4 => Just(Step::Ask),
        1 => Just(Step::Listen),
        1 => Just(Step::Say),
    ]
}

/// Two that change nothing of the traffic, and two that do. Whether one may pass depends on what is in force.
fn candidates() -> [String; 4] {
    [
        POLICY.replace("max = 50 }", "max = 40 }"),
        POLICY.replace("127.0.0.1:9002", "127.0.0.1:9003"),
        POLICY.replace("allow = [\"desk:find\", ", "allow = ["),
        POLICY.replace(
            "allow = [\"desk:refund\", \"till:open\"]",
            "allow = [\"till:open\"]\n[[grants]]\nto = { groups = [\"staff\"] }\nallow = [\"desk:refund\"]",
        ),
    ]
}

/// The recorded traffic: ana finds, and may not refund.
fn report(candidate: &CompiledPolicy, baseline: &CompiledPolicy) -> Report {
    let event = |tool: &str| {
        let mut event = Event::new(Timestamp(1200), "desk", Action::ToolsCall, tool);
        event.subject.issuer = Field::Present("corp".into());
        event.subject.sub = Field::Present("ana".into());
        event.subject.agent = Field::Present("desk-assistant".into());
        event.subject.groups = Field::Present(vec!["staff".into()]);
        event.token.aud = Field::Present(vec!["https://mcp.example.com/desk/mcp".into()]);
        event.token.scopes = Field::Present(vec![format!("desk:{tool}")]);
        event.token.iat = Field::Present(Timestamp(1190));
        event.token.exp = Field::Present(Timestamp(1300));
        event.token.nbf = Field::Absent;
        event.arguments = Field::Absent;
        Ok(Numbered { place: Place::default(), event })
    };
    simulate(candidate, Some(baseline), "the recording", ["find", "refund"].map(event))
}

async fn played(steps: Vec<Step>) {
    let world = World::new();
    let rollout = Rollout { max_newly_denied: Some(0), max_newly_allowed: Some(0), ..Rollout::default() };
    let compiled: Vec<CompiledPolicy> = candidates().iter().map(|text| compile(text)).collect();
    let mut gate = Gate::default().first(compile(POLICY), &rollout, Proofs::default()).unwrap().gate().clone();
    let digest = |policy: &CompiledPolicy| policy.digest().to_string();
    let mut cleared = BTreeSet::from([digest(&world.guard.policy())]);
    let (mut begun, mut streams) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Propose(number) => {
                let in_force = world.guard.policy();
                begun.push((compiled[number].clone(), report(&compiled[number], &in_force)));
            }
            Step::Finish(_) if begun.is_empty() => {}
            Step::Finish(number) => {
                let (candidate, report) = begun.swap_remove(number % begun.len());
                let in_force = world.guard.policy();
                let proofs = Proofs { report: Some(&report), ..Proofs::default() };
                let loose = Rollout::default();
                if let Ok(passed) = gate.next(in_force.digest(), candidate.clone(), &loose, proofs) {
                    // What must be true of whatever passes, asked anew and of the traffic itself.
                    let again = self::report(&candidate, &in_force);
                    let same = candidate.digest() == in_force.digest();
                    assert!(same || again.totals.newly_denied + again.totals.newly_allowed == 0, "{:?}", again.totals);
                    cleared.insert(digest(&candidate));
                    gate = passed.gate().clone();
                    world.guard.replace(&passed, Arc::new(()));
                }
            }
            Step::Ask => {
                let in_force = digest(&world.guard.policy());
                let before = world.rows.intents.lock().unwrap().len();
                assert_eq!(world.call(&world.ana(), "find", &json!({})).await.status, 200);
                assert_eq!(world.call(&world.ana(), "refund", &json!({})).await.status, 403);
                let rows = world.rows.intents.lock().unwrap();
                assert!(rows[before..].iter().all(|row| *row.policy == *in_force));
            }
            Step::Listen => {
                let params = json!({ "notifications": { "toolsListChanged": true } });
                streams.push(world.open("desk", modern(&world.ana(), "subscriptions/listen", &params)).await);
            }
            Step::Say => drop(streams.pop()),
        }
    }
    let rows = world.rows.intents.lock().unwrap();
    for row in rows.iter() {
        assert!(cleared.contains(&*row.policy), "{} was never cleared", row.policy);
    }
    // Only what takes nothing away and gives nothing new was ever in force.
    let may = [&compile(POLICY), &compiled[0], &compiled[1]].map(digest);
    assert!(cleared.iter().all(|digest| may.contains(digest)), "{cleared:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn promise_6_no_request_is_decided_by_a_policy_whose_gate_did_not_hold(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(played(steps));
    }
}
