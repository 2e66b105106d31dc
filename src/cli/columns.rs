//! Files that hold a recording in columns.
//!
//! They are told by their first bytes. They are read in places, so that a pipe cannot be one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::failure::{Failure, Kind};
use super::files;
use crate::traffic::columns::{Columns, MAGIC};
use crate::traffic::{Everything, Line, Lines, Numbered, Unreadable};

/// Whether a recording of that name is to be written in columns.
pub(super) fn is_wanted(path: Option<&Path>) -> bool {
    path.and_then(Path::extension).is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Whether a file holds a recording in columns.
pub(super) fn is(path: &Path) -> Result<bool, Failure> {
    if files::is_stdin(path) {
        return Ok(false);
    }
    // What is no plain file is opened once, by whoever reads it: a pipe loses what was written to it when it is closed.
    if !std::fs::metadata(path).map_err(|e| Failure::reading(path, &e))?.is_file() {
        return Ok(false);
    }
    let file = files::open(path, None)?;
    let mut head = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(|e| Failure::reading(path, &e))?;
    Ok(head == MAGIC)
}

/// Opens a recording in columns.
pub(super) fn open(path: &Path) -> Result<Columns<File>, Failure> {
    let name = files::display_name(path);
    Columns::open(files::open(path, None)?).map_err(|e: Unreadable| {
        Failure::new(Kind::BadInput, format!("`{name}` is no recording: {e}"))
            .help("write it with `doorward import --output NAME.parquet`")
    })
}

/// The events of a recording in columns, one by one and with all of their arguments.
pub(super) fn items(columns: &Columns<File>) -> impl Iterator<Item = Result<Numbered, Unreadable>> {
    let mut lines = Lines::new(&Everything);
    (0..columns.groups()).flat_map(move |number| {
        let (mut found, mut rows) = (Vec::new(), columns.group(number));
        if let Err(unreadable) = &rows {
            found.push(Err(unreadable.clone()));
        }
        // A row group is held whole, which its writer keeps small.
        while let Some((number, row)) = rows.as_mut().ok().and_then(|rows| rows.next(&mut lines)) {
            let event = row.and_then(|row| row.line().map(Line::into_event));
            found.push(event.map(|event| Numbered { place: number.into(), event }));
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pipe_is_not_opened_to_find_out_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // To open it would wait for somebody who writes.
        let (sender, answer) = channel();
        thread::spawn(move || sender.send(is(&pipe).is_ok_and(|found| !found)));
        assert_eq!(answer.recv_timeout(Duration::from_secs(30)), Ok(true));
    }
}
