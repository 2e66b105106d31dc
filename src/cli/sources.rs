//! In what form traffic comes, and how it is read.
//!
//! One set of flags for every command that reads traffic, so that all of them read it alike.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::stream::Bounded;
use super::terminal::When;
use super::{columns, files, inputs, stream};
use crate::diagnostics::{Diagnostic, Sources, did_you_mean};
use crate::policy::mask_secrets;
use crate::report::{Style, harmless, human};
use crate::traffic::fieldmap::{self, FieldMap, SHIPPED};
use crate::traffic::mapping::{self, Mapping};
use crate::traffic::{Imported, Numbered, Reader, Unreadable, chat, log};

/// What the traffic comes as.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// What the traffic comes as: `recording`, `chat`, the name of a shipped field map (see `doorward import
    /// --maps`), or the path of one; for `simulate` also `audit` [default: `recording`, with --mapping `chat`]
    #[arg(long, value_name = "FORMAT")]
    from: Option<String>,
    /// What the log does not say: who made which calls, with which token and when
    #[arg(long, value_name = "FILE")]
    pub(super) mapping: Option<PathBuf>,
    /// Stop at the first record that cannot be read
    #[arg(long)]
    pub(super) strict_input: bool,
}

/// What an audit log is called as a source.
const AUDIT: &str = "audit";

/// What the traffic comes as, with all that it takes to read it.
#[derive(Debug)]
pub(super) enum Format {
    /// doorward's own recordings.
    Recording,
    /// Chat transcripts with tool calls.
    Chat(Box<Mapping>),
    /// A log that a field map describes.
    Log(Box<FieldMap>, Option<Box<Mapping>>),
}

impl SourceArgs {
    /// As the flags would say.
    pub(super) fn new(from: Option<String>, mapping: Option<PathBuf>) -> Self {
        Self { from, mapping, strict_input: false }
    }

    /// Whether no flag says anything.
    pub(super) fn is_default(&self) -> bool {
        self.from.is_none() && self.mapping.is_none() && !self.strict_input
    }

    /// Whether the traffic is what an audit log says that was decided.
    pub(super) fn is_audit(&self) -> bool {
        self.from.as_deref() == Some(AUDIT)
    }

    /// The files that say how to read, where they are files.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let map = self.from.as_ref().map(PathBuf::from).filter(|path| path.is_file());
        self.mapping.iter().cloned().chain(map).collect()
    }

    /// Reads the field map and the mapping.
    pub(super) fn format(&self, color: When) -> Result<Format, Failure> {
        let mapping = || self.mapping.as_deref().map(|path| read_mapping(path, color)).transpose();
        match self.from.as_deref() {
            None => Ok(mapping()?.map_or(Format::Recording, |mapping| Format::Chat(Box::new(mapping)))),
            Some("recording") if self.mapping.is_some() => {
                let message = "a recording says itself who made its calls: --mapping is for other logs";
                Err(Failure::new(Kind::Usage, message).help("leave out --mapping, or name the format with --from"))
            }
            Some("recording") => Ok(Format::Recording),
            Some(AUDIT) => {
                Err(Failure::new(Kind::Usage, "an audit log is read by `simulate` alone, and from no scenario")
                    .help("write `doorward audit export --format recording --output FILE`, and name the file"))
            }
            Some("chat") => match mapping()? {
                Some(mapping) => Ok(Format::Chat(Box::new(mapping))),
                None => Err(Failure::new(Kind::Usage, "a chat transcript does not say which functions are MCP calls")
                    .help("say it in a mapping, and name that with --mapping")),
            },
            Some(name) => Ok(Format::Log(Box::new(read_map(name, color)?), mapping()?.map(Box::new))),
        }
    }
}

