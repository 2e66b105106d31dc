//! The example policy and its recording, built in, so that the first run needs no files.

use super::failure::{Failure, Kind};
use crate::policy::{Layers, LoadedPolicy, load};

/// The policy.
const POLICY: &str = include_str!("../../policies.toml");

/// What to call the policy.
pub(super) const POLICY_NAME: &str = "policies.toml";

/// The recording.
pub(super) const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");

/// What to call the recording.
pub(super) const RECORDING_NAME: &str = "simulations/support-desk.jsonl";

/// The example policy, without an environment.
pub(super) fn policy() -> Result<LoadedPolicy, Failure> {
    let layers = Layers { files: vec![(POLICY_NAME.to_owned(), POLICY.into())], environment: Vec::new() };
    load(&layers).policy.ok_or_else(|| Failure::new(Kind::BadPolicy, "the built-in policy cannot be used"))
}
