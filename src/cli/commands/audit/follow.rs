//! `doorward audit follow`: rows as they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use super::line;
use super::query::Format;
use super::select::SelectArgs;
use super::source::{SourceArgs, block_on, failure};
use crate::audit::chain::Row;
use crate::audit::store::{Order, Select};
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Rows of another process may be committed later than their instants say.
const BACK: i64 = 10_000_000;

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
            // What is there already is passed over; the latest rows say from where on.
            let mut seen: BTreeMap<(String, String, i64), i64> = BTreeMap::new();
            let (mut latest, mut first) = (i64::MIN, true);
            loop {
                let mut select = Select { order: Order::Earliest, ..self.select.select() };
                select.written_since = (latest > i64::MIN).then(|| latest.saturating_sub(BACK));
                let mut new = Vec::new();
                let mut there = BTreeSet::new();
                let open = match connection.take() {
                    Some(open) => Ok(open),
                    None => store.reader().await,
                };
                if let Ok(mut open) = open {
                    let mut take = |row: Row| {
                        let place = (row.entry.class.to_string(), row.writer.to_string(), row.seq);
                        latest = latest.max(row.written);
                        there.insert(place.clone());
                        if seen.insert(place, row.written).is_none() && !first {
                            new.push(row);
                        }
                        ControlFlow::Continue(())
                    };
                    if open.read(&select, &mut take).await.is_ok() {
                        first = false;
                        connection = Some(open);
                    }
                }
                seen.retain(|place, written| there.contains(place) || *written > latest.saturating_sub(BACK));
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