impl Format {
    /// Which files of a directory hold such traffic, by the ends of their names.
    const fn extensions(&self) -> &'static [&'static str] {
        match self {
            Self::Recording => &["jsonl", "parquet"],
            Self::Chat(_) => &["json"],
            Self::Log(..) => &["jsonl", "json", "ndjson", "log", "har"],
        }
    }

    /// The files that paths, globs and directories stand for.
    pub(super) fn expand(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        inputs::expand(given, self.extensions())
    }

    /// Reads one file. A record that cannot be read goes to `sink` like any other; a file that is no
    /// recording at all is an error.
    pub(super) fn read_file(&self, path: &Path, sink: log::Sink<'_>) -> Result<Imported, Failure> {
        if matches!(self, Self::Recording) && columns::is(path)? {
            let columns = columns::open(path)?;
            return Ok(counted(columns::items(&columns), sink));
        }
        let input = stream::open(path)?;
        self.read(input, sink).map_err(|e| no_recording(&files::display_name(path), &e))
    }

    /// As [`Format::read_file`], from a stream, which cannot hold a recording in columns.
    pub(super) fn read(&self, input: impl BufRead, sink: log::Sink<'_>) -> Result<Imported, Unreadable> {
        match self {
            Self::Recording => Ok(counted(Reader::new(input)?, sink)),
            Self::Chat(mapping) => {
                let mut flow = ControlFlow::Continue(());
                let input = Bounded::new(input, files::TRANSCRIPT_LIMIT);
                Ok(chat::read(input, mapping, &mut |item| {
                    if flow.is_continue() {
                        flow = sink(item);
                    }
                }))
            }
            Self::Log(map, mapping) => Ok(log::read(input, map, mapping.as_deref(), sink)),
        }
    }
}

/// Hands each item of a recording to `sink` and counts it.
fn counted(items: impl Iterator<Item = Result<Numbered, Unreadable>>, sink: log::Sink<'_>) -> Imported {
    let mut counts = Imported::default();
    for item in items {
        counts.records += 1;
        match &item {
            Ok(_) => counts.events += 1,
            Err(_) => counts.unreadable += 1,
        }
        if sink(item).is_break() {
            break;
        }
    }
    counts.documents = counts.records;
    counts
}

/// Why a file is no recording.
pub(super) fn no_recording(name: &str, error: &Unreadable) -> Failure {
    Failure::new(Kind::BadInput, format!("`{name}` is no recording: {}", mask_secrets(&error.to_string())))
        .help("say what it is with --from; `doorward import --maps` lists what can be read")
}

/// A record that cannot be read, where that ends everything.
pub(super) fn strict(name: &str, unreadable: &Unreadable) -> Failure {
    Failure::new(Kind::BadInput, format!("{name}:{}", harmless(&mask_secrets(&unreadable.to_string()))))
        .help("repair the record, or leave out --strict-input to have it counted")
}

/// Reads a mapping that must be good.
fn read_mapping(path: &Path, color: When) -> Result<Mapping, Failure> {
    let bytes = files::read(path, files::POLICY_LIMIT)?;
    let name = files::display_name(path);
    let mut sources = Sources::default();
    mapping::load(&name, &bytes, &mut sources)
        .map_err(|problems| unusable(&format!("the mapping `{name}`"), &problems, &sources, color))
}

/// Reads a field map that must be good: one that comes with doorward, or a file.
fn read_map(name: &str, color: When) -> Result<FieldMap, Failure> {
    let mut sources = Sources::default();
    let loaded = match fieldmap::shipped(name) {
        Some(map) => fieldmap::load(map.name, map.text.as_bytes(), &mut sources),
        None => {
            let path = Path::new(name);
            if !name.contains(['/', '\\', '.']) && !path.exists() {
                return Err(unknown(name));
            }
            fieldmap::load(name, &files::read(path, files::POLICY_LIMIT)?, &mut sources)
        }
    };
    loaded.map_err(|problems| unusable(&format!("the field map `{name}`"), &problems, &sources, color))
}

/// A format that there is not.
pub(super) fn unknown(name: &str) -> Failure {
    let known = || ["recording", "chat"].into_iter().chain(SHIPPED.iter().map(|map| map.name));
    let help = did_you_mean(name, known()).map_or_else(
        || format!("one of {}, or the path of a field map", known().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Failure::new(Kind::UnknownName, format!("`{name}` is no format that doorward reads")).help(help)
}

fn unusable(what: &str, problems: &[Diagnostic], sources: &Sources, color: When) -> Failure {
    Failure::new(Kind::BadInput, format!("{what} cannot be used")).after(human::check(
        problems,
        sources,
        Style::new(color.on_stderr()),
    ))
}
