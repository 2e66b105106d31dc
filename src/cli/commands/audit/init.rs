//! `doorward audit init`: the tables of the log, and a role that may only insert and read.

use super::source::SourceArgs;
use crate::cli::answer::Answer;
use crate::cli::audit_log::{block_on, failure};
use crate::cli::failure::Failure;
use crate::cli::terminal::When;
use crate::report::harmless;

/// Make the log or bring it up to date, so that a gateway need not own it
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Example:
  doorward audit init --store env:OWNER_URL",
    after_help = "\
In PostgreSQL the role gets the right to insert and to read, and is made where there is none; it cannot
log in by itself: make the user of the gateway a member of it.

Exit codes:
  0  the log is there and up to date
  2  it cannot be made"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The role that gets the rights of a gateway
    #[arg(long, value_name = "NAME", default_value = "doorward_writer")]
    role: String,
}

impl Args {
    /// Makes it as whoever the store is opened as.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let store = self.source.store(color)?;
        let name = store.to_string();
        block_on(store.init(&self.role))?.map_err(|e| failure(&e, &name))?;
        let role = if store.is_sqlite() {
            String::new()
        } else {
            format!(", and the role `{}` may insert and read", harmless(&self.role))
        };
        Ok(Answer::yes(format!("the audit log is up to date{role} ({})\n", harmless(&name))))
    }
}
