//! `doorward import`: a foreign log becomes a recording.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files::{self, Output};
use crate::cli::inputs;
use crate::cli::terminal::When;
use crate::diagnostics::Sources;
use crate::report::{Style, harmless, human, plural};
use crate::traffic::chat;
use crate::traffic::mapping::{self, Mapping};
use crate::traffic::{Event, Header, Imported, Numbered, Unreadable, WriteError, Writer};

/// How many records that cannot be read are shown.
const SHOWN: u64 = 10;

/// Turn chat transcripts with tool calls into a recording
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward import --mapping mapping.toml chats.json --output chats.jsonl",
    after_help = "\
Exit codes:
  0  every record was read
  1  some could not be read; the others were written
  2  nothing could be read; nothing was written"
)]
pub(in crate::cli) struct Args {
    /// What the log does not say: which calls are MCP calls, who made them, and when
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Write the recording to a file [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Transcripts: files, globs, directories, or `-` for stdin
    #[arg(value_name = "TRANSCRIPT", required = true)]
    transcripts: Vec<PathBuf>,
}

impl Args {
    /// Writes the recording, whole or not at all.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let mapping = read_mapping(&self.mapping, color)?;
        let paths = inputs::expand(&self.transcripts, "json")?;
        let mut import = Import::new(Output::to(self.output.as_deref())?);
        for path in &paths {
            import.file(path, &mapping)?;
        }
        import.finish()
    }
}

/// Reads a mapping that must be good.
pub(super) fn read_mapping(path: &Path, color: When) -> Result<Mapping, Failure> {
    let bytes = files::read(path, files::POLICY_LIMIT)?;
    let name = files::display_name(path);
    let mut sources = Sources::default();
    mapping::load(&name, &bytes, &mut sources).map_err(|problems| {
        Failure::new(Kind::BadInput, format!("the mapping `{name}` cannot be used")).after(human::check(
            &problems,
            &sources,
            Style::new(color.on_stderr()),
        ))
    })
}

/// The recording in the making.
struct Import {
    sink: Sink,
    total: Imported,
    shown: String,
}

/// Where events go. Nothing is written before there is one, so that a log of which nothing can be
/// read leaves nothing, not even on stdout.
enum Sink {
    Waiting(Output),
    Writing(Writer<Output>),
    Failed(Failure),
}

impl Sink {
    /// Writes the header.
    fn begin(self) -> Self {
        match self {
            Self::Waiting(output) => {
                let header = Header::new(concat!("doorward ", env!("CARGO_PKG_VERSION"), " import"));
                let path = output.path().to_owned();
                Writer::new(output, &header).map_or_else(|e| Self::Failed(failure(&path, &e)), Self::Writing)
            }
            begun => begun,
        }
    }

    fn write(self, event: &Event) -> Self {
        match self.begin() {
            Self::Writing(mut writer) => match writer.write(event) {
                Ok(()) => Self::Writing(writer),
                Err(error) => Self::Failed(failure(Path::new("the recording"), &error)),
            },
            failed => failed,
        }
    }
}

impl Import {
    fn new(output: Output) -> Self {
        Self { sink: Sink::Waiting(output), total: Imported::default(), shown: String::new() }
    }

    fn file(&mut self, path: &Path, mapping: &Mapping) -> Result<(), Failure> {
        let input: Box<dyn BufRead> = if files::is_stdin(path) {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(BufReader::new(files::open(path, Some(files::TRANSCRIPT_LIMIT))?))
        };
        let name = files::display_name(path);
        let Self { sink, shown, total } = self;
        let mut count = total.unreadable;
        let mut take = |item: Result<Numbered, Unreadable>| match item {
            Ok(Numbered { event, .. }) => {
                let before = std::mem::replace(sink, Sink::Failed(Failure::new(Kind::CannotWrite, "unfinished")));
                *sink = before.write(&event);
            }
            Err(unreadable) => {
                count += 1;
                if count <= SHOWN {
                    // Writing to a string cannot fail.
                    let _ = writeln!(shown, "{}: {}", harmless(&name), harmless(&unreadable.to_string()));
                }
            }
        };
        let counts = chat::read(input, mapping, &mut take);
        total.add(&counts);
        Ok(())
    }

    fn finish(self) -> Result<Answer, Failure> {
        let Imported { events, unreadable, .. } = self.total;
        if events == 0 && unreadable > 0 {
            return Err(Failure::new(Kind::BadInput, "no call could be read")
                .help("check the [[calls]] of the mapping against the log")
                .after(self.shown));
        }
        match self.sink.begin() {
            Sink::Writing(writer) => {
                let output = writer.finish().map_err(|e| failure(Path::new("the recording"), &e))?;
                output.finish()?;
            }
            Sink::Failed(failure) => return Err(failure),
            Sink::Waiting(_) => {}
        }
        // The counts are no part of the recording.
        let _ = write!(std::io::stderr(), "{}{}", self.shown, summary(&self.total));
        Ok(Answer::new(String::new(), unreadable == 0))
    }
}

fn summary(total: &Imported) -> String {
    let count = |n: u64, word: &str| plural(usize::try_from(n).unwrap_or(usize::MAX), word);
    let mut text = format!("{} from {}\n", count(total.events, "event"), count(total.records, "record"));
    for (rule, n) in &total.ignored {
        let _ = writeln!(text, "  {} left out by the rule `{}`", count(*n, "record"), harmless(rule));
    }
    for (name, n) in &total.unmapped {
        let _ = writeln!(text, "  {} of `{}`, of which no rule says anything", count(*n, "record"), harmless(name));
    }
    for (n, word, what) in
        [(total.unidentified, "event", "without an identity"), (total.unreadable, "record", "not readable")]
    {
        if n > 0 {
            let _ = writeln!(text, "  {} {what}", count(n, word));
        }
    }
    text
}

fn failure(path: &Path, error: &WriteError) -> Failure {
    match error {
        WriteError::Io(error) => Failure::writing(path, error),
        WriteError::TooLong { .. } => Failure::new(Kind::BadInput, error.to_string()),
    }
}
