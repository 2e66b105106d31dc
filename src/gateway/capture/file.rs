//! The files of a capture: named by when they begin, closed under their name, the oldest gone first.
//!
//! A file that is being written ends in `.part`. It takes its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;
use zstd::stream::write::Encoder;

use super::CaptureOptions;
use crate::model::Timestamp;
use crate::traffic::{Event, Gap, Header, WriteError, Writer};

/// How each name begins and ends.
const NAME: (&str, &str) = ("capture-", ".jsonl.zst");
/// How a file ends that is being written.
const PART: &str = ".part";

/// A file that counts what it takes.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is being written.
pub(super) struct Open {
    writer: Writer<Encoder<'static, Counted>>,
    bytes: Arc<AtomicU64>,
    part: PathBuf,
    pub(super) since: Timestamp,
}

impl Open {
    pub(super) fn write(&mut self, event: &Event) -> Result<(), WriteError> {
        self.writer.write(event)
    }

    pub(super) fn gap(&mut self, gap: Gap) -> Result<(), WriteError> {
        self.writer.gap(gap)
    }

    /// Puts what was written where another process can read it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }

    /// Bytes on the disk, as far as they are there.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The folder and what may be in it.
pub(super) struct Files {
    options: CaptureOptions,
    name: String,
    next: u32,
}

impl Files {
    pub(super) fn new(options: CaptureOptions, name: &str) -> io::Result<Self> {
        fs::create_dir_all(&options.directory)?;
        let files = Self { options, name: name.to_owned(), next: 0 };
        let probe = files.options.directory.join(format!("{}{name}{PART}", NAME.0));
        private(&probe)?;
        fs::remove_file(&probe)?;
        Ok(files)
    }

    /// Begins a file.
    pub(super) fn open(&mut self, now: Timestamp, policy: Option<&str>) -> Result<Open, WriteError> {
        let begun = stamp(now);
        let part = format!("{}{begun}-{}-{:04}{}{PART}", NAME.0, self.name, self.next, NAME.1);
        let part = self.options.directory.join(part);
        self.next = self.next.wrapping_add(1);
        let bytes = Arc::new(AtomicU64::new(0));
        let file = Counted { file: private(&part)?, bytes: Arc::clone(&bytes) };
        let mut header = Header::new(concat!("doorward ", env!("CARGO_PKG_VERSION"), " gateway"));
        header.policy = policy.map(str::to_owned);
        if self.options.percent < 100 {
            header.note = Some(format!("{} % of the sessions", self.options.percent));
        }
        let writer = Writer::new(Encoder::new(file, 0)?, &header)?;
        Ok(Open { writer, bytes, part, since: now })
    }

    /// Whether a file has taken enough.
    pub(super) fn is_full(&self, open: &Open) -> bool {
        open.bytes() >= self.options.file
    }

    /// Closes a file under its name, and removes the oldest of those that are too much.
    pub(super) fn close(&self, open: Open) -> Result<(), WriteError> {
        let Open { writer, part, .. } = open;
        let counted = writer.finish()?.finish()?;
        counted.file.sync_all()?;
        fs::rename(&part, part.with_extension(""))?;
        self.prune()?;
        Ok(())
    }

    fn prune(&self) -> io::Result<()> {
        let files = closed(&self.options.directory)?;
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in files {
            if total <= self.options.total {
                break;
            }
            // Another gateway may have removed it already.
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            total = total.saturating_sub(bytes);
        }
        Ok(())
    }
}

/// The closed files of a folder with their names and sizes. A name begins with a time: the oldest is the first.
fn closed(directory: &Path) -> io::Result<Vec<(String, PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
            files.push((name, entry.path(), entry.metadata().map_or(0, |data| data.len())));
        }
    }
    files.sort();
    Ok(files)
}

/// The closed files that were begun at an instant or later, the oldest first, and of those the last so many bytes,
/// but the last one in any case.
pub(super) fn last(directory: &Path, since: Timestamp, most: u64) -> io::Result<Vec<PathBuf>> {
    let mut files = closed(directory)?;
    let first = format!("{}{}", NAME.0, stamp(since));
    files.retain(|(name, _, _)| *name >= first);
    let mut total = 0_u64;
    let mut last = Vec::new();
    for (_, path, bytes) in files.into_iter().rev() {
        total = total.saturating_add(bytes);
        if total > most && !last.is_empty() {
            break;
        }
        last.push(path);
    }
    last.reverse();
    Ok(last)
}

/// An instant as it stands in a name.
fn stamp(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A new file for its owner alone.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
