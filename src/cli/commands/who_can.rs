//! `doorward who-can`: everyone who can make a call.

use std::path::PathBuf;

use crate::analyze::{Options, who_can};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
#[cfg(feature = "gateway")]
use crate::cli::gateway::GatewayArgs;
use crate::cli::policy::PolicyArgs;
use crate::cli::request::{arguments, pair, suggest};
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::policy::CompiledPolicy;
use crate::policy::set::{ItemPattern, PolicySet, item_name};
use crate::report::{Style, access};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Show who can make a call
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward who-can tickets:refund
  doorward who-can tickets:refund --arg amount=200",
    after_help = "\
Without --args and --arg any arguments count. The answer is exact.

Exit codes:
  0  someone can
  1  nobody can
  2  the policy cannot be used, or the question was too large to answer"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[cfg(feature = "gateway")]
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    now: NowArg,
    /// The arguments, as a JSON object
    #[arg(long = "args", value_name = "JSON")]
    whole: Option<String>,
    /// One argument as `NAME=VALUE`; a value that is JSON is taken as JSON; may be given again
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = pair)]
    single: Vec<(String, String)>,
    /// Show a request for each grant
    #[arg(long)]
    requests: bool,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `SERVER:TOOL`, `SERVER:prompt:NAME`, `SERVER:resource:NAME`, `SERVER:`, or a pattern over them
    #[arg(value_name = "CALL")]
    call: String,
}

impl Args {
    /// Asks about every item of the pattern.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let policy = &self.judging(color)?;
        let pattern = pattern(&self.call, policy.set())?;
        let arguments = arguments(self.whole.as_deref(), &self.single)?;
        let options = Options { from: Some(self.now.instant()), ..Options::default() };
        let found = who_can(policy, &pattern, arguments.as_ref(), options);
        let text = match self.format {
            Format::Human => {
                access::human(&found, self.requests, Style::new(self.output.is_none() && color.on_stdout()))
            }
            Format::Json => access::json(&found, &policy.digest().to_string()),
        };
        let someone = found.items.iter().any(|item| !item.grants.is_empty());
        let answer =
            if !someone && !found.unanswered.is_empty() { Answer::none(text) } else { Answer::new(text, someone) };
        Ok(answer.to(self.output))
    }
}

impl Args {
    /// The policy that is asked: that of a running gateway, or that in the files.
    fn judging(&self, color: When) -> Result<CompiledPolicy, Failure> {
        #[cfg(feature = "gateway")]
        if self.gateway.is_named() {
            return self.gateway.find(&self.policy, color)?.policy();
        }
        Ok(self.policy.open(color)?.compiled)
    }
}

/// The pattern, which must cover something.
fn pattern(text: &str, set: &PolicySet) -> Result<ItemPattern, Failure> {
    let bad = |cause: String| {
        Failure::new(Kind::Usage, format!("`{text}` is not a call: {cause}"))
            .help("write `SERVER:TOOL`, or a pattern as `tickets:*`")
    };
    let pattern =
        ItemPattern::parse(text).map_err(|e| bad(e.to_string()))?.ok_or_else(|| bad("it has no `:`".into()))?;
    let known: Vec<String> =
        set.items().map(|(server, kind, name, _)| format!("{server}:{}", item_name(kind, name))).collect();
    let doors = set.servers.keys().any(|server| pattern.matches(server, ""));
    if doors || set.items().any(|(server, kind, name, _)| pattern.matches(server, &item_name(kind, name))) {
        return Ok(pattern);
    }
    let failure = Failure::new(Kind::UnknownName, format!("the policy declares nothing like `{text}`"));
    Err(suggest(failure, text, known.iter().map(String::as_str)))
}
