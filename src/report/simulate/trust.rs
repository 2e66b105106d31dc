//! Whether the answer of a rehearsal can be trusted: what was asked, what drifted, what is missing.

use super::{Page, many, were};
use crate::policy::written;
use crate::report::text::harmless;
use crate::simulate::{Against, Clock, Report, Sample, Terms};

impl Page {
    /// What of the question stands in no file.
    pub(super) fn terms(&mut self, terms: &Terms) {
        let clock = match terms.clock {
            Clock::AsRecorded => None,
            Clock::Shifted { seconds } if seconds < 0 => Some(format!("--shift -{}", written(seconds.unsigned_abs()))),
            Clock::Shifted { seconds } => Some(format!("--shift {}", written(seconds.unsigned_abs()))),
            Clock::At { instant } => Some(format!("--at {instant}")),
        };
        for asked in terms.what_if.iter().cloned().chain(clock) {
            let what_if = self.style.strong("what if");
            self.line(format_args!("{what_if}  {}", harmless(&asked)));
        }
        if terms.against == Against::Unchanged {
            self.line("compared with the policy as it stands, at the recorded instants");
        }
    }

    /// Whether the answer can be trusted at all.
    pub(super) fn trust(&mut self, report: &Report) {
        let style = self.style;
        let drift = &report.drift;
        if drift.checked > 0 {
            let (different, of) = (drift.different_total(), drift.decidable());
            if different == 0 {
                let all = many(of, "recorded decision");
                self.line(format_args!("{} by the policy that made them: {all}", style.good("reproduced")));
            } else {
                let text = format!("{different} of {} are not as recorded", many(of, "decision"));
                self.line(format_args!("{}: {text}, by the very policy that made them", style.bad("drift")));
                self.line("  an engine that does not reproduce yesterday is no judge of tomorrow");
                self.change_rows(&drift.different);
            }
            if drift.undecidable > 0 {
                let count = many(drift.undecidable, "decision");
                self.line(format_args!("  {count} cannot be checked: not everything they rest on was recorded"));
            }
        }
        if drift.other_policy > 0 {
            let events = many(drift.other_policy, "event");
            self.line(format_args!("{events} {} decided by a policy that is not here", were(drift.other_policy)));
        }
        if drift.foreign > 0 {
            let events = many(drift.foreign, "event");
            self.line(format_args!("{events} {} decided by another system", were(drift.foreign)));
        }
        let unreadable = report.unreadable_total();
        if unreadable > 0 {
            let text = format!("{} could not be read", many(unreadable, "record"));
            self.line(format_args!("{}", style.bad(text)));
            for (code, count) in &report.unreadable {
                self.line(format_args!("  {count}  {code}"));
            }
            for Sample { source, place, about, .. } in &report.unreadable_samples {
                let (at, about) = (style.faint(format!("{}:{place}", harmless(source))), harmless(about));
                self.line(format_args!("  {at}  {about}"));
            }
        }
        let skipped = &report.skipped;
        for (rule, count) in &skipped.ignored {
            let (records, rule) = (many(*count, "record"), harmless(rule));
            self.line(format_args!("{records} left out by the rule `{rule}`"));
        }
        for (function, count) in &skipped.unmapped {
            let (calls, name) = (many(*count, "call"), harmless(function));
            self.line(format_args!(
                "{}: {calls} of `{name}`, of which the mapping says nothing",
                style.caution("left out")
            ));
        }
        if skipped.unidentified > 0 {
            let events = many(skipped.unidentified, "event");
            self.line(format_args!("{}: no identity rule is about {events}", style.caution("unknown subject")));
        }
    }
}
