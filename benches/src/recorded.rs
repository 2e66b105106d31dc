//! Recorded traffic made from a seed: sessions of 64 subjects on the standard policy.
//!
//! Nothing here is random between two runs. A token lives with its session, scopes follow the
//! subject and the door, amounts and paths differ from call to call, and the recorded decision is
//! the one that the policy gives.

use std::fmt::Write as _;

use doorward::model::{Effect, Fact, Verdict};
use doorward::pdp;
use doorward::policy::CompiledPolicy;
use doorward::traffic::{Everything, Lines};
use fastrand::Rng;

use crate::workload::{Condition, Policy};

/// When the traffic begins: 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
/// Events in a second.
const RATE: u64 = 100;
const SUBJECTS: usize = 64;
const SESSIONS: usize = 256;
/// One in so many calls is the last of its session.
const CALLS: u32 = 60;
/// Every so often a session gets a new token, in seconds.
const RENEWAL: i64 = 100;

/// Whether the memo of a rehearsal can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// What 64 subjects do.
    Real,
    /// The same as another system records it, without a decision: about 500 B a line.
    Short,
    /// Every event by another subject.
    AllDistinct,
}

/// Makes lines of a recording.
#[derive(Debug)]
pub struct Traffic<'p> {
    policy: &'p Policy,
    compiled: &'p CompiledPolicy,
    shape: Shape,
    rng: Rng,
    subjects: Vec<Subject>,
    sessions: Vec<Session>,
    made: u64,
    line: String,
}

#[derive(Debug)]
struct Subject {
    name: String,
    groups: String,
    /// The tools that some grant gives one of the groups, by server and place.
    tools: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct Session {
    subject: usize,
    number: u64,
    issued: i64,
}

/// The policy as it might be tightened: a tenth of the grants is for nobody, and a third of the
/// limits on amounts is lower.
pub fn tightened(policy: &Policy) -> Policy {
    let mut tighter = policy.clone();
    for (at, grant) in tighter.grants.iter_mut().enumerate() {
        if at % 10 == 7 {
            grant.groups = vec!["nobody".to_owned()];
        }
        if let Condition::Max(limit) = &mut grant.condition
            && at % 9 == 1
        {
            *limit = *limit * 4 / 5;
        }
    }
    tighter
}

impl<'p> Traffic<'p> {
    /// Traffic decided by that policy.
    pub fn new(policy: &'p Policy, compiled: &'p CompiledPolicy, shape: Shape) -> Self {
        let mut rng = Rng::with_seed(0x0d00_12a2_d000_0003);
        let mut groups: Vec<&str> = policy.grants.iter().flat_map(|g| &g.groups).map(String::as_str).collect();
        groups.sort_unstable();
        groups.dedup();
        let subjects = (0..SUBJECTS)
            .map(|at| {
                rng.shuffle(&mut groups);
                let own = &groups[..groups.len().min(5)];
                let tools = policy.grants.iter().filter(|g| g.groups.iter().any(|group| own.contains(&&**group)));
                let tools = tools.flat_map(|g| {
                    let all = policy.servers[g.server].tools.len();
                    let places = g.tool.map_or(0..all, |tool| tool..tool + 1);
                    places.map(|tool| (g.server, tool))
                });
                Subject {
                    name: format!("user-{at:04}@example.com"),
                    groups: format!("{own:?}").replace(", ", ","),
                    tools: tools.collect(),
                }
            })
            .collect();
        let sessions = (0..SESSIONS).map(|at| Session { subject: at % SUBJECTS, number: at as u64, issued: START });
        Self { policy, compiled, shape, subjects, sessions: sessions.collect(), rng, made: 0, line: String::new() }
    }

    /// The first line of the recording.
    pub fn header() -> &'static str {
        "{\"schema\":\"doorward.recording/v1\",\"recorder\":\"benches\"}\n"
    }

    /// The next event, with its newline.
    pub fn line(&mut self) -> &str {
        let Self { policy, rng, .. } = self;
        let time = START + i64::try_from(self.made / RATE).unwrap_or(0);
        self.made += 1;
        let at = rng.usize(..SESSIONS);
        let session = &mut self.sessions[at];
        if rng.u32(..CALLS) == 0 {
            *session = Session { subject: rng.usize(..SUBJECTS), number: SESSIONS as u64 + self.made, issued: time };
        }
        if time - session.issued > RENEWAL && rng.u8(..100) < 97 {
            session.issued = time - rng.i64(0..5);
        }
        let subject = &self.subjects[session.subject];
        let (server, tool) = match rng.choice(&subject.tools) {
            Some(&tool) if rng.u8(..100) < 85 => tool,
            _ => {
                let server = rng.usize(..policy.servers.len());
                (server, rng.usize(..policy.servers[server].tools.len()))
            }
        };
        let door = &policy.servers[server];
        let declared = &door.tools[tool];
        let noun = declared.name.split_once('_').map_or("ticket", |(_, noun)| noun);
        let (amount, file) = (rng.i64(1..1_000) / (1 + rng.i64(0..4)), rng.u16(..1_000));
        // Whoever has a scope for the door has it in each of their tokens.
        let scope = match (session.subject + server) % 8 {
            0 => format!("{}:read", door.name),
            _ => format!("{}:all", door.name),
        };
        let name = match self.shape {
            Shape::Real | Shape::Short => subject.name.clone(),
            Shape::AllDistinct => format!("user-{:08}@example.com", self.made),
        };
        self.line.clear();
        let _ = write!(
            self.line,
            "{{\"time\":{time},\"door\":\"{}\",\"method\":\"tools/call\",\"name\":\"{}\",\"arguments\":{{\"amount\":{amount},\
             \"path\":\"/srv/{noun}/2026/file-{file:03}.txt\"}},\"subject\":{{\"issuer\":\"corp\",\"sub\":\"{name}\",\
             \"agent\":\"assistant-{}\",\"groups\":{}}},\"token\":{{\"aud\":[\"{}\"],\"scopes\":[\"{scope}\"],\"iat\":{},\
             \"exp\":{}}},\"session\":\"s-{:08}\"",
            door.name,
            declared.name,
            session.subject % 8,
            subject.groups,
            door.resource,
            session.issued,
            session.issued + 3_600,
            session.number,
        );
        const END: &str = ",\"absent\":[\"/subject/claims\",\"/token/nbf\"]}\n";
        if self.shape != Shape::Short {
            let decided = self.decided();
            self.line.push_str(&decided);
        }
        self.line.push_str(END);
        &self.line
    }

    /// What the policy decides about the line so far.
    fn decided(&self) -> String {
        let text = format!("{},\"absent\":[\"/subject/claims\",\"/token/nbf\"]}}", self.line);
        let mut lines = Lines::new(&Everything);
        let line = lines.read(text.as_bytes(), 1, true).expect("a line of the format");
        let seen = line.observe(&[]);
        assert!(matches!(seen.request.subject.id, Fact::Known(_)));
        let Verdict::Decided(decision) = pdp::judge(self.compiled, &seen.request) else {
            panic!("everything is known: {text}");
        };
        let rule = decision.rule.map_or_else(String::new, |rule| {
            let kind = serde_json::to_string(&rule.kind).expect("a word");
            format!("\"rule\":{{\"kind\":{kind},\"name\":\"{}\"}},", rule.name)
        });
        format!(
            ",\"decided\":{{\"effect\":\"{}\",\"reason\":\"{}\",{rule}\"digest\":\"{}\"}}",
            if decision.effect == Effect::Allow { "allow" } else { "deny" },
            decision.reason.code(),
            self.compiled.digest(),
        )
    }
}
