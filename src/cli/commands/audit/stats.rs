//! `doorward audit stats`: how much, of what, and from when.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::json;

use super::line::instant;
use super::select::SelectArgs;
use super::source::SourceArgs;
use super::verify::Format;
use crate::audit::chain::Column;
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;
use crate::report::harmless;

/// How many values of a column are shown.
const SHOWN: usize = 10;
/// How many values of a column are counted apart.
const COUNTED: usize = 100_000;

/// Count rows by class, kind, decision, reason, door, tool and subject
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit stats
  doorward audit stats --decision deny --since 2026-03-01T00:00:00Z",
    after_help = "\
Exit codes:
  0  the rows were counted
  2  the log cannot be read"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const COLUMNS: [(&str, Column); 5] = [
    ("decision", Column::Decision),
    ("reason", Column::Reason),
    ("door", Column::Door),
    ("tool", Column::Name),
    ("subject", Column::Subject),
];

impl Args {
    /// Counts.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let mut rows = 0_u64;
        let mut span: Option<(i64, i64)> = None;
        let mut counts: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        self.source.find(color)?.open()?.each(&self.select.select(), &mut |row| {
            rows += 1;
            let at = row.entry.at;
            span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            let mut count = |of: &'static str, value: &str| {
                let values = counts.entry(of).or_default();
                if let Some(n) = values.get_mut(value) {
                    *n += 1;
                } else if values.len() < COUNTED {
                    values.insert(value.to_owned(), 1);
                }
            };
            count("class", &row.entry.class);
            count("kind", &row.entry.kind);
            for (name, column) in COLUMNS {
                if let Some(value) = row.entry.get(column) {
                    count(name, value);
                }
            }
            ControlFlow::Continue(())
        })?;
        let text = match self.format {
            Format::Human => human(rows, span, &counts),
            Format::Json => {
                let span = span.map(|(first, last)| [instant(first), instant(last)]);
                format!(
                    "{:#}\n",
                    json!({"schema": "doorward.audit-stats/v1", "rows": rows, "span": span, "counts": counts})
                )
            }
        };
        Ok(Answer::yes(text).to(self.output))
    }
}

fn human(rows: u64, span: Option<(i64, i64)>, counts: &BTreeMap<&str, BTreeMap<String, u64>>) -> String {
    let mut text = format!("{rows} rows");
    if let Some((first, last)) = span {
        let _ = write!(text, " from {} to {}", instant(first), instant(last));
    }
    text.push('\n');
    for name in ["class", "kind"].into_iter().chain(COLUMNS.map(|(name, _)| name)) {
        let Some(values) = counts.get(name) else { continue };
        let mut most: Vec<(&String, &u64)> = values.iter().collect();
        most.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let _ = writeln!(text, "\n{name}");
        for (value, n) in most.iter().take(SHOWN) {
            let _ = writeln!(text, "  {n:>8}  {}", harmless(value));
        }
        if most.len() > SHOWN {
            let _ = writeln!(text, "            and {} more", most.len() - SHOWN);
        }
    }
    text
}
