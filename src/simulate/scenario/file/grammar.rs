//! What may stand in a scenario, as the TOML reader takes it. What it means is read elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Table<T> = BTreeMap<Spanned<String>, T>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileIn {
    pub(super) version: Spanned<i64>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) recordings: Spanned<OneOrMany>,
    pub(super) from: Option<String>,
    pub(super) mapping: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) baseline: Option<String>,
    pub(super) set: Option<OneOrMany>,
    pub(super) drop_grant: Option<OneOrMany>,
    pub(super) drop_deny: Option<OneOrMany>,
    pub(super) drop_scope: Option<OneOrMany>,
    pub(super) shift: Option<Spanned<String>>,
    pub(super) at: Option<Spanned<toml::value::Datetime>>,
    pub(super) gate: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) counts: Table<AmountIn>,
    #[serde(default)]
    pub(super) reasons: Table<AmountIn>,
    #[serde(default)]
    pub(super) missing: Table<AmountIn>,
    #[serde(default)]
    pub(super) bounds: Table<BoundsIn>,
    #[serde(default)]
    pub(super) sessions: Table<AmountIn>,
    #[serde(default)]
    pub(super) breaking: Table<AmountIn>,
    #[serde(default)]
    pub(super) rates: Table<AmountIn>,
    #[serde(default)]
    pub(super) unusual: Table<AmountIn>,
    #[serde(default)]
    pub(super) token_ages: AgesIn,
    #[serde(default)]
    pub(super) events: Vec<Spanned<EventIn>>,
    #[serde(default)]
    pub(super) breaks: Vec<BreakIn>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgesIn {
    #[serde(default)]
    pub(super) calls: Table<AmountIn>,
    #[serde(default)]
    pub(super) sessions: Table<AmountIn>,
    #[serde(default)]
    pub(super) renewals: Table<AmountIn>,
    #[serde(default)]
    pub(super) doors: BTreeMap<String, Table<AmountIn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakIn {
    pub(super) session: Spanned<String>,
    pub(super) item: Option<Spanned<String>>,
    pub(super) before: Option<Spanned<AmountIn>>,
    pub(super) sure: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum AmountIn {
    Exactly(u64),
    Between(BetweenIn),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BetweenIn {
    pub(super) min: Option<u64>,
    pub(super) max: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoundsIn {
    pub(super) at_least: u64,
    pub(super) at_most: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventIn {
    pub(super) event: Spanned<EventName>,
    pub(super) effect: Option<Spanned<String>>,
    pub(super) reason: Option<Spanned<String>>,
    pub(super) rule: Option<Spanned<String>>,
    pub(super) class: Option<Spanned<String>>,
    pub(super) missing: Option<Spanned<OneOrMany>>,
    pub(super) drift: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum EventName {
    Line(u64),
    Text(String),
}

impl OneOrMany {
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(list) => list,
        }
    }
}
