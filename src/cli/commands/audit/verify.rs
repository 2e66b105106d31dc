//! `doorward audit verify`: whether the log is what was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::json;

use super::line::instant;
use super::source::SourceArgs;
use crate::audit::chain::{Anchor, Finding, LOG_CLASS, PublicKey, Verdict, Verifier};
use crate::audit::store::Select;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::terminal::When;
use crate::cli::time::{NowArg, seconds};
use crate::report::{harmless, plural};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Show whether the log is what was written, and where it is not
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit verify --key audit.pub
  doorward audit verify --key audit.pub --max-age 5m
  doorward audit verify --key audit.pub --anchor \"$(tail -1 anchors.txt)\" march.jsonl",
    after_help = "\
Without --key no signature is checked: whoever can write the store can write it again as a whole.
A log that was set back as a whole to an earlier state is found by --max-age or --anchor alone.

Exit codes:
  0  the log is whole
  1  it was changed, or its newest seal is too old
  2  it cannot be read"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// A public key that signs the seals, in PEM or base64; may be given again
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A seal that must be there, as the gateway logs it: `WRITER:SEQ:HASH`; may be given again
    #[arg(long, value_name = "ANCHOR")]
    anchor: Vec<Anchor>,
    /// How old the newest seal may be, as `5m`
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    max_age: Option<u32>,
    #[command(flatten)]
    now: NowArg,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Reads the log twice, in one and the same state: its seals, then all of it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let keys = self.key.iter().map(|path| key(path)).collect::<Result<Vec<_>, _>>()?;
        let mut reader = self.source.find(color)?.open()?;
        let mut verifier = Verifier::new(keys);
        self.anchor.iter().for_each(|anchor| verifier.anchor(anchor));
        reader.snapshot()?;
        reader.each(&Select::class(LOG_CLASS), &mut |mut row| {
            verifier.seal(&mut row);
            ControlFlow::Continue(())
        })?;
        let verdict = reader.verify(verifier)?.finish();
        let oldest = self.max_age.map(|age| self.now.instant().0.saturating_sub(age.into()).saturating_mul(1_000_000));
        let stale = oldest.is_some_and(|oldest| verdict.newest.is_none_or(|newest| newest < oldest));
        let text = match self.format {
            Format::Human => human(&verdict, reader.name(), stale),
            Format::Json => machine(&verdict, stale),
        };
        Ok(Answer::new(text, verdict.is_whole() && !stale).to(self.output))
    }
}

pub(super) fn key(path: &std::path::Path) -> Result<PublicKey, Failure> {
    let text = String::from_utf8(files::read(path, 65_536)?).unwrap_or_default();
    PublicKey::read(&text).map_err(|e| {
        Failure::new(Kind::BadInput, format!("`{}` is no public key: {e}", files::display_name(path)))
            .help("`openssl pkey -in audit.pem -pubout` writes one")
    })
}

fn human(verdict: &Verdict, name: &str, stale: bool) -> String {
    let count = |n: u64, word: &str| plural(usize::try_from(n).unwrap_or(usize::MAX), word);
    let writers: std::collections::BTreeSet<&str> = verdict.chains.iter().map(|c| c.writer.as_str()).collect();
    let rows = format!(
        "{} in {} of {}",
        count(verdict.rows, "row"),
        plural(verdict.chains.len(), "chain"),
        plural(writers.len(), "writer")
    );
    let total = verdict.findings.len() as u64 + verdict.more;
    let mut text = if verdict.is_whole() {
        format!("whole: {rows} ({})\n", harmless(name))
    } else {
        format!("changed: {} among {rows} ({})\n", count(total, "finding"), harmless(name))
    };
    for Finding { fault, writer, class, from, to } in &verdict.findings {
        let place = if from == to { format!("row {from}") } else { format!("rows {from} to {to}") };
        let (writer, class) = (harmless(writer), harmless(class));
        let _ =
            writeln!(text, "  {place} of class {class}, writer {writer}\n    {}: {}", fault.code(), fault.summary());
    }
    if verdict.more > 0 {
        let _ = writeln!(text, "  and {} more", verdict.more);
    }
    let seals = if !verdict.keyed {
        "not checked: no --key was given".to_owned()
    } else if verdict.signed == verdict.seals {
        "all signed by a given key".to_owned()
    } else {
        format!("{} signed by a given key", verdict.signed)
    };
    let _ = writeln!(text, "  {}, {seals}", count(verdict.seals, "seal"));
    if let Some(newest) = verdict.newest {
        let old = if stale { ", which is older than --max-age allows" } else { "" };
        let _ = writeln!(text, "  the newest is of {}{old}", instant(newest));
    } else if stale {
        let _ = writeln!(text, "  no seal is as new as --max-age asks");
    }
    match verdict.unsealed() {
        0 => {}
        n => {
            let _ = writeln!(text, "  {} that no seal names yet", count(n, "row"));
        }
    }
    let pruned: BTreeMap<&str, usize> =
        verdict.chains.iter().filter(|c| c.pruned > 0).fold(BTreeMap::new(), |mut all, chain| {
            *all.entry(chain.class.as_str()).or_default() += 1;
            all
        });
    for (class, chains) in pruned {
        let _ = writeln!(
            text,
            "  {} of class {} begin behind what retention removed",
            plural(chains, "chain"),
            harmless(class)
        );
    }
    text
}

fn machine(verdict: &Verdict, stale: bool) -> String {
    let chains = verdict.chains.iter().map(|chain| {
        json!({
            "writer": chain.writer,
            "class": chain.class,
            "pruned": chain.pruned,
            "last": chain.last,
            "sealed": chain.sealed,
            "hash": chain.hash.to_string(),
        })
    });
    let findings = verdict.findings.iter().map(|finding| {
        json!({
            "code": finding.fault.code(),
            "writer": finding.writer,
            "class": finding.class,
            "from": finding.from,
            "to": finding.to,
            "message": finding.fault.summary(),
        })
    });
    let document = json!({
        "schema": "doorward.audit-verify/v1",
        "whole": verdict.is_whole(),
        "rows": verdict.rows,
        "seals": verdict.seals,
        "signed": verdict.signed,
        "keyed": verdict.keyed,
        "newest_seal": verdict.newest.map(instant),
        "stale": stale,
        "unsealed": verdict.unsealed(),
        "chains": chains.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "more": verdict.more,
    });
    format!("{document:#}\n")
}
