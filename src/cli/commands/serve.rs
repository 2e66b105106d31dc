//! `doorward serve`: the gateway, until it is told to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::attest::{Cleared, Evidence};
use crate::cli::answer::Answer;
use crate::cli::attestation::{TrustArgs, Unsound, sound_and_tested};
use crate::cli::candidate::InFiles;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::log::JsonLines;
use crate::cli::policy::{Named, PolicyArgs};
use crate::cli::terminal::When;
use crate::gateway::upstream::Patience;
use crate::gateway::{Candidates, Cause, Metrics, Options, Overrides, open};
use crate::policy::duration::duration;
use crate::report::Style;

/// How to write the log
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// What the report of a reload is called.
const REPORT: &str = "doorward-reload.json";

/// Serve the policy: one gateway in front of its MCP servers
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward serve --policy policies.toml --format json",
    after_help = "\
Each server of the policy is at /NAME/mcp. Health and metrics are on the admin address at /healthz, /readyz and
/metrics, and what `doorward status` and `doorward reload` ask. The log goes to stderr.

When the files of the policy change, and on SIGHUP, the new policy is tested, rehearsed on the recordings of
`[rollout]` and on the last traffic, and put in force when every gate holds. Otherwise the old one stays.

SIGTERM and SIGINT end it: calls may finish for 20 seconds, a second signal ends it at once.

Exit codes:
  0  it was told to stop, and everything had ended
  1  it was told to stop, and calls were cut off
  2  it cannot start, or a listener broke"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Where callers reach it [default: `gateway.listen` of the policy]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where health, metrics and control are: HOST:PORT on the loopback, or unix:PATH [default: `gateway.admin` of
    /// the policy]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The store of the audit log: `sqlite:PATH`, `postgres://…`, `env:NAME` or `file:PATH` [default: that of
    /// the policy]
    #[arg(long, value_name = "STORE")]
    audit: Option<String>,
    /// The private key that signs the seals of the audit log, in PEM [default: that of the policy]
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// How long a server may take to begin its answer
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = patience)]
    timeout: Duration,
    /// Take another policy only when told to, by SIGHUP or `doorward reload`, not when its files change
    #[arg(long)]
    no_watch: bool,
    /// Where to put the report of each reload [default: `doorward-reload.json` beside the policy]
    #[arg(long, value_name = "FILE")]
    reload_report: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// What of the log to write: `error`, `warn`, `info`, `debug`, or by part as in
    /// `info,doorward::child=debug`, which shows what programs say on stderr and may hold secrets
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn patience(text: &str) -> Result<Duration, String> {
    let seconds = duration(text).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| "write a duration as in `30s` or `2m`".to_owned())
}

/// A path of the command line counts from where it is given, one of the policy from the policy.
fn from_here(named: &str) -> String {
    let absolute = |kind: &str| {
        let path = std::path::absolute(named.strip_prefix(kind)?).ok()?;
        Some(format!("{kind}{}", path.display()))
    };
    let kinds = ["sqlite:", "file:", "unix:"];
    kinds.into_iter().find_map(absolute).unwrap_or_else(|| named.to_owned())
}

