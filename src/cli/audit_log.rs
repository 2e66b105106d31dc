//! Reading an audit log: a store, or exported lines of one.

use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::files;
use crate::audit::chain::{Link, Row, Verifier};
use crate::audit::store::{Connection, Order, Select, Store, StoreError, StoreErrorKind};
use crate::audit::{Beside, spare_threads};

/// The longest line of an export, in bytes. The longest rows are seals, which name at most 5,000 others,
/// or the chains of one writer.
const MAX_LINE: u64 = 1 << 24;
/// How many bytes of lines are verified at once.
const PART: usize = 1 << 18;

/// A log that can be read.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Store(Store),
    Lines(PathBuf),
}

/// The store of that name. A path counts from that directory.
pub(super) fn store(named: String, directory: &Path) -> Result<Store, Failure> {
    Store::in_directory(&resolve(named, directory)?, directory).map_err(|e: StoreError| failure(&e, "the audit log"))
}

/// The URL of a store. A path of a policy counts from its directory.
fn resolve(named: String, directory: &Path) -> Result<String, Failure> {
    let reference = ["env:", "file:", "vault:"].iter().any(|kind| named.starts_with(kind));
    if reference { secret(&named, directory, "the audit log") } else { Ok(named) }
}

/// What a reference stands for.
pub(super) fn secret(named: &str, directory: &Path, what: &str) -> Result<String, Failure> {
    if let Some(name) = named.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            Failure::new(Kind::CannotRead, format!("the variable `{name}`, which holds {what}, is not set"))
                .help("set it, or name another place on the command line")
        });
    }
    if let Some(path) = named.strip_prefix("file:") {
        let text = String::from_utf8(files::read(&directory.join(path), 65_536)?).unwrap_or_default();
        return Ok(text.trim().to_owned());
    }
    Err(Failure::new(Kind::BadInput, "this command reads nothing from Vault")
        .help("name the store with --store env:NAME"))
}

impl Source {
    /// A store, by what `--store` takes, or else a file with exported lines.
    pub(super) fn named(named: &Path) -> Result<Self, Failure> {
        let known = ["sqlite:", "postgres://", "postgresql://", "env:", "file:"];
        match named.to_str().filter(|text| known.iter().any(|scheme| text.starts_with(scheme))) {
            Some(text) => store(text.to_owned(), Path::new("")).map(Self::Store),
            None => Ok(Self::Lines(named.to_owned())),
        }
    }

    /// The name for people, without a password.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Store(store) => store.to_string(),
            Self::Lines(path) => files::display_name(path),
        }
    }

    /// The files that it is in, if it is in any: nothing may be written over them.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Store(store) => store.files(),
            Self::Lines(path) => vec![path.clone()],
        }
    }

    /// Opens it. A store keeps its connection, so that several questions are about one and the same.
    pub(super) fn open(self) -> Result<Reader, Failure> {
        let name = self.name();
        Ok(match self {
            Self::Store(store) => {
                let runtime = runtime()?;
                let connection = runtime.block_on(store.reader()).map_err(|e| failure(&e, &name))?;
                Reader { name, from: From::Store(runtime, Box::new(connection)) }
            }
            Self::Lines(path) => Reader { name, from: From::Lines(path) },
        })
    }
}

/// Reads a log.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    from: From,
}

#[derive(Debug)]
enum From {
    Store(tokio::runtime::Runtime, Box<Connection>),
    Lines(PathBuf),
}

impl Reader {
    /// The name for people, without a password.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// From here on what is read is of one and the same state.
    pub(super) fn snapshot(&mut self) -> Result<(), Failure> {
        match &mut self.from {
            From::Store(runtime, connection) => {
                runtime.block_on(connection.snapshot()).map_err(|e| failure(&e, &self.name))
            }
            From::Lines(_) => Ok(()),
        }
    }

    /// Hands over the rows that are asked for. Those of exported lines come in the order of the file.
    pub(super) fn each(
        &mut self,
        select: &Select,
        take: &mut (dyn FnMut(Row) -> ControlFlow<()> + Send),
    ) -> Result<(), Failure> {
        match &mut self.from {
            From::Store(runtime, connection) => {
                runtime.block_on(connection.read(select, take)).map_err(|e| failure(&e, &self.name))
            }
            From::Lines(path) => lines(path, select, take),
        }
    }
}

