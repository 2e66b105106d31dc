//! Several candidates rehearsed in one pass over the traffic.
//!
//! Each candidate has its own fold. What does not depend on the candidate is done once an event: the
//! reading and the judgement of the baseline.

use std::borrow::Borrow;

use super::part::Part;
use super::rehearsal::Rehearsal;
use super::shard::Shard;
use super::terms::Terms;
use crate::pdp;
use crate::policy::CompiledPolicy;
#[cfg(feature = "parquet")]
use crate::traffic::columns::Rows;
use crate::traffic::{Batch, Event, Glance, Imported, Line, Lines, Numbered, Observed, Place, Unreadable};

/// Rehearsals of several candidates on one traffic, against one baseline.
#[derive(Debug)]
pub struct Rehearsals<'p> {
    baseline: Option<&'p CompiledPolicy>,
    /// The terms that matter to the baseline are the same for all.
    terms: Terms,
    each: Vec<Rehearsal<'p>>,
    /// Which records are fed; the others are passed over before they are read. Of columns, whoever reads them knows.
    shard: Option<Shard>,
}

impl<'p> Rehearsals<'p> {
    /// Rehearsals of candidates, each with its what-ifs; the rest of the terms is one for all.
    pub fn new(
        candidates: impl IntoIterator<Item = (&'p CompiledPolicy, Vec<String>)>,
        baseline: Option<&'p CompiledPolicy>,
        terms: &Terms,
    ) -> Self {
        let each = candidates
            .into_iter()
            .map(|(candidate, what_if)| Rehearsal::new(candidate, baseline).under(Terms { what_if, ..terms.clone() }));
        Self { baseline, terms: terms.clone(), each: each.collect(), shard: None }
    }

    /// The same, of one shard of the traffic only.
    #[must_use]
    pub fn of(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    fn takes(&self, place: Place) -> bool {
        self.shard.is_none_or(|shard| shard.takes(place.record))
    }

    /// Names the source of what is fed from now on.
    pub fn source(&mut self, name: &str) {
        self.each.iter_mut().for_each(|one| one.source(name));
    }

    /// Feeds an event, or what stands in its place.
    pub fn item(&mut self, item: &Result<Numbered, Unreadable>) {
        match item {
            Ok(Numbered { place, .. }) if !self.takes(*place) => {}
            Ok(Numbered { place, event }) => self.event(*place, event),
            Err(unreadable) => self.unreadable(unreadable),
        }
    }

    /// Feeds lines of a recording.
    pub fn batch(&mut self, lines: &mut Lines<'_>, batch: &Batch) {
        for (number, item) in batch.items() {
            if !self.takes(number.into()) {
                continue;
            }
            let read = match item {
                Ok((bytes, ended)) => lines.read(bytes, number, ended),
                Err(unreadable) => Err(unreadable),
            };
            match &read {
                Ok(line) => self.glance(number.into(), &line.glance(), || Ok(line)),
                Err(unreadable) => self.lost(unreadable),
            }
        }
    }

    /// Feeds a row group of a recording in columns, or what stands in its place. It belongs to one shard as a whole:
    /// whoever reads it knows which.
    #[cfg(feature = "parquet")]
    pub fn rows(&mut self, lines: &mut Lines<'_>, rows: Result<Rows, Unreadable>) {
        match rows {
            Ok(mut rows) => {
                while let Some((number, row)) = rows.next(lines) {
                    match &row {
                        Ok(row) => self.glance(number.into(), &row.glance(), || row.line()),
                        Err(unreadable) => self.lost(unreadable),
                    }
                }
            }
            Err(unreadable) => self.lost(&unreadable),
        }
    }

    /// Feeds an event that is put together only where something asks for all of it.
    fn glance<'l, L: Borrow<Line<'l>>>(
        &mut self,
        place: Place,
        glance: &Glance<'_>,
        line: impl FnOnce() -> Result<L, Unreadable>,
    ) {
        let whole = self.each.iter_mut().filter_map(|one| (!one.recall(place, glance)).then_some(one));
        let mut whole = whole.peekable();
        if whole.peek().is_none() {
            return;
        }
        match line() {
            Ok(line) => {
                let line = line.borrow();
                let claims = line.claims();
                judge(whole, (self.baseline, &self.terms), place, &line.observe(&claims));
            }
            Err(unreadable) => whole.for_each(|one| one.unreadable(&unreadable)),
        }
    }

    /// Feeds a record that could not be read.
    pub fn unreadable(&mut self, unreadable: &Unreadable) {
        if self.takes(unreadable.place) {
            self.lost(unreadable);
        }
    }

    fn lost(&mut self, unreadable: &Unreadable) {
        self.each.iter_mut().for_each(|one| one.unreadable(unreadable));
    }

    /// Feeds what an importer left out. It says so of a whole file, so that one shard alone counts it.
    pub fn imported(&mut self, imported: &Imported) {
        if self.shard.is_some_and(|shard| !shard.is_first()) {
            return;
        }
        self.each.iter_mut().for_each(|one| one.imported(imported));
    }

    /// Feeds an event.
    pub fn event(&mut self, place: Place, event: &Event) {
        let claims = event.claims();
        self.observe(place, &event.observe(&claims));
    }

    /// Feeds an event that is borrowed from wherever it stands.
    pub fn observe(&mut self, place: Place, seen: &Observed<'_>) {
        judge(self.each.iter_mut(), (self.baseline, &self.terms), place, seen);
    }

    /// What each rehearsal adds to its whole, in the order of the candidates.
    pub fn parts(self) -> Vec<Part> {
        self.each.into_iter().map(Rehearsal::part).collect()
    }
}

/// Feeds an event to these. The baseline is asked once, if at all.
fn judge<'r, 'p: 'r>(
    rehearsals: impl Iterator<Item = &'r mut Rehearsal<'p>>,
    (baseline, terms): (Option<&'p CompiledPolicy>, &Terms),
    place: Place,
    seen: &Observed<'_>,
) {
    let mut known = None;
    for one in rehearsals {
        let judge = || baseline.map(|policy| pdp::judge(policy, &terms.before(seen.request)));
        one.observe_against(place, seen, || *known.get_or_insert_with(judge));
    }
}