impl Args {
    /// Serves until a signal comes.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        take_no_huge_pages();
        let texts = self.policy.texts()?;
        let opened = texts.open(&[], color)?;
        if let Named::Sources(loaded) = texts.read()? {
            sound_and_tested(&loaded, Style::new(color.on_stderr())).map_err(|Unsound { what, text }| {
                Failure::new(Kind::CannotServe, format!("{what}, so it is not served (unsound)"))
                    .help("mend the policy, or the test that asks too much")
                    .after(text)
            })?;
        }
        let cleared = self.trust.first(&self.policy, &opened)?;
        self.log()?;
        forbid_core_dumps();
        if let Evidence::Attested { key, time } = cleared.evidence() {
            tracing::info!(key, time, "the policy is attested");
        }
        let directory = opened.directory.clone().unwrap_or_default();
        let report = self.reload_report.unwrap_or_else(|| directory.join(REPORT));
        // What came from stdin does not come again.
        let again = !self.policy.path().is_ok_and(|path| files::is_stdin(&path));
        let candidates = again.then(|| Arc::new(InFiles::new(self.policy, self.trust, report)) as Arc<dyn Candidates>);
        let options = Options {
            directory,
            overrides: Overrides {
                listen: self.listen,
                admin: self.admin.map(|admin| from_here(&admin)),
                audit: self.audit.map(|store| from_here(&store)),
                signing_key: self.signing_key.map(|path| from_here(&format!("file:{}", path.display()))),
            },
            patience: Patience { first_byte: self.timeout, ..Patience::default() },
            candidates,
            watch: !self.no_watch,
            metrics: Metrics::install(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Kind::CannotServe, format!("no threads: {error}")))?;
        let answer = runtime.block_on(serve(&cleared, options));
        // A rehearsal that is under way keeps nobody waiting.
        runtime.shutdown_background();
        answer
    }

    fn log(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{}` is no filter of the log", self.log)).help("write `--log info`")
        })?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A logger that another part of the process has set stays.
        let _ = match self.format {
            Format::Human => log.with_ansi(false).with_target(false).try_init(),
            Format::Json => log.event_format(JsonLines).try_init(),
        };
        Ok(())
    }
}

/// Sees to it that memory is not taken 2 MiB at a time: what thousands of silent streams hold lies in many places, and
/// each would take all of its page. Programs that are started inherit it.
fn take_no_huge_pages() {
    // Where it cannot be, more memory is taken and nothing else changes.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Sees to it that no image of this process, which holds secrets, is written should it crash, and none of
/// the programs that it starts.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may write what is in memory to a file");
    }
}

async fn serve(cleared: &Cleared, options: Options) -> Result<Answer, Failure> {
    let digest = cleared.policy().digest().to_string();
    let gateway = open(cleared, &options).await.map_err(refused)?;
    let shown = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    tracing::info!(
        address = shown(gateway.address()),
        admin = gateway.admin(),
        tls = gateway.is_tls(),
        doors = gateway.doors().join(" "),
        audit = gateway.audit(),
        policy = digest,
        "serving"
    );
    let mut signals =
        Signals::new().map_err(|error| Failure::new(Kind::CannotServe, format!("signals cannot be heard: {error}")))?;
    let reloads = gateway.reloads();
    let (told, stop) = tokio::sync::oneshot::channel();
    let running = gateway.run(async move {
        // A sender that is gone stops it too.
        let _ = stop.await;
    });
    tokio::pin!(running);
    let mut told = Some(told);
    let all = loop {
        tokio::select! {
            ended = &mut running => break ended,
            signal = signals.next() => match (signal, told.take()) {
                (Told::Reload, still) => {
                    reloads.ask(Cause::Signal);
                    told = still;
                }
                (Told::Stop, Some(told)) => drop(told.send(())),
                (Told::Stop, None) => break Ok(false),
            },
        }
    };
    match all {
        Ok(all) => {
            tracing::info!(all, "stopped");
            Ok(Answer::new(String::new(), all))
        }
        Err(error) => Err(Failure::new(Kind::CannotServe, format!("a listener broke: {error}"))),
    }
}

/// Everything that keeps it from starting, each with what to do.
fn refused(refusals: Vec<crate::gateway::Refusal>) -> Failure {
    let mut refusals = refusals;
    let Some(last) = refusals.pop() else { return Failure::new(Kind::CannotServe, "the gateway cannot start") };
    let before: String = refusals
        .iter()
        .map(|refusal| Failure::new(Kind::CannotServe, worded(refusal)).help(&*refusal.help).to_string())
        .collect();
    Failure::new(Kind::CannotServe, worded(&last)).help(last.help).after(before)
}

fn worded(refusal: &crate::gateway::Refusal) -> String {
    format!("{} ({})", refusal.message, refusal.code)
}

/// What a signal says.
enum Told {
    Stop,
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
