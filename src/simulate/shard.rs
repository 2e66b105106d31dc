//! Shards: the parts of one rehearsal made in several processes, and what brings them together.
//!
//! Parts of different runs never merge, one shard never counts twice, and nothing is called whole
//! from which a shard is missing.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::part::{PART_SCHEMA, Part};
use super::report::Report;
use crate::policy::checks::Rollout;

/// The most shards of one run.
const MOST: u32 = 100_000;

/// One of several shards of the traffic: every record belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Whether a record belongs to it, by its number in its file; or a row group, by its number among those of all files.
    pub const fn takes(self, number: u64) -> bool {
        number % self.of as u64 == (self.index - 1) as u64
    }

    /// Whether it is the first.
    pub const fn is_first(self) -> bool {
        self.index == 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(index, of)| (index.parse().ok(), of.parse().ok()));
        match numbers {
            Some((Some(index), Some(of))) if (1..=of).contains(&index) && of <= MOST => Ok(Self { index, of }),
            _ => Err(format!("write which of how many, as `2/8`; at most {MOST}")),
        }
    }
}

/// What all parts of one run have in common, beside the policies and the terms that their reports name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The traffic, by name, in the order in which it is read.
    pub inputs: Vec<String>,
    /// Whether it is a matrix of what-ifs.
    pub matrix: bool,
    /// What the policy is called.
    pub policy: String,
    /// The gate.
    pub gate: Rollout,
}

/// What one shard found, or several that were merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartFile {
    /// Always [`PART_SCHEMA`].
    schema: String,
    run: Run,
    /// How many shards there are.
    of: u32,
    /// Which of them are in here.
    shards: BTreeSet<u32>,
    /// One for each candidate.
    parts: Vec<Part>,
}

/// Why parts do not merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmergeable {
    /// The file is of another form or version.
    Schema(String),
    /// They are of different runs: what differs.
    Run(&'static str),
    /// This shard is in both.
    Twice(u32),
}

impl PartFile {
    /// What one shard found.
    pub fn new(run: Run, shard: Shard, parts: Vec<Part>) -> Self {
        let shards = BTreeSet::from([shard.index]);
        Self { schema: PART_SCHEMA.to_owned(), run, of: shard.of, shards, parts }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// When it is of another form or version, or says of itself what cannot be.
    pub fn read(bytes: &[u8]) -> Result<Self, Unmergeable> {
        #[derive(Deserialize)]
        struct Schema {
            schema: String,
        }
        let other = |e: serde_json::Error| Unmergeable::Schema(e.to_string());
        let Schema { schema } = serde_json::from_slice(bytes).map_err(other)?;
        if schema != PART_SCHEMA {
            return Err(Unmergeable::Schema(format!("`{schema}` is not `{PART_SCHEMA}`")));
        }
        let part: Self = serde_json::from_slice(bytes).map_err(other)?;
        let sound = part.of > 0 && part.of <= MOST && part.shards.iter().all(|shard| (1..=part.of).contains(shard));
        if !sound || part.shards.is_empty() || part.parts.is_empty() {
            return Err(Unmergeable::Schema("it names no shard of its run".to_owned()));
        }
        Ok(part)
    }

    /// Joins another part to this one.
    ///
    /// # Errors
    ///
    /// When they are not of one run, or have a shard in common. This one is then as it was, or useless.
    pub fn merge(&mut self, other: Self) -> Result<(), Unmergeable> {
        let different = [
            (self.of != other.of, "the number of shards"),
            (self.run.inputs != other.run.inputs, "the traffic"),
            (self.run.matrix != other.run.matrix || self.parts.len() != other.parts.len(), "the what-ifs"),
            (self.run.policy != other.run.policy, "the policy"),
            (self.run.gate != other.run.gate, "the gate"),
        ];
        if let Some((_, what)) = different.into_iter().find(|(differs, _)| *differs) {
            return Err(Unmergeable::Run(what));
        }
        if let Some(twice) = self.shards.intersection(&other.shards).next() {
            return Err(Unmergeable::Twice(*twice));
        }
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            mine.merge(theirs).map_err(|_| Unmergeable::Run("a policy, a what-if or the clock"))?;
        }
        self.shards.extend(other.shards);
        Ok(())
    }

    /// The shards that are not in here.
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.of).filter(|shard| !self.shards.contains(shard)).collect()
    }

    /// What the run was, and its reports.
    pub fn finish(self) -> (Run, Vec<Report>) {
        (self.run, self.parts.into_iter().map(Part::finish).collect())
    }
}

impl fmt::Display for Unmergeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(why) => write!(f, "it is no part of a rehearsal: {why}"),
            Self::Run(what) => write!(f, "it is of another run: {what} differs"),
            Self::Twice(shard) => write!(f, "shard {shard} is there twice"),
        }
    }
}

impl std::error::Error for Unmergeable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_belongs_to_exactly_one_shard() {
        for of in 1..=7u32 {
            let shards: Vec<Shard> = (1..=of).map(|index| format!("{index}/{of}").parse().unwrap()).collect();
            for record in 0..50 {
                assert_eq!(shards.iter().filter(|shard| shard.takes(record)).count(), 1);
            }
        }
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1/100001"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
