//! Requests, edits and reloads in any order: what decides is a policy whose gate held, and one alone.
//!
//! The orders are explored by hand: everything that happens is a future with many places to stop at, and a
//! schedule says whose turn is next.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use doorward::attest::{Gate, Proofs};
use doorward::model::Timestamp;
use doorward::pep::{Body, BoxError, Limits};
use doorward::policy::checks::Rollout;
use doorward::policy::{CompiledPolicy, Layers, load};
use doorward::simulate::simulate;
use doorward::traffic::{Event, Field, Numbered, Place};
use http::Request;
use http_body_util::StreamBody;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::world::{POLICY, World, call, post};

/// The texts that somebody writes into the file, by what becomes of them. The first is in force at first.
fn texts() -> [String; 5] {
    let text = format!("{POLICY}\n[rollout]\n");
    [
        text.clone(),
        // The gate holds: the traffic that is rehearsed never refunds.
        text.replace("\"desk:refund\", \"till:open\"", "\"till:open\""),
        text.replace("max = 500 }", "max = 400 }"),
        // It takes away what the traffic uses; it allows what the traffic was denied.
        text.replace("groups = [\"staff\"]", "groups = [\"nobody\"]"),
        text.replace("allow = [\"desk:refund\"", "allow = [\"desk:find\", \"desk:refund\""),
    ]
}

fn read(text: &str) -> (CompiledPolicy, Rollout) {
    let layers = Layers { files: vec![("policies.toml".into(), text.into())], environment: Vec::new() };
    let policy = load(&layers).policy.unwrap();
    (policy.compiled, policy.checks.rollout)
}

/// What is rehearsed: staff that finds, and a lead that may not.
fn traffic() -> Vec<Event> {
    let event = |group: &str| {
        let mut event = Event::new(Timestamp(1100), "desk", doorward::model::Action::ToolsCall, "find");
        event.subject.issuer = Field::Present("corp".into());
        event.subject.sub = Field::Present("ana".into());
        event.subject.agent = Field::Absent;
        event.subject.groups = Field::Present(vec![group.into()]);
        event.token.scopes = Field::Present(vec!["desk:find".into()]);
        event.token.aud = Field::Present(vec!["https://mcp.example.com/desk/mcp".into()]);
        event.token.iat = Field::Present(Timestamp(1090));
        event.token.exp = Field::Present(Timestamp(1200));
        event.token.nbf = Field::Absent;
        event.arguments = Field::Absent;
        event
    };
    vec![event("staff"), event("lead")]
}

/// A place to stop at.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A request of which the body comes in pieces.
fn in_pieces(token: &str, message: &str) -> Request<Body> {
    let (parts, _) = post(token, "", &[]).into_parts();
    let middle = message.len() / 2;
    let mut pieces =
        [&message[..middle], &message[middle..]].map(|piece| Bytes::copy_from_slice(piece.as_bytes())).into_iter();
    let mut ready = false;
    let frames = futures_util::stream::poll_fn(move |context| {
        ready = !ready;
        if ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(pieces.next().map(|piece| Ok::<_, BoxError>(http_body::Frame::data(piece))))
    });
    Request::from_parts(parts, Body::new(StreamBody::new(frames)))
}

/// A policy in force: its digest, and what was told of it when it was put there.
type History = Mutex<Vec<String>>;

/// What all of them share.
struct Scene {
    world: World,
    /// What the file says: which of the texts.
    file: Mutex<usize>,
    /// Only one reload at a time, as in a gateway.
    gate: tokio::sync::Mutex<Gate>,
    policies: Vec<(CompiledPolicy, Rollout)>,
    history: History,
    refused: Mutex<BTreeSet<String>>,
}

impl Scene {
    fn new() -> Self {
        let policies: Vec<_> = texts().iter().map(|text| read(text)).collect();
        let world = World::with(&texts()[0], Limits::default());
        let (first, rollout) = policies[0].clone();
        let cleared = Gate::default().first(first.clone(), &rollout, Proofs::default()).unwrap();
        let history = Mutex::new(vec![first.digest().to_string()]);
        let gate = tokio::sync::Mutex::new(cleared.gate().clone());
        Self { world, file: Mutex::new(0), gate, policies, history, refused: Mutex::default() }
    }

    /// What a reload does, with a pause wherever it may be held up.
    async fn reload(&self) {
        let mut gate = self.gate.lock().await;
        pause().await;
        let (policy, rollout) = self.policies[*self.file.lock().unwrap()].clone();
        pause().await;
        let in_force = self.world.guard.policy();
        let events = traffic().into_iter().map(|event| Ok(Numbered { place: Place::default(), event }));
        let report = simulate(&policy, Some(&in_force), "the traffic", events);
        pause().await;
        let proofs = Proofs { report: Some(&report), ..Proofs::default() };
        let digest = policy.digest().to_string();
        match gate.next(in_force.digest(), policy, &rollout, proofs) {
            Ok(cleared) => {
                pause().await;
                self.history.lock().unwrap().push(digest.clone());
                self.world.guard.replace(&cleared, Arc::new(digest));
                *gate = cleared.gate().clone();
            }
            Err(_) => {
                self.refused.lock().unwrap().insert(digest);
            }
        }
    }

