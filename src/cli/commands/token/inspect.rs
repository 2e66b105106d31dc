//! `doorward token inspect`: what a token says, whether it is believed, and which doors take it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::cli::answer::Answer;
use crate::cli::commands::who_can::Format;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::keys::{runtime, web};
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::identity::{Limits, MAX_TOKEN, NotVerified, Unverified, Verified, Verifier};
use crate::model::{Action, Arguments, Context, Reason, Request, Resource, ResourceKind, Timestamp};
use crate::pdp::{Outcome, explain};
use crate::policy::CompiledPolicy;
use crate::report::Style;
use crate::report::token::{self, Door, Failed, Inspection, Problem};

/// What a door holds against a token.
const CHECKS: [Reason; 6] = [
    Reason::Issuer,
    Reason::Audience,
    Reason::TokenExpired,
    Reason::TokenNotYetValid,
    Reason::TokenLifetime,
    Reason::TokenStale,
];

/// Show what a token says, whether it verifies, and which doors take it
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward token issue --sub ana --door tickets | doorward token inspect
  doorward token inspect token.txt --format json",
    after_help = "\
A token is read from a file or from stdin and never taken as an argument, which others on the machine can see. The
signature is never shown.

Exit codes:
  0  the token verifies and a door takes it
  1  it does not verify, or no door takes it
  2  the policy cannot be used, or the keys of the issuer cannot be had"
)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    now: NowArg,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A file with the token, or `-` for stdin
    #[arg(value_name = "FILE", default_value = "-")]
    token: PathBuf,
}

impl Args {
    /// Verifies the token with the keys of the policy.
    pub(super) fn run(self, color: When) -> Result<Answer, Failure> {
        let now = self.now.instant();
        let token = read(&self.token)?;
        let opened = self.policy.open(color)?;
        let policy = &opened.compiled;
        let verifier = Verifier::new(policy.set(), Arc::new(web(opened.directory)), Limits::default());
        let verified = runtime()?.block_on(verifier.verify(token.expose_secret(), now));
        let (header, claims) = Unverified::parts(token.expose_secret());
        let mut inspection = Inspection { header, claims, issuer: None, problem: None, doors: Vec::new() };
        match &verified {
            Ok(verified) => {
                inspection.issuer = Some(verified.issuer().to_owned());
                inspection.doors = doors(policy, verified, now);
            }
            Err(NotVerified::Refused(refused)) => {
                let (code, message, help) = (refused.code(), refused.text().to_owned(), refused.help().to_owned());
                inspection.problem = Some(Problem { code, message, help });
            }
            Err(NotVerified::Unavailable) => inspection.problem = Some(unavailable(&verifier)),
        }
        let text = match self.format {
            Format::Human => token::human(&inspection, now, Style::new(self.output.is_none() && color.on_stdout())),
            Format::Json => token::json(&inspection, &policy.digest().to_string()),
        };
        let answer = match verified {
            Err(NotVerified::Unavailable) => Answer::none(text),
            _ => Answer::new(text, inspection.is_good()),
        };
        Ok(answer.to(self.output))
    }
}

/// The token of a file, without the line break behind it.
fn read(path: &Path) -> Result<SecretString, Failure> {
    // Said without repeating it.
    let looks_like_one = path.to_str().is_some_and(|text| text.starts_with("eyJ") && text.matches('.').count() == 2);
    if looks_like_one {
        return Err(Failure::new(Kind::Usage, "a token on the command line can be seen by others on this machine")
            .help("pipe it in, or name a file that holds it; and replace it if it is still good"));
    }
    let bytes = files::read(path, MAX_TOKEN as u64 + 2)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::new(Kind::BadInput, format!("`{}` holds no token", files::display_name(path)))
            .help("a token is one line of letters, digits, `-`, `_` and `.`")
    })?;
    Ok(SecretString::from(text.trim()))
}

/// Why no keys could be had.
fn unavailable(verifier: &Verifier) -> Problem {
    let failed = verifier.status().into_iter().find_map(|ring| ring.failed.map(|failed| (ring.issuer, failed)));
    let code = NotVerified::Unavailable.code();
    match failed {
        Some((issuer, failed)) => Problem {
            code,
            message: format!("the keys of issuer `{issuer}` cannot be had: {failed}"),
            help: failed.help().to_owned(),
        },
        None => Problem { code, message: "its issuer's keys cannot be had".into(), help: "try again".into() },
    }
}

/// What each door makes of the token itself; grants and scopes are for `decide`.
fn doors(policy: &CompiledPolicy, verified: &Verified, now: Timestamp) -> Vec<Door> {
    let claims = verified.claims();
    let (subject, facts) = verified.facts(&claims);
    let at = |door: &String| {
        let request = Request {
            subject,
            action: Action::ToolsList,
            resource: Resource { door, kind: ResourceKind::Server, name: "" },
            context: Context { now, token: facts, arguments: Arguments::NONE },
        };
        let checks = explain(policy, &request).checks;
        let failed = checks.into_iter().filter(|c| c.outcome != Outcome::Yes && CHECKS.contains(&c.reason));
        let failed = failed.map(|check| Failed {
            reason: check.reason,
            wanted: check.condition.wanted,
            found: check.condition.found,
        });
        Door { door: door.clone(), failed: failed.collect() }
    };
    policy.set().servers.keys().map(at).collect()
}
