//! What the arguments ask for: which policy on which traffic, against what, and how it is judged.
//!
//! Everything that can be wrong with policies and paths is found here, before the first event.

use std::path::{Path, PathBuf};

use super::question::Question;
#[cfg(feature = "store")]
use crate::cli::audit_log::{self, Source};
#[cfg(feature = "store")]
use crate::cli::decisions::Decisions;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::Texts;
use crate::cli::rehearsal::{Candidate, Plan, Traffic};
use crate::cli::sources::Format;
use crate::cli::terminal::When;
use crate::cli::{demo, policy};
use crate::policy::checks::Rollout;
use crate::policy::{CompiledPolicy, WhatIf};
use crate::simulate::{Against, Clock, Terms};

impl Plan {
    /// The built-in policy on the built-in recording.
    pub(super) fn demo() -> Result<Self, Failure> {
        let policy = demo::policy()?;
        Ok(Self {
            candidates: vec![Candidate { policy: policy.compiled, what_if: Vec::new() }],
            baseline: None,
            terms: Terms::default(),
            rollout: policy.checks.rollout,
            traffic: Traffic::BuiltIn,
            is_watched: false,
        })
    }

    /// What the arguments ask for.
    pub(super) fn of(args: &Question, color: When) -> Result<Self, Failure> {
        let texts = args.policy.texts()?;
        let baseline = args.baseline(&texts, color)?;
        let against = match (&baseline, &args.baseline) {
            (None, _) => Against::Recorded,
            (Some(_), Some(_)) => Against::Baseline,
            (Some(_), None) => Against::Unchanged,
        };
        let combinations = if args.matrix { args.what_if.combinations()? } else { vec![args.what_if.together()?] };
        // Held against itself, the policy as it stands would fill a row with nothing.
        let idle = |what_ifs: &[WhatIf]| args.matrix && against == Against::Unchanged && what_ifs.is_empty();
        let mut candidates = Vec::new();
        let mut gate = None;
        for what_ifs in combinations.iter().filter(|what_ifs| !idle(what_ifs)) {
            let opened = texts.open(what_ifs, color)?;
            let store = opened.compiled.set().audit.store.clone();
            gate.get_or_insert((opened.checks.rollout, opened.directory, store));
            let what_if = what_ifs.iter().map(ToString::to_string).collect();
            candidates.push(Candidate { policy: opened.compiled, what_if });
        }
        let Some((rollout, directory, store)) = gate.filter(|_| !args.matrix || !args.what_if.is_empty()) else {
            return Err(Failure::new(Kind::Usage, "a matrix needs what-ifs to combine")
                .help("give --set, --drop-grant, --drop-deny or --drop-scope"));
        };
        let terms = Terms { what_if: Vec::new(), against, clock: args.clock() };
        let traffic = if args.source.is_audit() {
            args.decided(store, &directory.unwrap_or_default())?
        } else {
            if args.since.is_some() || args.until.is_some() {
                return Err(Failure::new(Kind::Usage, "--since and --until choose decisions of an audit log")
                    .help("name that with --from audit"));
            }
            let format = args.source.format(color)?;
            let paths = paths(&args.recordings, &rollout, directory.as_deref(), &format)?;
            Traffic::Files { paths, format, strict: args.source.strict_input }
        };
        Ok(Self { candidates, baseline, terms, rollout, traffic, is_watched: true })
    }
}

impl Question {
    /// The policy that was named with --baseline; without it, where anything is asked what-if, the
    /// policy as it stands.
    fn baseline(&self, texts: &Texts, color: When) -> Result<Option<CompiledPolicy>, Failure> {
        let profile = self.policy.profile()?;
        match &self.baseline {
            Some(path) => policy::read_compiled(path, profile.as_deref(), color).map(Some),
            None if self.what_if.is_empty() && self.clock() == Clock::AsRecorded => Ok(None),
            None => Ok(Some(texts.open(&[], color)?.compiled)),
        }
    }
}

#[cfg(feature = "store")]
impl Question {
    /// The decisions of the audit log that was named, or of that of the policy.
    fn decided(&self, of_policy: String, directory: &Path) -> Result<Traffic, Failure> {
        if self.source.mapping.is_some() {
            let message = "an audit log says itself who made its calls: --mapping is for other logs";
            return Err(Failure::new(Kind::Usage, message).help("leave out --mapping"));
        }
        let log = match self.recordings.as_slice() {
            [] => Source::Store(audit_log::store(of_policy, directory)?),
            [one] => Source::named(one)?,
            _ => {
                return Err(Failure::new(Kind::Usage, "one audit log is rehearsed at a time")
                    .help("export each with `doorward audit export --format recording`, and name the files"));
            }
        };
        Ok(Traffic::Decided(Decisions::of(log, self.since, self.until)))
    }
}

#[cfg(not(feature = "store"))]
impl Question {
    #[expect(clippy::unused_self, reason = "the same question, where there is no store to read")]
    fn decided(&self, _: String, _: &Path) -> Result<Traffic, Failure> {
        Err(Failure::new(Kind::Usage, "this build reads no audit log").help("build it with the feature `store`"))
    }
}

/// The recordings that were named, or those that the policy names.
fn paths(
    named: &[PathBuf],
    rollout: &Rollout,
    beside: Option<&Path>,
    format: &Format,
) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return format.expand(named);
    }
    let named: Vec<PathBuf> =
        rollout.recordings.iter().map(|r| beside.map_or_else(|| PathBuf::from(r), |d| d.join(r))).collect();
    if named.is_empty() {
        return Err(Failure::new(Kind::NothingToDo, "no recording was named")
            .help("name one, list some under `recordings` in `[rollout]`, or try --demo"));
    }
    format.expand(&named)
}
