//! Which files a list of paths, globs and directories stands for.
//!
//! The order never depends on the file system: what a glob or directory gives is sorted. A pattern
//! that finds nothing is an error, so that a typo never passes for an empty recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::files::{self, Which};

/// How deep directories are followed.
const MAX_DEPTH: usize = 16;

/// The files, in order and each once; `-` stays as it is.
pub(super) fn expand(given: &[PathBuf], extensions: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut gathered: Vec<PathBuf> = Vec::new();
    for path in given {
        let before = found.len();
        let more = if files::is_stdin(path) {
            vec![path.clone()]
        } else if path.is_dir() {
            let mut files = Vec::new();
            walk(path, extensions, MAX_DEPTH, &mut files)?;
            files.sort();
            let kinds: Vec<String> = extensions.iter().map(|e| format!("`*.{e}`")).collect();
            let kinds = kinds.join(", ");
            some(files, path, &format!("there is no {kinds} in the directory `{}`", path.display()))?
        } else if path.exists() || !is_glob(path) {
            vec![path.clone()]
        } else {
            some(matching(path)?, path, &format!("nothing matches `{}`", path.display()))?
        };
        found.extend(more);
        if !matches!(found.get(before..), Some([only]) if only == path) {
            gathered.extend_from_slice(found.get(before..).unwrap_or_default());
        }
    }
    let mut seen = BTreeSet::new();
    // Two names of one file are one file.
    found.retain(|path| Which::of(path).is_none_or(|file| seen.insert(file)));
    twice(&found, &gathered)?;
    Ok(found)
}

/// Refuses two forms of what looks like one recording, when nobody named both.
fn twice(found: &[PathBuf], gathered: &[PathBuf]) -> Result<(), Failure> {
    let mut known: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
    for path in found {
        let Some(other) = known.insert(recording(path), path) else { continue };
        if gathered.contains(path) || gathered.contains(other) {
            let message = format!(
                "`{}` and `{}` look like one recording in two forms, which would be counted twice",
                other.display(),
                path.display()
            );
            let help = "move one away, or name each file that is meant";
            return Err(Failure::new(Kind::Usage, message).help(help));
        }
    }
    Ok(())
}

/// The path of a file without what says how it is packed and in which form a recording is in it.
fn recording(path: &Path) -> PathBuf {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return path.to_owned() };
    let plain = plain(name);
    let form = [".jsonl", ".parquet"].iter().find_map(|form| plain.strip_suffix(form));
    path.with_file_name(form.unwrap_or(plain))
}

/// A name without what says how the file is packed.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name)
}

fn is_glob(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn some(files: Vec<PathBuf>, path: &Path, message: &str) -> Result<Vec<PathBuf>, Failure> {
    if files.is_empty() {
        let help = format!("check the path; `{}` is taken from this directory", path.display());
        return Err(Failure::new(Kind::CannotRead, message).help(help));
    }
    Ok(files)
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Failure> {
    let bad = |cause: String| {
        Failure::new(Kind::Usage, format!("`{}` is not a pattern: {cause}", pattern.display()))
            .help("`*` is any run of characters but `/`, `**` any directories")
    };
    let text = pattern.to_str().ok_or_else(|| bad("it is not UTF-8".to_owned()))?;
    let mut files = Vec::new();
    for found in glob::glob(text).map_err(|e| bad(e.to_string().to_lowercase()))? {
        let path = found.map_err(|e| Failure::reading(e.path(), e.error()))?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Files below a directory. Links to directories are not followed, so that none leads round.
fn walk(directory: &Path, extensions: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |e: &std::io::Error| Failure::reading(directory, e);
    for entry in fs::read_dir(directory).map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| failed(&e))?;
        if kind.is_dir() {
            if depth > 0 {
                walk(&path, extensions, depth - 1, found)?;
            }
        } else if is_one_of(&path, extensions) && !path.is_dir() {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a name ends in one of these, packed or not.
fn is_one_of(path: &Path, extensions: &[&str]) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    plain(name).rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_globs_give_sorted_files_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        for name in ["b/2.jsonl", "b/1.jsonl.gz", "a.jsonl.zst", "note.txt", "note.gz"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let at = |name: &str| root.path().join(name);
        let names = |given: &[PathBuf]| {
            let found = expand(given, &["jsonl"]).unwrap();
            found.iter().map(|p| p.strip_prefix(root.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[root.path().to_owned()]), ["a.jsonl.zst", "b/1.jsonl.gz", "b/2.jsonl"]);
        assert_eq!(
            names(&[at("b/*.jsonl*"), at("a.jsonl.zst"), at("b/2.jsonl")]),
            ["b/1.jsonl.gz", "b/2.jsonl", "a.jsonl.zst"]
        );
        assert!(expand(&[at("c/*.jsonl")], &["jsonl"]).is_err());
        assert!(expand(&[at("b")], &["csv"]).is_err());
        assert_eq!(expand(&["-".into()], &["jsonl"]).unwrap(), [PathBuf::from("-")]);
    }

    #[test]
    fn one_recording_in_two_forms_is_not_counted_twice_in_silence() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["r.jsonl", "s.jsonl"] {
            fs::write(at(name), "").unwrap();
        }
        let refused = |given: &[PathBuf]| match expand(given, &["jsonl", "parquet"]) {
            Ok(_) => String::new(),
            Err(failure) => failure.to_string().replace(&root.path().display().to_string(), ""),
        };
        assert_eq!(refused(&[root.path().to_owned(), at("r.jsonl"), at("./r.jsonl")]), "");
        for more in ["r.jsonl.gz", "r.jsonl.zst", "r.parquet"] {
            fs::write(at(more), "").unwrap();
            assert!(refused(&[at("r*")]).contains(&format!("`/{more}`")), "{more}");
            assert!(refused(&[at("r.jsonl"), at(more)]).is_empty(), "{more}");
            assert!(refused(&[root.path().to_owned()]).contains(&format!("`/{more}`")), "{more}");
            fs::remove_file(at(more)).unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("r.jsonl"), at("latest.jsonl")).unwrap();
            assert_eq!(expand(&[root.path().to_owned()], &["jsonl"]).unwrap().len(), 2);
        }
    }
}
