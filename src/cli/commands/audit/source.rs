//! Which log the commands about it mean: the store of the policy, another store, or exported lines.

use std::path::PathBuf;

use crate::audit::store::Store;
use crate::cli::audit_log::{self, Source};
use crate::cli::failure::Failure;
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::policy::set::PolicySet;

/// Which log.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The store: `sqlite:PATH`, `postgres://…`, `env:NAME` or `file:PATH` [default: that of the policy]
    #[arg(long, value_name = "STORE", conflicts_with = "log")]
    store: Option<String>,
    /// Exported lines to read instead of a store
    #[arg(value_name = "LOG", conflicts_with_all = ["policy", "profile"])]
    log: Option<PathBuf>,
}

impl SourceArgs {
    /// Finds it.
    pub(super) fn find(&self, color: When) -> Result<Source, Failure> {
        if let Some(path) = &self.log {
            return Ok(Source::Lines(path.clone()));
        }
        self.store(color).map(Source::Store)
    }

    /// Finds a store; exported lines will not do.
    pub(super) fn store(&self, color: When) -> Result<Store, Failure> {
        let (named, directory) = match &self.store {
            Some(named) => (named.clone(), None),
            None => {
                let opened = self.policy.open(color)?;
                (opened.compiled.set().audit.store.clone(), opened.directory)
            }
        };
        audit_log::store(named, &directory.unwrap_or_default())
    }

    /// The policy, and the directory that its paths count from.
    pub(super) fn opened(&self, color: When) -> Result<(PolicySet, PathBuf), Failure> {
        let opened = self.policy.open(color)?;
        Ok((opened.compiled.set().clone(), opened.directory.unwrap_or_default()))
    }
}