impl Reader {
    /// Holds every row against its chain, after the verifier has taken the seals.
    pub(super) fn verify(&mut self, verifier: Verifier) -> Result<Verifier, Failure> {
        match &mut self.from {
            From::Store(runtime, connection) => {
                runtime.block_on(connection.verify(verifier)).map_err(|e| failure(&e, &self.name))
            }
            From::Lines(path) => verify_lines(path, verifier),
        }
    }
}

fn verify_lines(path: &Path, verifier: Verifier) -> Result<Verifier, Failure> {
    let mut beside: Beside<_, Failure> = Beside::new(verifier, spare_threads(0), || {
        let (path, mut buffer) = (path.to_owned(), Vec::new());
        Ok(move |(first, text): (u64, Vec<u8>)| {
            let lines = (first..).zip(text.split_inclusive(|byte| *byte == b'\n'));
            lines
                .map(|(number, line)| Ok(Link::of(&mut row(&path, number, line)?, &mut buffer)))
                .collect::<Result<_, Failure>>()
        })
    })?;
    let mut reader = BufReader::with_capacity(1 << 18, files::open(path, None)?);
    let (mut first, mut text) = (1, Vec::new());
    for next in 2_u64.. {
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text);
        let end = read.map_err(|e| Failure::reading(path, &e))? == 0;
        if end || text.len() >= PART {
            if !beside.part((first, std::mem::take(&mut text))) || end {
                break;
            }
            first = next;
        }
    }
    beside.end()
}

/// The row of a line.
fn row(path: &Path, number: u64, line: &[u8]) -> Result<Row, Failure> {
    Row::read_line(line).map_err(|e| {
        Failure::new(Kind::BadInput, format!("line {number} of `{}` is no row: {e}", files::display_name(path)))
            .help("a line of `doorward audit export` is one JSON object; nothing may be taken from it or put to it")
    })
}

fn lines(path: &Path, select: &Select, take: &mut (dyn FnMut(Row) -> ControlFlow<()> + Send)) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(1 << 18, files::open(path, None)?);
    let mut line = Vec::new();
    let limit = usize::try_from(select.limit.unwrap_or(i64::MAX)).unwrap_or(usize::MAX);
    let in_order = select.order != Order::Chain;
    let (mut given, mut gathered) = (0, Vec::new());
    for number in 1_u64.. {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(|e| Failure::reading(path, &e))? == 0 {
            break;
        }
        let row = row(path, number, &line)?;
        if !select.matches(&row) {
            continue;
        }
        if in_order {
            gathered.push(row);
        } else if given < limit {
            given += 1;
            if take(row).is_break() {
                break;
            }
        }
    }
    gathered.sort_by_key(|row| row.entry.at);
    if select.order == Order::Latest {
        gathered.reverse();
    }
    for row in gathered.into_iter().take(limit) {
        if take(row).is_break() {
            break;
        }
    }
    Ok(())
}

/// Runs what asks a store.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(runtime()?.block_on(future))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Kind::CannotRead, format!("no runtime can be started: {e}")))
}

/// What a store said, for the person at the command line.
pub(super) fn failure(error: &StoreError, name: &str) -> Failure {
    let kind = match error.kind {
        StoreErrorKind::NotAStore | StoreErrorKind::Impossible => Kind::BadInput,
        StoreErrorKind::NoLog | StoreErrorKind::Unreachable | StoreErrorKind::Untrusted => Kind::CannotRead,
        StoreErrorKind::Refused | StoreErrorKind::Taken | StoreErrorKind::NotSigned | StoreErrorKind::Doubt => {
            Kind::CannotWrite
        }
    };
    let failure = Failure::new(kind, format!("`{name}`: {error}"));
    match error.kind {
        StoreErrorKind::NoLog => {
            failure.help("`doorward serve` makes the log when it starts, `doorward audit init` before")
        }
        StoreErrorKind::Unreachable => failure.help("check the address of the store, and that it is up"),
        StoreErrorKind::Untrusted => failure
            .help("give the CA of its certificate with `?sslrootcert=FILE`, and the name that it is for as the host"),
        StoreErrorKind::NotAStore => failure.help("write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`"),
        _ => failure,
    }
}
