//! `doorward attest verify`: whether a trusted key says that exactly this policy was rehearsed.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::attest::{Rejected, Verified};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::cli::{attestation, files};
use crate::policy::{Digest, written};
use crate::report::{harmless, plural};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Tell whether this very policy was rehearsed, by the word of a trusted key
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward attest verify
  doorward attest verify --policy policies.toml --trust attest.pub --format json",
    after_help = "\
Without --trust the keys are `trusted_keys` in `[rollout]` of the policy itself: whoever can change the policy can
change them too.

Exit codes:
  0  the attestation is valid, and about exactly this policy
  1  it is not
  2  there is no answer: a file cannot be read, or no key is trusted"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The attestation [default: the file of the policy with `.jws` behind its name]
    #[arg(long, value_name = "FILE")]
    attestation: Option<PathBuf>,
    /// A public key whose word counts, in PEM or base64; may be given again [default: `trusted_keys` of the policy]
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Reads policy, keys and attestation, in this order.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.open(color)?;
        let keys = attestation::trusted(&self.trust, &opened.checks.rollout)?;
        if keys.is_empty() {
            return Err(Failure::new(Kind::NotAttested, "no key is trusted")
                .help("name one with --trust FILE, or in `trusted_keys` of `[rollout]`"));
        }
        let path = attestation::place(&self.policy, self.attestation.as_deref())?;
        let digest = opened.compiled.digest();
        let read = Verified::read(&attestation::read(&path)?, &keys);
        // What is about another policy is still shown, when a trusted key has signed it.
        let rejected = match &read {
            Err(rejected) => Some(*rejected),
            Ok(verified) => verified.clone().of(digest).err(),
        };
        let text = match self.format {
            Format::Human => human(&files::display_name(&path), digest, rejected, read.as_ref().ok()),
            Format::Json => machine(digest, rejected, read.as_ref().ok()),
        };
        Ok(Answer::new(text, rejected.is_none()).to(self.output))
    }
}

fn human(name: &str, policy: Digest, rejected: Option<Rejected>, verified: Option<&Verified>) -> String {
    let mut text = match rejected {
        None => format!("valid: {} was rehearsed\n", harmless(name)),
        Some(why) => format!("rejected: {} ({}): {why}\n", harmless(name), why.code()),
    };
    // Writing to a string does not fail.
    let _ = writeln!(text, "  policy    {policy}");
    let Some(Verified { attestation: said, key }) = verified else { return text };
    if rejected.is_some() {
        let _ = writeln!(text, "  attested  {}", harmless(&said.policy.digest));
    }
    let _ = writeln!(text, "  signed    by {key} at {}, doorward {}", harmless(&said.time), harmless(&said.doorward));
    if let Some(baseline) = &said.baseline {
        let _ = writeln!(text, "  baseline  {}", harmless(baseline));
    }
    let (counts, reproduced) = (&said.counts, &said.reproduced);
    let _ = writeln!(
        text,
        "  gate      holds: {} events, {} newly denied, {} newly allowed, {} undecidable",
        counts.events, counts.newly_denied, counts.newly_allowed, counts.undecidable
    );
    let floor = [
        said.floor.events.map(|least| format!("min_events = {least}")),
        said.floor.seconds.map(|least| format!("min_window = {}", written(least))),
    ];
    let floor: Vec<String> = floor.into_iter().flatten().collect();
    let asked = if floor.is_empty() { String::new() } else { format!(", where {} was asked for", floor.join(", ")) };
    let _ = writeln!(text, "  window    {}{asked}", written(said.seconds));
    let _ = writeln!(text, "  recorded  {} of {} decisions reproduced", reproduced.same, reproduced.checked);
    let _ = writeln!(
        text,
        "  sound     {} passed, {} proved",
        plural(said.tests, "test"),
        plural(said.invariants, "invariant")
    );
    for file in &said.recordings {
        let _ = writeln!(text, "  traffic   {} {}", harmless(&file.digest), harmless(&file.name));
    }
    text
}

fn machine(policy: Digest, rejected: Option<Rejected>, verified: Option<&Verified>) -> String {
    let document = json!({
        "schema": "doorward.attest-verify/v1",
        "valid": rejected.is_none(),
        "code": rejected.map(Rejected::code),
        "policy": policy.to_string(),
        "key": verified.map(|verified| &verified.key),
        "attestation": verified.map(|verified| &verified.attestation),
    });
    format!("{document:#}\n")
}
