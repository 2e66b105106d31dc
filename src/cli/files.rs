//! Files in and out: bounded reads, and writes that are whole or not there at all.
//!
//! Never reads more than its limit, whatever the size that the file system reports, and never
//! leaves a half-written file behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::interrupt::Unfinished;

/// The largest policy, mapping or compiled file that is read, in bytes.
pub(super) const POLICY_LIMIT: u64 = 32 << 20;

/// The largest transcript that is read whole, in bytes.
pub(super) const TRANSCRIPT_LIMIT: u64 = 512 << 20;

/// Whether a path argument stands for stdin.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What to call a path in a report.
pub(super) fn display_name(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

/// Reads a file, or stdin for `-`, of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    if is_stdin(path) {
        return bounded(io::stdin().lock(), path, limit);
    }
    bounded(open(path, Some(limit))?, path, limit)
}

/// Opens a file to be read piece by piece. Refuses a directory and, with a limit, a larger file.
pub(super) fn open(path: &Path, limit: Option<u64>) -> Result<File, Failure> {
    let file = File::open(path).map_err(|e| Failure::reading(path, &e))?;
    let metadata = file.metadata().map_err(|e| Failure::reading(path, &e))?;
    if metadata.is_dir() {
        return Err(Failure::reading(path, &io::ErrorKind::IsADirectory.into()));
    }
    match limit {
        Some(limit) if metadata.len() > limit => Err(too_large(path, limit)),
        _ => Ok(file),
    }
}

/// Reads all of a stream of at most `limit` bytes.
pub(super) fn bounded(stream: impl Read, path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| Failure::reading(path, &e))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(path, limit));
    }
    Ok(bytes)
}

fn too_large(path: &Path, limit: u64) -> Failure {
    Failure::new(Kind::TooLarge, format!("`{}` is larger than {} MiB", display_name(path), limit >> 20))
        .help("check that this is the file you mean")
}

/// Which file a path names, however it is spelt: links are followed, and hard links are one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// One that is there, by its device and number.
    #[cfg(unix)]
    There(u64, u64),
    /// By its path from the root.
    Path(PathBuf),
}

impl Which {
    /// `None` for stdin and stdout, and for what is no plain file, such as a pipe.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if is_stdin(path) {
            return None;
        }
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => None,
            #[cfg(unix)]
            Ok(found) => {
                use std::os::unix::fs::MetadataExt;
                Some(Self::There(found.dev(), found.ino()))
            }
            #[cfg(not(unix))]
            Ok(_) => Some(Self::Path(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))),
            Err(_) => {
                let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
                Some(Self::Path(path.file_name().map_or(directory.clone(), |name| directory.join(name))))
            }
        }
    }
}

/// Refuses to write over what is read, and to write twice to one file, however the paths are spelt.
pub(super) fn apart<'p>(
    outputs: impl IntoIterator<Item = &'p Path>,
    inputs: impl IntoIterator<Item = &'p Path>,
) -> Result<(), Failure> {
    let which = |path: &'p Path| Some((Which::of(path)?, path));
    let outputs: Vec<(Which, &Path)> = outputs.into_iter().filter_map(which).collect();
    if outputs.is_empty() {
        return Ok(());
    }
    for (number, (file, path)) in outputs.iter().enumerate() {
        if let Some((_, twice)) = outputs.iter().take(number).find(|(other, _)| other == file) {
            let also = if twice == path { String::new() } else { format!(", also named `{}`", display_name(twice)) };
            let message = format!("two reports would be written to `{}`{also}", display_name(path));
            return Err(Failure::new(Kind::Usage, message).help("name a file of its own for each"));
        }
    }
    for (file, input) in inputs.into_iter().filter_map(which) {
        if let Some((_, output)) = outputs.iter().find(|(other, _)| *other == file) {
            let of = if *output == input { String::new() } else { format!(", which is `{}`,", display_name(output)) };
            let message = format!("the input `{}`{of} would be written over", display_name(input));
            return Err(Failure::new(Kind::Usage, message).help("name another file to write to"));
        }
    }
    Ok(())
}

/// Puts bytes into a file in place of what is there, whole or not at all. For a process that goes on: unlike an
/// [`Output`] it does not see to what becomes of a command that is stopped.
#[cfg(feature = "gateway")]
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e: &io::Error| Failure::writing(path, e);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|e| failed(&e))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(&e))?;
    file.persist(path).map(drop).map_err(|e| failed(&e.error))
}

