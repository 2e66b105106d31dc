//! `doorward import`: a foreign log becomes a recording.

use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::cli::answer::Answer;
use crate::cli::columns;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files::{self, Output};
use crate::cli::sources::{self, Format, SourceArgs};
use crate::cli::terminal::When;
use crate::report::{harmless, plural};
use crate::traffic::columns::ColumnWriter;
use crate::traffic::fieldmap::{SHIPPED, shipped};
use crate::traffic::{Event, Header, Imported, Numbered, Unreadable, UnreadableCode, WriteError, Writer};

/// How many records that cannot be read are shown.
const SHOWN: u64 = 10;

/// Turn a foreign log into a recording
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward import --maps
  doorward import --from toolhive --mapping identities.toml audit.jsonl.gz --output monday.jsonl
  doorward import --print-map envoy > my-envoy.toml && doorward import --from ./my-envoy.toml logs/",
    after_help = "\
Exit codes:
  0  every record was read
  1  some could not be read; the others were written
  2  nothing could be read, or with --strict-input not all; nothing was written"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// List the field maps that come with doorward
    #[arg(long)]
    maps: bool,
    /// Print a field map that comes with doorward, to be copied and edited
    #[arg(long, value_name = "NAME", conflicts_with = "maps")]
    print_map: Option<String>,
    /// Write the recording to a file, in columns (Parquet) if its name ends in `.parquet` [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Logs, plain or packed by gzip or zstd: files, globs, directories, or `-` for stdin
    #[arg(value_name = "INPUT", required_unless_present_any = ["maps", "print_map"])]
    inputs: Vec<PathBuf>,
}

impl Args {
    /// Writes the recording, whole or not at all.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        if self.maps {
            let width = SHIPPED.iter().map(|map| map.name.len()).max().unwrap_or_default();
            let lines = SHIPPED.iter().map(|map| format!("{:width$}  {}\n", map.name, map.about));
            return Ok(Answer::yes(lines.collect::<String>()).to(self.output));
        }
        if let Some(name) = self.print_map {
            let map = shipped(&name).ok_or_else(|| sources::unknown(&name))?;
            return Ok(Answer::yes(map.text).to(self.output));
        }
        let format = self.source.format(color)?;
        let paths = format.expand(&self.inputs)?;
        let read = self.source.files();
        files::apart(self.output.as_deref(), paths.iter().chain(&read).map(PathBuf::as_path))?;
        let mut import = Import::new(
            Output::to(self.output.as_deref())?,
            columns::is_wanted(self.output.as_deref()),
            self.source.strict_input,
        );
        for path in &paths {
            import.file(path, &format)?;
        }
        import.finish()
    }
}

/// The recording in the making.
struct Import {
    sink: Sink,
    strict: bool,
    total: Imported,
    shown: String,
}

/// Where events go. Nothing is written before there is one, so that a log of which nothing can be
/// read leaves nothing, not even on stdout.
enum Sink {
    Waiting(Output, bool),
    Writing(Writer<Output>),
    /// In columns.
    Filing(Box<ColumnWriter<Output>>),
    Failed(Failure),
}

impl Sink {
    /// Writes the header.
    fn begin(self) -> Self {
        match self {
            Self::Waiting(output, in_columns) => {
                let header = Header::new(concat!("doorward ", env!("CARGO_PKG_VERSION"), " import"));
                let path = output.path().to_owned();
                let begun = if in_columns {
                    ColumnWriter::new(output, &header).map(|writer| Self::Filing(Box::new(writer)))
                } else {
                    Writer::new(output, &header).map(Self::Writing)
                };
                begun.unwrap_or_else(|e| Self::Failed(failure(&path, &e)))
            }
            begun => begun,
        }
    }

    /// Writes an event; of one that no reader would take, how long its line would be.
    fn write(&mut self, event: &Event) -> Option<usize> {
        let before = std::mem::replace(self, Self::Failed(Failure::new(Kind::CannotWrite, "unfinished")));
        *self = before.begin();
        let written = match self {
            Self::Writing(writer) => writer.write(event),
            Self::Filing(writer) => writer.write(event),
            Self::Waiting(..) | Self::Failed(_) => return None,
        };
        match written {
            Ok(()) => None,
            Err(WriteError::TooLong { bytes }) => Some(bytes),
            Err(error) => {
                *self = Self::Failed(failure(Path::new("the recording"), &error));
                None
            }
        }
    }

    /// Whether there is a point in reading on.
    const fn flow(&self) -> ControlFlow<()> {
        match self {
            Self::Failed(_) => ControlFlow::Break(()),
            Self::Waiting(..) | Self::Writing(_) | Self::Filing(_) => ControlFlow::Continue(()),
        }
    }
}

impl Import {
    fn new(output: Output, in_columns: bool, strict: bool) -> Self {
        Self { sink: Sink::Waiting(output, in_columns), strict, total: Imported::default(), shown: String::new() }
    }

    fn file(&mut self, path: &Path, format: &Format) -> Result<(), Failure> {
        let name = files::display_name(path);
        let mut first = None;
        let mut refused = 0;
        let redact = &matches!(format, Format::Recording);
        let Self { sink, strict, shown, total } = self;
        let mut count = total.unreadable;
        let mut take = |item: Result<Numbered, Unreadable>| {
            let mut unreadable = match item {
                Ok(Numbered { place, mut event }) => {
                    // Importers have done so; a recording may come from anywhere.
                    let redacted = if *redact { event.redact() } else { Ok(()) };
                    let (code, message) = match redacted.map(|()| sink.write(&event)) {
                        Ok(None) => return sink.flow(),
                        Ok(Some(bytes)) => {
                            (UnreadableCode::LineTooLong, format!("the event would take a line of {bytes} bytes"))
                        }
                        Err(message) => (UnreadableCode::NotAnEvent, message),
                    };
                    refused += 1;
                    Unreadable { place, code, message, gap: None }
                }
                Err(unreadable) => unreadable,
            };
            unreadable.redact();
            count += 1;
            if count <= SHOWN {
                // Writing to a string cannot fail.
                let _ = writeln!(shown, "{}:{}", harmless(&name), harmless(&unreadable.to_string()));
            }
            if *strict {
                first = Some(unreadable);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let mut counts = format.read_file(path, &mut take)?;
        if let Some(unreadable) = first {
            return Err(sources::strict(&name, &unreadable));
        }
        counts.events -= refused;
        counts.unreadable += refused;
        total.add(&counts);
        Ok(())
    }

    fn finish(self) -> Result<Answer, Failure> {
        let Imported { events, unreadable, .. } = self.total;
        if events == 0 && unreadable > 0 {
            return Err(Failure::new(Kind::BadInput, "no record could be read")
                .help("check --from, the field map and the mapping against the log")
                .after(self.shown));
        }
        let written = match self.sink.begin() {
            Sink::Writing(writer) => writer.finish(),
            Sink::Filing(writer) => writer.finish(),
            Sink::Failed(failure) => return Err(failure),
            Sink::Waiting(output, _) => Ok(output),
        };
        written.map_err(|e| failure(Path::new("the recording"), &e))?.finish()?;
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