    /// One request, and how many policies were in force when it began and when it was answered.
    async fn request(&self, number: i64, lead: bool) -> (usize, usize) {
        let groups = json!({ "realm": { "groups": [if lead { "lead" } else { "staff" }] } });
        let message = call(number, "find", &json!({})).to_string();
        let before = self.history.lock().unwrap().len();
        let request = in_pieces(&self.world.token(&groups), &message);
        let reply = self.world.send("desk", request).await;
        assert!([200, 403].contains(&reply.status), "{} {}", reply.status, reply.text);
        // No policy that was ever in force lets a lead find, and each lets staff.
        assert_eq!(reply.status == 403, lead, "{}", reply.text);
        (before, self.history.lock().unwrap().len())
    }
}

/// What happens, in the order in which it may begin.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Edit(usize),
    Reload,
    Request(bool),
}

fn happenings() -> impl Strategy<Value = (Vec<Happening>, Vec<prop::sample::Index>)> {
    let one = prop_oneof![
        (0..5_usize).prop_map(Happening::Edit),
        Just(Happening::Reload),
        any::<bool>().prop_map(Happening::Request)
    ];
    (proptest::collection::vec(one, 4..14), proptest::collection::vec(any::<prop::sample::Index>(), 0..160))
}

/// How often something happened that the property is about, over all cases.
#[derive(Debug, Default)]
struct Seen {
    swapped: AtomicUsize,
    refused: AtomicUsize,
    across: AtomicUsize,
}

/// Lets everything happen, whoever's turn it is going on to the next place to stop at.
async fn explore(scene: &Scene, happenings: &[Happening], turns: &[prop::sample::Index]) -> usize {
    let across = AtomicUsize::new(0);
    let mut open: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = (0_i64..)
        .zip(happenings)
        .map(|(number, happening)| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            match *happening {
                Happening::Edit(text) => Box::pin(async move { *scene.file.lock().unwrap() = text }),
                Happening::Reload => Box::pin(scene.reload()),
                Happening::Request(lead) => {
                    let across = &across;
                    Box::pin(async move {
                        let (before, after) = scene.request(number, lead).await;
                        across.fetch_add(usize::from(before != after), Ordering::Relaxed);
                    })
                }
            }
        })
        .collect();
    let mut turns = turns.iter();
    for step in 0.. {
        assert!(step < 100_000, "it never ends");
        if open.is_empty() {
            break;
        }
        // Behind the schedule, one after the other.
        let turn = turns.next().map_or(step % open.len(), |turn| turn.index(open.len()));
        if open[turn].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(open.swap_remove(turn));
        }
        // Keys are fetched by a task of their own.
        tokio::task::yield_now().await;
    }
    drop(open);
    across.into_inner()
}

#[test]
fn no_request_is_ever_decided_by_a_policy_whose_gate_failed() {
    let seen = Seen::default();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    TestRunner::new(config)
        .run(&happenings(), |(happenings, turns)| {
            let scene = Scene::new();
            let across = runtime.block_on(explore(&scene, &happenings, &turns));
            seen.across.fetch_add(across, Ordering::Relaxed);
            let history = scene.history.lock().unwrap();
            let refused = scene.refused.lock().unwrap();
            seen.swapped.fetch_add(history.len() - 1, Ordering::Relaxed);
            seen.refused.fetch_add(refused.len(), Ordering::Relaxed);
            let rows = scene.world.rows.intents.lock().unwrap();
            let requests = happenings.iter().filter(|one| matches!(one, Happening::Request(_))).count();
            prop_assert_eq!(rows.len(), requests);
            for row in rows.iter() {
                prop_assert!(history.iter().any(|one| **one == *row.policy), "{} was never in force", row.policy);
                // The two texts that break the gate break it whatever is in force.
                prop_assert!(!refused.contains(&*row.policy), "the gate of {} failed", row.policy);
            }
            for reached in scene.world.journal() {
                let generation = usize::try_from(reached.permit.generation()).unwrap();
                let row = rows.iter().find(|row| row.message == Some(doorward::audit::digest(&reached.body)));
                prop_assert_eq!(row.map(|row| &*row.policy), history.get(generation).map(|digest| &**digest));
                let beside = reached.permit.kept::<String>();
                prop_assert!(generation == 0 || beside.as_deref() == history.get(generation), "{:?}", beside);
            }
            Ok(())
        })
        .unwrap();
    // Otherwise nothing was shown.
    for (what, count) in [("swapped", &seen.swapped), ("refused", &seen.refused), ("across", &seen.across)] {
        assert!(count.load(Ordering::Relaxed) > 20, "{what}: {seen:?}");
    }
}
