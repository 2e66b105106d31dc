//! `doorward audit prune`: what has been kept long enough goes, and a stub stays.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::line::instant;
use super::source::SourceArgs;
use super::verify::{Format, key as public_key};
use crate::audit::Signer;
use crate::audit::chain::{Fault, SigningKey};
use crate::audit::store::{Held, Prune, Pruned, Stub};
use crate::cli::answer::Answer;
use crate::cli::audit_log::{block_on, failure, secret};
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::secrets;
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::credentials::vault::Transit;
use crate::policy::set::PolicySet;
use crate::report::{harmless, plural};

/// Remove the months that the policy no longer keeps
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit prune --dry-run
  doorward audit prune --signing-key audit.pem --hold-subject ana",
    after_help = "\
Whole months go, by `[audit.retention]` of the policy, but for what `[audit.holds]` keeps. What would go is
verified first. What went is written to the log in the same transaction, so that the log can still be
verified. The log's own rows stay.

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
    /// A public key that signed seals earlier, in PEM or base64; may be given again
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Remove rows that do not verify too, and write down what was found
    #[arg(long)]
    despite_findings: bool,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

impl Args {
    /// Class by class, each for itself.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let (set, directory) = self.source.opened(color)?;
        let store = self.source.store(color)?;
        let name = store.to_string();
        let mut keys = self.key.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
        let now = self.now.instant().0.saturating_mul(1_000_000);
        let done = block_on(async {
            let signer = self.signer(&set, &directory).await?;
            keys.extend(signer.iter().map(|signer| signer.public().clone()));
            let connected = if self.dry_run { store.reader().await } else { store.patient().await };
            let mut connection = connected.map_err(|e| failure(&e, &name))?;
            let mut done = Vec::new();
            for (class, seconds) in &set.audit.retention {
                let kept = i64::try_from(*seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                let hold = self.holds(&set, class);
                let prune = Prune { class: class.clone(), before: now.saturating_sub(kept), hold };
                let pruned = connection.would_prune(&prune).await.map_err(|e| failure(&e, &name))?;
                if pruned.rows() > 0 && !self.dry_run {
                    let findings = connection.inspect(&pruned, keys.clone()).await.map_err(|e| failure(&e, &name))?;
                    // What a writer has signed to be lost is accounted for.
                    let unexplained = findings.iter().filter(|found| found.fault != Fault::Lost).count();
                    if unexplained > 0 && !self.despite_findings {
                        return Err(changed(&name, class, unexplained));
                    }
                    let stub = Stub { writer: &writer()?, now, signer: signer.as_deref(), findings: &findings };
                    connection.prune(&pruned, &stub).await.map_err(|e| failure(&e, &name))?;
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
        Ok(Answer::new(text, done.iter().any(|pruned| pruned.rows() > 0)))
    }

    /// What keeps rows of a class, by the policy and by the command line.
    fn holds(&self, set: &PolicySet, class: &str) -> Vec<Held> {
        let mut held = Vec::new();
        for (name, hold) in &set.audit.holds {
            let whole = hold.classes.iter().any(|held| held == class).then_some(None);
            let subjects = hold.subjects.iter().map(|subject| Some(subject.clone()));
            held.extend(whole.into_iter().chain(subjects).map(|subject| Held { hold: name.clone(), subject }));
        }
        if self.hold_class.iter().any(|held| held == class) {
            held.push(Held { hold: "--hold-class".to_owned(), subject: None });
        }
        let subjects = self.hold_subject.iter().cloned();
        held.extend(subjects.map(|subject| Held { hold: "--hold-subject".to_owned(), subject: Some(subject) }));
        held
    }

    /// What signs the stubs.
    async fn signer(&self, set: &PolicySet, directory: &Path) -> Result<Option<Box<dyn Signer>>, Failure> {
        let signer = match (&self.signing_key, &set.audit.signing_key) {
            (Some(path), _) => signing_key(path)?,
            (None, Some(reference)) if reference.starts_with("transit:") => {
                let name = reference.trim_start_matches("transit:");
                let vault = secrets::open(secrets::declared(set)?, None)?;
                return Ok(Some(Box::new(Transit::open(vault, name).await.map_err(secrets::unavailable)?)));
            }
            (None, Some(reference)) => key(&secret(reference, directory, "the key")?, "the key of the policy")?,
            (None, None) => return Ok(None),
        };
        Ok(Some(Box::new(signer)))
    }
}

/// Nothing goes that does not verify: who signs that it went would vouch for it.
fn changed(name: &str, class: &str, findings: usize) -> Failure {
    let message = format!(
        "`{name}`: of class `{class}` nothing more was removed: {} in what would go or in the seals",
        plural(findings, "finding")
    );
    Failure::new(Kind::BadInput, message).help(
        "`doorward audit verify` shows them; --key gives the keys that signed earlier; \
         --despite-findings removes the rows and writes the findings down",
    )
}

/// A name that no writer had before.
fn writer() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::new(Kind::CannotRead, "the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
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
    for pruned in done {
        let Pruned { class, before, held, .. } = pruned;
        let would = if dry_run { "would go" } else { "went" };
        let when = if *before == i64::MIN { String::new() } else { format!(" from before {}", instant(*before)) };
        let held = if held.is_empty() { String::new() } else { format!("; held by {}", harmless(&held.join(", "))) };
        let _ = writeln!(text, "{}: {} rows{when} {would}{held}", harmless(class), pruned.rows());
    }
    text
}

fn machine(done: &[Pruned], dry_run: bool) -> String {
    let classes = done.iter().map(|pruned| {
        json!({
            "class": pruned.class,
            "before": (pruned.before > i64::MIN).then(|| instant(pruned.before)),
            "rows": pruned.rows(),
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
