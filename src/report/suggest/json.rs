//! A suggestion as JSON (`doorward.suggestion/v1`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Findings, policy};
use crate::analyze::Direction;
use crate::model::Timestamp;
use crate::report::text::pretty;
use crate::report::toml::{matcher, selector};
use crate::suggest::{Against, Basis, Bound, Evidence, Keep, LearnedGrant, LearnedItem, Lost, Today};

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.suggestion/v1";

/// The JSON Schema of the JSON form.
#[cfg(feature = "cli")]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Suggested<'_>)
}

/// The suggestion as one JSON document. `policy_toml` in it is what the policy form prints.
pub fn json(findings: &Findings<'_>) -> String {
    let studied = findings.studied;
    let (counts, options) = (studied.counts, studied.options);
    let suggestion = &studied.suggestion;
    let report = Suggested {
        schema: SCHEMA,
        policy: suggestion.policy.digest().to_string(),
        stands_alone: suggestion.stands_alone,
        policy_toml: policy::toml(findings),
        options: OptionsJson {
            keep: match options.keep {
                Keep::Allowed => "allowed",
                Keep::All => "all",
            },
            min_support: options.min_support,
            max_agents: options.max_agents,
            headroom: options.headroom,
            generalise: options.generalise,
        },
        counts: CountsJson {
            events: counts.events,
            legitimate: counts.legitimate,
            undecided: counts.undecided,
            denied: counts.denied,
            passed_over: counts.passed_over,
            unreadable: counts.unreadable,
            unmapped: counts.unmapped,
        },
        learned: EvidenceJson::of(&suggestion.learned),
        left_out: suggestion
            .left_out
            .iter()
            .map(|left| ReasonJson { reason: left.why.code().to_owned(), events: EvidenceJson::of(&left.evidence) })
            .collect(),
        unreadable: studied.unreadable.iter().map(|(at, message)| (at.to_string(), message.as_str())).collect(),
        limits: suggestion.caps.iter().map(|cap| cap.code()).collect(),
        grants: suggestion.grants.iter().map(GrantJson::of).collect(),
        proof: ProofJson {
            replayed: findings.proof.replayed,
            kept: findings.proof.kept,
            holds: findings.proof.holds(),
            lost: findings.proof.lost.iter().map(LostJson::of).collect(),
            reopened: EvidenceJson::of(&findings.proof.reopened),
        },
        surface: studied.surface.map(|surface| SurfaceJson {
            profiles: surface.profiles,
            items: surface.items,
            before: surface.before,
            after: surface.after,
            held_out: surface.held_out,
            unanswered: surface.unanswered,
        }),
        score: findings.score.map(|score| ScoreJson {
            share: score.share,
            seed: score.seed,
            legitimate: score.legitimate,
            kept: score.kept,
            lost: &score.lost,
            denied: score.denied,
            still_denied: score.still_denied,
        }),
        today: studied.against.as_ref().map(AgainstJson::of),
    };
    pretty(&report)
}

/// The whole document.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Suggested<'a> {
    /// Always `doorward.suggestion/v1`.
    schema: &'static str,
    /// The digest of the suggested policy: today's with the learned grants in place of its own, or one that stands alone.
    policy: String,
    /// Whether there was no policy of today.
    stands_alone: bool,
    /// The policy file, or its grants alone.
    policy_toml: String,
    /// How it was learned.
    options: OptionsJson,
    /// What was gone over.
    counts: CountsJson,
    /// The calls that were learned from.
    learned: EvidenceJson,
    /// The legitimate calls that were not.
    left_out: Vec<ReasonJson>,
    /// The first records that could not be read, by place, with what is wrong.
    unreadable: BTreeMap<String, &'a str>,
    /// The codes of the limits that were reached.
    limits: Vec<&'static str>,
    /// The grants.
    grants: Vec<GrantJson<'a>>,
    /// What the replay showed.
    proof: ProofJson<'a>,
    /// How much is granted.
    surface: Option<SurfaceJson>,
    /// How a policy that was learned from some sessions does on the others.
    score: Option<ScoreJson<'a>>,
    /// What today's grants were used for.
    today: Option<AgainstJson<'a>>,
}

