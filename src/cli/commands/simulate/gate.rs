//! The limits of the gate as flags, over those of `[rollout]`.

use crate::cli::time;
use crate::policy::checks::{Allowance, Rollout};

/// What the gate asks for, each instead of the same key of `[rollout]`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "The gate")]
pub(super) struct GateArgs {
    /// Allow no newly denied, newly allowed or undecidable request, whatever `[rollout]` says
    #[arg(long, conflicts_with_all = ["max_newly_denied", "max_newly_allowed", "max_undecidable"])]
    strict: bool,
    /// The most requests that may be newly denied
    #[arg(long, value_name = "N")]
    max_newly_denied: Option<u64>,
    /// The most requests that may be newly allowed
    #[arg(long, value_name = "N")]
    max_newly_allowed: Option<u64>,
    /// The most requests that may stay undecidable, as a count or as a share such as `0.5%`
    #[arg(long, value_name = "N|P%", value_parser = allowance)]
    max_undecidable: Option<Allowance>,
    /// The fewest events that the answer must rest on
    #[arg(long, value_name = "N")]
    min_events: Option<u64>,
    /// The least time from the first event to the last, as `7d`
    #[arg(long, value_name = "DURATION", value_parser = time::seconds)]
    min_window: Option<u32>,
}

impl GateArgs {
    /// Whether no flag says anything.
    pub(super) fn is_empty(&self) -> bool {
        let Self { strict, max_newly_denied, max_newly_allowed, max_undecidable, min_events, min_window } = self;
        let limits = max_newly_denied.or(*max_newly_allowed).or(*min_events);
        !strict && limits.is_none() && max_undecidable.is_none() && min_window.is_none()
    }

    /// The gate with what the flags say.
    pub(super) fn over(&self, rollout: &Rollout) -> Rollout {
        let strict = self.strict.then_some(0);
        Rollout {
            max_newly_denied: strict.or(self.max_newly_denied).or(rollout.max_newly_denied),
            max_newly_allowed: strict.or(self.max_newly_allowed).or(rollout.max_newly_allowed),
            max_undecidable: strict.map(Allowance::Count).or(self.max_undecidable).or(rollout.max_undecidable),
            min_events: self.min_events.or(rollout.min_events),
            min_window: self.min_window.map(u64::from).or(rollout.min_window),
            ..rollout.clone()
        }
    }
}

fn allowance(text: &str) -> Result<Allowance, String> {
    match text.parse() {
        Ok(count) => Ok(Allowance::Count(count)),
        Err(_) => Allowance::share(text).ok_or_else(|| "write a whole number, or a share such as `0.5%`".to_owned()),
    }
}
