//! Rules that no rehearsal can judge, because what they read is kept nowhere.

use super::{Lint, called};
use crate::analyze::place::Place;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::policy::argument::{ArgPath, touches};
use crate::policy::set::{Item, Statement};

impl Lint<'_> {
    /// Argument rules and `capture` that ask for what `redact` takes out.
    pub(super) fn redacted(&mut self) {
        let set = self.view.set;
        for (server, kind, name, item) in set.items().filter(|(.., item)| !item.redact.is_empty()) {
            let place = Place::new(server, kind, name);
            let declared = self.span_of(&place);
            for (path, _) in item.args.iter() {
                self.reads(&place, item, path, declared, "its `args` read");
            }
            // `capture` of more than what is taken out keeps the rest.
            let lost = |path: &&ArgPath| item.redact.iter().any(|out| path.is_within(out));
            for path in item.capture.iter().filter(lost) {
                self.reads(&place, item, path, declared, "`capture` asks for");
            }
            let statements = [("grant", &set.grants), ("deny", &set.denies)];
            for (what, number, statement) in statements
                .into_iter()
                .flat_map(|(what, list)| list.iter().enumerate().map(move |(number, one)| (what, number, one)))
            {
                self.statement_reads(&place, item, (what, number), statement);
            }
        }
    }

    fn statement_reads(&mut self, place: &Place, item: &Item, (what, number): (&str, usize), statement: &Statement) {
        let name = place.item();
        if !statement.covers(&place.server, &name) || !statement.is_live(self.now()) {
            return;
        }
        let spans = if what == "grant" { &self.loaded.spans.grants } else { &self.loaded.spans.denies };
        let spans = spans.get(number);
        let who = format!("{} reads", called(what, statement.name.as_deref()));
        for rules in statement.args_for(&place.server, &name) {
            for (path, _) in rules.iter() {
                let written = spans.and_then(|spans| {
                    spans.args.iter().find(|(of, at, _)| at == path && of.matches(&place.server, &name))
                });
                let span = written.map_or_else(|| spans.map(|s| s.head).unwrap_or_default(), |(.., span)| *span);
                self.reads(place, item, path, span, &who);
            }
        }
    }

    fn reads(&mut self, place: &Place, item: &Item, path: &ArgPath, span: Span, who: &str) {
        let Some(out) = item.redact.iter().find(|out| touches(out.pointer(), path.pointer())) else { return };
        let message = format!("{who} `{}`, and `redact` of `{place}` keeps `{}` nowhere", path.as_str(), out.as_str());
        let problem = Diagnostic::new(Code::RedactedArgument, message)
            .at(span, "")
            .help("it decides all the same; a rehearsal can not tell what it would decide on recorded calls");
        self.add(problem);
    }
}
