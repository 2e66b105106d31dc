//! `doorward audit prune`: what has been kept long enough goes, and a stub stays.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::line::instant;
use super::source::{SourceArgs, block_on, failure};
use super::verify::Format;
use crate::audit::chain::SigningKey;
use crate::audit::store::{Prune, Pruned};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::report::harmless;

/// Remove the months that the policy no longer keeps
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit prune --dry-run
  doorward audit prune --signing-key audit.pem --hold-subject ana",
    after_help = "\
Whole months go, by `[audit.retention]` of the policy. What went is written to the log in the same
transaction, so that the log can still be verified. The log's own rows stay.

Exit codes:
  0  rows went, or would go
  1  there was nothing to remove
  2  the log cannot be read or written"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    now: NowArg,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Keep this class, whatever the policy says; may be given again
    #[arg(long, value_name = "CLASS")]
    hold_class: Vec<String>,
    /// Keep every month from the first on that has a row about this subject; may be given again
    #[arg(long, value_name = "SUB")]
    hold_subject: Vec<String>,
    /// The private key that signs the stub, in PEM [default: that of the policy]
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

impl Args {
    /// Class by class, each in a transaction of its own.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let (retention, pem) = self.source.kept(color)?;
        let store = self.source.store(color)?;
        let name = store.to_string();
        let key = match &self.signing_key {
            Some(path) => Some(signing_key(path)?),
            None => pem.map(|pem| key(&pem, "the key of the policy")).transpose()?,
        };
        let now = self.now.instant().0.saturating_mul(1_000_000);
        let done = block_on(async {
            let connected = if self.dry_run { store.reader().await } else { store.writer().await };
            let mut connection = connected.map_err(|e| failure(&e, &name))?;
            let mut done = Vec::new();
            for (class, seconds) in retention {
                if self.hold_class.contains(&class) {
                    continue;
                }
                let kept = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                let prune = Prune { class, before: now.saturating_sub(kept), hold: self.hold_subject.clone() };
                let pruned = connection.would_prune(&prune).await.map_err(|e| failure(&e, &name))?;
                if pruned.rows > 0 && !self.dry_run {
                    let pruning = connection.prune(&pruned, &writer()?, now, key.as_ref()).await;
                    pruning.map_err(|e| failure(&e, &name))?;
                }
                done.push(pruned);
            }
            connection.close().await;
            Ok::<_, Failure>(done)
        })??;
        let text = match self.format {
            Format::Human => human(&done, self.dry_run),
            Format::Json => machine(&done, self.dry_run),
        };
        Ok(Answer::new(text, done.iter().any(|pruned| pruned.rows > 0)))
    }
}

/// A name that no writer had before.
fn writer() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::new(Kind::CannotRead, "the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn signing_key(path: &std::path::Path) -> Result<SigningKey, Failure> {
    let text = String::from_utf8(files::read(path, 65_536)?).unwrap_or_default();
    key(&text, &format!("`{}`", files::display_name(path)))
}

fn key(pem: &str, name: &str) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(pem).map_err(|e| {
        Failure::new(Kind::BadInput, format!("{name} is no private key: {e}"))
            .help("`openssl genpkey -algorithm ed25519` makes one")
    })
}

fn human(done: &[Pruned], dry_run: bool) -> String {
    let mut text = String::new();
    for Pruned { class, before, rows, held, .. } in done {
        let would = if dry_run { "would go" } else { "went" };
        let held = if *held { ", and a hold keeps what follows" } else { "" };
        let _ = writeln!(text, "{}: {rows} rows from before {} {would}{held}", harmless(class), instant(*before));
    }
    text
}

fn machine(done: &[Pruned], dry_run: bool) -> String {
    let classes = done.iter().map(|pruned| {
        json!({
            "class": pruned.class,
            "before": instant(pruned.before),
            "rows": pruned.rows,
            "held": pruned.held,
        })
    });
    let document = json!({
        "schema": "doorward.audit-prune/v1",
        "dry_run": dry_run,
        "classes": classes.collect::<Value>(),
    });
    format!("{document:#}\n")
}