/// How it was learned.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct OptionsJson {
    /// `allowed`, or `all` with those of which no decision was recorded.
    keep: &'static str,
    /// How many distinct events a bound needs.
    min_support: usize,
    /// How many agents a grant names at most.
    max_agents: usize,
    /// Percent of the range by which limits lie beyond what was seen.
    headroom: u32,
    /// From how many items on a whole door becomes `door:*`; never when null.
    generalise: Option<usize>,
}

/// What was gone over.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct CountsJson {
    /// Events.
    events: u64,
    /// Of these, legitimate calls.
    legitimate: u64,
    /// Of the legitimate ones, those without a recorded decision.
    undecided: u64,
    /// Calls that were recorded as denied.
    denied: u64,
    /// Calls without a recorded decision that do not count.
    passed_over: u64,
    /// Records that could not be read.
    unreadable: u64,
    /// Records of a foreign log that its mapping leaves out.
    unmapped: u64,
}

/// Events, counted and cited.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct EvidenceJson {
    /// How many.
    calls: u64,
    /// The time of the first, in seconds since 1970 UTC.
    first: Option<Timestamp>,
    /// The time of the last.
    last: Option<Timestamp>,
    /// The first few, as `source:place`.
    examples: Vec<String>,
}

impl EvidenceJson {
    fn of(evidence: &Evidence) -> Self {
        Self {
            calls: evidence.calls,
            first: evidence.first,
            last: evidence.last,
            examples: evidence.examples.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Legitimate calls that were not learned from.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct ReasonJson {
    /// Why: a stable code.
    reason: String,
    /// Which.
    events: EvidenceJson,
}

/// A grant with the events behind it.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct GrantJson<'a> {
    /// Its name.
    name: &'a str,
    /// Whom it is for, as a policy file writes it.
    to: String,
    /// What it allows.
    allow: Vec<String>,
    /// Whom it names: `groups`, `subjects` or `servers`.
    basis: &'static str,
    /// How many subjects made the calls.
    subjects: usize,
    /// The calls that it keeps.
    events: EvidenceJson,
    /// What it gives.
    items: Vec<ItemJson<'a>>,
}

impl<'a> GrantJson<'a> {
    fn of(grant: &'a LearnedGrant) -> Self {
        Self {
            name: grant.statement.name.as_deref().unwrap_or_default(),
            to: selector(&grant.statement.to),
            allow: grant.statement.items.iter().map(ToString::to_string).collect(),
            basis: match grant.basis {
                Basis::Groups => "groups",
                Basis::Subjects => "subjects",
                Basis::Servers => "servers",
            },
            subjects: grant.subjects,
            events: EvidenceJson::of(&grant.evidence),
            items: grant.items.iter().map(ItemJson::of).collect(),
        }
    }
}

/// What a grant gives of one item.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct ItemJson<'a> {
    /// The item, as `server:tool`.
    item: String,
    /// How many subjects called it.
    subjects: usize,
    /// How many other callers were seen that it is granted to.
    idle: usize,
    /// The calls.
    events: EvidenceJson,
    /// The one of today's grants that decided all these calls: what it asks is asked again.
    from: Option<&'a str>,
    /// The bounds on its arguments.
    bounds: Vec<BoundJson<'a>>,
    /// Its arguments without a bound.
    unbounded: Vec<OpenJson<'a>>,
}

impl<'a> ItemJson<'a> {
    fn of(item: &'a LearnedItem) -> Self {
        Self {
            item: item.place.to_string(),
            subjects: item.subjects,
            idle: item.idle,
            events: EvidenceJson::of(&item.evidence),
            from: item.from.as_deref(),
            bounds: item.bounds.iter().map(BoundJson::of).collect(),
            unbounded: item
                .open
                .iter()
                .map(|open| OpenJson { argument: &open.path, why: open.why.code(), text: open.why.to_string() })
                .collect(),
        }
    }
}

/// A bound on an argument.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct BoundJson<'a> {
    /// The argument.
    argument: &'a str,
    /// What is asked of it, as a policy file writes it.
    matcher: String,
    /// Whether today's grant asks for it, or for a part of it.
    kept: bool,
    /// How many subjects sent it, up to 100.
    subjects: usize,
    /// The calls that sent it.
    events: EvidenceJson,
}

