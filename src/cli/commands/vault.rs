//! `doorward vault`: what Vault must hold for a policy, written there and verified.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::secrets::{block_on, declared, open, unavailable};
use crate::cli::terminal::When;
use crate::credentials::plan::{Change, Plan, human, json, plan, terraform};
use crate::credentials::vault::{Excess, apply, compare, missing, stale, verify};
use crate::policy::CompiledPolicy;
use crate::report::{Style, harmless};

/// How to write the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// Resources for Terraform and `OpenTofu`
    Hcl,
    /// One JSON document
    Json,
}

/// Show, write and verify what Vault must hold for the policy
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward vault plan")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Plan(PlanArgs),
    Apply(ApplyArgs),
    Verify(VerifyArgs),
}

/// Show what Vault must hold for the policy
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward vault plan
  doorward vault plan --live --login env:VAULT_TOKEN
  doorward vault plan --format hcl --output doorward.tf",
    after_help = "\
The plan comes from the policy alone. Only --live asks Vault, and shows what differs there.

Exit codes:
  0  the plan; with --live, Vault holds all of it
  1  with --live, something is missing or differs
  2  the policy cannot be used, needs nothing of Vault, or Vault does not answer"
)]
struct PlanArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Compare it with what Vault holds
    #[arg(long)]
    live: bool,
    /// The token to look with: `env:NAME` or `file:PATH`
    #[arg(long, value_name = "REFERENCE", default_value = "env:VAULT_TOKEN")]
    login: String,
    /// How to write the plan
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the plan to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Write to Vault what it must hold for the policy
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward vault apply --login env:VAULT_TOKEN",
    after_help = "\
Only what is missing or differs is written, so that doing it again does nothing. Nothing is ever removed.

Exit codes:
  0  Vault holds all of it
  1  a policy that servers need is not there, and is not doorward's to write
  2  the policy cannot be used, or Vault does not take it"
)]
struct ApplyArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The token to write with: `env:NAME` or `file:PATH`
    #[arg(long, value_name = "REFERENCE", default_value = "env:VAULT_TOKEN")]
    login: String,
}

/// Verify that the gateway's own login can do what the plan says, and no more
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward vault verify",
    after_help = "\
Logs in as the gateway does, by `login` of `[vault]`, and asks Vault what that login can do. A secret id that can be
used once is then used up.

Exit codes:
  0  exactly what the plan says
  1  more or less than that
  2  the policy cannot be used, or Vault does not answer"
)]
struct VerifyArgs {
    #[command(flatten)]
    policy: PolicyArgs,
}

impl Args {
    /// Does it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        match self.what {
            What::Plan(args) => args.run(color),
            What::Apply(args) => args.run(color),
            What::Verify(args) => args.run(color),
        }
    }
}

impl PlanArgs {
    fn run(self, color: When) -> Result<Answer, Failure> {
        let policy = self.policy.open(color)?.compiled;
        let plan = needed(&policy)?;
        let changes = if self.live {
            block_on(async {
                let vault = open(declared(policy.set())?, Some(&self.login))?;
                compare(&vault, &plan).await.map_err(unavailable)
            })?
        } else {
            Vec::new()
        };
        let text = match self.format {
            Format::Human => human(&plan, &changes, Style::new(self.output.is_none() && color.on_stdout())),
            Format::Hcl => terraform(&plan),
            Format::Json => json(&plan, &policy.digest().to_string()),
        };
        let holds = changes.iter().all(|change| *change == Change::Keep);
        Ok(Answer::new(text, holds).to(self.output))
    }
}

impl ApplyArgs {
    fn run(self, color: When) -> Result<Answer, Failure> {
        let policy = self.policy.open(color)?.compiled;
        let plan = needed(&policy)?;
        let (changes, absent, left) = block_on(async {
            let vault = open(declared(policy.set())?, Some(&self.login))?;
            let changes = compare(&vault, &plan).await.map_err(unavailable)?;
            let written = apply(&vault, &plan, &changes).await;
            written.map_err(|(wanted, reason)| {
                let before = format!("while writing the {} `{}`:\n", wanted.kind.name(), wanted.name);
                unavailable(reason).after(before)
            })?;
            let absent = missing(&vault, &plan).await.map_err(unavailable)?;
            Ok((changes, absent, stale(&vault, &plan).await.map_err(unavailable)?))
        })?;
        let mut text = human(&plan, &changes, Style::new(color.on_stdout()));
        for policy in &absent {
            // Writing to a string does not fail.
            let _ = writeln!(text, "the policy {} is not there: write what it allows", harmless(policy));
        }
        for role in &left {
            let _ =
                writeln!(text, "the token role {} is of no server here: remove it if it is of none", harmless(role));
        }
        Ok(Answer::new(text, absent.is_empty()))
    }
}

impl VerifyArgs {
    fn run(self, color: When) -> Result<Answer, Failure> {
        let policy = self.policy.open(color)?.compiled;
        let plan = needed(&policy)?;
        let found = block_on(async {
            let vault = open(declared(policy.set())?, None)?;
            let found = verify(&vault, &plan).await.map_err(unavailable);
            // The login was for this alone.
            let _ = vault.close().await;
            found
        })?;
        let mut text = String::new();
        for excess in &found {
            let line = match excess {
                Excess::Root => "the login can do everything".to_owned(),
                Excess::More(path, what) => format!("more than the plan: {path} ({})", listed(what)),
                Excess::Less(path, what) => format!("less than the plan: {path} ({})", listed(what)),
                Excess::Pattern(path) => format!("more than the plan: {path} (a pattern of its policy)"),
                Excess::Policy(name) => format!("more than the plan: the policy {name}"),
            };
            let _ = writeln!(text, "{}", harmless(&line));
        }
        if found.is_empty() {
            let _ = writeln!(text, "the login can do what the plan says, and no more: {} paths", plan.allowed.len());
        }
        Ok(Answer::new(text, found.is_empty()))
    }
}

fn listed(words: &std::collections::BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The plan of a policy that needs something of Vault.
fn needed(policy: &CompiledPolicy) -> Result<Plan, Failure> {
    declared(policy.set())?;
    plan(policy.set()).ok_or_else(|| {
        Failure::new(Kind::NothingToDo, "no server has a credential from Vault")
            .help("give one `credential = { vault = \"kv\", path = \"tokens/NAME\" }`")
    })
}