/// A file in the making. It takes its name when it is [finished](Output::finish); dropped before, it
/// leaves nothing.
#[derive(Debug)]
pub(super) struct Output {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stdout(BufWriter<io::Stdout>),
    /// What is there already and is no plain file, such as a pipe or `/dev/null`.
    Special(BufWriter<File>, PathBuf),
    New {
        file: BufWriter<tempfile::NamedTempFile>,
        path: PathBuf,
        replace: bool,
        unfinished: Unfinished,
    },
}

impl Output {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self { sink: Sink::Stdout(BufWriter::new(io::stdout())) }
    }

    /// A file, or stdout for none and for `-`. Replaces what is there.
    pub(super) fn to(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            Some(path) if !is_stdin(path) => Self::file(path, true),
            _ => Ok(Self::stdout()),
        }
    }

    /// A file. Without `replace` it must not exist yet.
    pub(super) fn file(path: &Path, replace: bool) -> Result<Self, Failure> {
        let failed = |e: &io::Error| Failure::writing(path, e);
        // A link is followed, so that the file it names is replaced and not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&target) {
            Ok(_) if !replace => return Err(failed(&io::ErrorKind::AlreadyExists.into())),
            Ok(found) if found.is_dir() => return Err(failed(&io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(&target).map_err(|e| failed(&e))?;
                return Ok(Self { sink: Sink::Special(BufWriter::new(file), path.to_owned()) });
            }
            _ => {}
        }
        let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".doorward-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory).map_err(|e| failed(&io::Error::from(e.kind())))?;
        let unfinished = Unfinished::new(file.path());
        Ok(Self { sink: Sink::New { file: BufWriter::new(file), path: target, replace, unfinished } })
    }

    /// Writes what is left and gives the file its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.sink {
            Sink::Stdout(mut out) => out.flush().map_err(|e| Failure::writing(Path::new("stdout"), &e)),
            Sink::Special(mut out, path) => out.flush().map_err(|e| Failure::writing(&path, &e)),
            Sink::New { file, path, replace, unfinished } => {
                let failed = |e: &io::Error| Failure::writing(&path, e);
                let file = file.into_inner().map_err(|e| failed(e.error()))?;
                file.as_file().sync_all().map_err(|e| failed(&e))?;
                let kept = if replace { file.persist(&path) } else { file.persist_noclobber(&path) };
                drop(unfinished);
                kept.map(drop).map_err(|e| failed(&e.error))
            }
        }
    }

    /// What to call it when writing fails.
    pub(super) fn path(&self) -> &Path {
        match &self.sink {
            Sink::Stdout(_) => Path::new("stdout"),
            Sink::Special(_, path) | Sink::New { path, .. } => path,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Stdout(out) => out.write(bytes),
            Sink::Special(out, _) => out.write(bytes),
            Sink::New { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout(out) => out.flush(),
            Sink::Special(out, _) => out.flush(),
            Sink::New { file, .. } => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut output = Output::file(&path, true).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let mut output = Output::file(&path, true).unwrap();
        output.write_all(b"new").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(Output::file(&path, false).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_is_known_by_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("a"), "").unwrap();
        fs::write(at("b"), "").unwrap();
        fs::hard_link(at("a"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("soft")).unwrap();
        let refused = |output: &str, input: &str| apart([at(output).as_path()], [at(input).as_path()]).is_err();
        for name in ["a", "d/../a", "hard", "soft"] {
            assert!(refused(name, "a") && refused("a", name), "{name}");
            assert!(apart([at(name).as_path(), at("a").as_path()], []).is_err(), "{name}");
        }
        assert!(!refused("b", "a") && !refused("new", "a"));
        assert!(apart([at("new").as_path(), at("d/../new").as_path()], []).is_err());
        assert!(apart([Path::new("-"), Path::new("-")], [Path::new("-")]).is_ok());
        assert!(apart([Path::new("/dev/null"), Path::new("/dev/null")], []).is_ok());
    }

    #[test]
    fn a_stream_longer_than_its_limit_is_refused_without_reading_it_all() {
        assert_eq!(bounded(&b"12345"[..], Path::new("-"), 5).unwrap(), b"12345");
        let endless = bounded(io::repeat(b'x'), Path::new("-"), 1 << 20).unwrap_err();
        assert_eq!(
            endless.to_string(),
            "error[too-large]: `stdin` is larger than 1 MiB\n  = help: check that this is the file you mean\n"
        );
    }
}