impl<'a> BoundJson<'a> {
    fn of(bound: &'a Bound) -> Self {
        Self {
            argument: bound.path.as_str(),
            matcher: matcher(&bound.matcher),
            kept: bound.kept,
            subjects: bound.subjects,
            events: EvidenceJson::of(&bound.evidence),
        }
    }
}

/// An argument without a bound.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct OpenJson<'a> {
    /// The argument.
    argument: &'a str,
    /// Why: a stable code.
    why: &'static str,
    /// Why, in words.
    text: String,
}

/// What the replay showed.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct ProofJson<'a> {
    /// Legitimate calls replayed.
    replayed: u64,
    /// Those that the suggested policy allows.
    kept: u64,
    /// Whether every call was kept that a grant can keep.
    holds: bool,
    /// Those that were not.
    lost: Vec<LostJson<'a>>,
    /// Calls that were recorded as denied, and that it allows.
    reopened: EvidenceJson,
}

/// Legitimate calls that the suggested policy does not allow.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct LostJson<'a> {
    /// The reason code, or `undecidable`.
    reason: &'a str,
    /// Why, in words.
    why: &'a str,
    /// Whether no grant could have kept them.
    explained: bool,
    /// Which.
    events: EvidenceJson,
}

impl<'a> LostJson<'a> {
    fn of(lost: &'a Lost) -> Self {
        Self {
            reason: &lost.reason,
            why: &lost.why,
            explained: lost.explained,
            events: EvidenceJson::of(&lost.evidence),
        }
    }
}

/// How many pairs of a profile and an item are granted.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct SurfaceJson {
    /// Profiles seen in the traffic.
    profiles: usize,
    /// Items.
    items: usize,
    /// Pairs of today's policy, or all.
    before: u64,
    /// Pairs of the suggested policy.
    after: u64,
    /// Pairs of the policy that was learned without the held-out events.
    held_out: Option<u64>,
    /// Pairs that were too large a question, and count as granted.
    unanswered: u64,
}

/// How a policy that was learned from some sessions does on the others.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct ScoreJson<'a> {
    /// The share that was held out.
    share: f64,
    /// The seed.
    seed: u64,
    /// Held-out legitimate calls.
    legitimate: u64,
    /// Those that the policy allows.
    kept: u64,
    /// How many it does not, by reason code.
    lost: &'a BTreeMap<String, u64>,
    /// Held-out calls that were recorded as denied.
    denied: u64,
    /// Those that it denies.
    still_denied: u64,
}

/// What the suggestion changes about today's policy.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct AgainstJson<'a> {
    /// The digest of today's policy.
    policy: &'a str,
    /// Today's grants.
    grants: Vec<TodayJson<'a>>,
    /// The exact difference, counted.
    difference: Option<DifferenceJson>,
}

/// The exact difference, counted.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct DifferenceJson {
    /// Ways of access that are lost.
    lost: usize,
    /// Ways of access that are gained.
    gained: usize,
    /// Items about which the question was too large.
    not_answered: usize,
}

impl<'a> AgainstJson<'a> {
    fn of(against: &'a Against) -> Self {
        let difference = against.diff.as_ref().map(|diff| {
            let count = |direction| diff.flips.iter().filter(|f| f.direction == direction).count();
            DifferenceJson {
                lost: count(Direction::Lost),
                gained: count(Direction::Gained),
                not_answered: diff.unanswered.len(),
            }
        });
        Self { policy: &against.digest, grants: against.grants.iter().map(TodayJson::of).collect(), difference }
    }
}

/// One of today's grants.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct TodayJson<'a> {
    /// Its name.
    name: Option<&'a str>,
    /// Where it stands.
    position: String,
    /// The legitimate calls that it decided.
    events: EvidenceJson,
    /// How many declared items it covers.
    covered: usize,
    /// Those that no call reached through it.
    unused: Vec<String>,
    /// Groups, subjects and agents that it names and that no call came from.
    idle: &'a [String],
}

impl<'a> TodayJson<'a> {
    fn of(today: &'a Today) -> Self {
        Self {
            name: today.statement.name.as_deref(),
            position: today.position.to_string(),
            events: EvidenceJson::of(&today.evidence),
            covered: today.covered,
            unused: today.unused.iter().map(ToString::to_string).collect(),
            idle: &today.idle,
        }
    }
}
