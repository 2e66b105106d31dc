//! `doorward audit follow`: rows as they are written.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use super::line;
use super::query::Format;
use super::select::SelectArgs;
use super::source::SourceArgs;
use crate::audit::chain::Row;
use crate::audit::store::Follow;
use crate::cli::answer::Answer;
use crate::cli::audit_log::{block_on, failure};
use crate::cli::failure::Failure;
use crate::cli::terminal::When;
use crate::cli::time::clock;

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);

/// Show rows as they are written, until it is stopped
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Example:
  doorward audit follow --decision deny")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// How to write the rows
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

impl Args {
    /// Asks again and again. A store that goes away for a while is asked until it is back.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let store = self.source.store(color)?;
        let name = store.to_string();
        block_on(async {
            let mut connection = Some(store.reader().await.map_err(|e| failure(&e, &name))?);
            let (mut follow, select) = (Follow::new(), self.select.select());
            loop {
                let mut new = Vec::new();
                let open = match connection.take() {
                    Some(open) => Ok(open),
                    None => store.reader().await,
                };
                if let Ok(mut open) = open {
                    let now = clock().0.saturating_mul(1_000_000);
                    let mut take = |row: Row| {
                        new.push(row);
                        ControlFlow::Continue(())
                    };
                    if open.news(&mut follow, &select, now, &mut take).await.is_ok() {
                        connection = Some(open);
                    }
                }
                for row in new {
                    let text = match self.format {
                        Format::Human => line::human(&row).into_bytes(),
                        Format::Json => line::json(&row),
                    };
                    let mut out = std::io::stdout().lock();
                    let written = out.write_all(&text).and_then(|()| out.flush());
                    written.map_err(|e| Failure::writing(std::path::Path::new("stdout"), &e))?;
                }
                tokio::time::sleep(EVERY).await;
            }
        })?
    }
}
