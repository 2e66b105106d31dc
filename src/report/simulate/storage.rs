//! What the audit log takes, in the words that all forms share, and for people.

use super::Page;
use super::words::between;
use crate::policy::written;
use crate::report::text::{Cell, Columns, size};
use crate::simulate::{ClassStorage, Kept, Range, Report, Storage, Volume};

/// What stands over [`cells`].
pub(super) const HEAD: [&str; 7] =
    ["class", "retention", "rows", "kept", "rows in the long run", "size in the long run", "removed"];

/// One class: its name, and what stands under [`HEAD`].
pub(super) fn cells(one: &ClassStorage) -> [String; 7] {
    let both = |of: &dyn Fn(&Kept) -> String| match (one.before.as_ref().map(of), one.now.as_ref().map(of)) {
        (Some(before), Some(now)) if before != now => format!("{before} → {now}"),
        (_, Some(now)) => now,
        (Some(before), None) => format!("{before} → none"),
        (None, None) => String::new(),
    };
    let steady = |of: fn(&Volume) -> String| {
        both(&|kept: &Kept| match &kept.steady {
            Some(volume) => of(volume),
            None if kept.held => "all".to_owned(),
            None => "?".to_owned(),
        })
    };
    let removed = one.removed;
    let gone = if removed.rows.at_most == 0 {
        "none".to_owned()
    } else {
        format!("{}, {}", between(removed.rows), sizes(removed.bytes))
    };
    [
        one.class.clone(),
        both(&|kept| if kept.held { "held".to_owned() } else { written(kept.retention) }),
        both(&|kept| between(kept.written.rows)),
        both(&|kept| between(kept.kept.rows)),
        steady(|volume| between(volume.rows)),
        steady(|volume| sizes(volume.bytes)),
        gone,
    ]
}

/// How all that is meant.
pub(super) fn note(report: &Report) -> String {
    let Storage { row_bytes, .. } = &report.storage;
    format!(
        "In the long run: at the rate of this {}. Removed: older than the retention at the last event, by whole months. \
         A row of an intent is taken to need {}, of an outcome {}, of a denial {} bytes.",
        written(report.seconds()),
        row_bytes.intent,
        row_bytes.outcome,
        row_bytes.denial
    )
}

fn sizes(bytes: Range) -> String {
    let (least, most) = (size(bytes.at_least), size(bytes.at_most));
    if least == most { least } else { format!("{least} to {most}") }
}

impl Page {
    /// What the audit log takes. Without `all` only when the candidate keeps it otherwise.
    pub(super) fn storage(&mut self, report: &Report, all: bool) {
        let storage = &report.storage;
        if !(all || storage.changes()) {
            return;
        }
        self.heading("audit log");
        let mut table = Columns::new(2);
        let [_, head @ ..] = HEAD;
        table.row([Cell::text("")].into_iter().chain(head.map(Cell::faint)));
        for one in storage.classes.iter().take(self.limits.rows) {
            let [class, cells @ .., removed] = cells(one);
            let gone = one.removed.rows.at_most > 0;
            let removed = if gone { Cell::caution(removed) } else { Cell::faint(removed) };
            table.row([Cell::strong(class)].into_iter().chain(cells.map(Cell::text)).chain([removed]));
        }
        self.table(&table);
        self.rest(storage.classes.len());
        for sentence in note(report).split_inclusive(". ") {
            self.line(format_args!("  {}", sentence.trim_end()));
        }
    }
}
